"""The sockets that the gate listens on."""

import socket
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass

_BACKLOG = 4096


@dataclass(frozen=True, slots=True)
class Door:
    """What stands behind a listener: `network` is None for the explicit one, which serves every network."""

    network: str | None

    @property
    def transparent(self) -> bool:
        """Whether the firewall redirects connections here, and clients know nothing of a proxy."""
        return self.network is not None

    @property
    def listener(self) -> str:
        """The listener's kind, as it is counted."""
        return "explicit" if self.network is None else "transparent"


def open_sockets(host: str, port: int, *, shared: bool) -> Sequence[socket.socket]:
    """Listen on an address; on all of IPv4 and IPv6 where `host` is empty. Port 0 takes a free one.

    Raises:
        OSError: the address cannot be listened on.

    """
    with ExitStack() as stack:
        first = stack.enter_context(_listen(host or "0.0.0.0", port, shared=shared))  # noqa: S104 - as configured
        found = [first]
        if not host:
            with suppress(OSError):  # a box without IPv6
                found.append(stack.enter_context(_listen("::", first.getsockname()[1], shared=shared)))
        stack.pop_all()
        return found


def _listen(host: str, port: int, *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted sockets have it too
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except BaseException:
        listening.close()
        raise
    return listening
