"""Who looks at personal data, and who comes with a link that is not good, stands in the audit."""

from dataclasses import replace
from datetime import timedelta
from email.message import EmailMessage

import pytest
from school import OTHER_PUPIL, PUPIL, STAFF, School

from schoolgate_exceptions.errors import InvalidToken, TooMany
from schoolgate_exceptions.kinds import Kind, Purpose
from schoolgate_exceptions.model import Ask
from schoolgate_exceptions.office import Limits
from schoolgate_exceptions.queue import Filter
from schoolgate_exceptions.roles import Actor, Role

WORRYING = "I want to die"


def rows(school: School, *actions: str) -> list[tuple[str, str, str]]:
    """Return who did what to whom, of some actions."""
    with school.service.office.read() as connection:
        found = list(school.service.office.audit.entries(connection))
    return [(row.who, row.action, row.subject) for row in found if row.action in actions]


def link_of(letter: EmailMessage) -> str:
    """Return the token of a letter's link."""
    part = letter.get_body(("plain",))
    assert part is not None
    return part.get_content().partition("/approve/")[2].split()[0]


def test_each_who_looks_at_a_flagged_case_is_noted(school, officer, head):
    """Once an hour for each of them, with the case as subject, so that a hold keeps the row as long as the case."""
    name = school.ask(reason=WORRYING).id
    for _ in range(2):
        school.service.queue.case(officer, name)
        school.service.queue.case(head, name)
    seen = [
        ("officer@school.example", "request.seen", name),
        ("head@school.example", "request.seen", name),
    ]
    assert rows(school, "request.seen") == seen
    school.service.queue.hold(head, name, "police case 7")
    school.clock.forward(days=6 * 366)
    school.service.retention.purge()
    assert rows(school, "request.seen") == seen


def test_a_list_with_flagged_cases_is_noted_once_a_day(school, officer):
    """To list or export requests about people is a look as well; a list without any, and a mere count, is none."""
    school.ask()
    school.service.queue.listed(officer)
    assert rows(school, "queue.seen") == []
    school.ask("other.example", address=OTHER_PUPIL, reason=WORRYING)
    assert school.service.queue.count(officer) == 2
    assert rows(school, "queue.seen") == []
    for _ in range(3):
        school.service.queue.listed(officer)
        school.service.queue.listed(officer, Filter(safeguarding=True))
    assert rows(school, "queue.seen") == [("officer@school.example", "queue.seen", "queue")]
    school.service.queue.listed(Actor(frozenset({Role.OFFICER}), name="terminal"))
    assert rows(school, "queue.seen")[1:] == [("terminal", "queue.seen", "queue")]
    school.clock.forward(days=1, minutes=1)
    school.service.queue.listed(officer)
    assert len(rows(school, "queue.seen")) == 3


def test_a_look_by_a_link_is_noted(posting, postman):
    """Who opens the link of a letter sees a named person's request: noted with the link's owner."""
    officer = posting.person("officer@school.example", Role.OFFICER)
    posting.person("head@school.example", Role.HEAD)
    teacher = posting.person("anna@school.example", Role.TEACHER)
    ask = Ask(Kind.UNBLOCK, Purpose.WORK, "Forum", None, "blocked.example")
    name = posting.service.asking.submit(ask, teacher, STAFF).request.id
    grant = replace(posting.service.queue.case(officer, name).grant, reason="A forum")
    posting.service.reviewing.recommend(officer, name, grant, "fine")
    posting.service.jobs.run_due()
    token = next(link_of(one) for one in postman.letters if "/approve/" in one.as_string())
    for _ in range(3):
        posting.service.approving.open_link(token)
    assert ("head@school.example", "request.seen", name) in rows(posting, "request.seen")
    assert len(rows(posting, "request.seen")) == 2


def test_codes_are_sent_a_few_times_only(posting, postman):
    """Who holds a link cannot have its owner written to without end."""
    officer = posting.person("officer@school.example", Role.OFFICER)
    posting.person("head@school.example", Role.HEAD)
    posting.recommended(officer)
    posting.service.jobs.run_due()
    token = next(link_of(one) for one in postman.letters if "/approve/" in one.as_string())
    for _ in range(Limits().codes):
        posting.service.approving.send_code(token)
    with pytest.raises(TooMany, match="sign in"):
        posting.service.approving.send_code(token)
    posting.service.approving.open_link(token)


def test_audit_and_accounts_that_somebody_reads(school, officer):
    """To read all that the audit has about one subject is a row of its own."""
    name = school.ask(reason=WORRYING).id
    for _ in range(2):
        school.service.audit.of(officer, name)
    school.service.audit.of(officer, "nobody@school.example")
    assert rows(school, "audit.seen") == [("officer@school.example", "audit.seen", name)]


def test_pages_of_people_and_bad_links(live):
    """To look at somebody's page is noted, at one's own it is not; a bad link leaves a row for each device and hour."""
    school = live.school
    officer = live.signed_in("officer@school.example", Role.OFFICER)
    school.person("anna@school.example", Role.TEACHER)
    numbers = {one.email: one.number for one in school.service.accounts.listed()}
    for email in ("anna@school.example", "anna@school.example", "officer@school.example"):
        assert officer.get(f"/people/{numbers[email]}").status_code == 200
    assert rows(school, "person.seen") == [("officer@school.example", "person.seen", "anna@school.example")]
    somebody = live.browser()
    for _ in range(3):
        assert somebody.get("/approve/forged").status_code == 410
        assert somebody.get("/ask", about="forged").status_code == 410
    assert [action for _, action, _ in rows(school, "approval.refused", "reference.refused")] == [
        "approval.refused",
        "reference.refused",
    ]


def test_a_stale_link_is_noted(school):
    """The service says so as well, whoever asks."""
    actor = school.service.asking.asker(PUPIL)
    with pytest.raises(InvalidToken) as found:
        school.service.approving.open_link("forged")
    for _ in range(2):
        school.service.approving.note_refused(actor, str(found.value))
    school.clock.forward(hours=1, seconds=1)
    school.service.approving.note_refused(actor, str(found.value))
    assert len(rows(school, "approval.refused")) == 2


def test_sessions_end_when_the_policy_says(school, officer):
    """`privacy.keep_sessions` says how long somebody stays signed in, how long the row is kept, and what is proved."""
    school.policy.write_text(
        school.policy.read_text().replace("keep_audit: 6 years", "keep_audit: 6 years, keep_sessions: 1 hour")
    )
    signed = school.service.signing_in.by_password("officer@school.example", "three random words", PUPIL)
    for _ in range(3):
        school.clock.forward(minutes=20)
        assert school.service.sessions.find(signed.cookie) is not None
    school.clock.forward(minutes=1)
    assert school.service.sessions.find(signed.cookie) is None
    proof = {one.what: one for one in school.service.retention.purge()}["sessions"]
    assert (proof.removed, proof.left, proof.is_proved) == (1, 0, True)
    assert proof.limit == school.clock.at - timedelta(hours=1)
