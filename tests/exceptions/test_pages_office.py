"""The officer's and the head's pages: queue, case, approval by letter, policy, registers, people, lessons."""

import contextlib
import re
import sqlite3
from dataclasses import replace

import pytest
import sqlalchemy as sa
from school import PASSWORD

from schoolgate_exceptions.lessons import Caps
from schoolgate_exceptions.letters import Letters
from schoolgate_exceptions.mails import Letter
from schoolgate_exceptions.outbox import _due
from schoolgate_exceptions.roles import Role
from schoolgate_exceptions.tables import outbox

GRANT = {
    "target": "blocked.example",
    "whom": "pupils",
    "until": "2026-11-27",
    "reason": "For a lesson",
    "advice": "Two sentences.",
}


@pytest.fixture
def officer(live):
    """The e-safety officer, signed in."""
    return live.signed_in("officer@school.example", Role.OFFICER)


@pytest.fixture
def head(live):
    """The headteacher, signed in."""
    return live.signed_in("head@school.example", Role.HEAD)


def link_of(live, request, email="head@school.example"):
    """Return the link that the letter to the head would have."""
    service = live.school.service
    with service.office.write() as connection:
        account = service.accounts.by_email(connection, email)
        return service.publisher._desk.tokens.issue(connection, request.number, account.number, Role.HEAD)


def code_of(live):
    """Return the code that waits in the outbox, as its letter says it."""
    service = live.school.service
    letters = Letters(service.publisher._desk, service.people)
    with service.office.write() as connection:
        rows = connection.execute(sa.select(outbox).where(outbox.c.letter == Letter.CODE)).all()
        mail = letters.render(connection, _due(rows[-1]))
    return re.search(r"\b(\d{6})\b", mail.text)[1]


def test_the_queue_groups_and_filters(live, officer):
    """Requests stand below their host, oldest first, with how many devices asked; filters narrow, marks show."""
    live.school.ask("blocked.example", "10.20.0.5")
    live.school.ask("blocked.example", "10.10.0.5", "staff")
    live.school.ask("other.example", "10.20.0.6", reason="I want to kill myself")
    page = officer.get("/queue").text
    assert page.index("blocked.example") < page.index("other.example")
    assert page.count("<section") == 2
    assert "2 devices" in page
    assert "concern" in page
    assert "other.example" not in officer.get("/queue", network="staff").text
    assert "blocked.example" not in officer.get("/queue", concern="1").text
    assert "Nothing waits here" in officer.get("/queue", show="granted").text
    assert officer.get("/queue", show="x", kind="y", network="z").status_code == 200


def test_refusing_several(live, officer):
    """The ticked requests are refused with one answer; none ticked, or no answer, is said."""
    first, second = live.school.ask("blocked.example"), live.school.ask("other.example")
    assert "Tick the requests" in officer.post("/queue", answer="No").text
    assert officer.post("/queue", request=[first.id, second.id], answer="").status_code == 422
    page = officer.post("/queue", request=[first.id, second.id], answer="Not now")
    assert "Refused" in page.text
    assert "Nothing waits here" in page.text


def test_a_case_shows_what_would_open(live, officer):
    """The narrowest is picked; the rule, the lines of policy.yaml and what speaks against it are shown."""
    request = live.school.ask("www.youtube.com")
    page = officer.get(f"/queue/{request.id}").text
    assert re.search(r'value="www.youtube.com"[^>]* checked', page)
    assert re.search(r'value="pupils"[^>]* checked', page)
    assert "Blocked for the tests" in page
    assert re.search(r'class="add">\+\s+allow: \[www.youtube.com\]', page)
    wider = officer.post(
        f"/queue/{request.id}",
        do="preview",
        **{**GRANT, "target": "other", "target_other": "category:circumvention"},
    )
    assert "limits.never" in wider.text
    assert live.school.added() == []
    long = officer.post(f"/queue/{request.id}", do="recommend", **{**GRANT, "until": "2028-01-01"})
    assert long.status_code == 422
    assert "90 days" in long.text


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"until": ""}, "until"),
        ({"until": "soon"}, "until"),
        ({"advice": ""}, "advice"),
        ({"whom": ""}, "whom"),
        ({"target": "other"}, "targets"),
    ],
)
def test_a_recommendation_needs_all_of_it(live, officer, changes, field):
    """What is missing is said beside its field, the rest stays filled in, and nothing moves."""
    request = live.school.ask()
    page = officer.post(f"/queue/{request.id}", do="recommend", **{**GRANT, **changes})
    assert page.status_code == 422
    assert f'href="#{field}"' in page.text
    assert f'id="{field}"' in page.text
    assert (
        live.school.service.asking.standing(request.reference, live.school.service.asking.asker("x")).state
        == "submitted"
    )


