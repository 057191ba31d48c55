"""Addresses inside requests: where services carry them, in how many wrappings, and what is none."""

import base64
from urllib.parse import quote

import pytest

from schoolgate_policy.catalogue_file import load_catalogue
from schoolgate_policy.embedded import embedded_in, program_at
from schoolgate_policy.embedded_data import knowledge

B64 = base64.b64encode(b"https://www.facebook.com/groups").decode()
HEX = b"https://www.facebook.com/groups".hex()
PLAIN = "https://www.facebook.com/groups"
XOR = quote("".join(chr(ord(c) ^ 2) if place % 2 else c for place, c in enumerate(PLAIN)), safe="")


def hosts(url: str, *, known: bool | None = None) -> list[str]:
    """Return the embedded hosts of a URL without its scheme."""
    host, slash, rest = url.partition("/")
    return [one.host for one in embedded_in(host, slash + rest or "/") if known is None or one.known is known]


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("www-facebook-com.translate.goog/groups?_x_tr_sl=auto", "www.facebook.com"),
        ("a--b-example-org.translate.goog/", "a-b.example.org"),
        ("0-bcher--kva-example.translate.goog/?_x_tr_enc=0", "xn--bcher-kva.example"),
        ("1-www-facebook-com.translate.goog/?_x_tr_enc=1", "www.facebook.com"),
        ("book-com.translate.goog/?_x_tr_hp=www-face", "www.facebook.com"),
        ("translate.google.com/translate?sl=auto&u=https%3A%2F%2Ffacebook.com", "facebook.com"),
        ("translate.google.com/translate?u=facebook.com/groups", "facebook.com"),
        ("www-facebook-com.cdn.ampproject.org/c/s/www.facebook.com/x", "www.facebook.com"),
        ("www.google.com/amp/s/www.facebook.com/x", "www.facebook.com"),
        ("web.archive.org/web/2024/https://facebook.com/", "facebook.com"),
        ("web.archive.org/web/20240101000000if_/http:/facebook.com/x?y=1", "facebook.com"),
        ("web.archive.org/web/*/facebook.com", "facebook.com"),
        ("web.archive.org/save/https://facebook.com/", "facebook.com"),
        ("archive.ph/newest/https://facebook.com/", "facebook.com"),
        ("webcache.googleusercontent.com/search?q=cache:AbC-12345678:facebook.com/x+word", "facebook.com"),
        ("webcache.googleusercontent.com/search?q=cache%3Afacebook.com", "facebook.com"),
        ("r.jina.ai/https://facebook.com/x", "facebook.com"),
        ("12ft.io/facebook.com", "facebook.com"),
        ("12ft.io/proxy?q=https%3A%2F%2Ffacebook.com", "facebook.com"),
        ("docs.google.com/viewer?url=https://facebook.com/a.pdf", "facebook.com"),
        ("i0.wp.com/facebook.com/picture.jpg", "facebook.com"),
        ("corsproxy.io/?https://facebook.com/x", "facebook.com"),
        ("www.google.com/url?sa=t&q=https://facebook.com/x", "facebook.com"),
        (f"www.bing.com/ck/a?p=1&u=a1{B64}&ntb=1", "www.facebook.com"),
        ("duckduckgo.com/l/?uddg=https%3A%2F%2Ffacebook.com%2F", "facebook.com"),
        ("href.li/?https://facebook.com", "facebook.com"),
    ],
)
def test_known_services(url: str, found: str) -> None:
    """Each service's own way of carrying an address is read."""
    assert found in hosts(url, known=True)


