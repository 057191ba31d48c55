"""The policy as the engine reads it: one immutable snapshot of everything policy.yaml and the catalogue say.

A value that exists is valid: the schema builds these only from a file without problems. Instants are UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network

from schoolgate_policy.decision import Verdict
from schoolgate_policy.lists.spec import HostSet, ListStatus, PageSet
from schoolgate_policy.schedule import Calendar, Schedule, When

type IPNetwork = IPv4Network | IPv6Network


class People(StrEnum):
    """Who uses a network."""

    STAFF = "staff"
    PUPIL = "pupil"
    GUEST = "guest"


class Inspection(StrEnum):
    """How much TLS is opened on a network (design: nothing, where a verdict needs it, everything not excepted)."""

    NAMES = "names"
    NEEDED = "needed"
    ALL = "all"


class Strength(StrEnum):
    """How strictly a search engine filters its results."""

    STRICT = "strict"
    MODERATE = "moderate"


SEARCH_ENGINES = ("google", "bing", "duckduckgo", "brave", "youtube")


class TargetKind(StrEnum):
    """What a target speaks of."""

    SERVICE = "service"
    CATEGORY = "category"
    LIST = "list"
    DOMAIN = "domain"  # the name and all below it; an IP address stands for itself
    URL = "url"  # host and path prefix
    EVERYTHING = "everything"


@dataclass(frozen=True, slots=True)
class Target:
    """What a rule speaks of. `value` is canonical; `path` (`/ourschool`) only where `kind` is URL."""

    kind: TargetKind
    value: str
    path: str = ""

    def __str__(self) -> str:
        match self.kind:
            case TargetKind.CATEGORY | TargetKind.LIST:
                return f"{self.kind}:{self.value}"
            case _:
                return self.value + self.path


@dataclass(frozen=True, slots=True)
class MinimumAge:
    """The age below which a service does not admit users, and where and when that was read."""

    years: int
    source: str
    checked: date | None = None  # None: the school's own word


@dataclass(frozen=True, slots=True)
class Service:
    """What people name: Instagram. `domains` cover the name and all below it."""

    id: str
    title: str
    category: str
    domains: tuple[str, ...]
    shared_domains: tuple[str, ...] = ()  # used by others too: judged only where a policy names them
    min_age: MinimumAge | None = None
    frontends: tuple[str, ...] = ()  # alternative front ends that show the same content
    notes: str = ""


@dataclass(frozen=True, slots=True)
class Category:
    """A group of services; `about` is its definition in words an officer can apply to a new site.

    A target that names a category covers the categories that name it as their `parent`.
    """

    id: str
    title: str
    about: str
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every known service and category. `version` is the date of its data."""

    version: str
    categories: Mapping[str, Category]
    services: Mapping[str, Service]


@dataclass(frozen=True, slots=True)
class MicrosoftAccounts:
    """Whose Microsoft 365 accounts may sign in: those of `tenants`, or as `policy` of the directory says."""

    directory: str  # the school's own tenant, a GUID
    tenants: tuple[str, ...] = ()
    policy: str | None = None  # a GUID
    personal: Verdict = Verdict.BLOCK  # private accounts


@dataclass(frozen=True, slots=True)
class Accounts:
    """Whose accounts people may sign in with."""

    google: tuple[str, ...] = ()
    microsoft: MicrosoftAccounts | None = None


@dataclass(frozen=True, slots=True)
class Ports:
    """TCP or UDP ports that lie side by side, first and last included."""

    protocol: str  # tcp or udp
    first: int
    last: int

    @property
    def ports(self) -> str:
        """The numbers as the firewall writes them: `443`, `3478-3481`."""
        return f"{self.first}" if self.first == self.last else f"{self.first}-{self.last}"

    def __str__(self) -> str:
        return f"{self.protocol} {self.ports}"


@dataclass(frozen=True, slots=True)
class Pass:
    """Traffic other than the web that the firewall lets out of a network."""

    to: tuple[IPNetwork, ...]
    ports: tuple[Ports, ...]
    reason: str
    source: str


@dataclass(frozen=True, slots=True)
class Network:
    """A VLAN and its addresses."""

    id: str
    people: People
    addresses: tuple[IPNetwork, ...]
    inspection: Inspection
    otherwise: Verdict
    vlan: int | None
    source: str
    age: int | None = None  # of the youngest who use it
    safe_search: Mapping[str, Strength] = field(default_factory=dict)  # by search engine
    accounts: Accounts | None = None
    language: str | None = None  # of the pages people see; None: the school's
    passes: tuple[Pass, ...] = ()
    websockets: Mapping[str, int] = field(default_factory=dict)  # bounds: `most_minutes`, `most_megabytes`


@dataclass(frozen=True, slots=True)
class Device:
    """A name for one machine, or a room full of them."""

    id: str
    addresses: tuple[IPNetwork, ...]
    source: str
    age: int | None = None  # of the youngest who use it; None: the network's


