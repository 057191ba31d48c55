"""Techniques inside allowed connections (enforcement A1.3, A4.1): DNS over HTTPS, and sites that show other sites."""

import base64
import json
import struct
from typing import Any

import pytest

GUEST, STAFF, PUPIL = "127.0.30.5", "127.0.10.5", "127.0.20.5"
QUESTION = (
    struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + b"\x08facebook\x03com\x00" + struct.pack(">HH", 1, 1)
)
ANSWER = (
    struct.pack(">HHHHHH", 7, 0x8180, 1, 1, 0, 0)
    + QUESTION[12:]
    + b"\xc0\x0c"
    + struct.pack(">HHIH", 1, 1, 60, 4)
    + bytes([192, 0, 2, 1])
)
JSON = json.dumps(
    {"Status": 0, "TC": False, "RD": True, "RA": True, "Question": [{"name": "facebook.com.", "type": 1}]}
).encode()


def post(internet: Any, body: bytes, kind: str, *, chunked: bool = False) -> bytes:
    """POST a body to an allowed site and return the whole response."""
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
    content = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    head = f"POST /x HTTP/1.1\r\nHost: fine.example\r\nConnection: close\r\nContent-Type: {kind}\r\n{framing}\r\n\r\n"
    parts = []
    with internet.tls("fine.example") as connection:
        connection.sendall(head.encode() + content)
        try:
            while part := connection.recv(65536):
                parts.append(part)
        except OSError:
            pass
    return b"".join(parts)


@pytest.mark.parametrize("kind", ["application/dns-message", "application/octet-stream", "image/png", ""])
def test_doh_question_in_a_body_never_leaves(internet: Any, kind: str) -> None:
    """A DNS question is refused by its media type and by its content, before the origin sees any of it."""
    assert post(internet, QUESTION, kind).startswith(b"HTTP/1.1 403 ")
    assert internet.untouched
    assert internet.notes.techniques == ["doh"]


def test_doh_question_of_unknown_length_is_stopped(internet: Any) -> None:
    """A question in a chunked body gets no answer, and its octets do not reach the origin."""
    assert b" 200 " not in post(internet, QUESTION, "application/octet-stream", chunked=True)[:16]
    assert not [seen for seen in internet.origin.seen if b"facebook" in seen.body]
    assert internet.notes.techniques == ["doh"]


@pytest.mark.parametrize(
    "path",
    [
        "/any?dns=" + base64.urlsafe_b64encode(QUESTION).decode().rstrip("="),
        "/resolve?name=facebook.com&type=A&ct=application/dns-json",
        "/dns-query?name=facebook.com",
    ],
)
def test_doh_question_in_the_query_is_refused(internet: Any, path: str) -> None:
    """A DNS question in the address is refused, in binary and as text."""
    assert internet.get("fine.example", path).startswith(b"HTTP/1.1 403 ")
    assert internet.untouched
    assert internet.notes.techniques == ["doh"]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/dns-message", ANSWER),
        ("application/dns-json", JSON),
        ("application/octet-stream", ANSWER),
        ("image/png", ANSWER),
        ("application/json", JSON),
        (None, ANSWER),
    ],
)
@pytest.mark.parametrize("framed", [True, False], ids=["with length", "without length"])
def test_doh_answer_does_not_come_back(internet: Any, kind: str | None, body: bytes, framed: bool) -> None:
    """A DNS answer is stopped by its media type and by its content, whatever was asked."""
    internet.origin.replies["/odd"] = (kind, body, framed)
    reply = internet.get("fine.example", "/odd")
    assert b"facebook" not in reply
    assert internet.notes.techniques == ["doh"]
    assert not internet.notes.faults


def test_ordinary_small_bodies_pass(internet: Any) -> None:
    """Small bodies that are no DNS go both ways."""
    assert b"got 30 bytes" in post(internet, b"\x00\x01" * 15, "application/octet-stream")
    assert b"got 300 bytes" in post(internet, b"z" * 300, "application/x-protobuf", chunked=True)
    for kind, body in (
        ("application/json", b'{"Status": 1, "TC": 2}'),
        ("image/png", b"\x89PNG" + bytes(90)),
    ):
        internet.origin.replies["/odd"] = (kind, body, True)
        assert internet.get("fine.example", "/odd").endswith(body)
    assert not internet.notes.techniques


