"""The values of the request queue: frozen, and valid once they exist. Instants are aware and UTC."""

from dataclasses import dataclass
from datetime import date, datetime

from schoolgate_exceptions.kinds import Breadth, Kind, Purpose
from schoolgate_exceptions.roles import Role
from schoolgate_exceptions.workflow import Action, State
from schoolgate_policy.decision import Verdict


@dataclass(frozen=True, slots=True)
class Requester:
    """Where a request came from: a network, and a device by a keyed hash of its address. No name is typed.

    `devices` are the policy's names of the device (a room, a machine), `account` and `name` are set for staff who
    are signed in.
    """

    network: str
    device: str
    devices: tuple[str, ...] = ()
    account: int | None = None
    name: str = ""
    language: str = "en"


@dataclass(frozen=True, slots=True)
class OfficialUse:
    """What a request for official use must say before anybody can approve it."""

    objectives: str
    outcomes: str
    risk_assessment: str
    ends: date
    notice_given: bool = False  # parents were told
    consent_held: bool = False  # where pupils take part


@dataclass(frozen=True, slots=True)
class Ask:
    """A form as somebody sends it. `host` is what the reference says, or what staff typed (a URL is fine).

    `wanted_until` is an instant. `reference` is the signed reference of the block page, empty where there is none.
    """

    kind: Kind
    purpose: Purpose
    reason: str = ""
    wanted_until: datetime | None = None
    host: str = ""
    reference: str = ""
    official: OfficialUse | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """What exactly would open: a target of the policy language, and in words what that covers."""

    breadth: Breadth
    target: str
    covers: str


@dataclass(frozen=True, slots=True)
class Grant:
    """What is to be written into policy.yaml. `whom` names networks and devices, `during` schedules.

    `until` is the instant it ends, None only for a block that goes into the rule `rule` (counted from 0). `reason`
    stands in the file, so it names nobody.
    """

    targets: tuple[str, ...]
    whom: tuple[str, ...]
    until: datetime | None
    reason: str
    starts: datetime | None = None
    during: tuple[str, ...] = ()
    verdict: Verdict = Verdict.ALLOW
    rule: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was done with a request. `note` is for those who decide, `answer` for who asked."""

    at: datetime
    action: Action | None  # None: it was submitted
    source: State | None
    target: State
    role: Role
    account: int | None = None
    name: str = ""
    note: str = ""
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Publication:
    """What became of writing it into policy.yaml. `problem` is empty where all is well; `paste` are the lines."""

    written_at: datetime | None = None
    removed_at: datetime | None = None
    problem: str = ""
    paste: str = ""


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """Somebody asks for something to be opened, blocked or looked at."""

    number: int  # of the row; never shown
    id: str  # REQ-2026-0012, as it stands in policy.yaml
    reference: str  # K7-4QX, as the person who asked sees it
    kind: Kind
    state: State
    version: int  # grows with each step
    host: str
    path: str  # canonical, where staff typed one; empty otherwise
    service: str  # id in the catalogue, or empty
    purpose: Purpose
    reason: str
    wanted_until: datetime | None
    requester: Requester
    rule_source: str  # `policy.yaml:41` at the time of asking
    rule_reason: str  # the rule's words
    created_at: datetime
    changed_at: datetime
    askers: int = 1  # devices that asked for the same
    safeguarding: bool = False
    with_dsl: bool = False
    waiting_for_answer: bool = False
    hold: str = ""  # why it may not be purged
    official: OfficialUse | None = None
    grant: Grant | None = None
    reviewer: int | None = None
    approver: int | None = None
    waiver: str = ""  # why one person was allowed both to review and to approve
    publication: Publication = Publication()
    unsent: str = ""  # which letter about it could not be sent
