"""The gate in front of mitmproxy: judged on the first bytes, whatever they look like, and open to nobody else."""

import os
import resource
import signal
import socket
import ssl
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from ports import free_port

from schoolgate_policy.decision import Verdict

_PUBLIC = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
PUPIL, STAFF, GUEST = "127.0.20.5", "127.0.10.5", "127.0.30.5"


def _hello(context: ssl.SSLContext, name: str) -> tuple[ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO, bytes]:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with suppress(ssl.SSLWantReadError):
        connection.do_handshake()
    return connection, incoming, outgoing, outgoing.read()


def _handshake(
    raw: socket.socket, context: ssl.SSLContext, name: str, pieces: Any, pause: float = 0.0
) -> ssl.SSLObject:
    """Send a ClientHello as `pieces` makes it, then finish the handshake."""
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection, incoming, outgoing, hello = _hello(context, name)
    for piece in pieces(hello):
        raw.sendall(piece)
        time.sleep(pause)
    while True:
        try:
            connection.do_handshake()
        except ssl.SSLWantReadError:
            raw.sendall(outgoing.read())
            data = raw.recv(65536)
            if not data:
                raise ConnectionResetError("closed in the handshake") from None
            incoming.write(data)
        else:
            raw.sendall(outgoing.read())
            return connection


def _records(size: int) -> Any:
    def spread(hello: bytes) -> list[bytes]:
        message = hello[5:]
        parts = [message[at : at + size] for at in range(0, len(message), size)]
        return [b"".join(hello[:3] + len(part).to_bytes(2) + part for part in parts)]

    return spread


@pytest.mark.parametrize("size", [1, 2, 3, 50, 300])
@pytest.mark.parametrize("host", ["fine.example", "blocked.example"])
def test_hello_in_many_records_is_judged(internet: Any, size: int, host: str) -> None:
    """A ClientHello in records of any size is opened, and shows our certificate (enforcement A2.5)."""
    with internet.tunnel(host) as raw:
        connection = _handshake(raw, internet.context(), host, _records(size))
        assert "Schoolgate" in str((connection.getpeercert() or {})["issuer"])
    assert "split_hello" in internet.notes.techniques
    assert internet.untouched


