"""Host names in one spelling."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schoolgate_policy.errors import InvalidHost
from schoolgate_policy.names import as_ip, canonical_host, parse_address, suffixes


@pytest.mark.parametrize(
    ("spelt", "canonical"),
    [
        ("facebook.com", "facebook.com"),
        ("WwW.FaceBook.COM", "www.facebook.com"),
        ("facebook.com.", "facebook.com"),
        ("facebook。com", "facebook.com"),
        ("ｆａｃｅｂｏｏｋ.com", "facebook.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("faß.example", "xn--fa-hia.example"),
        ("_dns.resolver.arpa", "_dns.resolver.arpa"),
        ("a_b.example", "a_b.example"),
        ("localhost", "localhost"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("127.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("1.2.3.4.", "1.2.3.4"),
        ("[::1]", "::1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("::ffff:10.20.0.5", "10.20.0.5"),
    ],
)
def test_one_spelling(spelt: str, canonical: str) -> None:
    """Every way to write a host comes out as one."""
    assert canonical_host(spelt) == canonical


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "facebook.com..",
        ".facebook.com",
        "face..book.com",
        " facebook.com",
        "facebook.com ",
        "facebook%2ecom",
        "face book.com",
        "facebook.com:443",
        "user@facebook.com",
        "facebook.com/",
        "-facebook.com",
        "facebook-.com",
        "a" * 64 + ".com",
        ".".join(["a" * 60] * 5),
        "1.2.3.4.5",
        "256.1.1.1",
        "1.2.3.256",
        "09.1.1.1",
        "0x.example.1",
        "[::1",
        "::g",
        "face\x00book.com",
        "facebook.com\r\n",
        "xn--a\u0080.com",
    ],
)
def test_what_is_no_host(text: str) -> None:
    """Text that names no host is refused, not repaired."""
    with pytest.raises(InvalidHost):
        canonical_host(text)


@given(st.text(max_size=80))
def test_canonical_is_a_fixed_point(text: str) -> None:
    """A canonical host is canonical already, and nothing but InvalidHost is ever raised."""
    try:
        host = canonical_host(text)
    except InvalidHost:
        return
    assert canonical_host(host) == host
    assert host == host.lower()


@given(st.ip_addresses())
def test_addresses_survive(address: object) -> None:
    """An IP address is its own canonical host, and is found to be one."""
    host = canonical_host(str(address))
    assert as_ip(host) == parse_address(str(address))


def test_suffixes_go_from_long_to_short() -> None:
    """A name and everything above it, on label boundaries only."""
    assert list(suffixes("a.bc.d")) == ["a.bc.d", "bc.d", "d"]


def test_a_zone_is_dropped_from_a_client_address() -> None:
    """A link-local client is found whatever interface it came by."""
    assert str(parse_address("fe80::1%eth0")) == "fe80::1"
