"""Which upstream is asked: the fastest, another when one fails, a zone's own for its zone."""

import socket
import time

import pytest
from dnslib import DNSRecord

from schoolgate_dns.health import HasHealth, Health, in_order


class Server(HasHealth):
    def __init__(self, name: str) -> None:
        self.name = name
        self.health = Health()


def names(servers) -> str:
    return "".join(server.name for server in in_order(servers))


def test_the_fastest_comes_first():
    """Each is measured once; after that the order is by speed, and failed ones are last, the longest failed first."""
    a, b, c = servers = [Server("a"), Server("b"), Server("c")]
    assert names(servers) == "abc"
    for server, seconds in ((a, 0.030), (b, 0.010), (c, 0.020)):
        server.health.answered(100.0, 100.0 + seconds)
    assert names(servers) == "bca"
    assert b.health.failed(200.0, 201.0)
    assert names(servers) == "cab"
    assert c.health.failed(202.0, 203.0)
    assert names(servers) == "abc"
    b.health.answered(300.0, 300.01)
    assert names(servers) == "bac"


def test_one_that_answers_others_has_not_failed():
    """A name nobody can resolve says nothing about the resolver."""
    one = Health()
    one.answered(101.0, 101.1)
    assert not one.failed(100.0, 102.0)
    assert one.failed(101.5, 103.0)


def test_a_slower_one_gets_another_chance():
    """What was slow once is asked again in time, and stays behind if it is still slow."""
    fast, slow = servers = [Server("f"), Server("s")]
    fast.health.answered(0.0, 0.010)
    slow.health.answered(0.0, 0.100)
    first = []
    for _ in range(1_000):
        best = in_order(servers)[0]
        first.append(best.name)
        best.health.answered(0.0, 0.010 if best is fast else 0.100)
    assert 1 <= first.count("s") <= 20


def test_the_faster_upstream_is_preferred(make_rig):
    """Over real sockets: after one question each, the quick one gets the questions."""
    rig = make_rig(upstreams=2)
    for number in range(12):
        rig.upstreams[0].delay[f"n{number}.example"] = 0.15
        for upstream in rig.upstreams:
            upstream.add(f"n{number}.example", "A", f"n{number}.example. 60 A 198.51.100.7")
    for number in range(12):
        assert rig.ask(f"n{number}.example").header.rcode == 0
    assert (len(rig.upstreams[0].asked), len(rig.upstreams[1].asked)) == (1, 11)


def test_a_failed_upstream_is_watched_until_it_is_back(make_rig):
    """Health checks: no client's question finds out that it is back; a check of ours does."""
    rig = make_rig(upstreams=2, upstream_check=0.05, udp_timeout=0.2)
    for upstream in rig.upstreams:
        upstream.add("", "NS", ". 300 NS a.root-servers.example.")
        for number in range(4):
            upstream.add(f"n{number}.example", "A", f"n{number}.example. 60 A 198.51.100.7")
    rig.upstreams[0].silent = True
    assert rig.ask("n0.example").header.rcode == 0
    health = rig.server._lookup._upstreams._servers[0].health
    assert health.failed_at is not None
    rig.ask("n1.example")
    assert rig.upstreams[0].count("n1.example") == 0
    rig.upstreams[0].silent = False
    deadline = time.monotonic() + 10
    while health.failed_at is not None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert rig.upstreams[0].count("") >= 1
    rig.upstreams[1].silent = True
    assert rig.ask("n2.example").header.rcode == 0


@pytest.mark.parametrize(
    "spoil",
    [
        lambda packed: packed[:-5] + b"\x09" + packed[-4:],  # an address of nine octets
        lambda packed: packed[:6] + b"\0\x09" + packed[8:],  # nine answers, of which one is there
        lambda packed: packed[:-3],
    ],
)
def test_a_malformed_answer_is_passed_over(make_rig, spoil):
    """What one upstream garbles another may say properly."""
    rig = make_rig(upstreams=2)
    for upstream in rig.upstreams:
        upstream.add("x.example", "A", "x.example. 300 A 198.51.100.7")
    rig.upstreams[0].script = lambda request, _: spoil(bytes(rig.upstreams[0].reply(request).pack()))
    reply = rig.ask("x.example")
    assert str(reply.rr[0].rdata) == "198.51.100.7"
    assert [one.count("x.example") for one in rig.upstreams] == [1, 1]


def test_a_refusal_everywhere_is_asked_for_once(make_rig):
    """SERVFAIL from every upstream is the answer; nobody is asked twice."""
    rig = make_rig(upstreams=2)

    def script(request, _):
        reply = request.reply()
        reply.header.rcode = 2
        return reply.pack()

    for upstream in rig.upstreams:
        upstream.script = script
    assert rig.ask("x.example").header.rcode == 2
    assert [len(one.asked) for one in rig.upstreams] == [1, 1]


