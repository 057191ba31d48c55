"""Correct forwarding, one test (or a few) for each row of the table of RFCs, by dig and kdig against real sockets."""

import json
import re
import socket
import struct
import threading

import pytest
from dnslib import DNSRecord

BAD, OK = "facebook.com", "school.example"


def asked(rig, name: str = OK) -> int:
    return rig.upstream.count(name)


def raw_reply(request, *, rcode: int = 0, ad: int = 0, answers: list[bytes] = (), opt: bytes = b"") -> bytes:
    """Build an upstream's reply from records as bytes."""
    reply = request.reply(ra=1, aa=0)
    reply.header.rcode, reply.header.ad = rcode, ad
    head = bytearray(bytes(reply.pack()))
    head[6:8] = struct.pack("!H", len(answers))
    head[10:12] = struct.pack("!H", int(bool(opt)))
    return bytes(head) + b"".join(answers) + opt


def rr(rtype: int, rdata: bytes, ttl: int = 300) -> bytes:
    return b"\xc0\x0c" + struct.pack("!HHIH", rtype, 1, ttl, len(rdata)) + rdata


class TestRfc1035And2181:
    """Basics."""

    def test_d_rfc1035_opcode(self, school, dns):
        """Any opcode but QUERY is NOTIMP."""
        for opcode in ("update", "notify", "iquery", "status"):
            assert "status: NOTIMP" in dns.run(school, "dig", OK, f"+opcode={opcode}")

    def test_d_rfc1035_class(self, school, dns):
        """Any class but IN is REFUSED."""
        for arguments in (("version.bind", "CH", "TXT"), (OK, "HS", "A"), ("-c", "ANY", OK)):
            assert "status: REFUSED" in dns.run(school, "dig", *arguments)

    def test_d_rfc1035_garbage(self, school):
        """QR=1 is ignored; garbage and QDCOUNT other than 1 are FORMERR, under the id that was sent."""
        question = b"\6school\7example\0\0\1\0\1"
        for flags, count, rest, rcode in (
            (b"\1\0", 0, b"", 1),
            (b"\1\0", 2, question * 2, 1),
            (b"\1\0", 1, b"\x3fgarbage", 1),
            (b"\1\0", 1, question[:-2], 1),
            (b"\1\0", 1, question, 0),
        ):
            reply = school.udp(b"\xca\xfe" + flags + struct.pack("!HHHH", count, 0, 0, 0) + rest)
            assert (reply[:2], reply[3] & 15) == (b"\xca\xfe", rcode)
        with pytest.raises(TimeoutError):
            school.udp(b"\xca\xfe\x81\x80\0\1\0\0\0\0\0\0" + question, timeout=0.3)

    def test_d_rfc1035_header(self, school, dns):
        """The id and the question come back, AA=0, RA=1, RD as sent."""
        printed = dns.run(school, "dig", OK, "+qid=4711")
        assert "id: 4711" in printed
        assert re.search(r"flags: qr rd ra;", printed)
        assert "Warning" not in printed

    def test_d_rfc1035_norecurse(self, school, dns):
        """RD=0 asks nobody: REFUSED while unknown, the remembered answer afterwards."""
        assert "status: REFUSED" in dns.run(school, "dig", OK, "+norecurse")
        assert school.upstream.asked == []
        dns.run(school, "dig", OK)
        assert "198.51.100.7" in dns.run(school, "dig", OK, "+norecurse")
        assert asked(school) == 1