def test_from_recommendation_to_policy(live, officer, head):
    """The officer recommends, the head approves signed in: only the exception's lines are added; it can be ended."""
    request = live.school.ask()
    assert (
        "The headteacher gets a letter" in officer.post(f"/queue/{request.id}", do="recommend", **GRANT).text
    )
    assert 'value="approve"' not in officer.get(f"/queue/{request.id}").text
    page = head.get(f"/queue/{request.id}")
    assert "Two sentences." in page.text
    assert 'value="approve"' in page.text
    seen = re.search(r'name="seen" value="(\d+)"', page.text)[1]
    page = head.post(f"/queue/{request.id}", do="approve", answer="", seen=seen)
    assert "It opens within two seconds" in page.text
    assert live.school.is_open("blocked.example")
    assert any("REQ-2026-0001" in line for line in live.school.added())
    late = head.post(f"/queue/{request.id}", do="disapprove", answer="No", seen=seen)
    assert late.status_code == 409
    shorter = officer.post(f"/queue/{request.id}", do="shorten", earlier="2026-11-24", note="")
    assert "It ends earlier now" in shorter.text
    assert officer.post(f"/queue/{request.id}", do="shorten", earlier="x", note="").status_code == 422
    assert "Ended" in officer.post(f"/queue/{request.id}", do="revoke", note="Not needed").text
    assert not live.school.is_open("blocked.example")


def test_other_steps(live, officer):
    """Ask back, send to the DSL, look at it, refuse: each moves the request and says so."""
    request = live.school.ask()
    path = f"/queue/{request.id}"
    assert "You are looking at it now" in officer.post(path, do="take").text
    assert officer.post(path, do="ask-back", question="").status_code == 422
    assert "stands on the page" in officer.post(path, do="ask-back", question="Which class?").text
    assert "safeguarding lead" in officer.post(path, do="refer", note="Look").text
    assert officer.post(path, do="refuse", answer="").status_code == 422
    assert "Refused" in officer.post(path, do="refuse", answer="No").text
    assert officer.post(path, page="/account", do="refuse", answer="No").status_code == 409
    assert officer.post(path, page="/account", do="nonsense").status_code == 200
    assert officer.get("/queue/REQ-2026-9999").status_code == 404


def test_a_block_request(live, officer):
    """What was reported is blocked by the officer alone, for a time or in a rule that stands."""
    from schoolgate_exceptions.kinds import Kind, Purpose
    from schoolgate_exceptions.model import Ask

    asking = live.school.service.asking
    for host in ("games.example", "more.example"):
        asking.submit(
            Ask(Kind.BLOCK, Purpose.OTHER, "Games", host=host), asking.asker("10.20.0.5"), "10.20.0.5"
        )
    first, second = live.school.service.queue.listed(live.school.person("o2@school.example", Role.OFFICER))
    fields = {"until": "2026-11-30", "reason": "Games", "everybody": "1"}
    page = officer.post(f"/queue/{first.id}", do="block", target="games.example", rule="", **fields)
    assert "Blocked." in page.text
    assert not live.school.is_open("games.example")
    page = officer.post(f"/queue/{second.id}", do="block", target="more.example", rule="2", **fields)
    assert "Blocked." in page.text
    assert not live.school.is_open("more.example")


def test_the_dsl_sees_only_concerns(live):
    """The DSL's queue has what concerns the DSL; another request is refused, and a case can be kept."""
    plain, worrying = (
        live.school.ask("blocked.example"),
        live.school.ask("other.example", reason="I want to die"),
    )
    lead = live.signed_in("lead@school.example", Role.DSL)
    page = lead.get("/queue").text
    assert worrying.id in page
    assert plain.id not in page
    assert lead.get(f"/queue/{plain.id}").status_code == 403
    kept = lead.post(f"/queue/{worrying.id}", do="hold", hold="A case")
    assert "It is kept" in kept.text


