"""What the fuzzers feed: each takes bytes from a stranger and fails if anything but the proper error comes out."""

from dnslib import DNSRecord

from schoolgate_dns.answer import Answer, digest, render
from schoolgate_dns.cache import Found
from schoolgate_dns.config import DnsConfig
from schoolgate_dns.query import Query, Rejection, read_query
from schoolgate_dns.reply import reject, truncated
from schoolgate_dns.safe_search import twin_query, with_alias
from schoolgate_dns.svcb import alias_target, without_hiding
from schoolgate_dns.upstream_address import parse_upstream
from schoolgate_dns.wire import HEADER, WireError, read_name, read_records

_CONFIG = DnsConfig()
_QUESTION = b"\3www\7example\3com\0\0\1\0\1"
QUERY = b"\x12\x34\1\0\0\1\0\0\0\0\0\1" + _QUESTION + b"\0\0\x29\x04\xd0\0\0\x80\0\0\0"
ASKED = read_query(QUERY)


def client_message(data: bytes) -> None:
    """A datagram from a client: a query, a refusal, or nothing; what we make of it can be read again."""
    query = read_query(data)
    if isinstance(query, Rejection):
        reply = reject(query)
        assert reply[:2] == data[:2]
        assert reply[2] & 0x80
    elif isinstance(query, Query):
        assert query.name == query.name.lower()
        assert len(query.name) <= 255
        assert "." not in query.host or all(query.host.split("."))
        DNSRecord.parse(truncated(query))


def upstream_message(data: bytes) -> None:
    """An answer of an upstream that repeats our question: told to clients whole, or WireError."""
    assert isinstance(ASKED, Query)
    message = b"\x12\x34\x81\x80\0\1" + data[:6].ljust(6, b"\0") + _QUESTION + data[6:]
    for own_zone in (False, True):
        try:
            answer = digest(message, _CONFIG, own_zone=own_zone)
        except WireError:
            continue
        _told(answer)


def _told(answer: Answer) -> None:
    assert isinstance(ASKED, Query)
    for limit in (512, 1232, 65_535):
        reply = render(answer, ASKED, age=5, longest=60, limit=limit)
        assert len(reply) <= limit
        _, end = read_name(reply, HEADER.size)
        records = read_records(reply, end + 4)
        assert records[-1].end == len(reply)
        assert all(record.ttl <= 60 for record in records[:-1] if record.rtype != 41)
    engine = twin_query(ASKED, "search.example.org")  # whose filtered twin is the name that was asked for
    filtered = with_alias(engine, ASKED, Found(answer, 0, 0, stale=False))
    if filtered.answer is not answer:
        DNSRecord.parse(render(filtered.answer, engine, age=0, longest=60, limit=65_535))


def service_record(data: bytes) -> None:
    """The data of an HTTPS record: cleaned twice is cleaned once, and shorter, or gone."""
    cleaned = without_hiding(data)
    if cleaned is not None:
        assert len(cleaned) <= len(data)
        assert without_hiding(cleaned) == cleaned
    try:
        alias_target(data)
    except WireError:
        assert cleaned is None


def upstream_name(data: bytes) -> None:
    """The name of an upstream in the settings."""
    try:
        parsed = parse_upstream(data.decode(errors="replace"))
    except ValueError:
        return
    assert parse_upstream(str(parsed)) == parsed


TARGETS = (client_message, upstream_message, service_record, upstream_name)