class TestRfc2308And9520:
    """Negative caching."""

    def test_d_rfc2308_nxdomain(self, school, dns):
        """The second answer has the same code, its SOA record's TTL counted down, and cost upstream nothing."""
        first = dns.run(school, "dig", f"nope.{OK}")
        school.pass_time(7)
        second = dns.run(school, "dig", f"nope.{OK}")
        times = [int(re.search(r"example\.\s+(\d+)\s+IN\s+SOA", one)[1]) for one in (first, second)]
        assert all("status: NXDOMAIN" in one for one in (first, second))
        assert times[0] - times[1] in {7, 8}
        assert asked(school, f"nope.{OK}") == 1

    def test_d_rfc2308_nodata(self, school, dns):
        """NODATA is remembered for its type."""
        for _ in range(2):
            assert re.search(r"NOERROR.*ANSWER: 0, AUTHORITY: 1", dns.run(school, "dig", OK, "MX"), re.DOTALL)
        assert asked(school) == 1
        assert "198.51.100.7" in dns.run(school, "dig", OK)

    def test_d_rfc2308_our_blocks(self, school, dns):
        """Our own "no" carries an SOA record with a TTL of at most 60, so that time rules flip fast."""
        printed = dns.run(school, "dig", "dns.google")
        assert int(re.search(r"(\d+)\s+IN\s+SOA", printed)[1]) <= 60

    def test_d_rfc9520_failures(self, school, dns):
        """A failure is remembered for some seconds, then asked again."""
        school.upstream.script = lambda request, _: raw_reply(request, rcode=2)
        for _ in range(3):
            assert "status: SERVFAIL" in dns.run(school, "dig", OK)
        assert asked(school) == 1
        school.pass_time(school.config.failure_seconds)
        school.upstream.script = None
        assert "198.51.100.7" in dns.run(school, "dig", OK)


class TestRfc6891:
    """EDNS."""

    def test_d_rfc6891_badvers(self, school, dns):
        """Version 1 is BADVERS."""
        assert "status: BADVERS" in dns.run(school, "dig", OK, "+edns=1", "+noednsneg")

    def test_d_rfc6891_opt_only_when_asked(self, school, dns):
        """OPT in, OPT out, never otherwise; the size we take is 1232."""
        assert "OPT PSEUDOSECTION" not in dns.run(school, "dig", OK, "+noedns")
        assert "udp: 1232" in dns.run(school, "dig", OK)

    def test_d_rfc6891_unknown_options(self, school, dns):
        """Unknown options change nothing; the client's subnet goes nowhere."""
        assert "status: NOERROR" in dns.run(school, "dig", OK, "+ednsopt=100:ff", "+subnet=10.20.0.0/16")
        assert b"\x0a\x14" not in school.upstream.messages[0]

    @pytest.mark.parametrize(("bufsize", "room"), [(512, 512), (1000, 1000), (4096, 1232)])
    def test_d_rfc6891_size(self, school, dns, bufsize, room):
        """No answer over UDP is larger than the client takes, nor than 1232."""
        school.upstream.add(
            "mid.example", "TXT", *(f'mid.example. 300 TXT "{str(n) * 180}"' for n in range(5))
        )
        printed = dns.run(school, "dig", "mid.example", "TXT", f"+bufsize={bufsize}", "+ignore", "+nocookie")
        assert int(re.search(r"MSG SIZE\s+rcvd: (\d+)", printed)[1]) <= room


class TestRfc7766And9210:
    """TCP."""

    def test_d_rfc7766_keepopen(self, school, dns):
        """Two questions of one connection."""
        printed = dns.run(school, "kdig", "+tcp", "+keepopen", OK, "A", OK, "AAAA")
        assert "198.51.100.7" in printed
        assert "2001:db8::7" in printed

    def test_d_rfc7766_out_of_order(self, school, dns):
        """A slow answer does not hold up a quick one."""
        school.upstream.delay[OK] = 0.4
        replies = school.tcp(dns.query(OK, ident=1), dns.query("localhost", ident=2))
        assert [DNSRecord.parse(reply).header.id for reply in replies] == [2, 1]

    def test_d_rfc7766_truncation(self, school, dns):
        """TC with question and OPT when it does not fit; all of it over TCP."""
        printed = dns.run(school, "dig", "big.example", "TXT", "+bufsize=512", "+ignore")
        assert re.search(r"flags: qr tc rd ra; QUERY: 1, ANSWER: 0, AUTHORITY: 0, ADDITIONAL: 1", printed)
        assert "ANSWER: 10" in dns.run(school, "dig", "big.example", "TXT", "+bufsize=512")

    def test_d_rfc7766_idle(self, make_school):
        """A silent connection is closed."""
        rig = make_school(tcp_idle=0.2)
        with socket.create_connection(rig.address, timeout=5) as sock:
            assert sock.recv(1) == b""


