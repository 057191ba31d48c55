"""Allowed names: what goes upstream, what comes back, what is refused on the way."""

from ipaddress import ip_network

import pytest
from dnslib import QTYPE, DNSRecord


def test_an_allowed_name_is_forwarded(rig):
    """The answer is upstream's; AA is clear, RA set, the question echoed to the letter (RFC 4343)."""
    rig.upstream.add("school.example", "A", "school.example. 300 A 198.51.100.7")
    for _ in range(2):
        reply = rig.ask("SChool.Example")
        assert str(reply.rr[0].rdata) == "198.51.100.7"
        assert str(reply.q.qname) == "SChool.Example."
        assert (reply.header.qr, reply.header.aa, reply.header.ra, reply.header.rd) == (1, 0, 1, 1)
    assert rig.upstream.count("school.example") == 1


def test_what_goes_upstream_is_in_our_words(rig, dns):
    """RFC 5452, 7871: other id, random case, own OPT; the client's options (its subnet, cookies) stay here."""
    rig.upstream.add("x" * 40 + ".example", "A", "x. 300 A 198.51.100.7")
    query = dns.query(
        "x" * 40 + ".example", options=[(8, b"\0\1\x18\0\x0a\x14\0"), (10, b"cookie00")], ident=7
    )
    rig.udp(query)
    sent = DNSRecord.parse(rig.upstream.messages[0])
    assert (sent.ar[0].edns_len, sent.ar[0].rdata) == (1232, [])
    assert str(sent.q.qname) not in {str(sent.q.qname).lower(), str(sent.q.qname).upper()}
    assert sent.header.rd == 1


def test_ids_and_ports_change_with_every_question(rig):
    """RFC 5452: each question has its own id and its own source port."""
    for number in range(20):
        rig.ask(f"n{number}.example")
    assert len({message[:2] for message in rig.upstream.messages}) > 15
    assert len({source[1] for source in rig.upstream.sources}) > 15


@pytest.mark.parametrize(
    ("message", "rcode"),
    [
        (b"\0\7\x28\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\1", 4),
        (b"\0\7\1\0\0\2\0\0\0\0\0\0\1a\0\0\1\0\1", 1),
        (b"\0\7\1\0\0\1\0\0\0\0\0\0\x0cfacebook.com\0\0\1\0\1", 1),
        (b"\0\7\1\0\0\1\0\0\0\0\0\0" + b"\1a" * 150 + b"\0\0\1\0\1", 1),
        (b"\0\7\1\0\0\1\0\0\0\0\0\0\7version\4bind\0\0\x10\0\3", 5),
        (b"\0\7\1\0\0\1garbagegarbagegarbage", 1),
    ],
)
def test_bad_input_gets_the_protocols_error(rig, message, rcode):
    """Each malformed message gets its proper code, with its id, and reaches nobody."""
    reply = rig.udp(message)
    assert (reply[:2], reply[3] & 15) == (b"\0\7", rcode)
    assert rig.tcp(message)[0] == reply
    assert rig.upstream.asked == []


def test_odd_names_are_noted(rig, dns):
    """A name with a dot inside a label is an attempt, and recorded as one, with the client's network."""
    rig.udp(b"\0\7\1\0\0\1\0\0\0\0\0\0\x0cfacebook.com\0\0\1\0\1", dns.GUEST)
    assert rig.recorder.techniques == [("malformed_dns", "guests", dns.GUEST, "")]


def test_responses_are_ignored(rig):
    """QR=1 gets no answer; the query after it does."""
    with pytest.raises(TimeoutError):
        rig.udp(b"\0\7\x81\x80\0\1\0\0\0\0\0\0\1a\0\0\1\0\1", timeout=0.3)
    assert rig.ask("localhost").header.rcode == 0
    assert rig.counters.seen["dropped", "udp"] == 1


