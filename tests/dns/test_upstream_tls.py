"""Upstreams over TLS (RFC 7858): proven, reused, never in clear text."""

import socket
import ssl
import threading
import time

import pytest
import trustme
from dnslib import DNSRecord
from ports import free_port

NAME = "dns.upstream.example"


class Trust:
    """A throw-away certificate authority."""

    def __init__(self, folder) -> None:
        self.ca = trustme.CA()
        self.roots = folder / "roots.pem"
        self.ca.cert_pem.write_to_path(self.roots)

    def server(self, *names: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(*names).configure_cert(context)
        context.set_alpn_protocols(["dot"])
        return context


@pytest.fixture(scope="module")
def trust(tmp_path_factory):
    return Trust(tmp_path_factory.mktemp("trust"))


@pytest.fixture
def over_tls(make_rig, trust, dns):
    """Make a sinkhole whose upstream speaks TLS under the given names."""

    def make(*names: str, wanted: str = NAME, **settings):
        upstream = dns.StandIn(context=trust.server(*(names or (NAME,))))
        rig = make_rig([upstream], tls_names=(wanted,), upstream_roots=trust.roots, **settings)
        for number in range(20):
            upstream.add(f"n{number}.example", "A", f"n{number}.example. 300 A 198.51.100.{number}")
        return rig

    return make


def test_one_connection_serves_many_questions(over_tls):
    """Connection reuse: twenty questions, one handshake, and not a datagram; queries are padded (RFC 8467)."""
    rig = over_tls()
    for number in range(20):
        assert str(rig.ask(f"n{number}.example").rr[0].rdata) == f"198.51.100.{number}"
    assert rig.upstream.connections == 1
    assert {transport for transport, *_ in rig.upstream.asked} == {"tcp"}
    assert {len(message) % 128 for message in rig.upstream.messages} == {0}


def test_questions_do_not_wait_for_one_another(over_tls, dns):
    """Pipelining: while one answer takes its time the others arrive, out of order, on the same connection."""
    rig = over_tls()
    rig.upstream.delay["n0.example"] = 0.6
    names = [f"n{number}.example" for number in range(20)]
    replies = rig.tcp(*(dns.query(name, ident=number) for number, name in enumerate(names)))
    order = [DNSRecord.parse(reply).header.id for reply in replies]
    assert order[-1] == 0
    assert sorted(order) == list(range(20))
    assert rig.upstream.connections == 1


def test_an_address_can_be_what_is_proven(over_tls):
    """Without a name after `#` the certificate must hold the address."""
    assert over_tls("127.0.0.1", wanted="").ask("n1.example").header.rcode == 0


@pytest.mark.parametrize("presented", ["other.example", "127.0.0.1"])
def test_another_name_is_not_believed(over_tls, dns, presented):
    """Authentication: a valid certificate for another name gets no question, and the reason says so."""
    rig = over_tls(presented)
    reply = rig.ask("n1.example")
    assert reply.header.rcode == 2
    assert "Hostname mismatch" in dns.edes(reply)[0][1]
    assert rig.upstream.asked == []


def test_a_stranger_is_not_believed(make_rig, dns, trust, tmp_path):
    """Authentication: a certificate of an authority nobody named gets no question, and nothing goes out in clear."""
    stranger = Trust(tmp_path)
    upstream = dns.StandIn(context=stranger.server(NAME))
    rig = make_rig([upstream], tls_names=(NAME,), upstream_roots=trust.roots)
    assert rig.ask("n1.example").header.rcode == 2
    assert rig.upstream.asked == []


def test_a_closed_connection_is_opened_again(over_tls):
    """An upstream that hangs up after each answer costs handshakes, not answers."""
    rig = over_tls()
    rig.upstream.hang_up = True
    for number in range(5):
        assert rig.ask(f"n{number}.example").header.rcode == 0
    assert rig.upstream.connections == 5


def test_an_idle_connection_is_closed(over_tls):
    """Nothing is kept open for nobody, and the next question opens it again."""
    rig = over_tls(upstream_idle=0.1)
    rig.ask("n1.example")
    stream = rig.server._lookup._upstreams._servers[0].stream
    deadline = time.monotonic() + 10
    while stream._open.usable:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert rig.ask("n2.example").header.rcode == 0
    assert rig.upstream.connections == 2


def test_a_silent_tls_upstream_is_passed_over(make_rig, trust, dns):
    """Time-outs: one that accepts connections and never says a word costs `tcp_timeout`, then the next answers."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        upstream = dns.StandIn()
        upstream.add("x.example", "A", "x.example. 300 A 198.51.100.2")
        first = (*mute.getsockname(), True, NAME)
        rig = make_rig([upstream], endpoints=(first,), upstream_roots=trust.roots, tcp_timeout=0.3)
        rig.server._lookup._upstreams._servers.reverse()
        assert str(rig.ask("x.example").rr[0].rdata) == "198.51.100.2"


def test_a_black_hole_ends_the_connection(over_tls):
    """A connection that died without a word is given up with the question that noticed it."""
    rig = over_tls(tcp_timeout=0.3)
    rig.ask("n1.example")
    rig.upstream.silent = True
    assert rig.ask("n2.example").header.rcode == 2
    rig.upstream.silent = False
    assert rig.ask("n3.example").header.rcode == 0
    assert rig.upstream.connections > 1


def test_plain_and_tls_upstreams_stand_in_for_each_other(make_rig, trust, dns):
    """Fail-over between kinds: a TLS upstream that is gone, a plain one that is there."""
    gone = ("127.0.0.1", free_port(), True, NAME)
    upstream = dns.StandIn()
    upstream.add("x.example", "A", "x.example. 300 A 198.51.100.2")
    rig = make_rig([upstream], endpoints=(gone,), upstream_roots=trust.roots)
    rig.server._lookup._upstreams._servers.reverse()
    assert str(rig.ask("x.example").rr[0].rdata) == "198.51.100.2"


def test_a_hundred_clients_share_it(over_tls, dns):
    """Many threads at once: every answer fits its question."""
    rig = over_tls()
    wrong: list[str] = []

    def client(number: int) -> None:
        for turn in range(10):
            at = (number + turn) % 20
            if (
                str(rig.ask(f"n{at}.example", source=f"127.0.20.{number + 1}").rr[0].rdata)
                != f"198.51.100.{at}"
            ):
                wrong.append(f"n{at}")

    threads = [threading.Thread(target=client, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert rig.upstream.connections == 1