@pytest.mark.parametrize(
    "url",
    [
        "proxy.example/browse?u=https%253A%252F%252Fwww.facebook.com",
        "proxy.example/browse?u=https%25253A%25252F%25252Fwww.facebook.com",
        "proxy.example/?url=http://www.facebook.com",
        "proxy.example/?url=//www.facebook.com",
        "proxy.example/?url=https://school.example@www.facebook.com/",
        "proxy.example/?url=https://WWW.FACEBOOK.COM.:443/",
        f"proxy.example/?u={B64}",
        f"proxy.example/x/{B64}",
        f"proxy.example/?u={base64.b64encode(B64.encode()).decode()}",
        f"proxy.example/?u={B64.rstrip('=').replace('=', '%3D')}",
        "proxy.example/browse.php?u=czovL3d3dy5mYWNlYm9vay5jb20v&b=29",
        f"proxy.example/?__cpo={base64.b64encode(b'https://www.facebook.com').decode()}",
        f"proxy.example/fetch/{HEX}",
        f"proxy.example/service/{XOR}",
        "proxy.example/proxy/https://www.facebook.com/x",
        "proxy.example/https:/www.facebook.com/x",
        "proxy.example/?https://www.facebook.com/x",
        "proxy.example/r/https%3A%2F%2Fwww.facebook.com",
        "proxy.example/?u=https://web.archive.org/web/2024/https://www.facebook.com/",
    ],
)
def test_nameless_web_proxies(url: str) -> None:
    """An address is found at a host that nobody knows, in up to three wrappings and inside another service."""
    assert "www.facebook.com" in hosts(url)


@pytest.mark.parametrize(
    "url",
    [
        "www.google.com/search?q=facebook.com",
        "www.google.com/search?q=https%3A%2F%2Ffacebook.com",
        "school.example/login?next=/news&return=https://facebook.com/",
        "accounts.google.com/v3/signin?continue=https://www.youtube.com/signin",
        "cdn.example/facebook.com.js",
        "api.example/v1/QUJDREVGR0hJSktMTU5PUA==",
        "school.example/3f786850e387550fdab836ed7e6dc881de23001b",
        "school.example/?u=alice&url=news",
        "school.example/?link=mailto:a@facebook.com",
        "translate.google.com/?sl=cy&tl=en&text=facebook.com",
    ],
)
def test_ordinary_requests_embed_nothing(url: str) -> None:
    """Searching for a site, signing in and ordinary names in paths are no addresses to be fetched."""
    assert not [host for host in hosts(url) if "facebook" in host or "youtube" in host]


@pytest.mark.parametrize(
    ("target", "title"),
    [
        ("/uv/uv.bundle.js?v=2", "Ultraviolet"),
        (f"/service/{XOR}", "Ultraviolet"),
        ("/scram/scramjet.all.js", "Scramjet"),
        ("/math/scramjet.wasm.wasm", "Scramjet"),
        ("/rammerhead.js", "Rammerhead"),
        ("/0123456789abcdef0123456789abcdef/https://facebook.com/", "Rammerhead"),
        ("/main/https://facebook.com/", "Womginx"),
        ("/baremux/worker.js", "Bare and Wisp servers"),
        ("/bare/v3/", "Bare and Wisp servers"),
        ("/?__cpo=aHR0cHM6Ly9mYWNlYm9vay5jb20", "CroxyProxy"),
        ("/__cpi.php?s=x", "CroxyProxy"),
        ("/proxy/https://facebook.com", "Node-unblocker"),
        ("/browse.php?u=czovL2ZhY2Vib29rLmNvbS8&b=29", "Glype"),
        ("/cgi-bin/nph-proxy.cgi/000000A/http/facebook.com/", "CGIProxy"),
        ("/index.php?q=aHR0cDovL2ZhY2Vib29rLmNvbQ&hl=3ed", "PHProxy"),
    ],
)
def test_programs_are_told_by_their_paths(target: str, title: str) -> None:
    """The rewriting web proxies are recognised wherever they are hosted."""
    program = program_at(target)
    assert program is not None
    assert program.title == title


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/service/",
        "/index.php?q=cats",
        "/wisp/",
        "/main/news",
        "/dynamic.js",
        "/sw.js",
        "/browse.php",
        "/proxy/",
    ],
)
def test_ordinary_paths_are_no_program(target: str) -> None:
    """What ordinary sites use too is not held against them."""
    assert program_at(target) is None or target == "/browse.php"


def test_programs_are_told_by_websocket_and_header() -> None:
    """A Wisp tunnel is told by its websocket, a Bare server by the fields it is asked with."""
    assert program_at("/wisp/", websocket=True) is not None
    assert program_at("/fetch", ["host", "x-bare-url"]) is not None


def test_every_program_stands_for_a_service_of_the_catalogue() -> None:
    """The services whose rules hold for a recognised program exist."""
    assert {program.service for program in knowledge().programs} <= load_catalogue().services.keys()
