"""Ways round the filter by HTTP, a test for each line of the list of techniques (A4.1 to A4.9).

Against the real proxy on real sockets, and both sides are looked at: what the client got, and that no origin saw
anything. What only a firewall does about A4.8 is in tests/e2e.
"""

import base64
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

PUPIL, STAFF, GUEST = "127.0.20.5", "127.0.10.5", "127.0.30.5"
OK, BAD = "fine.example", "blocked.example"
BREAK, LESSON = datetime(2026, 11, 23, 10, 40, tzinfo=UTC), datetime(2026, 11, 23, 10, 50, tzinfo=UTC)


def _plain(internet: Any, head: str, address: str = PUPIL) -> bytes:
    """Send a request head in the clear and return the first line of the answer."""
    return bytes(internet.plain(f"{head}Connection: close\r\n\r\n".encode(), address).split(b"\r\n")[0])


def _status(reply: bytes) -> int:
    return int(reply.split(b" ")[1]) if reply.startswith(b"HTTP/1.") else 0


def _deep(url: str, times: int) -> str:
    for _ in range(times):
        url = "".join(f"%{octet:02X}" if chr(octet) in ":/%?=" else chr(octet) for octet in url.encode())
    return url


@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1", "HTTP/2"])
@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("blocked-example.translate.goog", "/?_x_tr_sl=auto"),
        ("translate.google.com", f"/translate?u=https://{BAD}/"),
        ("web.archive.org", f"/web/2024/https://{BAD}/"),
        ("archive.ph", f"/newest/https://{BAD}/"),
        ("r.jina.ai", f"/https://{BAD}/"),
        ("www.google.com", f"/amp/s/{BAD}/x"),
        ("proxy.example", f"/browse?u={_deep(f'https://{BAD}/', 1)}"),
        ("proxy.example", f"/browse?u={_deep(f'https://{BAD}/', 2)}"),
        ("proxy.example", f"/browse?u={_deep(f'https://{BAD}/', 3)}"),
        ("proxy.example", "/b/" + base64.urlsafe_b64encode(f"https://{BAD}/".encode()).decode()),
        ("r.jina.ai", f"/https://web.archive.org/web/2024/https://{BAD}/"),
    ],
)
def test_a4_1_a_site_shown_by_another_is_judged(internet: Any, host: str, path: str, *, http2: bool) -> None:
    """Translators, archives, readers and web proxies get 403 for a blocked site, however deep its address is wrapped."""
    if http2:
        with internet.http2(host) as client:
            status, body = client.request(host, path)
    else:
        reply = internet.get(host, path)
        status, body = _status(reply), reply
    assert status == 403
    assert BAD.encode() in body
    assert internet.untouched
    assert set(internet.notes.techniques) <= {"embedded_site", "web_proxy"}
    assert internet.notes.techniques


@pytest.mark.parametrize("path", ["/uv/uv.bundle.js", "/scram/scramjet.all.js", "/service/uv.sw.js"])
def test_a4_1_rewriting_workers_are_web_proxies(internet: Any, path: str) -> None:
    """The files of rewriting web proxies are blocked by the rule for web proxies, on a host that nobody knows."""
    internet.use_policy("rules: [{block: category:circumvention, reason: No ways round}]")
    assert _status(internet.get("unblocked-games.example", path)) == 403
    assert internet.notes.techniques == ["web_proxy"]
    assert internet.untouched


