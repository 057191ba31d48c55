"""Response policy zones over the wire: what dig gets, what nobody gets, and that a zone is what the engine says."""

import shutil
import socket
import struct
import subprocess

import pytest
from rpz_rig import EXCEPTION, POLICY, Zones
from running import eventually
from secondaries import SECRET, dig

pytestmark = pytest.mark.skipif(not shutil.which("dig"), reason="dig is not installed")
GOOD = f"hmac-sha256:trust:{SECRET}"
PUPILS = "pupils.rpz.schoolgate"


@pytest.fixture
def zones(make_rig, tmp_path):
    made = Zones(make_rig(), tmp_path)
    yield made
    made.stop()
    assert not made.rig.recorder.faults


def axfr(zones, zone=PUPILS, key=GOOD):
    """Return the records of a transfer: owner without the zone, type, data."""
    text = dig(zones.port, zone, "AXFR", "+onesoa", "+nocookie", key=key)
    rows = [line.split() for line in text.splitlines() if line and not line.startswith(";")]
    return {
        (row[0].removesuffix(f"{zone}.").removesuffix("."), row[3], " ".join(row[4:]))
        for row in rows
        if row[3] not in {"SOA", "NS", "TSIG"}
    }, text


def test_a_zone_is_transferred_and_signed(zones):
    """AXFR by TSIG gives blocks with the block page, ways round as NXDOMAIN, opened names passed, SafeSearch."""
    records, text = axfr(zones)
    assert "Couldn't verify" not in text
    assert {
        ("facebook.com", "A", "192.0.2.80"), ("*.facebook.com", "AAAA", "2001:db8::80"),
        ("help.instagram.com", "CNAME", "rpz-passthru."), ("*.help.instagram.com", "CNAME", "rpz-passthru."),
        ("dns.google", "CNAME", "."), ("*.dns.google", "CNAME", "."),
        ("www.google.com", "CNAME", "forcesafesearch.google.com."),
        ("use-application-dns.net", "CNAME", "."), ("resolver.arpa", "CNAME", "*."),
    } <= records  # fmt: skip
    assert not any(owner == "*.www.google.com" for owner, *_ in records)
    guests, _ = axfr(zones, "guests.rpz.schoolgate")
    assert ("facebook.com", "CNAME", ".") in guests
    exams, _ = axfr(zones, "exams.rpz.schoolgate")
    assert ("*", "A", "192.0.2.80") in exams
    assert ("bbc.co.uk", "CNAME", "rpz-passthru.") in exams
    assert ("co.uk", "A", "192.0.2.80") in exams, (
        "else the name that is only part of a longer one would be open"
    )


def test_no_ttl_is_longer_than_a_minute(zones):
    """Whatever a resolver makes of the zone, nobody holds it longer than the sinkhole's own answers."""
    _, text = axfr(zones)
    rows = [line.split() for line in text.splitlines() if line and not line.startswith(";")]
    assert max(int(row[1]) for row in rows) <= 60


@pytest.mark.parametrize(
    ("key", "status", "why"),
    [
        ("", "REFUSED", "unsigned"),
        (f"hmac-sha256:stranger:{SECRET}", "BADKEY", "bad_key"),
        (f"hmac-sha512:trust:{SECRET}", "BADKEY", "bad_key"),
        ("hmac-sha256:trust:bm90IHRoZSByaWdodCBzZWNyZXQgYXQgYWxsIQ==", "BADSIG", "bad_signature"),
    ],
)
@pytest.mark.parametrize("kind", ["SOA", "AXFR"])
def test_who_does_not_prove_it_gets_nothing(zones, key, status, why, kind):
    """Unsigned is REFUSED; another key, algorithm or secret is NOTAUTH with the TSIG error that says which."""
    text = dig(
        zones.port, PUPILS, kind, "+comments", "+multiline", "+qr" if kind == "SOA" else "+noqr", key=key
    )
    assert "facebook" not in text
    assert "hostmaster" not in text
    assert status in text or "Transfer failed" in text
    assert zones.counters.seen[f"refused {why}"] >= 1
    assert not any(name.startswith("gave") for name in zones.counters.seen)


