"""Ways round the filter as a pupil tries them where there are no namespaces: by DNS, through the proxy, and on paper.

What goes through DNS and proxy is really done, from a pupil's loopback address. Packets that only a firewall could refuse
are stood for by what nft would print of them.
"""

import base64
import contextlib
import json
import os
import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from dnslib import QTYPE, RCODE, DNSRecord
from netns_clients import anyone, drain, request
from running import PUPIL, Address

from schoolgate.demo.internet import GREETING

OK, BAD = "school.example", "www.facebook.com"
QUIET = 10.0  # seconds
_QUESTION = (
    base64.urlsafe_b64encode(bytes(DNSRecord.question("www.example.com").pack())).rstrip(b"=").decode()
)
_UPGRADE = ("Upgrade: DERP", "Connection: Upgrade")
_SSTP = "/sra_%7BBA195980-CD49-458b-9E23-C84EE0ADCD75%7D/"
_NO_NAME = b"\0\1\1\0\0\1\0\0\0\0\0\0\x10www.facebook.com\0\0\1\0\1"  # one label, with dots in it


@dataclass(frozen=True)
class Way:
    """One way: what it is counted as, and how it is done; `act` gets where the part listens and says whether it failed."""

    technique: str
    act: Callable[[Address], bool]


# -- names -----------------------------------------------------------------------------------------------------


def _ask(dns: Address, data: bytes) -> DNSRecord:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind((PUPIL, 0))
        made.settimeout(QUIET)
        for _ in range(6):
            made.sendto(data, dns)
            with contextlib.suppress(TimeoutError):
                return DNSRecord.parse(made.recv(4096))
    raise TimeoutError(f"no answer from {dns}")


def name(host: str, qtype: str = "A", number: int | None = None) -> Callable[[Address], bool]:
    """Ask for a name; it worked if the internet's own answer comes back."""

    def act(dns: Address) -> bool:
        query = DNSRecord.question(host, qtype if number is None else "A")
        query.q.qtype = number or getattr(QTYPE, qtype)
        return "127.0.99." not in str(_ask(dns, bytes(query.pack())))

    return act


def _malformed(dns: Address) -> bool:
    return _ask(dns, _NO_NAME).header.rcode == RCODE.FORMERR


def _tunnel(dns: Address) -> bool:
    domain = f"{os.urandom(4).hex()}.example"
    for _ in range(230):
        query = DNSRecord.question(f"{os.urandom(20).hex()}.{domain}", "TXT")
        if _ask(dns, bytes(query.pack())).header.rcode == RCODE.REFUSED:
            return True
    return False


BY_NAME = [
    Way("ddr", name("_dns.resolver.arpa", number=64)),
    Way("doh_canary", name("use-application-dns.net")),
    Way("private_relay", name("mask.icloud.com")),
    Way("wpad", name("wpad")),
    Way("dnscrypt", name("2.dnscrypt-cert.example.org", "TXT")),
    Way("malformed_dns", _malformed),
    Way("dns_tunnel", _tunnel),
    Way("vpn", name("nordvpn.com")),
    Way("tor", name("www.torproject.org")),
    Way("web_proxy", name("www.croxyproxy.com")),
    Way("translator", name("www-facebook-com.translate.goog")),
    Way("doh", name("dns.google")),
]


# -- the web ---------------------------------------------------------------------------------------------------


def _through(proxy: Address, data: bytes) -> bytes:
    with socket.create_connection(proxy, QUIET, (PUPIL, 0)) as made:
        made.sendall(data)
        return drain(made)


def plain(data: bytes) -> Callable[[Address], bool]:
    """Send bytes to the proxy as they are."""
    return lambda proxy: GREETING.encode() not in _through(proxy, data)


def tunnel(data: bytes, host: str = OK, port: int = 443) -> Callable[[Address], bool]:
    """Send bytes through a tunnel of the proxy."""

    def act(proxy: Address) -> bool:
        with socket.create_connection(proxy, QUIET, (PUPIL, 0)) as made:
            if not _open(made, host, port):
                return True
            made.sendall(data)
            return GREETING.encode() not in drain(made)

    return act


