"""A small school with a request queue: a policy file of its own, a clock that stands still, people with roles."""

import itertools
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path

from policies import CATALOGUE, HEAD, local

from schoolgate_exceptions.accounts import Account, Holding
from schoolgate_exceptions.database import Database, sqlite_url
from schoolgate_exceptions.keys import Keys
from schoolgate_exceptions.kinds import Kind, Purpose
from schoolgate_exceptions.model import AccessRequest, Ask
from schoolgate_exceptions.office import Limits
from schoolgate_exceptions.outbox import MailHost
from schoolgate_exceptions.references import Reference, References
from schoolgate_exceptions.roles import SYSTEM, Actor, Role
from schoolgate_exceptions.service import Config, Service, build_service
from schoolgate_policy.decision import Attempt
from schoolgate_policy.engine import Engine
from schoolgate_policy.load import parse_policy, reader_below

RULES = """\
lists: {}
locked:
  iwf: {file: locked.txt}
rules:
  - block: [twitter, facebook, instagram]
    reason: Not in school
  - block: [youtube]
    for: [pupils]
    reason: No videos   # a comment that must survive
  - block: [blocked.example, other.example]
    reason: Blocked for the tests

exceptions: []

limits: {longest_exception: 90 days, never: [category:circumvention]}
privacy: {keep_events: 30 days, keep_requests: 1 year, keep_audit: 6 years}
""".replace("lists: {}\n", "")
MONDAY = local("2026-11-23T10:15")  # a lesson in term
PUPIL, OTHER_PUPIL, STAFF, GUEST = "10.20.0.5", "10.20.0.6", "10.10.0.5", "10.30.0.5"
KEYS = Keys(bytes(range(32)))
PASSWORD = "three random words"


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self, at: datetime = MONDAY) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def forward(self, **amount: float) -> None:
        """Move on."""
        self.at += timedelta(**amount)


class FileSource:
    """The policy of a file, read again whenever it has changed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._data = b""
        self._engine: Engine | None = None

    @property
    def engine(self) -> Engine:
        """The engine of the file, or of the last good one."""
        data = self.path.read_bytes()
        if data != self._data:
            policy, issues = parse_policy(data, self.path.name, CATALOGUE, reader_below(self.path.parent))
            assert policy is not None, issues
            self._engine, self._data = Engine(policy), data
        assert self._engine is not None
        return self._engine


class CountedRandomness:
    """Different numbers each time, the same in each run."""

    def __init__(self) -> None:
        self._next = itertools.count(1)

    def below(self, end: int) -> int:
        """Return a number in `[0, end)`."""
        return next(self._next) * 7_919_191 % end

    def bytes(self, count: int) -> bytes:
        """Return some bytes."""
        return (next(self._next)).to_bytes(count, "big")


@dataclass
class School:
    """The service, what it works on, and short ways to use it."""

    folder: Path
    url: str
    clock: Clock = field(default_factory=Clock)
    mail: MailHost | None = None
    limits: Limits = field(default_factory=Limits)
    busy_ms: int = 5_000

    def __post_init__(self) -> None:
        self.policy = self.folder / "policy.yaml"
        if not self.policy.exists():
            self.policy.write_text(
                HEAD.replace(
                    "bank_holidays: england}",
                    "bank_holidays: england, contacts: {headteacher: contact-head@school.example, dsl: contact-dsl@school.example}}",
                )
                + RULES
            )
            (self.folder / "locked.txt").write_text("locked.example\n")
            (self.folder / "state").mkdir(exist_ok=True)
        self.original = self.policy.read_bytes()
        self.service = self.build()
        self.references = References(KEYS)

    def build(self) -> Service:
        """Build a service on the same database and files, as another process would."""
        self.source = FileSource(self.policy)
        config = Config(self.policy, self.folder / "state", "http://portal.example", self.mail, self.limits)
        database = Database(self.url, busy_ms=self.busy_ms)
        return build_service(
            config,
            database,
            self.source,
            self.clock,
            KEYS,
            CountedRandomness() if not hasattr(self, "service") else None,
        )

    def person(self, email: str, *roles: Role, last: date | None = None) -> Actor:
        """Make an account and return it as one who acts."""
        holdings = [
            Holding(role, None, last or (date(2026, 12, 31) if role is Role.DEPUTY else None))
            for role in roles
        ]
        name = email.partition("@")[0].title()
        account: Account = self.service.accounts.add(SYSTEM, email, name, holdings, password=PASSWORD)
        return account.actor(self.service.office.today())

    def link(self, host: str = "blocked.example", address: str = PUPIL, network: str = "pupils") -> str:
        """Return the signed reference of a block page."""
        device = self.references.device(address)
        return self.references.sign(
            Reference(host, "policy.yaml:21", "Blocked for the tests", network, device, self.clock.at)
        )

    def ask(
        self,
        host: str = "blocked.example",
        address: str = PUPIL,
        network: str = "pupils",
        reason: str = "Volcanoes",
        **more: object,
    ) -> AccessRequest:
        """Ask for a site from its block page."""
        ask = Ask(Kind.UNBLOCK, Purpose.LESSON, reason, None, "", self.link(host, address, network))
        return self.service.asking.submit(
            replace(ask, **more), self.service.asking.asker(address), address
        ).request

    def recommended(self, officer: Actor, host: str = "blocked.example", **changes: object) -> AccessRequest:
        """Ask for a site and recommend it as it is suggested."""
        request = self.ask(host)
        grant = self.service.queue.case(officer, request.id).grant
        return self.service.reviewing.recommend(
            officer, request.id, replace(grant, **changes), "Fine for Year 5"
        )

    def is_open(self, host: str, address: str = PUPIL) -> bool:
        """Whether the policy as it is now lets somebody through."""
        return not self.source.engine.decide(Attempt(address, host, self.clock.at)).blocked

    def added(self) -> list[str]:
        """Return the lines that policy.yaml has more than at first; no other byte may differ."""
        old, new = self.original.decode().splitlines(), self.policy.read_text().splitlines()
        extra = list(new)
        for line in old:
            if line in extra:
                extra.remove(line)
        return extra


__all__ = ["CATALOGUE", "KEYS", "MONDAY", "School", "sqlite_url"]
