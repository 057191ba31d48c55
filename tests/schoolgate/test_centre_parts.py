"""What a centre signs and cuts, what a box takes and keeps, without any network."""

import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from policies import policy_of

from schoolgate.box.home import read_code, write_code
from schoolgate.box.spool import Spool
from schoolgate.centre.cut import cut
from schoolgate.centre.manifest import Entry, Held, Manifest, Refused, accept, content_of, sign
from schoolgate.events.wire import decode
from schoolgate_policy.event import Sighting

KEY = Ed25519PrivateKey.generate()
FILES = (Entry("policy", "", "ab" * 32, 10), Entry("policy", "lists/games.txt", "cd" * 32, 5))
NOW = 1_800_000_000
BODY = """\
rules:
  - {block: [facebook], reason: No}
exceptions:
  - id: REQ-2026-0001
    allow: [facebook.com/one]
    for: [staff]      # of another school
    from: 2026-11-20
    until: 2026-12-01
    reason: One
    approved_by: headteacher

  - id: REQ-2026-0002
    allow: [facebook.com/two]
    for: [room-5]
    from: 2026-11-20
    until: 2026-12-01
    reason: Two
    approved_by: headteacher
  - {id: REQ-2026-0003, allow: [facebook.com], from: 2026-11-20, until: 2026-12-01, reason: All, approved_by: head}
limits: {longest_exception: 90 days}
"""


def signed(version=3, box=7, at=NOW, files=FILES, key=KEY):
    data = Manifest(box, version, at, files).to_bytes()
    return data, sign(key, data)


def take(data, signature, held=None, now=NOW, box=7):
    return accept(KEY.public_key(), data, signature, box, held or Held(), now)


def test_what_the_centre_signed_is_taken():
    """A manifest for this box, of now, that is newer than or the same as what is held."""
    assert take(*signed()).version == 3
    assert take(*signed(), held=Held(3, NOW - 5, content_of(FILES))).files == FILES


@given(st.data())
def test_one_changed_octet_is_refused(data):
    """Whatever octet of manifest or signature is changed, nothing is taken."""
    manifest, signature = signed()
    both = bytearray(manifest + signature)
    place = data.draw(st.integers(0, len(both) - 1))
    both[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Refused):
        take(bytes(both[: len(manifest)]), bytes(both[len(manifest) :]))


@pytest.mark.parametrize(
    ("made", "held", "says"),
    [
        (signed(key=Ed25519PrivateKey.generate()), None, "not signed by the centre"),
        (signed(box=8), None, "signed for box 8"),
        (signed(at=NOW - 601), None, "played again"),
        (signed(at=NOW + 601), None, "played again"),
        (signed(version=2), Held(3, NOW - 60, "x"), "older than version 3"),
        (signed(at=NOW - 30), Held(3, NOW - 10, content_of(FILES)), "older than"),
        (signed(), Held(3, NOW - 60, "x"), "was another one before"),
        (signed(files=(Entry("policy", "../evil", "ab" * 32, 1),)), None, "outside its folders"),
        (signed(files=(Entry("state", "/etc/passwd", "ab" * 32, 1),)), None, "outside its folders"),
        (signed(files=(Entry("state", "", "ab" * 32, 1),)), None, "outside its folders"),
    ],
)
def test_rollback_and_replay_are_refused(made, held, says):
    """Another key, another box, long ago, an older version, the same version with other words, a path that leads out."""
    with pytest.raises(Refused, match=says):
        take(*made, held=held)


@pytest.mark.parametrize(
    ("networks", "kept"),
    [
        (["staff"], ["REQ-2026-0001", "REQ-2026-0003"]),
        (["pupils"], ["REQ-2026-0003", "REQ-2026-0002"]),
        (["guests"], ["REQ-2026-0003"]),
        (["staff", "pupils"], ["REQ-2026-0001", "REQ-2026-0002", "REQ-2026-0003"]),
    ],
)
def test_a_box_gets_its_own_exceptions(networks, kept):
    """Exceptions of other schools' networks and devices are cut out; every other line stays where it was."""
    policy = policy_of(BODY)
    head = policy_of.__defaults__[0]
    text = cut(head + BODY, policy, networks)
    again = policy_of(text[len(head) :])
    assert sorted(one.id for one in again.exceptions) == sorted(kept)
    whole = (head + BODY).splitlines()
    assert len(text.splitlines()) == len(whole)
    assert all(new in {"", old} for new, old in zip(text.splitlines(), whole, strict=True))
    assert {one.source for one in again.exceptions} <= {one.source for one in policy.exceptions}


def test_nothing_left_is_no_empty_key():
    """Where every exception is another school's, the key goes too."""
    body = BODY.replace(
        "  - {id: REQ-2026-0003, allow: [facebook.com], from: 2026-11-20, until: 2026-12-01, reason: All, approved_by: head}\n",
        "",
    )
    head = policy_of.__defaults__[0]
    text = cut(head + body, policy_of(body), ["guests"])
    assert not policy_of(text[len(head) :]).exceptions


def test_a_code_says_where_and_whom():
    """What `box code` prints is read back; anything else is refused in one line."""
    public = KEY.public_key().public_bytes_raw().hex()
    centre, code = read_code(write_code("https://10.1.0.5:8443", "ab" * 32, public, "once"))
    assert (centre.url, centre.fingerprint, code) == ("https://10.1.0.5:8443", "ab" * 32, "once")
    for text in ("", "x", write_code("u", "f", "zz", "c"), write_code("u", "f", public, "c")[:-8]):
        with pytest.raises(ValueError, match="no code of"):
            read_code(text)


def sighting(number: int) -> Sighting:
    return Sighting(time.time(), "dns", "pupils", "10.20.0.5", f"host-{number}.example", "doh")


def test_events_wait_on_disk_in_their_order(tmp_path: Path):
    """What was written is there after a restart, under sequences that only go up, until the centre has it."""
    spool = Spool(tmp_path, 1 << 20)
    for number in range(3):
        spool.take([sighting(number)])
        assert spool.flush() == 1
    first = spool.next(1 << 20)
    spool.written(first[0][0])
    spool.close()
    spool = Spool(tmp_path, 1 << 20)
    assert spool.next(1 << 20) == first[1:]
    assert spool.next(1) == first[1:2]
    spool.take([sighting(9)])
    spool.flush()
    last = spool.next(1 << 20)[-1]
    assert last[0] > first[-1][0]
    assert decode(last[1].encode())[0].host == "host-9.example"
    spool.close()
    assert (tmp_path / "box" / "spool.db").stat().st_mode & 0o077 == 0


def test_a_spool_made_anew_is_ahead_of_a_lost_one(tmp_path: Path):
    """The centre never takes new events for ones it has, also when the spool of a box was lost."""
    old = Spool(tmp_path / "a", 1 << 20)
    old.take([sighting(1)])
    old.flush()
    before = old.next(1)[0][0]
    old.close()
    time.sleep(0.05)
    new = Spool(tmp_path / "b", 1 << 20)
    new.take([sighting(1)])
    new.flush()
    assert new.next(1)[0][0] > before
    new.close()


def test_a_full_spool_lets_the_oldest_go(tmp_path: Path):
    """It stays within its bounds, counts what it let go, and keeps the newest."""
    lost = []
    spool = Spool(tmp_path, 20_000, lost.append)
    for number in range(300):
        spool.take([sighting(number)])
        spool.flush()
    rows = spool.next(1 << 20)
    assert sum(len(text) for _, text in rows) <= 20_000
    assert "host-299" in rows[-1][1]
    assert sum(lost) == 300 - spool.waiting()
    spool.close()
