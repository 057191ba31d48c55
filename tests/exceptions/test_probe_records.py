"""Records of probes: taken in pieces, written once whole, read back as they were, gone when their time is over."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from school import MONDAY, School

from schoolgate.events.wire import LONGEST, decode, encode
from schoolgate_exceptions.errors import NotFound
from schoolgate_exceptions.probe_record import (
    Finding,
    Group,
    Kind,
    Outcome,
    ProbeRun,
    Result,
    outcome_of,
    pieces,
)
from schoolgate_policy.event import Probed

BROKEN = Finding("doh.example", Result.BROKEN, "block (circumvention)", "open")
AWAY = Finding("QUIC", Result.UNREACHED, "refused", "this machine is not in the network")


def run(number: int = 1, at: datetime = MONDAY, *groups: Group) -> ProbeRun:
    """A run with some groups."""
    shown = groups or (
        Group("pupils", Kind.SERVICES, "dns", tuple(f"host{n}.example" for n in range(552))),
        Group("pupils", Kind.CIRCUMVENTION, "dns", ("use-application-dns.net",), (BROKEN,)),
        Group("guests", Kind.CIRCUMVENTION, "firewall", (), (AWAY,)),
    )
    return ProbeRun(
        f"{number:032x}", at, at + timedelta(seconds=20), "timer", "box", "box", "0123456789ab", shown, outcome_of(shown)
    )  # fmt: skip


def keep(school: School, *runs: ProbeRun) -> None:
    """Send runs as the probe does, through the wire form of events."""
    for one in runs:
        for datagram in encode(pieces(one)):
            school.service.log.take(decode(datagram))
    school.service.log.flush()


def test_a_run_is_read_back_as_it_was(school: School) -> None:
    """Who, when, where, what and the result survive the socket and the database; and it is in the audit."""
    sent = run()
    keep(school, sent)
    assert school.service.probes.runs(MONDAY, MONDAY + timedelta(hours=1)) == [sent]
    assert school.service.probes.get(sent.id) == sent == school.service.probes.latest()
    assert (sent.outcome, sent.networks, sent.reached) == (Outcome.FAILED, ("pupils", "guests"), ("pupils",))
    assert sent.broken == ((sent.groups[1], BROKEN),)
    with school.service.office.read() as connection:
        (row,) = school.service.office.audit.entries(connection, subject=sent.id)
    assert row.action == "probe.recorded"
    assert school.service.probes.runs(MONDAY - timedelta(days=1), MONDAY) == []
    with pytest.raises(NotFound):
        school.service.probes.get("f" * 32)


def test_a_run_is_kept_once(school: School) -> None:
    """A run that is sent again, or arrives after a restart of the portal, is not there twice."""
    keep(school, run())
    keep(school, replace(run(), groups=()))
    school.service.close()
    school.service = school.build()
    keep(school, run())
    assert school.service.probes.runs(MONDAY, MONDAY + timedelta(days=1)) == [run()]


def test_half_a_run_is_none(school: School) -> None:
    """A run of which a piece is lost is never written, and does not pile up."""
    log, book = school.service.log, school.service.probes
    for number in range(50):
        log.take(list(pieces(run(number)))[1:])
    log.flush()
    assert book.latest() is None
    assert len(book._arriving) <= 8
    keep(school, run(99))
    assert book.latest() == run(99)


@pytest.mark.parametrize(
    "body",
    [
        "", "[]", "7", "null", "{}", '{"number": 0}', '{"pieces": 1}',
        json.dumps({"number": 0, "network": "x", "kind": "unheard", "point": "dns", "kept": [], "others": []}),
        json.dumps({"number": 0, "network": "x", "kind": "open", "point": "dns", "kept": [], "others": [{}]}),
        json.dumps({"who": "x", "machine": "", "vantage": "", "policy": "", "started_at": 1e40, "ended_at": 1, "pieces": 0}),
    ],
)  # fmt: skip
def test_what_is_no_record_is_counted_and_left_out(sqlite_only: str, tmp_path, body: str) -> None:
    """Nonsense from whoever may write to the socket is lost, and stops nothing."""
    school = School(tmp_path, sqlite_only)
    try:
        lost: list[int] = []
        school.service.log.lost = lost.append
        school.service.log.take([Probed(MONDAY.timestamp(), "probe", "x", body)])
        keep(school, run())
        assert (lost, school.service.probes.latest()) == ([1], run())
    finally:
        school.service.close()


def test_each_network_has_its_newest_run(school: School) -> None:
    """A network that could not be reached last night has its record of the night before."""
    both = (
        Group("pupils", Kind.OPEN, "dns", ("a.example",)),
        Group("staff", Kind.OPEN, "dns", ("a.example",)),
    )
    gone = (both[0], Group("staff", Kind.OPEN, "dns", (), (AWAY,)))
    first, second = run(1, MONDAY, *both), run(2, MONDAY + timedelta(minutes=2), *gone)
    keep(school, first, second)
    assert school.service.probes.newest_of(("pupils", "staff", "guests")) == {
        "pupils": second,
        "staff": first,
    }


def test_pieces_are_small(tmp_path) -> None:
    """Also when everything is wrong and every text is long, no piece is cut off by the socket."""
    worst = tuple(Finding("h" * 250, Result.BROKEN, "e" * 200, "s" * 200) for _ in range(600))
    sent = list(encode(pieces(run(1, MONDAY, Group("n" * 64, Kind.SERVICES, "proxy", (), worst)))))
    assert max(map(len, sent)) <= LONGEST
    assert sum(len(decode(one)) for one in sent) == 13


def test_records_end(school: School) -> None:
    """They are kept as long as the counts, and no longer."""
    keep(school, run())
    school.clock.at = (
        MONDAY.astimezone(UTC) + school.service.office.policy.privacy.keep_counts + timedelta(days=1)
    )
    keep(school, run(2, school.clock.at))
    done = {one.what: one for one in school.service.retention.purge()}
    assert done["probes"].removed == 1
    assert done["probes"].is_proved
    assert [one.id for one in school.service.probes.runs(MONDAY, school.clock.at + timedelta(days=1))] == [
        f"{2:032x}"
    ]
