"""Re-encoding a message: what stays says the same as before, whatever it is."""

import random
import struct

import pytest
from dnslib import RR, DNSHeader, DNSQuestion, DNSRecord

from schoolgate_dns.edits import rewrite
from schoolgate_dns.wire import HEADER, WireError, read_name, read_records

LINES = (
    "www.example. 60 A 198.51.100.7",
    "www.example. 60 AAAA 2001:db8::7",
    "www.example. 60 CNAME web.www.example.",
    "www.example. 60 MX 10 mail.www.example.",
    'www.example. 60 TXT "some text" "more"',
    "_x._tcp.www.example. 60 SRV 1 2 3 srv.www.example.",
    "www.example. 60 SOA ns.www.example. host.www.example. 1 2 3 4 5",
    "www.example. 60 NS ns.www.example.",
    "7.www.example. 60 PTR www.example.",
    'www.example. 60 NAPTR 1 2 "s" "SIP+D2U" "" _sip._udp.www.example.',
    'www.example. 60 CAA 0 issue "ca.example"',
    "www.example. 60 HTTPS 1 svc.www.example. alpn=h2",
    "www.example. 60 RP admin.www.example. txt.www.example.",
)


def message_of(answers, authorities=(), additionals=()) -> DNSRecord:
    record = DNSRecord(DNSHeader(id=7, qr=1, ra=1), q=DNSQuestion("www.example"))
    for add, lines in (
        (record.add_answer, answers),
        (record.add_auth, authorities),
        (record.add_ar, additionals),
    ):
        for line in lines:
            add(*RR.fromZone(line))
    return record


@pytest.mark.parametrize("seed", range(30))
def test_what_stays_says_the_same(seed):
    """Any choice of records, compressed by another codec, in any sections: all but those taken out are unchanged."""
    chance = random.Random(seed)
    sections = [chance.sample(LINES, chance.randrange(5)) for _ in range(3)]
    message = bytes(message_of(*sections).pack())
    out = {place: None for place in range(sum(map(len, sections))) if chance.random() < 0.3}
    kept, place = [], 0
    for section in sections:
        kept.append([line for number, line in enumerate(section, place) if number not in out])
        place += len(section)
    again = DNSRecord.parse(rewrite(message, out))
    assert str(again) == str(message_of(*kept))


def test_new_data_are_put_in():
    """The data of one record change, its neighbours do not."""
    message = bytes(message_of(LINES[:1] + LINES[3:4]).pack())
    again = DNSRecord.parse(rewrite(message, {0: bytes([198, 51, 100, 8])}))
    assert [str(rr.rdata) for rr in again.rr] == ["198.51.100.8", "10 mail.www.example."]


def test_odd_records_pass():
    """Empty data, types nobody knows, bytes that mean nothing: copied to the letter."""
    question = b"\3www\7example\0\0\1\0\1"
    odd = b"\xc0\x0c" + struct.pack("!HHIH", 2, 1, 60, 0)  # an NS record without data
    odd += b"\xc0\x0c" + struct.pack("!HHIH", 65280, 1, 60, 4) + b"\xc0\x0c\xff\xff"
    private = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + b"\x0a\0\0\1"
    head = HEADER.pack(7, 0x8180, 1, 3, 0, 0)
    assert (
        rewrite(head + question + private + odd, {0: None})
        == HEADER.pack(7, 0x8180, 1, 2, 0, 0) + question + odd
    )


def test_long_chains_of_owners():
    """A hundred owners, each below the one before: pointers lead back to names that are where they say."""
    lines = [f"n{number}.www.example. 60 A 198.51.100.{number}" for number in range(100)]
    message = bytes(message_of(lines + lines[:50]).pack())
    again = rewrite(message, {0: None})
    body_at = read_name(again, HEADER.size)[1] + 4
    owners = [record.owner for record in read_records(again, body_at)]
    assert owners[:2] == [b"\2n1\3www\7example\0", b"\2n2\3www\7example\0"]
    assert len(owners) == 149


@pytest.mark.parametrize(
    ("rtype", "rdata"),
    [
        (2, b"\xff\xff"),
        (15, b"\0"),
        (33, b"\0\0\0\0\0\0"),
        (35, b"\0\0\0\0\1"),
        (35, b"\0\0\0\0\xff\0\0"),
        (6, b"\0"),
    ],
)
def test_what_cannot_be_moved_is_an_error(rtype, rdata):
    """A name that runs out of its record is a WireError: something could hide in it."""
    head = HEADER.pack(7, 0x8180, 1, 1, 0, 0) + b"\3www\7example\0\0\1\0\1"
    with pytest.raises(WireError):
        rewrite(head + b"\xc0\x0c" + struct.pack("!HHIH", rtype, 1, 60, len(rdata)) + rdata, {})
