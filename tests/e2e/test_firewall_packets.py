"""The firewall with real packets: who may send what where, whatever else runs."""

import contextlib
import json
import socket
import sys
import threading
from functools import partial

import netns_clients as client
import pytest
from netns_clients import request
from netns_school import INTERFACES
from prometheus_client import CollectorRegistry

from schoolgate.firewall import evidence
from schoolgate.firewall.evidence import EvidenceReader
from schoolgate_policy.technique import Technique

pytestmark = pytest.mark.netns

TEAMS4, TEAMS6 = "52.112.3.4", "2603:1063::5"


def reached(leaks, address: str, port: int) -> bool:
    """Whether a packet for an address and port has come out of the box."""
    return any(one["kind"] == "packet" and (one["target"], one["port"]) == (address, port) for one in leaks())


@pytest.mark.parametrize(
    ("address", "port"),
    [
        (TEAMS4, 3479),
        (TEAMS6, 3479),
        ("74.125.250.9", 19305),
        ("2001:4860:4864:5::9", 19305),
        ("45.60.3.10", 88),
    ],
)
def test_a_pass_lets_its_network_out(school, box, leaks, wait, address, port):
    """Staff reach what their passes name: calls over Teams and Meet, Kerberos; IPv4 leaves with the box's own address."""
    school.staff.do(partial(client.send, address, port, b"media"))
    wait(lambda: reached(leaks, address, port))
    assert {one["source"] for one in leaks() if one["kind"] == "packet"} == {
        school.staff.six if ":" in address else "45.60.0.2"
    }


@pytest.mark.parametrize("role", ["pupil", "guest"])
@pytest.mark.parametrize("address", [TEAMS4, TEAMS6])
def test_a_pass_is_for_its_network_only(school, box, leaks, role, address):
    """What staff may, pupils and guests may not."""
    with pytest.raises(ConnectionRefusedError):
        school.hosts()[role].do(client.datagram, address, 3479, b"media")
    assert leaks() == []


@pytest.mark.parametrize(("address", "port"), [(TEAMS4, 3482), (TEAMS4, 443), ("52.111.255.255", 3479)])
def test_a_pass_opens_nothing_beside_it(school, box, leaks, address, port):
    """The next port, another protocol and the next address stay closed."""
    with pytest.raises(ConnectionRefusedError):
        school.staff.do(client.datagram, address, port, b"media")
    assert leaks() == []


@pytest.mark.parametrize(("address", "port"), [("45.60.3.9", 9100), ("45.60.3.10", 389), ("45.60.3.10", 445)])
def test_printers_and_directories_are_reached_over_tcp(school, box, leaks, wait, address, port):
    """A pass for TCP: the connection goes out; nobody listens there, which is the internet's own answer."""
    with pytest.raises(ConnectionRefusedError):
        school.staff.do(client.connect, address, port)
    wait(lambda: reached(leaks, address, port))
    school.internet.forget()
    with pytest.raises(ConnectionRefusedError):
        school.pupil.do(client.connect, address, port)
    assert not reached(leaks, address, port)


@contextlib.contextmanager
def greeter(host, address, port):
    """Something that says hello to whoever connects to an address and port of a machine."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = host.do(partial(socket.create_server, (address, port), family=family))
    thread = threading.Thread(target=_greet, args=(listening, b"hello"))
    thread.start()
    try:
        yield
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
        listening.close()


@pytest.mark.parametrize("family", ["four", "six"])
def test_a_pass_from_one_network_into_another(school, box, family):
    """Staff print in the pupils' network, where their pass says so; nobody else does, and no other way leads there or back."""
    printer = getattr(school.pupil, family)
    with greeter(school.pupil, printer, 9100), greeter(school.pupil, printer, 9101):
        assert school.staff.do(client.exchange, printer, 9100, b"print") == b"hello"
        for host, port in ((school.guest, 9100), (school.staff, 9101)):
            with pytest.raises(ConnectionRefusedError):
                host.do(client.connect, printer, port)
    with greeter(school.staff, getattr(school.staff, family), 9100), pytest.raises(ConnectionRefusedError):
        school.pupil.do(client.connect, getattr(school.staff, family), 9100)


