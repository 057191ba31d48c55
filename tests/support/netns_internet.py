"""The stand-in internet of the school in namespaces: run inside the namespace `wan`, which has every address.

    python netns_internet.py FOLDER

It answers for any name over DNS, HTTP and TLS, and writes one JSON line to FOLDER/log for everything that reaches it:
each packet that begins something (`packet`), each question (`dns`), each ClientHello (`hello`), each request
(`request`). FOLDER/roots.pem is the certificate its sites are signed by.
"""

import base64
import hashlib
import json
import os
import socket
import socketserver
import ssl
import struct
import sys
import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import trustme
from dnslib import AAAA, CNAME, HTTPS, QTYPE, RCODE, RR, TXT, A, DNSError, DNSRecord

RESOLVER4, RESOLVER6 = "45.60.0.53", "2a00:9::53"
BANK4 = "45.60.77.7"
PRIVATE = ("10.20.0.1", "127.0.0.1")
RAW_PORTS = (22, 853, 1080, 1194, 1723, 3128, 8080, 9001)
GREETING = "this is the real site"
_OUTGOING = 4  # packet(7): PACKET_OUTGOING
_DISCOVERY = range(130, 144)  # ICMPv6 that every link carries
_lock = threading.Lock()


class Log:
    """One JSON line for each thing that arrived."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("a", buffering=1)

    def __call__(self, kind: str, **more: object) -> None:
        with _lock:
            self._file.write(json.dumps({"kind": kind, **more}) + "\n")


def watch_packets(log: Log) -> None:
    """Note every packet from outside that begins something: TCP SYN, any UDP, any other protocol."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3)) as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        while True:
            data, (device, kind, direction, *_) = raw.recvfrom(65535)
            if direction == _OUTGOING or device == "lo" or kind not in {0x0800, 0x86DD}:
                continue
            if kind == 0x0800:
                protocol, start = data[9], (data[0] & 15) * 4
                source, target = (socket.inet_ntop(socket.AF_INET, data[at : at + 4]) for at in (12, 16))
            else:
                protocol, start = data[6], 40
                source, target = (socket.inet_ntop(socket.AF_INET6, data[at : at + 16]) for at in (8, 24))
            if protocol == 6 and data[start + 13] & 0x12 != 0x02:
                continue
            if protocol == 58 and data[start] in _DISCOVERY:
                continue
            port = struct.unpack_from("!H", data, start + 2)[0] if protocol in {6, 17} else 0
            log("packet", protocol=protocol, source=source, target=target, port=port)


class Names(socketserver.BaseRequestHandler):
    """An authority for every name there is."""

    log: Log

    def handle(self) -> None:
        data, sock = self.request
        try:
            query = DNSRecord.parse(data)
        except DNSError:
            return
        name, kind = str(query.q.qname).rstrip(".").lower(), QTYPE.get(query.q.qtype)
        self.log("dns", name=name, type=str(kind))
        reply = query.reply(ra=1, aa=1)
        for record in _records(name, str(kind)):
            reply.add_answer(
                RR(query.q.qname if record[0] is None else record[0], record[1], rdata=record[2], ttl=60)
            )
        if name.startswith("nope."):
            reply.header.rcode = RCODE.NXDOMAIN
        sock.sendto(reply.pack(), self.client_address)


def _records(name: str, kind: str) -> list[tuple]:
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:1]) or 1
    if name.startswith("nope."):
        return []
    if name == "innocent.example":
        return [(None, QTYPE.CNAME, CNAME("facebook.com")), ("facebook.com", QTYPE.A, A("45.60.9.9"))]
    if name == "rb.example" and kind == "A":
        return [(None, QTYPE.A, A(one)) for one in PRIVATE]
    if name == "rb.example":
        return []
    if name == "bank.example":
        return [(None, QTYPE.A, A(BANK4))] if kind == "A" else []
    match kind:
        case "A":
            return [(None, QTYPE.A, A(f"45.60.1.{number}"))]
        case "AAAA":
            return [(None, QTYPE.AAAA, AAAA(f"2a00:9:1::{number:x}"))]
        case "HTTPS":
            given = [(1, b"\x02h3\x02h2"), (5, b"\x00\x04abcd")]  # alpn, ech
            return [(None, QTYPE.HTTPS, HTTPS(1, "", given))]
        case "TXT":
            return [(None, QTYPE.TXT, TXT("text"))]
    return []


