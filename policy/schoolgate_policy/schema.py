"""policy.yaml as it is written: one model per section, unknown keys refused. The JSON Schema is made from these."""

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from schoolgate_policy.decision import Verdict
from schoolgate_policy.fields import (
    Age,
    Amount,
    Day,
    Days,
    Duration,
    Guid,
    HostName,
    HttpsUrl,
    Integer,
    Name,
    Negatable,
    NotEmpty,
    NothingIsEmpty,
    OneOrMore,
    PassRange,
    PortsField,
    Range,
    Stay,
    TargetField,
    ThresholdField,
    TimePeriod,
    When,
    Words,
    problem,
)
from schoolgate_policy.lists.spec import Format
from schoolgate_policy.model import (
    SEARCH_ENGINES,
    Inspection,
    People,
    Recorded,
    Strength,
    TargetKind,
    Threshold,
)
from schoolgate_policy.schedule import Season

Nation = Literal["england", "wales", "scotland", "northern-ireland", "none"]
Language = Literal["en", "cy"]
Targets = Annotated[list[TargetField], OneOrMore, NotEmpty]
Method = Literal["POST", "PUT", "PATCH", "DELETE"]
Names = Annotated[list[Name], OneOrMore, NotEmpty]


class Section(BaseModel):
    """What every section has in common: no key that the policy language does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False)

    def given(self) -> dict[str, Any]:
        """Return what the section says, without what it leaves to the defaults."""
        return {name: value for name in self.model_fields_set if (value := getattr(self, name)) is not None}


class SchoolSection(Section):
    """Whose policy this is."""

    name: Words = Field(description="The school's name, as it stands on the block page")
    timezone: Words = Field("Europe/London", description="The zone of all times in this file")
    bank_holidays: Nation = Field("england", description="Whose bank holidays are no school days")
    language: Language | None = Field(
        None, description="Of the block page; default: what the reader's browser asks for"
    )
    contacts: dict[Name, Words] = Field(
        default_factory=dict,
        description="Who to ask: e_safety_officer, headteacher, dsl … and their addresses",
    )


class ReviewSection(Section):
    """Who approved this policy, and when it must be looked at again."""

    approved_by: Words = Field(description="Who approved it: governors, a committee, the headteacher")
    approved_on: Day = Field(description="When")
    due: Day = Field(description="When it must be looked at again; the standards ask for once a year")


GoogleDomain = Annotated[Literal["consumer_accounts"] | HostName, Field(union_mode="left_to_right")]


class SafeSearchSection(Section):
    """How strictly each search engine filters its results."""

    google: Strength | None = Field(None, description="SafeSearch")
    bing: Strength | None = Field(None, description="SafeSearch")
    duckduckgo: Strength | None = Field(None, description="Safe Search")
    brave: Strength | None = Field(None, description="Safe Search")
    youtube: Strength | None = Field(None, description="Restricted Mode; `moderate` lets more through")


class MicrosoftSection(Section):
    """Whose Microsoft 365 accounts may sign in."""

    directory: Guid = Field(description="The id of the school's own directory (tenant)")
    tenants: Annotated[list[HostName], OneOrMore] = Field(
        default_factory=list, description="The directories whose accounts may sign in, by domain"
    )
    policy: Guid | None = Field(
        None, description="Instead of `tenants`: the id of a tenant restrictions v2 policy of the directory"
    )
    personal: Verdict = Field(Verdict.BLOCK, description="Private Microsoft accounts")

    @model_validator(mode="after")
    def _tenants_or_policy(self) -> "MicrosoftSection":
        if bool(self.tenants) is (self.policy is not None):
            raise problem("needs one of `tenants` and `policy`")
        return self


class AccountsSection(Section):
    """Whose accounts people may sign in with; private ones not, unless it is said."""

    google: Annotated[list[GoogleDomain], OneOrMore] = Field(
        default_factory=list,
        description="Google Workspace domains; `consumer_accounts` beside them lets private accounts in",
    )
    microsoft: MicrosoftSection | None = Field(None, description="Microsoft 365 directories")


class PassSection(Section):
    """Traffic other than the web that the firewall lets out: calls, printers, the directory."""

    to: Annotated[list[PassRange], OneOrMore, NotEmpty] = Field(description="Addresses or ranges it leads to")
    ports: Annotated[list[PortsField], OneOrMore, NotEmpty] = Field(description="TCP or UDP ports")
    reason: Words = Field(description="What it is for")


class WebsocketsSection(Section):
    """How long a websocket may last, and how much it may carry."""

    most_minutes: Amount | None = Field(None, description="Minutes until one is closed")
    most_megabytes: Amount | None = Field(
        None, description="Megabytes, both ways, until one is closed, and noted as `websocket_tunnel`"
    )


class NetworkSection(Section):
    """A VLAN."""

    vlan: Integer | None = Field(None, description="Its number, 1 to 4094")
    people: People = Field(description="Who uses it")
    addresses: Annotated[list[Range], OneOrMore, NotEmpty] = Field(
        description="Its address ranges, IPv4 and IPv6"
    )
    inspection: Inspection = Field(Inspection.NAMES, description="How much TLS is opened on it")
    otherwise: Verdict = Field(description="What happens to a site that no rule speaks of")
    age: Age | None = Field(
        None, description="The age of the youngest who use it: blocks services for older people"
    )
    safe_search: SafeSearchSection | None = Field(
        None, description="Filtered results: `strict` for all search engines, or a strength for each"
    )

    language: Language | None = Field(None, description="Of its block pages; default the school's")
    accounts: AccountsSection | None = Field(
        None, description="Whose accounts people may sign in with at Google and Microsoft"
    )
    websockets: WebsocketsSection | None = Field(
        None, description="Bounds for websockets of sites that no rule speaks of; default none"
    )
    passes: list[PassSection] = Field(
        default_factory=list,
        description="What the firewall lets out of it besides the web; default nothing",
    )

    @field_validator("safe_search", mode="before", json_schema_input_type=Strength | SafeSearchSection | None)
    @classmethod
    def _same_for_all(cls, value: Any) -> Any:
        return dict.fromkeys(SEARCH_ENGINES, value) if isinstance(value, str) else value


Addresses = Annotated[list[Range], OneOrMore, NotEmpty]


class DeviceSection(Section):
    """One machine, or a room full of them."""

    addresses: Annotated[list[Range], OneOrMore, NotEmpty] = Field(description="Addresses or ranges")
    age: Age | None = Field(None, description="The age of the youngest who use it; default the network's")


class DaysSection(Section):
    """Some days: `from` and `to`, or `on` for a single one."""

    name: Words = Field(description="What people call them")
    first: Day | None = Field(None, alias="from", description="The first day")
    last: Day | None = Field(None, alias="to", description="The last day")
    on: Day | None = Field(None, description="The day, where it is a single one")

    @model_validator(mode="after")
    def _whole(self) -> "DaysSection":
        if (self.on is None) == (self.first is None or self.last is None) or (
            self.on and (self.first or self.last)
        ):
            raise problem("needs `from` and `to`, or `on` for a single day")
        if self.first and self.last and self.last < self.first:
            raise problem(f"ends ({self.last}) before it begins ({self.first})")
        return self


class CalendarSection(Section):
    """A school year."""

    terms: list[DaysSection] = Field(default_factory=list, description="First and last day of each term")
    closed: list[DaysSection] = Field(
        default_factory=list, description="Half terms, INSET days and other days off"
    )
    bank_holidays: Nation | None = Field(None, description="Whose bank holidays; default the school's")


class ScheduleSection(Section):
    """Weekly periods with a name."""

    days: Days | None = Field(None, description="Weekdays; default every day")
    on: Annotated[list[Day], OneOrMore, NotEmpty] | None = Field(
        None, description="Single dates instead of weekdays"
    )
    at: Annotated[list[TimePeriod], OneOrMore, NotEmpty] = Field(
        description="Times of day, such as 08:50-10:30"
    )
    season: Season = Field(Season.ALWAYS, alias="in", description="Which days of the school year")
    calendar: Name | None = Field(
        None, description="Which of `calendars` they are days of; default `calendar`"
    )

    @model_validator(mode="after")
    def _days_or_dates(self) -> "ScheduleSection":
        if self.on and (self.days is not None or self.season is not Season.ALWAYS):
            raise problem("`on` names single dates, so `days` and `in` have no place beside it")
        return self


def _during_tag(value: Any) -> str:
    return "[inline]" if isinstance(value, dict | ScheduleSection) else "[name]"


DuringItem = Annotated[
    Annotated[Negatable, Tag("[name]")] | Annotated[ScheduleSection, Tag("[inline]")],
    Discriminator(_during_tag),
]
During = Annotated[list[DuringItem], OneOrMore, NotEmpty]


class _Ruling(Section):
    """What rules and exceptions have in common."""

    block: Targets | None = Field(None, description="What is blocked")
    allow: Targets | None = Field(None, description="What is allowed")
    whom: Names | None = Field(None, alias="for", description="Networks and devices; default everybody")
    during: During | None = Field(None, description="Schedules during which this is in force; default always")
    within: Annotated[list[TargetField], OneOrMore] = Field(
        default_factory=list,
        description="Sites and pages: what is allowed is open only as a part of these, such as a video in a page",
    )
    companions: Annotated[list[TargetField], OneOrMore] = Field(
        default_factory=list,
        description="Sites that an allowed page loads its parts from; open only as parts of that page",
    )

    methods: Annotated[list[Method], OneOrMore] = Field(
        default_factory=list,
        description="What an allowed page takes besides being read (GET, HEAD, OPTIONS): forms are sent by POST",
    )

    @model_validator(mode="after")
    def _one_verb(self) -> "_Ruling":
        if (self.block is None) == (self.allow is None):
            raise problem("needs exactly one of `block` and `allow`")
        if self.block is not None and (self.within or self.companions):
            raise problem("`within` and `companions` go with `allow`, not with `block`")
        if self.methods and not any(target.kind is TargetKind.URL for target in self.allow or ()):
            raise problem("`methods` go with a page, such as `allow: example.org/page`")
        if self.companions and not all(target.kind is TargetKind.URL for target in self.allow or ()):
            raise problem("`companions` go with a page, such as `allow: example.org/page`")
        return self


class RuleSection(_Ruling):
    """Block or allow something; the first rule that matches decides."""

    reason: Words = Field(description="Why, in words for the person who is blocked")


class ExceptionSection(_Ruling):
    """A granted, dated departure from the rules."""

    id: Words = Field(description="The request it comes from")
    starts: When | None = Field(None, alias="from", description="First day or instant; default: at once")
    until: When = Field(description="Last day, or the instant it ends")
    reason: Words = Field(description="Why it was granted")
    reviewed_by: Words | None = Field(None, description="Who reviewed the request")
    approved_by: Words | None = Field(None, description="Who approved it")


class _AnyList(Section):
    """What lists and locked lists have in common."""

    file: Words | None = Field(None, description="File or folder, from the folder of this file")
    url: HttpsUrl | None = Field(None, description="Where it is fetched from; https only")
    format: Format | None = Field(None, description="Its format; default: what it looks like")
    licence: Words | None = Field(None, description="Under which terms the school uses it")
    refresh: Duration | None = Field(None, description="How often `url` is fetched; default: every day")

    @model_validator(mode="after")
    def _one_source(self) -> "_AnyList":
        if self.file is not None and self.url is not None:
            raise problem("needs one of `file` and `url`, not both")
        if self.refresh is not None and self.url is None:
            raise problem("`refresh` has a place only beside `url`")
        return self


class ListSection(_AnyList):
    """A list of hosts from a file, a folder or the web."""

    category: Name | None = Field(None, description="The category its hosts belong to; a new one is made")
    reason: Words | None = Field(None, description="Why they are blocked, instead of the rule's reason")

    @model_validator(mode="after")
    def _some_source(self) -> "ListSection":
        if self.file is None and self.url is None:
            raise problem("needs `file` or `url`")
        return self


class LockedSection(_AnyList):
    """A list of illegal content, which nothing in this policy opens. Without `file` and `url`: not supplied."""


class StateSection(Section):
    """What goes before exceptions and rules while this state is switched on."""

    about: Words = Field(description="When it is meant to be used")
    rules: Annotated[list[RuleSection], NotEmpty] = Field(
        description="In order; the first that matches decides"
    )


class SupportSection(Section):
    """Subjects about which people are offered help instead of being shown a rule."""

    topics: Targets = Field(description="What these subjects are: categories, lists, services, sites")
    text: Words = Field(description="The school's own words: whom to talk to, and where they are")
    welsh: Words | None = Field(None, description="The same in Welsh")


class LimitsSection(Section):
    """What an approval may not exceed."""

    longest_exception: Duration | None = Field(None, description="The longest an exception may last")
    never: Annotated[list[TargetField], OneOrMore] = Field(
        default_factory=list, description="What no exception may open"
    )


class CircumventionSection(Section):
    """What becomes of a device that tries to get round the filter. docs/techniques.md says what counts how much."""

    alert: ThresholdField = Field(
        Threshold(5, timedelta(minutes=10)),
        description="From how many points in how long somebody is told; default `5 in 10 minutes`",
    )
    supervise: ThresholdField = Field(
        None, description="From how many points a device is put under supervision; default `off`"
    )
    supervise_for: Duration | None = Field(None, description="For how long that is; default 7 days")
    escalate_after: Duration | None = Field(
        None,
        description="When the next person is told of an alert nobody acknowledged, in school hours; default 4 hours",
    )


class PrivacySection(Section):
    """What is recorded, and how long records are kept."""

    record: Recorded | None = Field(
        None,
        description="Of which visits a row with the device's pseudonym is kept: default only `blocked` ones",
    )
    keep_events: Duration | None = Field(None, description="Rows of visits and attempts; default 30 days")
    keep_counts: Duration | None = Field(
        None, description="Hourly counts without devices, and nightly checks; default two years"
    )
    keep_requests: Duration | None = Field(None, description="Requests for access; default a year")
    keep_audit: Duration | None = Field(None, description="Who decided what; default six years")
    keep_sessions: Stay | None = Field(
        None,
        description="How long somebody stays signed in to the portal at most, and the record of it is kept:"
        " 15 minutes to 7 days; default 10 hours",
    )


class ServiceSection(Section):
    """A service of the school's own, or one of the catalogue with its name given and domains added or removed."""

    title: Words | None = Field(None, description="What people call it")
    category: Name | None = Field(None, description="Its category; a new service needs one")
    domains: Annotated[list[HostName], OneOrMore] = Field(
        default_factory=list, description="Its names, each with all below it; added to the catalogue's"
    )
    without: Annotated[list[HostName], OneOrMore] = Field(
        default_factory=list, description="Domains of the catalogue's entry that do not count here"
    )
    min_age: Age | None = Field(
        None, description="From which age it admits users, where the catalogue is behind"
    )


