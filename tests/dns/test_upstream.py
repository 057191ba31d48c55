"""Upstreams that fail, are slow, lie, or are not there."""

import threading
import time

import pytest
from dnslib import DNSRecord
from ports import free_port


def x(rig, which: int = 0, ttl: int = 300) -> None:
    rig.upstreams[which].add("x.example", "A", f"x.example. {ttl} A 198.51.100.{which + 1}")


def test_truncated_answers_are_fetched_over_tcp(rig):
    """TC from upstream means TCP, and the client sees the whole over TCP."""
    rig.upstream.add("big.example", "TXT", *(f'big.example. 300 TXT "{str(n) * 200}"' for n in range(10)))
    assert len(rig.ask("big.example", "TXT", tcp=True).rr) == 10
    assert [transport for transport, *_ in rig.upstream.asked] == ["udp", "tcp"]


def test_a_silent_upstream_is_passed_over(make_rig):
    """Fail-over: the next one answers, and the silent one is asked last for a while."""
    rig = make_rig(upstreams=2)
    rig.upstreams[0].silent = True
    x(rig, 1)
    rig.upstreams[1].add("y.example", "A", "y.example. 300 A 198.51.100.2")
    assert str(rig.ask("x.example").rr[0].rdata) == "198.51.100.2"
    assert str(rig.ask("y.example").rr[0].rdata) == "198.51.100.2"
    assert (len(rig.upstreams[0].asked), len(rig.upstreams[1].asked)) == (1, 2)


def test_a_failing_upstream_is_passed_over(make_rig):
    """SERVFAIL and REFUSED from one upstream are not the last word."""
    rig = make_rig(upstreams=2)

    def script(request, _):
        reply = request.reply()
        reply.header.rcode = 5
        return reply.pack()

    rig.upstreams[0].script = script
    x(rig, 1)
    assert str(rig.ask("x.example").rr[0].rdata) == "198.51.100.2"


def test_a_closed_port_is_noticed_at_once(make_rig):
    """A refused datagram does not wait for a time-out."""
    rig = make_rig(upstreams=0, endpoints=(("127.0.0.1", free_port()),))
    started = time.monotonic()
    assert rig.ask("x.example").header.rcode == 2
    assert time.monotonic() - started < 1


def test_a_dead_upstream_is_servfail_with_the_reason(rig, dns):
    """EDE 22, the fault recorded once for all who asked, and not asked again for a moment (RFC 9520)."""
    rig.upstream.silent = True
    reply = rig.ask("x.example")
    assert reply.header.rcode == 2
    assert dns.edes(reply)[0][0] == 22
    assert "did not answer in time" in dns.edes(reply)[0][1]
    asked = len(rig.upstream.asked)
    assert rig.ask("x.example").header.rcode == 2
    assert len(rig.upstream.asked) == asked
    assert [area for area, _ in rig.recorder.faults] == ["upstream"]
    rig.upstream.silent = False
    x(rig)
    rig.pass_time(rig.config.failure_seconds)
    assert rig.ask("x.example").header.rcode == 0


def test_no_upstream_is_servfail_with_the_reason(make_rig, dns):
    """Unconfigured means closed, and says what to set; blocked and local names are answered all the same."""
    rig = make_rig(upstreams=0)
    rig.engine.block("facebook.com")
    reply = rig.ask("x.example")
    assert reply.header.rcode == 2
    assert dns.edes(reply) == [(22, "no upstream resolver is configured: set dns.upstreams")]
    assert rig.ask("facebook.com").header.rcode == 0
    assert rig.ask("localhost").header.rcode == 0


def test_upstreams_own_explanation_passes(rig, dns):
    """A SERVFAIL for bad signatures keeps upstream's EDE."""

    def script(request, _):
        reply = request.reply(ra=1)
        reply.header.rcode = 2
        data = bytes(reply.pack())
        return data[:10] + b"\0\1" + data[12:] + b"\0\0\x29\x04\xd0\0\0\0\0\0\x0b\0\x0f\0\7\0\6bogus"

    rig.upstream.script = script
    reply = rig.ask("bogus.example")
    assert (reply.header.rcode, dns.edes(reply)) == (2, [(6, "bogus")])


def test_a_server_older_than_edns_is_asked_without(rig):
    """FORMERR to a query with OPT is repeated without (RFC 6891 section 7)."""
    x(rig)

    def script(request, _):
        reply = rig.upstream.reply(request)
        if request.ar:
            reply = request.reply()
            reply.header.rcode = 1
        return reply.pack()

    rig.upstream.script = script
    assert str(rig.ask("x.example").rr[0].rdata) == "198.51.100.1"


def test_a_server_that_loses_case_is_asked_over_tcp(rig):
    """0x20: an answer in other letter case is not believed over UDP."""
    x(rig)

    def script(request, transport):
        reply = bytes(rig.upstream.reply(request).pack())
        size = len(request.q.qname.label) and sum(len(part) + 1 for part in request.q.qname.label)
        return reply[:12] + reply[12 : 12 + size].lower() + reply[12 + size :]

    rig.upstream.script = script
    reply = rig.ask("X.exaMple")
    assert (str(reply.rr[0].rdata), str(reply.q.qname)) == ("198.51.100.1", "X.exaMple.")
    assert rig.upstream.asked[-1][0] == "tcp"


