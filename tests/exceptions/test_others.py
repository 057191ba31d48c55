"""Lesson windows, registers, sanctions, states, the policy page, the overview, the clock's jobs, the tables."""

import json
from dataclasses import replace
from datetime import date, timedelta

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from policies import CATALOGUE, local
from school import PUPIL, STAFF, School

from schoolgate_exceptions.errors import InvalidInput, NotAllowed, NotFound, NotGranted, WorkflowError
from schoolgate_exceptions.kinds import Kind, Purpose
from schoolgate_exceptions.lessons import Caps
from schoolgate_exceptions.model import Ask
from schoolgate_exceptions.roles import SYSTEM, Role
from schoolgate_exceptions.tables import metadata
from schoolgate_exceptions.workflow import State
from schoolgate_policy.engine import Engine
from schoolgate_policy.errors import PolicyConflict, PolicyError
from schoolgate_policy.sanctions import parse_sanctions
from schoolgate_policy.switch import parse_state

ROOM = "10.20.5.7"


@pytest.fixture
def teacher(school, officer):
    """A teacher who may open YouTube for room 5."""
    school.service.lessons.set_caps(officer, Caps(("youtube",), ("room-5",), (), timedelta(minutes=60), 2))
    return school.person("teacher@school.example", Role.TEACHER)


def test_a_lesson_window_ends_at_the_bell(school, teacher):
    """Opened at 10:15 for a room: open there only, and shut at 10:30 to the second."""
    assert school.service.lessons.offer(teacher).bell == local("2026-11-23T10:30")
    window = school.service.lessons.open(teacher, "youtube", ("room-5",), "Volcano film")
    assert window.state is State.APPLIED
    assert '    until: "2026-11-23 10:30"' in school.added()
    assert "    approved_by: teacher" in school.added()
    assert "Teacher" not in school.policy.read_text()
    assert school.is_open("www.youtube.com", ROOM)
    assert not school.is_open("www.youtube.com", PUPIL)
    school.clock.at = local("2026-11-23T10:30") - timedelta(seconds=1)
    assert school.is_open("www.youtube.com", ROOM)
    school.clock.forward(seconds=1)
    assert not school.is_open("www.youtube.com", ROOM)


def test_lesson_windows_stay_within_the_caps(school, teacher, officer):
    """Other services, other devices, too many a day, what the policy never opens: refused; closed early by its teacher."""
    lessons = school.service.lessons
    for target, devices, words in (
        ("instagram", ("room-5",), "not among"), ("youtube", ("office-pc",), "not for office-pc"),
        ("youtube", ("pupils",), "not for pupils"), ("youtube", (), "which devices"), ("everything", ("room-5",), "not among"),
        ("category:video", ("room-5",), None), ("no such", ("room-5",), "no service"),
    ):  # fmt: skip
        if words is None:
            continue
        with pytest.raises(NotAllowed, match=words):
            lessons.open(teacher, target, devices, "Film")
    window = lessons.open(teacher, "www.youtube.com", ("room-5",), "Film", local("2026-11-23T10:20"))
    assert window.grant.until == local("2026-11-23T10:20")
    other = school.person("other@school.example", Role.TEACHER)
    with pytest.raises(NotAllowed, match="somebody else"):
        school.service.ending.revoke(other, window.id, "mine")
    assert school.service.ending.revoke(teacher, window.id, "done").state is State.REVOKED
    assert school.policy.read_bytes() == school.original
    lessons.open(teacher, "youtube", ("room-5",), "Film")
    with pytest.raises(NotAllowed, match="2 windows a day"):
        lessons.open(teacher, "youtube", ("room-5",), "Film")
    with pytest.raises(NotGranted):
        lessons.set_caps(officer, Caps(("dns.google",), ("room-5",)))
    with pytest.raises(NotAllowed):
        lessons.set_caps(teacher, Caps())


def test_official_accounts(school, officer, head):
    """An account is entered, changed and closed; closing it ends the exception its request opened."""
    request = school.recommended(officer, "facebook.com")
    school.service.approving.approve(head, request.id)
    entry = school.service.register.add(
        officer,
        "Facebook",
        "facebook.com/ourschool",
        "Office",
        ["Anna", " ", "Ben"],
        date(2026, 11, 23),
        request.id,
    )
    assert entry.posters == ("Anna", "Ben")
    assert school.service.register.change(officer, entry.number, "Head", ["Anna"]).posters == ("Anna",)
    closed = school.service.register.close(officer, entry.number, date(2026, 11, 24))
    assert school.service.register.accounts(officer) == [closed]
    assert school.policy.read_bytes() == school.original
    with pytest.raises(NotFound):
        school.service.register.close(officer, 99, date(2026, 11, 24))
    with pytest.raises(InvalidInput):
        school.service.register.add(officer, "X", "y", "z", [], date(2026, 11, 24))


