"""What people's machines do, byte by byte: to be called inside a namespace (`Host.do`)."""

import contextlib
import os
import re
import socket
import ssl
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

SECONDS = 60.0  # patience: nothing that is measured


def busy() -> bool:
    """Whether this machine is busy with other things, so that what takes seconds may take many."""
    return os.getloadavg()[0] > 2 * (os.cpu_count() or 1)


def anyone() -> ssl.SSLContext:
    """Return a context that trusts everybody: what is shown is looked at, not believed."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def connect(address: str, port: int, source: str = "") -> socket.socket:
    """Connect over TCP; raises ConnectionRefusedError where that is refused."""
    made = socket.create_connection((address, port), SECONDS, (source, 0) if source else None)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def drain(made: socket.socket, most: int = 1 << 20) -> bytes:
    """Return what comes until the end, an error or a silence of some seconds; of a response no more than it has."""
    found = b""
    with contextlib.suppress(OSError):
        while len(found) < most and not _whole(found) and (part := made.recv(65536)):
            found += part
    return found


def _whole(reply: bytes) -> bool:
    """Whether this is a response that says how long it is, and is."""
    head, end, body = reply.partition(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: *(\d+)", head.lower())
    return bool(end and length) and len(body) >= int(length[1])


def exchange(address: str, port: int, data: bytes, *, pieces: tuple[int, ...] = ()) -> bytes:
    """Send bytes over TCP, the first ones in segments of their own, and return all that comes back."""
    with connect(address, port) as made:
        for size in pieces:
            made.sendall(data[:size])
            data = data[size:]
            time.sleep(0.15)
        made.sendall(data)
        made.settimeout(5)
        return drain(made)


def tls(
    address: str, name: str | None, data: bytes, *, alpn: tuple[str, ...] = (), seconds: float = 5
) -> bytes:
    """Send bytes inside TLS and return what comes back; empty where the handshake is refused."""
    context = anyone()
    if alpn:
        context.set_alpn_protocols(list(alpn))
    with connect(address, 443) as raw:
        try:
            with context.wrap_socket(raw, server_hostname=name) as made:
                made.sendall(data)
                made.settimeout(seconds)
                return drain(made)
        except (ssl.SSLError, OSError):
            return b""


def split_tls(address: str, name: str, *pieces: int) -> bytes:
    """Send a ClientHello whose first bytes come in segments of their own; return the reply to a request.

    Raises:
        OSError: the handshake was refused.

    """
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    made = anyone().wrap_bio(incoming, outgoing, server_hostname=name)
    with connect(address, 443) as raw:
        with contextlib.suppress(ssl.SSLWantReadError):
            made.do_handshake()
        hello = outgoing.read()
        for size in pieces:
            raw.sendall(hello[:size])
            hello = hello[size:]
            time.sleep(0.15)
        raw.sendall(hello)

        def pump(step):
            while True:
                try:
                    done = step()
                except ssl.SSLWantReadError:
                    raw.sendall(outgoing.read())
                    received = raw.recv(65536)
                    if not received:
                        raise ConnectionResetError("closed") from None
                    incoming.write(received)
                else:
                    raw.sendall(outgoing.read())
                    return done

        pump(made.do_handshake)
        pump(lambda: made.write(request(name)))
        return pump(lambda: made.read(65536))


def encrypted_hello(name: str) -> bytes:
    """Return a ClientHello as TLS stacks with Encrypted ClientHello send it: with the extension 0xfe0d (RFC 9849)."""
    outgoing = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        anyone().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name).do_handshake()
    hello = outgoing.read()[9:]  # without the record's and the handshake's header
    at = 34 + 1 + hello[34]  # version, random, session
    at += 2 + int.from_bytes(hello[at : at + 2])
    at += 1 + hello[at]
    extensions = hello[at + 2 :] + b"\xfe\x0d" + (64).to_bytes(2) + bytes(64)
    body = hello[:at] + len(extensions).to_bytes(2) + extensions
    handshake = b"\x01" + len(body).to_bytes(3) + body
    return b"\x16\x03\x01" + len(handshake).to_bytes(2) + handshake


def request(host: str, path: str = "/", method: str = "GET", *fields: str) -> bytes:
    """Write a request that wants the connection closed after it."""
    lines = (f"{method} {path} HTTP/1.1", f"Host: {host}", *fields)
    if not any(field.lower().startswith("connection:") for field in fields):
        lines = (*lines, "Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def datagram(address: str, port: int, data: bytes) -> bytes:
    """Send a datagram, again each second, and return the answer.

    Kernels spare their ICMP errors (six to one address in a burst, then one a second): who sends once may not hear it.

    Raises:
        ConnectionRefusedError: an ICMP error came back.
        TimeoutError: nothing came back.

    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as made:
        made.settimeout(1)
        made.connect((address, port))
        for _ in range(int(SECONDS)):
            made.send(data)
            with contextlib.suppress(TimeoutError):
                return made.recv(4096)
        raise TimeoutError(f"no answer from {address} port {port}")


