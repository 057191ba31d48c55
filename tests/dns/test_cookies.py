"""Cookies: RFC 9018's own examples, and clients that use them."""

import struct

import pytest
from dnslib import QTYPE

from schoolgate_dns.cookies import Cookies, siphash

CLIENT = b"client00"


def cookie_of(reply) -> bytes:
    options = [option for rr in reply.ar if rr.rtype == QTYPE.OPT for option in rr.rdata]
    return b"".join(bytes(option.data) for option in options if option.code == 10)


@pytest.mark.parametrize(
    ("size", "digest"),
    [(0, "310e0edd47db6f72"), (1, "fd67dc93c539f874"), (15, "e545be4961ca29a1"), (63, "724506eb4c328a95")],
)
def test_siphash(size, digest):
    """The vectors of the reference implementation."""
    assert siphash(bytes(range(16)), bytes(range(size))).hex() == digest


@pytest.mark.parametrize(
    ("secret", "client", "address", "now", "server"),
    [
        ("e5e973e5a6b2a43f48e7dc849e37bfcf", "2464c4abcf10c957", "198.51.100.100", 1559731985,
         "010000005cf79f111f8130c3eee29480"),
        ("dd3bdf9344b678b185a6f5cb60fca715", "22681ab97d52c298", "2001:db8:220:1:59de:d0f4:8769:82b8", 1559741817,
         "010000005cf7c57926556bd0934c72f8"),
    ],
)  # fmt: skip
def test_d_rfc9018_vectors(secret, client, address, now, server):
    """RFC 9018 appendix A: other implementations make the same cookies."""
    made = Cookies(bytes.fromhex(secret)).check(bytes.fromhex(client), address, now)
    assert made == (bytes.fromhex(client + server), False)


def test_a_cookie_is_taken_back():
    """Ours is recognised for an hour, renewed after half of it; not from elsewhere, not altered, not from tomorrow."""
    cookies = Cookies(b"k" * 16)
    first, proven = cookies.check(CLIENT, "10.20.0.5", 1_000_000)
    assert not proven
    assert cookies.check(first, "10.20.0.5", 1_001_800) == (first, True)
    renewed, proven = cookies.check(first, "10.20.0.5", 1_001_801)
    assert (renewed != first, proven) == (True, True)
    for cookie, address, now in (
        (first, "10.20.0.6", 1_000_000),
        (first[:-1] + b"x", "10.20.0.5", 1_000_000),
        (b"CLIENT00" + first[8:], "10.20.0.5", 1_000_000),
        (first, "10.20.0.5", 1_003_601),
        (first, "10.20.0.5", 999_000),
    ):
        assert cookies.check(cookie, address, now)[1] is False


@pytest.mark.parametrize("size", [0, 7, 9, 15, 41, 100])
def test_malformed_cookies_are_formerr(rig, dns, size):
    """RFC 7873 section 5.2.2."""
    assert rig.ask("localhost", options=[(10, b"c" * size)]).header.rcode == 1


def test_processes_with_one_secret_agree(make_rig):
    """A cookie of one process is good at another; without a shared secret it is not."""
    one, two, other = (make_rig(cookie_secret=secret) for secret in (b"s" * 16, b"s" * 16, b""))
    cookie = cookie_of(one.ask("localhost", options=[(10, CLIENT)]))
    assert (len(cookie), cookie[:8], cookie[8:12]) == (24, CLIENT, b"\1\0\0\0")
    assert cookie_of(two.ask("localhost", options=[(10, cookie)])) == cookie
    assert cookie_of(other.ask("localhost", options=[(10, cookie)])) != cookie


def test_a_wrong_secret_is_refused():
    """A secret of another size is a mistake in the settings."""
    with pytest.raises(ValueError, match="16 octets"):
        Cookies(b"short")


@pytest.mark.parametrize("name", ["facebook.com", "x.example", "use-application-dns.net", "nope.example"])
def test_every_kind_of_answer_carries_the_cookie(rig, name):
    """Blocked, forwarded, local or negative: the cookie comes along, over UDP and TCP, and no other client's does."""
    rig.engine.block("facebook.com")
    rig.upstream.add("x.example", "A", "x.example. 300 A 198.51.100.7")
    for _ in range(2):
        for tcp in (False, True):
            assert cookie_of(rig.ask(name, tcp=tcp, options=[(10, CLIENT)]))[:8] == CLIENT
        assert cookie_of(rig.ask(name)) == b""
    assert all(struct.pack("!H", 10) + b"\0\x08" not in message for message in rig.upstream.messages)
