"""Blocked names: what each network is told, why, and for how long."""

from datetime import timedelta
from ipaddress import ip_address

import pytest
from dnslib import QTYPE

from schoolgate_policy.decision import Reason


def test_a_pupil_gets_the_block_page_address(rig, dns):
    """On an inspected network A of a blocked name is the address that was asked, and EDE 15 says why."""
    rig.engine.block("facebook.com")
    reply = rig.ask("www.facebook.com")
    assert [str(rr.rdata) for rr in reply.rr] == ["127.0.0.1"]
    assert dns.edes(reply) == [(15, "pupils, policy.yaml:41: Not in lessons")]
    assert (reply.header.aa, reply.header.ra, reply.header.rcode) == (0, 1, 0)
    assert rig.upstream.asked == []


def test_the_page_address_can_be_set(make_rig):
    """Configured block-page addresses win over the address that was asked."""
    rig = make_rig(block_page_v4=ip_address("10.20.0.1"), block_page_v6=ip_address("fd00:20::1"))
    rig.engine.block("facebook.com")
    assert str(rig.ask("facebook.com").rr[0].rdata) == "10.20.0.1"
    assert str(rig.ask("facebook.com", "AAAA").rr[0].rdata) == "fd00:20::1"


def test_the_page_is_at_the_address_that_was_asked(make_rig):
    """A server on all addresses answers from, and with, the one the query was sent to."""
    rig = make_rig(listen=(("0.0.0.0", 0),))
    rig.engine.block("facebook.com")
    for to in ("127.0.0.9", "127.0.0.77"):
        assert (
            str(rig.ask("facebook.com", to=to).rr[0].rdata) == to
        )  # the client's socket is connected to `to`


@pytest.mark.parametrize("qtype", ["AAAA", "HTTPS", "64", "TXT", "MX", "ANY", "NS", "10"])
@pytest.mark.parametrize("who", ["STAFF", "PUPIL"])
def test_other_types_of_a_blocked_name_are_empty(rig, dns, qtype, who):
    """No type of a blocked name leads anywhere: NODATA with an SOA record."""
    rig.engine.block("facebook.com")
    reply = rig.ask("facebook.com", qtype, getattr(dns, who))
    assert (reply.header.rcode, reply.rr) == (0, [])
    assert [QTYPE[rr.rtype] for rr in reply.auth] == ["SOA"]
    assert reply.auth[0].ttl <= 60
    assert dns.edes(reply)[0][0] == 15


@pytest.mark.parametrize("qtype", ["A", "AAAA", "HTTPS", "64", "TXT", "ANY"])
def test_on_a_names_network_a_blocked_name_does_not_exist(rig, dns, qtype):
    """Where nothing is opened there is no page to show: NXDOMAIN, every type alike."""
    rig.engine.block("facebook.com")
    reply = rig.ask("facebook.com", qtype, dns.GUEST)
    assert (reply.header.rcode, reply.rr, QTYPE[reply.auth[0].rtype]) == (3, [], "SOA")
    assert dns.edes(reply) == [(15, "guests, policy.yaml:41: Not in lessons")]


def test_no_extended_error_without_edns(rig):
    """A client that sent no OPT gets none (RFC 6891)."""
    rig.engine.block("facebook.com")
    assert rig.ask("facebook.com", edns=False).ar == []


def test_case_is_ignored_and_echoed(rig):
    """A1.12: names are judged without regard to case and echoed to the letter."""
    rig.engine.block("facebook.com")
    reply = rig.ask("fAcEbOoK.CoM")
    assert str(reply.q.qname) == "fAcEbOoK.CoM."
    assert str(reply.rr[0].rdata) == "127.0.0.1"


def test_each_client_gets_its_own_networks_answer(rig, dns):
    """Policy is applied after the cache: no answer leaks from one network to another."""
    rig.upstream.add("x.example", "A", "x.example. 300 A 198.51.100.7")
    rig.engine.block("x.example", networks=("pupils",))
    for _ in range(20):
        assert str(rig.ask("x.example", source=dns.STAFF).rr[0].rdata) == "198.51.100.7"
        assert str(rig.ask("x.example", source=dns.PUPIL).rr[0].rdata) == "127.0.0.1"
    assert rig.upstream.count("x.example") == 1


@pytest.mark.parametrize(("left", "ttl"), [(3600, 60), (45, 45), (0.4, 0)])
@pytest.mark.parametrize("blocked", [True, False])
def test_no_ttl_outlives_the_verdict(rig, dns, left, ttl, blocked):
    """TTL is at most 60 and the seconds to `valid_until`, in whole seconds."""
    rig.upstream.add("x.example", "A", "x.example. 9000 A 198.51.100.7")
    until = dns.START + timedelta(seconds=left)
    (rig.engine.block if blocked else rig.engine.allow)("x.example", valid_until=until)
    assert rig.ask("x.example").rr[0].ttl == ttl


def test_names_the_policy_is_silent_on_keep_upstreams_ttl(rig):
    """Upstream's TTL is passed on, up to the bound that lets a new rule bite."""
    rig.upstream.add("a.example", "A", "a.example. 200 A 198.51.100.7")
    rig.upstream.add("b.example", "A", "b.example. 90000 A 198.51.100.7")
    assert 198 <= rig.ask("a.example").rr[0].ttl <= 200
    assert rig.ask("b.example").rr[0].ttl == rig.config.longest_ttl


