"""Asking for what somebody else has asked for: nothing that is said gets lost, and what worries comes through."""

import contextlib
from dataclasses import replace
from datetime import date

import pytest
from school import OTHER_PUPIL, PUPIL, STAFF, School

from schoolgate_exceptions.errors import TooMany, WorkflowError
from schoolgate_exceptions.kinds import Kind, Purpose
from schoolgate_exceptions.model import Ask, OfficialUse
from schoolgate_exceptions.office import Limits
from schoolgate_exceptions.queue import Filter
from schoolgate_exceptions.roles import Role
from schoolgate_exceptions.workflow import State

WORRYING = "a man there sends me nudes, I want to die"
REPORT = Ask(Kind.REPORT, Purpose.OTHER, "", None, "open.example")
OFFICIAL = OfficialUse("News for parents", "More come to events", "Comments are off", date(2026, 12, 18))


def _letters(school: School) -> list[str]:
    with school.service.office.read() as connection:
        return list(connection.exec_driver_sql("SELECT letter FROM outbox ORDER BY number").scalars())


def _actions(school: School, name: str) -> list[str]:
    with school.service.office.read() as connection:
        return [row.action for row in school.service.office.audit.entries(connection) if row.subject == name]


def test_a_second_report_is_a_case_of_its_own(school, officer):
    """A report on a site that somebody reported before is looked at for worrying words, and goes to the DSL."""
    dsl = school.person("dsl@school.example", Role.DSL)
    asking = school.service.asking
    first = asking.submit(REPORT, asking.asker(PUPIL), PUPIL)
    second = asking.submit(replace(REPORT, reason=WORRYING), asking.asker(OTHER_PUPIL), OTHER_PUPIL)
    assert second.fresh
    assert second.request.id != first.request.id
    assert second.request.safeguarding
    assert [one.id for one in school.service.queue.listed(dsl)] == [second.request.id]
    assert _letters(school) == ["safeguarding"]
    again = asking.submit(replace(REPORT, reason=WORRYING), asking.asker(OTHER_PUPIL), OTHER_PUPIL)
    assert not again.fresh  # the same button pressed twice
    assert again.request.id == second.request.id


def test_the_words_of_who_joins_are_kept(school, officer):
    """Each further asker's own words are a step of the case and an audit row; what worries tells the DSL."""
    dsl = school.person("dsl@school.example", Role.DSL)
    first = school.ask(reason="Volcanoes")
    seen = first.version
    joined = school.ask(address=OTHER_PUPIL, reason=WORRYING)
    school.ask(address="10.20.0.7", reason="Volcanoes")
    assert joined.id == first.id
    assert joined.safeguarding
    case = school.service.queue.case(dsl, first.id)
    assert [step.note for step in case.story if step.action == "ask as well"] == [WORRYING]
    assert case.request.askers == 3
    assert _actions(school, first.id)[:2] == ["request.submitted", "request.joined"]
    assert _letters(school) == ["safeguarding"]
    grant = school.service.queue.case(officer, first.id).grant
    school.service.reviewing.recommend(
        officer, first.id, grant, "fine", seen
    )  # who joins keeps nobody waiting
    assert school.service.queue.listed(officer, Filter(safeguarding=True))


def test_somebody_says_more_about_their_own_request(school, officer):
    """Other words of the same device are kept as well, up to a limit; the same words again are nothing new."""
    request = school.ask(reason="Volcanoes")
    for _ in range(3):
        school.ask(reason="Volcanoes")
    for number in range(Limits().device_words - 1):
        school.ask(reason=f"please {number}")
    with pytest.raises(TooMany):
        school.ask(reason="please please")
    assert school.ask(reason="Volcanoes").id == request.id
    assert len(school.service.queue.case(officer, request.id).story) == Limits().device_words


