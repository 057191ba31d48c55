"""What a resolver does with a name: one act for the name itself and one for all below it; and whose acts are alike.

Nothing is judged here. The engine decides on one name of each *look*: names of which the same entries of the policy
speak are judged alike, so that a list of a million names costs some look-ups and one verdict.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from schoolgate_dns.policy_view import PolicyView
from schoolgate_dns.rpz.config import RpzConfig
from schoolgate_dns.special_names import Kind, special_name, zones_for_others
from schoolgate_dns.wire import Qtype
from schoolgate_policy.cells import groups_of
from schoolgate_policy.compile import compile_policy
from schoolgate_policy.decision import Attempt, Decision, Point, Reason
from schoolgate_policy.engine import Engine
from schoolgate_policy.index import Hits
from schoolgate_policy.model import Inspection, Network
from schoolgate_policy.names import as_ip, suffixes
from schoolgate_policy.safe_search import ENGINES, enforcement

PASS = "pass"  # noqa: S105 - nothing to say; `rpz-passthru.` where something above is blocked
OPEN = "open"  # somebody opened it by name: `rpz-passthru.` wherever it leads
DENY = "deny"  # there is no such name
EMPTY = "empty"  # the name is there, and has nothing
PAGE = "page"  # the block page's addresses, and nothing else
TWIN = "="  # in front of a name: an alias of it
STRANGER = "any-other-site.invalid"

_OPENED = frozenset({Reason.ALWAYS_ALLOW, Reason.EXCEPTION})
_SPECIAL = {Kind.NXDOMAIN: DENY, Kind.NODATA: EMPTY, Kind.PAGE: PAGE}


class Acts(NamedTuple):
    """What happens to a name, and to every name below it that nothing else speaks of."""

    exact: str
    below: str


NOTHING = Acts(PASS, PASS)


@dataclass(frozen=True, slots=True)
class Ruled:
    """The acts for a look at an instant; they hold until `until` (None: until the policy changes)."""

    acts: Acts
    until: datetime | None


type Look = tuple[object, ...]


class Looks:
    """Tells which names an engine judges alike."""

    def __init__(self, engine: Engine, config: RpzConfig) -> None:
        self.engine = Engine(engine.policy, (), engine.state)  # sanctions are single devices' business
        self._config = config
        self._compiled = compile_policy(engine.policy, (), engine.state)
        self._view = PolicyView(self.engine, answer_unknown=True)
        self._judged = ~self._compiled.never_inspect_mask
        own = config.own_zones
        self._portal = config.portal_host if own.isdisjoint(suffixes(config.portal_host)) else ""
        search = {name for one in ENGINES for name in one.hosts}
        self._by_name = frozenset(search | {self._portal} - {""})
        self._special = frozenset(
            name for name in zones_for_others() if config.own_zones.isdisjoint(suffixes(name))
        )

    def names(self) -> frozenset[str]:
        """Return all names that policy, catalogue and box speak of, lists aside."""
        spoken = (name for name in self._compiled.index.names if as_ip(name) is None)
        return frozenset((*spoken, *self._by_name, *self._special))

    def look(self, host: str) -> Look:
        """Return what decides how a host is judged, for every client and at any time."""
        if host in self._by_name or host in self._special:
            return (host,)
        hits = self._compiled.look_up(host, None, None)
        locked = any(part.hosts.covers(host) for part in self._compiled.locked)
        service = hits.service.category in self._view.denied if hits.service else None
        lists = tuple(name for name, _ in hits.listed)
        under = next((name for name in suffixes(host) if name in self._special), "")
        return (*self._bits(hits), tuple(map(self._bits, hits.shared)), locked, service, lists, under)

    def _bits(self, hits: Hits) -> tuple[int, ...]:
        by_name = hits.by_name & self._judged if hits.listed else 0
        return hits.sure & self._judged, hits.maybe & self._judged, by_name

    def rule(self, network: Network, address: str, host: str, at: datetime) -> Ruled:
        """Ask the engine what a client of a network gets for a host, as the sinkhole would answer it."""
        page = bool(self._config.page_of(network.id))
        decision = self.engine.decide(Attempt(address, host, at, point=Point.DNS))
        below = self._by_verdict(network, decision, page=page)
        exact = below
        twin = None if decision.blocked else enforcement(network.safe_search, host)
        if twin is not None:
            exact = f"{TWIN}{twin.alias}"
        special = special_name(host, Qtype.A, self._config.own_zones)
        if special is not None and not self._special.isdisjoint(suffixes(host)):
            exact = below = _SPECIAL[special.kind] if special.kind is not Kind.PAGE or page else PASS
        if host == self._portal:
            exact = PAGE if page else PASS
        return Ruled(Acts(exact, below), decision.valid_until)

    def _by_verdict(self, network: Network, decision: Decision, *, page: bool) -> str:
        if not decision.blocked:
            return OPEN if decision.reason in _OPENED else PASS
        shown = page and network.inspection in {Inspection.NEEDED, Inspection.ALL}
        return PAGE if shown and decision.category not in self._view.denied else DENY


def clients_of(engine: Engine) -> Mapping[str, str]:
    """Return by network the address of a client that is no named device; networks without one are left out."""
    found: dict[str, str] = {}
    for group in groups_of((engine.policy,)):
        client = group.clients[0]
        if client.known and not client.devices:
            found.setdefault(client.network, group.address)
    return found
