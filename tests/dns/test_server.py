"""Starting, stopping, TCP's manners, and survival."""

import errno
import socket
import time
from contextlib import ExitStack

import pytest
from dnslib import DNSRecord
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ports import free_port


def test_many_queries_on_one_connection_out_of_order(rig, dns):
    """RFC 7766: pipelined queries are answered as they are ready; a slow one does not hold up the rest."""
    rig.upstream.add("slow.example", "A", "slow.example. 300 A 198.51.100.7")
    rig.upstream.delay["slow.example"] = 0.3
    names = ["slow.example", *(f"n{number}.localhost" for number in range(30))]
    replies = rig.tcp(*(dns.query(name, ident=number) for number, name in enumerate(names)))
    assert [DNSRecord.parse(reply).header.id for reply in replies] == [*range(1, 31), 0]


def test_answers_arrive_after_the_client_stopped_sending(rig, dns):
    """A client that half-closes still gets what it asked for."""
    rig.upstream.add("slow.example", "A", "slow.example. 300 A 198.51.100.7")
    rig.upstream.delay["slow.example"] = 0.2
    with socket.create_connection(rig.address, timeout=5) as sock:
        query = dns.query("slow.example")
        sock.sendall(len(query).to_bytes(2) + query)
        sock.shutdown(socket.SHUT_WR)
        assert b"\xc6\x33\x64\x07" in sock.makefile("rb").read()


@pytest.mark.parametrize("sent", [b"", b"\0", b"\0\x20abc", b"\0\0"])
def test_idle_connections_are_closed(make_rig, sent):
    """Silence, and messages that never finish, end after the idle time."""
    rig = make_rig(tcp_idle=0.2)
    with socket.create_connection(rig.address, timeout=5) as sock:
        sock.sendall(sent)
        assert sock.recv(10) == b""


def test_one_client_cannot_take_all_connections(make_rig, dns):
    """The cap is per client; others, and the same one after closing, are served."""
    rig = make_rig(tcp_per_client=3)
    with ExitStack() as held:
        for _ in range(3):
            held.enter_context(
                socket.create_connection(rig.address, timeout=5, source_address=(dns.PUPIL, 0))
            )
        with socket.create_connection(rig.address, timeout=5, source_address=(dns.PUPIL, 0)) as extra:
            assert closed_by_peer(extra)
        assert rig.tcp(dns.query("localhost"), source=dns.STAFF)
        assert rig.counters.seen["dropped", "tcp"] == 1
    deadline = time.monotonic() + 5
    while not served(rig, dns.query("localhost")):
        assert time.monotonic() < deadline, "connections that were closed still count"


def closed_by_peer(sock) -> bool:
    try:
        return sock.recv(10) == b""
    except ConnectionError:
        return True


def served(rig, query: bytes) -> bool:
    try:
        return rig.tcp(query)[0] != b""
    except ConnectionError:
        return False


def test_a_client_that_reads_nothing_is_cut_off(make_rig, dns):
    """Answers nobody takes do not pile up."""
    rig = make_rig(tcp_idle=0.3)
    rig.upstream.add(
        "big.example", "TXT", *(f'big.example. 300 TXT "{str(n % 10) * 250}"' for n in range(200))
    )
    query = dns.query("big.example", "TXT")
    rig.tcp(query)
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(20)
        sock.connect(rig.address)
        with pytest.raises(ConnectionError):
            flood(sock, (len(query).to_bytes(2) + query) * 50)
    assert rig.ask("localhost").header.rcode == 0


def flood(sock, data: bytes) -> None:
    while True:
        sock.sendall(data)


def has_ipv6_loopback() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6_loopback(), reason="this machine has no ::1")
def test_ipv6_is_served(make_rig):
    """Both families, several addresses; the block page is at the address of the family."""
    rig = make_rig(listen=(("127.0.0.1", 0), ("::1", 0)))
    rig.engine.block("facebook.com")
    assert [host for host, _ in rig.server.addresses] == ["127.0.0.1", "::1"]
    query = b"\0\7\1\0\0\1\0\0\0\0\0\0\x08facebook\3com\0\0\x1c\0\1"
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.connect(rig.server.addresses[1])
        sock.send(query)
        assert str(DNSRecord.parse(sock.recv(4096)).rr[0].rdata) == "::1"
    with socket.create_connection(rig.server.addresses[1], timeout=5) as sock:
        sock.sendall(len(query).to_bytes(2) + query)
        assert str(DNSRecord.parse(sock.recv(4096)[2:]).rr[0].rdata) == "::1"


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_a_taken_port_is_one_clear_line(make_rig, kind):
    """A port in use raises OSError that names address, port and transport, and leaves nothing bound."""
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", free_port()))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            OSError, match=rf"cannot listen on 127.0.0.1 port {port} \((udp|tcp)\): address already in use"
        ) as caught:
            make_rig(listen=(("127.0.0.1", port),))
        assert caught.value.errno == errno.EADDRINUSE
    make_rig(listen=(("127.0.0.1", port),))


def test_stopping_frees_the_port_and_drops_what_waits(make_rig, dns):
    """Stop and start again on the same port, with a query still waiting."""
    rig = make_rig(listen=(("127.0.0.1", free_port()),))
    rig.upstream.silent = True
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(dns.query("x.example"), rig.address)
        while not rig.upstream.asked:
            time.sleep(0.01)
    rig.run(rig.server.stop())
    rig.run(rig.server.stop())
    assert rig.server.addresses == ()
    again = make_rig(listen=(rig.address,))
    assert again.ask("localhost").header.rcode == 0


def test_everything_is_counted(rig):
    """Queries by transport and rcode, looks into the cache, exchanges with upstream."""
    rig.upstream.add("x.example", "A", "x.example. 300 A 198.51.100.7")
    rig.ask("x.example")
    rig.ask("x.example", tcp=True)
    rig.ask("nope.example")
    assert dict(rig.counters.seen) == {
        ("query", "udp", "NOERROR"): 1,
        ("query", "tcp", "NOERROR"): 1,
        ("query", "udp", "NXDOMAIN"): 1,
        ("cache", "miss"): 2,
        ("cache", "hit"): 1,
        ("upstream", "answered"): 2,
    }


@pytest.fixture
def unlimited(make_rig):
    return make_rig(same_answers_per_second=0)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(min_size=0, max_size=300), valid=st.booleans())
def test_no_datagram_stops_the_server(unlimited, data, valid):
    """Random bytes, and a real question with a random tail: what is answered has the query's id, and it lives on."""
    rig = unlimited
    if valid:
        data = b"\x12\x34\1\0\0\1\0\0\0\0\0\1\4host\7example\0\0\1\0\1" + data
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(8)
        sock.connect(rig.address)
        sock.send(data)
        sock.send(b"\xab\xcd\1\0\0\1\0\0\0\0\0\0\x09localhost\0\0\1\0\1")
        while (reply := sock.recv(4096))[:2] != b"\xab\xcd":
            assert reply[:2] == data[:2]
    assert [fault for area, fault in rig.recorder.faults if area == "dns"] == []
