"""Techniques inside allowed connections (enforcement A1.3, A4.1): DNS over HTTPS, and sites that show other sites."""

import base64
import gzip
import json
import struct
import time
import zlib
from contextlib import suppress
from typing import Any

import brotli
import pytest
import zstandard

from schoolgate_proxy import doh
from schoolgate_proxy.doh_watch import Watch

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


PADDED = QUESTION[:11] + b"\x01" + QUESTION[12:] + b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00"
PADDED += struct.pack(">HHH", 1094, 12, 1090) + bytes(1090)  # RFC 7830, longer than RFC 8467 asks for
CODINGS = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "gzip, br": lambda body: brotli.compress(gzip.compress(body)),
}


def post(internet: Any, body: bytes, kind: str, *, chunked: int = 0, coding: str = "") -> bytes:
    """POST a body to an allowed site, in pieces of `chunked` octets, and return the whole response."""
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
    pieces = [body[start : start + chunked] for start in range(0, len(body), chunked)] if chunked else []
    content = body
    if chunked:
        content = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    if coding:
        framing += f"\r\nContent-Encoding: {coding}"
    head = f"POST /x HTTP/1.1\r\nHost: fine.example\r\nConnection: close\r\nContent-Type: {kind}\r\n{framing}\r\n\r\n"
    parts = []
    with internet.tls("fine.example") as connection, suppress(OSError):
        connection.sendall(head.encode())
        for start in (
            range(0, len(content), chunked + 5) if chunked else (0,)
        ):  # so that pieces arrive as such
            connection.sendall(content[start : start + chunked + 5] if chunked else content)
            time.sleep(0.01 if chunked and start < 50 else 0)
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
    assert b" 200 " not in post(internet, QUESTION, "application/octet-stream", chunked=1000)[:16]
    assert not [seen for seen in internet.origin.seen if b"facebook" in seen.body]
    assert internet.notes.techniques == ["doh"]


@pytest.mark.parametrize("size", [1, 3, 5, 13])
def test_doh_question_in_pieces_is_stopped(internet: Any, size: int) -> None:
    """However small its pieces are, no more of a question than its header reaches the origin."""
    assert b" 200 " not in post(internet, QUESTION, "application/octet-stream", chunked=size)[:16]
    assert not [seen for seen in internet.origin.seen if b"face" in seen.body]
    assert internet.notes.techniques == ["doh"]


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "multipart/form-data; boundary=x"])
def test_doh_question_declared_as_text_never_leaves(internet: Any, kind: str) -> None:
    """What a client says about a question does not hide it."""
    assert post(internet, QUESTION, kind).startswith(b"HTTP/1.1 403 ")
    assert internet.untouched
    assert internet.notes.techniques == ["doh"]


@pytest.mark.parametrize("more", [0, 8000])
def test_padded_doh_question_never_leaves(internet: Any, more: int) -> None:
    """A question is one however much is behind it (RFC 8467); a very long one is cut off in the middle."""
    reply = post(internet, PADDED + bytes(more), "application/octet-stream")
    assert len(PADDED) > 1100
    assert reply.startswith(b"HTTP/1.1 403 " if not more else b"")
    assert b" 200 " not in reply[:16]
    assert not [seen for seen in internet.origin.seen if b"face" in seen.body]
    assert internet.notes.techniques == ["doh"]


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("chunked", [0, 7], ids=["with length", "in pieces"])
def test_compressed_doh_question_never_leaves(internet: Any, coding: str, chunked: int) -> None:
    """A question is found in every coding that servers read."""
    reply = post(internet, CODINGS[coding](QUESTION), "text/plain", chunked=chunked, coding=coding)
    assert b" 200 " not in reply[:16]
    assert internet.notes.techniques == ["doh"]
    assert not internet.notes.faults


