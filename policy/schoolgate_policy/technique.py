"""The ways round the filter that enforcement points can name: a closed set, safe as a metric label."""

from collections.abc import Mapping
from enum import StrEnum


class Technique(StrEnum):
    """One way round the filter, or one kind of traffic that looks like it.

    What each means, and which of them ordinary devices send by themselves (counted, never held against anyone),
    stands in `techniques.yaml`; see `technique_table`.
    """

    # Names and resolvers
    FOREIGN_DNS = "foreign_dns"
    DOH = "doh"
    DOT = "dot"
    DOQ = "doq"
    DDR = "ddr"
    DOH_CANARY = "doh_canary"
    DNSCRYPT = "dnscrypt"
    PRIVATE_RELAY = "private_relay"
    CNAME_CLOAKING = "cname_cloaking"
    REBINDING = "rebinding"
    DNS_TUNNEL = "dns_tunnel"
    MALFORMED_DNS = "malformed_dns"
    WPAD = "wpad"
    # Services that are made for it
    VPN = "vpn"
    TOR = "tor"
    WEB_PROXY = "web_proxy"
    TRANSLATOR = "translator"  # one that is blocked itself, by name; what it was to show does not matter
    # Connections
    ECH = "ech"
    NO_SNI = "no_sni"
    SNI_MISMATCH = "sni_mismatch"
    FRONTING = "fronting"
    MISDIRECTED = "misdirected"  # an allowed site asked for on the connection of another
    SNI_IP_MISMATCH = "sni_ip_mismatch"
    UPSTREAM_CERTIFICATE = "upstream_certificate"
    SPLIT_HELLO = "split_hello"
    CLIENT_DISTRUST = "client_distrust"
    NON_HTTP_TLS = "non_http_tls"
    NON_HTTP = "non_http"
    QUIC = "quic"
    SSTP = "sstp"
    UPGRADE_TUNNEL = "upgrade_tunnel"
    WEBSOCKET_TUNNEL = "websocket_tunnel"
    PROXY_PROTOCOL = "proxy_protocol"
    PROXY_DIRECT = "proxy_direct"
    PRIVATE_ADDRESS = "private_address"
    # Packets, refused by the firewall
    PRIVATE_DNS = "private_dns"  # port 853 of the box itself, which Android tries by itself
    HARDCODED_IP = "hardcoded_ip"
    UNRESOLVED_DESTINATION = "unresolved_destination"
    WIREGUARD = "wireguard"
    OPENVPN = "openvpn"
    IPSEC = "ipsec"
    L2TP = "l2tp"
    PPTP = "pptp"
    IP_TUNNEL = "ip_tunnel"
    SSH = "ssh"
    PROXY_PORT = "proxy_port"
    STUN = "stun"
    FAN_OUT = "fan_out"
    SPOOFED_SOURCE = "spoofed_source"
    OTHER_PORT = "other_port"
    # Requests
    IP_LITERAL = "ip_literal"
    HOST_AMBIGUITY = "host_ambiguity"
    ODD_HOST = "odd_host"
    SMUGGLING = "smuggling"
    ODD_METHOD = "odd_method"
    EMBEDDED_SITE = (
        "embedded_site"  # an allowed translator, archive, cache or reader asked for a blocked site
    )
    OPEN_REDIRECT = "open_redirect"  # a link through a service that only sends the browser on
    PATH_TRICK = "path_trick"


BY_CATEGORY: Mapping[str, Technique] = {
    "doh": Technique.DOH,
    "private-relay": Technique.PRIVATE_RELAY,
    "vpn": Technique.VPN,
    "tor": Technique.TOR,
    "web-proxy": Technique.WEB_PROXY,
    "translation-and-archive": Technique.TRANSLATOR,
}
"""What somebody tries who wants a blocked name of these categories of the shipped catalogue."""
