"""Everything that the evidence is judged by, looked up once in the running system."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from schoolgate_exceptions.accounts import Accounts
from schoolgate_exceptions.audit import PURGED, Entry
from schoolgate_exceptions.certificate_files import common_name, read_certificates
from schoolgate_exceptions.errors import AuditBroken
from schoolgate_exceptions.evidence import AlertFacts, Evidence, RequestFact
from schoolgate_exceptions.office import Office
from schoolgate_exceptions.outbox import Outbox
from schoolgate_exceptions.papers.box import Box, FirewallState, PartState
from schoolgate_exceptions.papers.checks import Check, Checks
from schoolgate_exceptions.policy_editing import PolicyEditing
from schoolgate_exceptions.retention import Purged, Retention
from schoolgate_exceptions.roles import Role
from schoolgate_policy.engine import Engine
from schoolgate_policy.errors import HistoryError
from schoolgate_policy.model import Policy

LOOK_BACK = timedelta(days=90)
_YEAR = timedelta(days=365)
_PURGED_WITHIN = timedelta(days=2)  # it runs every night; one may fail


@dataclass(frozen=True, slots=True)
class Root:
    """A certificate that devices are to trust."""

    name: str
    ends: datetime


@dataclass(frozen=True, slots=True)
class Facts:
    """The running system at one instant. Problems are empty texts where there is none."""

    now: datetime
    zone: ZoneInfo
    engine: Engine
    parts: Sequence[PartState]
    interfaces: frozenset[str]
    firewall: FirewallState
    roots: Sequence[Root]
    audit_rows: int
    audit_problem: str
    kept: Sequence[Purged]
    purged_at: datetime | None
    checks: Sequence[Check]  # of `LOOK_BACK`, newest first
    roles: Mapping[Role, int]  # accounts that hold each
    alerts: AlertFacts  # of `LOOK_BACK`
    alerts_waiting: datetime | None  # the oldest that nobody has seen to
    requests: Sequence[RequestFact]  # of a year
    reports: int  # made within a year
    versions: int  # of the policy that were kept
    counted_from: datetime | None
    sends_letters: bool

    @property
    def policy(self) -> Policy:
        """The policy that was compiled."""
        return self.engine.policy

    def overdue(self) -> list[str]:
        """Return the kinds of records of which something is left that the nightly purge should have removed."""
        return [
            one.what
            for one in self.kept
            if one.oldest is not None and one.oldest < one.limit - _PURGED_WITHIN
        ]


class FactFinder:
    """Looks the facts up."""

    def __init__(
        self,
        office: Office,
        evidence: Evidence,
        retention: Retention,
        accounts: Accounts,
        policy: PolicyEditing,
        outbox: Outbox,
    ) -> None:
        self._office = office
        self._evidence = evidence
        self._retention = retention
        self._accounts = accounts
        self._policy = policy
        self._outbox = outbox

    def look(self, box: Box, checks: Checks) -> Facts:
        """Return the facts now."""
        office, evidence = self._office, self._evidence
        now = office.now()
        since, until = now - LOOK_BACK, now + timedelta(hours=1)
        rows, problem = self._audit()
        return Facts(
            now,
            office.zone,
            office.engine,
            box.parts(),
            frozenset(box.interfaces()),
            box.firewall(),
            self._roots(),
            rows,
            problem,
            self._retention.look(),
            self._last(PURGED),
            tuple(checks.between(since, until)),
            self._roles(),
            evidence.alerts(since, until),
            evidence.alert_waiting(),
            evidence.requests(now - _YEAR, until),
            len([one for one in self._newest("report.made") if one.at > now - _YEAR]),
            self._versions(),
            evidence.first_count(),
            self._outbox.sends,
        )

    def deletions(self) -> tuple[list[Purged], datetime | None]:
        """Return what is left of what is kept for a time, and when something was removed last."""
        return self._retention.look(), self._last(PURGED)

    def _audit(self) -> tuple[int, str]:
        try:
            with self._office.read() as connection:
                return self._office.audit.verify(connection).rows, ""
        except AuditBroken as error:
            return 0, str(error)

    def _newest(self, action: str, most: int = 1_000) -> list[Entry]:
        with self._office.read() as connection:
            return self._office.audit.newest(connection, most, action=action)

    def _last(self, action: str) -> datetime | None:
        return next((one.at for one in self._newest(action, 1)), None)

    def _roots(self) -> tuple[Root, ...]:
        try:
            found = read_certificates(self._office.state)
        except (OSError, ValueError):
            return ()
        return tuple(Root(common_name(one), one.not_valid_after_utc) for one in found)

    def _roles(self) -> Mapping[Role, int]:
        with self._office.read() as connection:
            return {
                role: len(self._accounts.holders(connection, role)) for role in Role if role.is_assignable
            }

    def _versions(self) -> int:
        try:
            return len(self._policy.history())
        except (HistoryError, OSError):
            return 0