def inside(
    data: bytes, host: str = OK, sni: str | None = None, alpn: tuple[str, ...] = ()
) -> Callable[[Address], bool]:
    """Send bytes inside TLS to a site; it worked if the site itself answers, or is reached at all where a name is false."""

    def act(proxy: Address) -> bool:
        context = anyone()
        if alpn:
            context.set_alpn_protocols(list(alpn))
        with socket.create_connection(proxy, QUIET, (PUPIL, 0)) as raw:
            if not _open(raw, host, 443):
                return True
            try:
                with context.wrap_socket(raw, server_hostname=sni or host) as made:
                    made.settimeout(QUIET)
                    made.sendall(data)
                    return GREETING.encode() not in drain(made)
            except (ssl.SSLError, OSError):
                return True

    return act


def _open(made: socket.socket, host: str, port: int) -> bool:
    made.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head and (part := made.recv(4096)):
        head += part
    return head.startswith(b"HTTP/1.1 200")


def _to(host: str, target: str = "", *fields: str) -> bytes:
    lines = (
        f"GET {target or f'http://{host}/'} HTTP/1.1",
        *(fields or (f"Host: {host}",)),
        "Connection: close",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


BY_PROXY = [
    Way("ip_literal", plain(_to("45.60.9.9"))),
    Way("private_address", plain(_to("10.10.0.1"))),
    Way("host_ambiguity", plain(_to(OK, f"http://{OK}/", f"Host: {BAD}"))),
    Way("odd_host", inside(request(f"{OK}@{BAD}"))),
    Way("smuggling", inside(f"GET / HTTP/1.1\r\nHost: {OK}\r\n folded\r\n\r\n".encode())),
    Way("odd_method", inside(request(OK, "/", "PROPFIND"))),
    Way("sstp", inside(request(OK, _SSTP, "SSTP_DUPLEX_POST"))),
    Way("upgrade_tunnel", inside(request(OK, "/switch", "GET", *_UPGRADE))),
    Way("proxy_protocol", inside(f"CONNECT {BAD}:443 HTTP/1.1\r\nHost: {BAD}:443\r\n\r\n".encode())),
    Way("fronting", inside(request(BAD))),
    Way("sni_mismatch", inside(request(OK), OK, "lessons.example")),
    Way("doh", inside(request(OK, f"/x?dns={_QUESTION}"))),
    Way("dot", inside(b"x", alpn=("dot",))),
    Way("non_http_tls", inside(b"\x00\x01tunnel\n\x02\x03")),
    Way("non_http", tunnel(b"\x00\x0e\x38aaaaaaaa\0\0\0\0\0")),
    Way("web_proxy", inside(request(OK, "/browse?u=https%253A%252F%252Fwww.facebook.com%252F"))),
]


# -- packets ---------------------------------------------------------------------------------------------------

BY_PACKET = (
    "foreign_dns", "dot", "doq", "dnscrypt", "quic", "wireguard", "openvpn", "ipsec", "l2tp", "pptp", "ip_tunnel", "ssh",
    "proxy_port", "stun", "tor", "proxy_direct", "spoofed_source", "other_port",
)  # fmt: skip


def listed(techniques: Iterable[str], address: str = PUPIL, packets: int = 3) -> str:
    """Return what `nft -j list table` prints where an address was refused for each of these techniques."""
    found: list[dict[str, object]] = [{"metainfo": {"json_schema_version": 1}}]
    for one in techniques:
        count = {"packets": packets, "bytes": 60 * packets}
        found.append({"counter": {"family": "inet", "table": "schoolgate", "name": f"{one}_pupils", **count}})
        element = {"elem": {"val": {"concat": ["vlan20", address]}, "expires": 3000, "counter": count}}
        found.append(
            {"set": {"family": "inet", "table": "schoolgate", "name": f"{one}_4", "elem": [element]}}
        )
    return json.dumps({"nftables": found})
