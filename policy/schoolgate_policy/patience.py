"""Time limits on what others do, which do not take this process's own slowness for the others' silence.

In a rush a turn of the event loop takes seconds. An answer that was there in a millisecond then lies in its socket
until the next turn, and needs some turns more on its way through tasks, while a timer of asyncio rings in the very
turn in which the answer is read. So an alarm that is due waits some turns longer: whatever had come by then gets
through first. An idle loop makes these turns in microseconds.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType

_TURNS = 16  # more than any answer needs from its socket to who waits for it


class Alarm:
    """Calls a function once, when so many seconds are over and all that came meanwhile has been dealt with."""

    __slots__ = ("_handle", "_loop", "_ring")

    def __init__(self, seconds: float, ring: Callable[[], object]) -> None:
        """Begin; to be called in a running event loop."""
        self._loop = asyncio.get_running_loop()
        self._ring = ring
        self._handle: asyncio.Handle = self._loop.call_later(seconds, self._due, _TURNS)

    def cancel(self) -> None:
        """Do not ring."""
        self._handle.cancel()

    def _due(self, turns: int) -> None:
        if turns:
            self._handle = self._loop.call_soon(self._due, turns - 1)
        else:
            self._ring()


class within:  # noqa: N801 - reads as what it is: async with within(5)
    """Ends what is inside with TimeoutError after so many seconds, as `asyncio.timeout` does, but by an `Alarm`."""

    __slots__ = ("_alarm", "_limit", "_seconds")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._limit = asyncio.timeout(None)

    async def __aenter__(self) -> None:
        await self._limit.__aenter__()
        self._alarm = Alarm(self._seconds, self._over)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._alarm.cancel()
        await self._limit.__aexit__(kind, error, trace)

    def _over(self) -> None:
        self._limit.reschedule(0.0)  # a time long past: at once