def test_sanctions_are_written_for_the_filters(school, officer):
    """Imposed, in the file that dns and proxy read; lifted or over, out of it; each look is in the audit."""
    until = school.clock.at + timedelta(days=7)
    file = school.folder / "state" / "sanctions.json"
    one = school.service.sanctioning.impose(
        officer, "10.20.0.5", until, "Got round the filter", ("barclays.co.uk",)
    )
    read = parse_sanctions(file.read_bytes(), "sanctions.json", CATALOGUE)
    assert [(entry.address, entry.ends) for entry in read] == [("10.20.0.5", until)]
    engine = Engine(school.source.engine.policy, read)
    assert engine.identify("10.20.0.5").network == "pupils"
    for address, ends, allow in (
        ("x", until, ()),
        ("10.20.0.5", school.clock.at, ()),
        ("10.20.0.5", until, ("no-such",)),
    ):
        with pytest.raises(InvalidInput):
            school.service.sanctioning.impose(officer, address, ends, "why", allow)
    school.service.sanctioning.impose(officer, "10.20.0.6", until - timedelta(days=1), "Again")
    file.write_text("{}")  # somebody damaged it: the next round mends it
    assert school.service.sanctioning.write_file()
    school.service.sanctioning.lift(officer, one.number, "served")
    school.clock.at = until - timedelta(days=1)
    assert school.service.sanctioning.write_file()
    assert json.loads(file.read_text()) == {"sanctions": []}
    assert school.service.sanctioning.listed(officer) == []
    assert len(school.service.sanctioning.listed(officer, past=True)) == 2
    assert [row.action for row in school.service.audit.newest(officer, 2)] == ["sanctions.seen"] * 2
    with pytest.raises(NotFound):
        school.service.sanctioning.lift(officer, one.number, "twice")


def test_states_are_switched(school, head, officer):
    """The state that is switched on is written for the filters, with the role that did it."""
    text = (
        school.policy.read_text()
        + "states:\n  incident: {about: Only official channels, rules: [{block: everything, reason: Incident}]}\n"
    )
    school.policy.write_text(text)
    with pytest.raises(NotFound, match="available: incident"):
        school.service.switching.switch(head, "party")
    school.service.switching.switch(head, "incident")
    data = (school.folder / "state" / "state.json").read_bytes()
    assert parse_state(data, school.source.engine.policy) == "incident"
    assert json.loads(data)["by"] == "headteacher"
    school.service.switching.switch(head, None)
    data = (school.folder / "state" / "state.json").read_bytes()
    assert parse_state(data, school.source.engine.policy) is None
    with pytest.raises(NotAllowed):
        school.service.switching.switch(school.person("t@school.example", Role.TEACHER), "incident")


def test_the_policy_page(school, officer):
    """Read, check, save, look back, restore; a change by somebody else meanwhile is never overwritten."""
    editing = school.service.policy
    read = editing.read()
    assert editing.check(read.text) == []
    assert editing.check(read.text.replace("twitter", "twiter"))
    with pytest.raises(PolicyError):
        editing.save(officer, read.text.replace("twitter", "twiter"), read.version, "typo")
    changed = read.text.replace("Not in school", "Not at school")
    editing.save(officer, changed, read.version, "nicer\nwords")
    with pytest.raises(PolicyConflict):
        editing.save(officer, read.text, read.version, "old page")
    listed = editing.history()
    assert (listed[0].version.who, listed[0].version.why) == ("e-safety officer", "nicer words")
    editing.restore(officer, listed[1].version.short, editing.read().version)
    assert school.policy.read_bytes() == school.original
    assert editing.text_of(listed[0].version.short) == changed
    assert editing.last_change().why.startswith("back to version")
    with pytest.raises(NotAllowed):
        editing.save(school.person("h@school.example", Role.HEAD), changed, read.version, "x")
    assert editing.notice()
    assert not editing.notice()


