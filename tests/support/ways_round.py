"""Every way round the filter that a pupil tries in a namespace: how it is done, and what it is counted as."""

import base64
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import netns_clients as client
from netns_clients import request
from netns_school import Host

FOUR, SIX = "45.60.9.9", "2a00:9:9::9"  # where a pupil's tools believe their servers to be
OK, BAD = "school.example", "facebook.com"
DNS_QUERY = (
    base64.urlsafe_b64encode(b"\0\0\1\0\0\1\0\0\0\0\0\0\3www\7example\3com\0\0\1\0\1").rstrip(b"=").decode()
)
ONE_LABEL = b"\0\1\1\0\0\1\0\0\0\0\0\0\x0cfacebook.com\0\0\1\0\1"
type Act = Callable[[Host, str], object]


@dataclass(frozen=True)
class Try:
    """One way round the filter: what it is counted as, and how it is done; `act` returns whether it was stopped."""

    name: str
    technique: str
    act: Act
    families: tuple[str, ...] = (FOUR, SIX)
    roles: tuple[str, ...] = (
        "pupil",
        "guest",
    )  # guests' connections are not opened: what is inside is not seen


def dig(*words: str, wants: str) -> Act:
    def act(host: Host, there: str) -> bool:
        return wants in host.run("dig", "+tries=2", "+time=10", f"@{host.gateway(there)}", *words)

    return act


def foreign(transport: str) -> Act:
    def act(host: Host, there: str) -> bool:
        server = "2001:4860:4860::8888" if ":" in there else "8.8.8.8"
        printed = host.run("dig", "+tries=2", "+time=10", f"@{server}", "bbc.co.uk.filter.invalid", transport)
        return "status: NXDOMAIN" in printed

    return act


def refused(send: Callable[..., object], *arguments: object) -> Act:
    """Do something with a socket that must end in a refusal, and at once."""

    def act(host: Host, there: str) -> bool:
        try:
            host.do(partial(send, there), *arguments)
        except (ConnectionRefusedError, ConnectionResetError):
            return True
        return False

    return act


def udp(port: int, data: bytes = b"x" * 40) -> Act:
    return refused(client.datagram, port, data)


def tcp(port: int) -> Act:
    return refused(client.connect, port)


def raw(protocol: int) -> Act:
    def act(host: Host, there: str) -> bool:
        host.do(client.packet, there, protocol)
        return True

    return act


def inside(data: bytes, name: str | None = OK, alpn: tuple[str, ...] = ()) -> Act:
    """Send something inside TLS to an allowed site; what comes back must not be the site."""

    def act(host: Host, there: str) -> bool:
        reply = host.do(partial(client.tls, there, name, data, alpn=alpn))
        return b"this is the real site" not in reply and not reply.startswith(
            (b"HTTP/1.1 200", b"HTTP/1.1 101")
        )

    return act


def plain(data: bytes, port: int = 80, pieces: tuple[int, ...] = ()) -> Act:
    def act(host: Host, there: str) -> bool:
        reply = host.do(partial(client.exchange, there, port, data, pieces=pieces))
        return b"this is the real site" not in reply and not reply.startswith(
            (b"HTTP/1.1 200", b"HTTP/1.1 101")
        )

    return act


def split(host: Host, there: str) -> bool:
    return host.do(client.split_tls, there, BAD, 1).startswith(b"HTTP/1.1 403")


def encrypted_hello(host: Host, there: str) -> bool:
    return host.do(client.exchange, there, 443, client.encrypted_hello("cloudflare-ech.com"))[:1] == b"\x15"


def malformed(host: Host, there: str) -> bool:
    return host.do(client.datagram, host.gateway(there), 53, ONE_LABEL)[3] & 15 == 1


def tunnel(host: Host, there: str) -> bool:
    def ask() -> bool:
        family = socket.AF_INET6 if ":" in there else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as made:
            made.settimeout(10)
            made.connect((host.gateway(there), 53))
            domain = (
                b"\x07" + os.urandom(4).hex()[1:].encode() + b"\7example\0"
            )  # one that has not been noted yet
            for number in range(230):
                label = os.urandom(20).hex().encode()
                made.send(number.to_bytes(2) + b"\1\0\0\1\0\0\0\0\0\0\x28" + label + domain + b"\0\x10\0\1")
                if made.recv(4096)[3] & 15 == 5:
                    return True
        return False

    return host.do(ask)


