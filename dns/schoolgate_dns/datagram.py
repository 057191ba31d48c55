"""One question to one upstream over UDP, from a socket of its own.

A socket for each question gives each a random port, and the kernel drops what comes from anywhere but the upstream.
"""

import asyncio
import socket

from schoolgate_dns.asking import Asking
from schoolgate_dns.ports import UpstreamCounters
from schoolgate_dns.upstream_address import Upstream

_FORGERIES = 20  # so many wrong datagrams are an attack, which might also crowd out the true answer
_LARGEST = 65_535


async def over_udp(
    upstream: Upstream, asking: Asking, patience: float, counters: UpstreamCounters
) -> bytes | None:
    """Return the answer; None where only TCP can vouch for it: wrong letter case, or a flood of forgeries.

    Raises:
        TimeoutError: nothing that answers came within `patience` seconds.
        OSError: the upstream cannot be reached.

    """
    family = socket.AF_INET6 if ":" in upstream.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        sock.connect((upstream.host, upstream.port))
        sock.send(asking.message)
        return await _Waiting(sock, asking, counters).answer(patience)


class _Waiting:
    """Waits on one socket; callbacks rather than coroutines, because this runs for every question."""

    def __init__(self, sock: socket.socket, asking: Asking, counters: UpstreamCounters) -> None:
        self._sock = sock
        self._asking = asking
        self._counters = counters
        self._wrong = 0
        self._loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[bytes | None] = self._loop.create_future()

    async def answer(self, patience: float) -> bytes | None:
        self._loop.add_reader(self._sock, self._readable)
        timer = self._loop.call_later(patience, self._expire)
        try:
            return await self._answer
        finally:
            timer.cancel()
            self._loop.remove_reader(self._sock)

    def _expire(self) -> None:
        if not self._answer.done():
            self._answer.set_exception(TimeoutError())

    def _readable(self) -> None:
        try:
            while not self._answer.done():
                self._judge(self._sock.recv(_LARGEST))
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._answer.set_exception(error)

    def _judge(self, reply: bytes) -> None:
        if self._asking.answered_by(reply):
            self._answer.set_result(reply)
            return
        self._counters.forged()
        self._wrong += 1
        if self._wrong >= _FORGERIES or self._asking.answered_in_other_case(reply):
            self._answer.set_result(None)