def test_the_overview(school, officer, head):
    """What is open, what changes next, what waits."""
    request = school.recommended(officer)
    school.ask("other.example")
    school.service.approving.approve(head, request.id)
    seen = school.service.overviews.now()
    assert [one.id for one in seen.open_now] == [request.id]
    assert seen.schedules == ("lessons",)
    assert (seen.changes[0].what, seen.changes[0].name, seen.changes[0].begins) == (
        "schedule",
        "lessons",
        False,
    )
    assert seen.changes[0].at == local("2026-11-23T10:30")
    assert seen.waiting[State.SUBMITTED] == 1
    assert seen.oldest.host == "other.example"
    assert seen.last_change.who == "headteacher"
    assert seen.with_problems == ()


def test_jobs_at_any_time(school, officer, head):
    """Run twice, or late, the jobs do each thing once; one that fails keeps none of the others from running."""
    request = school.recommended(officer)
    school.service.approving.approve(head, request.id)
    assert not [one for one in school.service.jobs.run_due() if one.problem]
    school.clock.forward(days=30)
    ran = {one.job: one.count for one in school.service.jobs.run_due()}
    assert (ran["expire"], ran["tidy"]) == (1, 1)
    assert school.policy.read_bytes() == school.original
    assert {one.job: one.count for one in school.service.jobs.run_due()}["tidy"] == 0
    (school.folder / "state" / "sanctions.json").mkdir()
    broken = {one.job: one.problem for one in school.service.jobs.run_due()}
    assert isinstance(broken.pop("sanctions"), OSError)
    assert not any(broken.values())


def test_tables_and_migrations_agree(url):
    """The migrations make exactly the tables the code has, and take them away again."""
    from schoolgate_exceptions.database import Database

    database = Database(url)
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    database.migrate("base")
    with database.read() as connection:
        assert set(sa.inspect(connection).get_table_names()) <= {"alembic_version"}
    database.migrate()
    database.migrate()
    with database.read() as connection:
        assert set(metadata.tables) < set(sa.inspect(connection).get_table_names())
    database.close()


def test_a_migration_keeps_what_hangs_on_a_request(school):
    """Back to the tables of an earlier version and forth again: requests keep their steps, askers, links and letters."""
    officer, _ = school.person("o@school.example", Role.OFFICER), school.person("h@school.example", Role.HEAD)
    school.recommended(officer)
    names = ("requests", "steps", "askers", "outbox", "accounts")

    def counted() -> dict[str, int]:
        with school.service.office.read() as connection:
            return {
                name: connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar_one()
                for name in names
            }

    before = counted()
    assert all(before.values())
    config = Config()
    config.set_main_option("script_location", "schoolgate_exceptions:migrations")
    with school.service.office.write() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0004")
    assert counted() == before
    school.service.office.database.migrate()
    assert counted() == before


def test_who_may_look(school, officer):
    """A teacher, a governor and a stranger see no queue, no case, no sanctions, no register."""
    request = school.ask()
    teacher = school.person("teacher@school.example", Role.TEACHER)
    for look in (
        lambda: school.service.queue.groups(teacher),
        lambda: school.service.queue.case(teacher, request.id),
        lambda: school.service.sanctioning.listed(teacher),
        lambda: school.service.register.accounts(teacher),
        lambda: school.service.approving.waiting(officer),
        lambda: school.service.retention.purge(teacher),
        lambda: school.service.queue.hold(officer, request.id, "x"),
    ):
        with pytest.raises(NotAllowed):
            look()
    with pytest.raises(WorkflowError):
        school.service.reviewing.take(school.person("head@school.example", Role.HEAD), request.id)


def test_a_look_at_a_persons_request_is_noted(school, officer):
    """Who looks at a named person's request stands in the audit, once an hour."""
    teacher = school.person("anna@school.example", Role.TEACHER)
    ask = Ask(Kind.UNBLOCK, Purpose.WORK, "Forum", None, "blocked.example")
    named = school.service.asking.submit(ask, teacher, STAFF).request
    for _ in range(3):
        school.service.queue.case(officer, named.id)
    rows = [row for row in school.service.audit.newest(officer, 50) if row.action == "request.seen"]
    assert [(row.who, row.subject) for row in rows] == [("officer@school.example", named.id)]
    grant = replace(school.service.queue.case(officer, named.id).grant, reason="Forum for Anna")
    with pytest.raises(NotGranted, match="name a person"):
        school.service.reviewing.recommend(officer, named.id, grant, "x")
    assert school.service.asking.mine(teacher)[0].id == named.id
    assert school.service.asking.mine(SYSTEM) == []
    assert isinstance(school, School)