@pytest.mark.parametrize(
    ("head", "technique"),
    [
        (f"GET http://{BAD}/ HTTP/1.1\r\nHost: {OK}\r\n", "host_ambiguity"),
        (f"GET http://{OK}/ HTTP/1.1\r\nHost: {BAD}\r\n", "host_ambiguity"),
        (f"GET http://{OK}/ HTTP/1.1\r\nHost: {OK}\r\nHost: {BAD}\r\n", "host_ambiguity"),
        (f"GET http://{OK}/ HTTP/1.1\r\n", "host_ambiguity"),
        (f"GET http://{OK}/ HTTP/1.0\r\n", "host_ambiguity"),
        (f"GET http://{OK}/ HTTP/1.1\r\nHost: {OK}\r\n {BAD}\r\n", None),
        (f"GET http://x@{BAD}/ HTTP/1.1\r\nHost: {BAD}\r\n", None),
    ],
)
def test_a4_2_a_request_for_two_hosts_goes_nowhere(internet: Any, head: str, technique: str | None) -> None:
    """Absolute form beside another Host, two Hosts, none, and a folded one are refused, and noted."""
    assert _plain(internet, head)[9:12] in {b"400", b"403"}
    assert internet.untouched
    assert technique is None or technique in internet.notes.techniques