def test_the_verdict_is_asked_again_after_a_slow_upstream(rig):
    """A schedule edge that passes while upstream thinks is honoured."""
    rig.upstream.add("x.example", "A", "x.example. 300 A 198.51.100.7")

    def script(request, _):
        rig.engine.block("x.example")
        return rig.upstream.reply(request).pack()

    rig.upstream.script = script
    assert str(rig.ask("x.example").rr[0].rdata) == "127.0.0.1"


def test_an_alias_to_a_blocked_name_is_blocked(rig, dns):
    """A1.11: CNAME targets are judged; the explanation names where it led."""
    rig.engine.block("facebook.com")
    rig.upstream.add(
        "innocent.example",
        "A",
        "innocent.example. 300 CNAME star.facebook.com.",
        "star.facebook.com. 300 A 198.51.100.7",
    )
    reply = rig.ask("innocent.example")
    assert [str(rr.rdata) for rr in reply.rr] == ["127.0.0.1"]
    assert dns.edes(reply)[0][1].endswith("(alias of star.facebook.com)")
    assert rig.recorder.techniques == [("cname_cloaking", "pupils", dns.PUPIL, "innocent.example")]


@pytest.mark.parametrize(
    ("qtype", "line"),
    [
        ("DNAME", "d.example. 300 DNAME facebook.com."),
        ("HTTPS", "d.example. 300 HTTPS 0 facebook.com."),
    ],
)
def test_other_aliases_to_a_blocked_name_are_blocked(rig, qtype, line):
    """A1.11: so are DNAME and AliasMode targets."""
    rig.engine.block("facebook.com")
    if qtype == "DNAME":  # dnslib cannot read DNAME from text

        def script(request, _):
            reply = request.reply(ra=1, aa=0).pack()
            return (
                reply[:6]
                + b"\0\1"
                + reply[8:]
                + bytes.fromhex("c00c002700010000012c000e0866616365626f6f6b03636f6d00")
            )

        rig.upstream.script = script
    else:
        rig.upstream.add("d.example", qtype, line)
    reply = rig.ask("d.example", str(getattr(QTYPE, qtype)))
    assert dns_blocked(reply)


def dns_blocked(reply) -> bool:
    return reply.rr == [] and any(QTYPE[rr.rtype] == "SOA" for rr in reply.auth)


def test_a_list_of_allowed_names_covers_where_they_are_hosted(rig):
    """On a network that blocks all but named sites, a content network's name behind such a site is no cloak."""
    rig.engine.allow("bbc.example")
    rig.engine.block("cdn.example", reason=Reason.OTHERWISE)
    rig.upstream.add(
        "bbc.example", "A", "bbc.example. 30 CNAME cdn.example.", "cdn.example. 30 A 198.51.100.7"
    )
    assert str(rig.ask("bbc.example").rr[-1].rdata) == "198.51.100.7"


def test_nothing_opens_a_locked_alias(rig):
    """What nobody can open stays shut behind an opened name too."""
    rig.engine.allow("our.example", reason=Reason.EXCEPTION)
    rig.engine.block("locked.example", reason=Reason.LOCKED)
    rig.upstream.add(
        "our.example", "A", "our.example. 30 CNAME locked.example.", "locked.example. 30 A 198.51.100.7"
    )
    assert [str(rr.rdata) for rr in rig.ask("our.example").rr] == ["127.0.0.1"]


@pytest.mark.parametrize("reason", [Reason.EXCEPTION, Reason.ALWAYS_ALLOW])
def test_aliases_of_opened_names_are_not_judged(rig, reason):
    """What somebody opened by name stays open wherever it is hosted."""
    rig.engine.block("facebook.com")
    rig.engine.allow("our.example", reason=reason)
    rig.upstream.add(
        "our.example", "A", "our.example. 30 CNAME facebook.com.", "facebook.com. 30 A 198.51.100.7"
    )
    assert str(rig.ask("our.example").rr[-1].rdata) == "198.51.100.7"


def test_verdicts_are_recorded_once(rig, dns):
    """Each answered query is one decision in the record, at the point `dns`."""
    rig.engine.block("facebook.com")
    rig.upstream.add("x.example", "A", "x.example. 300 A 198.51.100.7")
    rig.ask("facebook.com")
    rig.ask("x.example")
    seen = [
        (attempt.address, attempt.host, attempt.point, decision.blocked)
        for attempt, decision in rig.recorder.decisions
    ]
    assert seen == [(dns.PUPIL, "facebook.com", "dns", True), (dns.PUPIL, "x.example", "dns", False)]


def test_a_broken_engine_ends_in_servfail(rig):
    """Fail closed: an exception in judging is SERVFAIL and a fault, over UDP and TCP, and the server lives on."""
    rig.upstream.add("x.example", "A", "x.example. 300 A 198.51.100.7")
    rig.engine.broken = True
    assert rig.ask("x.example").header.rcode == 2
    assert rig.ask("x.example", tcp=True).header.rcode == 2
    assert [area for area, _ in rig.recorder.faults] == ["dns", "dns"]
    rig.engine.broken = False
    assert rig.ask("x.example").header.rcode == 0


def test_looking_for_another_resolver_is_noted(rig, dns):
    """A1.2: a blocked name of the category `doh` is the technique `doh`."""
    rig.engine.block("dns.google", category="doh")
    rig.ask("dns.google")
    rig.engine.block("facebook.com", category="social-network")
    rig.ask("facebook.com")
    assert rig.recorder.techniques == [("doh", "pupils", dns.PUPIL, "dns.google")]
