"""The seams between the proxy and the world: what it is handed besides policy, recorder and clock."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from schoolgate_proxy.handling import Handling

type Address = tuple[str, int]  # an IP address as text, and a port
type Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]
"""Look a canonical host name up: the addresses to try, best first; raises OSError where there are none."""


class Counters(Protocol):
    """Takes note of what the proxy does; must return at once and never raise. Labels come from closed sets.

    Called from two threads, the event loop's and the gate's, as the recorder is.
    """

    def connection_opened(self, listener: str) -> None:
        """Count a client connection: `listener` is `explicit` or `transparent`."""
        ...

    def connection_closed(self, listener: str) -> None:
        """Count the end of a client connection."""
        ...

    def connection_handled(self, network: str, handling: Handling) -> None:
        """Count what was done with a TLS connection once its name was judged."""
        ...

    def connection_passed(self, network: str, sent: int, received: int, seconds: float) -> None:
        """Count the end of a connection that was relayed unread: octets from the client and to it, and its time."""
        ...

    def connection_turned_away(self, why: str) -> None:
        """Count a connection closed unjudged: `client` (it has too many), `pace` (too fast), `full`, `late`."""
        ...

    def ech_seen(self, network: str, *, outer: bool) -> None:
        """Count a ClientHello with the extension of ECH: real, under a known outer name, or (as a rule) GREASE."""
        ...

    def connection_outlived(self, network: str, change: int) -> None:
        """Count connections that are older than the last edge of a schedule that concerned them; `change` is 1 or -1."""
        ...

    def request_answered(self, network: str, status: int) -> None:
        """Count a request that the proxy answered itself, by the status of its answer."""
        ...

    def upstream_failed(self, why: str) -> None:
        """Count an upstream that could not be used: `name`, `address` (refused by us), `connect` or `certificate`."""
        ...

    def connection_pinned(self, network: str) -> None:
        """Count a connection that was passed on because of a pinned app."""
        ...

    def name_pinned(self, network: str) -> None:
        """Count a name that is passed on from now on because of a pinned app."""
        ...

    def certificate_missing(self, network: str) -> None:
        """Count a device that lacks the school's certificate."""
        ...


class Uncounted:
    """Counters for where nobody reads them: the `mitmdump` script."""

    def connection_opened(self, listener: str) -> None:
        """Do nothing."""

    def connection_closed(self, listener: str) -> None:
        """Do nothing."""

    def connection_handled(self, network: str, handling: Handling) -> None:
        """Do nothing."""

    def connection_passed(self, network: str, sent: int, received: int, seconds: float) -> None:
        """Do nothing."""

    def connection_turned_away(self, why: str) -> None:
        """Do nothing."""

    def ech_seen(self, network: str, *, outer: bool) -> None:
        """Do nothing."""

    def connection_outlived(self, network: str, change: int) -> None:
        """Do nothing."""

    def request_answered(self, network: str, status: int) -> None:
        """Do nothing."""

    def upstream_failed(self, why: str) -> None:
        """Do nothing."""

    def connection_pinned(self, network: str) -> None:
        """Do nothing."""

    def name_pinned(self, network: str) -> None:
        """Do nothing."""

    def certificate_missing(self, network: str) -> None:
        """Do nothing."""