def send(address: str, port: int, data: bytes) -> None:
    """Send a datagram and wait for nothing."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as made:
        made.sendto(data, (address, port))


def is_blocked_name(server: str, name: str) -> bool:
    """Whether the sinkhole answers a question for an address with its own, or with no such name."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    for _ in range(5):
        with contextlib.suppress(TimeoutError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
            made.settimeout(10)
            made.connect((server, 53))
            made.send(b"\0\1\1\0\0\1\0\0\0\0\0\0" + labels + b"\0\0\1\0\1")
            reply = made.recv(4096)
            assert reply[3] & 15 in {0, 3}, reply
            return reply[3] & 15 == 3 or reply.endswith(socket.inet_aton(server))
    raise TimeoutError(name)


def packet(address: str, protocol: int, data: bytes = b"x" * 32) -> None:
    """Send a packet of another IP protocol."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_RAW, protocol) as made:
        made.settimeout(SECONDS)
        made.sendto(data, (address, 0))


@contextlib.contextmanager
def site(address: str, name: str, roots: str | None) -> Iterator[ssl.SSLSocket]:
    """Connect to a site by TLS and believe only the given certificate; None believes everybody."""
    context = anyone() if roots is None else ssl.create_default_context(cafile=roots)
    with (
        socket.create_connection((address, 443), 60) as raw,
        context.wrap_socket(raw, server_hostname=name) as made,
    ):
        made.settimeout(60)
        yield made


def fetch(address: str, name: str, roots: str | None = None, path: str = "/", *fields: str) -> bytes:
    """Fetch a page; raises OSError where that is impossible."""
    with site(address, name, roots) as made:
        made.sendall(request(name, path, "GET", *fields))
        return drain(made)


def crowd(jobs: list[Callable[[], bytes]], threads: int) -> list[bytes | Exception]:
    """Do many things at once, each in a thread of this machine's; an exception is a result like any other."""

    def attempt(job: Callable[[], bytes]) -> bytes | Exception:
        try:
            return job()
        except Exception as error:
            return error

    with ThreadPoolExecutor(threads) as pool:  # threads are born into the namespace of who makes them
        return list(pool.map(attempt, jobs))


def until_closed(address: str, name: str, path: str, websocket: bool) -> tuple[bytes, float]:
    """Hold a stream or a websocket open; return how it began, and when (Unix time) it was closed."""
    upgrade = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")  # fmt: skip
    with site(address, name, None) as made:
        made.sendall(request(name, path, "GET", *(upgrade if websocket else ())))
        first = made.recv(65536)
        with contextlib.suppress(OSError):
            while True:
                if websocket:
                    made.sendall(b"\x81\x84\0\0\0\0ping")
                    time.sleep(0.1)
                if not made.recv(65536):
                    break
        return first, time.time()


def echoed(address: str, name: str) -> bytes:
    """Send a websocket message and return the echo."""
    upgrade = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")  # fmt: skip
    with site(address, name, None) as made:
        made.sendall(request(name, "/ws", "GET", *upgrade))
        head = made.recv(65536)
        if not head.startswith(b"HTTP/1.1 101"):
            return head
        made.sendall(b"\x81\x84\0\0\0\0ping")
        return made.recv(64)


def events(address: str, name: str, count: int) -> list[float]:
    """Read server-sent events; return when (monotonic) each of so many arrived."""
    with site(address, name, None) as made:
        made.sendall(request(name, "/sse"))
        found, at = b"", []
        while len(at) < count and (part := made.recv(65536)):
            found += part
            at += [time.monotonic()] * (found.count(b"data: tick") - len(at))
        return at


def handshake(address: str, name: str, roots: str) -> str:
    """Return who signed the certificate that a site shows; raises ssl.SSLError where that is nobody we believe."""
    with site(address, name, roots) as made:
        issuer = made.getpeercert()["issuer"]
        return dict(pair for (pair,) in issuer)[
            "commonName" if "commonName" in str(issuer) else "organizationName"
        ]


def page(url: str) -> str:
    """Fetch a page without a proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=SECONDS) as response:
        return response.read().decode()
