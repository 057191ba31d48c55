"""The seams between the portal and the world: what it is handed by whoever composes it."""

from dataclasses import dataclass
from typing import Protocol

from schoolgate_policy.decision import Attempt, Decision
from schoolgate_policy.engine import Engine

type Endpoint = tuple[str, int]  # an IP address as text, and a port


@dataclass(frozen=True, slots=True)
class PortalConfig:
    """Where the portal listens, and the host name it is reached by besides its addresses."""

    listen: Endpoint = ("127.0.0.1", 8000)
    host: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """An HTTP response; `headers` hold the content's length."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class BlockPage(Protocol):
    """Makes the page that people see instead of a blocked one."""

    def __call__(self, engine: Engine, attempt: Attempt, decision: Decision, accept: str, dest: str) -> Page:
        """Return the page for a blocked attempt; `accept` and `dest` are `Accept` and `Sec-Fetch-Dest`."""
        ...


class PortalCounters(Protocol):
    """Takes note of what the portal shows; must return at once and never raise."""

    def page(self, page: str, status: int) -> None:
        """Count a page: `home`, `blocked`, `open`, `missing`, `refused` or `fault`."""
        ...
