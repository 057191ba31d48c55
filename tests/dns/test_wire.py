"""Reading bytes from strangers: no length or pointer is trusted, and whatever is wrong is one kind of error."""

import struct

import pytest
from dnslib import DNSRecord
from hypothesis import given
from hypothesis import strategies as st

from schoolgate_dns.query import Query, Rejection, read_query
from schoolgate_dns.reply import Body, build, reject
from schoolgate_dns.wire import Rcode, WireError, name_to_text, read_name, read_records

HEADER = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
TAIL = b"\0\1\0\1"

labels = st.lists(st.text("abcXYZ019-_", min_size=1, max_size=63), min_size=1, max_size=4)


def wire_name(parts) -> bytes:
    return b"".join(bytes([len(part)]) + part.encode() for part in parts) + b"\0"


@given(labels, st.integers(0, 65535))
def test_a_question_is_read_as_it_was_written(parts, ident):
    """Names survive reading: text, lower-case key, and the question to the letter."""
    question = wire_name(parts) + TAIL
    query = read_query(struct.pack("!H", ident) + HEADER[2:] + question)
    assert isinstance(query, Query)
    assert (query.id, query.question) == (ident, question)
    assert query.host == ".".join(parts).lower()
    assert query.name == wire_name(parts).lower()


@given(st.binary(max_size=600))
def test_any_bytes_are_a_query_a_rejection_or_nothing(data):
    """Garbage never raises, and what is answered carries the query's id."""
    for message in (data, HEADER + data, HEADER[:10] + b"\0\1" + b"\1a\0" + TAIL + data):
        read = read_query(message)
        if isinstance(read, Rejection):
            reply = reject(read)
        elif isinstance(read, Query):
            reply = build(read, 0, Body(), limit=512)
        else:
            continue
        assert reply[:2] == message[:2]
        assert reply[2] & 0x80


@given(st.binary(max_size=300), st.integers(0, 320))
def test_reading_names_and_records_of_garbage_is_an_error_or_a_result(data, offset):
    """The readers raise WireError only, and stay inside the message."""
    try:
        name, end = read_name(data, offset)
    except WireError:
        pass
    else:
        assert len(name) <= 255
        assert end <= len(data)
    message = (HEADER[:6] + b"\0\3\0\3\0\3" + data)[:300]
    try:
        for record in read_records(message, 12):
            assert record.end <= len(message)
    except WireError:
        pass


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (b"\x0cfacebook.com\0", "a dot inside a label"),
        (b"\x02\xc3\xa9\x03com\0", "bytes beyond ASCII"),
        (
            b"\x3f" + b"a" * 63 + b"\x3f" + b"a" * 63 + b"\x3f" + b"a" * 63 + b"\x3f" + b"a" * 63 + b"\0",
            "257 octets",
        ),
        ((b"\x01a" * 150) + b"\0", "301 octets"),
        (b"\x40" + b"a" * 64 + b"\0", "a label type nobody uses"),
        (b"\xc0\x0c", "a pointer to itself"),
        (b"\xc0\x02", "a pointer into the header"),
        (b"\xc0\xff", "a pointer beyond the end"),
        (b"\x05ab", "a label over the end"),
        (b"\xc0", "half a pointer"),
    ],
)
def test_odd_names_are_format_errors(name, why):
    """A1.16: names that different readers read differently are refused and noted."""
    read = read_query(HEADER + name + TAIL)
    assert isinstance(read, Rejection), why
    assert (read.rcode, read.odd_name) == (Rcode.FORMERR, True)


def test_names_of_the_greatest_length_are_fine():
    """255 octets are a name (RFC 1035 section 2.3.4), 256 are not."""
    name = (b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"a" * 61 + b"\0"
    assert len(name) == 255
    assert isinstance(read_query(HEADER + name + TAIL), Query)
    assert isinstance(
        read_query(HEADER + name.replace(b"\x3d", b"\x3e").replace(b"\0", b"a\0") + TAIL), Rejection
    )


def test_a_chain_of_pointers_costs_bounded_time():
    """A message made of nothing but pointers to pointers is refused, not followed to the end."""
    chain = b"".join(struct.pack("!H", 0xC000 | (12 + 2 * step)) for step in range(2000))
    data = bytes(12) + b"\0\0" + chain
    with pytest.raises(WireError):
        read_name(data, len(data) - 2)


@pytest.mark.parametrize(
    ("message", "rcode"),
    [
        (HEADER[:2] + b"\x29\x00" + HEADER[4:] + b"\1a\0" + TAIL, Rcode.NOTIMP),  # UPDATE
        (HEADER[:4] + b"\0\0" + HEADER[6:], Rcode.FORMERR),
        (HEADER[:4] + b"\0\2" + HEADER[6:] + (b"\1a\0" + TAIL) * 2, Rcode.FORMERR),
        (HEADER + b"\1a\0\0\1\0", Rcode.FORMERR),
        (HEADER + b"\1a\0\0\x10\0\3", Rcode.REFUSED),  # class CH
        (HEADER[:10] + b"\0\1" + b"\1a\0" + TAIL + b"\0\0\x29\x04\xd0\0\1\0\0\0\0", Rcode.BADVERS),
        (HEADER[:10] + b"\0\2" + b"\1a\0" + TAIL + b"\0\0\x29\x04\xd0\0\0\0\0\0\0" * 2, Rcode.FORMERR),
        (HEADER[:10] + b"\0\1" + b"\1a\0" + TAIL + b"\0\0\x29\x04\xd0\0\0\0\0\0\3\0\1\0", Rcode.FORMERR),
        (HEADER[:10] + b"\0\1" + b"\1a\0" + TAIL, Rcode.FORMERR),  # a record is promised and missing
    ],
)
def test_each_mistake_has_its_own_code(message, rcode):
    """RFC 1035, 6891: the protocol's proper error for each."""
    read = read_query(message)
    assert isinstance(read, Rejection)
    assert read.rcode == rcode
    reply = DNSRecord.parse(reject(read))
    assert reply.header.rcode == rcode & 0xF
    assert (reply.header.qr, reply.header.aa, reply.header.ra) == (1, 0, 1)


def test_responses_and_stumps_are_not_answered():
    """QR=1 and less than a header get no answer, or two servers could talk for ever."""
    assert read_query(HEADER[:2] + b"\x81\x80" + HEADER[4:] + b"\1a\0" + TAIL) is None
    assert read_query(HEADER[:11]) is None
    assert read_query(b"") is None


def test_text_of_a_name():
    """The root is empty text; labels are joined by dots."""
    assert name_to_text(b"\0") == ""
    assert name_to_text(b"\3www\7example\0") == "www.example"
