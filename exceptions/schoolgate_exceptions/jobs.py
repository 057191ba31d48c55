"""What the clock does: expire, publish, tidy, send, remind, purge. Each may be done at any time, twice, or late."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from schoolgate_exceptions.ending import Ending
from schoolgate_exceptions.errors import Unavailable
from schoolgate_exceptions.letters import Letters
from schoolgate_exceptions.office import Office
from schoolgate_exceptions.outbox import Outbox
from schoolgate_exceptions.people import read_setting, write_setting
from schoolgate_exceptions.policy_editing import PolicyEditing
from schoolgate_exceptions.publisher import Publisher
from schoolgate_exceptions.reminders import Reminders
from schoolgate_exceptions.retention import Retention
from schoolgate_exceptions.sampling import Sampling
from schoolgate_exceptions.sanctioning import Sanctioning
from schoolgate_exceptions.watch.alerting import Alerting
from schoolgate_policy.errors import SchoolgateError

_RETRY = timedelta(seconds=30)  # a policy.yaml that could not be written


@dataclass(frozen=True, slots=True)
class Ran:
    """What one job did: `count` of whatever it does, or what went wrong."""

    job: str
    count: int = 0
    problem: Exception | None = None


class Jobs:
    """Runs what is due; call `run_due` every few seconds, from one thread."""

    def __init__(
        self,
        office: Office,
        ending: Ending,
        publisher: Publisher,
        outbox: Outbox,
        letters: Letters,
        reminders: Reminders,
        retention: Retention,
        sanctioning: Sanctioning,
        policy: PolicyEditing,
        alerting: Alerting,
        sampling: Sampling,
    ) -> None:
        self._office = office
        self._publisher = publisher
        self._last_retry: datetime | None = None
        self.last_round: datetime | None = None  # None: this process has run none
        self.failing: dict[str, str] = {}  # by job, why it failed the last time
        self._every: tuple[tuple[str, Callable[[], int]], ...] = (
            ("expire", ending.expire_due),
            ("publish", self._publish),
            ("sanctions", lambda: int(sanctioning.write_file())),
            ("alerts", alerting.escalate_due),
            ("policy", lambda: int(policy.notice())),
            ("end-notices", ending.tell_of_ends),
            ("reminders", reminders.send_due),
            ("tidy", lambda: self._daily("tidy", lambda: publisher.tidy(office.now()))),
            ("purge", lambda: self._daily("purge", lambda: sum(one.removed for one in retention.purge()))),
            ("samples", sampling.take_due),
            ("mail", lambda: outbox.deliver(letters.render)),
        )

    def run_due(self) -> list[Ran]:
        """Run every job that is due; one that fails keeps no other from running, and is run again next time."""
        ran = [self._run(name, job) for name, job in self._every]
        self.failing = {one.job: str(one.problem) for one in ran if one.problem is not None}
        self.last_round = self._office.now()
        return ran

    def _run(self, name: str, job: Callable[[], int]) -> Ran:
        try:
            return Ran(name, job())
        except (SchoolgateError, Unavailable, OSError) as error:
            return Ran(name, problem=error)

    def _publish(self) -> int:
        now = self._office.now()
        if self._last_retry is not None and timedelta(0) <= now - self._last_retry < _RETRY:
            return 0
        self._last_retry = now
        done = [self._publisher.reconcile(number) for number in self._publisher.pending()]
        return sum(not request.publication.problem for request in done)

    def _daily(self, name: str, job: Callable[[], int]) -> int:
        """Run a job once a day, as early as there is a process to run it; also after a failure the same day."""
        today = self._office.today().isoformat()
        with self._office.read() as connection:
            if read_setting(connection, f"last {name}") == today:
                return 0
        count = job()
        with self._office.write() as connection:
            write_setting(connection, f"last {name}", today)
        return count
