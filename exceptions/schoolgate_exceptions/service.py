"""The request queue as whoever composes the portal, the command line and the timers sees it: one object per subject.

Every method that changes something is one transaction: the change, its audit row and the letters it causes are there
together or not at all. What is asked of the wrong state, by the wrong person or too often is an exception from
`errors`, whose text can be shown. `Unavailable` means nothing was recorded and trying again does no harm.
"""

from dataclasses import dataclass, field
from pathlib import Path

from schoolgate_exceptions.accounts import Accounts
from schoolgate_exceptions.api_tokens import ApiTokens
from schoolgate_exceptions.approving import Approving
from schoolgate_exceptions.asking import Asking
from schoolgate_exceptions.audit import Audit
from schoolgate_exceptions.audit_book import AuditBook
from schoolgate_exceptions.boxes import Boxes
from schoolgate_exceptions.condition import Conditions
from schoolgate_exceptions.database import Database
from schoolgate_exceptions.desk import Desk
from schoolgate_exceptions.ending import Ending
from schoolgate_exceptions.evidence import Evidence
from schoolgate_exceptions.jobs import Jobs
from schoolgate_exceptions.keys import Keys
from schoolgate_exceptions.lessons import Lessons
from schoolgate_exceptions.letters import Letters
from schoolgate_exceptions.numbering import Numbering
from schoolgate_exceptions.office import Limits, Office, Randomness, SystemRandomness
from schoolgate_exceptions.outbox import MailHost, Outbox
from schoolgate_exceptions.overview import Overviews
from schoolgate_exceptions.papers.desk import Papers
from schoolgate_exceptions.papers.facts import FactFinder
from schoolgate_exceptions.papers.probed import ProbeChecks
from schoolgate_exceptions.papers.reports import Reports
from schoolgate_exceptions.people import People
from schoolgate_exceptions.policy_editing import PolicyEditing
from schoolgate_exceptions.publisher import Publisher
from schoolgate_exceptions.queue import Queue
from schoolgate_exceptions.references import References
from schoolgate_exceptions.register import Register
from schoolgate_exceptions.reminders import Reminders
from schoolgate_exceptions.retention import Retention
from schoolgate_exceptions.reviewing import Reviewing
from schoolgate_exceptions.sampling import Sampling
from schoolgate_exceptions.sanctioning import Sanctioning
from schoolgate_exceptions.sessions import Sessions
from schoolgate_exceptions.signing_in import SigningIn
from schoolgate_exceptions.switching import Switching
from schoolgate_exceptions.tokens import Tokens
from schoolgate_exceptions.watch.alerting import Alerting
from schoolgate_exceptions.watch.devices import Devices
from schoolgate_exceptions.watch.log import EventLog
from schoolgate_exceptions.watch.looking import Watched
from schoolgate_exceptions.watch.probes import Probes
from schoolgate_policy.ports import Clock, PolicySource


@dataclass(frozen=True, slots=True)
class Config:
    """Where everything is. `url` is how people reach the portal; without `mail` letters wait in the outbox."""

    policy_file: Path
    state: Path
    url: str
    mail: MailHost | None = None
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class Service:
    """All use cases, by subject."""

    office: Office  # database, clock, policy and limits, for those who need them beneath
    asking: Asking  # the form, and what who asked sees afterwards
    queue: Queue  # what waits, and one case in full
    reviewing: Reviewing  # the officer's and the DSL's moves
    approving: Approving  # the head's moves, signed in or by a link
    ending: Ending  # revoke, shorten, expire
    lessons: Lessons  # windows that teachers open
    accounts: Accounts  # who can sign in, in which roles
    people: People  # waivers of the separation of duties
    signing_in: SigningIn
    sessions: Sessions
    api_tokens: ApiTokens
    register: Register  # official accounts, ended exceptions
    sanctioning: Sanctioning
    devices: Devices  # pseudonyms, and who may look behind one
    alerting: Alerting
    watched: Watched  # attempts and visits for those who may see single devices
    evidence: Evidence  # counts without devices, for reports and pictures
    papers: Papers  # report, evidence, limitations, data protection
    probes: Probes  # records of whether the filter did what was promised
    sampling: Sampling  # how the box was, every five minutes
    log: EventLog  # where events from dns and proxy go
    switching: Switching  # states such as an incident
    policy: PolicyEditing
    overviews: Overviews
    conditions: Conditions  # whether everything works, as far as it can be asked
    retention: Retention
    audit: AuditBook
    outbox: Outbox
    publisher: Publisher
    jobs: Jobs
    boxes: Boxes  # of a centre: those of many schools

    def close(self) -> None:
        """Let go of the database."""
        self.office.database.close()


def build_service(
    config: Config,
    database: Database,
    source: PolicySource,
    clock: Clock,
    keys: Keys,
    random: Randomness | None = None,
) -> Service:
    """Put the use cases together; the database must have been migrated."""
    office = Office(
        database,
        source,
        clock,
        keys,
        config.policy_file,
        config.state,
        config.url.rstrip("/"),
        random or SystemRandomness(),
        config.limits,
        Audit(keys),
    )
    accounts, outbox, tokens = Accounts(office), Outbox(office, config.mail), Tokens(office)
    desk = Desk(office, accounts, outbox, tokens)
    sessions, people, publisher = Sessions(office, accounts), People(office, accounts), Publisher(desk)
    reviewing, queue, ending = Reviewing(desk, publisher), Queue(desk), Ending(desk, publisher)
    numbering, policy, letters = Numbering(office), PolicyEditing(office), Letters(desk, people)
    programs = ApiTokens(office, accounts)
    retention, sanctioning = Retention(office, outbox, sessions, programs), Sanctioning(office)
    devices, alerting, probes = Devices(office), Alerting(desk, sanctioning), Probes(office)
    evidence, sampling = Evidence(office), Sampling(office)
    papers = Papers(
        office,
        Reports(office, evidence, policy),
        FactFinder(office, evidence, retention, accounts, policy, outbox),
    )
    papers.checks = ProbeChecks(probes)
    jobs = Jobs(
        office, ending, publisher, outbox, letters, Reminders(desk), retention, sanctioning, policy, alerting,
        sampling,
    )  # fmt: skip
    return Service(
        office=office,
        asking=Asking(desk, References(keys), numbering),
        queue=queue,
        reviewing=reviewing,
        approving=Approving(desk, people, queue, reviewing, publisher),
        ending=ending,
        lessons=Lessons(desk, publisher, numbering),
        accounts=accounts,
        people=people,
        signing_in=SigningIn(office, accounts, sessions),
        sessions=sessions,
        api_tokens=programs,
        register=Register(office, ending),
        sanctioning=sanctioning,
        devices=devices,
        alerting=alerting,
        watched=Watched(office, devices),
        evidence=evidence,
        papers=papers,
        probes=probes,
        sampling=sampling,
        log=EventLog(office, devices, alerting, probes),
        switching=Switching(office),
        policy=policy,
        overviews=Overviews(office, outbox, policy, publisher),
        retention=retention,
        audit=AuditBook(office),
        outbox=outbox,
        publisher=publisher,
        jobs=jobs,
        conditions=Conditions(office, papers, outbox, jobs, probes),
        boxes=Boxes(office),
    )
