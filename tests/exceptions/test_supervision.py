"""Devices under supervision: one sanction each, a pause that ends by itself, and no way out by another address."""

import json
from datetime import timedelta

import pytest
from school import PUPIL, School

from schoolgate_exceptions.errors import InvalidInput, NotAllowed, NotFound
from schoolgate_exceptions.roles import SYSTEM, Actor, Role

MAC, OTHER_MAC = "02:00:00:00:00:07", "02:00:00:00:00:08"


def written(school: School) -> list[dict]:
    return json.loads((school.folder / "state" / "sanctions.json").read_text())["sanctions"]


def impose(school: School, actor: Actor, address: str = PUPIL):
    return school.service.sanctioning.impose(
        actor, address, school.clock.at + timedelta(days=7), "Went round the filter"
    )


def test_a_teacher_lets_a_device_go_until_the_bell(school: School, officer: Actor) -> None:
    """The file says from when the sanction is in force again, so it comes back also where nobody is there."""
    impose(school, officer)
    teacher = school.person("teacher@school.example", Role.TEACHER)
    paused = school.service.sanctioning.pause(teacher, PUPIL, "Spelling test")
    (entry,) = written(school)
    assert paused.paused_until == school.clock.at + timedelta(minutes=15)  # the lesson ends at 10:30
    assert entry["from"] == paused.paused_until.isoformat()
    school.clock.forward(minutes=16)
    school.service.sanctioning.write_file()
    assert "from" not in written(school)[0]
    with school.service.office.read() as connection:
        actions = [
            (one.action, one.role) for one in school.service.office.audit.entries(connection, subject=PUPIL)
        ]
    assert actions == [("sanction.imposed", "e-safety officer"), ("sanction.paused", "teacher")]


def test_a_pause_is_ended_early_and_is_never_long(school: School, officer: Actor) -> None:
    """Without a bell it lasts 90 minutes; it can be ended before; a pupil's request cannot do it."""
    impose(school, officer)
    school.clock.forward(hours=8)
    paused = school.service.sanctioning.pause(officer, PUPIL, "Homework club")
    assert paused.paused_until == school.clock.at + timedelta(minutes=90)
    school.service.sanctioning.resume(officer, PUPIL)
    assert "from" not in written(school)[0]
    with pytest.raises(NotAllowed):
        school.service.sanctioning.pause(school.person("g@school.example", Role.GOVERNOR), PUPIL, "x")
    with pytest.raises(NotFound):
        school.service.sanctioning.pause(officer, "10.20.0.99", "x")
    with pytest.raises(InvalidInput):
        school.service.sanctioning.pause(officer, PUPIL, "")


def test_a_device_has_one_sanction(school: School, officer: Actor) -> None:
    """A second one would hide the first from the engine, so it is refused; after a lift it is taken."""
    first = impose(school, officer)
    with pytest.raises(InvalidInput, match="under a sanction already"):
        impose(school, SYSTEM)
    school.service.sanctioning.lift(officer, first.number, "served")
    assert impose(school, SYSTEM).by_score


def test_a_sanction_follows_the_device(school: School, officer: Actor) -> None:
    """With its hardware address known it holds wherever the device turns up, and not for who has its old address."""
    seen = {PUPIL: MAC}
    school.service.sanctioning.neighbours = lambda: seen
    assert impose(school, officer).mac == MAC
    seen = {"10.20.0.50": MAC, "fd00:20::50": MAC, PUPIL: OTHER_MAC}
    school.service.sanctioning.write_file()
    assert [one["address"] for one in written(school)] == ["10.20.0.50", "fd00:20::50"]
    with pytest.raises(InvalidInput):
        impose(school, officer, "10.20.0.50")
    seen = {}
    school.service.sanctioning.write_file()
    assert [one["address"] for one in written(school)] == [PUPIL]
    seen = {PUPIL: OTHER_MAC}
    school.service.sanctioning.write_file()
    assert written(school) == []


def test_who_may_pause_sees_no_reasons(school: School, officer: Actor) -> None:
    """A teacher sees which devices are under supervision, and not why."""
    impose(school, officer)
    teacher = school.person("teacher@school.example", Role.TEACHER)
    (one,) = school.service.sanctioning.supervised(teacher)
    assert (one.address, one.reason) == (PUPIL, "")