@dataclass(frozen=True, slots=True)
class Rule:
    """Block or allow some targets, for some networks and devices (none named: for all), during some schedules."""

    index: int
    verdict: Verdict
    targets: tuple[Target, ...]
    networks: frozenset[str]
    devices: frozenset[str]
    during: When
    reason: str
    source: str
    within: tuple[Target, ...] = ()  # open only as a part of these
    companions: tuple[Target, ...] = ()  # open only as a part of the targets
    methods: frozenset[str] = frozenset()  # that allowed pages take besides those that read


@dataclass(frozen=True, slots=True)
class State:
    """Rules for a special time; judged before exceptions and rules while the state is switched on."""

    id: str
    about: str
    rules: tuple[Rule, ...]
    source: str


@dataclass(frozen=True, slots=True)
class PolicyException:
    """A granted, dated departure from the rules, in force on `[starts, ends)`."""

    index: int
    id: str
    verdict: Verdict
    targets: tuple[Target, ...]
    networks: frozenset[str]
    devices: frozenset[str]
    starts: datetime
    ends: datetime
    during: When
    reason: str
    source: str
    reviewed_by: str = ""
    approved_by: str = ""
    within: tuple[Target, ...] = ()
    companions: tuple[Target, ...] = ()
    methods: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class LockedList:
    """Hosts and pages that nothing in the policy can open. Its entries are never shown to anybody."""

    id: str
    hosts: HostSet
    source: str
    pages: PageSet | None = None


@dataclass(frozen=True, slots=True)
class Sanction:
    """A device (one address) restricted to what a closely supervised pupil may reach, on `[starts, ends)`.

    `targets` come on top of the policy's `supervised`. `starts` None: already.
    """

    address: str
    ends: datetime
    reason: str
    targets: tuple[Target, ...] = ()
    starts: datetime | None = None


@dataclass(frozen=True, slots=True)
class School:
    """Whose policy this is."""

    name: str
    timezone: str
    bank_holidays: str | None
    contacts: Mapping[str, str]
    language: str | None = None  # of the pages people see; None: as their browser likes


@dataclass(frozen=True, slots=True)
class Support:
    """The subjects about which people are offered help, and the school's own words for it."""

    topics: tuple[Target, ...] = ()
    text: str = ""
    welsh: str = ""


@dataclass(frozen=True, slots=True)
class Review:
    """Who approved the policy, and when it must be looked at again."""

    approved_by: str
    approved_on: date
    due: date


@dataclass(frozen=True, slots=True)
class Limits:
    """What an approval may not exceed."""

    longest_exception: timedelta | None = None
    never: tuple[Target, ...] = ()


class Recorded(StrEnum):
    """Of which visits a row with its device is kept; all others are only counted."""

    BLOCKED = "blocked"
    EVERYTHING = "everything"


@dataclass(frozen=True, slots=True)
class Threshold:
    """So many points of one device within so long."""

    points: int
    within: timedelta

    def __str__(self) -> str:
        minutes = int(self.within.total_seconds()) // 60
        hours, rest = divmod(minutes, 60)
        count, unit = (minutes, "minute") if rest else (hours, "hour")
        return f"{self.points} in {count} {unit}{'' if count == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class Circumvention:
    """What becomes of a device that tries to get round the filter; a threshold of None is never reached."""

    alert: Threshold | None = Threshold(5, timedelta(minutes=10))
    supervise: Threshold | None = None
    supervise_for: timedelta = timedelta(days=7)
    escalate_after: timedelta = timedelta(hours=4)  # an alert that nobody has acknowledged


@dataclass(frozen=True, slots=True)
class Privacy:
    """What is recorded, and how long records are kept before they are purged."""

    record: Recorded = Recorded.BLOCKED
    keep_events: timedelta = timedelta(days=30)
    keep_counts: timedelta = timedelta(days=2 * 366)  # hourly counts: no device, no site that is no service
    keep_requests: timedelta = timedelta(days=365)
    keep_audit: timedelta = timedelta(days=6 * 365)
    keep_sessions: timedelta = timedelta(hours=10)  # from signing in; a session that is not used ends earlier


@dataclass(frozen=True, slots=True)
class Policy:
    """An immutable snapshot of all that decides."""

    version: str  # the first 12 hexadecimal digits of the SHA-256 of the file
    source: str  # the file's name, as it stands in messages
    school: School
    networks: Mapping[str, Network]
    unknown_clients: str
    devices: Mapping[str, Device]
    calendar: Calendar
    calendars: Mapping[str, Calendar]  # further ones, of other schools
    schedules: Mapping[str, Schedule]
    catalogue: Catalogue
    always_allow: tuple[tuple[Target, str], ...]  # with the source of each
    never_inspect: tuple[Target, ...]
    rules: tuple[Rule, ...]
    exceptions: tuple[PolicyException, ...]
    states: Mapping[str, State] = field(default_factory=dict)
    lists: Mapping[str, HostSet] = field(default_factory=dict)
    list_status: tuple[ListStatus, ...] = ()  # of all lists, the locked ones too, in the order of the file
    locked: tuple[LockedList, ...] = ()
    review: Review | None = None
    limits: Limits = field(default_factory=Limits)
    support: Support = field(default_factory=Support)
    supervised: tuple[Target, ...] = ()  # what a sanctioned device may reach besides `always_allow`
    circumvention: Circumvention = field(default_factory=Circumvention)
    privacy: Privacy = field(default_factory=Privacy)