def zones(*names: str):
    """Give each zone the upstream at its place, the last one the rest of the world."""
    return lambda endpoints: {name: (endpoints[number + 1],) for number, name in enumerate(names)}


@pytest.fixture
def with_domain(make_rig):
    """A school with Active Directory: `ad.school.example`, a zone below it elsewhere, and its reverse zone."""
    rig = make_rig(upstreams=3, zones=zones("ad.school.example", "lab.ad.school.example"))
    internet, directory, lab = rig.upstreams
    internet.add("www.example", "A", "www.example. 60 A 198.51.100.7")
    directory.add("dc1.ad.school.example", "A", "dc1.ad.school.example. 60 A 10.10.0.2")
    directory.add(
        "_ldap._tcp.ad.school.example", "SRV",
        "_ldap._tcp.ad.school.example. 60 SRV 0 100 389 dc1.ad.school.example.",
    )  # fmt: skip
    lab.add("pc1.lab.ad.school.example", "A", "pc1.lab.ad.school.example. 60 A 10.20.7.1")
    return rig


def test_a_zone_has_upstreams_of_its_own(with_domain):
    """The longest zone wins; its private addresses and underscores are ordinary; the rest goes to the rest."""
    rig = with_domain
    assert str(rig.ask("dc1.ad.school.example").rr[0].rdata) == "10.10.0.2"
    assert str(rig.ask("pc1.lab.ad.school.example").rr[0].rdata) == "10.20.7.1"
    assert "dc1.ad.school.example" in str(rig.ask("_ldap._tcp.AD.school.example", "SRV").rr[0].rdata)
    assert str(rig.ask("www.example").rr[0].rdata) == "198.51.100.7"
    assert [len(one.asked) for one in rig.upstreams] == [1, 2, 1]
    assert rig.recorder.techniques == []


def test_a_private_zone_is_nobody_elses_business(with_domain):
    """Where the zone's own upstream fails the internet is not asked."""
    rig = with_domain
    rig.upstreams[1].silent = True
    assert rig.ask("dc1.ad.school.example").header.rcode == 2
    assert rig.upstreams[0].asked == []


def test_a_zone_may_lie_under_a_special_name(make_rig):
    """`school.local`, and the reverse zone of the school's addresses, are answered by the directory."""
    rig = make_rig(upstreams=3, zones=zones("school.local", "10.in-addr.arpa"))
    rig.upstreams[1].add("dc1.school.local", "A", "dc1.school.local. 60 A 10.10.0.2")
    rig.upstreams[2].add("2.0.10.10.in-addr.arpa", "PTR", "2.0.10.10.in-addr.arpa. 60 PTR dc1.school.local.")
    assert str(rig.ask("dc1.school.local").rr[0].rdata) == "10.10.0.2"
    assert str(rig.ask("2.0.10.10.in-addr.arpa", "PTR").rr[0].rdata) == "dc1.school.local."
    assert rig.ask("printer.other.local").header.rcode == 3
    assert rig.upstreams[0].asked == []


def has_ipv6_loopback() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6_loopback(), reason="this machine has no ::1")
def test_an_upstream_over_ipv6(make_rig, dns):
    """UDP and TCP to an upstream at an IPv6 address."""
    upstream = dns.StandIn("::1")
    upstream.add("x.example", "A", "x.example. 300 A 198.51.100.7")
    upstream.add("big.example", "TXT", *(f'big.example. 300 TXT "{str(n) * 200}"' for n in range(10)))
    rig = make_rig([upstream])
    assert str(rig.ask("x.example").rr[0].rdata) == "198.51.100.7"
    assert len(rig.ask("big.example", "TXT", tcp=True).rr) == 10
    assert {source[0] for source in upstream.sources} == {"::1"}


def test_datagrams_from_elsewhere_never_arrive(rig, dns):
    """RFC 5452 section 9.1: a true-looking answer from another address or port is dropped by the kernel."""

    def script(request, transport):
        lie = rig.upstream.reply(request)
        lie.rr[0].rdata.data = (6, 6, 6, 6)
        for source in (("127.0.0.1", 0), ("127.0.0.9", rig.upstream.port)):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.bind(source)
                for _ in range(100):
                    sock.sendto(lie.pack(), rig.upstream.sources[-1])
        return rig.upstream.reply(request).pack()

    rig.upstream.add("x.example", "A", "x.example. 300 A 198.51.100.7")
    rig.upstream.script = script
    assert str(rig.ask("x.example").rr[0].rdata) == "198.51.100.7"
    assert rig.counters.seen["forged"] == 0
    assert isinstance(rig.ask("x.example"), DNSRecord)