def test_networks_do_not_reach_one_another(school, box):
    """A pupil's machine cannot open a connection to a member of staff's, nor to a guest's."""
    for address in (school.staff.four, school.staff.six, school.guest.four):
        with pytest.raises(ConnectionRefusedError):
            school.pupil.do(client.connect, address, 4444)


def test_nothing_comes_in_from_the_internet(school, box):
    """From outside neither the box's parts nor the school's machines can be reached."""
    for port in (5353, 8000, 8080, 8420, 9153, 9154, 9155):
        for address in ("45.60.0.2", "2a00:9::2"):
            with pytest.raises(ConnectionRefusedError):
                school.wan.do(client.connect, address, port)
    with pytest.raises(ConnectionRefusedError):
        school.wan.do(client.datagram, "45.60.0.2", 5353, b"\0\1\1\0\0\1\0\0\0\0\0\0\3bbc\2co\2uk\0\0\1\0\1")
    for address in (school.pupil.four, f"[{school.pupil.six}]"):
        printed = school.wan.run("curl", "-gs", "-m", "2", f"http://{address}:4444/", "-w", "%{exitcode}")
        assert printed.strip() in {"28", "7"}  # dropped, or refused


@pytest.mark.parametrize("port", range(9153, 9159))
@pytest.mark.parametrize("family", ["gateway4", "gateway6"])
def test_metrics_are_for_the_box_alone(school, box, person, port, family):
    """The metrics of no part are reached from a VLAN nor from outside, not even where they listen on every address."""
    address = getattr(person, family)
    every = "::" if ":" in address else address  # IPv4's loopback is the part's own
    with greeter(school.edge, every, port):
        with pytest.raises(ConnectionRefusedError):
            person.do(client.connect, address, port)
        if ":" in address:
            with pytest.raises(ConnectionRefusedError):
                school.wan.do(client.connect, "2a00:9::2", port)


@pytest.mark.parametrize("port", [9153, 9154, 9155])
def test_metrics_can_be_read_on_the_box(school, box, port):
    """There they can."""
    assert "schoolgate_build_info" in school.edge.do(client.page, f"http://127.0.0.1:{port}/metrics")


def test_the_portal_answers_on_its_own_address(school, box, person):
    """Port 80 of the box is the portal, over both families; the port behind it is not offered."""
    for address in (person.gateway4, person.gateway6):
        host = f"[{address}]" if ":" in address else address
        reply = person.do(client.exchange, address, 80, request(host))
        assert reply.startswith(b"HTTP/1.1 200"), reply
        assert b"Perryfields Primary PRU" in reply
        with pytest.raises(ConnectionRefusedError):
            person.do(client.connect, address, 8000)


def test_blocked_names_lead_to_a_page_over_plain_http(school, box):
    """A blocked name resolves to the box, and there is the block page, over IPv4 and IPv6."""
    pupil = school.pupil
    for server, kind in ((pupil.gateway4, "A"), (pupil.gateway6, "AAAA")):
        assert pupil.run("dig", f"@{server}", "www.instagram.com", kind, "+short").strip() == server
        reply = pupil.do(client.exchange, server, 80, request("www.instagram.com"))
        assert reply.startswith(b"HTTP/1.1 403"), reply
        assert b"not accessible on the school" in reply


def test_the_ruleset_in_force_is_the_policys(box):
    """`--diff` finds nothing, applying again changes nothing, and printing is what was applied."""
    assert box.firewall("--diff") == ""
    assert "in force already" in box.firewall("--apply")
    assert box.firewall() == box.firewall()


