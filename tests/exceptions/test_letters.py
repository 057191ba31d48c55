"""Letters: what they say, that none is lost while the mail host is down, and that none comes in the holidays."""

from datetime import datetime, timedelta
from email.message import EmailMessage
from importlib.resources import files
from itertools import pairwise

import pytest
import sqlalchemy as sa
import yaml
from aiosmtpd.controller import Controller
from policies import local
from postman import Postman
from school import PUPIL, School

from schoolgate_exceptions.mails import Letter, compose, words
from schoolgate_exceptions.reminders import Reminders
from schoolgate_exceptions.roles import Role
from schoolgate_exceptions.workflow import State


def deliver(school: School) -> int:
    """Send what is due."""
    return {one.job: one for one in school.service.jobs.run_due()}["mail"].count


def text_of(message: EmailMessage) -> str:
    """Return the plain text of a letter."""
    part = message.get_body(("plain",))
    assert part is not None
    return part.get_content()


def test_the_head_decides_by_letter(posting, postman):
    """The letter has the case in plain text and HTML, nothing of it in the subject, and a link that works."""
    officer = posting.person("officer@school.example", Role.OFFICER)
    posting.person("head@school.example", Role.HEAD)
    posting.ask(reason="Volcanoes <b>& lava</b>")
    request = posting.recommended(officer)
    deliver(posting)
    letter = next(one for one in postman.letters if one["To"] == "head@school.example")
    assert letter["Subject"] == "1 website request waits for you"
    assert letter["Auto-Submitted"] == "auto-generated"
    text = text_of(letter)
    for said in (
        "blocked.example",
        "Volcanoes <b>& lava</b>",
        "Fine for Year 5",
        "pupils",
        "Until: 2026-12-01 00:00",
        request.id,
    ):
        assert said in text
    html = letter.get_body(("html",)).get_content()
    assert "Volcanoes &lt;b&gt;&amp; lava&lt;/b&gt;" in html
    assert "<script" not in html
    assert "http" not in html.replace("http://portal.example/", "")
    token = text.partition("http://portal.example/approve/")[2].split()[0]
    assert posting.service.approving.open_link(token).case.request.id == request.id
    posting.service.approving.send_code(token)
    assert deliver(posting) == 1
    code = text_of(postman.letters[-1]).partition("Your code is ")[2][:6]
    with posting.service.office.read() as connection:
        assert code not in str(connection.execute(sa.text("SELECT * FROM outbox")).all())
    assert posting.service.approving.decide_by_link(token, approve=True, code=code).state is State.APPLIED


