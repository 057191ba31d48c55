"""Sends events to the portal, from a thread of its own: nothing here makes a packet wait, and nothing raises.

Allowed visits leave the process as counts: without address and host, unless policy.yaml says that rows of everything
are kept. A host on a locked list is never sent. What does not fit, into the queue or into the socket, is dropped and
counted.
"""

import contextlib
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from schoolgate.events.paths import reachable
from schoolgate.events.wire import encode
from schoolgate_policy.decision import Attempt, Decision, Point, Reason
from schoolgate_policy.event import Bell, Event, Fault, Sighting, Visit

SOCKET = "events.sock"
type Tally = Mapping[
    tuple[str, str, str, str, str], int
]  # network, verdict, reason, service, category: times
_MOST = 20_000  # entries that wait to be sent
_EVERY_SECONDS = 0.25
# Between two datagrams, and so many entries, the interpreter's lock is left to the thread that answers packets: a rush
# is told of for some seconds longer, and nobody waits for it.
_BREATH_SECONDS = 0.0005
_ENTRIES_A_BREATH = 100
_PATIENCE_SECONDS = 0.5  # with a portal that does not read
_Counts = dict[tuple[str, str, str, str, str, str], int]


class EventSender:
    """Takes note of what happened and has it sent. Every method returns at once and never raises."""

    def __init__(
        self,
        path: Path,
        point: str,
        *,
        everything: Callable[[], bool] = lambda: False,
        lost: Callable[[int], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`everything` says whether rows of allowed visits are wanted too; `lost` is told how many were dropped."""
        self._path = path
        self._point = point
        self._everything = everything
        self._clock = clock
        self._queue: deque[Callable[[_Counts], Iterable[Event]]] = deque()
        self._lost = lost
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def decision(self, attempt: Attempt, decision: Decision) -> None:
        """Take note of one verdict."""
        self._take(lambda counts: self._decided(attempt, decision, counts))

    def repeated(
        self, point: Point, tally: Tally, blocked: Sequence[tuple[str, Decision, int]], at: float
    ) -> None:
        """Take note of verdicts given again and again: all of them as counts, and which to keep rows of."""
        self._take(lambda counts: self._given(point, tally, blocked, at, counts))

    def technique(self, technique: str, network: str, address: str, host: str) -> None:
        """Take note of a way round the filter."""
        sighting = Sighting(self._clock(), self._point, network, address, host[:255], technique)
        self._take(lambda _: [sighting])

    def bell(self, what: str, name: str) -> None:
        """Take note of something that came into force."""
        bell = Bell(self._clock(), self._point, what, name)
        self._take(lambda _: [bell])

    def fault(self, area: str, error: Exception) -> None:
        """Take note of a failure; its kind, not its words, which may name people."""
        fault = Fault(self._clock(), self._point, area, type(error).__name__)
        self._take(lambda _: [fault])

    @property
    def wants_everything(self) -> bool:
        """Whether rows of allowed visits are wanted too."""
        try:
            return self._everything()
        except Exception:  # noqa: BLE001 - the less is recorded, the better
            return False

    def start(self) -> None:
        """Begin to send."""
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Send what waits, and end."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=2)
            self._thread = None

    def _take(self, entry: Callable[[_Counts], Iterable[Event]]) -> None:
        if len(self._queue) >= _MOST:
            self._lost(1)
        else:
            self._queue.append(entry)

    def _run(self) -> None:
        address, folder = reachable(self._path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.settimeout(_PATIENCE_SECONDS)
            while not self._stop.wait(_EVERY_SECONDS):
                self._flush(sock, address)
            self._flush(sock, address)
        if folder is not None:
            os.close(folder)

    def _flush(self, sock: socket.socket, address: str) -> None:
        for datagram in encode(self._waiting()):
            try:
                sock.sendto(datagram, address)
            except OSError:  # no portal, or one that does not read
                self._lost(datagram.count(b"],[") + 1)
            time.sleep(_BREATH_SECONDS)

    def _waiting(self) -> Iterator[Event]:
        """Take what waits, and yield what is to be told of it."""
        counts: _Counts = {}
        for number in range(len(self._queue)):
            with contextlib.suppress(Exception):  # an entry that cannot be told is lost, the others are not
                yield from self._queue.popleft()(counts)
            if number % _ENTRIES_A_BREATH == 0:
                time.sleep(_BREATH_SECONDS)
        now = self._clock()
        for (point, network, verdict, reason, service, category), times in counts.items():
            yield Visit(now, point, network, "", "", verdict, reason, "", service, category, times)

    def _decided(self, attempt: Attempt, decision: Decision, counts: _Counts) -> Iterable[Event]:
        if decision.blocked or self.wants_everything:
            return [_visit(attempt.at.timestamp(), attempt.point, attempt.address, decision, 1)]
        key = (
            attempt.point, decision.network, decision.verdict, decision.reason, decision.service or "",
            decision.category or "",
        )  # fmt: skip
        counts[key] = counts.get(key, 0) + 1
        return []

    def _given(
        self,
        point: Point,
        tally: Tally,
        rows: Sequence[tuple[str, Decision, int]],
        at: float,
        counts: _Counts,
    ) -> Iterable[Event]:
        for rest, times in tally.items():
            key = (point, *rest)
            counts[key] = counts.get(key, 0) + times
        return (_visit(at, point, address, decision, times) for address, decision, times in rows)


def _visit(at: float, point: Point, address: str, decision: Decision, times: int) -> Visit:
    host = "" if decision.reason is Reason.LOCKED else decision.host[:255]
    return Visit(
        at, point, decision.network, address, host, decision.verdict, decision.reason, decision.source or "",
        decision.service or "", decision.category or "", times,
    )  # fmt: skip
