"""Several at once, and a world that does not play along: one outcome, an audit row, no request lost."""

import multiprocessing
import os
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from school import PUPIL, School

from schoolgate_exceptions import publisher as publisher_module
from schoolgate_exceptions.database import Database
from schoolgate_exceptions.errors import InvalidToken, NotGranted, Unavailable, WorkflowError
from schoolgate_exceptions.kinds import Kind, Purpose
from schoolgate_exceptions.model import Ask
from schoolgate_exceptions.roles import Actor, Role
from schoolgate_exceptions.workflow import Action, State


def state_of(school: School, officer: Actor, name: str) -> State:
    """Return where a request stands."""
    return school.service.queue.case(officer, name).request.state


def actions_of(school: School, officer: Actor, name: str) -> list[Action]:
    """Return what was done with a request."""
    return [step.action for step in school.service.queue.case(officer, name).story if step.action]


def test_two_heads_at_once(school, officer, head):
    """One approves and one refuses in the same instant: one of them wins, the other hears what it is now."""
    deputy = school.person("deputy@school.example", Role.DEPUTY)
    for number in range(5):
        request = school.recommended(officer, f"race{number}.example")
        start = threading.Barrier(2)

        def approve(name=request.id, start=start):
            start.wait()
            return school.service.approving.approve(head, name).state

        def refuse(name=request.id, start=start):
            start.wait()
            return school.service.approving.refuse(deputy, name, "no").state

        with ThreadPoolExecutor(2) as pool:
            results = [pool.submit(approve), pool.submit(refuse)]
        won = [one.result() for one in results if one.exception() is None]
        lost = [one.exception() for one in results if one.exception() is not None]
        assert len(won) == len(lost) == 1
        assert isinstance(lost[0], WorkflowError)
        assert state_of(school, officer, request.id) is won[0]
        assert school.is_open(f"race{number}.example") is True  # no rule is about it
        assert (request.id in school.policy.read_text()) is (won[0] is State.APPLIED)
    school.service.audit.verify()


def test_two_approvals_at_once_write_one_exception(school, officer, head):
    """Pressed twice, by two: the file has the exception once."""
    deputy = school.person("deputy@school.example", Role.DEPUTY)
    request = school.recommended(officer)
    with ThreadPoolExecutor(4) as pool:
        results = [
            pool.submit(school.service.approving.approve, who, request.id) for who in (head, deputy) * 2
        ]
    assert sorted(one.exception() is None for one in results) == [False, False, False, True]
    assert school.policy.read_text().count(request.id) == 1
    assert actions_of(school, officer, request.id).count(Action.APPROVE) == 1


def test_an_approval_races_an_expiry(school, officer, head):
    """At the very end either the approval or the expiry wins; nothing is open afterwards, and nothing is lost."""
    for number in range(5):
        until = school.clock.at + timedelta(hours=1)
        request = school.ask(f"race{number}.example", wanted_until=until, address=f"10.20.1.{number}")
        grant = replace(school.service.queue.case(officer, request.id).grant, until=until)
        school.service.reviewing.recommend(officer, request.id, grant, "x")
        school.clock.at = until
        start = threading.Barrier(2)

        def approve(name=request.id, start=start):
            start.wait()
            return school.service.approving.approve(head, name)

        def expire(start=start):
            start.wait()
            return school.service.ending.expire_due()

        with ThreadPoolExecutor(2) as pool:
            one, other = pool.submit(approve), pool.submit(expire)
        assert isinstance(one.exception(), WorkflowError | NotGranted)
        assert other.result() == 1
        assert state_of(school, officer, request.id) is State.EXPIRED
        assert request.id not in school.policy.read_text()


def test_a_revocation_while_the_file_is_written(school, officer, head, monkeypatch):
    """Somebody ends it between approval and file: the file follows what was decided last."""
    request = school.recommended(officer)
    real = publisher_module.edit_policy

    def slow(*words, **more):
        monkeypatch.setattr(publisher_module, "edit_policy", real)
        done = real(*words, **more)
        school.service.ending.revoke(officer, request.id, "changed my mind")
        return done

    monkeypatch.setattr(publisher_module, "edit_policy", slow)
    after = school.service.approving.approve(head, request.id)
    assert after.state is State.REVOKED
    assert school.policy.read_bytes() == school.original


