"""The pages of checks: who sees them, what they say of good and bad nights, and the files to take along."""

import csv
import io
from datetime import timedelta

import pytest
from live_portal import LivePortal
from school import MONDAY

from schoolgate_exceptions.probe_record import Finding, Group, Kind, ProbeRun, Result, outcome_of, pieces
from schoolgate_exceptions.roles import Role

BROKEN = Finding("nordvpn.com", Result.BROKEN, "blocked (vpn)", "=203.0.113.7")


def keep(live: LivePortal, number: int, *groups: Group, who: str = "timer") -> ProbeRun:
    """Keep a run of some minutes ago."""
    at = MONDAY - timedelta(minutes=60 - number)
    run = ProbeRun(f"{number:032x}", at, at + timedelta(seconds=9), who, "filter", "box", "0123", groups, outcome_of(groups))  # fmt: skip
    live.school.service.log.take(list(pieces(run)))
    live.school.service.log.flush()
    return run


GOOD = Group("pupils", Kind.OPEN, "dns", ("childline.org.uk", "www.nhs.uk"))
BAD = Group("pupils", Kind.CIRCUMVENTION, "proxy", ("quad9.net",), (BROKEN,))


@pytest.mark.parametrize("role", [Role.DSL, Role.HEAD, Role.GOVERNOR, Role.OFFICER, Role.TECHNICIAN])
def test_who_answers_for_the_filter_sees_its_checks(live: LivePortal, role: Role) -> None:
    """DSL, head, governors, officer and technician; never checked is said as loudly as a failure."""
    person = live.signed_in("one@school.example", role)
    assert "has not been checked yet" in person.get("/checks").text
    assert "/checks" in person.get("/more").text


@pytest.mark.parametrize("role", [Role.TEACHER, Role.DPO])
def test_nobody_else_does(live: LivePortal, role: Role) -> None:
    """Neither page nor file."""
    run = keep(live, 1, GOOD)
    person = live.signed_in("one@school.example", role)
    for path in ("/checks", "/checks/export", f"/checks/{run.id}", f"/checks/{run.id}/export"):
        assert person.get(path).status_code == 403


def test_a_bad_night_is_named_and_a_good_one_ends_it(live: LivePortal) -> None:
    """The newest run decides what the page says first; the one before stays in the history."""
    governor = live.signed_in("governor@school.example", Role.GOVERNOR)
    bad = keep(live, 1, GOOD, BAD)
    assert "Not as promised: 1" in governor.get("/checks").text
    shown = governor.get(f"/checks/{bad.id}").text
    assert "nordvpn.com" in shown
    assert "blocked (vpn)" in shown
    keep(live, 2, GOOD)
    text = governor.get("/checks").text
    assert "All that was tried was as promised" in text
    assert f"/checks/{bad.id}" in text
    assert text.count("cannot be reached from here") >= 2  # staff and guests never were
    assert governor.get("/checks/" + "f" * 32).status_code == 404


def test_what_could_not_be_tried_never_counts_as_passed(live: LivePortal) -> None:
    """A run that reached nothing is no green note on its page."""
    away = Group(
        "pupils", Kind.CANARY, "dns", (), (Finding("everything", Result.UNREACHED, "", "no address"),)
    )
    run = keep(live, 1, away)
    text = live.signed_in("head@school.example", Role.HEAD).get(f"/checks/{run.id}").text
    assert "no proof of anything" in text
    assert "All that was tried was as promised" not in text


def test_the_history_is_taken_along(live: LivePortal) -> None:
    """CSV for tables and JSON for programs, of all runs and of one; no cell can be taken for a formula."""
    run = keep(live, 1, GOOD, BAD, who="=cmd()")
    person = live.signed_in("officer@school.example", Role.OFFICER)
    page = person.get("/checks/export?format=csv")
    assert page.headers["content-disposition"] == 'attachment; filename="checks.csv"'
    sums = list(csv.DictReader(io.StringIO(page.text)))
    assert [(row["kind"], row["kept"], row["broken"], row["not_as_promised"]) for row in sums] == [
        ("open", "2", "0", ""), ("circumvention", "1", "1", "nordvpn.com"),
    ]  # fmt: skip
    one = list(csv.DictReader(io.StringIO(person.get(f"/checks/{run.id}/export").text)))
    assert [(row["what"], row["result"]) for row in one] == [
        ("childline.org.uk", "kept"), ("www.nhs.uk", "kept"), ("quad9.net", "kept"), ("nordvpn.com", "broken"),
    ]  # fmt: skip
    assert {row["who"] for row in one} == {"'=cmd()"}
    assert one[-1]["seen"] == "'=203.0.113.7"
    assert [row["action"] for row in one] == ["none needed", "none needed", "none needed", ""]
    assert {row["device_type"] for row in [*sums, *one]} == {"filter, by an address of the network"}
    (read,) = person.get("/checks/export?format=json").json()
    assert (read["id"], read["outcome"], read["reached"]) == (run.id, "failed", ["pupils"])
    assert person.get(f"/checks/{run.id}/export?format=json").json() == [read]


def test_an_old_check_is_said(live: LivePortal) -> None:
    """After two days without one, green is no comfort."""
    keep(live, 1, GOOD)
    live.school.clock.forward(days=3)
    assert "more than two days ago" in live.signed_in("head@school.example", Role.HEAD).get("/checks").text