def test_approving_by_the_link_of_a_letter(live, officer):
    """Opening the link decides nothing; a code that is sent does, once; the page is an approval's whole story."""
    live.account("head@school.example", Role.HEAD)
    request = live.school.ask()
    officer.post(f"/queue/{request.id}", do="recommend", **GRANT)
    path = f"/approve/{link_of(live, request)}"
    phone = live.browser()
    for _ in range(3):
        page = phone.get(path)
        assert page.status_code == 200
        assert "Open blocked.example for pupils" in page.text
        assert "Two sentences." in page.text
    assert not live.school.is_open("blocked.example")
    assert phone.post(path, do="approve").status_code == 422
    assert phone.post(path, do="approve", code="000000").status_code == 422
    assert "A code is on its way" in phone.post(path, do="code").text
    assert phone.post(path, do="refuse", code=code_of(live)).status_code == 422
    page = phone.post(path, do="approve", code=code_of(live))
    assert "Approved" in page.text
    assert live.school.is_open("blocked.example")
    assert phone.get(path).status_code == 410
    assert phone.post(path, page="/report", do="approve", code="1").status_code == 410


def test_approving_by_the_link_when_signed_in(live, officer, head):
    """The owner of the link who is signed in needs no code; somebody else's session is no help."""
    request = live.school.ask()
    officer.post(f"/queue/{request.id}", do="recommend", **GRANT)
    path = f"/approve/{link_of(live, request)}"
    assert 'name="code"' in officer.get(path).text
    page = head.get(path)
    assert 'name="code"' not in page.text
    page = head.post(path, do="refuse", answer="Not this week")
    assert "Not approved" in page.text
    assert "Not this week" in live.browser().get(f"/requests/{request.reference}").text


def test_nobody_reviews_and_approves(live):
    """One person with both roles recommends, but cannot approve: the page says who has to."""
    both = live.signed_in("both@school.example", Role.OFFICER, Role.HEAD)
    request = live.school.ask()
    both.post(f"/queue/{request.id}", do="recommend", **GRANT)
    page = both.post(f"/queue/{request.id}", do="approve", answer="")
    assert page.status_code == 403
    assert "cannot approve it" in page.text


def test_a_file_that_cannot_be_written_loses_nothing(live, officer, head):
    """An approval that cannot be written shows the officer the lines to paste, and stays approved."""
    request = live.school.ask()
    officer.post(f"/queue/{request.id}", do="recommend", **GRANT)
    whole = live.school.policy.read_bytes()
    live.school.policy.write_bytes(whole.replace(b"exceptions: []", b"exceptions: [broken"))
    engine = live.school.source._engine
    live.school.source._data = live.school.policy.read_bytes()
    live.school.source._engine = engine
    page = head.post(f"/queue/{request.id}", do="approve", answer="")
    assert "policy.yaml could not be changed" in page.text
    assert "allow: [blocked.example]" in page.text
    live.school.policy.write_bytes(whole)
    assert "nothing is lost" in officer.get(f"/queue/{request.id}").text.lower()


def test_editing_the_policy(live, officer):
    """A check says every mistake with its line and saves nothing; saving keeps a version; going back works."""
    text = live.school.policy.read_text()
    version = re.search(r'name="version" value="(\w+)"', officer.get("/policy/edit").text)[1]
    wrong = text.replace("block: [youtube]", "block: [yuotube]")
    page = officer.post("/policy/edit", text=wrong, version=version, why="", do="check")
    assert re.search(r"policy.yaml:\d+:\d+", page.text)
    page = officer.post("/policy/edit", text=wrong, version=version, why="", do="save")
    assert page.status_code == 422
    assert "yuotube" in page.text
    assert live.school.policy.read_text() == text
    good = text.replace("reason: No videos", "reason: No films")
    page = officer.post(
        "/policy/edit", text=good.replace("\n", "\r\n"), version=version, why="Clearer", do="check"
    )
    assert "Nothing is wrong with it" in page.text
    assert re.search(r'class="add">\+\s+reason: No films', page.text)
    page = officer.post(
        "/policy/edit", text=good.replace("\n", "\r\n"), version=version, why="Clearer", do="save"
    )
    assert "Saved" in page.text
    assert live.school.policy.read_text() == good
    history = officer.get("/policy/history").text
    assert "Clearer" in history
    old = re.findall(r"/policy/history/(\w+)", history)[-1]
    page = officer.get(f"/policy/history/{old}")
    expect = re.search(r'name="expect" value="(\w+)"', page.text)[1]
    assert "The version is back" in officer.post(f"/policy/history/{old}", expect=expect).text
    assert live.school.policy.read_text() == text


