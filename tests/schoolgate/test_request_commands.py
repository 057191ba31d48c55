"""`schoolgate requests`, `users`, `audit` and `purge`: the portal's work from a terminal, on the shipped policy."""

import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from running import ROOT, schoolgate

from schoolgate.request_queue import open_service
from schoolgate.settings import Settings
from schoolgate_exceptions import totp
from schoolgate_exceptions.kinds import Kind, Purpose
from schoolgate_exceptions.model import Ask
from schoolgate_policy.store import PolicyStore

PASSWORD = "three random words"


class _Quiet:
    def policy_loaded(self, *_: object) -> None: ...

    def policy_rejected(self, *_: object, kept: str | None) -> None: ...


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the shipped policy, an officer and a head, and one request."""
    shutil.copy(ROOT / "policy.yaml", tmp_path)
    (tmp_path / "password").write_text(PASSWORD + "\n")
    for name, role in (("officer", "officer"), ("head", "head")):
        done = schoolgate(
            "users",
            "add",
            f"{name}@school.example",
            "--role",
            role,
            "--password-file",
            "password",
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr
    return tmp_path


def service(folder: Path):
    """Open the queue of a folder in this process."""
    from datetime import UTC, datetime

    store = PolicyStore(folder / "policy.yaml", folder / "state", _Quiet())
    return open_service(
        Settings(state=folder / "state"), folder / "policy.yaml", store, lambda: datetime.now(UTC)
    )


def enrol(folder: Path, name: str) -> bytes:
    """Give an account an authenticator app, as the portal does, with a key whose code of now is not used up."""
    opened = service(folder)
    session = opened.signing_in.by_password(f"{name}@school.example", PASSWORD, "127.0.0.1").session
    key = b"k" * 20
    code = totp.code_at(key, totp.step_of(opened.office.now()) - 1)
    opened.sessions.enrol(session, key, code)
    opened.close()
    return key


def code(key: bytes) -> str:
    """Return the code of now."""
    from datetime import UTC, datetime

    return totp.code_at(key, totp.step_of(datetime.now(UTC)))


def test_a_request_from_terminal_to_policy(folder):
    """List, show, review, approve, withdraw: the file has the lines, then is as it was; the audit is whole."""
    before = (folder / "policy.yaml").read_bytes()
    opened = service(folder)
    ask = Ask(Kind.UNBLOCK, Purpose.LESSON, "Art <history>", None, "www.pinterest.com")
    request = opened.asking.submit(ask, opened.asking.asker("127.0.20.5"), "127.0.20.5").request
    opened.close()
    listed = json.loads(schoolgate("requests", "list", "--json", cwd=folder).stdout)
    assert [(one["id"], one["host"]) for one in listed] == [(request.id, "www.pinterest.com")]
    assert request.reference in schoolgate("requests", "list", cwd=folder).stdout
    shown = schoolgate("requests", "show", request.reference, cwd=folder).stdout
    assert f"+  - id: {request.id}" in shown
    assert "Art <history>" in shown
    by_officer = ("--by", "officer@school.example", "--password-file", "password")
    refused = schoolgate("requests", "review", request.id, "--advice", "fine", *by_officer, cwd=folder)
    assert (refused.returncode, "authenticator" in refused.stderr) == (1, True)
    officer, head = enrol(folder, "officer"), enrol(folder, "head")
    reviewed = schoolgate(
        "requests", "review", request.id, "--advice", "fine", *by_officer, "--code", code(officer), cwd=folder
    )
    assert reviewed.stdout == f"{request.id} is recommended\n", reviewed.stderr
    by_head = ("--by", "head@school.example", "--password-file", "password", "--code", code(head))
    approved = schoolgate("requests", "approve", request.id, *by_head, "--json", cwd=folder)
    assert json.loads(approved.stdout)["state"] == "applied", approved.stderr
    assert f"- id: {request.id}" in (folder / "policy.yaml").read_text()
    again = schoolgate("requests", "refuse", request.id, "--answer", "no", *by_head, cwd=folder)
    assert again.returncode == 1  # the code was used
    opened = service(folder)
    actor = next(one for one in opened.accounts.listed() if one.email.startswith("head")).actor(
        opened.office.today()
    )
    opened.ending.revoke(actor, request.id, "over")
    opened.close()
    assert (folder / "policy.yaml").read_bytes() == before
    verified = schoolgate("audit", "verify", "--json", cwd=folder)
    assert json.loads(verified.stdout)["whole"] is True
    rows = [json.loads(line) for line in schoolgate("audit", "export", cwd=folder).stdout.splitlines()]
    assert [row["number"] for row in rows] == list(range(1, len(rows) + 1))
    assert {"request.submitted", "request.recommend", "request.approve", "request.revoke"} <= {
        row["action"] for row in rows
    }
    purged = schoolgate("purge", "--json", cwd=folder)
    assert purged.returncode == 0
    assert all(one["proved"] for one in json.loads(purged.stdout))


def test_a_tampered_audit(folder):
    """`audit verify` exits 1 and names the row."""
    with sqlite3.connect(folder / "state" / "portal.db") as connection:
        connection.execute("DROP TRIGGER audit_fixed")
        connection.execute("UPDATE audit SET body = replace(body, 'terminal', 'x') || ' ' WHERE number = 1")
    connection.close()
    done = schoolgate("audit", "verify", cwd=folder)
    assert (done.returncode, done.stderr) == (1, "row 1 of the audit was changed\n")


def test_accounts(folder):
    """Accounts are listed, changed, invited and closed; mistakes are one line."""
    listed = json.loads(schoolgate("users", "list", "--json", cwd=folder).stdout)
    assert [one["email"] for one in listed] == ["head@school.example", "officer@school.example"]
    assert "password" not in listed[0]
    done = schoolgate(
        "users",
        "add",
        "d@school.example",
        "--role",
        "deputy:2026-12-01..2026-12-18",
        "--role",
        "dsl",
        cwd=folder,
    )
    assert "deputy until 2026-12-18, dsl" in done.stdout
    assert "http://127.0.0.1:8000/invitation/" in done.stdout
    assert "letters in cy" in schoolgate("users", "language", "d@school.example", "cy", cwd=folder).stdout
    for words, line in (
        (
            ("users", "add", "d@school.example", "--role", "dsl"),
            "email: there is an account of this name already\n",
        ),
        (("users", "language", "d@school.example", "fr"), "language: use one of en, cy\n"),
        (("users", "close", "nobody@school.example"), "there is no account `nobody@school.example`\n"),
        (("requests", "show", "REQ-2026-9999"), "there is no request `REQ-2026-9999`\n"),
    ):
        done = schoolgate(*words, cwd=folder)
        assert (done.returncode, done.stderr) == (1, line)
    done = schoolgate("users", "add", "e@school.example", "--role", "king", cwd=folder)
    assert done.returncode == 2
    assert done.stderr.startswith("--role: `king` is no role; available: teacher, officer, head, deputy")
    assert schoolgate("users", "close", "d@school.example", cwd=folder).returncode == 0
    assert "closed" in schoolgate("users", "list", cwd=folder).stdout
