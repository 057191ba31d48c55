"""Reading a request head: what it is for, or why it is refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schoolgate_policy.errors import InvalidHost
from schoolgate_policy.names import canonical_host
from schoolgate_policy.technique import Technique
from schoolgate_proxy.request import Refusal, RequestHead, Target, read_target, split_port

PORTS = frozenset({80, 443})


def _head(
    *hosts: str,
    authority: str = "",
    path: str = "/",
    method: str = "GET",
    http2: bool = False,
    tls: bool = True,
) -> RequestHead:
    return RequestHead(method, authority, path, [("Host", host) for host in hosts], http2, tls)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.example", ("a.example", None)),
        ("a.example:443", ("a.example", 443)),
        ("a.example:", ("a.example", None)),
        ("[::1]", ("[::1]", None)),
        ("[::1]:80", ("[::1]", 80)),
        ("::1", ("::1", None)),
    ],
)
def test_port_is_split_off(text: str, expected: tuple[str, int | None]) -> None:
    """A port is taken off names and bracketed addresses, never off a bare IPv6 address."""
    assert split_port(text) == expected


@pytest.mark.parametrize("text", ["a:0", "a:65536", "a:99999999", "a:-1", "a:8O", "a:٣"])
def test_odd_ports_are_refused(text: str) -> None:
    """What follows the colon must be a port."""
    with pytest.raises(InvalidHost):
        split_port(text)


def test_target_is_canonical() -> None:
    """Host, port and path come out in one spelling, the query left aside."""
    target = read_target(_head("WWW.Example.COM.:443", path="/a?b=c"), PORTS)
    assert target == Target("www.example.com", 443, "/a")
    assert target.authority == "www.example.com"


def test_ipv6_authority_is_bracketed() -> None:
    """An IPv6 literal goes upstream in brackets, an unusual port with it."""
    assert Target("2001:db8::1", 443, "/").authority == "[2001:db8::1]"
    assert Target("a.example", 8443, "/").authority == "a.example:8443"


@pytest.mark.parametrize(
    ("head", "technique"),
    [
        (_head(), Technique.HOST_AMBIGUITY),
        (_head("a.example", "a.example"), Technique.HOST_AMBIGUITY),
        (_head("a.example", authority="b.example"), Technique.HOST_AMBIGUITY),
        (_head(authority="a.example"), Technique.HOST_AMBIGUITY),
        (_head("a.example, b.example"), Technique.ODD_HOST),
        (_head("user@a.example"), Technique.ODD_HOST),
        (_head("a.example\r\n b.example"), Technique.SMUGGLING),
        (_head("a.example", path="/a b"), Technique.SMUGGLING),
        (_head("a.example", path="a"), Technique.PATH_TRICK),
        (_head("a.example", path="*"), Technique.PATH_TRICK),
        (_head("a.example", method="get"), Technique.ODD_METHOD),
        (_head("a.example:80"), Technique.PROXY_PROTOCOL),
        (_head("a.example:443", tls=False), Technique.PROXY_PROTOCOL),
        (_head("a.example:8443"), Technique.PROXY_PROTOCOL),
    ],
)
def test_doubtful_heads_are_refused(head: RequestHead, technique: Technique) -> None:
    """Whatever could be read in two ways is refused by name."""
    refusal = read_target(head, PORTS)
    assert isinstance(refusal, Refusal)
    assert refusal.technique is technique


def test_http2_needs_no_host_field() -> None:
    """Over HTTP/2 `:authority` is enough; a Host beside it must agree."""
    assert read_target(_head(authority="a.example", http2=True), PORTS) == Target("a.example", 443, "/")
    assert read_target(_head("A.example", authority="a.example", http2=True), PORTS) == Target(
        "a.example", 443, "/"
    )
    assert isinstance(read_target(_head("b.example", authority="a.example", http2=True), PORTS), Refusal)


def test_options_may_ask_for_the_whole_server() -> None:
    """`OPTIONS *` is a request like any other."""
    assert read_target(_head("a.example", path="*", method="OPTIONS"), PORTS) == Target("a.example", 443, "*")


@settings(deadline=None)
@given(st.text(max_size=60))
def test_no_host_is_ever_read_but_canonically(text: str) -> None:
    """Whatever stands in the Host field: it is refused, or what comes out is canonical already."""
    target = read_target(_head(text), PORTS)
    if isinstance(target, Target):
        assert canonical_host(target.host) == target.host
