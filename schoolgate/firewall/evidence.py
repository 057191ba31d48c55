"""What the firewall saw: its counters and sets, as metrics and as records of who tried what.

The reader needs the right to look at the firewall and nothing else: it judges nothing and changes nothing.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from schoolgate.firewall.nft import FirewallError, entries
from schoolgate.firewall.techniques import COUNTED
from schoolgate_policy.technique import Technique
from schoolgate_policy.technique_table import weight

_TECHNIQUES = frozenset(COUNTED)
_DOORS = 4  # kinds of ways round the filter, none of them background noise, that one address tries within …
_SECONDS = 60.0  # … so long: a program that tries them all, such as Psiphon
_log = structlog.get_logger()


class EvidenceSink(Protocol):
    """Takes what was seen, as the recorders of the enforcement points do; never raises."""

    def technique(self, technique: str, network: str, address: str, host: str) -> None:
        """Record that an address tried a known way round the filter."""
        ...


@dataclass(frozen=True, slots=True)
class Tried:
    """An address that was refused within the last hour, and how often."""

    technique: Technique
    network: str
    address: str
    packets: int


@dataclass(frozen=True, slots=True)
class Refused:
    """How often a network was refused for one technique since the ruleset was loaded."""

    technique: Technique
    network: str
    packets: int
    octets: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """One look at the firewall."""

    refused: tuple[Refused, ...]
    tried: tuple[Tried, ...]


def read(networks: Mapping[str, str], listed: Sequence[Mapping[str, Any]] | None = None) -> Evidence:
    """Look at the firewall; `networks` names the network behind each interface. Raises FirewallError."""
    found = entries() if listed is None else listed
    return Evidence(tuple(_counters(found)), tuple(_elements(found, networks)))


def _counters(listed: Sequence[Mapping[str, Any]]) -> Iterator[Refused]:
    for entry in listed:
        if counter := entry.get("counter"):
            technique = _technique(counter["name"])
            if technique is not None:
                network = counter["name"][len(technique) + 1 :]
                yield Refused(technique, network, counter["packets"], counter["bytes"])


def _elements(listed: Sequence[Mapping[str, Any]], networks: Mapping[str, str]) -> Iterator[Tried]:
    for entry in listed:
        found = entry.get("set") or {}
        technique = _technique(found.get("name", ""))
        if technique is None:
            continue
        for item in found.get("elem", ()):
            element = item["elem"]
            interface, address = element["val"]["concat"]
            packets = element.get("counter", {}).get("packets", 0)
            yield Tried(technique, networks.get(interface, "unknown"), address, packets)


def _technique(name: str) -> Technique | None:
    """Return the technique that a counter or set is named after: the longest, as one may begin another."""
    found = [one for one in _TECHNIQUES if name.startswith(f"{one}_")]
    return max(found, key=len, default=None)


class EvidenceReader:
    """Looks again and again, and tells only what is new."""

    def __init__(
        self,
        look: Callable[[], Evidence],
        sink: EvidenceSink,
        registry: CollectorRegistry,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._look = look
        self._monotonic = monotonic
        self._knocked: dict[tuple[str, str], dict[Technique, float]] = {}  # when by network and address
        self._sink = sink
        self._packets: dict[tuple[Technique, str], int] = {}
        self._known: dict[tuple[Technique, str, str], int] = {}
        self.readable = False
        self._refused = Counter(
            "schoolgate_firewall_refused_packets",
            "Packets that the firewall refused, by the way round the filter they look like.",
            ["technique", "network"],
            registry=registry,
        )
        self._clients = Gauge(
            "schoolgate_firewall_clients",
            "Addresses that were refused within the last hour.",
            ["technique", "network"],
            registry=registry,
        )
        self._loaded = Gauge(
            "schoolgate_firewall_loaded",
            "1 where the ruleset is loaded and could be read.",
            registry=registry,
        )

    def turn(self) -> bool:
        """Look once and tell what is new; return whether the firewall could be read."""
        try:
            evidence = self._look()
        except FirewallError as error:
            self.readable = False
            self._loaded.set(0)
            _log.warning("firewall.unreadable", reason=str(error))
            return False
        self.readable = True
        self._loaded.set(1)
        self._count(evidence)
        self._tell(evidence)
        return True

    def _count(self, evidence: Evidence) -> None:
        for one in evidence.refused:
            before = self._packets.get((one.technique, one.network), 0)
            since = one.packets - before if one.packets >= before else one.packets  # loaded anew
            self._packets[one.technique, one.network] = one.packets
            self._refused.labels(one.technique, one.network).inc(since)

    def _tell(self, evidence: Evidence) -> None:
        now = {(one.technique, one.network, one.address): one.packets for one in evidence.tried}
        totals = {(one.technique, one.network): 0 for one in evidence.refused}
        for key, packets in now.items():
            technique, network, address = key
            totals[technique, network] = totals.get((technique, network), 0) + 1
            if packets != self._known.get(key):
                self._sink.technique(technique, network, address, "")
                self._note_door(technique, network, address)
        for (technique, network), clients in totals.items():
            self._clients.labels(technique, network).set(clients)
        self._known = now
        tried = {(network, address) for _, network, address in now}
        self._knocked = {who: doors for who, doors in self._knocked.items() if who in tried}

    def _note_door(self, technique: Technique, network: str, address: str) -> None:
        """Tell once when an address tries many ways at once."""
        if not weight(technique):
            return
        now = self._monotonic()
        before = self._knocked.get((network, address), {})
        doors = {one: at for one, at in before.items() if now - at < _SECONDS} | {technique: now}
        if len(doors) >= _DOORS:
            self._sink.technique(Technique.FAN_OUT, network, address, "")
            doors = {}
        self._knocked[network, address] = doors

    async def follow(self, seconds: float) -> None:
        """Look every so many seconds, for ever; reading waits in a thread."""
        while True:
            await asyncio.to_thread(self.turn)
            await asyncio.sleep(seconds)