@pytest.mark.parametrize("qtype", ["NULL", "AXFR", "IXFR", "250", "249", "253"])
def test_types_that_are_no_data_are_refused(rig, qtype):
    """NULL, transfers and meta types are refused, never forwarded."""
    number = {"NULL": "10"}.get(qtype) or (qtype if qtype.isdecimal() else str(getattr(QTYPE, qtype)))
    assert rig.ask("x.example", number).header.rcode == 5
    assert rig.upstream.asked == []


def test_any_is_answered_with_hinfo(rig):
    """RFC 8482: ANY gets one small HINFO record and goes nowhere."""
    reply = rig.udp(make_any := b"\0\7\1\0\0\1\0\0\0\0\0\0\1x\7example\0\0\xff\0\1")
    record = DNSRecord.parse(reply).rr[0]
    assert (record.rtype, record.rdata.data, len(reply) < 200) == (13, b"\x07RFC8482\x00", True)
    assert make_any[12:] in reply
    assert rig.upstream.asked == []


def test_without_recursion_only_what_is_known(rig):
    """RD=0 is answered from the cache, else REFUSED, and never asks upstream."""
    rig.upstream.add("x.example", "A", "x.example. 300 A 198.51.100.7")
    assert rig.ask("x.example", rd=0).header.rcode == 5
    assert rig.upstream.asked == []
    rig.ask("x.example")
    reply = rig.ask("x.example", rd=0)
    assert (reply.header.rcode, reply.header.rd, len(reply.rr)) == (0, 0, 1)


def test_the_root_is_forwarded(rig):
    """The root names no host and is nobody's way out; downstream resolvers ask for it."""
    rig.upstream.add("", "NS", ". 300 NS a.root-servers.example.")
    assert len(rig.ask(".", "NS").rr) == 1


def test_answers_to_what_was_not_asked_are_dropped(rig):
    """RFC 5452 section 6: only the name itself and where it leads."""
    rig.upstream.add(
        "x.example", "A",
        "x.example. 60 CNAME y.example.", "y.example. 60 A 198.51.100.7", "bank.example. 60 A 198.51.100.66",
    )  # fmt: skip
    assert [str(rr.rname) for rr in rig.ask("x.example").rr] == ["x.example.", "y.example."]