class TestRfc5452:
    """Resilience against forged answers."""

    def test_d_rfc5452_thousand_forgeries(self, school, dns):
        """A thousand answers with wrong ids before the true one: the true one is given, and the lies are counted."""

        def script(request, transport):
            true = school.upstream.reply(request).pack()
            lie = bytearray(bytes(true).replace(bytes([198, 51, 100, 7]), bytes([6, 6, 6, 6])))
            forged = []
            for number in range(1, 1001):
                lie[:2] = struct.pack("!H", (request.header.id + number) & 0xFFFF)
                forged.append(bytes(lie))
            return [bytes(true)] if transport == "tcp" else [*forged, bytes(true)]

        school.upstream.script = script
        printed = dns.run(school, "dig", OK, "+short")
        assert printed.strip() == "198.51.100.7"
        assert school.counters.seen["forged"] >= 20

    def test_d_rfc5452_coalescing(self, school, dns):
        """Two hundred clients ask for one name at once: one question to upstream."""
        school.upstream.delay[OK] = 0.3
        replies: list[bytes] = []

        def client(number: int) -> None:
            replies.append(school.udp(dns.query(OK), source=f"127.0.20.{number + 1}"))

        threads = [threading.Thread(target=client, args=(number,)) for number in range(200)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(replies) == 200
        assert asked(school) == 1

    def test_d_rfc5452_randomness(self, school, dns):
        """Ids, ports and letter case differ from question to question."""
        for number in range(20):
            dns.run(school, "dig", f"name-of-a-host-{number}.example")
        assert len({message[:2] for message in school.upstream.messages}) > 15
        assert len({source[1] for source in school.upstream.sources}) > 15
        assert len({re.sub(r"\d", "", name) for _, name, _ in school.upstream.asked}) > 15

    def test_d_rfc5452_foreign_data(self, school, dns):
        """Records about other names are dropped."""
        school.upstream.add(OK, "A", f"{OK}. 60 A 198.51.100.7", "bank.example. 60 A 198.51.100.66")
        assert "198.51.100.66" not in dns.run(school, "dig", OK)


def test_d_rfc7873_cookies(school, dns):
    """dig finds our cookie good, on first and second use; upstream never sees the client's."""
    first = dns.run(school, "dig", OK, "+cookie")
    cookie = re.search(r"COOKIE: ([0-9a-f]{48}) \(good\)", first)[1]
    second = dns.run(school, "dig", OK, f"+cookie={cookie}")
    assert f"COOKIE: {cookie} (good)" in second
    assert all(bytes.fromhex(cookie[:16]) not in message for message in school.upstream.messages)
    assert "COOKIE" not in dns.run(school, "dig", OK, "+nocookie")


def test_d_rfc8020_nxdomain_cut(school, dns):
    """What does not exist has nothing below it; a block of a name covers all below it."""
    dns.run(school, "dig", "nope.example")
    assert "status: NXDOMAIN" in dns.run(school, "dig", "a.b.nope.example")
    assert len(school.upstream.asked) == 1
    assert "EDE: 15 (Blocked)" in dns.run(school, "dig", f"a.b.{BAD}")


def test_d_rfc8482_any(school, dns):
    """ANY gets one small HINFO record and goes nowhere."""
    printed = dns.run(school, "dig", OK, "ANY", "+notcp")
    assert "HINFO" in printed
    assert "RFC8482" in printed
    assert int(re.search(r"MSG SIZE\s+rcvd: (\d+)", printed)[1]) < 200
    assert school.upstream.asked == []


def test_d_rfc8767_stale(school, dns):
    """Upstream dead, time over: the old answer with TTL 30 at most and EDE 3; what is blocked meanwhile is blocked."""
    for name in (OK, "youtube.com"):
        school.upstream.add(name, "A", f"{name}. 60 A 198.51.100.7")
        dns.run(school, "dig", name, source="127.0.30.5")
    school.upstream.silent = True
    school.pass_time(120)
    printed = dns.run(school, "dig", OK, "+timeout=10")
    assert "198.51.100.7" in printed
    assert int(re.search(r"example\.\s+(\d+)\s+IN\s+A", printed)[1]) <= 30
    assert "EDE: 3 (Stale Answer)" in printed
    assert "EDE: 15 (Blocked)" in dns.run(school, "dig", "youtube.com", source="127.0.10.5")
    assert "EDE: 3 (Stale Answer)" in dns.run(
        school, "dig", "youtube.com", "+timeout=10", source="127.0.30.5"
    )


class TestRfc8914:
    """Extended errors."""

    def test_d_rfc8914_blocked(self, school, dns):
        """EDE 15 with network, rule and line; none without EDNS."""
        printed = dns.run(school, "dig", BAD)
        assert re.search(
            r"EDE: 15 \(Blocked\): \(pupils, rules\[0\], policy\.yaml:\d+: Not at school\)", printed
        )
        assert "EDE" not in dns.run(school, "dig", BAD, "+noedns")

    def test_d_rfc8914_upstream(self, school, dns):
        """EDE 22 when nobody answers, 23 when the answer is garbage, upstream's own when it has one."""
        school.upstream.silent = True
        assert "EDE: 22 (No Reachable Authority)" in dns.run(school, "dig", "a.example", "+timeout=10")
        school.upstream.silent = False
        school.upstream.script = lambda request, _: raw_reply(request, answers=[rr(1, b"\1\2\3\4\5")])
        assert "EDE: 23 (Network Error)" in dns.run(school, "dig", "b.example")
        own = b"\0\0\x29\x04\xd0\0\0\0\0\0\x0b\0\x0f\0\7\0\6bogus"
        school.upstream.script = lambda request, _: raw_reply(request, rcode=2, opt=own)
        assert "EDE: 6 (DNSSEC Bogus): (bogus)" in dns.run(school, "dig", "c.example")

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["use-application-dns.net"], r"EDE: 15 .*filters by name"),
            (["mask.icloud.com"], r"EDE: 15 .*relays are not available"),
            (["wpad.school.example"], r"EDE: 15 .*no proxy to be discovered"),
            (["2.dnscrypt-cert.example.org", "TXT"], r"EDE: 15 .*no other resolver"),
            (["_dns.resolver.arpa", "SVCB"], r"EDE: 15 .*no encrypted resolver"),
            (["x.example", "NULL"], r"EDE: 21 .*type 10 are not answered"),
            (["x.example", "TYPE200"], r"EDE: 21 .*type 200 are not answered"),
        ],
    )
    def test_d_rfc8914_every_refusal(self, school, dns, arguments, said):
        """Whatever is answered differently from the internet, or refused, says why."""
        assert re.search(said, dns.run(school, "dig", *arguments))

    def test_d_rfc8914_addresses_left_out(self, school, dns):
        """An answer without its private addresses says so; nothing else in it changes."""
        school.upstream.add(
            "rb.example", "A", "rb.example. 300 A 10.20.0.1", "rb.example. 300 A 198.51.100.7"
        )
        printed = dns.run(school, "dig", "rb.example")
        assert re.search(r"EDE: 15 .*addresses inside the school were left out", printed)
        assert "198.51.100.7" in printed
        assert "10.20.0.1" not in printed

    def test_d_rfc8914_floods(self, make_rig, dns):
        """Who asks too much over TCP is told so."""
        rig = make_rig(queries_per_second=1)
        rig.upstream.add("x.example", "A", "x.example. 300 A 198.51.100.7")
        replies = [DNSRecord.parse(one) for one in rig.tcp(*[dns.query("x.example")] * 40)]
        assert (18, "too many questions in a second") in [one for reply in replies for one in dns.edes(reply)]

    def test_d_rfc8914_a_fault_of_ours(self, rig, dns):
        """SERVFAIL for a fault of the filter says that it is the filter's."""
        rig.engine.broken = True
        ((code, text),) = dns.edes(rig.ask("x.example"))
        assert (code, text[:26]) == (0, "a fault of the filter itse")