def _as_device(value: Any) -> Any:
    """Let a list of addresses stand for a device without more to say."""
    return {"addresses": value} if isinstance(value, str | list) else value


DeviceField = Annotated[
    DeviceSection, BeforeValidator(_as_device, json_schema_input_type=Addresses | DeviceSection)
]


class PolicyFile(Section):
    """The policy of one school."""

    version: Literal[1] = Field(description="Version of the policy language")
    school: SchoolSection = Field(description="Whose policy this is")
    review: ReviewSection | None = Field(None, description="Who approved it, and when it is due again")
    networks: dict[Name, NetworkSection] = Field(min_length=1, description="Who is asking, by VLAN")
    unknown_clients: Name = Field(description="The network whose rules apply to an address in no network")
    devices: dict[Name, DeviceField] = Field(
        default_factory=dict, description="Names for single machines, or rooms full of them"
    )
    calendar: CalendarSection = Field(CalendarSection(), description="The school year")
    calendars: dict[Name, CalendarSection] = Field(
        default_factory=dict, description="Further school years, where one policy serves several schools"
    )
    schedules: dict[Name, ScheduleSection] = Field(
        default_factory=dict, description="Times with a name, for `during`"
    )
    services: dict[Name, ServiceSection] = Field(
        default_factory=dict,
        description="Services of the school's own, and changes to those of the catalogue",
    )
    lists: dict[Name, ListSection] = Field(
        default_factory=dict, description="Lists of hosts, for the target `list:NAME` and for their category"
    )
    locked: dict[Name, Annotated[LockedSection, NothingIsEmpty]] = Field(
        default_factory=dict, description="Lists of illegal content that nothing in this file can open"
    )
    always_allow: Annotated[list[TargetField], OneOrMore] = Field(
        default_factory=list, description="Targets that work for everybody, whatever the rules say"
    )
    never_inspect: Annotated[list[TargetField], OneOrMore] = Field(
        default_factory=list, description="Targets whose connections are never opened, on no network"
    )
    supervised: Annotated[list[TargetField], OneOrMore] = Field(
        default_factory=list,
        description="What a device under supervision may reach besides `always_allow`, and nothing else",
    )
    rules: list[RuleSection] = Field(
        default_factory=list, description="In order; the first that matches decides"
    )
    exceptions: list[ExceptionSection] = Field(
        default_factory=list, description="Granted departures from the rules, each with an end"
    )
    states: dict[Name, StateSection] = Field(
        default_factory=dict, description="Rules for special times, such as an incident; switched on by hand"
    )
    support: SupportSection | None = Field(
        None, description="Subjects such as self-harm, about which people are offered help"
    )
    limits: LimitsSection = Field(LimitsSection(), description="What an approval may not exceed")
    circumvention: CircumventionSection = Field(
        CircumventionSection(), description="When attempts to get round the filter have consequences"
    )
    privacy: PrivacySection = Field(
        PrivacySection(), description="What is recorded, and how long records are kept"
    )


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of policy.yaml, for editors."""
    schema = PolicyFile.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Schoolgate policy"}
