"""The form: what it takes, what it refuses, and what a flood of it does."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta

import pytest
import sqlalchemy as sa
from school import GUEST, OTHER_PUPIL, PUPIL, STAFF, School

from schoolgate_exceptions.errors import (
    InvalidInput,
    InvalidReference,
    NotAllowed,
    NotFound,
    TooMany,
    WorkflowError,
)
from schoolgate_exceptions.keys import Keys, load_keys
from schoolgate_exceptions.kinds import Breadth, Kind, Purpose
from schoolgate_exceptions.model import Ask, OfficialUse
from schoolgate_exceptions.office import Limits
from schoolgate_exceptions.queue import Filter
from schoolgate_exceptions.references import LIFETIME, Reference, References, short_reference
from schoolgate_exceptions.roles import Role
from schoolgate_exceptions.workflow import State
from schoolgate_policy.decision import Attempt

ASK = Ask(Kind.UNBLOCK, Purpose.LESSON, "Volcanoes")
OFFICIAL = OfficialUse("News for parents", "More come to events", "Comments are off", date(2026, 12, 18))
NASTY = {
    "script": "<script>alert(1)</script>",
    "right-to-left": "abc\u202egpj.exe\u202c",
    "isolate": "\u2066abc\u2069\u200f",
    "controls": "a\x00b\x1b[31mc\x7f",
    "new lines": "a\r\nSubject: x\n\nb",
    "zero width": "sui\u200bcide",
    "half a character": "a\ud800b",
    "zalgo": "a" + "\u0301" * 50,
    "nothing to see": "\u2060\u00ad\u3164"[:2],
}


def test_a_reference_says_what_was_blocked(school):
    """The link carries host, rule, network and device; no address, no path, no query."""
    decision = school.source.engine.decide(
        Attempt(PUPIL, "www.blocked.example", school.clock.at, "/secret?q=1")
    )
    text = school.references.for_block(
        Attempt(PUPIL, "www.blocked.example", school.clock.at, "/secret"), decision
    )
    reference = school.service.asking.reference(text)
    assert (reference.host, reference.network) == ("www.blocked.example", "pupils")
    assert reference.reason == "Blocked for the tests"
    assert PUPIL not in str(reference)
    assert "secret" not in str(reference)


def test_a_locked_site_gets_no_reference(school):
    """There is nothing to ask for on the block page of a locked list."""
    attempt = Attempt(PUPIL, "locked.example", school.clock.at)
    assert school.references.for_block(attempt, school.source.engine.decide(attempt)) is None


def test_forged_changed_and_stale_references(school):
    """Another key, one other letter, half an hour and a second, or tomorrow: refused, noted once, nothing recorded."""
    good = school.link()
    device = school.references.device(PUPIL)
    forged = References(Keys(b"x" * 32)).sign(
        Reference("blocked.example", "", "", "pupils", device, school.clock.at)
    )
    actor = school.service.asking.asker(PUPIL)
    middle = len(good) // 2
    changed = good[:middle] + ("A" if good[middle] != "A" else "B") + good[middle + 1 :]
    for text in (forged, changed, good[:-3], "", "....", "é", "x" * 100_000):
        with pytest.raises(InvalidReference) as found:
            school.service.asking.reference(text)
        assert not found.value.stale
    for _ in range(3):
        with pytest.raises(InvalidReference):
            school.service.asking.submit(replace(ASK, reference=forged), actor, PUPIL)
    future = school.references.sign(
        Reference("blocked.example", "", "", "pupils", device, school.clock.at + timedelta(days=1))
    )
    with pytest.raises(InvalidReference, match="future"):
        school.service.asking.reference(future)
    school.clock.at += LIFETIME
    school.service.asking.reference(good)
    school.clock.forward(seconds=1)
    with pytest.raises(InvalidReference) as found:
        school.service.asking.reference(good)
    assert found.value.stale
    with school.service.office.read() as connection:
        rows = list(school.service.office.audit.entries(connection))
    assert [row.action for row in rows] == ["reference.refused"]


def test_a_replayed_reference_is_the_same_request(school):
    """The same link sent twice, also by two at once, is one request."""
    link, actor = school.link(), school.service.asking.asker(PUPIL)
    with ThreadPoolExecutor(8) as pool:
        done = list(
            pool.map(
                lambda _: school.service.asking.submit(replace(ASK, reference=link), actor, PUPIL), range(24)
            )
        )
    assert len({one.request.id for one in done}) == 1
    assert sum(one.fresh for one in done) == 1


@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
def test_nothing_unseen_is_kept(school, officer, head, text):
    """No control character, direction mark or drawing in any field reaches database, file, letters or audit."""
    request = school.ask(reason="Because " + text)
    teacher = school.person("t@school.example", Role.TEACHER)
    again = school.service.asking.submit(
        replace(ASK, host="other.example", reason="Because " + text, official=None), teacher, STAFF, "en"
    ).request
    grant = replace(school.service.queue.case(officer, request.id).grant, reason="Good " + text)
    school.service.reviewing.refuse(officer, again.id, "No " + text, "Note " + text)
    school.service.reviewing.recommend(officer, request.id, grant, "Advice " + text)
    applied = school.service.approving.approve(head, request.id, "Note " + text)
    assert applied.state is State.APPLIED
    with school.service.office.read() as connection:
        audited = "".join(f"{row}" for row in school.service.office.audit.entries(connection))
    case = school.service.queue.case(officer, request.id)
    told = request.reason + "".join(step.note + step.answer for step in case.story)
    for where in (told, audited, school.policy.read_text("utf-8")):
        assert not set(where) & set("\x00\x1b\x7f\u202e\u202c\u2066\u2069\u200f\u200b\ud800\u2060\u00ad")
    assert "Subject" not in request.reason.splitlines()[1:]
    assert "\n" not in request.reason
    assert told.count("\u0301") <= 4 * 6


def test_fields_that_cannot_be_taken(school):
    """Each wrong field is named; nothing is recorded."""
    actor = school.service.asking.asker(PUPIL)
    for change, field in (
        ({"reason": "x" * 201}, "reason"),
        ({"reason": " \u200b "}, "reason"),
        ({"purpose": Purpose.RECRUITMENT}, "purpose"),
        ({"wanted_until": school.clock.at}, "until"),
        ({"host": "http://", "reference": ""}, "host"),
        ({"host": "a b", "reference": ""}, "host"),
        ({"host": "[::1", "reference": ""}, "host"),
        ({"host": "fine.example", "reference": ""}, "host"),
    ):
        with pytest.raises(InvalidInput) as found:
            school.service.asking.submit(
                replace(ASK, reference=school.link())
                if not change
                else replace(replace(ASK, reference=school.link()), **change),
                actor,
                PUPIL,
            )
        assert list(found.value.fields) == [field]
    with pytest.raises(NotFound):
        school.service.asking.standing("K7-4QX", actor)


def test_official_use_says_everything(school, officer):
    """Objectives, outcomes, risk assessment and end are mandatory, and so is signing in."""
    actor = school.person("office@school.example", Role.TEACHER)
    ask = Ask(
        Kind.OFFICIAL_USE, Purpose.OFFICIAL, "School page", None, "facebook.com/ourschool?x=1", "", OFFICIAL
    )
    with pytest.raises(NotAllowed, match="sign in"):
        school.service.asking.submit(ask, school.service.asking.asker(STAFF), STAFF)
    for change, field in (
        ({"objectives": ""}, "objectives"),
        ({"outcomes": " "}, "outcomes"),
        ({"risk_assessment": ""}, "risk_assessment"),
        ({"ends": date(2026, 11, 22)}, "ends"),
    ):
        with pytest.raises(InvalidInput) as found:
            school.service.asking.submit(replace(ask, official=replace(OFFICIAL, **change)), actor, STAFF)
        assert list(found.value.fields) == [field]
    with pytest.raises(InvalidInput, match="objectives"):
        school.service.asking.submit(replace(ask, official=None), actor, STAFF)
    request = school.service.asking.submit(ask, actor, STAFF).request
    case = school.service.queue.case(officer, request.id)
    assert (case.scopes[0].breadth, case.scopes[0].target) == (Breadth.PAGE, "facebook.com/ourschool")
    assert [scope.breadth for scope in case.scopes] == [Breadth.PAGE, Breadth.HOST, Breadth.SERVICE]
    assert case.grant.until.astimezone(school.service.office.zone).date() == date(2026, 12, 19)
    assert request.requester.name == "Office"


def test_a_pupils_path_is_not_kept(school):
    """What somebody without an account types is kept as a host only."""
    actor = school.service.asking.asker(PUPIL)
    asked = school.service.asking.submit(
        replace(ASK, host="https://blocked.example/me/my-name?q=1"), actor, PUPIL
    )
    assert (asked.request.host, asked.request.path) == ("blocked.example", "")


def test_a_locked_host_is_refused_at_once_and_never_named(school, officer):
    """Typed by hand it is one refused request, shown to the DSL, and its name stands nowhere."""
    actor = school.service.asking.asker(PUPIL)
    request = school.service.asking.submit(replace(ASK, host="www.locked.example"), actor, PUPIL).request
    assert request.state is State.REFUSED
    assert request.safeguarding
    standing = school.service.asking.standing(request.reference, actor)
    assert standing.answer == "This site can never be opened."
    with school.service.office.read() as connection:
        everything = "".join(str(row) for row in connection.execute(sa.text("SELECT * FROM requests")))
        everything += "".join(str(row) for row in school.service.office.audit.entries(connection))
    assert "locked.example" not in everything


def test_worrying_words_go_to_the_dsl_as_well(school, officer):
    """The word list routes a request to the DSL, also in leetspeak, with zero-width tricks, and in Welsh."""
    school.person("dsl@school.example", Role.DSL)
    dsl = next(one for one in school.service.accounts.listed() if one.email.startswith("dsl")).actor(
        date(2026, 11, 23)
    )
    for number, reason in enumerate(
        ("I want to SE1F H4RM", "sui\u200bcide help", "mae ofn arna i", "Skills for maths")
    ):
        school.ask(f"h{number}.example", address=f"10.20.1.{number}", reason=reason)
    assert [one.safeguarding for one in school.service.queue.listed(officer)] == [True, True, True, False]
    assert len(school.service.queue.listed(dsl)) == 3
    assert school.service.outbox.waiting() == 3
    with pytest.raises(NotAllowed):
        school.service.queue.case(dsl, "REQ-2026-0004")


def test_reports_and_blocks_use_the_same_form(school, officer):
    """A page that is open can be reported; the officer blocks it alone; the exception blocks until it ends."""
    actor = school.service.asking.asker(PUPIL)
    report = school.service.asking.submit(
        Ask(Kind.REPORT, Purpose.OTHER, "", None, "open.example"), actor, PUPIL
    )
    grant = school.service.queue.case(officer, report.request.id).grant
    assert school.is_open("open.example")
    done = school.service.reviewing.block_now(officer, report.request.id, grant, "seen")
    assert done.state is State.APPLIED
    assert not school.is_open("open.example")
    assert not school.is_open("open.example", STAFF)
    wish = school.service.asking.submit(
        Ask(Kind.BLOCK, Purpose.OTHER, "ads", None, "ads.example"), actor, PUPIL
    )
    into_rule = replace(school.service.queue.case(officer, wish.request.id).grant, rule=2, until=None)
    assert school.service.reviewing.block_now(officer, wish.request.id, into_rule).publication.problem == ""
    assert not school.is_open("ads.example")
    assert (
        "  - block: [blocked.example, other.example, ads.example]" in school.policy.read_text().splitlines()
    )
    undone = school.service.ending.revoke(officer, wish.request.id, "a mistake")
    assert "by hand" in undone.publication.problem
    with pytest.raises(WorkflowError):
        school.service.reviewing.settle(officer, report.request.id, "thanks")


@pytest.mark.timeout(900)
def test_one_device_10000_times(school, officer):
    """Ten thousand wishes of one device: five requests, then a friendly no; the audit gets one row for it."""
    actor = school.service.asking.asker(PUPIL)
    refused = 0
    for number in range(10_000 if school.service.office.database.is_sqlite else 500):
        try:
            school.service.asking.submit(
                replace(
                    ASK,
                    reference=school.link(f"h{number}.example") if number < 20 else "",
                    host=f"h{number}.blocked.example",
                ),
                actor,
                PUPIL,
            )
        except TooMany as error:
            refused += "already" in str(error)
    assert len(school.service.queue.listed(officer)) == Limits().device_open
    assert refused > 400
    with school.service.office.read() as connection:
        actions = [row.action for row in school.service.office.audit.entries(connection)]
    assert actions.count("request.limited") == 1


@pytest.mark.timeout(900)
def test_many_devices_at_once(school, officer):
    """A thousand devices that want the same are one request with a thousand askers; none waits for an error."""
    count = 1_000
    start = threading.Barrier(8)

    def ask(part: int) -> set[str]:
        start.wait()
        return {school.ask(address=f"10.20.{n // 250}.{n % 250}").id for n in range(part, count, 8)}

    with ThreadPoolExecutor(8) as pool:
        ids = set().union(*pool.map(ask, range(8)))
    assert len(ids) == 1
    assert school.service.queue.groups(officer)[0].askers == count
    assert school.service.audit.verify().rows == 2


def test_the_queue_is_never_endless(tmp_path, url):
    """Many devices with a wish each fill the queue to its limit; after that people are told whom to ask."""
    school = School(tmp_path, url, limits=Limits(open_in_all=20))
    for number in range(20):
        school.ask(f"h{number}.example", address=f"10.20.0.{number}")
    with pytest.raises(TooMany, match="tell your teacher"):
        school.ask("one-more.example", address="10.20.1.1")
    assert school.ask("h3.example", address="10.20.1.2").id == "REQ-2026-0004"
    school.service.close()


def test_questions_and_answers(school, officer):
    """The officer asks back; only the device that asked answers; the answer is looked at for worrying words."""
    request = school.ask()
    asker = school.service.asking.asker(PUPIL)
    with pytest.raises(WorkflowError):
        school.service.asking.answer(request.reference, asker, "too early")
    asked = school.service.reviewing.ask_back(officer, request.id, "Which lesson?")
    assert asked.waiting_for_answer
    assert school.service.asking.standing(request.reference, asker).answer == "Which lesson?"
    assert not school.service.asking.standing(
        request.reference, school.service.asking.asker(OTHER_PUPIL)
    ).mine
    with pytest.raises(NotAllowed):
        school.service.asking.answer(request.reference, school.service.asking.asker(GUEST), "Geography")
    answered = school.service.asking.answer(
        request.reference.replace("-", " "), asker, "Geography, and I hate myself"
    )
    assert not answered.waiting_for_answer
    assert answered.safeguarding
    assert school.service.queue.groups(officer, Filter(safeguarding=True))[0].host == "blocked.example"


def test_short_references_read_aloud():
    """Short references have no letter that reads like another, and do not repeat by chance within a school."""
    seen = {short_reference(number * 4_001) for number in range(4_000)}
    assert len(seen) == 4_000
    assert not set("".join(seen)) & set("01OILAEU")


def test_the_key_is_made_once_and_kept_private(tmp_path):
    """Eight processes at once agree on one key; only its owner reads it."""
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: load_keys(tmp_path).secret, range(32)))
    assert len(keys) == 1
    assert (tmp_path / "portal.key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["portal.key"]
    (tmp_path / "portal.key").write_bytes(b"short")
    with pytest.raises(ValueError, match="damaged"):
        load_keys(tmp_path)
