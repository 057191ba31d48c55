"""Names answered here: nothing of them reaches upstream, whatever the policy says."""

import pytest
from dnslib import QTYPE

from schoolgate_dns.special_names import special_name
from schoolgate_dns.wire import Qtype

CANARIES = {
    "use-application-dns.net": "doh_canary",
    "mask.icloud.com": "private_relay",
    "mask-h2.icloud.com": "private_relay",
    "mask-canary.icloud.com": "private_relay",
    "mask.apple-dns.net": "private_relay",
}


@pytest.mark.parametrize("name", CANARIES)
@pytest.mark.parametrize("qtype", ["A", "AAAA", "HTTPS"])
@pytest.mark.parametrize("who", ["STAFF", "PUPIL", "GUEST"])
def test_canaries_do_not_exist(rig, dns, name, qtype, who):
    """A1.7, A1.10: NXDOMAIN with an SOA record, all types, all networks, even where a rule blocks the name."""
    rig.engine.block("icloud.com")
    reply = rig.ask(name, qtype, getattr(dns, who))
    assert (reply.header.rcode, QTYPE[reply.auth[0].rtype]) == (3, "SOA")
    assert [seen[0] for seen in rig.recorder.techniques] == [CANARIES[name]]
    assert (rig.upstream.asked, rig.recorder.decisions) == ([], [])


@pytest.mark.parametrize(
    ("name", "qtype", "rcode"),
    [
        ("_dns.resolver.arpa", "64", 0),
        ("resolver.arpa", "261", 0),
        ("resolver.arpa", "SOA", 0),
        ("_dns.dns.example", "64", 0),
        ("_8443._dns.dns.example", "64", 0),
        ("dns.example", "261", 0),
        ("2.dnscrypt-cert.example.org", "TXT", 3),
        ("wpad", "A", 3),
        ("wpad.lan", "A", 3),
        ("foo.onion", "A", 3),
        ("onion", "A", 0),
        ("x.local", "A", 3),
        ("x.invalid", "A", 3),
        ("x.test", "A", 3),
        ("x.alt", "A", 3),
        ("printer.home.arpa", "A", 3),
        ("3.2.1.10.in-addr.arpa", "PTR", 3),
        ("1.16.172.in-addr.arpa", "PTR", 3),
        ("1.0.0.127.in-addr.arpa", "PTR", 3),
        ("10.in-addr.arpa", "SOA", 0),
        ("1.1.1.1.d.f.ip6.arpa", "PTR", 3),
        ("1." + "0." * 31 + "ip6.arpa", "PTR", 0),
        ("localhost", "HTTPS", 0),
    ],
)
def test_special_names_are_answered_here(rig, name, qtype, rcode):
    """A1.6, A1.9, RFC 6303, 6761, 7686, 8375, 9461, 9462, 9606: no packet to upstream, an SOA record in the answer."""
    reply = rig.ask(name, qtype)
    assert (reply.header.rcode, reply.rr) == (rcode, [])
    assert [QTYPE[rr.rtype] for rr in reply.auth] == ["SOA"]
    assert str(reply.q.qname).rstrip(".").endswith(str(reply.auth[0].rname).rstrip("."))
    assert rig.upstream.asked == []


@pytest.mark.parametrize(("qtype", "address"), [("A", "127.0.0.1"), ("AAAA", "::1")])
@pytest.mark.parametrize("name", ["localhost", "a.localhost"])
def test_localhost_is_here(rig, name, qtype, address):
    """RFC 6761 section 6.3."""
    assert str(rig.ask(name, qtype).rr[0].rdata) == address


@pytest.mark.parametrize(
    "name",
    ["notlocalhost", "onion.example", "use-application-dns.net.example", "11.in-addr.arpa", "15.172.in-addr.arpa",
     "icloud.com", "xwpad.example", "dnscrypt-cert.example", "x.dnscrypt-cert.example", "example.org"],
)  # fmt: skip
def test_look_alikes_are_ordinary_names(name):
    """Only whole labels count."""
    assert special_name(name, Qtype.A) is None


def test_the_schools_own_zones_are_ordinary(make_rig):
    """A local zone may lie under a special name, run its own `wpad`, and hold private addresses."""
    rig = make_rig(local_zones=frozenset({"perryfields.test", "10.in-addr.arpa"}))
    rig.upstream.add("wpad.perryfields.test", "A", "wpad.perryfields.test. 60 A 10.10.0.3")
    rig.upstream.add("3.0.10.10.in-addr.arpa", "PTR", "3.0.10.10.in-addr.arpa. 60 PTR wpad.perryfields.test.")
    assert str(rig.ask("wpad.perryfields.test").rr[0].rdata) == "10.10.0.3"
    assert str(rig.ask("3.0.10.10.in-addr.arpa", "PTR").rr[0].rdata) == "wpad.perryfields.test."
    assert rig.ask("x.test").header.rcode == 3


@pytest.mark.parametrize("who", ["STAFF", "PUPIL", "GUEST"])
def test_the_certificate_check_is_this_box(rig, dns, who):
    """The name by which devices try whether they trust the certificate leads here, whatever the policy says."""
    rig.engine.block("internal")
    name = "certificate-check.schoolgate.internal"
    reply = rig.ask(name, "A", getattr(dns, who))
    assert (reply.header.rcode, [QTYPE[rr.rtype] for rr in reply.rr]) == (0, ["A"])
    assert not rig.ask(name, "HTTPS", getattr(dns, who)).rr
    assert (rig.upstream.asked, rig.recorder.decisions) == ([], [])
