"""Takes note of what enforcement points did: metrics, and at debug level the access line.

A recorder never raises and never waits: recording must not delay or change what was decided.
"""

import logging
import time
from collections.abc import Sequence

import structlog

from schoolgate.events.sender import EventSender, Tally
from schoolgate.metrics import Metrics
from schoolgate_policy.decision import Attempt, Decision, Point, Verdict

_log = structlog.get_logger()


class MetricsRecorder:
    """The `Recorder` of `schoolgate_policy.ports`: counts, tells the portal, names people only in the debug log."""

    def __init__(self, metrics: Metrics, events: EventSender | None = None) -> None:
        self._metrics = metrics
        self._events = events
        # The addresses from which only our own probe speaks: what it tries is nobody's attempt, and no evidence.
        self.own: frozenset[str] = frozenset()

    def decision(self, attempt: Attempt, decision: Decision) -> None:
        """Record one verdict that was acted upon."""
        try:
            if attempt.address in self.own:
                return
            self._metrics.decision(attempt, decision)
            if self._events is not None:
                self._events.decision(attempt, decision)
            _log.debug(
                f"{attempt.point}.decided",
                verdict=decision.verdict,
                reason=decision.reason,
                network=decision.network,
                address=attempt.address,
                host=decision.host,
                source=decision.source,
                service=decision.service,
            )
        except Exception as error:  # noqa: BLE001 - see the module's rule
            self.fault("record", error)

    def repeated(self, point: Point, batch: Sequence[tuple[str, Decision, int]]) -> None:
        """Record verdicts that were acted upon again and again."""
        try:
            if self.own:
                batch = [one for one in batch if one[0] not in self.own]
            everything = self._events is not None and self._events.wants_everything
            tally, told, rows = _tally(batch, everything=everything)
            self._metrics.repeated(point, tally)
            self._metrics.repeated(point, told)
            if self._events is not None:
                self._events.repeated(point, tally, rows, time.time())
            if not _log.is_enabled_for(logging.DEBUG):
                return
            for address, decision, times in batch:
                _log.debug(
                    f"{point}.decided_again",
                    verdict=decision.verdict,
                    reason=decision.reason,
                    network=decision.network,
                    address=address,
                    host=decision.host,
                    source=decision.source,
                    service=decision.service,
                    times=times,
                )
        except Exception as error:  # noqa: BLE001 - see the module's rule
            self.fault("record", error)

    def technique(self, technique: str, network: str, address: str, host: str) -> None:
        """Record that a known way round the filter was seen."""
        try:
            if address in self.own:
                self._metrics.probed()
                return
            self._metrics.technique(technique, network)
            if self._events is not None:
                self._events.technique(technique, network, address, host)
            _log.debug("attempt.seen", technique=technique, network=network, address=address, host=host)
        except Exception as error:  # noqa: BLE001 - see the module's rule
            self.fault("record", error)

    def fault(self, area: str, error: Exception) -> None:
        """Record a failure of ours that ended in a block; the log names the kind of error, not whom it met."""
        try:
            self._metrics.fault(area)
            if self._events is not None:
                self._events.fault(area, error)
            _log.error(f"{area}.failed", error=type(error).__name__, where=_where(error))
            _log.debug("fault.details", area=area, exc_info=error)
        except Exception:  # noqa: BLE001 - there is nobody left to tell
            return


def _tally(
    batch: Sequence[tuple[str, Decision, int]], *, everything: bool
) -> tuple[Tally, Tally, list[tuple[str, Decision, int]]]:
    """Split a batch into what is only counted, and what a row is kept of, which is also counted. The only loop over it."""
    tally: dict[tuple[str, str, str, str, str], int] = {}
    told: dict[tuple[str, str, str, str, str], int] = {}
    rows = []
    for one in batch:
        _, decision, times = one
        key = (
            decision.network, decision.verdict, decision.reason, decision.service or "", decision.category or "",
        )  # fmt: skip
        if everything or decision.verdict is Verdict.BLOCK:
            rows.append(one)
            told[key] = told.get(key, 0) + times
        else:
            tally[key] = tally.get(key, 0) + times
    return tally, told, rows


def _where(error: Exception) -> str:
    """Return the file and line that raised, without the values in the message: they may name people."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}" if trace else ""
