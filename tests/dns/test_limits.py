"""Who is answered, how often, and how many new names of one domain: floods and tunnels."""

import asyncio
import secrets
import socket
from ipaddress import ip_address

import pytest
from dnslib import DNSRecord

from schoolgate_dns import Transport
from schoolgate_dns.limits import RateLimit
from schoolgate_dns.resolver import Asker
from schoolgate_policy.decision import Reason

PUPIL = "127.0.20.5"


def test_a_rate_with_a_burst():
    """Twice the rate at once, then the rate; each key for itself; time gives back."""
    limit = RateLimit(10)
    assert [limit.allows("a", 100.0) for _ in range(30)].count(True) == 21
    assert limit.allows("b", 100.0)
    assert [limit.allows("a", 101.0) for _ in range(30)].count(True) == 10
    assert [limit.allows("a", 1_000.0) for _ in range(30)].count(True) in {20, 21}
    assert all(RateLimit(0).allows("a", 0.0) for _ in range(10_000))


def test_a_million_keys_take_no_more_room():
    """Spoofed addresses cannot fill the memory."""
    limit = RateLimit(10)
    for number in range(100_000):
        limit.allows(number, 0.0)
    assert len(limit._due) <= 20_000


def test_a_flooding_client_is_sent_to_tcp(make_rig, dns):
    """Beyond the rate every second answer is TC=1 and the others are dropped; other clients notice nothing."""
    rig = make_rig(queries_per_second=20, same_answers_per_second=0)
    replies = flood(rig, dns.query("localhost"), 100)
    truncated = [reply for reply in replies if reply[2] & 2]
    assert 40 <= len(replies) - len(truncated) <= 60
    assert 15 <= len(truncated) <= 35
    assert all(len(reply) <= len(dns.query("localhost")) for reply in truncated)
    assert rig.counters.seen["limited", "client_rate"] >= 40
    assert rig.ask("localhost", source=dns.STAFF).header.tc == 0
    over_tcp = rig.tcp(*[dns.query("localhost")] * 100)
    assert {DNSRecord.parse(reply).header.rcode for reply in over_tcp} == {0, 5}


def flood(rig, query: bytes, count: int) -> list[bytes]:
    """Send a query many times without waiting; return what came back."""
    replies = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((PUPIL, 0))
        sock.connect(rig.address)
        for _ in range(count):
            sock.send(query)
        sock.settimeout(0.5)
        try:
            while True:
                replies.append(sock.recv(4096))
        except TimeoutError:
            return replies


def test_the_same_answer_is_limited(make_rig, dns):
    """Response rate limiting: one question over and over is a reflection; others of the same client go on."""
    rig = make_rig(same_answers_per_second=10)
    replies = flood(rig, dns.query("localhost"), 100)
    assert sum(not reply[2] & 2 for reply in replies) <= 25
    assert rig.counters.seen["limited", "same_answer"] >= 75
    assert rig.ask("a.localhost").header.tc == 0
    assert DNSRecord.parse(rig.tcp(dns.query("localhost"))[0]).header.rcode == 0


def test_a_cookie_of_ours_proves_the_address(make_rig, dns):
    """Who has a cookie is no reflection: the same answer as often as it likes."""
    rig = make_rig(same_answers_per_second=10)
    reply = rig.udp(dns.query("localhost", options=[(10, b"client00")]))
    cookie = reply[-24:]
    replies = flood(rig, dns.query("localhost", options=[(10, cookie)]), 100)
    assert len(replies) == 100
    assert not any(reply[2] & 2 for reply in replies)


def stranger(rig, make_query, address: str, transport=Transport.UDP) -> DNSRecord:
    """Ask as an address that cannot be had on loopback."""
    query = bytes(make_query("localhost"))

    async def ask() -> bytes:
        outcome = rig.server._resolver.handle(query, Asker(address, ip_address("127.0.0.1"), transport))
        return outcome if isinstance(outcome, bytes) else await outcome

    return DNSRecord.parse(asyncio.run(ask()))


@pytest.mark.parametrize("address", ["192.0.2.1", "10.99.0.1", "2001:db8::1"])
@pytest.mark.parametrize("transport", list(Transport))
def test_only_configured_networks_are_answered(rig, dns, address, transport):
    """An address in no network of the policy is REFUSED and told why: the box is no open resolver."""
    reply = stranger(rig, dns.query, address, transport)
    assert reply.header.rcode == 5
    assert dns.edes(reply) == [(18, "only the networks of the school are answered")]
    assert rig.counters.seen["limited", "unknown_client"] == 1


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"])
def test_this_machine_is_answered(rig, dns, address):
    """Loopback never arrives from outside."""
    assert stranger(rig, dns.query, address).header.rcode == 0


def test_unknown_clients_can_be_answered(make_rig, dns):
    """The setting lets the rules of `unknown_clients` decide."""
    assert stranger(make_rig(answer_unknown=True), dns.query, "192.0.2.1").header.rcode == 0