def test_the_table_is_taken_out_and_put_back(school, box):
    """`--remove` takes out our table and no other; `--apply` puts it back."""
    nft = partial(school.edge.run, "nft")
    nft("add", "table", "inet", "somebodys")
    try:
        assert box.firewall("--remove") == ""
        assert nft("list", "tables").split("\n")[:-1] == ["table inet somebodys"]
    finally:
        nft("delete", "table", "inet", "somebodys")
        assert "in force" in box.firewall("--apply")
    assert "table inet schoolgate\n" in nft("list", "tables")
    assert box.firewall("--diff") == ""


@contextlib.contextmanager
def clock(school, family):
    """Something on the box that says what time it is."""
    with school.edge.do(partial(socket.socket, family, socket.SOCK_DGRAM)) as made:
        made.bind(("", 123))
        thread = threading.Thread(target=_tell_the_time, args=(made,))
        thread.start()
        try:
            yield
        finally:
            school.edge.do(client.send, "::1" if family == socket.AF_INET6 else "127.0.0.1", 123, b"stop")
            thread.join()


FAMILIES = [(socket.AF_INET, "45.60.9.9", "45.60.0.2"), (socket.AF_INET6, "2a00:9:9::9", "2a00:9::2")]
_QUESTION = b"\x23" + bytes(47)


@pytest.mark.parametrize(("family", "there", "_"), FAMILIES)
def test_the_box_gives_the_time(school, box, person, leaks, family, there, _):
    """Whoever is asked for the time, the box answers."""
    with clock(school, family):
        assert person.do(client.datagram, there, 123, _QUESTION) == b"the time"
    assert leaks() == []


@pytest.mark.parametrize(("family", "_", "outside"), FAMILIES)
def test_the_time_is_for_the_school(school, box, family, _, outside):
    """From the internet the box is not asked."""
    with clock(school, family), pytest.raises(ConnectionRefusedError):
        school.wan.do(client.datagram, outside, 123, _QUESTION)


def _tell_the_time(clock):
    while (question := clock.recvfrom(100))[0] != b"stop":
        clock.sendto(b"the time", question[1])


def test_somebodys_edit_is_found_and_mended(school, box):
    """A rule that somebody took out is shown by `--diff`, and put back by `--apply` in one transaction."""
    school.edge.run("nft", "flush", "chain", "inet", "schoolgate", "forward_pupils")
    shown = box.firewall("--diff")
    assert "chain forward_pupils" in shown
    assert "+\t\tgoto classify" in shown
    assert "in force now" in box.firewall("--apply")
    assert box.firewall("--diff") == ""


def test_a_broken_setting_leaves_the_firewall_alone(box):
    """Settings that no firewall can be made from change nothing, and exit 2."""
    good = box.settings.read_text()
    try:
        box.settings.write_text(good.replace("pupils = 8420", "pupils = 0"))
        assert "proxy.transparent.pupils: no port" in box.firewall("--apply")
    finally:
        box.settings.write_text(good)
    assert box.firewall("--diff") == ""


@pytest.fixture
def second_worker(school, box):
    """A worker of the proxy besides the one that runs: it says so to whoever comes, over both families."""
    good = box.settings.read_text()
    box.settings.write_text(good.replace("[proxy]\n", "[proxy]\nworkers = 2\n", 1))
    listening = school.edge.do(
        partial(socket.create_server, ("::", 8421), family=socket.AF_INET6, dualstack_ipv6=True)
    )
    try:
        assert "in force now" in box.firewall("--apply")
        thread = threading.Thread(target=_greet, args=(listening,))
        thread.start()
        yield
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
        listening.close()
        box.settings.write_text(good)
        box.firewall("--apply")


def _greet(listening, word=b"the second worker"):
    with contextlib.suppress(OSError):
        while True:
            made, _ = listening.accept()
            with made:
                made.recv(4096)
                made.sendall(word)


def _from(source, there):
    with socket.create_connection((there, 80), 60, (source, 0)) as made:
        made.sendall(request("blocked.example"))
        return client.drain(made).startswith(b"the second worker")


