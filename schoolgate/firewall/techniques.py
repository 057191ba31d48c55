"""Which refused packets show which way round the filter: by IP protocol, by payload, by port."""

from collections.abc import Mapping

from schoolgate_policy.technique import Technique

BY_PROTOCOL: Mapping[int, Technique] = {
    4: Technique.IP_TUNNEL,  # IPv4 in IP
    41: Technique.IP_TUNNEL,  # IPv6 in IPv4: 6in4, 6to4
    47: Technique.PPTP,  # GRE, which PPTP's data travels in
    50: Technique.IPSEC,  # ESP
    51: Technique.IPSEC,  # AH
    115: Technique.L2TP,  # L2TPv3
}

# Whatever the port: a WireGuard handshake is 148 octets that begin 01 00 00 00; STUN has its cookie at octet 4
# (RFC 8489 5). Offsets are in bits from the UDP header, which is 64 long.
BY_PAYLOAD: Mapping[str, Technique] = {
    "udp length 156 @th,64,32 0x01000000": Technique.WIREGUARD,
    "udp length >= 28 @th,96,32 0x2112a442": Technique.STUN,
}

_UDP: Mapping[Technique, tuple[int, ...]] = {
    Technique.FOREIGN_DNS: (53,),  # only where DNS could not be captured
    Technique.DOQ: (784, 853, 8853),
    Technique.QUIC: (80, 443, 8443),
    Technique.DNSCRYPT: (5443,),
    Technique.WIREGUARD: (2408, 41641, 51820, 51821),  # WARP, Tailscale and WireGuard itself
    Technique.OPENVPN: (1194, 1195, 1197, 1198),
    Technique.IPSEC: (500, 4500),
    Technique.L2TP: (1701,),
    Technique.IP_TUNNEL: (3544, 5072),  # Teredo, AYIYA
    Technique.STUN: (3478, 3479, 5349, 19302, 19305),
}
_TCP: Mapping[Technique, tuple[int, ...]] = {
    Technique.FOREIGN_DNS: (53,),
    Technique.DOT: (853,),
    Technique.SSH: (22, 2022, 2222),
    Technique.OPENVPN: (1194,),
    Technique.PPTP: (1723,),
    Technique.TOR: (9001, 9030, 9040, 9050, 9150),
    Technique.PROXY_PORT: (1080, 1081, 3128, 8000, 8080, 8081, 8118, 8123, 8443, 8888, 9999, 10808),
    Technique.STUN: (3478, 5349),
}


def _by_port(ports: Mapping[Technique, tuple[int, ...]]) -> Mapping[int, Technique]:
    return {port: technique for technique, some in ports.items() for port in some}


BY_PORT: Mapping[str, Mapping[int, Technique]] = {"tcp": _by_port(_TCP), "udp": _by_port(_UDP)}

COUNTED: tuple[Technique, ...] = tuple(
    dict.fromkeys(
        (
            *_TCP,
            *_UDP,
            *BY_PROTOCOL.values(),
            *BY_PAYLOAD.values(),
            Technique.PRIVATE_DNS,
            Technique.PROXY_DIRECT,
            Technique.SPOOFED_SOURCE,
            Technique.OTHER_PORT,
        )
    )
)
"""Every technique that the firewall counts, in the order of the ruleset."""
