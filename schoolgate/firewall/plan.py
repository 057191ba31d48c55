"""What the firewall must do, worked out from policy and settings before a rule is written."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Literal
from urllib.parse import urlsplit

from schoolgate.settings import Endpoint, Settings
from schoolgate_policy.errors import SchoolgateError
from schoolgate_policy.model import IPNetwork, Network, Pass, Policy

_NTP = 123
_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:@-]{0,14}")


class CannotPlan(SchoolgateError):  # noqa: N818 - reads as what it is where it is raised and caught
    """Settings that no firewall can be made from; `lines` names each of them."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines = tuple(lines)
        super().__init__("; ".join(self.lines))


@dataclass(frozen=True, slots=True)
class Vlan:
    """A filtered network: where it arrives, and which ports of ours serve it. A port of None serves it not."""

    network: str
    interface: str
    sources: tuple[IPNetwork, ...]
    proxy_ports: tuple[int, ...]  # one for each worker
    dns_ports: Mapping[int, int]  # by IP version
    portal_port: int | None
    portal_tls_port: int | None
    open_ports: tuple[int, ...]  # TCP ports of ours that people name themselves: explicit proxy, portal
    passes: tuple[Pass, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that the ruleset says."""

    vlans: tuple[Vlan, ...]
    unfiltered: tuple[str, ...]  # networks without an interface: nothing of theirs is forwarded
    wan: str | None
    trusted: tuple[str, ...]
    admin: tuple[IPNetwork, ...]
    own_tcp: tuple[int, ...]  # every TCP port of ours, closed to the internet
    own_udp: tuple[int, ...]
    secondaries: tuple[IPNetwork, ...]  # resolvers that may fetch zones, wherever they are
    zone_ports: tuple[int, ...]  # where they fetch them; none where nobody may
    centre_port: int | None  # where the boxes of other schools come, over the internet
    ntp: Literal["box", "allow", "refuse"]
    masquerade: bool


def make_plan(policy: Policy, settings: Settings) -> Plan:
    """Work out what the firewall must do.

    Raises:
        CannotPlan: a setting is missing or contradicts another; one line for each.

    """
    problems = list(_problems(policy, settings))
    if problems:
        raise CannotPlan(problems)
    named = settings.interfaces
    return Plan(
        vlans=tuple(_vlan(net, settings) for net in policy.networks.values() if net.id in named),
        unfiltered=tuple(network for network in policy.networks if network not in named),
        wan=named.get("wan"),
        trusted=settings.firewall.trusted,
        admin=settings.firewall.admin,
        own_tcp=_own_tcp(settings),
        own_udp=_own_udp(settings),
        secondaries=tuple(ip_network(one.address.host) for one in settings.rpz.secondaries.values()),
        zone_ports=tuple(sorted({at.port for at in settings.rpz.listen})) if settings.rpz.secondaries else (),
        centre_port=_from_outside(settings.centre.listen),
        ntp=settings.firewall.ntp,
        masquerade=settings.firewall.masquerade,
    )


def _vlan(network: Network, settings: Settings) -> Vlan:
    portal = settings.portal.listen
    tls = settings.portal.listen_tls
    served = _reaches(portal, network)
    return Vlan(
        network=network.id,
        interface=settings.interfaces[network.id],
        sources=_sources(network),
        proxy_ports=settings.proxy.ports(network.id),
        dns_ports=_dns_ports(settings, network),
        portal_port=portal.port if served else None,
        portal_tls_port=tls.port if tls and _reaches(tls, network) else None,
        open_ports=tuple(_open_ports(settings, network)),
        passes=network.passes,
    )


def _sources(network: Network) -> tuple[IPNetwork, ...]:
    """Return the addresses that may come from the network; loopback never arrives."""
    return tuple(one for one in network.addresses if not one.is_loopback)


def _versions(network: Network) -> list[int]:
    return sorted({one.version for one in _sources(network)})


def _dns_ports(settings: Settings, network: Network) -> dict[int, int]:
    """Return the port that the sinkhole has for each IP version; its IPv6 sockets do not take IPv4."""
    found: dict[int, int] = {}
    for at in settings.dns.listen:
        version = ip_address(at.host).version
        if _reaches(at, network, version):
            found.setdefault(version, at.port)
    return found


def _reaches(at: Endpoint, network: Network, version: int | None = None) -> bool:
    """Whether what listens there can be reached from a network: it has every address, or one of its ranges."""
    address = ip_address(at.host)
    if version is not None and address.version != version:
        return False
    return address.is_unspecified or any(
        address.version == one.version and address in one for one in _sources(network)
    )


def _open_ports(settings: Settings, network: Network) -> Iterator[int]:
    """Yield TCP ports that clients are told of, and so connect to without being redirected."""
    if _reaches(settings.proxy.explicit, network):
        yield settings.proxy.explicit.port
    named = urlsplit(settings.portal.url).port
    for portal, usual in ((settings.portal.listen, 80), (settings.portal.listen_tls, 443)):
        if portal and _reaches(portal, network) and (named or usual) == portal.port:
            yield portal.port


def _own_tcp(settings: Settings) -> tuple[int, ...]:
    at = (
        *settings.dns.listen,
        settings.proxy.explicit,
        settings.portal.listen,
        *([settings.portal.listen_tls] if settings.portal.listen_tls else []),
        *(settings.of_worker("dns", number + 1).metrics.dns for number in range(settings.dns.workers)),
        *(settings.of_worker("proxy", number + 1).metrics.proxy for number in range(settings.proxy.workers)),
        *settings.rpz.listen,
        *([settings.centre.listen] if settings.centre.listen else []),
        *(getattr(settings.metrics, part) for part in ("portal", "firewall", "rpz", "box")),
    )
    transparent = (port for network in settings.proxy.transparent for port in settings.proxy.ports(network))
    return tuple(sorted({*(one.port for one in at), *transparent}))


def _own_udp(settings: Settings) -> tuple[int, ...]:
    """Return the UDP ports that are no business of the internet: names, zones, and the time if the box gives it."""
    time = {_NTP} if settings.firewall.ntp == "box" else set()
    return tuple(sorted({*(at.port for at in (*settings.dns.listen, *settings.rpz.listen)), *time}))


def _from_outside(at: Endpoint | None) -> int | None:
    """Return the port of what listens on more than loopback."""
    return None if at is None or ip_address(at.host).is_loopback else at.port


def _problems(policy: Policy, settings: Settings) -> Iterator[str]:
    known = policy.networks
    interfaces = settings.interfaces
    if not any(network in interfaces for network in known):
        yield f"interfaces: none of the policy's networks has one; available: {', '.join(known)}"
    for name, interface in interfaces.items():
        if name not in known and name != "wan":
            yield f"interfaces.{name}: no such network in the policy; available: {', '.join(known)}, wan"
        if not _INTERFACE.fullmatch(interface):
            yield f"interfaces.{name}: `{interface}` is no name of an interface such as vlan20"
    for interface in settings.firewall.trusted:
        if not _INTERFACE.fullmatch(interface):
            yield f"firewall.trusted: `{interface}` is no name of an interface such as mgmt0"
    yield from _shared(interfaces, settings.firewall.trusted)
    for name in known:
        if name in interfaces:
            yield from _unserved(known[name], settings)


def _shared(interfaces: dict[str, str], trusted: Iterable[str]) -> Iterator[str]:
    seen: dict[str, str] = {}
    for name, interface in (*((f"interfaces.{key}", at) for key, at in interfaces.items()),
                            *(("firewall.trusted", at) for at in trusted)):  # fmt: skip
        if (other := seen.setdefault(interface, name)) != name:
            yield f"{name}: {interface} is {other} already; whose rules apply is told by the interface"


def _unserved(network: Network, settings: Settings) -> Iterator[str]:
    name = network.id
    if not settings.proxy.transparent.get(name):
        yield f"proxy.transparent.{name}: no port; there is nothing to redirect {name} to"
    served = _dns_ports(settings, network)
    for version in _versions(network):
        if version not in served:
            at = '"[::]:5353"' if version == 6 else '"0.0.0.0:5353"'
            listen = ", ".join(map(str, settings.dns.listen))
            yield f"dns.listen: {listen}: not reachable over IPv{version} from {name}; add {at}"
    yield from _half_a_portal(network, settings)
    if not _sources(network):
        yield f"networks.{name}.addresses: only loopback, which never arrives from {settings.interfaces[name]}"


def _half_a_portal(network: Network, settings: Settings) -> Iterator[str]:
    """Yield a line for each listener of the portal that a network reaches by one family and not by the other."""
    named = (("portal.listen", settings.portal.listen), ("portal.listen_tls", settings.portal.listen_tls))
    for key, at in named:
        host = ip_address(at.host) if at else None
        if at is None or host is None or not host.is_unspecified or host.version == 6:
            continue  # `[::]` takes both; one address of the box is meant for one network
        if 6 in _versions(network):
            yield (
                f'{key}: {at}: not reachable over IPv6 from {network.id}; "[::]:{at.port}" takes IPv4 as well'
            )
