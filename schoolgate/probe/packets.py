"""Ways round that are packets: only a machine within a network can try them, since the firewall stands behind it.

Each goes to a server of the world that would answer if it were reached; silence and a refusal are both as promised.
"""

import contextlib
import socket
from collections.abc import Callable, Iterator

from dnslib import RCODE, DNSError, DNSRecord

from schoolgate.probe.promises import Check, Look
from schoolgate_exceptions.probe_record import Finding, Group, Kind, Result

_SECONDS = 3.0
_CANARY = "use-application-dns.net"  # exists in the world, and nowhere behind this filter
_QUIC = b"\xc0\x0a\x0a\x0a\x0a\x08schlgate\x08schlgate\x00" + bytes(
    1180
)  # a version that makes a server list its own
_STUN = bytes.fromhex("000100002112a442") + b"schoolgate--"
_AWAY = (
    "the box's own packets do not pass its firewall; schoolgate probe --inside tries it on a machine there"
)
TRIED = {
    "another resolver over UDP": lambda: _resolver("8.8.8.8", socket.SOCK_DGRAM),
    "another resolver over TCP": lambda: _resolver("1.1.1.1", socket.SOCK_STREAM),
    "another resolver over IPv6": lambda: _resolver("2001:4860:4860::8888", socket.SOCK_DGRAM),
    "DNS over TLS": lambda: _connects("9.9.9.9", 853),
    "DNS over TLS over IPv6": lambda: _connects("2620:fe::fe", 853),
    "DNS over QUIC": lambda: _answers("94.140.14.14", 853, _QUIC),
    "QUIC": lambda: _answers("1.1.1.1", 443, _QUIC),
    "QUIC over IPv6": lambda: _answers("2606:4700:4700::1111", 443, _QUIC),
    "STUN": lambda: _answers("74.125.250.129", 19302, _STUN),
    "SSH": lambda: _connects("140.82.121.4", 22),
    "an alternative port": lambda: _connects("1.1.1.1", 8443),
}  # fmt: skip


def checks() -> Iterator[Check]:
    """Yield what can be tried from a machine within a network."""
    for what, ask in TRIED.items():
        yield Check(Kind.CIRCUMVENTION, "firewall", what, "refused", _stays_in(ask))


def away(network: str) -> Group:
    """Return the same as things that cannot be tried from the box."""
    found = tuple(Finding(what, Result.UNREACHED, "refused", _AWAY) for what in TRIED)
    return Group(network, Kind.CIRCUMVENTION, "firewall", (), found)


def _stays_in(ask: Callable[[], str]) -> Look:
    def look() -> tuple[Result, str]:
        try:
            through = ask()
        except OSError as error:
            return Result.KEPT, (error.strerror or "no answer").lower()
        return (Result.BROKEN, through) if through else (Result.KEPT, "answered by the filter")

    return look


def _resolver(address: str, kind: socket.SocketKind) -> str:
    """Ask a resolver of the world for what behind the filter does not exist; return what it said instead."""
    asked = DNSRecord.question(_CANARY).pack()
    with _socket(address, kind) as sock:
        sock.connect((address, 53))
        if kind is socket.SOCK_STREAM:
            sock.sendall(len(asked).to_bytes(2) + asked)
            reply = sock.recv(4096)[2:]
        else:
            sock.send(asked)
            reply = sock.recv(4096)
    with contextlib.suppress(DNSError):
        code = DNSRecord.parse(reply).header.rcode
        return "" if code == RCODE.NXDOMAIN else f"{address} answered {RCODE.get(code)}"
    return ""


def _connects(address: str, port: int) -> str:
    with _socket(address, socket.SOCK_STREAM) as sock:
        sock.connect((address, port))
    return f"{address} took a connection to {port}"


def _answers(address: str, port: int, data: bytes) -> str:
    with _socket(address, socket.SOCK_DGRAM) as sock:
        sock.connect((address, port))
        sock.send(data)
        sock.recv(4096)
    return f"{address} answered on {port}"


def _socket(address: str, kind: socket.SocketKind) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    sock.settimeout(_SECONDS)
    return sock