def test_pages_of_one_site_are_not_one_request(school, officer):
    """Two pages of one site are two requests; two wishes for official use never become one."""
    teacher = school.person("t@school.example", Role.TEACHER)
    other = school.person("u@school.example", Role.TEACHER)
    asking = school.service.asking

    def official(actor, page, **changes):
        given = replace(OFFICIAL, **changes)
        ask = Ask(Kind.OFFICIAL_USE, Purpose.OFFICIAL, "", None, page, "", given)
        return asking.submit(replace(ask, reason="School page"), actor, STAFF)

    one = official(teacher, "facebook.com/a")
    two = official(teacher, "facebook.com/b", objectives="Something else")
    three = official(other, "facebook.com/a", objectives="Ours")
    four = official(teacher, "facebook.com/a", objectives="Another aim")
    assert len({done.request.id for done in (one, two, three, four)}) == 4
    assert three.request.official.objectives == "Ours"
    assert official(teacher, "facebook.com/a").request.id == one.request.id
    plain = Ask(Kind.UNBLOCK, Purpose.WORK, "Forum", None, "blocked.example/one")
    first = asking.submit(plain, teacher, STAFF).request
    second = asking.submit(replace(plain, host="blocked.example/two"), other, STAFF).request
    assert (first.path, second.path) == ("/one", "/two")
    assert first.id != second.id


def test_who_asked_first_cannot_take_it_from_the_others(school):
    """A request that others wait for as well stays open, whoever made it; alone it can be taken back."""
    asking = school.service.asking
    request = school.ask("blocked.example")
    first = asking.asker(PUPIL)
    assert asking.standing(request.reference, first).mine
    assert not asking.standing(request.reference, first).shared
    school.ask("blocked.example", address=OTHER_PUPIL)
    assert asking.standing(request.reference, first).shared
    with pytest.raises(WorkflowError, match="others have asked for the same; it stays open for them"):
        asking.withdraw(request.reference, first)
    assert asking.standing(request.reference, first).state is State.SUBMITTED


def test_a_joiner_with_an_account_is_told(school, officer, head):
    """Who is signed in and asks for the same finds it among their requests, and gets the answer by letter."""
    one, two = (school.person(f"{name}@school.example", Role.TEACHER) for name in "ab")
    asking = school.service.asking
    ask = Ask(Kind.UNBLOCK, Purpose.WORK, "Forum", None, "blocked.example")
    request = asking.submit(ask, one, STAFF).request
    joined = asking.submit(replace(ask, reason="For my club"), two, STAFF)
    assert not joined.fresh
    assert [found.id for found in asking.mine(two)] == [request.id]
    assert not asking.standing(request.reference, two).mine  # withdrawing is for who asked first
    school.service.reviewing.ask_back(officer, request.id, "Which forum?")
    assert _letters(school) == ["asked_back"]
    school.service.reviewing.refuse(officer, request.id, "Use the library")
    assert _letters(school) == ["asked_back", "refused", "refused"]
    assert asking.mine(two)[0].state is State.REFUSED


def test_a_worried_child_is_never_too_many(school, officer):
    """Five wishes for pages that wait keep nobody from reporting, or from saying that something is wrong."""
    asking, actor = school.service.asking, school.service.asking.asker(PUPIL)
    for number in range(Limits().device_open):
        school.ask(f"h{number}.example")
    with pytest.raises(TooMany):
        school.ask("one-more.example")
    assert asking.submit(REPORT, actor, PUPIL).fresh
    assert school.ask("one-more.example", reason=WORRYING).safeguarding
    joined = school.ask("theirs.example", address=OTHER_PUPIL)
    assert school.ask("theirs.example", reason="somebody hurts me, I want to die").id == joined.id
    for number in range(Limits().device_urgent - 4):
        assert asking.submit(replace(REPORT, host=f"r{number}.example"), actor, PUPIL).fresh
    for number in range(50, 60):
        with contextlib.suppress(TooMany):
            asking.submit(replace(REPORT, host=f"r{number}.example"), actor, PUPIL)
    with pytest.raises(TooMany, match="grown-up"):
        asking.submit(replace(REPORT, host="last.example"), actor, PUPIL)


def test_a_full_queue_takes_reports(tmp_path, sqlite_only):
    """Where very many wishes wait, a report still comes through; a flood of reports ends too."""
    school = School(tmp_path, sqlite_only, limits=Limits(open_in_all=3))
    for number in range(3):
        school.ask(f"h{number}.example", address=f"10.20.0.{number}")
    with pytest.raises(TooMany):
        school.ask("more.example", address="10.20.1.1")
    asking = school.service.asking
    for number in range(3):
        address = f"10.20.1.{number}"
        assert asking.submit(REPORT, asking.asker(address), address).fresh
    with pytest.raises(TooMany, match="grown-up"):
        asking.submit(REPORT, asking.asker("10.20.1.9"), "10.20.1.9")
    school.service.close()