def test_the_officer_saves_between_preview_and_approval(school, officer, head):
    """A comment saved meanwhile stays; a limit saved meanwhile stops the approval, and the request is not lost."""
    request = school.recommended(officer)
    school.policy.write_bytes(school.original.replace(b"No videos ", b"No videos! "))
    assert school.service.approving.approve(head, request.id).state is State.APPLIED
    assert "No videos! " in school.policy.read_text()
    second = school.recommended(officer, "other.example")
    text = school.policy.read_text().replace("never: [category:circumvention]", "never: [other.example]")
    school.policy.write_text(text)
    with pytest.raises(NotGranted, match=r"limits\.never"):
        school.service.approving.approve(head, second.id)
    assert state_of(school, officer, second.id) is State.RECOMMENDED
    assert school.policy.read_text() == text


def test_the_officer_saves_nonsense_before_an_approval(school, officer, head):
    """A file that is broken on disk is not written over: approved, the lines to paste, tried again, then applied."""
    request = school.recommended(officer)
    engine = school.source.engine
    school.source.__class__ = type("Frozen", (), {"engine": engine})  # the filter keeps the last good policy
    school.policy.write_bytes(school.original + b"rules: [\n")
    after = school.service.approving.approve(head, request.id)
    assert after.state is State.APPROVED
    assert after.publication.problem.startswith("policy.yaml")
    assert after.publication.paste.splitlines()[0] == f"  - id: {request.id}"
    assert school.policy.read_bytes() == school.original + b"rules: [\n"
    waiting = school.service.outbox.waiting()
    school.service.publisher.reconcile(request.number)
    assert school.service.outbox.waiting() == waiting  # told once
    school.policy.write_bytes(school.original)
    assert school.service.publisher.pending() == [request.number]
    ran = {one.job: one for one in school.service.jobs.run_due()}
    assert ran["publish"].count == 1
    assert state_of(school, officer, request.id) is State.APPLIED
    assert [row.action for row in school.service.audit.of(officer, request.id)].count(
        "policy.not-written"
    ) == 1


def test_pasted_by_hand(school, officer, head):
    """Where the officer pastes the lines, the request is applied, and nothing is added a second time."""
    request = school.recommended(officer)
    broken = school.original.replace(b"exceptions: []", b"exceptions: &all []\nstates: {}")
    school.policy.write_bytes(broken.replace(b"states: {}", b""))
    after = school.service.approving.approve(head, request.id)
    if after.state is State.APPROVED:  # the text could not be changed by machine
        pasted = school.original.replace(
            b"exceptions: []", b"exceptions:\n" + after.publication.paste.encode()
        )
        school.policy.write_bytes(pasted)
        assert school.service.publisher.reconcile(request.number).state is State.APPLIED
        assert school.policy.read_bytes() == pasted
    assert school.policy.read_text().count(request.id) == 1


def test_a_folder_that_cannot_be_written(school, officer, head):
    """A read-only folder: approved, with what to paste, and nothing lost; applied once it can be written again."""
    if os.geteuid() == 0:
        (school.folder / "state" / "history").write_text(
            "in the way"
        )  # root writes everywhere, so a file stands there
    else:
        school.folder.chmod(0o500)
    request = school.recommended(officer)
    after = school.service.approving.approve(head, request.id)
    assert after.state is State.APPROVED
    assert after.publication.problem
    assert f"- id: {request.id}" in after.publication.paste
    assert school.policy.read_bytes() == school.original
    school.folder.chmod(0o700)
    if os.geteuid() == 0:
        (school.folder / "state" / "history").unlink()
    assert school.service.publisher.reconcile(request.number).state is State.APPLIED


