"""Tokens of programs: an account's roles without its password, ended at any time, never kept in the clear."""

import httpx
import pytest
import sqlalchemy as sa
from school import School

from schoolgate_exceptions.errors import InvalidInput, NotAllowed, NotFound
from schoolgate_exceptions.roles import SYSTEM, Role


@pytest.fixture
def program(live):
    """A client that sends the token of an officer's account, and nothing else."""
    live.school.person("officer@school.example", Role.OFFICER)
    _, secret = live.school.service.api_tokens.make(SYSTEM, "officer@school.example", "dashboard")
    with httpx.Client(base_url=live.url, headers={"Authorization": f"Bearer {secret}"}, timeout=60) as client:
        yield client


def test_a_program_acts_as_its_account(live, program):
    """Without cookie, code or Origin it lists and decides in the account's roles; the audit names account and token."""
    request = live.school.ask()
    listed = program.get("/api/requests").json()
    assert [one["id"] for one in listed["requests"]] == [request.id]
    assert program.post(f"/api/requests/{request.id}/take", json={}).json()["state"] == "under review"
    assert program.post(f"/api/requests/{request.id}/approve", json={}).status_code in {403, 409}
    form = program.post(f"/api/requests/{request.id}/refuse", data={"answer": "No"})
    assert form.status_code == 403
    taken = [one for one in live.school.service.audit.of(SYSTEM, request.id) if one.action == "request.take"]
    assert [one.who for one in taken] == ["officer@school.example (token dashboard)"]


def test_a_token_opens_no_page(live, program):
    """A token is for the interface: on pages it is nobody's, and it makes no session."""
    page = program.get("/queue", follow_redirects=False)
    assert page.status_code == 303
    assert "/sign-in" in page.headers["location"]


def test_a_token_that_is_not_good(live, program):
    """Forged, ended, too old, or of a closed account: 401, noted once an hour, whatever cookie comes along."""
    browser = live.signed_in("head@school.example", Role.HEAD)
    assert browser.get("/api/requests").status_code == 200
    for _ in range(3):
        answer = browser.client.get("/api/requests", headers={"Authorization": "Bearer sg_forged"})
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    service = live.school.service
    with service.office.read() as connection:
        actions = [row.action for row in service.office.audit.entries(connection)]
    assert actions.count("api-token.refused") == 1
    service.api_tokens.revoke(SYSTEM, "officer@school.example", "dashboard")
    assert program.get("/api/requests").status_code == 401


def test_tokens_end_by_themselves_and_with_their_account(school: School) -> None:
    """After its days, or once the account is closed, a token is nobody's; the nightly purge removes it, proved."""
    school.person("officer@school.example", Role.OFFICER)
    tokens = school.service.api_tokens
    _, short = tokens.make(SYSTEM, "officer@school.example", "short", days=2)
    _, long = tokens.make(SYSTEM, "officer@school.example", "long")
    assert tokens.find(short, "d") is not None
    school.clock.forward(days=2)
    assert tokens.find(short, "d") is None
    assert tokens.find(long, "d") is not None
    proof = {one.what: one for one in school.service.retention.purge()}["tokens of programs"]
    assert (proof.removed, proof.left, proof.is_proved) == (1, 1, True)
    school.service.accounts.close(SYSTEM, "officer@school.example")
    assert tokens.find(long, "d") is None


def test_a_token_is_kept_as_a_hash_and_made_by_few(school: School) -> None:
    """The secret stands nowhere; only who looks after accounts makes tokens; names are short and not taken twice."""
    school.person("officer@school.example", Role.OFFICER)
    teacher = school.person("t@school.example", Role.TEACHER)
    tokens = school.service.api_tokens
    made, secret = tokens.make(SYSTEM, "officer@school.example", "dashboard")
    with school.service.office.read() as connection:
        everything = str(connection.execute(sa.text("SELECT * FROM api_tokens")).all())
        everything += "".join(str(row) for row in school.service.office.audit.entries(connection))
    assert secret not in everything
    assert secret[3:] not in everything
    assert [one.name for one in tokens.listed("officer@school.example")] == [made.name]
    with pytest.raises(NotAllowed):
        tokens.make(teacher, "officer@school.example", "mine")
    for name, days in (("dashboard", 9), ("Dash board", 9), ("", 9), ("x", 0), ("x", 401)):
        with pytest.raises(InvalidInput):
            tokens.make(SYSTEM, "officer@school.example", name, days)
    with pytest.raises(NotFound):
        tokens.revoke(SYSTEM, "officer@school.example", "other")
    with pytest.raises(NotFound):
        tokens.make(SYSTEM, "nobody@school.example", "x")