def spoofed(host: Host, there: str) -> bool:
    """Take an address of the staff network."""
    source = "2a00:10::99" if ":" in there else "10.10.0.99"
    length = "128" if ":" in there else "32"
    host.run(
        "ip", "address", "replace", f"{source}/{length}", "dev", "eth0", *(["nodad"] if ":" in source else [])
    )
    try:
        printed = host.run("curl", "-sk", "-m", "2", "--interface", source, "--resolve", f"{OK}:80:{'[' + there + ']' if ':' in there else there}", f"http://{OK}/")  # fmt: skip
        return "real site" not in printed
    finally:
        host.run("ip", "address", "del", f"{source}/{length}", "dev", "eth0")


def direct(port: int) -> Act:
    def act(host: Host, there: str) -> bool:
        try:
            host.do(client.connect, host.gateway(there), port).close()
        except ConnectionRefusedError:
            return True
        return False

    return act


def many_doors(host: Host, _: str) -> bool:
    """Knock at 110 addresses with what is no web traffic; nothing comes back from any."""
    knocks = [
        partial(client.exchange, f"45.60.101.{number}", 443, b"\x13junk" * 20) for number in range(1, 111)
    ]
    return not any(isinstance(reply, bytes) and reply for reply in host.do(client.crowd, knocks, 20))


