"""SafeSearch and YouTube's Restricted Mode, by network."""

import pytest
from dnslib import QTYPE

from schoolgate_policy.decision import Reason
from schoolgate_policy.model import Strength

TWIN = "forcesafesearch.google.com"
ALL_STRICT = dict.fromkeys(("google", "bing", "duckduckgo", "brave", "youtube"), Strength.STRICT)


@pytest.fixture
def filtered(rig):
    """Pupils are filtered strictly, staff moderately on YouTube, guests not at all."""
    rig.engine.policy.networks["pupils"].safe_search = ALL_STRICT
    rig.engine.policy.networks["staff"].safe_search = {"youtube": Strength.MODERATE}
    for name, address in {
        "www.google.com": "203.0.113.1", TWIN: "203.0.113.2", "www.youtube.com": "203.0.113.3",
        "restrict.youtube.com": "203.0.113.4", "restrictmoderate.youtube.com": "203.0.113.5",
        "strict.bing.com": "203.0.113.6", "www.bing.com": "203.0.113.7", "mail.google.com": "203.0.113.8",
    }.items():  # fmt: skip
        rig.upstream.add(name, "A", f"{name}. 300 A {address}")
        rig.upstream.add(name, "HTTPS", f"{name}. 300 HTTPS 1 . alpn=h2")
    rig.upstream.add(TWIN, "AAAA", f"{TWIN}. 300 AAAA 2001:db8::2", f"{TWIN}. 300 AAAA 2001:db8::3")
    return rig


def told(reply) -> list[tuple[str, str, str]]:
    return [(str(rr.rname).rstrip("."), QTYPE[rr.rtype], str(rr.rdata).rstrip(".")) for rr in reply.rr]


def test_the_twins_addresses_are_given(filtered):
    """CNAME to the filtered twin and its real addresses behind it, A and AAAA; nobody asks for the real name."""
    assert told(filtered.ask("www.google.com")) == [
        ("www.google.com", "CNAME", TWIN),
        (TWIN, "A", "203.0.113.2"),
    ]
    assert told(filtered.ask("WWW.Google.com", "AAAA"))[1:] == [
        (TWIN, "AAAA", "2001:db8::2"), (TWIN, "AAAA", "2001:db8::3"),
    ]  # fmt: skip
    assert filtered.upstream.count("www.google.com") == 0


@pytest.mark.parametrize("qtype", ["HTTPS", "64", "TXT", "MX", "NS"])
def test_no_other_type_leads_back(filtered, qtype):
    """An HTTPS record of the real name would name its addresses: NODATA with an SOA record, from nobody upstream."""
    reply = filtered.ask("www.google.com", qtype)
    assert (reply.header.rcode, reply.rr, QTYPE[reply.auth[0].rtype]) == (0, [], "SOA")
    assert filtered.upstream.asked == []


def test_the_alias_itself_can_be_asked_for(filtered):
    """CNAME of the name is the alias."""
    assert told(filtered.ask("www.google.com", "CNAME")) == [("www.google.com", "CNAME", TWIN)]


def test_networks_are_told_apart_after_the_cache(filtered, dns):
    """Pupils strict, staff moderate, guests untouched, in turns, from one cache."""
    expected = {dns.PUPIL: "203.0.113.4", dns.STAFF: "203.0.113.5", dns.GUEST: "203.0.113.3"}
    for _ in range(20):
        for client, address in expected.items():
            reply = filtered.ask("www.youtube.com", source=client)
            assert str(reply.rr[-1].rdata) == address
            assert reply.rr[0].ttl <= (300 if client == dns.GUEST else filtered.config.policy_ttl)
    assert len(filtered.upstream.asked) == 3


def test_only_exact_names_are_rewritten(filtered):
    """Mail is not search."""
    assert told(filtered.ask("mail.google.com")) == [("mail.google.com", "A", "203.0.113.8")]


def test_a_family_the_twin_lacks_is_empty(filtered):
    """No AAAA at the twin: the alias and an SOA record, never the real name's address."""
    filtered.upstream.add("www.bing.com", "AAAA", "www.bing.com. 300 AAAA 2001:db8::bad")
    reply = filtered.ask("www.bing.com", "AAAA")
    assert told(reply) == [("www.bing.com", "CNAME", "strict.bing.com")]
    assert [QTYPE[rr.rtype] for rr in reply.auth] == ["SOA"]


def test_a_twin_that_cannot_be_resolved_opens_nothing(filtered, dns):
    """Upstream gone: SERVFAIL with the reason, not the unfiltered address; and the stale twin when it was known."""
    filtered.upstream.silent = True
    reply = filtered.ask("www.google.com")
    assert (reply.header.rcode, dns.edes(reply)[0][0]) == (2, 22)
    filtered.upstream.silent = False
    filtered.pass_time(filtered.config.failure_seconds)
    assert filtered.ask("www.google.com").header.rcode == 0
    filtered.upstream.silent = True
    filtered.pass_time(400)
    reply = filtered.ask("www.google.com")
    assert told(reply)[-1] == (TWIN, "A", "203.0.113.2")
    assert dns.edes(reply)[0][0] == 3


def test_a_blocked_engine_is_blocked(filtered):
    """The policy comes first; and a twin that leads to a blocked name is a cloak like any other."""
    filtered.engine.block("www.bing.com")
    assert told(filtered.ask("www.bing.com")) == [("www.bing.com", "A", "127.0.0.1")]
    filtered.engine.block("evil.example", reason=Reason.LOCKED)
    filtered.upstream.add(TWIN, "A", f"{TWIN}. 60 CNAME evil.example.", "evil.example. 60 A 203.0.113.9")
    assert told(filtered.ask("www.google.com")) == [("www.google.com", "A", "127.0.0.1")]


def test_nothing_claims_to_be_signed(filtered):
    """AD=0 and no signatures, also for who asks with DO."""
    reply = filtered.ask("www.google.com", do=True)
    assert (reply.header.ad, [QTYPE[rr.rtype] for rr in reply.rr]) == (0, ["CNAME", "A"])


def test_setting_it_bites_with_the_next_query(filtered, dns):
    """A policy that begins to filter while upstream thinks is honoured."""

    def script(request, _):
        filtered.engine.policy.networks["guests"].safe_search = ALL_STRICT
        return filtered.upstream.reply(request).pack()

    filtered.upstream.script = script
    assert told(filtered.ask("www.google.com", source=dns.GUEST))[-1] == (TWIN, "A", "203.0.113.2")


def test_a_small_datagram_is_truncated(filtered):
    """The answer obeys the sizes all others do."""
    filtered.upstream.add(TWIN, "AAAA", *(f"{TWIN}. 300 AAAA 2001:db8::{number}" for number in range(1, 30)))
    assert filtered.ask("www.google.com", "AAAA", edns=False).header.tc == 1
    assert len(filtered.ask("www.google.com", "AAAA", tcp=True).rr) == 30
