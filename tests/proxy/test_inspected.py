"""What happens to connections that are decrypted, and to plain HTTP."""

from typing import Any

import pytest

STAFF = "127.0.10.5"


def test_blocked_https_gets_the_page_without_upstream_contact(internet: Any) -> None:
    """A blocked site over HTTPS answers 403 with our page, and nothing leaves the box."""
    reply = internet.get("blocked.example")
    assert reply.startswith(b"HTTP/1.1 403 ")
    assert b"not for school" in reply
    assert b"Pupils may not use &lt;social media&gt;" in reply
    assert internet.untouched


def test_allowed_https_reaches_the_origin(internet: Any) -> None:
    """An allowed site is fetched under its own name, with its certificate checked."""
    reply = internet.get("fine.example", "/page?q=1")
    assert reply.startswith(b"HTTP/1.1 200 ")
    [seen] = internet.origin.seen
    assert (seen.sni, seen.host, seen.path) == ("fine.example", "fine.example", "/page?q=1")
    assert b"lt-Svc" not in reply
    assert b"alt-svc" not in reply.lower()


def test_blocked_http_gets_the_page(internet: Any) -> None:
    """A blocked site over plain HTTP answers 403 with our page, and nothing leaves the box."""
    reply = internet.plain(
        b"GET http://blocked.example/ HTTP/1.1\r\nHost: blocked.example\r\nConnection: close\r\n\r\n"
    )
    assert reply.startswith(b"HTTP/1.1 403 ")
    assert internet.untouched


def test_allowed_http_reaches_the_origin_in_origin_form(internet: Any) -> None:
    """Plain HTTP through the proxy is forwarded in origin form under the judged name."""
    reply = internet.plain(
        b"GET http://Fine.Example./x HTTP/1.1\r\nHost: fine.example\r\nConnection: close\r\n\r\n"
    )
    assert reply.startswith(b"HTTP/1.1 200 ")
    [seen] = internet.origin.seen
    assert (seen.host, seen.path) == ("fine.example", "/x")


@pytest.mark.parametrize("address", ["127.0.20.5", STAFF])
def test_fronting_is_refused(internet: Any, address: str) -> None:
    """A blocked Host inside a connection for an allowed name is blocked where it can be seen."""
    if address == STAFF:
        with pytest.raises(OSError):  # the name passes unread and the origin's own certificate comes back
            internet.get("blocked.example", address=address, sni="blocked.example", headers="X: y\r\n")[
                999999
            ]
        return
    reply = internet.get("blocked.example", sni="fine.example")
    assert reply.startswith(b"HTTP/1.1 403 ")
    assert "fronting" in internet.notes.techniques
    assert internet.untouched