def test_a_crash_between_approval_and_file(school, officer, head, monkeypatch):
    """A process that dies right after the approval loses nothing: the next one writes the file."""
    request = school.recommended(officer)

    def die(*_words, **_more):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(publisher_module, "edit_policy", die)
        with pytest.raises(KeyboardInterrupt):
            school.service.approving.approve(head, request.id)
    again = school.build()
    assert state_of(school, officer, request.id) is State.APPROVED
    assert {one.job: one.count for one in again.jobs.run_due()}["publish"] == 1
    again.close()
    assert state_of(school, officer, request.id) is State.APPLIED
    assert school.is_open("blocked.example")


def test_a_locked_database(tmp_path, sqlite_only):
    """While another program holds the database: `Unavailable`, nothing recorded; afterwards the same form works."""
    school = School(tmp_path, sqlite_only, busy_ms=50)
    officer = school.person("officer@school.example", Role.OFFICER)
    other = sqlite3.connect(tmp_path / "portal.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(Unavailable, match="nothing was recorded"):
        school.ask()
    assert school.service.queue.listed(officer) == []
    other.execute("ROLLBACK")
    other.close()
    assert school.ask().state is State.SUBMITTED
    assert len(school.service.queue.listed(officer)) == 1
    school.service.close()


def test_a_full_disk(tmp_path, sqlite_only):
    """When the database can grow no more, a request is refused whole: no half of it, no broken audit."""
    school = School(tmp_path, sqlite_only)
    officer = school.person("officer@school.example", Role.OFFICER)
    with school.service.office.read() as connection:
        pages = connection.execute(sa.text("PRAGMA page_count")).scalar_one()

    @sa.event.listens_for(school.service.office.database._engine, "begin")
    def _small(connection):
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 4}")

    kept: list[int] = []

    def fill() -> None:
        for number in range(500):
            address = f"10.20.{number // 250}.{number % 250}"
            school.ask(f"h{number}.example", address=address, reason="x" * 200)
            kept.append(number)

    with pytest.raises(Unavailable, match="full"):
        fill()
    assert len(school.service.queue.listed(officer)) == len(kept)
    assert school.service.audit.verify().rows == len(kept) + 1
    sa.event.remove(school.service.office.database._engine, "begin", _small)
    with school.service.office.read() as connection:
        connection.execute(sa.text(f"PRAGMA max_page_count = {pages * 100}"))
    school.service.office.database._engine.dispose()
    assert school.ask("again.example", address="10.20.9.9").state is State.SUBMITTED
    school.service.close()


def _ask_many(folder: str, url: str, part: int) -> None:
    school = School(Path(folder), url)
    for number in range(40):
        school.ask(f"h{number}.example", address=f"10.20.{part}.{number}")
    school.service.close()


def test_four_processes_at_once(tmp_path, url):
    """Four processes ask on one database: no error, no number twice, an audit that holds."""
    school = School(tmp_path, url)
    officer = school.person("officer@school.example", Role.OFFICER)
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_ask_many, args=(str(tmp_path), url, part)) for part in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0, 0]
    found = school.service.queue.listed(officer)
    assert sorted(one.id for one in found) == [f"REQ-2026-{number:04}" for number in range(1, 41)]
    assert all(one.askers == 4 for one in found)
    assert school.service.audit.verify().rows == 41
    school.service.close()


def test_a_database_that_is_none():
    """A URL of another kind of database is refused in one line."""
    with pytest.raises(ValueError, match="`mysql` is no database"):
        Database("mysql://x/y")


def test_a_database_that_does_not_answer(tmp_path):
    """A server that is not there is `Unavailable`."""
    database = Database(f"postgresql://x@/y?host={tmp_path}")
    with pytest.raises(Unavailable), database.read():
        raise AssertionError
    database.close()


