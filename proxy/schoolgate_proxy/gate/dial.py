"""Connects to the first of several addresses that answers."""

import errno
import socket
from collections.abc import Callable
from select import EPOLLOUT

from schoolgate_proxy.gate.poller import Poller, Timer
from schoolgate_proxy.ports import Address

_TRY_SECONDS, _LAST_TRY_SECONDS = 2.0, 10.0  # for an address, and for the last one that is left


class Dial:
    """One search for an address that answers, in the poller's thread."""

    __slots__ = ("_address", "_answered", "_poller", "_rest", "_socket", "_timer", "_unreachable")

    def __init__(
        self,
        poller: Poller,
        addresses: tuple[Address, ...],
        answered: Callable[[socket.socket | None], None],
        unreachable: Callable[[Address], None],
    ) -> None:
        """Take the addresses to try in turn.

        `answered` gets the connected socket, watched by the poller, or None where all failed; `unreachable` each
        address that failed.
        """
        self._poller = poller
        self._rest = addresses
        self._answered = answered
        self._unreachable = unreachable
        self._address: Address = ("", 0)
        self._socket: socket.socket | None = None
        self._timer: Timer | None = None

    def start(self) -> None:
        """Try the next address."""
        while self._rest:
            self._address, self._rest = self._rest[0], self._rest[1:]
            family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
            upstream = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            upstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if upstream.connect_ex(self._address) in {0, errno.EINPROGRESS}:
                self._socket = upstream
                self._timer = self._poller.later(
                    _TRY_SECONDS if self._rest else _LAST_TRY_SECONDS, self._next
                )
                self._poller.watch(upstream.fileno(), EPOLLOUT, self._writable)
                return
            upstream.close()
            self._unreachable(self._address)
        self._answered(None)

    def cancel(self) -> None:
        """Stop, and close what is open; what was answered belongs to others already."""
        if self._timer is not None:
            self._timer.cancel()
        if self._socket is not None:
            self._poller.close(self._socket)
            self._socket = None

    def _writable(self, _mask: int) -> None:
        upstream = self._socket
        if upstream is None:
            return
        if upstream.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._next()
            return
        self._socket = None
        self.cancel()
        self._answered(upstream)

    def _next(self) -> None:
        self.cancel()
        self._unreachable(self._address)
        self.start()
