"""What is known about each open client connection: whose it is, which name it carries, where it may lead to.

Nothing is dialled but what stands here as approved, so that a hook that never ran leaves the door shut.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary, WeakSet

from mitmproxy import http

from schoolgate_policy.decision import Attempt, Decision
from schoolgate_policy.names import IPAddress
from schoolgate_policy.patience import Alarm
from schoolgate_proxy.handling import Arrival
from schoolgate_proxy.upstream import Anchor

_MOST_APPROVALS = 256  # upstreams of one client connection; a browser's tunnel has one


@dataclass(frozen=True, slots=True)
class Approval:
    """An upstream that a verdict opened: what was asked, what was decided, and the address to dial."""

    attempt: Attempt
    decision: Decision
    anchor: Anchor


@dataclass(slots=True)
class Connection:
    """One client connection and all that was decided on it."""

    arrival: Arrival
    listener: str  # `explicit` or `transparent`
    close: Callable[[], None]
    counted: bool = False  # by the gate
    connect_name: str | None = None  # canonical host of the CONNECT request
    tls_name: str | None = None  # canonical name the connection was decrypted for
    judged: tuple[Attempt, Decision] | None = None  # the name, where no request has been judged yet
    network: str = ""  # of the last decision
    brought: IPAddress | None = (
        None  # that the client wanted to reach, where it named an address and not a site
    )
    outlived: str | None = None  # the network, once an edge of a schedule has passed
    split: bool = False  # the first bytes came too few to tell what they begin
    approved: dict[tuple[str, int], Approval] = field(default_factory=dict)
    # What each request that still lives was allowed by: pages of one host may close at different times.
    requests: "WeakKeyDictionary[http.HTTPFlow, Approval]" = field(default_factory=WeakKeyDictionary)
    unframed: "WeakSet[http.HTTPFlow]" = field(default_factory=WeakSet)  # HTTP/2 requests without a length
    _deadline: Alarm | None = None

    def approve(self, approval: Approval) -> None:
        """Open an upstream to this connection; of very many, the oldest is forgotten."""
        self.approved[approval.anchor[0], approval.anchor[1]] = approval
        if len(self.approved) > _MOST_APPROVALS:
            del self.approved[next(iter(self.approved))]

    def expect(self, seconds: float, late: Callable[[], None]) -> None:
        """Close the connection unless `decided` is called within so many seconds; `late` is called before."""
        self.decided()

        def over() -> None:
            late()
            self.close()

        self._deadline = Alarm(seconds, over)

    @property
    def expecting(self) -> bool:
        """Whether a deadline is running."""
        return self._deadline is not None

    def decided(self) -> None:
        """Stop the deadline."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class Connections:
    """The open client connections, by mitmproxy's id for them."""

    def __init__(self) -> None:
        self._open: dict[str, Connection] = {}
        self.none_open = asyncio.Event()
        self.none_open.set()

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._open.values()))

    def opened(self, key: str, connection: Connection) -> None:
        """Take a connection in."""
        self._open[key] = connection
        self.none_open.clear()

    def of(self, key: str) -> Connection:
        """Return an open connection.

        Raises:
            LookupError: it is not known, so nothing may be done for it.

        """
        return self._open[key]

    def closed(self, key: str) -> Connection | None:
        """Forget a connection and return it, None where it was not known."""
        connection = self._open.pop(key, None)
        if connection is not None:
            connection.decided()
        if not self._open:
            self.none_open.set()
        return connection