V4 = (FOUR,)
STUN = bytes.fromhex("000100002112a442") + b"0" * 12
TRIES = [
    Try("another resolver over UDP", "foreign_dns", foreign("+notcp")),
    Try("another resolver over TCP", "foreign_dns", foreign("+tcp")),
    Try("DNS over TLS", "dot", tcp(853)),
    Try("Private DNS asked of the box", "private_dns", direct(853)),
    Try("DNS over QUIC", "doq", udp(853)),
    Try("DNS over QUIC, older port", "doq", udp(8853)),
    Try("DNS over QUIC, its draft's port", "doq", udp(784)),
    Try("a resolver's designation", "ddr", dig("_dns.resolver.arpa", "SVCB", wants="ANSWER: 0")),
    Try("Firefox's canary", "doh_canary", dig("use-application-dns.net", wants="NXDOMAIN")),
    Try("Private Relay", "private_relay", dig("mask.icloud.com", "HTTPS", wants="NXDOMAIN")),
    Try("proxy discovery", "wpad", dig("wpad.school.example", wants="NXDOMAIN")),
    Try("DNSCrypt's certificate", "dnscrypt", dig("2.dnscrypt-cert.example.org", "TXT", wants="NXDOMAIN")),
    Try("DNSCrypt on its port", "dnscrypt", udp(5443)),
    Try("an alias to a blocked site", "cname_cloaking", dig("innocent.example", wants="EDE: 15")),
    Try("a name of the box's own address", "rebinding", dig("rb.example", wants="ANSWER: 0")),
    Try("a name that only looks like two labels", "malformed_dns", malformed),
    Try("a tunnel through DNS", "dns_tunnel", tunnel),
    Try("QUIC", "quic", udp(443, b"\xc0\0\0\0\1" + bytes(1200))),
    Try("QUIC on port 80", "quic", udp(80, b"\xc0\0\0\0\1" + bytes(1200))),
    Try("QUIC on port 8443", "quic", udp(8443, b"\xc0\0\0\0\1" + bytes(1200))),
    Try("WireGuard", "wireguard", udp(51820)),
    Try("Tailscale", "wireguard", udp(41641)),
    Try("WireGuard on a port of its own", "wireguard", udp(4242, b"\1\0\0\0" + b"a" * 144)),
    Try("WARP", "wireguard", udp(2408)),
    Try("OpenVPN over UDP", "openvpn", udp(1194)),
    Try("OpenVPN over TCP", "openvpn", tcp(1194)),
    Try("OpenVPN on the web's port", "non_http", plain(b"\x00\x0e\x38aaaaaaaa\0\0\0\0\0", 443)),
    Try("IKE", "ipsec", udp(500)),
    Try("IPsec through NAT", "ipsec", udp(4500)),
    Try("ESP", "ipsec", raw(50)),
    Try("L2TP", "l2tp", udp(1701)),
    Try("PPTP", "pptp", tcp(1723)),
    Try("GRE", "pptp", raw(47)),
    Try("IPv6 in IPv4", "ip_tunnel", raw(41), V4),
    Try("IPv4 in IP", "ip_tunnel", raw(4)),
    Try("Teredo", "ip_tunnel", udp(3544), V4),
    Try("SSH", "ssh", tcp(22)),
    Try("SSH on the web's port", "ssh", plain(b"SSH-2.0-OpenSSH_9.6\r\n", 443)),
    Try("a proxy of the internet", "proxy_port", tcp(3128)),
    Try("SOCKS", "proxy_port", tcp(1080)),
    Try("STUN", "stun", udp(3478)),
    Try("STUN on any port", "stun", udp(40404, STUN)),
    Try("a Tor relay", "tor", tcp(9001)),
    Try("another port", "other_port", tcp(4444)),
    Try("another port over UDP", "other_port", udp(27015)),
    Try("an address of another network", "spoofed_source", spoofed),
    Try("the proxy's own port", "proxy_direct", direct(8420)),
    Try("the staff's proxy port", "proxy_direct", direct(8410)),
    Try("the box's metrics", "proxy_direct", direct(9154)),
    Try("the sinkhole's own port", "proxy_direct", direct(5353)),
    Try("the ClientHello in two segments", "split_hello", split, roles=("pupil",)),
    Try("TLS without a name", "no_sni", inside(request(OK), None)),
    Try("a blocked site by an address of one's own", "hardcoded_ip", inside(request(BAD), BAD)),
    Try("a name that does not exist", "unresolved_destination", inside(request("q3xk7c2lmn5a.invalid"), "q3xk7c2lmn5a.invalid")),
    Try("very many addresses at once", "fan_out", many_doors, V4),
    Try("DNS over HTTPS anywhere", "doh", inside(request(OK, f"/x?dns={DNS_QUERY}")), roles=("pupil",)),
    Try("DNS over HTTPS by its media type", "doh", inside(request(OK, "/", "GET", "Accept: application/dns-message")), roles=("pupil",)),
    Try("DNS over TLS on the web's port", "dot", inside(b"x", OK, ("dot",))),
    Try("a site by its address", "ip_literal", plain(request(FOUR))),
    Try("domain fronting", "fronting", inside(request(BAD)), roles=("pupil",)),
    Try("an Encrypted ClientHello", "ech", encrypted_hello, roles=("guest",)),
    Try("something other than HTTP in TLS", "non_http_tls", inside(b"\x00\x01tunnel\n\x02\x03"), roles=("pupil",)),
    Try("SSTP", "sstp", inside(request(OK, "/sra_%7BBA195980-CD49-458b-9E23-C84EE0ADCD75%7D/", "SSTP_DUPLEX_POST")), roles=("pupil",)),
    Try("an upgrade to a tunnel", "upgrade_tunnel", inside(request(OK, "/switch", "GET", "Upgrade: DERP", "Connection: Upgrade")), roles=("pupil",)),
    Try("CONNECT inside TLS", "proxy_protocol", inside(b"CONNECT facebook.com:443 HTTP/1.1\r\nHost: facebook.com:443\r\n\r\n"), roles=("pupil",)),
    Try("two Host fields", "host_ambiguity", plain(f"GET / HTTP/1.1\r\nHost: {OK}\r\nHost: {BAD}\r\nConnection: close\r\n\r\n".encode())),
    Try("a Host beside the target", "host_ambiguity", plain(f"GET http://{BAD}/ HTTP/1.1\r\nHost: {OK}\r\nConnection: close\r\n\r\n".encode())),
    Try("an odd Host", "odd_host", plain(request(f"{OK}@{BAD}"))),
    Try("an odd method", "odd_method", inside(request(OK, "/", "PROPFIND")), roles=("pupil",)),
    Try("a web proxy's address", "web_proxy", inside(request(OK, "/browse?u=https%253A%252F%252Ffacebook.com%252F")), roles=("pupil",)),
    Try("the school's own machines by address", "private_address", plain(request("10.10.0.1"))),
]  # fmt: skip
