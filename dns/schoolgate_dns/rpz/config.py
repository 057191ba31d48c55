"""The settings of the zones and of who may have them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from schoolgate_dns.config import Endpoint
from schoolgate_dns.rpz.tsig import TsigKey
from schoolgate_policy.names import IPAddress

LONGEST_TTL = 60  # seconds, as the sinkhole's own answers about names that the policy speaks of


@dataclass(frozen=True, slots=True)
class Secondary:
    """A resolver that may have the zones: by its key, or unsigned by its address where it has none.

    `notify` is where it is told of changes.
    """

    name: str
    notify: Endpoint
    key: TsigKey | None


@dataclass(frozen=True, slots=True)
class RpzConfig:
    """What is published, where and to whom."""

    folder: Path  # where zones and their past versions are kept
    listen: tuple[Endpoint, ...] = (("127.0.0.1", 5354),)
    origin: str = "rpz.schoolgate"
    secondaries: tuple[Secondary, ...] = ()
    # Where blocked names lead, by network, and for those that are not there; with neither they do not exist.
    pages: Mapping[str, tuple[IPAddress, ...]] = field(default_factory=dict)
    page: tuple[IPAddress, ...] = ()
    portal_host: str = ""
    own_zones: frozenset[str] = frozenset()
    locked_lists: bool = False  # whether the names on locked lists may leave this box
    ttl: int = LONGEST_TTL
    versions: int = 16  # of each zone that are kept for IXFR; who is further behind gets the whole zone
    connections: int = 32
    idle: float = 15.0  # seconds until a silent connection is closed, or one that takes nothing

    def page_of(self, network: str) -> tuple[IPAddress, ...]:
        """Return where the blocked names of a network lead; empty: nowhere."""
        return self.pages.get(network, self.page)
