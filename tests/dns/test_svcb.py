"""HTTPS and SVCB records: what cannot be watched is taken out, the rest stays as it was."""

import struct
from contextlib import suppress

import pytest
from dnslib import QTYPE, RD, RR, DNSRecord
from hypothesis import given
from hypothesis import strategies as st

from schoolgate_dns.svcb import alias_target, without_hiding
from schoolgate_dns.wire import WireError

ALPN_H2_H3 = b"\x02h2\x02h3"


def rdata(params: dict[int, bytes], *, priority: int = 1, target: bytes = b"\0") -> bytes:
    tail = b"".join(struct.pack("!HH", key, len(value)) + value for key, value in sorted(params.items()))
    return struct.pack("!H", priority) + target + tail


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({1: ALPN_H2_H3, 5: b"ech"}, {1: b"\x02h2"}),
        ({3: b"\x01\xbb", 4: b"\x01\x02\x03\x04", 6: bytes(16)}, {3: b"\x01\xbb"}),
        ({0: b"\0\5", 5: b"ech"}, {}),
        ({0: b"\0\1\0\5", 1: b"\x02h2", 5: b"ech"}, {0: b"\0\1", 1: b"\x02h2"}),
        ({1: b"\x02h3\x05h3-29"}, {}),
        ({1: ALPN_H2_H3, 2: b""}, {1: b"\x02h2", 2: b""}),
        ({7: b"/dns-query{?dns}"}, {}),
        ({1: b"\x02h2", 65280: b"x"}, {1: b"\x02h2", 65280: b"x"}),
    ],
)
def test_hiding_parameters_are_removed(before, after):
    """RFC 9460 with 9848: ech, HTTP/3, hints and dohpath go, `mandatory` follows, unknown keys stay."""
    assert without_hiding(rdata(before)) == rdata(after)


@pytest.mark.parametrize(
    "data",
    [
        rdata({1: b"\x02h3", 2: b""}),  # HTTP/3 and nothing else
        rdata({1: b"\x09h2"}),  # a protocol over the end
        rdata({1: b"\0"}),
        b"\0\1\0" + b"\0\5\0\1x" + b"\0\1\0\3\2h2",  # keys out of order
        b"\0\1\0" + b"\0\5\0\1x" * 2,  # twice
        b"\0\1\0" + b"\0\5\0\x09x",
        b"\0\1\0" + b"\0\5",
        b"\0\1\xc0\x0c",  # a compressed target
        b"\0",
        b"",
    ],
)
def test_unusable_and_malformed_records_are_dropped(data):
    """A client must ignore a malformed record anyway; here it does not even see it."""
    assert without_hiding(data) is None


@given(st.binary(max_size=80))
def test_any_data_are_cleaned_dropped_or_refused(data):
    """Cleaning never raises, and cleaning twice changes nothing."""
    cleaned = without_hiding(data)
    if cleaned is not None:
        assert without_hiding(cleaned) == cleaned
    with suppress(WireError):
        alias_target(data)


def test_alias_mode_names_its_target():
    """Priority 0 is an alias; `.` and other priorities are not."""
    target = b"\3WWW\7example\0"
    assert alias_target(rdata({}, priority=0, target=target)) == target.lower()
    assert alias_target(rdata({}, priority=1, target=target)) is None
    assert alias_target(rdata({}, priority=0)) is None


@pytest.mark.parametrize("qtype", [64, 65])
def test_ech_and_h3_do_not_reach_the_client(rig, qtype):
    """A2.1, A3.1: the whole way through, for both types; AD and the signature over the edited set go as well, others stay."""

    def script(request, _):
        reply = request.reply(ra=1)
        reply.header.ad = 1
        data = rdata({1: ALPN_H2_H3, 3: b"\x01\xbb", 4: b"\xc6\x33\x64\x01", 5: b"secret-ech-config"})
        reply.add_answer(RR("ech.example", qtype, ttl=300, rdata=RD(data)))
        signature = struct.pack("!H", qtype) + bytes(16) + b"\0" + b"sig"
        reply.add_answer(RR("ech.example", 46, ttl=300, rdata=RD(signature)))
        reply.add_answer(RR("ech.example", 46, ttl=300, rdata=RD(b"\0\1" + signature[2:])))
        return reply.pack()

    rig.upstream.script = script
    raw = rig.udp(rig_query(qtype))
    reply = DNSRecord.parse(raw)
    assert b"secret" not in raw
    assert b"\x02h3" not in raw
    assert [(str(rr.rname), QTYPE[rr.rtype]) for rr in reply.rr] == [
        ("ech.example.", QTYPE[qtype]),
        ("ech.example.", "RRSIG"),
    ]
    assert rdata({1: b"\x02h2", 3: b"\x01\xbb"}) in raw
    assert reply.header.ad == 0


def rig_query(qtype: int) -> bytes:
    name = b"\3ech\7example\0"
    return (
        b"\0\7\1\x20\0\1\0\0\0\0\0\1"
        + name
        + struct.pack("!HH", qtype, 1)
        + b"\0\0\x29\x04\xd0\0\0\x80\0\0\0"
    )


def test_records_that_need_no_edit_are_passed_byte_for_byte(rig):
    """Raw bytes are forwarded: a record no codec knows, with empty data, arrives as it was."""

    def script(request, _):
        reply = bytes(request.reply(ra=1).pack())
        odd = b"\xc0\x0c\xff\x10\0\1\0\0\1\x2c\0\0" + b"\xc0\x0c\0\x01\0\1\0\0\1\x2c\0\4\xc6\x33\x64\7"
        return reply[:6] + b"\0\2\0\0\0\0" + reply[12 : 12 + 13 + 4] + odd

    rig.upstream.script = script
    query = b"\0\7\1\0\0\1\0\0\0\0\0\0\3oDd\7exAmple\0\0\1\0\1"
    raw = rig.udp(query)
    assert raw[12:29] == query[12:]
    assert (
        raw[29:] == b"\xc0\x0c\xff\x10\0\1\0\0\1\x2c\0\0" + b"\xc0\x0c\0\x01\0\1\0\0\1\x2c\0\4\xc6\x33\x64\7"
    )