def test_a_network_added_by_a_reload_is_answered(rig, dns):
    """Who is known is asked of the policy in force."""
    assert stranger(rig, dns.query, "192.0.2.1").header.rcode == 5
    old = rig.engine
    rig.engine = type(old)()
    rig.engine.identify = lambda address: type(old.identify(address))(network="staff", known=True)
    assert stranger(rig, dns.query, "192.0.2.1").header.rcode == 0


def forever(rig) -> None:
    """Answer whatever is asked."""

    def script(request, _):
        reply = request.reply(ra=1)
        return reply.pack()

    rig.upstream.script = script


def unique(domain: str = "t.example") -> str:
    return f"{secrets.token_hex(15)}.{domain}"


def test_a_txt_tunnel_is_cut(make_rig, dns):
    """Beyond the budget REFUSED with a reason, one event, and the upstream sees no more of it."""
    rig = make_rig(tunnel_carriers=50)
    forever(rig)
    rcodes = [rig.ask(unique(), "TXT").header.rcode for _ in range(100)]
    assert rcodes == [0] * 50 + [5] * 50
    assert len(rig.upstream.asked) == 50
    assert [(seen[0], seen[1], seen[2]) for seen in rig.recorder.techniques] == [
        ("dns_tunnel", "pupils", dns.PUPIL)
    ]
    assert rig.counters.seen["limited", "tunnel"] == 50
    assert dns.edes(rig.ask(unique(), "TXT"))[0][0] == 15


def test_others_and_other_domains_go_on(make_rig, dns):
    """The budget is one client's for one registered domain; it comes back with the next window."""
    rig = make_rig(tunnel_carriers=10, tunnel_seconds=60)
    forever(rig)
    for _ in range(15):
        rig.ask(unique(), "TXT")
    assert rig.ask(unique(), "TXT").header.rcode == 5
    assert rig.ask(unique("u.co.uk"), "TXT").header.rcode == 0
    assert rig.ask(unique(), "TXT", dns.STAFF).header.rcode == 0
    rig.pass_time(61)
    assert rig.ask(unique(), "TXT").header.rcode == 0


def test_an_address_tunnel_is_cut(make_rig):
    """Names can carry data in A queries too: the number of different names counts."""
    rig = make_rig(tunnel_names=200)
    forever(rig)
    rcodes = [rig.ask(unique()).header.rcode for _ in range(300)]
    assert 185 <= rcodes.count(0) <= 215
    assert set(rcodes[215:]) == {5}


def test_names_that_are_repeated_cost_nothing(make_rig):
    """A busy page asks the same names in three types, again and again: one name each, and nothing from the cache."""
    rig = make_rig(tunnel_names=100)
    forever(rig)
    for turn in range(600):
        assert rig.ask(f"n{turn % 50}.cdn.example", ("A", "AAAA", "HTTPS")[turn % 3]).header.rcode == 0


def test_large_answers_use_the_budget_up(make_rig):
    """A tunnel downwards repeats one name and takes large TXT answers that may not be kept."""
    rig = make_rig(tunnel_carriers=50)
    text = " ".join(f'"{"x" * 250}"' for _ in range(40))
    rig.upstream.add("down.example", "TXT", f"down.example. 0 TXT {text}")
    rcodes = [rig.ask("down.example", "TXT", tcp=True).header.rcode for _ in range(12)]
    assert 3 <= rcodes.count(0) <= 6
    assert rcodes[-1] == 5


def test_the_defaults_let_honest_devices_work(rig):
    """A thousand shards of a content network's names, and a hundred reputation look-ups, in five minutes."""
    forever(rig)
    assert all(rig.ask(f"r{number}---sn.video.example").header.rcode == 0 for number in range(900))
    assert all(rig.ask(unique("mail.example"), "TXT").header.rcode == 0 for _ in range(100))
    assert all(rig.ask(unique("avts.mcafee.com"), "TXT").header.rcode == 0 for _ in range(300))
    assert rig.recorder.techniques == []


@pytest.mark.parametrize("reason", [Reason.ALWAYS_ALLOW, Reason.EXCEPTION])
def test_what_somebody_opened_by_name_is_trusted(make_rig, reason):
    """The officer can free a vendor's look-ups with one line of policy."""
    rig = make_rig(tunnel_carriers=5)
    forever(rig)
    rig.engine.allow("vendor.example", reason=reason)
    assert all(rig.ask(unique("vendor.example"), "TXT").header.rcode == 0 for _ in range(20))


def test_null_is_a_tunnel(rig, dns):
    """Type NULL is refused and noted."""
    assert rig.ask("x.example", "10").header.rcode == 5
    assert rig.recorder.techniques == [("dns_tunnel", "pupils", dns.PUPIL, "x.example")]


def test_tunnels_are_remembered_in_bounded_room(rig):
    """A million domains asked for do not grow what is kept."""
    from schoolgate_dns import DnsConfig
    from schoolgate_dns.query import read_query
    from schoolgate_dns.tunnels import Tunnels

    tunnels = Tunnels(DnsConfig())
    query = read_query(bytes(DNSRecord.question("x.example").pack()))
    for number in range(30_000):
        tunnels.spend(f"10.20.{number >> 8}.{number & 255}", query, 0.0)
    assert len(tunnels._windows) <= 10_000