class Web(BaseHTTPRequestHandler):
    """Every site."""

    protocol_version = "HTTP/1.1"
    log: Log

    def answer(self) -> None:
        body = self._body()
        sni = getattr(self.connection, "school_sni", None)
        host = self.headers.get("Host", "")
        self.log("request", method=self.command, host=host, sni=sni, path=self.path, octets=len(body))
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        match path:
            case "/big":
                self._big(int(query["octets"][0]))
            case "/stream" | "/sse":
                self._stream()
            case "/ws":
                self._echo()
            case "/switch":
                self._head(101, {"Upgrade": "derp", "Connection": "Upgrade"})
            case "/generate_204":
                self._head(204, {})
            case "/dns-query":
                self._send(b"\0\1\x81\x80" + b"\0" * 8, "application/dns-message")
            case "/c/msdownload/update.cab" if "Range" in self.headers:
                self._part(self.headers["Range"])
            case _:
                self._send(f"{GREETING}: {host} got {len(body)} octets\n".encode(), "text/plain")

    do_GET = do_HEAD = do_POST = do_PUT = do_OPTIONS = do_CONNECT = do_SSTP_DUPLEX_POST = answer  # noqa: N815

    def _head(self, status: int, fields: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()

    def _send(self, content: bytes, kind: str) -> None:
        self._head(200, {"Content-Type": kind, "Content-Length": str(len(content)), "Alt-Svc": 'h3=":443"'})
        if self.command != "HEAD":
            self.wfile.write(content)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _part(self, wanted: str) -> None:
        first, last = (int(number) for number in wanted.removeprefix("bytes=").split("-"))
        size = str(last - first + 1)
        self._head(206, {"Content-Range": f"bytes {first}-{last}/1048576", "Content-Length": size})
        self.wfile.write(bytes(int(size)))

    def _big(self, octets: int) -> None:
        self._head(200, {"Content-Type": "application/octet-stream", "Content-Length": str(octets)})
        block = bytes(1 << 20)
        while octets > 0:
            self.wfile.write(block[:octets])
            octets -= len(block)

    def _stream(self) -> None:
        self._head(200, {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"})
        try:
            while True:
                self.wfile.write(b"c\r\ndata: tick\n\n\r\n")
                time.sleep(0.1)
        except OSError:
            self.close_connection = True

    def _echo(self) -> None:
        """Be a websocket (RFC 6455) that returns each four-octet message."""
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        proof = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        self._head(101, {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": proof})
        while len(frame := self.rfile.read(10)) == 10 and frame[0] == 0x81:
            self.wfile.write(b"\x81\x04" + bytes(a ^ b for a, b in zip(frame[6:], frame[2:6], strict=True)))
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing: the log is ours."""


class Sites(ThreadingHTTPServer):
    """The web server, with TLS where it has certificates."""

    daemon_threads = True
    request_queue_size = 1024
    address_family = socket.AF_INET6

    def __init__(self, port: int, handler: type, tls: "Certificates | None" = None) -> None:
        self._tls = tls
        super().__init__(("::", port), handler)

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super(ThreadingHTTPServer, self).server_bind()
        self.server_name, self.server_port = "internet", self.server_address[1]

    def finish_request(self, request: socket.socket, client_address: object) -> None:
        if self._tls is None:
            super().finish_request(request, client_address)
            return
        request.settimeout(60)
        try:
            wrapped = self._tls.listener().wrap_socket(request, server_side=True)
        except (OSError, ssl.SSLError):
            return
        with wrapped:
            super().finish_request(wrapped, client_address)

    def handle_error(self, *_: object) -> None:
        """Say nothing: clients that go away are part of the tests."""


class Certificates:
    """A certificate for whatever name is asked for; some sites have bad ones."""

    def __init__(self, folder: Path, log: Log) -> None:
        self._good, self._other = trustme.CA(), trustme.CA()
        self._good.cert_pem.write_to_path(str(folder / "roots.pem"))
        self._unnamed = self._good.issue_cert("unnamed.example")
        self._log = log
        self._ready: dict[str, ssl.SSLContext] = {}

    def listener(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._unnamed.configure_cert(context)
        context.sni_callback = self._choose
        return context

    def _choose(self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        self._log("hello", sni=name)
        connection.school_sni = name  # type: ignore[attr-defined]
        if name is not None:
            connection.context = self._of(name)

    def _of(self, name: str) -> ssl.SSLContext:
        with _lock:
            found = self._ready.get(name)
        if found is None:
            found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._leaf_of(name).configure_cert(found)
            with _lock:
                self._ready[name] = found
        return found

    def _leaf_of(self, name: str) -> trustme.LeafCert:
        if name == "selfsigned.example":
            return self._other.issue_cert(name, key_type=trustme.KeyType.ECDSA)
        if name == "expired.example":
            return self._good.issue_cert(
                name, key_type=trustme.KeyType.ECDSA, not_after=datetime(2020, 1, 1, tzinfo=UTC)
            )
        return self._good.issue_cert(name, key_type=trustme.KeyType.ECDSA)


class Raw(socketserver.BaseRequestHandler):
    """Takes whatever comes on a port of some other service."""

    log: Log

    def handle(self) -> None:
        self.request.settimeout(5)
        try:
            data = self.request.recv(4096)
        except OSError:
            data = b""
        self.log("raw", port=self.server.server_address[1], octets=len(data))


class _Six(socketserver.ThreadingUDPServer):
    address_family = socket.AF_INET6


class _RawServer(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6
    daemon_threads = True
    allow_reuse_address = True


def main(folder: Path) -> None:
    """Serve until killed."""
    log = Log(folder / "log")
    for handler in (Names, Web, Raw):
        handler.log = log
    certificates = Certificates(folder, log)
    names = (socketserver.ThreadingUDPServer((RESOLVER4, 53), Names), _Six((RESOLVER6, 53), Names))
    own = os.getpid()
    if not os.fork():  # names are answered by a process of their own, however busy the sites are
        _serve(names)
        while os.getppid() == own:
            time.sleep(0.2)
        os._exit(0)
    sites = (
        Sites(80, Web),
        Sites(443, Web, certificates),
        *(_RawServer(("::", port), Raw) for port in RAW_PORTS),
    )
    _serve(sites)
    (folder / "ready").touch()
    watch_packets(log)


def _serve(servers: Iterable[socketserver.BaseServer]) -> None:
    for server in servers:
        threading.Thread(target=server.serve_forever, args=(0.2,), daemon=True).start()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