@pytest.mark.parametrize(
    "path",
    [
        "/resolve?name=facebook.com&type=A",
        "/resolve?type=28&name=www.facebook.com.",
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


@pytest.mark.parametrize(
    "path",
    [
        "/resolve?name=facebook.com",
        "/resolve?name=Anna&type=A",
        "/resolve?name=a.example&type=user",
        "/resolve",
    ],
)
def test_other_things_that_resolve_are_let_through(internet: Any, path: str) -> None:
    """A site may resolve something else than names by DNS."""
    assert internet.get("fine.example", path).startswith(b"HTTP/1.1 200 ")
    assert not internet.notes.techniques


@pytest.mark.parametrize(
    "body",
    [
        b" \r\n\t" + JSON,
        b"\xef\xbb\xbf" + JSON,
        b'{"Comment": "' + b"x" * 3000 + b'", ' + JSON[1:],
        b"[" + JSON + b"]",
        b'{"' + ANSWER[2:],  # the client chose an identifier that looks like JSON
    ],
)
def test_doh_answer_in_disguise_does_not_come_back(internet: Any, body: bytes) -> None:
    """Blanks, comments and a lucky identifier hide no answer."""
    internet.origin.replies["/odd"] = ("application/json", body, True)
    assert b"facebook" not in internet.get("fine.example", "/odd")
    assert internet.notes.techniques == ["doh"]


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("body", [ANSWER, JSON], ids=["wire", "JSON"])
def test_compressed_doh_answer_does_not_come_back(internet: Any, coding: str, body: bytes) -> None:
    """An answer is found in every coding."""
    internet.origin.replies["/odd"] = (
        "image/png\r\nContent-Encoding: " + coding,
        CODINGS[coding](body),
        True,
    )
    reply = internet.get("fine.example", "/odd")
    assert CODINGS[coding](body)[13:] not in reply
    assert internet.notes.techniques == ["doh"]
    assert not internet.notes.faults


@pytest.mark.parametrize("coding", [*CODINGS, "aes128gcm", "gzip, gzip, gzip"])
def test_other_compressed_bodies_pass_unchanged(internet: Any, coding: str) -> None:
    """What is compressed and no DNS arrives to the octet, also where the coding is unknown, a lie or a bomb."""
    make = CODINGS.get(coding, bytes)
    for content in (b"0" * 5_000_000, b"no such coding at all", bytes(range(256)) * 40):
        for body in (make(content), content[:30_000]):
            internet.origin.replies["/odd"] = ("text/x\r\nContent-Encoding: " + coding, body, False)
            assert internet.get("fine.example", "/odd").partition(b"\r\n\r\n")[2] == body
            assert f"got {len(body)} bytes".encode() in post(internet, body, "text/x", coding=coding)
            assert internet.origin.seen[-1].body == body
    assert not internet.notes.techniques
    assert not internet.notes.faults


def test_streams_are_not_held_back(internet: Any) -> None:
    """Each piece of a stream goes on as it comes, be it text, JSON by the line or frames of gRPC."""
    pieces = [b"data: x\n\n", b'{"Status": 1}\n', b"\0\0\0\0\0", b"\0\0\0\1\4\x0a\2hi", b"{", b"\x1f\x8b"]
    for piece in pieces:
        for looking in (doh.question, doh.answer):
            watch = Watch(looking, lambda: pytest.fail("this is no DNS"))
            assert watch(piece) == piece
    watch = Watch(doh.answer, lambda: None, "gzip")
    packer = zlib.compressobj(wbits=31)
    piece = packer.compress(b"data: 1\n\n") + packer.flush(zlib.Z_SYNC_FLUSH)
    assert watch(piece) == piece


def test_what_was_held_back_comes_at_the_end() -> None:
    """A body that ends before it can be told goes on whole, in any pieces."""
    for body in (QUESTION[:20], ANSWER[:20], JSON[:30], b"\0\1\1\0\0\1" * 3, bytes(5)):
        for looking in (doh.question, doh.answer):
            for size in (1, 4, 100):
                watch = Watch(looking, lambda: pytest.fail("this is no DNS"))
                pieces = [watch(body[start : start + size]) for start in range(0, len(body), size)]
                assert b"".join(piece or b"" for piece in [*pieces, watch(b"")]) == body


def test_ordinary_small_bodies_pass(internet: Any) -> None:
    """Small bodies that are no DNS go both ways."""
    assert b"got 30 bytes" in post(internet, b"\x00\x01" * 15, "application/octet-stream")
    assert b"got 300 bytes" in post(internet, b"z" * 300, "application/x-protobuf", chunked=1000)
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


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (
            "text/javascript",
            b"/* my site */ self.__uv$config = {prefix: '/x/', encodeUrl: Ultraviolet.codec.xor.encode}",
        ),
        ("application/javascript", b"importScripts('/a/uv.bundle.js'); const sw = new UVServiceWorker();"),
        (
            "text/javascript",
            b"const {ScramjetServiceWorker} = $scramjetLoadWorker(); const s = new ScramjetServiceWorker()",
        ),
        (
            "text/html; charset=utf-8",
            b"<!doctype html><title>Maths</title><script defer src=/b/uv.bundle.js></script>",
        ),
        ("text/html", b'<script src="https://cdn.example/scramjet/scramjet.all.js"></script>'),
    ],
)
@pytest.mark.parametrize("coding", ["", "gzip"])
def test_rewriting_web_proxy_is_known_by_what_it_sends(
    internet: Any, kind: str, body: bytes, coding: str
) -> None:
    """Under a path of its own, a web proxy's page or worker is stopped where web proxies are blocked."""
    sent = gzip.compress(body) if coding else body
    header = f"{kind}\r\nContent-Encoding: {coding}" if coding else kind
    internet.origin.replies["/innocent"] = (header, sent, True)
    assert internet.get("games.example", "/innocent").endswith(
        sent
    )  # this policy has no rule for web proxies
    internet.use_policy(
        "always_allow: [help.example]\nrules: [{block: category:circumvention, reason: No ways round}]"
    )
    internet.notes.clear()
    assert sent[12:] not in internet.get("games.example", "/innocent")
    assert internet.notes.techniques == ["web_proxy"]
    assert internet.notes.decisions[-1][1].blocked
    assert internet.get("help.example", "/innocent").endswith(sent)
    assert not internet.notes.faults


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (
            "text/html",
            b"<p>How to block <code>__uv$config</code> and &lt;script src=uv.bundle.js&gt; at school",
        ),
        ("text/plain", b"self.__uv$config = {}"),
        ("text/javascript", b"x" * 20_000 + b"__uv$config"),  # beyond what is looked at
        ("text/javascript", b"const uv = 1; const config = {scramjet: 'an engine'}"),
    ],
)
def test_what_only_speaks_of_web_proxies_passes(internet: Any, kind: str, body: bytes) -> None:
    """A text about them is not one of them."""
    internet.use_policy("rules: [{block: category:circumvention, reason: No ways round}]")
    internet.origin.replies["/innocent"] = (kind, body, True)
    assert internet.get("games.example", "/innocent").endswith(body)
    assert not internet.notes.techniques


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