@pytest.mark.parametrize("size", [1, 7])
def test_hello_in_very_many_segments_is_judged_in_time(internet: Any, size: int) -> None:
    """Very many tiny segments are looked at ever more rarely, and judged all the same."""

    def segments(hello: bytes) -> list[bytes]:
        return [hello[at : at + size] for at in range(0, 120, size)] + [hello[-(-120 // size) * size :]]

    with internet.tunnel("blocked.example") as raw:
        connection = _handshake(raw, internet.context(), "blocked.example", segments, pause=0.001)
        assert "Schoolgate" in str((connection.getpeercert() or {})["issuer"])


def test_too_long_a_hello_is_refused(internet: Any) -> None:
    """More than 16 KB of ClientHello goes nowhere, at once."""
    with internet.tunnel("fine.example", GUEST) as raw:
        raw.sendall(b"\x16\x03\x01\x40\x00\x01\x00\x60\x00" + bytes(16_000))
        assert raw.recv(100) == b""
    assert internet.untouched


def test_the_name_an_encrypted_hello_hides_behind_is_refused(internet: Any) -> None:
    """Where nothing is opened, the public name of Encrypted ClientHello is refused: it may stand for any name."""

    def with_ech(hello: bytes) -> list[bytes]:
        extension = b"\xfe\x0d\x00\x02\x00\x00"
        at = 5 + 4 + 2 + 32
        at += 1 + hello[at]
        at += 2 + int.from_bytes(hello[at : at + 2])
        at += 1 + hello[at]
        length = int.from_bytes(hello[at : at + 2]) + len(extension)
        message = hello[9:at] + length.to_bytes(2) + hello[at + 2 :] + extension
        return [hello[:3] + (len(message) + 4).to_bytes(2) + b"\x01" + len(message).to_bytes(3) + message]

    with internet.tunnel("cloudflare-ech.com", GUEST) as raw, pytest.raises(ssl.SSLError):
        _handshake(raw, internet.context(), "cloudflare-ech.com", with_ech)
    assert "ech" in internet.notes.techniques
    assert internet.untouched


def test_a_blocked_plain_page_is_answered_by_the_gate(internet: Any) -> None:
    """Plain HTTP to a blocked site gets the page without mitmproxy, also after a body that nobody reads."""
    reply = internet.plain(
        b"GET http://blocked.example/ HTTP/1.1\r\nHost: blocked.example\r\nAccept: text/html\r\n\r\n"
    )
    assert reply.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert b"social media" in reply
    body = b"x" * 200_000
    head = b"POST http://blocked.example/ HTTP/1.1\r\nHost: blocked.example\r\nContent-Length: 200000\r\n\r\n"
    assert internet.plain(head + body).startswith(b"HTTP/1.1 403 ")
    head = b"HEAD http://blocked.example/ HTTP/1.1\r\nHost: blocked.example\r\n\r\n"
    assert internet.plain(head).endswith(b"\r\n\r\n")
    assert len(internet.notes.decisions) == 3
    assert internet.untouched


def test_connect_without_a_port_is_refused(internet: Any) -> None:
    """CONNECT names a host and a port (RFC 9110 9.3.6)."""
    assert internet.plain(b"CONNECT fine.example HTTP/1.1\r\nHost: fine.example\r\n\r\n").startswith(
        b"HTTP/1.1 400 "
    )


def test_hello_in_the_same_segment_as_connect_is_seen(internet: Any) -> None:
    """A client that does not wait for the answer to CONNECT is served like any other."""
    _, _, _, hello = _hello(internet.context(), "fine.example")
    with internet.connect(GUEST) as raw:
        raw.sendall(b"CONNECT fine.example:443 HTTP/1.1\r\nHost: fine.example:443\r\n\r\n" + hello)
        received = b""
        while b"\r\n\r\n\x16\x03" not in received:
            received += raw.recv(65536)
    assert internet.origin.accepted == 1


def test_a_passed_connection_tries_the_next_address_at_once(internet: Any) -> None:
    """A name with a dead and a living address works at the first attempt where nothing is opened."""
    internet.names.special["half.example"] = [("127.0.0.1", 2), ("127.0.0.1", internet.origin.https)]
    assert internet.get("half.example", "/", GUEST).startswith(b"HTTP/1.1 200 ")


def test_a_passed_connection_to_a_dead_upstream_is_ended(internet: Any) -> None:
    """Where no address answers the client is not left waiting."""
    internet.names.special["dead.example"] = [("127.0.0.1", 2)]
    with pytest.raises(OSError):
        internet.tls("dead.example", GUEST)


def test_a_passed_connection_ends_when_the_policy_changes(internet: Any) -> None:
    """A connection that is passed on unread lives by the policy in force, not by the one that let it in."""
    with internet.tls("fine.example", GUEST) as connection:
        connection.sendall(b"GET /slow HTTP/1.1\r\nHost: fine.example\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 200"
        engine = internet.source.good
        internet.source.good = _Blocking(engine)
        try:
            began = time.monotonic()
            while connection.recv(65536):
                assert time.monotonic() - began < 5
        finally:
            internet.source.good = engine


class _Blocking:
    """An engine that blocks everything."""

    def __init__(self, engine: Any) -> None:
        self.policy = engine.policy
        self._engine = engine

    def decide(self, attempt: Any) -> Any:
        return replace(self._engine.decide(attempt), verdict=Verdict.BLOCK)


def test_certificates_come_from_an_intermediate_with_a_key_of_their_own(internet: Any) -> None:
    """Leaf, intermediate and root have three keys; leaf and intermediate are elliptic."""
    with internet.tls("fine.example") as connection:
        chain = [x509.load_der_x509_certificate(der) for der in connection.get_unverified_chain()]
    root = x509.load_pem_x509_certificate(internet.ca.read_bytes())
    leaf, middle = chain[:2]
    middle.verify_directly_issued_by(root)
    leaf.verify_directly_issued_by(middle)
    assert isinstance(leaf.public_key(), ec.EllipticCurvePublicKey)
    assert len({certificate.public_key().public_bytes(*_PUBLIC) for certificate in (leaf, middle, root)}) == 3
    secret = next(internet.ca.parent.glob("ca/intermediate.pem"))
    assert secret.stat().st_mode & 0o777 == 0o600


def test_faults_of_sites_have_our_own_page(internet: Any) -> None:
    """A dead site and a site with a wrong certificate each get a page of ours, over HTTP/1 and HTTP/2."""
    internet.names.special["dead.example"] = [("127.0.0.1", 1)]
    internet.names.special["odd.example"] = [("127.0.0.1", internet.elsewhere.https)]
    internet.elsewhere._contexts["odd.example"] = internet.elsewhere._context("someone-else.example")
    for host, words in (("dead.example", b"did not answer"), ("odd.example", b"cannot prove who it is")):
        reply = internet.get(host)
        assert reply.startswith(b"HTTP/1.1 502 ")
        assert words in reply
        assert b"mitmproxy" not in reply
        with internet.http2(host) as client:
            status, body = client.request(host)
        assert status == 502
        assert words in body


def test_a_client_is_known_again(internet: Any) -> None:
    """A second connection to the same name resumes the TLS session of the first, which saves the signature."""
    context = internet.context()
    with context.wrap_socket(internet.tunnel("fine.example"), server_hostname="fine.example") as first:
        first.sendall(b"GET / HTTP/1.1\r\nHost: fine.example\r\nConnection: close\r\n\r\n")
        while first.recv(4096):
            pass
        session = first.session
    raw = internet.tunnel("fine.example")
    with context.wrap_socket(raw, server_hostname="fine.example", session=session) as again:
        assert again.session_reused


def test_slow_heads_end_and_others_are_served(internet: Any) -> None:
    """Clients that send a request one octet at a time are cut off in time, and delay nobody (slowloris)."""
    with ExitStack() as stack:
        slow = [stack.enter_context(internet.connect()) for _ in range(50)]
        began = time.monotonic()
        open_ones = set(slow)
        for served, octet in enumerate(b"GET / HTTP/1.1\r\nHost: fine.example\r\nX-Long: " + b"a" * 200):
            for one in list(open_ones):
                try:
                    one.sendall(bytes([octet]))
                except OSError:
                    open_ones.discard(one)
            if not served % 10:
                assert internet.get("fine.example", "/", GUEST).startswith(b"HTTP/1.1 200 ")
            if not open_ones or time.monotonic() - began > 5:
                break
            time.sleep(0.02)
        assert not open_ones


def test_thousands_of_half_open_connections_keep_nobody_out(internet: Any) -> None:
    """5,000 connections that say nothing are closed in time; meanwhile another client is served."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit < 12_000:
        pytest.skip(f"at most {limit} files may be open here")
    before = _files()
    with ExitStack() as stack:
        silent = [
            stack.enter_context(internet.connect(f"127.0.20.{10 + number % 100}")) for number in range(5000)
        ]
        began = time.monotonic()
        assert internet.get("fine.example", "/", GUEST).startswith(b"HTTP/1.1 200 ")
        assert time.monotonic() - began < 3
        for one in silent:
            assert one.recv(1) == b""
        assert time.monotonic() - began < 10
    _wait(lambda: _files() <= before + 20)


def test_a_client_with_too_many_connections_is_cut_short(
    internet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client has so many connections and no more; others are not touched by that."""
    gate = internet.server._gate
    monkeypatch.setattr(gate, "config", _changed(gate.config, most_per_client=20, undecided=5.0))
    with ExitStack() as stack:
        held = [stack.enter_context(internet.connect("127.0.20.77")) for _ in range(20)]
        with pytest.raises(ConnectionResetError):  # in the handshake or right after it
            _first_octet(internet, "127.0.20.77")
        assert internet.get("fine.example", "/", GUEST).startswith(b"HTTP/1.1 200 ")
        held[0].setblocking(False)
        with pytest.raises(BlockingIOError):
            held[0].recv(1)


def test_the_oldest_undecided_connection_makes_room(internet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """When there are as many connections as there may be, the one that has been silent longest goes."""
    gate = internet.server._gate
    _wait(lambda: gate._open == 0)
    monkeypatch.setattr(gate, "_most", 10)
    monkeypatch.setattr(gate, "config", _changed(gate.config, undecided=5.0))
    with ExitStack() as stack:
        silent = [stack.enter_context(internet.connect(f"127.0.20.{80 + number}")) for number in range(10)]
        assert internet.get("fine.example", "/", GUEST).startswith(b"HTTP/1.1 200 ")
        with pytest.raises(ConnectionResetError):
            silent[0].recv(1)


def test_connections_leave_no_files_behind(internet: Any) -> None:
    """Passed, opened, refused and abandoned connections all give their files back."""

    def each() -> None:
        internet.get("fine.example", "/", GUEST)
        internet.get("fine.example", "/", PUPIL)
        internet.plain(b"GET http://blocked.example/ HTTP/1.1\r\nHost: blocked.example\r\n\r\n")
        with suppress(OSError), internet.tunnel("192.0.2.1", GUEST) as raw:
            internet.context().wrap_socket(raw, server_hostname="blocked.example")
        internet.connect().close()

    each()
    _wait(lambda: internet.server._gate._open == 0)
    before = _files()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: each(), range(20)))
    _wait(lambda: internet.server._gate._open == 0)
    _wait(lambda: _files() <= before)
    assert not internet.server._gate._of_client
    assert not internet.notes.faults


def test_a_killed_proxy_lets_nothing_through(tmp_path: Path) -> None:
    """After SIGKILL a passed connection is cut and a new one is refused: nothing is left that relays."""
    script = Path(__file__).with_name("gate_process.py")
    origin = socket.create_server(("127.0.0.1", 0))
    origin.settimeout(10)
    command = [sys.executable, str(script), str(tmp_path), str(origin.getsockname()[1])]
    with origin, subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(GUEST, 0)) as raw:
            raw.sendall(b"CONNECT fine.example:443 HTTP/1.1\r\nHost: fine.example:443\r\n\r\n")
            assert raw.recv(100).startswith(b"HTTP/1.1 200 ")
            raw.sendall(_hello(ssl.create_default_context(), "fine.example")[3])
            upstream, _ = origin.accept()
            with upstream:
                upstream.settimeout(10)
                assert upstream.recv(3) == b"\x16\x03\x01"
                os.kill(process.pid, signal.SIGKILL)
                assert process.wait(10) == -signal.SIGKILL
                with suppress(ConnectionResetError):
                    assert raw.recv(100) == b""
                with suppress(ConnectionResetError):
                    while upstream.recv(65536):
                        pass
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)


def test_workers_share_a_port(tmp_path: Path) -> None:
    """Two processes listen on one port, and both are given connections; when one is killed the other serves on."""
    script = str(Path(__file__).with_name("gate_process.py"))
    port = free_port()
    with ExitStack() as stack:
        workers = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            command = [sys.executable, script, str(tmp_path / name), "9", str(port)]
            workers.append(stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE)))
            stack.callback(workers[-1].kill)
        for worker in workers:
            assert worker.stdout is not None
            assert int(worker.stdout.readline()) == port
        before = [_sockets(worker.pid) for worker in workers]
        with ExitStack() as held:
            for _ in range(60):
                held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
            _wait(lambda: sum(_sockets(worker.pid) for worker in workers) >= sum(before) + 60)
            for worker, had in zip(workers, before, strict=True):
                assert _sockets(worker.pid) > had + 5
        workers[0].kill()
        workers[0].wait(10)
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
                raw.sendall(b"CONNECT fine.example:22 HTTP/1.1\r\nHost: fine.example:22\r\n\r\n")
                assert raw.recv(12) == b"HTTP/1.1 403"


def _sockets(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _first_octet(internet: Any, address: str) -> bytes:
    with internet.connect(address) as connection:
        return bytes(connection.recv(1))


def _files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _wait(holds: Any, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _changed(config: Any, **changes: Any) -> Any:
    return replace(config, **changes)