def test_d_structured_error(school, dns):
    """Asked for, the text is JSON with the school's contact, and there is no forged address."""
    printed = dns.run(school, "dig", BAD, "+ednsopt=15:0000")
    text = re.search(r"EDE: 15 \(Blocked\): \((\{.*\})\)", printed)[1]
    assert json.loads(text) == {
        "c": ["mailto:esafety@perryfields.example"], "j": "Not at school", "s": 5, "o": "Perryfields Primary PRU",
    }  # fmt: skip
    assert "ANSWER: 0" in printed


class TestRfc9460:
    """Service records."""

    ECH = b"\0\x05\0\x08ech-data"

    def test_d_rfc9460_edited(self, school, dns):
        """Out: ech, h3, hints, and what `mandatory` says of them; the rest stays, in ascending order."""
        rdata = (b"\0\1\0\0\0\0\4\0\1\0\5\0\1\0\6\2h3\2h2\0\3\0\2\x20\xfb\0\4\0\4\xc6\x33\x64\7") + self.ECH
        school.upstream.script = lambda request, _: raw_reply(request, answers=[rr(65, rdata)])
        printed = dns.run(school, "dig", "ech.example", "HTTPS", "+short")
        assert printed.strip() == '1 . mandatory=alpn alpn="h2" port=8443'

    def test_d_rfc9460_alias_mode(self, school, dns):
        """The target of AliasMode is judged."""
        alias = b"\0\0\x08facebook\3com\0"
        school.upstream.script = lambda request, _: raw_reply(request, answers=[rr(65, alias)])
        assert "EDE: 15 (Blocked)" in dns.run(school, "dig", "alias.example", "HTTPS")

    @pytest.mark.parametrize("source", ["127.0.10.5", "127.0.20.5", "127.0.30.5"])
    def test_d_rfc9460_blocked(self, school, dns, source):
        """HTTPS and SVCB of a blocked name have the code its A has, and nothing in them."""
        codes = set()
        for qtype in ("A", "HTTPS", "SVCB"):
            printed = dns.run(school, "dig", BAD, qtype, source=source)
            codes.add(re.search(r"status: (\w+)", printed)[1])
            assert qtype == "A" or "ANSWER: 0" in printed
        assert len(codes) == 1

    def test_d_rfc9460_untouched(self, school):
        """A record that needs no edit arrives byte for byte, however odd."""
        rdata = b"\0\1\4some\4host\0" + b"\0\1\0\3\2h2" + b"\xff\0\0\3odd"
        school.upstream.script = lambda request, _: raw_reply(request, answers=[rr(65, rdata)])
        assert rdata in school.udp(bytes(DNSRecord.question("odd.example", "HTTPS").pack()))


