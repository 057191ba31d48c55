"""Everybody whom some policies can tell apart: each `Group` stands for all addresses with the same place in each."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_network

from schoolgate_policy.clients import Client, ClientDirectory
from schoolgate_policy.model import IPNetwork, Policy

_WORLD = (ip_network("0.0.0.0/0"), ip_network("::/0"))


@dataclass(frozen=True, slots=True)
class Group:
    """Addresses that are the same client in each of the policies; `address` is one of them, in `around`."""

    address: str
    around: IPNetwork
    clients: tuple[Client, ...]  # one a policy, in their order

    @property
    def names(self) -> tuple[tuple[str, tuple[str, ...], bool], ...]:
        """What the group is called in each policy: network, devices, and whether it is in a network at all."""
        return tuple((client.network, client.devices, client.known) for client in self.clients)


def groups_of(policies: tuple[Policy, ...]) -> tuple[Group, ...]:
    """Divide the addresses of the world; of equal groups the one with the widest range stands for all."""
    directories = [
        ClientDirectory(policy.networks, policy.devices, policy.unknown_clients) for policy in policies
    ]
    ranges: set[IPNetwork] = set()
    for policy in policies:
        for network in policy.networks.values():
            ranges.update(network.addresses)
        for device in policy.devices.values():
            ranges.update(device.addresses)
    found: dict[object, Group] = {}
    for around, address in _cells(ranges):
        group = Group(address, around, tuple(directory.identify(address) for directory in directories))
        found.setdefault(group.names, group)
    return tuple(found.values())


def _cells(ranges: Iterable[IPNetwork]) -> Iterator[tuple[IPNetwork, str]]:
    """Yield each range, widest first, with an address in it that is in no narrower one; ranges nest or are disjoint."""
    ordered = sorted({*ranges, *_WORLD}, key=lambda part: (part.version, part.prefixlen, int(part[0])))
    for number, around in enumerate(ordered):
        inside = [
            part
            for part in ordered[number + 1 :]
            if part.version == around.version and part.subnet_of(around)  # type: ignore[arg-type]
        ]
        address = _free(around, inside, 1) or _free(around, inside, 0)
        if address is not None:
            yield around, address


def _free(around: IPNetwork, inside: list[IPNetwork], first: int) -> str | None:
    """Return the first address from `first` on that none of the ranges inside holds."""
    position, last = int(around[0]) + first, int(around[-1])
    for part in sorted(inside, key=lambda part: int(part[0])):
        if int(part[0]) > position:
            break
        position = max(position, int(part[-1]) + 1)
    if position > last:
        return None
    kind = IPv4Address if around.version == 4 else IPv6Address
    return str(kind(position))
