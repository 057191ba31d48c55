"""Receives the events of dns and proxy in the portal's process: one thread reads, another folds and writes.

The reader never waits for the database; what it reads waits in a bounded queue, and what does not fit is dropped and
counted. A database that is locked or full for a while loses nothing but what overflows.
"""

import contextlib
import os
import socket
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from schoolgate.events.paths import reachable
from schoolgate.events.wire import LONGEST, BadDatagram, decode
from schoolgate_policy.event import Event

_MOST = 200_000  # events that wait to be written
_EVERY_SECONDS = 0.5
_MODE = 0o660


@dataclass(frozen=True, slots=True)
class _Batch:
    """Some events; of a box those that end with a sequence, and what is set once they are written."""

    events: list[Event]
    box: int = 0
    sequence: int = 0
    written: threading.Event | None = None


class EventSink(Protocol):
    """Where events go: folds them, and writes what has to be kept."""

    def take(self, events: Sequence[Event]) -> None:
        """Fold events in."""
        ...

    def mark(self, box: int, sequence: int) -> None:
        """Write down, together with the events taken before, that a box's batch ended with this sequence."""
        ...

    def flush(self) -> int:
        """Write what has changed; return how many rows. Raises a `SchoolgateError`, and tries again next time."""
        ...


class EventCounters(Protocol):
    """Counts; every method returns at once and never raises."""

    def received(self, events: int) -> None:
        """Count events that arrived."""
        ...

    def dropped(self, events: int) -> None:
        """Count events that were lost here."""
        ...

    def stored(self, rows: int) -> None:
        """Count rows that were written."""
        ...

    def fault(self, error: Exception) -> None:
        """Note a failure of ours."""
        ...


class EventReceiver:
    """Reads the socket until it is stopped."""

    def __init__(self, path: Path, sink: EventSink, counters: EventCounters) -> None:
        self._path = path
        self._sink = sink
        self._counters = counters
        self._waiting: deque[_Batch] = deque()
        self._unwritten: list[_Batch] = []  # taken by the sink, whose last writing failed
        self._count = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._socket: socket.socket | None = None

    def start(self) -> None:
        """Listen.

        Raises:
            OSError: the socket cannot be made.

        """
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address, folder = reachable(self._path)
        try:
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()  # of a portal that was killed
            sock.bind(address)
            self._path.chmod(_MODE)
        except OSError:
            sock.close()
            raise
        finally:
            if folder is not None:
                os.close(folder)
        sock.settimeout(_EVERY_SECONDS)
        self._socket = sock
        for name, work in (("events-read", self._read), ("events-write", self._write)):
            thread = threading.Thread(target=work, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Write what has arrived, and end."""
        self._stop.set()
        for thread in self._threads:  # the reader first: the writer's last round comes after it
            thread.join(timeout=5)
        self._threads.clear()
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            self._path.unlink(missing_ok=True)

    def _read(self) -> None:
        sock = self._socket
        while sock is not None:
            if self._stop.is_set():
                sock.settimeout(0)  # what the kernel still holds is read, and then it is over
            try:
                self._arrived(sock.recv(LONGEST + 1))
            except TimeoutError:
                continue
            except BlockingIOError:
                return
            except Exception as error:  # noqa: BLE001 - one bad datagram must not end the reading
                self._counters.fault(error)
                self._stop.wait(0.01)

    def _arrived(self, data: bytes) -> None:
        try:
            events = decode(data)
        except BadDatagram as error:
            self._counters.fault(error)
            return
        self._counters.received(len(events))
        with self._lock:
            room = self._count + len(events) <= _MOST
            if room:
                self._waiting.append(_Batch(events))
                self._count += len(events)
        if not room:
            self._counters.dropped(len(events))

    def bring(self, events: list[Event], box: int, sequence: int) -> threading.Event | None:
        """Take events of a box; what is returned is set once they are written. None: there is no room now."""
        batch = _Batch(events, box, sequence, threading.Event())
        with self._lock:
            if self._count + len(events) > _MOST:
                return None
            self._waiting.append(batch)
            self._count += len(events)
        self._counters.received(len(events))
        return batch.written

    def _write(self) -> None:
        while not self._stop.wait(_EVERY_SECONDS):
            self._round()
        self._threads[0].join(timeout=2)  # the reader
        self._round()

    def _round(self) -> None:
        """Fold and write; what could not be written stays folded in the sink."""
        try:
            while self._waiting:
                with self._lock:
                    batch = self._waiting.popleft()
                    self._count -= len(batch.events)
                self._sink.take(batch.events)
                if batch.written is not None:
                    self._sink.mark(batch.box, batch.sequence)
                    self._unwritten.append(batch)
            self._counters.stored(self._sink.flush())
            for batch in self._unwritten:
                if batch.written is not None:
                    batch.written.set()
            self._unwritten.clear()
        except Exception as error:  # noqa: BLE001 - the thread goes on, and tries again
            self._counters.fault(error)