def test_somebody_else_was_faster(school, officer):
    """A decision by an outdated page is refused; the newer one stays."""
    request = school.ask()
    second = school.person("second@school.example", Role.OFFICER)
    school.service.reviewing.ask_back(second, request.id, "What for?", request.version)
    with pytest.raises(WorkflowError, match="somebody else was faster: the request is `under review`"):
        school.service.reviewing.refuse(officer, request.id, "no", seen=request.version)
    with pytest.raises(WorkflowError):
        school.service.reviewing.refuse_all(
            officer, (request.id, school.ask("other.example").id, request.id), "no"
        )
    assert state_of(school, officer, "REQ-2026-0002") is State.SUBMITTED


@pytest.fixture
def linked(school: School, officer: Actor, head: Actor):
    """A recommended request, and the token of the head's letter."""
    request = school.recommended(officer)
    with school.service.office.write() as connection:
        token = school.service.approving._desk.tokens.issue(
            connection, request.number, head.account, Role.HEAD
        )
    return request, token


def newest_code(school: School, token: str) -> str:
    """Return a code for a link, as the letter with it would say."""
    tokens = school.service.approving._desk.tokens
    with school.service.office.write() as connection:
        return tokens.new_code(connection, tokens.find(connection, token))


def test_a_link_alone_decides_nothing(school, linked, officer):
    """Opened a hundred times, also with wrong codes, nothing changes; too many guesses kill the link."""
    request, token = linked
    for _ in range(100):
        assert school.service.approving.open_link(token).case.request.id == request.id
    for wrong in ("", "000000", "no"):
        with pytest.raises(InvalidToken):
            school.service.approving.decide_by_link(token, approve=True, code=wrong)
    assert state_of(school, officer, request.id) is State.RECOMMENDED
    code = newest_code(school, token)
    for _ in range(3):
        with pytest.raises(InvalidToken):
            school.service.approving.decide_by_link(
                token, approve=True, code="999999" if code != "999999" else "1"
            )
    with pytest.raises(InvalidToken, match="dead"):
        school.service.approving.decide_by_link(token, approve=True, code=code)


def test_a_link_and_a_code_decide_once(school, linked, officer):
    """With the code it is approved; link and code are used up; forged and changed links are nothing."""
    request, token = linked
    code = newest_code(school, token)
    done = school.service.approving.decide_by_link(
        token, approve=True, code=f"{code[:3]} {code[3:]}", text="fine"
    )
    assert done.state is State.APPLIED
    for text in (token, token[:-1], token + "x", "", "x" * 100_000):
        with pytest.raises(InvalidToken):
            school.service.approving.open_link(text)
    assert actions_of(school, officer, request.id).count(Action.APPROVE) == 1
    with school.service.office.read() as connection:
        assert token not in str(connection.execute(sa.text("SELECT * FROM tokens")).all())


def test_links_end(school, linked, officer, head):
    """After 72 hours, a code after ten minutes, when the role ends, and when somebody decided otherwise."""
    request, token = linked
    code = newest_code(school, token)
    school.clock.forward(minutes=10)
    with pytest.raises(InvalidToken):
        school.service.approving.decide_by_link(token, approve=True, code=code)
    school.clock.forward(hours=71, minutes=49)
    assert school.service.approving.open_link(token).actor.account == head.account
    school.clock.forward(minutes=1)
    with pytest.raises(InvalidToken):
        school.service.approving.open_link(token)
    with school.service.office.write() as connection:
        token = school.service.approving._desk.tokens.issue(
            connection, request.number, head.account, Role.HEAD
        )
    school.service.reviewing.reconsider(officer, request.id)
    with pytest.raises(InvalidToken):
        school.service.approving.open_link(token)


def test_a_link_with_a_session_of_its_owner(school, linked, head, officer):
    """Signed in as the owner no code is needed; signed in as somebody else it is."""
    _, token = linked
    with pytest.raises(InvalidToken):
        school.service.approving.decide_by_link(token, approve=True, actor=officer)
    refused = school.service.approving.decide_by_link(token, approve=False, actor=head, text="not now")
    assert refused.state is State.REFUSED
    assert (
        school.service.asking.standing(refused.reference, school.service.asking.asker(PUPIL)).answer
        == "not now"
    )
    assert Ask(Kind.UNBLOCK, Purpose.LESSON)