@pytest.mark.parametrize(
    ("host", "path", "technique"),
    [
        ("www-blocked-example.translate.goog", "/?_x_tr_sl=auto", "embedded_site"),
        ("web.archive.org", "/web/2024/https://blocked.example/", "embedded_site"),
        ("blocked-example.cdn.ampproject.org", "/c/s/blocked.example/x", "embedded_site"),
        ("r.jina.ai", "/https://blocked.example/x", "embedded_site"),
        ("www.google.com", "/url?q=https://blocked.example/", "open_redirect"),
        ("proxy.example", "/browse?u=https%253A%252F%252Fblocked.example", "web_proxy"),
        (
            "proxy.example",
            "/browse.php?u=" + base64.b64encode(b"s://blocked.example/").decode() + "&b=4",
            "web_proxy",
        ),
    ],
)
def test_embedded_site_is_judged_as_if_asked_for(internet: Any, host: str, path: str, technique: str) -> None:
    """What a translator, archive, reader, redirector or web proxy is asked to show is blocked by its own rule."""
    reply = internet.get(host, path)
    assert reply.startswith(b"HTTP/1.1 403 ")
    assert b"blocked.example" in reply
    assert b"Pupils may not use &lt;social media&gt;" in reply
    assert internet.untouched
    assert internet.notes.techniques == [technique]
    [(attempt, decision)] = internet.notes.decisions
    assert (attempt.host, decision.rule) == (decision.host, 1)


@pytest.mark.parametrize(
    ("rules", "technique"),
    [
        ("{block: category:translation-and-archive, reason: x}", "translator"),
        ("{block: blocked.example, reason: x}", "embedded_site"),
        ("{block: [category:translation-and-archive, blocked.example], reason: x}", "translator"),
    ],
)
@pytest.mark.parametrize(
    "url", ["blocked-example.translate.goog/", "web.archive.org/web/2024/https://blocked.example/"]
)
def test_each_use_of_a_translator_has_one_name(internet: Any, rules: str, technique: str, url: str) -> None:
    """Blocked by its own name it is `translator`; allowed, and asked for a blocked site, `embedded_site`; never both."""
    internet.use_policy(f"rules: [{rules}]")
    host, _, path = url.partition("/")
    assert internet.get(host, f"/{path}").startswith(b"HTTP/1.1 403 ")
    assert internet.notes.techniques == [technique]


def test_embedded_page_follows_its_own_exception(internet: Any) -> None:
    """A page that is open is open in translation too, and the page beside it is not."""
    assert internet.get("blocked-example.translate.goog", "/ourschool/news").startswith(b"HTTP/1.1 200 ")
    assert internet.get("blocked-example.translate.goog", "/groups").startswith(b"HTTP/1.1 403 ")


def test_embedded_allowed_site_passes(internet: Any) -> None:
    """Translators and archives of what is allowed work."""
    for host, path in (
        ("fine-example.translate.goog", "/"),
        ("web.archive.org", "/web/2024/https://fine.example/"),
        ("share.example", "/?url=https://fine.example/&title=blocked.example"),
    ):
        assert internet.get(host, path).startswith(b"HTTP/1.1 200 "), host
    assert not internet.notes.techniques


@pytest.mark.parametrize(
    "path",
    [
        "/uv/uv.bundle.js",
        "/scram/scramjet.all.js",
        "/rammerhead.js",
        "/bare/v3/",
        "/?__cpo=x",
        "/nph-proxy.cgi/",
    ],
)
def test_rewriting_web_proxy_is_known_by_its_files(internet: Any, path: str) -> None:
    """A web proxy without a name is blocked by the rule for web proxies, and allowed where there is none."""
    internet.get("games.example", path)
    assert not internet.untouched  # this policy has no rule for web proxies
    internet.use_policy("rules: [{block: category:circumvention, reason: No ways round}]")
    internet.origin.accepted = 0
    reply = internet.get("games.example", path)
    assert reply.startswith(b"HTTP/1.1 403 ")
    assert b"No ways round" in reply
    assert internet.untouched
    assert internet.notes.techniques == ["web_proxy"]


def test_wisp_tunnel_is_known_by_its_websocket(internet: Any) -> None:
    """The websocket of a rewriting proxy does not open."""
    internet.use_policy("rules: [{block: category:circumvention, reason: No ways round}]")
    headers = (
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    )
    assert internet.get("games.example", "/wisp/", headers=headers).startswith(b"HTTP/1.1 403 ")
    assert internet.untouched


def test_reports_of_harm_may_name_the_site(internet: Any) -> None:
    """What always works is not searched for addresses."""
    internet.use_policy("always_allow: [help.example]\nrules: [{block: blocked.example, reason: x}]")
    assert internet.get("help.example", "/report?url=https://blocked.example/x").startswith(b"HTTP/1.1 200 ")


def test_listed_sites_work_on_a_network_that_opens_only_those(internet: Any) -> None:
    """Where all else is closed, an address in a parameter is no reason to block; one in an archive is."""
    rules = "rules: [{allow: [fine.example, web.archive.org], reason: x}]"
    internet.use_policy(rules, otherwise="block")
    assert internet.get("fine.example", "/?url=https://ads.example/").startswith(b"HTTP/1.1 200 ")
    reply = internet.get("web.archive.org", "/web/2024/https://ads.example/")
    assert reply.startswith(b"HTTP/1.1 403 ")
