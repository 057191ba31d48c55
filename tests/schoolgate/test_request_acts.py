"""`schoolgate requests …`: each move from the terminal, in this process, on the shipped policy."""

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from running import ROOT
from typer.testing import CliRunner, Result

from schoolgate.cli import app
from schoolgate.commands import queue_access
from schoolgate.request_queue import open_service
from schoolgate.settings import Settings
from schoolgate_exceptions.accounts import Holding
from schoolgate_exceptions.kinds import Kind, Purpose
from schoolgate_exceptions.model import AccessRequest, Ask
from schoolgate_exceptions.roles import SYSTEM, Role
from schoolgate_exceptions.service import Service
from schoolgate_policy.store import PolicyStore

PASSWORD = "three random words"
PUPIL = "127.0.20.5"


class _Quiet:
    def policy_loaded(self, *_: object) -> None: ...

    def policy_rejected(self, *_: object, kept: str | None) -> None: ...


class Terminal:
    """A folder with the shipped policy, and commands run in it by accounts whose codes nobody has to type."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.service: Service = open_service(
            Settings(state=folder / "state"),
            folder / "policy.yaml",
            PolicyStore(folder / "policy.yaml", folder / "state", _Quiet()),
            lambda: datetime.now(UTC),
        )
        for role in (Role.OFFICER, Role.HEAD, Role.DSL, Role.DPO):
            email = f"{role.name.lower()}@school.example"
            self.service.accounts.add(SYSTEM, email, role.name.title(), [Holding(role)], password=PASSWORD)

    def ask(
        self, host: str = "www.pinterest.com", kind: Kind = Kind.UNBLOCK, reason: str = "Art"
    ) -> AccessRequest:
        """Ask for a site as a pupil."""
        ask = Ask(kind, Purpose.LESSON, reason, None, host)
        return self.service.asking.submit(ask, self.service.asking.asker(PUPIL), PUPIL).request

    def run(self, *words: str, by: str = "") -> Result:
        """Run a command."""
        given = ["requests", *words, "--policy", "policy.yaml", "--state", "state"]
        return CliRunner().invoke(app, [*given, "--by", f"{by}@school.example"] if by else given)

    def does(self, *words: str, by: str) -> str:
        """Run a command that must work; return what it says."""
        done = self.run(*words, by=by)
        assert done.exit_code == 0, done.output
        return done.stdout


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    """A terminal in a folder of its own."""
    shutil.copy(ROOT / "policy.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    made = Terminal(tmp_path)

    def acting(service: Service, by: str, *_: object) -> object:
        with service.office.read() as connection:
            return service.accounts.by_email(connection, by).actor(service.office.today())

    monkeypatch.setattr(queue_access, "acting", acting)
    yield made
    made.service.close()


def test_review_and_back_and_shorten_and_withdraw(terminal: Terminal) -> None:
    """Take, ask back, send to the DSL, recommend, reconsider, approve, end earlier, end now."""
    name = terminal.ask().id
    assert terminal.does("take", name, by="officer") == f"{name} is under review\n"
    assert "under review" in terminal.does("review", name, "--ask-back", "Which lesson?", by="officer")
    assert "under review" in terminal.does("review", name, "--to-dsl", "--advice", "look", by="officer")
    assert "recommended" in terminal.does("review", name, "--advice", "fine", by="officer")
    assert "under review" in terminal.does("reconsider", name, "--note", "too long", by="head")
    assert terminal.run("review", name, "--advice", "x", "--until", "2099-01-01", by="officer").exit_code == 1
    assert "recommended" in terminal.does("review", name, "--advice", "fine now", by="officer")
    assert "applied" in terminal.does("approve", name, by="head")
    sooner = terminal.service.office.today().isoformat()
    assert "applied" in terminal.does("withdraw", name, "--until", sooner, by="officer")
    assert f"until: {sooner}" in (terminal.folder / "policy.yaml").read_text()
    assert "revoked" in terminal.does("withdraw", name, "--note", "over", by="head")
    actions = [one.action for one in terminal.service.audit.of(SYSTEM, name)]
    assert [one.removeprefix("request.") for one in actions if one.startswith("request.") and one != "request.seen"] == [
        "submitted", "take", "ask-back", "refer", "recommend", "reconsider", "recommend", "approve", "apply",
        "shorten", "revoke",
    ]  # fmt: skip


def test_reports_are_blocked_or_settled(terminal: Terminal) -> None:
    """What was reported is blocked at once, or closed with an answer."""
    first, second = (terminal.ask(f"{name}.example", Kind.REPORT).id for name in "ab")
    assert "applied" in terminal.does("block-now", first, "--note", "seen", by="officer")
    assert f"- id: {first}" in (terminal.folder / "policy.yaml").read_text()
    assert "applied" in terminal.does("settle", second, "--answer", "Thank you", by="officer")
    assert terminal.run("settle", second, by="officer").exit_code == 1


def test_several_are_refused_at_once(terminal: Terminal) -> None:
    """All of them with one answer, or none where one cannot be; one alone may have a note."""
    one, two, three = (terminal.ask(f"{name}.pinterest.com").id for name in "abc")
    assert terminal.run("refuse", one, "REQ-1999-0001", "--answer", "No", by="officer").exit_code == 1
    said = terminal.does("refuse", one, two, "--answer", "Use the library", by="officer")
    assert said == f"{one} is refused\n{two} is refused\n"
    assert terminal.run("refuse", three, "--answer", "", by="officer").exit_code == 1
    refused = terminal.does("refuse", three, "--answer", "No", "--note", "again", "--json", by="officer")
    assert json.loads(refused)["state"] == "refused"


def test_a_case_is_held_by_those_who_may(terminal: Terminal) -> None:
    """The data protection officer holds and releases a case without seeing it; the officer does not."""
    name = terminal.ask().id
    assert "kept until" in terminal.does("hold", name, "--reason", "complaint 4", by="dpo")
    assert terminal.run("hold", name, "--reason", "curious", by="officer").exit_code == 1
    released = json.loads(terminal.does("release", name, "--json", by="dpo"))
    assert released == {"id": name, "state": "submitted", "hold": ""}


def test_the_list_is_narrowed(terminal: Terminal) -> None:
    """By kind, by words that worry, by what the DSL has; and it says where there are more."""
    wish, worried = terminal.ask(), terminal.ask("a.pinterest.com", reason="I want to die")
    report = terminal.ask("b.example", Kind.REPORT)
    terminal.does("review", report.id, "--to-dsl", by="officer")

    def found(*words: str) -> list[str]:
        done = terminal.run("list", "--json", *words)
        assert done.exit_code == 0, done.output
        return [one["id"] for one in json.loads(done.stdout)]

    assert found() == [wish.id, worried.id, report.id]
    assert found("--kind", "report") == [report.id]
    assert found("--safeguarding") == [worried.id]
    assert found("--with-dsl") == [report.id]
    assert found("--most", "1") == [wish.id]
    assert "the oldest 1 of 3" in terminal.run("list", "--most", "1").stderr
    assert terminal.run("list", "--kind", "nonsense").exit_code == 2
    looked = [one for one in terminal.service.audit.newest(SYSTEM, 50) if one.action == "queue.seen"]
    assert [one.who for one in looked] == ["terminal"]