def test_d_rfc9461_9462_9606_local(school, dns):
    """Designations and resolver information of upstream are never passed on: NODATA, and nobody is asked."""
    for name, qtype in (
        ("_dns.resolver.arpa", "SVCB"),
        ("resolver.arpa", "TYPE261"),
        ("_dns.dns.example", "SVCB"),
    ):
        printed = dns.run(school, "dig", name, qtype)
        assert re.search(r"NOERROR.*ANSWER: 0, AUTHORITY: 1", printed, re.DOTALL)
    assert school.upstream.asked == []


SIGNATURE = b"\0\1\5\2\0\0\1\x2c" + b"\x7f\0\0\0" + b"\x5f\0\0\0" + b"\x12\x34" + b"\7example\0" + b"s" * 64


class TestDnssec:
    """RFC 4035 and 6840: pass-through."""

    def signed(self, request, _):
        do = any(one.rtype == 41 and one.ttl & 0x8000 for one in request.ar)
        answers = [rr(1, bytes([198, 51, 100, 7]))] + ([rr(46, SIGNATURE)] if do else [])
        return raw_reply(request, ad=1, answers=answers)

    def test_d_dnssec_signatures(self, school, dns):
        """With DO the signature comes along untouched; without it there is none."""
        school.upstream.script = self.signed
        assert "RRSIG" in dns.run(school, "dig", "signed.example", "+dnssec")
        assert "RRSIG" not in dns.run(school, "dig", "signed.example")

    @pytest.mark.parametrize("trust", [True, False])
    def test_d_dnssec_ad(self, make_school, dns, trust):
        """AD only from an upstream that is trusted."""
        rig = make_school(trust_ad=trust)
        rig.upstream.script = self.signed
        printed = dns.run(rig, "dig", "signed.example", "+dnssec")
        assert bool(re.search(r"flags: qr rd ra ad;", printed)) is trust

    def test_d_dnssec_edited(self, make_school, dns):
        """An edited set claims nothing: AD=0 and no signature over it."""
        rig = make_school(trust_ad=True)

        def script(request, _):
            answers = [rr(1, bytes([198, 51, 100, 7])), rr(1, bytes([10, 0, 0, 1])), rr(46, SIGNATURE)]
            return raw_reply(request, ad=1, answers=answers)

        rig.upstream.script = script
        printed = dns.run(rig, "dig", "mixed.example", "+dnssec")
        assert "198.51.100.7" in printed
        assert "RRSIG" not in printed
        assert " ad;" not in printed

    def test_d_dnssec_bogus(self, school, dns):
        """SERVFAIL of a validating upstream passes; with CD the data do, and are kept apart."""

        def script(request, _):
            if request.header.cd:
                return raw_reply(request, answers=[rr(1, bytes([198, 51, 100, 7]))])
            return raw_reply(request, rcode=2)

        school.upstream.script = script
        assert "198.51.100.7" in dns.run(school, "dig", "bogus.example", "+cd")
        assert "status: SERVFAIL" in dns.run(school, "dig", "bogus.example")

    @pytest.mark.parametrize("source", ["127.0.20.5", "127.0.30.5"])
    def test_d_dnssec_policy(self, school, dns, source):
        """CD and DO are no way past the policy."""
        printed = dns.run(school, "dig", BAD, "+cd", "+dnssec", source=source)
        assert "EDE: 15 (Blocked)" in printed
        assert school.upstream.asked == []


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["localhost"], "NOERROR"),
        (["x.invalid"], "NXDOMAIN"),
        (["x.test"], "NXDOMAIN"),
        (["foo.onion"], "NXDOMAIN"),
        (["printer.home.arpa"], "NXDOMAIN"),
        (["-x", "10.1.2.3"], "NXDOMAIN"),
        (["-x", "172.20.0.1"], "NXDOMAIN"),
        (["-x", "192.168.1.1"], "NXDOMAIN"),
        (["-x", "fd00::1"], "NXDOMAIN"),
        (["-x", "fe80::1"], "NXDOMAIN"),
    ],
)
def test_d_rfc6761_6303_8375_7686_special_names(school, dns, arguments, status):
    """Special names are answered here and leak nowhere."""
    assert f"status: {status}" in dns.run(school, "dig", *arguments)
    assert school.upstream.asked == []


def test_d_rfc4343_case(school, dns):
    """Matching without case, echo with it."""
    printed = dns.run(school, "dig", "SchooL.Example")
    assert ";SchooL.Example." in printed
    assert "198.51.100.7" in printed
    assert "EDE: 15 (Blocked)" in dns.run(school, "dig", "FaceBook.COM")
    dns.run(school, "dig", "sCHOOL.eXAMPLE")
    assert len(school.upstream.asked) == 1
