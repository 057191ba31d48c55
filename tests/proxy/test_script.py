"""The addon as a script of mitmdump, in a process of its own."""

import os
import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MAIN = Path(__file__).parents[2] / "proxy" / "main.py"
POLICY = """
version: 1
school: {name: Perryfields, timezone: Europe/London, bank_holidays: england}
networks: {pupils: {people: pupil, addresses: [127.0.0.0/8], inspection: all, otherwise: allow}}
unknown_clients: pupils
rules: [{block: [blocked.example], reason: Not at school}]
"""


@contextmanager
def _mitmdump(folder: Path, *options: str) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """Run mitmdump with the script and yield it and its port once it listens (0 where it ends before)."""
    command = [
        str(Path(sys.executable).with_name("mitmdump")),
        "-s",
        str(MAIN),
        "--mode",
        "regular@127.0.0.1:0",
    ]
    command += [
        "--set",
        f"confdir={folder}",
        "--set",
        "termlog_verbosity=info",
        "--set",
        "flow_detail=0",
        *options,
    ]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert process.stdout is not None
    try:
        port = 0
        for line in process.stdout:
            if found := re.search(r"listening at 127\.0\.0\.1:(\d+)", line):
                port = int(found[1])
            if port and "is in force" in line:
                break
        yield process, port
    finally:
        process.terminate()
        drain = threading.Thread(target=process.stdout.read)
        drain.start()
        process.wait(90)  # a machine under load takes its time
        drain.join()
        process.stdout.close()


def test_script_blocks_and_refuses(tmp_path: Path) -> None:
    """`mitmdump -s proxy/main.py` shows the block page inside TLS, and split hellos are judged there too."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    with _mitmdump(tmp_path, "--set", f"schoolgate_policy={policy}") as (_, port):
        for first in (1, 400):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
                raw.sendall(b"CONNECT blocked.example:443 HTTP/1.1\r\nHost: blocked.example\r\n\r\n")
                assert b" 200 " in raw.recv(4096)
                reply = _get_split(raw, tmp_path / "mitmproxy-ca-cert.pem", first)
            assert reply.startswith(b"HTTP/1.1 403 ")
            assert b"Not at school" in reply
        with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
            raw.sendall(b"GET http://127.0.0.9/ HTTP/1.1\r\nHost: 127.0.0.9\r\nConnection: close\r\n\r\n")
            assert raw.recv(12) == b"HTTP/1.1 403"


def _get_split(raw: socket.socket, ca: Path, first: int) -> bytes:
    """GET / from blocked.example over TLS, the ClientHello in two pieces."""
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context(cafile=str(ca)).wrap_bio(
        incoming, outgoing, server_hostname="blocked.example"
    )
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    hello = outgoing.read()
    raw.sendall(hello[:first])
    raw.settimeout(0.2)
    with pytest.raises(TimeoutError):
        raw.recv(1)
    raw.settimeout(10)
    raw.sendall(hello[first:])
    asked, reply = False, b""
    while True:
        try:
            if not asked:
                tls.do_handshake()
                tls.write(b"GET / HTTP/1.1\r\nHost: blocked.example\r\nConnection: close\r\n\r\n")
                asked = True
            raw.sendall(outgoing.read())
            while part := tls.read(65536):
                reply += part
            break
        except ssl.SSLWantReadError:
            raw.sendall(outgoing.read())
            if not (data := raw.recv(65536)):
                break
            incoming.write(data)
    return reply


def test_script_ends_without_a_policy(tmp_path: Path) -> None:
    """A policy that cannot be read ends mitmdump with one clear line."""
    with _mitmdump(tmp_path, "--set", f"schoolgate_policy={tmp_path / 'none.yaml'}") as (process, _):
        assert process.wait(10) == 1


def test_script_undoes_an_unsafe_option(tmp_path: Path) -> None:
    """Options under which the filter would leak are put right, whatever the command line says."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    unsafe = ("--set", "rawtcp=true", "--set", "ignore_hosts=.*", "--set", "connection_strategy=eager")
    with (
        _mitmdump(tmp_path, "--set", f"schoolgate_policy={policy}", *unsafe) as (_, port),
        socket.create_connection(("127.0.0.1", port), timeout=10) as raw,
    ):
        raw.sendall(b"CONNECT blocked.example:443 HTTP/1.1\r\nHost: blocked.example\r\n\r\n")
        assert b" 200 " in raw.recv(4096)
        reply = _get_split(raw, tmp_path / "mitmproxy-ca-cert.pem", 400)
    assert reply.startswith(b"HTTP/1.1 403 ")
