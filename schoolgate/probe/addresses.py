"""From which address of this machine each network can be spoken for; what comes from there is the probe's own.

Nobody else can have these addresses: the box's own ones are refused by its kernel when they arrive from outside, and
loopback never arrives at all. So what they try is nobody's attempt, and is not told as one.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address
from pathlib import Path

from schoolgate_policy.model import Network, Policy

_FOUR, _SIX = Path("/proc/self/net/fib_trie"), Path("/proc/self/net/if_inet6")
_LOCAL = re.compile(r"\|-- (\S+)\n\s+/32 host LOCAL")
type Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Source:
    """Where a network is spoken for; without an address it cannot be, and `why` says so."""

    network: str
    address: str = ""
    why: str = ""


def local_addresses(four: Path = _FOUR, six: Path = _SIX) -> frozenset[Address]:
    """Return the addresses of this machine but those of loopback; none where the kernel does not tell."""
    found: set[Address] = set()
    for path, pattern in ((four, _LOCAL), (six, re.compile(r"^([0-9a-f]{32}) ", re.MULTILINE))):
        try:
            text = path.read_text("ascii")
        except (OSError, UnicodeDecodeError):
            continue
        found |= {_address(one) for one in pattern.findall(text)}
    return frozenset(one for one in found if not one.is_loopback and not one.is_link_local)


def sources(policy: Policy, *, is_box: bool, local: Iterable[Address] | None = None) -> tuple[Source, ...]:
    """Return for each network where it can be spoken for; loopback stands for one only where this is no box."""
    here = local_addresses() if local is None else local
    return tuple(
        _source(network, policy, frozenset(here), is_box=is_box) for network in policy.networks.values()
    )


def own_addresses(policy: Policy, *, is_box: bool) -> frozenset[str]:
    """Return the addresses that only the probe speaks from."""
    return frozenset(one.address for one in sources(policy, is_box=is_box) if one.address)


def _source(network: Network, policy: Policy, local: frozenset[Address], *, is_box: bool) -> Source:
    mine = sorted(
        (
            one
            for one in local
            if any(one.version == each.version and one in each for each in network.addresses)
        ),
        key=lambda one: (one.version, int(one)),
    )
    if mine:
        return Source(network.id, str(mine[0]))
    if is_box:
        return Source(network.id, why="this box has no address in it")
    last = [one[-2] for one in network.addresses if isinstance(one, IPv4Network) and _is_ours(one)]
    named = {each for device in policy.devices.values() for each in device.addresses}
    free = [one for one in last if not any(one.version == each.version and one in each for each in named)]
    if free:
        return Source(network.id, str(free[0]))
    return Source(network.id, why="this machine has no address in it, and no loopback address stands for it")


def _is_ours(network: IPv4Network) -> bool:
    return network.is_loopback and network.num_addresses > 3


def _address(text: str) -> Address:
    return ip_address(text) if "." in text else IPv6Address(int(text, 16))
