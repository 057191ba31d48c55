"""What the gate reads of a ClientHello and of a request head, from bytes alone."""

import ssl
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schoolgate_proxy.gate.head import NotHttp, read_head
from schoolgate_proxy.gate.hello import Hello, NotAHello, read_hello


def make_hello(name: str | None = "site.example", alpn: tuple[str, ...] = ("h2", "http/1.1")) -> bytes:
    """Return the ClientHello that OpenSSL sends."""
    context = ssl.create_default_context()
    context.check_hostname = name is not None
    context.set_alpn_protocols(list(alpn))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with suppress(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


def in_records(hello: bytes, sizes: list[int]) -> bytes:
    """Spread a ClientHello over records of the given sizes, and the rest in one more."""
    message, out = hello[5:], b""
    for size in [*sizes, len(message)]:
        part, message = message[:size], message[size:]
        if part:
            out += hello[:3] + len(part).to_bytes(2) + part
    return out


HELLO = make_hello()


def test_a_whole_hello_is_read() -> None:
    """Name and protocols of a usual ClientHello are found."""
    hello = read_hello(HELLO)
    assert hello == Hello("site.example", (b"h2", b"http/1.1"), ech=False, records=1)
    nameless = read_hello(make_hello(None))
    assert isinstance(nameless, Hello)
    assert nameless.sni is None


@given(st.lists(st.integers(1, 200), max_size=40))
@settings(max_examples=150, deadline=None)
def test_any_spread_over_records_is_read_alike(sizes: list[int]) -> None:
    """However a ClientHello is spread over records, it says the same."""
    hello = read_hello(in_records(HELLO, sizes))
    assert isinstance(hello, Hello)
    assert (hello.sni, hello.alpn) == ("site.example", (b"h2", b"http/1.1"))


@given(st.integers(1, 60), st.data())
@settings(max_examples=150, deadline=None)
def test_a_part_of_a_hello_asks_for_more(size: int, data: st.DataObject) -> None:
    """Every part of a ClientHello is undecided, and says how much is needed at the least."""
    whole = in_records(HELLO, [size] * 5)
    cut = data.draw(st.integers(0, len(whole) - 1))
    needed = read_hello(whole[:cut])
    assert isinstance(needed, int)
    assert cut < needed <= len(whole)


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_noise_after_a_record_header_never_raises_otherwise(noise: bytes) -> None:
    """Whatever stands where a ClientHello should, it is read, waited for or refused."""
    for data in (b"\x16\x03\x01" + noise, HELLO[:43] + noise, HELLO[: len(HELLO) // 2] + noise):
        with suppress(NotAHello):
            assert isinstance(read_hello(data), int | Hello)


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x09",
        b"\x16\x04",
        b"\x17\x03\x03\x00\x10",
        b"\x16\x03\x01\x00\x00",  # an empty record
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",  # a ServerHello
        b"\x16\x03\x01\x00\x04\x01\x00\x50\x00",  # 20,480 octets announced
        b"\x16\x03\x01\x50\x00",
        HELLO[:3] + (len(HELLO) - 4).to_bytes(2) + HELLO[5:] + b"!",  # something behind it in its record
    ],
)
def test_what_is_no_hello_is_refused(data: bytes) -> None:
    """Other records, other messages and impossible lengths are refused as soon as they can be told."""
    with pytest.raises(NotAHello):
        read_hello(data)


def test_a_name_twice_is_refused() -> None:
    """Two server name extensions are no ClientHello; two names in one are no name."""
    marker = b"\x00\x00\x00\x11\x00\x0f\x00\x00\x0csite.example"
    at = HELLO.index(marker)
    total = int.from_bytes(HELLO[3:5])
    body = bytearray(HELLO)
    body[at:at] = marker
    body[3:5] = (total + len(marker)).to_bytes(2)
    body[6:9] = (total - 4 + len(marker)).to_bytes(3)
    extensions = _extensions_at(HELLO)
    length = int.from_bytes(HELLO[extensions : extensions + 2])
    body[extensions : extensions + 2] = (length + len(marker)).to_bytes(2)
    with pytest.raises(NotAHello, match="twice"):
        read_hello(bytes(body))


def _extensions_at(hello: bytes) -> int:
    at = 5 + 4 + 2 + 32
    at += 1 + hello[at]
    at += 2 + int.from_bytes(hello[at : at + 2])
    return at + 1 + hello[at]


@pytest.mark.parametrize(
    ("data", "method", "target"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/"),
        (b"\r\n\r\nGET http://a/b?c HTTP/1.1\r\nHost: a\r\n\r\nbody", "GET", "http://a/b?c"),
        (b"CONNECT a:443 HTTP/1.1\r\n\r\n", "CONNECT", "a:443"),
    ],
)
def test_a_plain_head_is_read(data: bytes, method: str, target: str) -> None:
    """A usual request head is read up to its end."""
    head = read_head(data)
    assert head is not None
    assert (head.method, head.target) == (method, target)
    assert data[: head.length].endswith(b"\r\n\r\n")
    assert all(read_head(data[:cut]) is None for cut in range(4, head.length))


@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", b"GET /a b HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\nHost: a\n\n"],
)
def test_an_odd_head_is_left_to_be_judged(data: bytes) -> None:
    """A head that could be read in two ways is not interpreted by the gate."""
    head = read_head(data)
    assert head is not None
    assert head.request is None


@pytest.mark.parametrize(
    "data", [b"\x00\x0e\x38aaa", b"SSH-2.0-OpenSSH_9.6\r\n", b"EHLO x\r\n", b"q6\xff", b"\x05\x01\0"]
)
def test_what_is_no_request_is_refused(data: bytes) -> None:
    """SSH, SMTP, SOCKS and VPNs are told from HTTP by their first line."""
    with pytest.raises(NotHttp):
        read_head(data)
