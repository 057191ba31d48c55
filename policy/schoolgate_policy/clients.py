"""Who is asking: from an address to its network and devices, the most specific range first."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_network

from schoolgate_policy.model import Device, IPNetwork, Network
from schoolgate_policy.names import IPAddress, parse_address


@dataclass(frozen=True, slots=True)
class Client:
    """An address, the network whose rules apply to it, and the devices it is known as (narrowest first)."""

    address: str
    network: str
    devices: tuple[str, ...] = ()
    known: bool = True  # False: in no network; the rules of `unknown_clients` apply


class _Ranges:
    """Address ranges, found by their prefixes: one dictionary per prefix length, longest first."""

    def __init__(self, ranges: Iterable[tuple[IPNetwork, str]]) -> None:
        tables: dict[tuple[int, int], dict[int, list[str]]] = {}
        for network, name in ranges:
            table = tables.setdefault((network.version, network.prefixlen), {})
            shift = network.max_prefixlen - network.prefixlen
            table.setdefault(int(network.network_address) >> shift, []).append(name)
        self._tables = sorted(tables.items(), key=lambda item: -item[0][1])

    def find(self, address: IPAddress) -> list[str]:
        """Return the names of all ranges that hold the address, narrowest first."""
        number, width = int(address), address.max_prefixlen
        found: list[str] = []
        for (version, length), table in self._tables:
            if version == address.version:
                found += table.get(number >> (width - length), ())
        return found


class ClientDirectory:
    """Finds the network and the devices of an address."""

    def __init__(self, networks: Mapping[str, Network], devices: Mapping[str, Device], unknown: str) -> None:
        self._networks = _Ranges(
            (part, network.id) for network in networks.values() for part in network.addresses
        )
        self._devices = _Ranges((part, device.id) for device in devices.values() for part in device.addresses)
        self._unknown = unknown

    def identify(self, address: str) -> Client:
        """Return who an IP address (text) is; text that is no address is an unknown client."""
        try:
            ip = parse_address(address)
        except ValueError:
            return Client(address, self._unknown, known=False)
        networks = self._networks.find(ip)
        devices = tuple(dict.fromkeys(self._devices.find(ip)))
        if not networks:
            return Client(str(ip), self._unknown, devices, known=False)
        return Client(str(ip), networks[0], devices)


def parse_range(text: str) -> IPNetwork:
    """Read an address or a range such as `10.20.0.0/16`; IPv4-mapped IPv6 becomes IPv4.

    Raises:
        ValueError: not a range, or bits are set to the right of the prefix; the message names the right range.

    """
    try:
        network = ip_network(text)
    except ValueError:
        try:
            loose = ip_network(text, strict=False)
        except ValueError:
            raise ValueError(
                f"`{text}` is no address and no range such as 10.20.0.0/16 or fd00:20::/64"
            ) from None
        raise ValueError(f"`{text}` has bits set behind its prefix; did you mean `{loose}`?") from None
    if network.version == 6 and network.network_address.ipv4_mapped and network.prefixlen >= 96:
        return ip_network((network.network_address.ipv4_mapped, network.prefixlen - 96))
    return network