def test_forged_answers_are_not_believed(rig):
    """D 5452: a thousand answers with wrong ids, wrong names or QR=0 before the true one.

    The flood would push the true answer out of the socket's buffer: TCP, which nobody forges from afar, settles it.
    """
    x(rig)

    def script(request, transport):
        true = rig.upstream.reply(request)
        if transport == "tcp":
            return true.pack()
        lie = rig.upstream.reply(request)
        lie.rr[0].rdata.data = (6, 6, 6, 6)
        packed = bytes(lie.pack())
        wrong = [bytes([packed[0] ^ (n % 255 + 1)]) + packed[1:] for n in range(700)]
        wrong += [packed[:2] + b"\1\0" + packed[4:]] * 100
        wrong += [packed[:12] + b"\1y" + packed[14:]] * 200
        return [*wrong, bytes(true.pack())]

    rig.upstream.script = script
    assert str(rig.ask("x.example").rr[0].rdata) == "198.51.100.1"
    assert rig.counters.seen["forged"] == 20
    assert rig.upstream.asked[-1][0] == "tcp"


@pytest.mark.parametrize(
    "made",
    [
        lambda packed: packed[:-3],
        lambda packed: packed[:6] + b"\0\x09" + packed[8:],
        lambda packed: packed[:-5] + b"\x09" + packed[-4:],
        lambda packed: packed[:12],
        lambda packed: b"",
    ],
)
def test_malformed_answers_end_in_servfail(rig, made):
    """Garbage from upstream is SERVFAIL, never a crash, never passed on."""
    x(rig)
    rig.upstream.script = lambda request, _: made(bytes(rig.upstream.reply(request).pack()))
    assert rig.ask("x.example").header.rcode == 2
    rig.upstream.script = None
    assert rig.ask("localhost").header.rcode == 0


@pytest.mark.parametrize(
    "records",
    [
        b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\5\xc6\x33\x64\7\0",  # five octets of address
        b"\xc0\x0c\0\5\0\1\0\0\0\x3c\0\5\3a.b\0",  # an alias with a dot in a label
        # A private address to take out, beside a record whose name is malformed, which cannot be moved.
        b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x0a\0\0\1" + b"\xc0\x0c\0\2\0\1\0\0\0\x3c\0\2\xff\xff",
    ],
)
def test_what_cannot_be_judged_or_edited_is_servfail(rig, dns, records):
    """An answer in which something could hide is not passed on."""

    def script(request, _):
        count = 2 if len(records) > 20 else 1
        return (
            bytes(request.reply(ra=1).pack()).replace(
                b"\0\1\0\0\0\0\0\0", bytes([0, 1, 0, count, 0, 0, 0, 0]), 1
            )
            + records
        )

    rig.upstream.script = script
    reply = rig.ask("x.example")
    assert reply.header.rcode == 2
    assert dns.edes(reply)[0][0] == 23
    assert [area for area, _ in rig.recorder.faults] == ["upstream"]


def test_a_bug_of_ours_in_a_lookup_is_servfail(rig, monkeypatch):
    """An unexpected exception behind the cache ends in SERVFAIL and a fault, and is not remembered."""
    x(rig)
    with monkeypatch.context() as patched:
        patched.setattr("schoolgate_dns.lookup.digest", lambda *_, **__: 1 / 0)
        assert rig.ask("x.example").header.rcode == 2
    assert {(area, type(error)) for area, error in rig.recorder.faults} == {("dns", ZeroDivisionError)}
    rig.pass_time(rig.config.failure_seconds)
    assert rig.ask("x.example").header.rcode == 0


def test_identical_questions_in_flight_are_one(make_rig, dns):
    """A hundred clients, one question to upstream."""
    rig = make_rig(quick_timeout=8, udp_timeout=8)
    x(rig)
    rig.upstream.delay["x.example"] = 0.3
    replies: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: replies.append(rig.udp(dns.query("x.example")))) for _ in range(100)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {str(DNSRecord.parse(reply).rr[0].rdata) for reply in replies} == {"198.51.100.1"}
    assert (len(replies), rig.upstream.count("x.example")) == (100, 1)


def test_too_many_questions_in_flight_are_refused_service(make_rig, dns):
    """The number of waiting questions is bounded; blocked names do not wait, and stale answers are better than none."""
    rig = make_rig(max_in_flight=1)
    rig.engine.block("facebook.com")
    rig.upstream.add("old.example", "A", "old.example. 60 A 198.51.100.7")
    rig.ask("old.example")
    rig.pass_time(100)
    rig.upstream.asked.clear()
    x(rig)
    rig.upstream.delay["x.example"] = 0.5
    waiting = threading.Thread(target=lambda: rig.ask("x.example"))
    waiting.start()
    while not rig.upstream.asked:
        time.sleep(0.01)
    assert dns.edes(rig.ask("y.example"))[0][0] == 23
    assert rig.ask("facebook.com").header.rcode == 0
    assert dns.edes(rig.ask("old.example"))[0][0] == 3
    waiting.join()


@pytest.mark.parametrize("owner", [b"\xc0\x21", b"\xc0\x23"])
def test_a_name_hidden_in_a_ttl_is_servfail(rig, dns, owner):
    """A pointer into a TTL would be one name when judged and another when told: found by fuzzing."""
    ttl_as_name = b"\xc0\x0c\0\x10\0\1" + b"\1a\1b" + b"\0\1\0"  # its TTL is two labels, its length their end
    alias = b"\xc0\x0c\0\5\0\1\0\0\0\x3c\0\2" + owner

    def script(request, _):
        head = bytearray(bytes(request.reply(ra=1).pack()))
        head[6:8] = b"\0\2"
        return bytes(head) + ttl_as_name + alias

    rig.upstream.script = script
    reply = rig.ask("x.example")
    assert (reply.header.rcode, dns.edes(reply)[0][0]) == (2, 23)
