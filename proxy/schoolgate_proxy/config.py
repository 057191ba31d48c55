"""The settings of one proxy process; what the school decides is in the policy, not here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from schoolgate_policy.decision import Attempt, Decision
from schoolgate_policy.model import IPNetwork
from schoolgate_proxy.ports import Address, Resolve


@dataclass(frozen=True, slots=True)
class ProxyConfig:
    """Where the proxy listens, what it trusts, and how it reaches the internet."""

    state: Path
    """Folder for the certificate authority (`ca/`, keys 0600) and its certificate (`ca.pem`); made on first start."""
    explicit: tuple[Address, ...] = (("127.0.0.1", 8080),)
    """Listeners for clients that are told to use a proxy. Port 0 takes a free one."""
    transparent: Mapping[str, Address] = field(default_factory=dict)
    """A listener per network (by its id), where the firewall redirects ports 80 and 443 to."""
    upstream_ca: Path | None = None
    """Roots trusted towards the internet besides those of the certifi package: a PEM file."""
    allowed_upstream: tuple[IPNetwork, ...] = ()
    """Private ranges that may be reached all the same, such as the school's own servers."""
    resolve: Resolve | None = None
    """Looks names up; None asks the system's resolver."""
    own_pages: Mapping[Address, Address] = field(default_factory=dict)
    """The portal: the host and port that clients ask for, and where it really listens, be that a private address."""
    ask_url: Callable[[Attempt, Decision], str | None] | None = None
    """Returns where the block page's button leads; None: the page says whom to ask instead."""
    web_ports: frozenset[int] = frozenset({80, 443})
    """The only ports a client may name."""
    undecided: float = 15.0
    """Seconds until a connection that shows neither a whole ClientHello nor a whole request head is closed."""
    handshake: float = 30.0
    """Seconds for the rest of a TLS handshake, once the name is judged."""
    most_per_client: int = 1000
    """Connections of one address at a time; more are closed as they come. A browser has some 250."""
    most_new_per_client: int = 1000
    """Connections that one address may open within five seconds; more are closed as they come."""
    most_connections: int = 0
    """Connections of everybody at a time; 0: as many as the limit of open files allows."""
    share_ports: bool = False
    """Let other processes listen on the same ports (SO_REUSEPORT): the workers of one box."""
    pass_pinned: bool = True
    """Pass names on unread that apps on several devices trust nobody but their maker for (`pinning.py`)."""
    idle: int = 600
    """Seconds of silence until a connection is closed."""
