"""Home and the front page say that the filter works only where its parts have just said so."""

import threading
import time
from datetime import timedelta

import pytest
from boxes import ToldBox
from live_portal import LivePortal
from policies import HEAD
from school import RULES, School

from schoolgate_exceptions import probe_record as record
from schoolgate_exceptions.jobs import Ran
from schoolgate_exceptions.mails import Letter
from schoolgate_exceptions.outbox import Recipient
from schoolgate_exceptions.papers.box import FirewallState
from schoolgate_exceptions.roles import Role
from schoolgate_exceptions.tables import outbox
from schoolgate_policy.errors import SchoolgateError

WORKS = "The filter is working."


@pytest.fixture
def officer(live):
    """The e-safety officer, signed in, of a portal whose box is well and whose last check was fine."""
    live.school.service.papers.box = ToldBox()
    _check(live.school)
    return live.signed_in("officer@school.example", Role.OFFICER)


def _check(school: School, *broken: record.Finding, days: int = 0) -> None:
    at = school.clock.at - timedelta(days=days)
    groups = (record.Group("pupils", record.Kind.CANARY, "dns", ("one.example",), broken),)
    run = record.ProbeRun(
        f"{days:032x}", at, at, "timer", "filter", "box", "0123", groups, record.outcome_of(groups)
    )
    school.service.log.take(list(record.pieces(run)))
    school.service.log.flush()


def test_all_is_well(live, officer):
    """Where every part answers and nothing needs anybody, both pages say so, and which parts were asked."""
    page = officer.get("/home").text
    assert "The filter is working</h1>" in page
    assert "Every part was asked just now" in page
    assert page.count('class="tag good">answers') == 4  # three parts and the database
    assert WORKS in live.browser().get("/").text


@pytest.mark.parametrize(
    ("part", "means"),
    [
        ("proxy", "most pages do not load"),
        ("dns", "no page loads"),
        ("rpz", "systemctl status schoolgate-rpz"),
    ],
)
def test_a_part_that_does_not_answer(live, officer, part, means):
    """A dead part is named in red with what it means and what to do, and nobody is told that the filter works."""
    live.school.service.papers.box = ToldBox(
        {part: "nothing answers at 127.0.0.1:1"}, ("dns", "proxy", "rpz")
    )
    page = officer.get("/home").text
    assert "Part of the filter needs help now</h1>" in page
    assert '<div class="note bad">' in page
    assert "nothing answers at 127.0.0.1:1" in page
    assert means in page
    assert f"systemctl status schoolgate-{part}" in page
    assert 'class="tag bad">does not work' in page
    assert "filter is working" not in page + live.browser().get("/").text


def test_a_part_that_never_answers(live, officer):
    """A part that keeps the asker waiting costs some seconds, whoever asks meanwhile, and is told as silence."""
    hangs = threading.Event()
    live.school.service.papers.box = ToldBox(hangs=hangs)
    began = time.monotonic()
    page = officer.get("/home").text
    took = time.monotonic() - began
    hangs.set()
    assert took < 15
    assert "did not answer in time" in page
    assert "filter is working" not in page
    assert WORKS not in live.browser().get("/").text


def test_asked_once_in_a_while(live, officer):
    """Many who open the front page within seconds cause one look."""
    asked = []

    class Counted(ToldBox):
        def parts(self):
            asked.append(1)
            return super().parts()

    live.school.service.papers.box = Counted()
    for _ in range(20):
        assert WORKS in officer.get("/").text
    assert len(asked) < 5


def test_a_box_that_cannot_be_asked(live):
    """Where nothing is known of the parts nothing is claimed, on neither page."""
    officer = live.signed_in("officer@school.example", Role.OFFICER)
    page = officer.get("/home").text
    assert "Nobody can say whether the filter works" in page
    assert "filter is working" not in page + officer.get("/").text


def test_a_firewall_that_is_not_loaded(live, officer):
    """A firewall of this box that is not in force is red; one that is, is told."""
    box = ToldBox(wall=FirewallState(loaded=False, problem="its reader finds no ruleset"))
    live.school.service.papers.box = box
    page = officer.get("/home").text
    assert "Devices may get round the filter" in page
    assert "filter is working" not in page
    box.wall = FirewallState(loaded=True)
    live.school.service.conditions.forget()
    assert "The filter is working</h1>" in officer.get("/home").text


def test_letters(live, officer):
    """Letters that wait without a host, that the host refuses, or that were given up are told."""
    service = live.school.service

    def post(**values):
        with service.office.write() as connection:
            service.outbox.post(connection, Letter.WAITING, Recipient("a@b.example"))
            if values:
                connection.execute(outbox.update().values(**values))

    post()
    page = officer.get("/home").text
    assert "No mail host is set" in page
    assert "The filter is working, but look at this" in page
    service.outbox._host = object()
    post(tries=3, problem="Connection refused")
    assert "did not take: 2 (Connection refused)" in officer.get("/home").text
    post(given_up_at=live.school.clock.at)
    assert "could not be sent for a month: 3" in officer.get("/home").text


def test_jobs(live, officer, monkeypatch):
    """A job that fails is told with its reason, and that none has run for long; neither stays once it is well."""
    jobs = live.school.service.jobs
    monkeypatch.setattr(
        jobs, "_run", lambda name, _: Ran(name, 0, SchoolgateError("no room") if name == "tidy" else None)
    )
    jobs.run_due()
    assert "Tidying policy.yaml does not work: no room" in officer.get("/home").text
    monkeypatch.undo()
    jobs.run_due()
    assert "no room" not in officer.get("/home").text
    live.school.clock.forward(minutes=6)
    assert "systemctl restart schoolgate-portal" in officer.get("/home").text


def test_checks(live, officer):
    """A check with a broken promise, one too long ago, and none at all are told."""
    live.school.clock.forward(minutes=1)
    broken = record.Finding("nordvpn.com", record.Result.BROKEN, "blocked", "open")
    at = live.school.clock.at
    groups = (record.Group("pupils", record.Kind.CANARY, "dns", (), (broken,)),)
    run = record.ProbeRun(
        "f" * 32, at, at, "timer", "filter", "box", "0123", groups, record.outcome_of(groups)
    )
    live.school.service.log.take(list(record.pieces(run)))
    live.school.service.log.flush()
    page = officer.get("/home").text
    assert "Not as promised: 1" in page
    assert f'href="/checks/{run.id}"' in page


def test_never_checked_and_overdue(tmp_path, sqlite_only):
    """A filter that was never checked, and a policy whose review is overdue, are told."""
    head = HEAD.replace(
        "networks:",
        "review: {approved_by: Governors, approved_on: 2025-09-01, due: 2026-09-01}\nnetworks:",
        1,
    )
    (tmp_path / "policy.yaml").write_text(head + RULES)
    (tmp_path / "locked.txt").write_text("locked.example\n")
    (tmp_path / "state").mkdir()
    school = School(tmp_path, sqlite_only)
    portal = LivePortal(school)
    try:
        school.service.papers.box = ToldBox()
        page = portal.signed_in("officer@school.example", Role.OFFICER).get("/home").text
        assert "due for review on 1 September 2026" in page
        assert "has not been checked yet" in page
    finally:
        portal.stop()
        school.service.close()