def test_two_editors_of_the_policy(live, officer):
    """A file that changed meanwhile is not overwritten: 409, the words are kept, the difference is shown."""
    text = live.school.policy.read_text()
    version = re.search(r'name="version" value="(\w+)"', officer.get("/policy/edit").text)[1]
    live.school.policy.write_text(text + "# by hand\n")
    page = officer.post("/policy/edit", text=text + "# mine\n", version=version, why="", do="save")
    assert page.status_code == 409
    assert "# mine" in page.text
    assert live.school.policy.read_text().endswith("# by hand\n")


def test_only_the_officer_edits(live, head):
    """The head reads the policy and its versions, and has no button to change them."""
    assert "/policy/edit" not in head.get("/policy").text
    assert head.get("/policy/edit").status_code == 403
    assert head.post("/policy/history/abcdef123456", page="/account", expect="x").status_code == 403


def test_home(live, officer):
    """Home says what is known of whether it works, what is open, what changes next and when, what waits, and the last change."""
    live.school.ask()
    page = officer.get("/home").text
    for words in ("whether the filter works", "Waiting", "Open now", "Next", "Last change of the policy"):
        assert words in page
    assert "Today at 10:30" in page


def test_explaining(live, officer):
    """The box asks the engine that judges: verdict, cause with its line, all that was looked at; nonsense is said."""
    page = officer.get("/explain", url="https://www.youtube.com/watch?v=1", **{"from": "pupils"}).text
    assert "www.youtube.com is blocked" in page
    assert "No videos" in page
    assert re.search(r"policy.yaml:\d+", page)
    assert (
        "www.youtube.com is open" in officer.get("/explain", url="www.youtube.com", **{"from": "staff"}).text
    )
    assert officer.get("/explain", url="http://[", **{"from": "x", "at": ""}).status_code == 422
    assert officer.get("/explain", url="a.example", at="soon").status_code == 422


def test_services(live, officer):
    """The catalogue is searched by name and site."""
    assert "Instagram" in officer.get("/services", q="insta").text
    assert "Nothing of that name" in officer.get("/services", q="zzz").text


def test_registers(live, officer):
    """An official account is entered, changed and closed; what is missing is said."""
    fields = {
        "platform": "Facebook",
        "account": "School",
        "administrator": "Sam",
        "posters": "Sam\nAlex",
        "opened": "2026-09-01",
    }
    assert 'href="#opened"' in officer.post("/register", **{**fields, "opened": ""}).text
    assert 'href="#posters"' in officer.post("/register", **{**fields, "posters": " "}).text
    page = officer.post("/register", **fields)
    assert "Sam, Alex" in page.text
    page = officer.post("/register", do="change", number="1", administrator="Kim", posters="Kim")
    assert "Kim" in page.text
    page = officer.post("/register", do="close", number="1")
    assert "23 November 2026" in page.text


def test_sanctions(live, officer):
    """A device is restricted until a day, and let go again; a wrong address is said."""
    fields = {
        "address": "10.20.4.7",
        "until": "2026-11-27",
        "reason": "Went round the filter",
        "allow": "open.example",
    }
    assert 'href="#address"' in officer.post("/sanctions", **{**fields, "address": "x"}).text
    assert 'href="#until"' in officer.post("/sanctions", **{**fields, "until": ""}).text
    assert "10.20.4.7" in officer.post("/sanctions", **fields).text
    assert "Lifted" in officer.post("/sanctions", do="lift", number="1").text


def test_states(live, head):
    """A policy without states says how to make one."""
    assert "The policy has no states" in head.get("/states").text
    assert head.post("/states", page="/account", state="incident").status_code == 404


