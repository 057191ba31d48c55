"""A thread that waits for many sockets at once, with timers; the part of the gate that knows no policy."""

import collections
import heapq
import os
import select
import threading
import time
from collections.abc import Callable
from socket import socket

_BATCH = 256  # events taken at a time
_LONGEST_WAIT = 1.0  # seconds


class Timer:
    """A call that is due at `when` (monotonic seconds); cancelled by letting go of what it would call."""

    __slots__ = ("call", "when")

    def __init__(self, when: float, call: Callable[[], None]) -> None:
        self.when = when
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """Do not call it."""
        self.call = None

    def __lt__(self, other: "Timer") -> bool:
        return self.when < other.when


class Poller:
    """Runs handlers in one thread. Only `call` may be used from other threads; handlers must not block or raise."""

    def __init__(self, name: str, fault: Callable[[Exception], None]) -> None:
        self.now = time.monotonic()  # of the present turn
        self._fault = fault
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._timers: list[Timer] = []
        self._closing: list[socket] = []
        self._calls: collections.deque[Callable[[], None]] = collections.deque()
        self._notes: collections.deque[Callable[[], None]] = collections.deque()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._stopping = self._over = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._epoll.register(self._wake, select.EPOLLIN)
        self._handlers[self._wake] = self._called

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it; what is still registered is left to its owners."""
        self.call(self._stop)
        if self._thread.is_alive():
            self._thread.join()
        with self._lock:
            self._over = True
            self._close_all()
            self._epoll.close()
            os.close(self._wake)

    def call(self, function: Callable[[], None]) -> None:
        """Have a function called in the thread, soon; from any thread. After the stop nothing is called."""
        with self._lock:
            if not self._over:
                asleep = not self._calls  # else the thread has been woken, and goes on until none is left
                self._calls.append(function)
                if asleep:
                    os.eventfd_write(self._wake, 1)

    def note(self, function: Callable[[], None]) -> None:
        """Have a function called in the thread by and by, within a second, without waking it; from any thread."""
        self._notes.append(function)

    def watch(self, fd: int, events: int, handler: Callable[[int], None]) -> None:
        """Call `handler` with the events that happen on a file descriptor."""
        self._handlers[fd] = handler
        self._epoll.register(fd, events)

    def change(self, fd: int, events: int, handler: Callable[[int], None]) -> None:
        """Watch for other events, with another handler."""
        self._handlers[fd] = handler
        self._epoll.modify(fd, events)

    def forget(self, fd: int) -> None:
        """Watch a file descriptor no longer, and leave it open."""
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def close(self, connection: socket) -> None:
        """Close a socket at the end of this turn, so that its number is not met again among the events at hand."""
        self._handlers.pop(connection.fileno(), None)
        self._closing.append(connection)

    def later(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Have a function called after so many seconds."""
        timer = Timer(time.monotonic() + seconds, call)  # a full turn may be long
        heapq.heappush(self._timers, timer)
        return timer

    def _run(self) -> None:
        handlers, poll = self._handlers, self._epoll.poll
        while not self._stopping:
            events = poll(self._wait(), _BATCH)
            self.now = time.monotonic()
            for fd, mask in events:
                handler = handlers.get(fd)
                if handler is not None:
                    try:
                        handler(mask)
                    except Exception as error:  # noqa: BLE001 - one connection must not take all others with it
                        self._fault(error)
                        self.forget(fd)
            if self._closing:
                self._close_all()
            if self._timers and self._timers[0].when <= self.now:
                self._ring()
            while self._notes:
                self._guarded(self._notes.popleft())

    def _wait(self) -> float:
        if not self._timers:
            return _LONGEST_WAIT
        return min(max(self._timers[0].when - time.monotonic(), 0.0), _LONGEST_WAIT)

    def _ring(self) -> None:
        while self._timers and self._timers[0].when <= self.now:
            self._guarded(heapq.heappop(self._timers).call)

    def _called(self, _mask: int) -> None:
        os.eventfd_read(self._wake)
        while self._calls:
            self._guarded(self._calls.popleft())

    def _guarded(self, call: Callable[[], None] | None) -> None:
        if call is None:
            return
        try:
            call()
        except Exception as error:  # noqa: BLE001 - as above
            self._fault(error)

    def _close_all(self) -> None:
        while self._closing:
            self._closing.pop().close()

    def _stop(self) -> None:
        self._stopping = True
