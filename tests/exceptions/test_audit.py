"""The audit: whole, or the first row that is not; purged in time, and never more than that."""

import pytest
import sqlalchemy as sa
from school import School

from schoolgate_exceptions.errors import AuditBroken, NotAllowed
from schoolgate_exceptions.queue import Filter
from schoolgate_exceptions.roles import ANYBODY, SYSTEM, Actor, Role
from schoolgate_exceptions.workflow import State


@pytest.fixture
def busy(school: School) -> School:
    """A school with ten rows in its audit."""
    for number in range(10):
        school.ask(f"h{number}.example", address=f"10.20.1.{number}")
    assert school.service.audit.verify().rows == 10
    return school


def force(school: School, *statements: str) -> None:
    """Do what the guards of the table do not let anybody do, as somebody who owns the database could."""
    sqlite = school.service.office.database.is_sqlite
    with school.service.office.write() as connection:
        if sqlite:
            connection.execute(sa.text("DROP TRIGGER audit_kept"))
            connection.execute(sa.text("DROP TRIGGER audit_fixed"))
        else:
            connection.execute(sa.text("ALTER TABLE audit DISABLE TRIGGER ALL"))
        for statement in statements:
            connection.execute(sa.text(statement))


def test_a_row_names_the_role_that_counts(school: School) -> None:
    """Everybody may also ask for access: a row about an officer's act says officer, one about a pupil's says requester."""
    service = school.service
    officer = Actor(
        frozenset({Role.REQUESTER, Role.TEACHER, Role.OFFICER}), account=7, email="sam@school.example"
    )
    with service.office.write() as connection:
        for actor in (officer, ANYBODY, SYSTEM, Actor(frozenset())):
            service.office.audit.add(connection, service.office.now(), actor, "policy.read")
        rows = list(service.office.audit.entries(connection))
    assert [row.role for row in rows] == ["e-safety officer", "requester", "schoolgate", ""]
    assert set(Role) == {actor.foremost for actor in (Actor(frozenset({role})) for role in Role)}


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            "UPDATE audit SET body = replace(body, 'h3.example', 'h4.example') WHERE number = 4",
            "row 4 of the audit was changed",
        ),
        ("UPDATE audit SET at = '2026-11-23T10:15:00.000001Z' WHERE number = 4", "row 4"),
        ("UPDATE audit SET action = 'request.submitteb' WHERE number = 10", "row 10"),
        ("UPDATE audit SET subject = '' WHERE number = 1", "row 1"),
        ("UPDATE audit SET digest = 'x' WHERE number = 5", "row 5"),
        ("UPDATE audit SET chain = 'x' WHERE number = 10", "row 10"),
        ("UPDATE audit SET body = NULL WHERE number = 2", "row 2 of the audit was emptied"),
        ("DELETE FROM audit WHERE number = 4", "row 4 of the audit is missing"),
        ("DELETE FROM audit WHERE number = 1", "row 1 of the audit is missing"),
        ("DELETE FROM audit WHERE number = 10", "row 10 of the audit is missing"),
        ("DELETE FROM audit", "row 1 of the audit is missing"),
        ("DELETE FROM audit_head", "seal of the audit is missing"),
        ("UPDATE audit_head SET number = 9", "seal of the audit was changed"),
    ],
)
def test_every_change_is_found(busy, statement, message):
    """A changed byte, a missing row at any place, a cut end: named."""
    force(busy, statement)
    with pytest.raises(AuditBroken, match=message):
        busy.service.audit.verify()


def test_rows_swapped_and_a_chain_made_anew(busy):
    """Whoever rewrites rows and all chains after them still lacks the seal."""
    force(
        busy,
        "DELETE FROM audit WHERE number = 10",
        "UPDATE audit_head SET number = 9, chain = (SELECT chain FROM audit WHERE number = 9)",
    )
    with pytest.raises(AuditBroken, match="seal of the audit was changed"):
        busy.service.audit.verify()


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit WHERE number = 4",
        "UPDATE audit SET subject = 'x' WHERE number = 4",
        "UPDATE audit SET body = 'x'",
    ],
)
def test_the_table_itself_refuses_changes(busy, statement):
    """Without owning the database nobody changes or removes a row."""
    with (
        pytest.raises(sa.exc.DBAPIError, match="the audit only grows"),
        busy.service.office.write() as connection,
    ):
        connection.execute(sa.text(statement))
    assert busy.service.audit.verify().rows == 10


def test_export_and_who_may_read(busy, officer):
    """An export is every row, and a row itself; a teacher reads nothing of it."""
    rows = list(busy.service.audit.export(officer))
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))
    assert rows[-1].action == "audit.exported"
    assert rows[0].who.startswith("device ")
    assert "10.20" not in str(rows)
    teacher = busy.person("teacher@school.example", Role.TEACHER)
    for look in (busy.service.audit.newest, busy.service.audit.export):
        with pytest.raises(NotAllowed):
            list(look(teacher))


def test_purge_proves_itself(busy, officer, head):
    """What is too old goes: requests after a year, audit bodies after six; a hold keeps one case; the chain stays whole."""
    first, held, live = "REQ-2026-0001", "REQ-2026-0002", "REQ-2026-0003"
    for name in (first, held):
        busy.service.reviewing.refuse(officer, name, "no")
    busy.service.queue.hold(head, held, "a complaint is open")
    grant = busy.service.queue.case(officer, live).grant
    busy.service.reviewing.recommend(officer, live, grant, "x")
    busy.clock.forward(days=367)
    proof = {one.what: one for one in busy.service.retention.purge()}
    assert all(one.is_proved for one in proof.values())
    assert (proof["requests"].removed, proof["requests"].held) == (1, 1)
    left = [
        one.id
        for one in busy.service.queue.listed(
            officer,
            Filter(states=frozenset(State)),
        )
    ]
    assert first not in left
    assert {held, live} <= set(left)
    assert busy.service.audit.verify().purged == 0
    busy.clock.forward(days=6 * 366)
    proof = {one.what: one for one in busy.service.retention.purge()}
    assert all(one.is_proved for one in proof.values())
    assert proof["audit"].removed > 5
    assert busy.service.audit.verify().purged == proof["audit"].removed
    kept = busy.service.audit.of(officer, held)
    assert kept
    assert not any(row.purged for row in kept)
    again = {one.what: one for one in busy.service.retention.purge()}
    assert not any(one.removed for one in again.values())
