"""Addresses that no name of the internet has any business resolving to (DNS rebinding)."""

from ipaddress import IPv4Address, IPv6Address, ip_network

from schoolgate_policy.model import IPNetwork
from schoolgate_policy.names import IPAddress

# Not `is_private` of the standard library: that also holds the documentation ranges, which are harmless.
PRIVATE: tuple[IPNetwork, ...] = tuple(
    ip_network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.168.0.0/16", "255.255.255.255/32"),
        *("::/128", "::1/128", "fc00::/7", "fe80::/10", "fec0::/10"),
    )
)
_NAT64 = ip_network("64:ff9b::/96")


def is_private(packed: bytes, allowed: tuple[IPNetwork, ...] = ()) -> bool:
    """Whether an A or AAAA record's data lead into a private network, directly or inside another form."""
    address = _innermost(packed)
    if any(address in network for network in allowed):
        return False
    return any(address in network for network in PRIVATE)


def _innermost(packed: bytes) -> IPAddress:
    """Unpack the IPv4 address inside an IPv4-mapped, 6to4 or NAT64 address: that is where packets end up."""
    if len(packed) == 4:
        return IPv4Address(packed)
    address = IPv6Address(packed)
    if address in _NAT64:
        return IPv4Address(packed[12:])
    if packed[:12] == bytes(12) and packed[12:] > b"\0\0\0\1":
        return IPv4Address(packed[12:])  # IPv4-compatible: long deprecated, still understood by some
    return address.ipv4_mapped or address.sixtofour or address
