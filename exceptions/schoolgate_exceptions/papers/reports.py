"""Makes reports for who may read them, and notes each in the audit. Pupils and staff are two streams with two rights."""

from datetime import date

from schoolgate_exceptions.errors import InvalidInput
from schoolgate_exceptions.evidence import Evidence
from schoolgate_exceptions.office import Office
from schoolgate_exceptions.papers.checks import Checks
from schoolgate_exceptions.papers.period import Period, choose
from schoolgate_exceptions.papers.report import Gatherer, PolicyChange, Report
from schoolgate_exceptions.policy_editing import PolicyEditing
from schoolgate_exceptions.roles import Actor, Role
from schoolgate_policy.errors import HistoryError
from schoolgate_policy.model import People

READERS = (Role.HEAD, Role.DEPUTY, Role.DSL, Role.OFFICER, Role.GOVERNOR, Role.SYSTEM)
READS_STAFF = (Role.HEAD, Role.DEPUTY, Role.OFFICER, Role.GOVERNOR, Role.SYSTEM)

EVERYBODY = frozenset(People)
ABOUT = {
    "pupils": frozenset({People.PUPIL, People.GUEST}),
    "staff": frozenset({People.STAFF}),
    "both": EVERYBODY,
}


class Reports:
    """Makes reports."""

    def __init__(self, office: Office, evidence: Evidence, policy: PolicyEditing) -> None:
        self._office = office
        self._evidence = evidence
        self._policy = policy

    def period(self, first: date | None = None, last: date | None = None) -> Period:
        """Return the days a report would be about.

        Raises:
            InvalidInput: they end before they begin.

        """
        try:
            return choose(first, last, self._office.policy.calendar, self._office.today())
        except ValueError as error:
            raise InvalidInput(to=str(error)) from error

    def make(
        self, actor: Actor, period: Period, checks: Checks, form: str, about: frozenset[People] = EVERYBODY
    ) -> Report:
        """Return what may be said of a period, about some people; that it was, and in which form, is noted in the audit.

        Raises:
            NotAllowed: somebody may not read reports, or not those about these people.

        """
        role = actor.require(*READERS)
        office = self._office
        policy, now = office.policy, office.now()
        gather = Gatherer(self._evidence, policy, period, now)
        if about == {People.STAFF}:
            actor.require(*READS_STAFF)
        peoples = [
            one
            for one in gather.peoples()
            if one in about and (one is not People.STAFF or actor.has(*READS_STAFF))
        ]
        report = Report(
            policy.school.name,
            period,
            now,
            policy.version,
            self._evidence.first_count(),
            tuple(gather.stream(one) for one in peoples),
            tuple(checks.between(period.since, period.until)),
            self._changes(period),
            sum(one.count for one in self._evidence.faults(period.since, period.until)),
            policy.review.approved_by if policy.review else "",
            policy.review.due if policy.review else None,
            tuple(
                (one.spec.name, str(one.standing), one.names) for one in policy.list_status if one.spec.locked
            ),
            self._evidence.waiting_longest(),
        )
        with office.write() as connection:
            office.audit.add(
                connection, now, actor, "report.made", f"{period.first}/{period.last}",
                role=role, form=form, streams=[str(one) for one in peoples],
            )  # fmt: skip
        return report

    def _changes(self, period: Period) -> tuple[PolicyChange, ...]:
        """Return the versions that came into force, oldest first; none where the history cannot be read."""
        try:
            listed = self._policy.history()
        except (HistoryError, OSError):
            return ()
        found = [
            PolicyChange(one.version.at, one.version.short, one.added, one.removed)
            for one in listed
            if period.since <= one.version.at < period.until
        ]
        return tuple(reversed(found))