@pytest.mark.parametrize(
    ("prefix", "length", "there"), [("10.20.1.", 32, "45.60.9."), ("2a00:20::1:", 128, "2a00:9:9::")]
)
def test_a_client_meets_one_worker(school, second_worker, prefix, length, there):
    """Whatever site a client asks for it comes to the same worker, and clients are spread over both."""
    sources = [f"{prefix}{number}" for number in range(11, 31)]
    for source in sources:
        school.pupil.run(
            "ip", "address", "add", f"{source}/{length}", "dev", "eth0", *(["nodad"] if length == 128 else [])
        )
    try:
        met = {
            source: {school.pupil.do(_from, source, f"{there}{number}") for number in range(1, 5)}
            for source in sources
        }
    finally:
        for source in sources:
            school.pupil.run("ip", "address", "del", f"{source}/{length}", "dev", "eth0")
    assert all(len(workers) == 1 for workers in met.values()), met
    assert {True, False} == set.union(*met.values())


def test_evidence_names_who_tried(school, box):
    """The reader tells who was refused, of which network, once for each look at which there was more."""
    seen: list[tuple[str, ...]] = []

    class Sink:
        def technique(self, *what: str) -> None:
            seen.append(what)

    reader = EvidenceReader(lambda: school.edge.do(evidence.read, INTERFACES), Sink(), CollectorRegistry())
    assert reader.turn()
    seen.clear()
    for host in (school.pupil, school.guest):
        for address in ("45.60.9.9", "2a00:9:9::9"):
            with pytest.raises(ConnectionRefusedError):
                host.do(client.connect, address, 9001)
    assert reader.turn()
    assert set(seen) == {
        (Technique.TOR, network, address, "")
        for network, host in (("pupils", school.pupil), ("guests", school.guest))
        for address in (host.four, host.six)
    }
    seen.clear()
    assert reader.turn()
    assert seen == []


def test_the_evidence_command(school, box):
    """`schoolgate firewall evidence` prints totals and addresses, for people and as JSON."""
    with pytest.raises(ConnectionRefusedError):
        school.guest.do(client.connect, "45.60.9.9", 22)
    command = (sys.executable, "-m", "schoolgate", "firewall", "evidence", "--settings", str(box.settings))
    printed = school.edge.run(*command)
    assert f"packets from {school.guest.four}" in printed
    assert '"technique": "ssh"' in school.edge.run(*command, "--json")


def test_the_doctor_is_content(school, box):
    """Of a box that filters a school nothing is found, but what is this machine's own: its clock and its room."""
    box.watch()
    clock = school.edge.do(partial(socket.socket, socket.AF_INET, socket.SOCK_DGRAM))
    clock.bind(("", 123))
    command = (sys.executable, "-m", "schoolgate", "doctor", "--json", *box.options)
    with clock:
        found = json.loads(school.edge.run(*command))
    assert [one for one in found if one["area"] not in {"clock", "disk"}] == []


def test_full_sets_refuse_as_well(school, box):
    """More addresses than a set holds are refused and counted like the first."""
    try:
        before = school.edge.do(evidence.read, INTERFACES)
        fill = "".join(
            f'add element inet schoolgate tor_4 {{ "vlan30" . 10.30.{number // 250}.{number % 250 + 1} }}\n'
            for number in range(4096)
        )
        school.edge.run("nft", "-f", "-", stdin=fill)
        with pytest.raises(ConnectionRefusedError):
            school.pupil.do(client.connect, "45.60.9.9", 9030)
        after = school.edge.do(evidence.read, INTERFACES)
        assert _packets(after, Technique.TOR) > _packets(before, Technique.TOR)
    finally:
        school.edge.run("nft", "flush", "set", "inet", "schoolgate", "tor_4")


def _packets(found: evidence.Evidence, technique: Technique) -> int:
    return sum(one.packets for one in found.refused if one.technique is technique)