def test_a_wrong_clock_is_told_the_time(zones):
    """BADTIME, signed, with the time of this box, for a request that was signed too long ago (or is played again)."""
    zones.skew = 3600
    text = dig(zones.port, PUPILS, "SOA", key=GOOD)
    assert "BADTIME" in text
    assert "hostmaster" not in text
    assert "verify failure" not in text, "the refusal itself is signed"


def test_only_zones_are_served(zones):
    """Another name is NOTAUTH, another type or AXFR over UDP REFUSED, UPDATE NOTIMP, noise FORMERR; nothing answers noise twice."""
    assert "NOTAUTH" in dig(zones.port, "nobody.rpz.schoolgate", "SOA", key=GOOD)
    assert "REFUSED" in dig(zones.port, f"facebook.com.{PUPILS}", "A", key=GOOD) or "NOTAUTH"
    assert "REFUSED" in dig(zones.port, PUPILS, "TXT", key=GOOD)
    assert "NOTIMP" in dig(zones.port, PUPILS, "SOA", "+opcode=update", key=GOOD)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.connect(("127.0.0.1", zones.port))
        sock.send(b"\x12\x34\0\0\0\2\0\0\0\0\0\0noise")
        assert sock.recv(512)[3] & 15 == 1
        sock.send(b"\x12\x34\x80\0\0\1\0\0\0\0\0\0\0\0\6\0\1")  # a reply
        sock.send(b"\x12\x34\0\0\0\2\0\0\0\0\0\0noise")
        assert sock.recv(512)[3] & 15 == 1
    assert zones.counters.seen["refused no_such_zone"] >= 1


def test_an_exception_is_an_ixfr_of_its_own_records(zones):
    """Who has the last version gets what changed and no more; who has an unknown one gets the whole zone."""
    before = zones.version("pupils").serial
    zones.rig.pass_time(5)
    zones.write(POLICY + EXCEPTION)
    eventually(lambda: zones.version("pupils").serial != before, 60)
    text = dig(zones.port, PUPILS, f"IXFR={before}", key=GOOD)
    rows = [line.split() for line in text.splitlines() if line and not line.startswith(";")]
    told = {(row[0].removesuffix(f".{PUPILS}."), row[3]) for row in rows}
    assert ("m.facebook.com", "CNAME") in told
    assert ("*.scontent.fbcdn.net", "CNAME") in told
    assert ("facebook.com", "A") not in told
    assert sum(row[3] == "SOA" for row in rows) == 4
    assert zones.counters.seen["gave changes"] == 1
    assert ("facebook.com", "A") in {
        (line.split()[0].removesuffix(f".{PUPILS}."), line.split()[3])
        for line in dig(zones.port, PUPILS, "IXFR=7", key=GOOD).splitlines()
        if line and not line.startswith(";")
    }
    current = dig(zones.port, PUPILS, f"IXFR={zones.version('pupils').serial}", key=GOOD)
    assert current.count("hostmaster") == 1
    guests = zones.version("guests").serial
    assert guests == before, "what does not concern a network leaves its zone as it was"


def test_the_zone_in_force_follows_the_clock(zones):
    """At the edge of a lesson the staff's zone changes, its serial too; the zone of the profile stands as it was."""
    assert "staff-lessons" in zones.server.archive.zones
    assert "staff-other-times" in zones.server.archive.zones
    assert "pupils-lessons" not in zones.server.archive.zones, "nothing of the pupils' depends on a schedule"
    assert any("youtube.com" in line for line in zones.text("staff"))
    lesson, static = zones.version("staff").serial, zones.version("staff-lessons").serial
    zones.rig.pass_time(31 * 60)
    eventually(lambda: not any("youtube.com" in line for line in zones.text("staff")), 30)
    assert zones.version("staff").serial > lesson
    assert zones.version("staff-lessons").serial == static
    assert [line for line in zones.text("staff") if " SOA " not in line][2:] == [
        line for line in zones.text("staff-other-times") if " SOA " not in line
    ][2:]


