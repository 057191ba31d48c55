"""How the filter is now: only what was asked and answered is told, and nobody waits long for it."""

import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from schoolgate_exceptions.jobs import Jobs
from schoolgate_exceptions.office import Office
from schoolgate_exceptions.outbox import Outbox
from schoolgate_exceptions.papers.box import Box, FirewallState, PartState
from schoolgate_exceptions.papers.desk import Papers
from schoolgate_exceptions.probe_record import ProbeRun
from schoolgate_exceptions.tables import outbox
from schoolgate_exceptions.watch.probes import Probes

PATIENCE_SECONDS = 3.0
_KEPT_SECONDS = 5.0
_STALE_SECONDS = 30.0
_ROUND_WITHIN = timedelta(minutes=5)  # jobs run every few seconds


@dataclass(frozen=True, slots=True)
class PartsState:
    """What the parts said; `told` is False where nobody could be asked within the time there is."""

    told: bool
    parts: tuple[PartState, ...] = ()
    firewall: FirewallState | None = None  # None: no network has an interface here, so there is none to ask

    @property
    def well(self) -> bool:
        """Whether every part was asked, and says that it is ready."""
        firewall = self.firewall is None or self.firewall.loaded
        return self.told and bool(self.parts) and firewall and not any(one.problem for one in self.parts)


@dataclass(frozen=True, slots=True)
class MailState:
    """What became of letters: `failing` were refused at least once, `given_up` could not be sent for a month."""

    sends: bool
    waiting: int
    failing: int
    given_up: int
    problem: str


@dataclass(frozen=True, slots=True)
class Condition:
    """How everything is at one instant."""

    at: datetime
    box: PartsState
    mail: MailState
    jobs: Mapping[str, str]  # those that fail, with the reason
    jobs_late: bool
    check: ProbeRun | None  # the newest
    review_due: date | None  # in the past


class Conditions:
    """Looks at the box and at what the portal itself keeps."""

    def __init__(self, office: Office, papers: Papers, mail: Outbox, jobs: Jobs, probes: Probes) -> None:
        self._office = office
        self._papers = papers
        self._mail = mail
        self._jobs = jobs
        self._probes = probes
        self._looking = threading.Lock()
        self._last: tuple[Box, float, PartsState] | None = None

    def now(self) -> Condition:
        """Return how everything is; takes `PATIENCE_SECONDS` at most where a part does not answer."""
        at, review = self._office.now(), self._office.policy.review
        ran = self._jobs.last_round
        return Condition(
            at,
            self.box(),
            self._letters(),
            dict(self._jobs.failing),
            ran is not None and at - ran > _ROUND_WITHIN,
            self._probes.latest(),
            review.due if review is not None and review.due < self._office.today() else None,
        )

    def box(self) -> PartsState:
        """Return how the parts are, asked within the last seconds; many who ask at once cause one look."""
        known = self._known(_KEPT_SECONDS)
        if known is not None:
            return known
        if not self._looking.acquire(blocking=False):
            known = self._known(_STALE_SECONDS)  # somebody looks already: the last answer will do meanwhile
            if known is not None:
                return known
            self._looking.acquire()
        try:
            return self._known(_KEPT_SECONDS) or self._look()
        finally:
            self._looking.release()

    def _look(self) -> PartsState:
        box = self._papers.box
        found = _look(box)
        self._last = (box, time.monotonic(), found)
        return found

    def forget(self) -> None:
        """Ask the parts again the next time."""
        self._last = None

    def _known(self, seconds: float) -> PartsState | None:
        last = self._last
        if last is None or last[0] is not self._papers.box or time.monotonic() - last[1] > seconds:
            return None
        return last[2]

    def _letters(self) -> MailState:
        pending = sa.and_(outbox.c.sent_at.is_(None), outbox.c.given_up_at.is_(None))
        count = sa.func.count().filter(pending, outbox.c.tries > 0)
        newest = sa.select(outbox.c.problem).where(pending, outbox.c.problem != "")
        with self._office.read() as connection:
            failing = connection.execute(sa.select(count).select_from(outbox)).scalar_one()
            problem = connection.execute(newest.order_by(outbox.c.next_at.desc()).limit(1)).scalar() or ""
        return MailState(self._mail.sends, self._mail.waiting(), failing, self._mail.given_up(), problem)


def _look(box: Box) -> PartsState:
    """Ask parts and firewall at the same time; what has not answered in time is not known."""
    pool = ThreadPoolExecutor(2, "condition")
    try:
        parts = pool.submit(lambda: tuple(box.parts()))
        firewall = pool.submit(lambda: box.firewall() if box.interfaces() else None)
        asked: set[Future[Any]] = {parts, firewall}
        if wait(asked, PATIENCE_SECONDS).not_done:
            return PartsState(told=False)
        return PartsState(told=True, parts=parts.result(), firewall=firewall.result())
    finally:
        pool.shutdown(wait=False)