class TestEdns:
    """RFC 6891."""

    def test_opt_only_when_asked(self, rig):
        """OPT in, OPT out, and never otherwise; size 1232; DO echoed."""
        rig.upstream.add("x.example", "A", "x.example. 300 A 198.51.100.7")
        assert rig.ask("x.example", edns=False).ar == []
        opt = rig.ask("x.example", do=True).ar[0]
        assert (opt.rtype, opt.edns_len, opt.edns_do) == (41, 1232, 1)

    def test_unknown_options_are_ignored(self, rig):
        """An option nobody knows changes nothing."""
        rig.upstream.add("x.example", "A", "x.example. 300 A 198.51.100.7")
        assert rig.ask("x.example", options=[(100, b"\xff"), (65001, b"")]).header.rcode == 0

    def test_badvers(self, rig):
        """Version 1 gets BADVERS, in header and OPT."""
        reply = rig.udp(b"\0\7\1\0\0\1\0\0\0\0\0\1\1x\7example\0\0\1\0\1\0\0\x29\x04\xd0\0\1\0\0\0\0")
        opt = DNSRecord.parse(reply).ar[0]
        assert (reply[3] & 15, opt.edns_rcode, opt.edns_ver) == (0, 1, 0)

    @pytest.mark.parametrize(
        ("offered", "room"), [(None, 512), (0, 512), (512, 512), (900, 900), (1232, 1232), (65535, 1232)]
    )
    def test_size_is_kept(self, rig, dns, offered, room):
        """What does not fit between 512 and 1232 is TC=1 with the question and OPT; TCP then has all of it."""
        for size in (480, 850, 1200, 3000):
            text = " ".join(f'"{"a" * 200}"' for _ in range(size // 200)) + f' "{"b" * (size % 200)}"'
            rig.upstream.add(f"s{size}.example", "TXT", f"s{size}.example. 300 TXT {text}")
            query = dns.query(f"s{size}.example", "TXT", edns=offered is not None, size=offered or 0)
            raw = rig.udp(query)
            reply = DNSRecord.parse(raw)
            assert len(raw) <= room
            assert len(reply.questions) == 1
            assert len(reply.ar) == (offered is not None)
            whole = rig.tcp(query)[0]
            assert len(DNSRecord.parse(whole).rr) == 1
            assert bool(reply.header.tc) == (len(whole) > room)


class TestDnssec:
    """RFC 4035 and 6840: flags pass, forgeries of ours do not claim authenticity."""

    def test_do_and_cd_go_upstream_and_are_kept_apart(self, rig):
        """Answers with and without signatures are different truths."""
        rig.upstream.add("x.example", "A", "x.example. 300 A 198.51.100.7")
        rig.ask("x.example")
        rig.ask("x.example", do=True)
        rig.ask("x.example", do=True, cd=1)
        rig.ask("x.example", do=True, cd=1)
        seen = [
            (message[3] >> 4 & 1, DNSRecord.parse(message).ar[0].edns_do) for message in rig.upstream.messages
        ]
        assert seen == [(0, 0), (0, 1), (1, 1)]

    @pytest.mark.parametrize(("trust", "ad", "expected"), [(True, 1, 1), (True, 0, 0), (False, 1, 0)])
    def test_ad_only_from_a_trusted_upstream_to_who_asked(self, make_rig, trust, ad, expected):
        """AD needs a trusted path and a client that knows the bit."""
        rig = make_rig(trust_ad=trust)

        def script(request, _):
            reply = request.reply(ra=1)
            reply.header.ad = 1
            return reply.pack()

        rig.upstream.script = script
        assert rig.ask("x.example", ad=ad).header.ad == expected

    def test_cd_does_not_open_a_blocked_name(self, rig, dns):
        """Checking disabled is no way past the policy."""
        rig.engine.block("facebook.com")
        reply = rig.ask("facebook.com", source=dns.GUEST, cd=1, do=True)
        assert (reply.header.rcode, reply.header.ad, reply.header.cd) == (3, 0, 1)


class TestRebinding:
    """A1.13: no name of the internet leads into the school."""

    @pytest.mark.parametrize(
        ("qtype", "address"),
        [
            *(
                ("A", text)
                for text in ("127.0.0.1", "10.20.0.1", "192.168.1.1", "172.31.0.1", "169.254.169.254")
            ),
            *(("A", text) for text in ("0.0.0.0", "100.64.0.1", "255.255.255.255")),
            *(("AAAA", text) for text in ("::", "::1", "fd00:20::1", "fe80::1", "::ffff:a00:1", "::a00:1")),
            *(("AAAA", text) for text in ("64:ff9b::a14:1", "2002:a14:1::1")),
        ],
    )
    def test_private_addresses_are_dropped(self, rig, qtype, address):
        """Only the private ones go; and it is noted."""
        good = "198.51.100.7" if qtype == "A" else "2001:db8::7"
        rig.upstream.add(
            "rb.example", qtype, f"rb.example. 300 {qtype} {address}", f"rb.example. 300 {qtype} {good}"
        )
        assert [str(rr.rdata) for rr in rig.ask("rb.example", qtype).rr] == [good]
        assert [seen[0] for seen in rig.recorder.techniques] == ["rebinding"]

    def test_nothing_left_is_an_empty_answer(self, rig):
        """All private: NOERROR without records."""
        rig.upstream.add("rb.example", "A", "rb.example. 300 A 127.0.0.1", "rb.example. 300 A 10.20.0.1")
        reply = rig.ask("rb.example")
        assert (reply.header.rcode, reply.rr) == (0, [])

    def test_exempt_ranges_pass(self, make_rig):
        """A range named in the settings may be resolved to."""
        rig = make_rig(private_allowed=(ip_network("127.0.99.0/24"),))
        rig.upstream.add("rb.example", "A", "rb.example. 300 A 127.0.99.1", "rb.example. 300 A 127.0.98.1")
        assert [str(rr.rdata) for rr in rig.ask("rb.example").rr] == ["127.0.99.1"]