@pytest.mark.parametrize(
    "head",
    [
        "POST / HTTP/1.1\r\nHost: {ok}\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "POST / HTTP/1.1\r\nHost: {ok}\r\nContent-Length: 4\r\nContent-Length: 5\r\n",
        "POST / HTTP/1.1\r\nHost: {ok}\r\nTransfer-Encoding: xchunked\r\n",
        "POST / HTTP/1.1\r\nHost: {ok}\r\nTransfer-Encoding : chunked\r\n",
        "GET / HTTP/1.1\r\nHost: {ok}\r\nX: a\x00b\r\n",
    ],
)
def test_a4_3_a_head_that_two_servers_read_differently_is_refused(internet: Any, head: str) -> None:
    """Two lengths, an unknown coding, a blank before the colon and a NUL: 400, inside TLS, and noted as smuggling."""
    with internet.tls(OK) as connection:
        connection.sendall(head.format(ok=OK).encode() + b"Connection: close\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 400"
        while connection.recv(65536):  # it is noted before the end, not always before the answer
            pass
    assert internet.notes.techniques == ["smuggling"]
    assert internet.untouched


@pytest.mark.parametrize(
    ("path", "extra"),
    [
        ("/ HTTP/1.1\r\nHost: x\r\n\r\nGET /s", []),
        ("/", [("x", "a\r\nHost: x\r\n\r\nGET /s HTTP/1.1")]),
        ("/", [("x\r\ny", "z")]),
        ("/a b", []),
    ],
)
def test_a4_3_line_breaks_over_http2_smuggle_nothing(internet: Any, path: str, extra: Any) -> None:
    """A line break in an HTTP/2 path, field or name ends the stream; no origin sees a request."""
    with internet.http2(OK) as client:
        assert client.request(OK, path, extra=extra)[0] in {0, 400}
    assert internet.untouched


def test_a4_3_pipelined_requests_are_judged_one_by_one(internet: Any) -> None:
    """Requests sent ahead in one piece are each seen: the blocked one between two allowed ones is blocked."""
    heads = [f"GET /{n} HTTP/1.1\r\nHost: {host}\r\n\r\n" for n, host in enumerate((OK, BAD, OK))]
    with internet.tls(OK) as connection:
        connection.sendall("".join(heads).encode())
        data = b""
        with suppress(TimeoutError):
            connection.settimeout(3)
            while part := connection.recv(65536):
                data += part
    assert [seen.path for seen in internet.origin.seen] == ["/0", "/2"]
    assert data.count(b"HTTP/1.1 403") == 1


@pytest.mark.parametrize(
    "host",
    [
        "BLOCKED.EXAMPLE", "blocked.example.", "blocked.example.:80", "WwW.BloCked.Example", "blocked%2eexample",
        "blocked。example", "ｂlocked.example", "blocked.example..", " blocked.example", "blocked.example:",
        "0x7f.9", "2130706441", "127.9", "017700000011", "[::ffff:127.0.0.9]",
    ],
)  # fmt: skip
def test_a4_4_no_spelling_of_a_host_gets_by(internet: Any, host: str) -> None:
    """Case, dots, ports, other scripts' letters, escapes and every numeric form: blocked or refused."""
    raw = f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    assert internet.plain(raw)[9:12] in {b"400", b"403"}
    assert internet.untouched


def test_a4_4_a_name_that_only_ends_alike_is_another(internet: Any) -> None:
    """`notblocked.example` is not `blocked.example`, and `m.blocked.example` is."""
    assert _plain(internet, "GET / HTTP/1.1\r\nHost: notblocked.example\r\n")[9:12] == b"200"
    assert _plain(internet, "GET / HTTP/1.1\r\nHost: m.blocked.example\r\n")[9:12] == b"403"


@pytest.mark.parametrize("host", [f"{OK}@{BAD}", f"{BAD}@{OK}", f"user:pw@{OK}"])
def test_a4_5_userinfo_is_refused(internet: Any, host: str) -> None:
    """An `@` in Host, in the clear and inside TLS, is 400 and no request anywhere."""
    assert _plain(internet, f"GET / HTTP/1.1\r\nHost: {host}\r\n")[9:12] == b"400"
    with internet.tls(OK) as connection:
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        assert connection.recv(12) == b"HTTP/1.1 400"
    assert internet.untouched
    assert set(internet.notes.techniques) == {"odd_host"}


PATHS = {
    "/ourschool": 200, "/ourschool/x": 200, "/ourschoolx": 403, "/OURSCHOOL": 403, "/ourschool/../groups": 403,
    "/ourschool/%2e%2e/groups": 403, "/ourschool/%252e%252e/groups": 403, "/ourschool%2f..%2fgroups": 403,
    "/ourschool\\..\\groups": 403, "//ourschool/../groups": 403, "/groups?x=/ourschool": 403,
    "/ourschool;/../groups": 403, "/./ourschool/../groups": 403, "/ourschool/%c0%ae%c0%ae/groups": 403,
}  # fmt: skip


@pytest.mark.parametrize("way", ["HTTP/1", "HTTP/2", "clear"])
def test_a4_6_a_page_exception_is_that_page(internet: Any, way: str) -> None:
    """The excepted page opens in its plain spelling alone; every trick with the path is 403 and noted."""
    got = {}
    if way == "HTTP/2":
        with internet.http2(BAD) as client:
            got = {path: client.request(BAD, path)[0] for path in PATHS}
    else:
        for path in PATHS:
            if way == "HTTP/1":
                got[path] = _status(internet.get(BAD, path))
            else:
                got[path] = int(_plain(internet, f"GET {path} HTTP/1.1\r\nHost: {BAD}\r\n")[9:12])
    assert got == PATHS
    assert [seen.path for seen in internet.origin.seen] == ["/ourschool", "/ourschool/x"]
    assert "path_trick" in internet.notes.techniques


@pytest.mark.parametrize("address", [PUPIL, STAFF], ids=["opened", "passed on"])
def test_a4_7_a_stream_ends_at_the_bell(internet: Any, address: str) -> None:
    """An endless download that began in the break is closed within five seconds of the bell; the next request is 403."""
    internet.now[0] = BREAK
    with internet.tls("lessons.example", address) as connection:
        connection.sendall(b"GET /slow HTTP/1.1\r\nHost: lessons.example\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 200"
        internet.now[0] = LESSON
        began = time.monotonic()
        connection.settimeout(5)
        with suppress(ConnectionResetError, OSError):
            while connection.recv(65536):
                assert time.monotonic() - began < 5
    assert time.monotonic() - began < 5
    assert _status(internet.get("lessons.example", "/", address)) == 403


def test_a4_8_no_path_leads_to_the_box_itself(internet: Any) -> None:
    """mitmproxy's own pages, a path that looks like a revocation list and the proxy's own port get nothing of ours."""
    assert _plain(internet, "GET http://mitm.it/ HTTP/1.1\r\nHost: mitm.it\r\n")[9:12] == b"200"
    assert internet.origin.seen[-1].host == "mitm.it"  # a name like any other
    assert b"origin A" in internet.get(OK, "/crl/mitmproxy-0123456789abcdef.crl")
    internet.origin.accepted = 0
    with pytest.raises(ConnectionRefusedError, match="403"):
        internet.tunnel("127.0.0.1", port=internet.port)
    internet.names.special["loop.example"] = [("127.0.0.1", internet.port)]
    assert _status(internet.get("loop.example")) in {403, 502}
    assert internet.untouched


def test_a4_9_an_engine_that_raises_is_503(internet: Any) -> None:
    """A failure of the engine in the middle of a connection ends in 503, and no origin sees a request."""
    with internet.tls(OK) as connection:
        internet.source.failing = True
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {OK}\r\nConnection: close\r\n\r\n".encode())
        assert connection.recv(12) == b"HTTP/1.1 503"
    assert internet.notes.faults
    assert internet.untouched


@pytest.mark.parametrize(
    "hook", ["requestheaders", "request", "responseheaders", "next_layer", "server_connect"]
)
def test_a4_9_a_hook_that_raises_lets_nothing_through(
    internet: Any, hook: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever hook of ours fails, the client gets no content: an error of ours, or an end."""
    within = {
        "requestheaders": "_requests.head", "request": "_requests.body", "responseheaders": "_requests.response",
        "next_layer": "_connections.of", "server_connect": "_judge.again",
    }[hook]  # fmt: skip
    owner: Any = internet.server._addon
    *path, last = within.split(".")
    for name in path:
        owner = getattr(owner, name)

    def fails(*_: object) -> None:
        raise RuntimeError("fails as told")

    with internet.tls(OK) as connection:
        monkeypatch.setattr(owner, last, fails)
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {OK}\r\nConnection: close\r\n\r\n".encode())
        data = b""
        with suppress(OSError):
            while part := connection.recv(65536):
                data += part
    assert b"origin A got" not in data
    assert internet.notes.faults


def test_a4_9_a_killed_proxy_refuses(tmp_path: Path) -> None:
    """After SIGKILL there is nobody to connect to: refused, never passed."""
    command = [sys.executable, str(Path(__file__).with_name("gate_process.py")), str(tmp_path), "9"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=10)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("http2", [False, True])
def test_a4_6_an_open_page_is_open_for_reading(internet: Any, method: str, *, http2: bool) -> None:
    """Nothing is sent to a page that is only allowed; the answer says why; what reads it goes through."""
    head = f"{method} /ourschool HTTP/1.1\r\nHost: {BAD}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"
    if http2:
        with internet.http2(BAD) as client:
            status, reply = client.request(BAD, "/ourschool", method=method, body=b"hi")
            assert client.request(BAD, "/ourschool")[0] == 200
    else:
        with internet.tls(BAD) as connection:
            connection.sendall(head.encode())
            reply = b"".join(iter(lambda: connection.recv(65536), b""))
        status = int(reply[9:12])
    assert status == 403
    assert b"open for reading" in reply
    assert [seen.method for seen in internet.origin.seen] == ["GET"] * http2


def test_a4_6_a_page_takes_what_its_rule_names(internet: Any) -> None:
    """A form is sent where the policy says so, and its companions take any method."""
    internet.use_policy(
        "rules: [{allow: blocked.example/form, methods: POST, companions: parts.example, for: pupils, reason: x},"
        " {block: [blocked.example, parts.example], reason: y}]"
    )
    with internet.http2(BAD) as client:
        assert client.request(BAD, "/form", method="POST", body=b"hi")[0] == 200
        assert client.request(BAD, "/form", method="PUT", body=b"hi")[0] == 403
    referer = [("referer", f"https://{BAD}/form")]
    with internet.http2("parts.example") as client:
        assert client.request("parts.example", "/xhr", method="PUT", body=b"hi", extra=referer)[0] == 200
        assert client.request("parts.example", "/xhr", method="PUT", body=b"hi")[0] == 403
