"""Asks the running sinkhole and proxy as a device would, from an address of a network. Blocking; safe in threads."""

import contextlib
import socket
import ssl
from dataclasses import dataclass
from enum import StrEnum

from dnslib import EDNS0, QTYPE, RCODE, DNSError, DNSRecord

from schoolgate.settings import Endpoint

_SECONDS = 6.0
_TRIES = 2
_FILTERED = frozenset({15, 16, 17})  # RFC 8914: Blocked, Censored, Filtered
_NO_ANSWER_OF_THE_WORLD = frozenset({RCODE.SERVFAIL, RCODE.REFUSED})
_MOST = 65_536


class Verdict(StrEnum):
    """What a device experiences."""

    BLOCKED = "blocked"
    OPEN = "open"
    CLOSED = "closed"  # without an answer; nothing came through
    NONE = "no answer"


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen, and the words for it."""

    verdict: Verdict
    words: str


@dataclass(frozen=True, slots=True)
class Device:
    """Somebody who asks: from an address, a resolver and a proxy.

    Where the firewall leads connections to the proxy by itself (`transparent`), `proxy` is any address in the world.
    """

    source: str
    dns: Endpoint
    proxy: Endpoint | None
    transparent: bool = False

    def query(self, name: str, qtype: str = "A") -> DNSRecord | None:
        """Ask for a name; None where nothing answers."""
        asked = DNSRecord.question(name, qtype)
        asked.add_ar(EDNS0(udp_len=1232))
        return self.send(asked.pack())

    def send(self, query: bytes) -> DNSRecord | None:
        """Send a DNS message and return the answer; over TCP where it is cut off."""
        for _ in range(_TRIES):
            reply = self._datagram(query)
            if reply is not None and reply.header.tc:
                return self._stream(query) or reply
            if reply is not None:
                return reply
        return None

    def resolves(self, name: str) -> Seen:
        """Ask for a name's address and tell what became of it."""
        reply = self.query(name)
        if reply is None:
            return Seen(Verdict.NONE, "the sinkhole does not answer")
        code = RCODE.get(reply.header.rcode)
        if _extended_error(reply) in _FILTERED:
            return Seen(Verdict.BLOCKED, f"{code}, blocked")
        if reply.header.rcode in _NO_ANSWER_OF_THE_WORLD:
            return Seen(Verdict.NONE, str(code))
        found = [str(one.rdata) for one in reply.rr if one.rtype == QTYPE.A]
        return Seen(Verdict.OPEN, ", ".join(found[:2]) or str(code))

    def request(self, data: bytes) -> Seen:
        """Send a request to the proxy and tell what became of it."""
        try:
            with self.connect(80) as sock:
                sock.sendall(data)
                return _of_answer(_head(sock))
        except OSError as error:
            return _of_error(error)

    def fetch(self, host: str) -> Seen:
        """Ask the proxy for the first page of a host over plain HTTP."""
        target = "/" if self.transparent else f"http://{host}/"
        lines = f"GET {target} HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\nConnection: close\r\n\r\n"
        return self.request(lines.encode())

    def fetch_tls(self, host: str, *, name: str | None = None, send: bytes = b"") -> Seen:
        """Ask the proxy for a host over TLS, with another server name or other octets inside where wanted."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = (
            False,
            ssl.CERT_NONE,
        )  # whoever answers is looked at, not trusted
        inside = (
            send
            or f"GET / HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\nConnection: close\r\n\r\n".encode()
        )
        try:
            with self.connect(443) as sock:
                if not self.transparent:
                    sock.sendall(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode())
                    head = _head(sock)
                    if not head.startswith(b"HTTP/1.1 200 "):
                        return _of_answer(head)
                with context.wrap_socket(sock, server_hostname=name or host) as tls:
                    tls.sendall(inside)
                    return _of_answer(_head(tls))
        except ssl.SSLError as error:
            if "ALERT" in str(error.reason) or "UNRECOGNIZED_NAME" in str(error.reason):
                return Seen(Verdict.BLOCKED, "refused in the handshake")
            return _of_error(error)
        except OSError as error:
            return _of_error(error)

    def _datagram(self, query: bytes) -> DNSRecord | None:
        with contextlib.suppress(OSError, DNSError), socket.socket(self._family, socket.SOCK_DGRAM) as sock:
            sock.settimeout(_SECONDS / 2)
            self._bind(sock)
            sock.connect(self.dns)
            sock.send(query)
            while True:
                reply = DNSRecord.parse(sock.recv(4096))
                if reply.header.id == int.from_bytes(query[:2]):
                    return reply
        return None

    def _stream(self, query: bytes) -> DNSRecord | None:
        with contextlib.suppress(OSError, DNSError), socket.socket(self._family, socket.SOCK_STREAM) as sock:
            sock.settimeout(_SECONDS)
            self._bind(sock)
            sock.connect(self.dns)
            sock.sendall(len(query).to_bytes(2) + query)
            with sock.makefile("rb") as file:
                return DNSRecord.parse(file.read(int.from_bytes(file.read(2))))
        return None

    def connect(self, port: int) -> socket.socket:
        """Connect to the proxy, or to a port in the world where that leads there. Raises OSError."""
        if self.proxy is None:
            raise OSError("there is no proxy to ask")
        at = (self.proxy.host, port) if self.transparent else self.proxy
        return socket.create_connection(at, timeout=_SECONDS, source_address=(self.source, 0))

    def _bind(self, sock: socket.socket) -> None:
        sock.bind((self.source, 0))

    @property
    def _family(self) -> socket.AddressFamily:
        return socket.AF_INET6 if ":" in self.dns.host else socket.AF_INET


def _extended_error(reply: DNSRecord) -> int | None:
    for record in reply.ar:
        if record.rtype == QTYPE.OPT:
            for option in record.rdata:
                if option.code == 15:
                    return int.from_bytes(option.data[:2])
    return None


def _head(sock: socket.socket) -> bytes:
    """Read up to the end of a response's head, or what there is of it."""
    data = b""
    while b"\r\n\r\n" not in data and len(data) < _MOST:
        more = sock.recv(4096)
        if not more:
            break
        data += more
    return data.partition(b"\r\n\r\n")[0]


def _of_answer(head: bytes) -> Seen:
    """Tell a page of the filter's own from whatever comes from elsewhere."""
    line, _, fields = head.partition(b"\r\n")
    if not line:
        return Seen(Verdict.CLOSED, "closed without an answer")
    words = line.decode("latin-1").split(" ")
    code, lower = words[1] if len(words) > 1 else "", fields.lower()
    ours = b"referrer-policy: no-referrer" in lower and b"cache-control: no-store" in lower
    if code in {"400", "403", "405", "421"} and (ours or b"server: schoolgate" in lower):
        return Seen(Verdict.BLOCKED, f"{code}, blocked")
    if code == "502" and b"server: schoolgate" in lower:
        return Seen(Verdict.OPEN, "let through, the site did not answer")
    return Seen(Verdict.OPEN, f"{code or 'not HTTP'}, from elsewhere")


def _of_error(error: OSError) -> Seen:
    if isinstance(error, ConnectionRefusedError):
        return Seen(Verdict.NONE, "the proxy does not answer")
    if isinstance(error, ConnectionResetError | BrokenPipeError | ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return Seen(Verdict.CLOSED, "closed while it was asked")
    return Seen(Verdict.NONE, (error.strerror or type(error).__name__).lower())