def test_people(live, officer):
    """Roles change, sessions end, telephones are let go, accounts are closed; nobody changes their own roles."""
    live.account("teacher@school.example", Role.TEACHER)
    number = re.findall(r"/people/(\d+)", officer.get("/people").text)[-1]
    page = officer.get(f"/people/{number}")
    assert re.search(r'value="teacher" checked', page.text)
    page = officer.post(f"/people/{number}", do="roles", roles=["deputy"])
    assert "A deputy needs a last day" in page.text
    page = officer.post(f"/people/{number}", do="roles", roles=["deputy"], **{"deputy-last": "2026-12-18"})
    assert "Done" in page.text
    for do in ("sessions", "telephone", "close"):
        assert "Done" in officer.post(f"/people/{number}", page="/account", do=do).text
    own = re.findall(r"/people/(\d+)", officer.get("/people").text)[0]
    assert "Save roles" not in officer.get(f"/people/{own}").text


def test_a_waiver_on_record(live, head):
    """The head records that one person may review and approve, with a reason, and takes it back."""
    live.account("both@school.example", Role.OFFICER, Role.HEAD)
    number = re.search(r"/people/(\d+)\"><strong>Both", head.get("/people").text)[1]
    assert head.post(f"/people/{number}", do="waive", reason="").status_code == 422
    assert "Nobody else" in head.post(f"/people/{number}", do="waive", reason="Nobody else works here").text
    assert "Done" in head.post(f"/people/{number}", do="end-waiver").text


def test_lesson_windows(live, officer):
    """A teacher opens what the officer allows for a room until the bell, and ends it early."""
    teacher = live.signed_in("teacher@school.example", Role.TEACHER)
    assert "Nothing can be opened yet" in teacher.get("/lessons").text
    assert 'href="#targets"' in officer.post("/lessons/caps", targets="category:circumvention").text
    assert (
        "Saved"
        in officer.post("/lessons/caps", targets="youtube", devices="room-5", longest="30", a_day="2").text
    )
    assert live.school.service.lessons.caps() == replace(
        Caps(),
        targets=("youtube",),
        devices=("room-5",),
        longest=live.school.service.lessons.caps().longest,
        a_day=2,
    )
    assert 'href="#target"' in teacher.post("/lessons", target="youtube", reason="Film").text
    page = teacher.post("/lessons", target="youtube", devices="room-5", reason="Film", minutes="10")
    assert "Open. It closes by itself" in page.text
    assert live.school.is_open("youtube.com", "10.20.5.9")
    ident = re.search(r'name="id" value="([^"]+)"', page.text)[1]
    assert "Ended" in teacher.post("/lessons", do="end", id=ident).text
    assert not live.school.is_open("youtube.com", "10.20.5.9")


def test_audit(live, officer):
    """The audit is shown, checked and handed out; that it was handed out is in it."""
    request = live.school.ask()
    page = officer.get("/audit", verify="1")
    assert "rows are as they were written" in page.text
    assert "request.submitted" in officer.get("/audit", subject=request.id).text
    file = officer.post("/audit/export", page="/audit")
    assert file.headers["Content-Disposition"].startswith("attachment")
    assert len(file.text.splitlines()) > 3
    assert "audit.exported" in officer.get("/audit").text


def test_a_changed_audit_is_told(live, officer, tmp_path):
    """One changed byte in the audit is named on its page."""
    with contextlib.closing(sqlite3.connect(tmp_path / "portal.db")) as database, database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {name}")
        database.execute("UPDATE audit SET body = replace(body, 'a', 'b') WHERE number = 1")
    assert "row 1 of the audit was changed" in officer.get("/audit", verify="1").text.lower()


def test_choosing_a_language(live):
    """The account's letters come in it, and the pages of this device."""
    teacher = live.signed_in("teacher@school.example", Role.TEACHER)
    page = teacher.post("/account/language", page="/account", language="cy")
    assert page.status_code == 200
    assert '<html lang="cy' in page.text
    assert '<option value="cy" selected>' in page.text
    service = live.school.service
    with service.office.read() as connection:
        assert service.accounts.by_email(connection, "teacher@school.example").language == "cy"
    assert 'href="#language"' in teacher.post("/account/language", page="/account", language="xx").text


def test_changing_the_password(live):
    """One's own password is changed with the old one; every session ends by it."""
    teacher = live.signed_in("teacher@school.example", Role.TEACHER)
    assert (
        'href="#old"'
        in teacher.post("/account", old="wrong wrong wrong", password="four new random words").text
    )
    assert 'href="#password"' in teacher.post("/account", old=PASSWORD, password="short").text
    assert teacher.post("/account", old=PASSWORD, password="four new random words").url.path == "/sign-in"
    assert teacher.get("/home").url.path == "/sign-in"