def test_nothing_is_lost_while_the_mail_host_is_down(posting, port):
    """No host: tried again, later each time; a host that says no: again; then it goes out once, with one Message-ID."""
    officer = posting.person("officer@school.example", Role.OFFICER)
    posting.person("head@school.example", Role.HEAD)
    posting.recommended(officer)
    waits = []
    for _ in range(4):
        assert deliver(posting) == 0
        with posting.service.office.read() as connection:
            row = connection.execute(
                sa.text("SELECT next_at, problem, tries FROM outbox WHERE letter = 'approval'")
            ).one()
        assert "refused" in row.problem
        posting.clock.at += (due := datetime.fromisoformat(row.next_at)) - posting.clock.at
        waits.append(due)
    gaps = [(b - a).total_seconds() for a, b in pairwise(waits)]
    assert gaps == [120, 240, 480]
    postman = Postman()
    controller = Controller(postman, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        postman.answer = "451 come back later"
        assert deliver(posting) == 0
        posting.clock.forward(hours=4)
        postman.answer = "250 OK"
        assert deliver(posting) >= 1
        assert deliver(posting) == 0
    finally:
        controller.stop()
    mine = [one for one in postman.letters if "1 website request waits" in one["Subject"]]
    assert len(mine) == 1
    assert mine[0]["Message-ID"].endswith("@school.example>")


def test_what_was_decided_meanwhile_is_not_sent(posting, port):
    """A letter that asks for a decision is not sent once it was made; letters without a host are given up in a week."""
    officer = posting.person("officer@school.example", Role.OFFICER)
    head = posting.person("head@school.example", Role.HEAD)
    request = posting.recommended(officer)
    assert deliver(posting) == 0
    posting.service.approving.approve(head, request.id)
    posting.clock.forward(hours=1)
    deliver(posting)
    assert posting.service.outbox.waiting() == 0


def test_two_deliver_at_once(posting, postman):
    """Two processes that deliver send each letter once."""
    from concurrent.futures import ThreadPoolExecutor

    from schoolgate_exceptions.letters import Letters

    officer = posting.person("officer@school.example", Role.OFFICER)
    posting.person("head@school.example", Role.HEAD)
    for number in range(5):
        posting.recommended(officer, f"h{number}.example") if number == 0 else None
    other = posting.build()
    with ThreadPoolExecutor(2) as pool:
        done = list(
            pool.map(
                lambda s: s.outbox.deliver(Letters(s.approving._desk, s.people).render),
                (posting.service, other),
            )
        )
    other.close()
    assert sum(done) == len(postman.letters) == 1


def test_without_accounts_the_contacts_hear(posting, postman):
    """Where nobody has the role yet, the policy's contact gets the letter, without a link that decides."""
    officer = posting.person("officer@school.example", Role.OFFICER)
    posting.recommended(officer)
    deliver(posting)
    letter = next(one for one in postman.letters if one["To"] == "contact-head@school.example")
    assert "/approve/" not in text_of(letter)


def test_reminders_on_school_mornings_only(school, officer, head):
    """Not the same morning twice, not at the weekend, not in the holidays: on the next school morning."""
    school.clock.at = local("2026-12-18T14:00")  # the last Friday of term
    request = school.recommended(officer, until=local("2027-01-15T15:00"))
    due = Reminders(school.service.approving._desk)

    def told(at):
        school.clock.at = local(at)
        before = school.service.outbox.waiting()
        due.send_due()
        return school.service.outbox.waiting() - before

    assert told("2026-12-18T14:05") == 0  # told when it was recommended
    for quiet in ("2026-12-19T08:00", "2026-12-21T08:00", "2026-12-25T08:00", "2027-01-04T07:29"):
        assert told(quiet) == 0
    assert told("2027-01-04T07:30") == 1
    assert told("2027-01-04T09:00") == 0
    assert told("2027-01-05T07:31") == 1
    school.service.approving.approve(head, request.id)
    assert told("2027-01-06T07:31") == 0


def test_the_officer_hears_of_the_queue_in_the_morning(school, officer):
    """One letter each school morning in which something waits."""
    school.ask()
    due = Reminders(school.service.approving._desk)
    assert due.send_due() == 1
    assert due.send_due() == 0


def test_soon_to_end_is_said_once(school, officer, head):
    """Three days before its end the officer and who asked are told, once; a short window is not worth a letter."""
    request = school.recommended(officer)
    school.service.approving.approve(head, request.id)
    assert school.service.ending.tell_of_ends() == 0
    school.clock.forward(days=5)
    assert school.service.ending.tell_of_ends() == 1
    assert school.service.ending.tell_of_ends() == 0
    assert [one.id for one in school.service.ending.ending_soon()] == [request.id]


@pytest.mark.parametrize("language", ["en", "cy"])
@pytest.mark.parametrize("letter", Letter)
def test_every_letter_in_both_languages(letter, language):
    """Each letter can be written in English and in Welsh, and its subject names no site and no reason."""
    mail = compose(letter, language, "School", rows=[("host", "x.example"), ("reason", "why")],
                   link="http://p/x", code="123456", count=2, since="2026-11-23 08:00")  # fmt: skip
    assert "x.example" in mail.text
    assert "x.example" not in mail.subject
    assert f'lang="{language}"' in mail.html
    assert "{" not in mail.text


def test_languages_say_the_same():
    """Both files have the same keys; an unknown language is English."""

    def keys(value):
        return {key: keys(item) for key, item in value.items()} if isinstance(value, dict) else None

    folder = files("schoolgate_exceptions") / "texts"
    read = [
        yaml.safe_load((folder / f"mails.{language}.yaml").read_text("utf-8")) for language in ("en", "cy")
    ]
    assert keys(read[0]) == keys(read[1])
    assert words("fr") == words("en")
    assert PUPIL


def _outage(school: School, days: int) -> None:
    """Have the jobs run twice a day, with nobody to take a letter."""
    for _ in range(days * 2):
        school.clock.forward(hours=12)
        deliver(school)


def test_a_holiday_without_a_mail_host_loses_nothing(posting, port):
    """Sixteen days with the host down: every letter goes out when it is back, and none is counted as lost."""
    officer = posting.person("officer@school.example", Role.OFFICER)
    posting.person("head@school.example", Role.HEAD)
    posting.person("dsl@school.example", Role.DSL)
    posting.ask("other.example", reason="I want to die")
    posting.recommended(officer, until=posting.clock.at + timedelta(days=60))
    _outage(posting, 16)
    waiting = posting.service.outbox.waiting()
    assert waiting >= 2
    assert posting.service.outbox.given_up() == 0
    postman = Postman()
    controller = Controller(postman, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        _outage(posting, 1)
    finally:
        controller.stop()
    assert posting.service.outbox.waiting() == 0
    told = [str(one["To"]) for one in postman.letters]
    assert told.count("dsl@school.example") == 1
    assert "head@school.example" in told


def test_a_letter_is_never_lost_silently(posting):
    """After a month without a mail host a letter is given up: in the audit, on its request, and counted for the home page."""
    officer = posting.person("officer@school.example", Role.OFFICER)
    posting.person("dsl@school.example", Role.DSL)
    request = posting.ask(reason="I want to die")
    posting.clock.forward(days=29)
    _outage(posting, 1)
    assert posting.service.outbox.given_up() == 0
    _outage(posting, 1)
    assert posting.service.conditions.now().mail.given_up >= 1
    with posting.service.office.read() as connection:
        lost = [
            row
            for row in posting.service.office.audit.entries(connection, subject=request.id)
            if row.action == "letter.given-up"
        ]
    assert [row.details["letter"] for row in lost] == ["safeguarding"]
    unsent = posting.service.queue.case(officer, request.id).request.unsent
    assert unsent == "the letter `safeguarding` to dsl@school.example could not be sent"
    posting.service.retention.purge()
    assert posting.service.outbox.given_up() >= 1  # it stands there for a month
    posting.clock.forward(days=31)
    proof = {one.what: one for one in posting.service.retention.purge()}["letters"]
    assert proof.is_proved