def test_versions_outlive_the_process(zones):
    """After a restart the serial is the same and who had the version before still gets changes only."""
    before = zones.version("pupils").serial
    zones.rig.pass_time(5)
    zones.write(POLICY + EXCEPTION)
    eventually(lambda: zones.version("pupils").serial != before, 60)
    after = zones.version("pupils").serial
    zones.stop()
    zones.start()
    assert zones.version("pupils").serial == after
    text = dig(zones.port, PUPILS, f"IXFR={before}", key=GOOD)
    assert text.count("hostmaster") == 4


def test_secrets_are_in_no_text(zones):
    """A key does not show itself, and what is kept on disk holds none."""
    assert SECRET not in repr(zones.config)
    assert b"shared" not in repr(zones.config).encode()
    for file in zones.config.folder.iterdir():
        assert SECRET.encode() not in file.read_bytes()
        assert file.stat().st_mode & 0o077 == 0


def test_a_long_zone_takes_many_messages_each_signed(make_rig, tmp_path):
    """A list of 60,000 names comes in many messages; dig checks the signature of each."""

    def names(tell):
        tell([b"site-%d.example" % number for number in range(60_000)])

    (tmp_path / "many.txt").write_text("".join(f"site-{number}.example\n" for number in range(60_000)))
    text = POLICY.replace(
        "rules:", "lists: {many: {file: many.txt}}\nrules:\n  - {block: ['list:many'], reason: R}"
    )
    zones = Zones(make_rig(), tmp_path, text=text, lists=lambda engine: [names])
    try:
        done = dig(zones.port, PUPILS, "AXFR", "+onesoa", key=GOOD)
        assert "site-59999.example" in done
        assert "Couldn't verify" not in done
        assert int(done.rpartition("(messages ")[2].partition(",")[0]) > 50
    finally:
        zones.stop()


def test_a_dead_secondary_delays_nothing(zones):
    """Nobody listens where the notice goes: it is tried again and given up, and the zone is served all the while."""
    eventually(lambda: zones.counters.seen["not heard"] >= 1, 30)
    assert zones.server.notifier.behind == {"trust": True}
    assert "hostmaster" in dig(zones.port, PUPILS, "SOA", key=GOOD)


def test_silent_connections_make_room(make_rig, tmp_path):
    """Who connects and says nothing is put out; more than allowed are not let in."""
    zones = Zones(make_rig(), tmp_path, idle=0.5, connections=2)
    try:
        held = [socket.create_connection(("127.0.0.1", zones.port)) for _ in range(3)]
        eventually(lambda: zones.counters.seen["refused busy"] >= 1, 10)
        eventually(lambda: "hostmaster" in dig(zones.port, PUPILS, "SOA", "+tcp", key=GOOD), 20)
        for one in held:
            one.close()
    finally:
        zones.stop()


def test_named_checkzone_takes_the_text(zones, tmp_path):
    """What is printed is a zone file."""
    if not shutil.which("named-checkzone"):
        pytest.skip("bind9 is not installed")
    file = tmp_path / "zone.db"
    for zone in zones.server.archive.zones:
        file.write_text("\n".join(zones.text(zone)) + "\n")
        done = subprocess.run(
            ["named-checkzone", "-k", "ignore", f"{zone}.rpz.schoolgate", str(file)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


def test_a_message_is_read_with_care(zones):
    """TSIG records in the wrong place, cut off, or twice are FORMERR."""
    tsig = b"\5trust\0" + struct.pack("!HHIH", 250, 255, 0, 4) + b"\0\0\0\0"
    question = b"\6pupils\3rpz\12schoolgate\0\0\6\0\1"
    for count, extra in ((1, tsig), (2, tsig + tsig)):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(5)
            sock.connect(("127.0.0.1", zones.port))
            sock.send(struct.pack("!HHHHHH", 7, 0, 1, 0, 0, count) + question + extra)
            assert sock.recv(512)[3] & 15 == 1
