"""Accounts, passwords, second factor, sessions and forms."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa
from school import KEYS, PASSWORD

from schoolgate_exceptions import csrf, totp
from schoolgate_exceptions.accounts import Holding
from schoolgate_exceptions.errors import (
    InvalidInput,
    InvalidToken,
    NotAllowed,
    NotFound,
    SignInFailed,
    TooMany,
)
from schoolgate_exceptions.keys import Keys
from schoolgate_exceptions.roles import SYSTEM, Role

RFC_KEY = b"12345678901234567890"
HERE = "10.10.0.5"


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (2000000000, "279037"),
     (20000000000, "353130")],
)  # fmt: skip
def test_codes_of_rfc_6238(seconds, code):
    """The test vectors of RFC 6238 appendix B, to six digits."""
    at = datetime.fromtimestamp(seconds, UTC)
    assert totp.code_at(RFC_KEY, totp.step_of(at)) == code
    assert totp.matching_step(RFC_KEY, f" {code[:3]} {code[3:]}", at, 0) == seconds // 30


def test_a_code_works_once_and_for_a_minute():
    """A code that was used, an older one, and one more than thirty seconds off are refused."""
    at = datetime.fromtimestamp(1_000_000_000, UTC)
    step = totp.step_of(at)
    assert totp.matching_step(RFC_KEY, totp.code_at(RFC_KEY, step - 1), at, 0) == step - 1
    assert totp.matching_step(RFC_KEY, totp.code_at(RFC_KEY, step - 2), at, 0) is None
    assert totp.matching_step(RFC_KEY, totp.code_at(RFC_KEY, step), at, step) is None
    for wrong in ("", "000000", "12345", "１２３４５６", "x" * 999):
        assert totp.matching_step(RFC_KEY, wrong, at, 0) is None


def test_first_run(school):
    """The first account is made with a token; there is no second first one, and an older token is dead."""
    old = school.service.accounts.first_invitation()
    token = school.service.accounts.first_invitation()
    with pytest.raises(InvalidToken):
        school.service.accounts.set_up(old, "a@school.example", "A", PASSWORD)
    with pytest.raises(InvalidInput):
        school.service.accounts.set_up(token, "a@school.example", "A", "short")
    made = school.service.accounts.set_up(token, "Anna@School.Example", "Anna", PASSWORD)
    assert made.email == "anna@school.example"
    assert made.roles(date(2026, 11, 23)) == {Role.OFFICER, Role.TECHNICIAN}
    with pytest.raises(InvalidToken):
        school.service.accounts.set_up(token, "b@school.example", "B", PASSWORD)
    assert school.service.accounts.first_invitation() is None


@pytest.mark.parametrize(
    "password",
    ["short", "passwordpassword", "annas own words", "aaaaaaaaaaaa", "x" * 201, "schoolgate rules"],
)
def test_passwords_that_anybody_guesses(school, password):
    """Short, obvious, repeated, overlong passwords and those with one's own name are refused."""
    with pytest.raises(InvalidInput) as found:
        school.service.accounts.add(SYSTEM, "anna@school.example", "Anna", (), password=password)
    assert list(found.value.fields) == ["password"]


@pytest.mark.parametrize(
    "email", ["", "a", "a@b", "a b@c.example", "a@c.example\nBcc: x@y.example", "a@c.example,b@c.example"]
)
def test_addresses_that_are_none(school, email):
    """What is no single address is refused, so that no letter goes astray."""
    with pytest.raises(InvalidInput):
        school.service.accounts.add(SYSTEM, email, "A", ())


def test_signing_in_and_out(school):
    """A right password opens a session that works until it is ended; a changed cookie never does."""
    school.person("teacher@school.example", Role.TEACHER)
    signed = school.service.signing_in.by_password("Teacher@school.example ", PASSWORD, HERE)
    found = school.service.sessions.find(signed.cookie)
    assert found.actor.has(Role.TEACHER)
    assert not found.incomplete
    for forged in ("", "x", signed.cookie[:-2], signed.cookie + "x", "é"):
        assert school.service.sessions.find(forged) is None
    school.service.sessions.end(found)
    assert school.service.sessions.find(signed.cookie) is None


def test_sessions_end(school, officer):
    """Idle for half an hour, ten hours old, revoked, password changed, account closed: gone."""
    person = school.person("teacher@school.example", Role.TEACHER)

    def sign_in():
        return school.service.signing_in.by_password("teacher@school.example", PASSWORD, HERE).cookie

    cookie = sign_in()
    school.clock.forward(minutes=30)
    assert school.service.sessions.find(cookie)
    school.clock.forward(minutes=31)
    assert not school.service.sessions.find(cookie)
    cookie = sign_in()
    for _ in range(29):
        school.clock.forward(minutes=20)
        assert school.service.sessions.find(cookie)
    school.clock.forward(minutes=21)
    assert not school.service.sessions.find(cookie)
    cookie = sign_in()
    assert school.service.sessions.end_all(officer, "teacher@school.example") >= 1
    assert not school.service.sessions.find(cookie)
    cookie = sign_in()
    school.service.accounts.change_password(person, PASSWORD, "three other words")
    assert not school.service.sessions.find(cookie)
    cookie = school.service.signing_in.by_password("teacher@school.example", "three other words", HERE).cookie
    school.service.accounts.close(officer, "teacher@school.example")
    assert not school.service.sessions.find(cookie)
    with pytest.raises(SignInFailed):
        sign_in()


def test_the_language_of_letters(school, officer):
    """The owner of an account chooses it, or who looks after accounts; nobody else, and only one that there is."""
    accounts = school.service.accounts
    person = school.person("teacher@school.example", Role.TEACHER)
    assert accounts.set_language(person, "teacher@school.example", "cy").language == "cy"
    assert accounts.set_language(officer, "Teacher@school.example", "en").language == "en"
    with pytest.raises(NotAllowed):
        accounts.set_language(person, officer.email, "cy")
    with pytest.raises(InvalidInput):
        accounts.set_language(person, "teacher@school.example", "fr")
    with school.service.office.read() as connection:
        assert accounts.by_email(connection, officer.email).language == "en"


def test_officer_and_head_need_a_second_factor(school, officer):
    """Without the code the session has none of the rights; the code completes it, once; a thief cannot enrol anew."""
    first = school.service.signing_in.by_password("officer@school.example", PASSWORD, HERE).session
    assert first.incomplete
    assert not first.actor.has(Role.OFFICER)
    key, uri = school.service.accounts.begin_second_factor(first.actor)
    assert uri.startswith("otpauth://totp/Test%20School%3Aofficer%40school.example?secret=")
    with pytest.raises(SignInFailed):
        school.service.sessions.enrol(first, key, "000000")
    now = totp.step_of(school.clock.at)
    assert school.service.sessions.enrol(first, key, totp.code_at(key, now)).actor.has(Role.OFFICER)
    signed = school.service.signing_in.by_password("officer@school.example", PASSWORD, HERE)
    assert school.service.sessions.complete(signed.session, totp.code_at(key, now)) is None
    with pytest.raises(NotAllowed):
        school.service.sessions.enrol(signed.session, b"x" * 20, totp.code_at(b"x" * 20, now))
    school.clock.forward(seconds=30)
    assert school.service.sessions.complete(signed.session, totp.code_at(key, now + 1))
    assert school.service.sessions.find(signed.cookie).actor.has(Role.OFFICER)
    with school.service.office.read() as connection:
        kept = connection.execute(sa.text("SELECT second_factor FROM accounts")).scalars().all()
    assert key.hex() not in str(kept)
    assert kept[0].startswith("gAAAA")


def test_guessing_is_slowed_down(school):
    """After five failures of a name also the right password waits; from one address after thirty of any names."""
    school.person("teacher@school.example", Role.TEACHER)
    for number in range(5):
        with pytest.raises(SignInFailed):
            school.service.signing_in.by_password("teacher@school.example", f"wrong {number}", HERE)
    with pytest.raises(TooMany):
        school.service.signing_in.by_password("teacher@school.example", PASSWORD, "10.10.0.99")
    again = school.build()  # a restart forgives nobody
    with pytest.raises(TooMany):
        again.signing_in.by_password("teacher@school.example", PASSWORD, HERE)
    again.close()
    school.clock.forward(minutes=16)
    assert school.service.signing_in.by_password("teacher@school.example", PASSWORD, HERE)
    for number in range(30):
        with pytest.raises(SignInFailed):
            school.service.signing_in.by_password(f"nobody{number}@school.example", "x", "10.20.0.9")
    with pytest.raises(TooMany):
        school.service.signing_in.by_password("teacher@school.example", PASSWORD, "10.20.0.9")
    with school.service.office.read() as connection:
        assert "10.20.0.9" not in str(connection.execute(sa.text("SELECT * FROM sign_ins")).all())


def test_many_guesses_at_once_are_counted(school):
    """Twenty guesses in the same instant get no more tries than twenty one after the other."""
    school.person("teacher@school.example", Role.TEACHER)

    def guess(number):
        try:
            school.service.signing_in.by_password("teacher@school.example", f"wrong {number}", HERE)
        except (SignInFailed, TooMany) as error:
            return type(error)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(guess, range(20)))
    assert results.count(SignInFailed) == 5
    assert results.count(TooMany) == 15


def test_roles_and_invitations(school, officer):
    """Nobody changes their own roles; a deputy has dates; an invitation works once, within a week."""
    with pytest.raises(NotAllowed):
        school.service.accounts.set_roles(officer, "officer@school.example", [Holding(Role.HEAD)])
    teacher = school.person("teacher@school.example", Role.TEACHER)
    with pytest.raises(NotAllowed):
        school.service.accounts.add(teacher, "b@school.example", "B", [])
    for holdings in (
        [Holding(Role.SYSTEM)],
        [Holding(Role.DEPUTY)],
        [Holding(Role.DEPUTY, date(2027, 1, 2), date(2027, 1, 1))],
    ):
        with pytest.raises(InvalidInput):
            school.service.accounts.set_roles(officer, "teacher@school.example", holdings)
    token = school.service.accounts.invite(officer, "teacher@school.example")
    with pytest.raises(InvalidInput):
        school.service.accounts.accept(token, "short")
    school.service.accounts.accept(token, "three fresh words")
    with pytest.raises(InvalidToken):
        school.service.accounts.accept(token, "three fresh words")
    token = school.service.accounts.invite(officer, "teacher@school.example")
    school.clock.forward(days=7)
    with pytest.raises(InvalidToken):
        school.service.accounts.accept(token, "three fresh words")
    with pytest.raises(NotFound):
        school.service.accounts.invite(officer, "nobody@school.example")


@pytest.mark.parametrize(
    ("method", "site", "origin", "fine"),
    [
        ("GET", "cross-site", "", True), ("POST", "same-origin", "", True), ("POST", "same-site", "", False),
        ("POST", "cross-site", "http://portal.example", False), ("POST", "none", "", False), ("POST", "", "", False),
        ("POST", "", "http://portal.example", True), ("POST", "", "http://PORTAL.example", True),
        ("POST", "", "http://portal.example.evil", False), ("POST", "", "null", False), ("PUT", "", "https://x", False),
    ],
)  # fmt: skip
def test_forms_come_from_our_own_pages(method, site, origin, fine):
    """Fetch Metadata decides where there is any, else the Origin; a form without either is refused."""
    assert csrf.is_same_site(method, "portal.example", fetch_site=site, origin=origin) is fine


def test_form_tokens_are_bound():
    """A token serves one session and one purpose, under one key."""
    token = csrf.form_token(KEYS, "session", "approve")
    assert csrf.is_token(KEYS, "session", token, "approve")
    for keys, session, text, purpose in (
        (KEYS, "other", token, "approve"), (KEYS, "session", token, ""), (KEYS, "", token, "approve"),
        (Keys(b"x"), "session", token, "approve"), (KEYS, "session", "é", "approve"),
    ):  # fmt: skip
        assert not csrf.is_token(keys, session, text, purpose)


def test_sessions_of_a_deputy_follow_the_dates(school):
    """Rights in a session end with the deputy's last day, without signing in again."""
    school.person("deputy@school.example", Role.DEPUTY, last=date(2026, 11, 23))
    signed = school.service.signing_in.by_provider("deputy@school.example", "google")
    school.clock.at = datetime(2026, 11, 23, 23, 50, tzinfo=UTC)
    signed = school.service.signing_in.by_provider("deputy@school.example", "google")
    assert school.service.sessions.find(signed.cookie).actor.has(Role.DEPUTY)
    school.clock.forward(minutes=15)
    assert not school.service.sessions.find(signed.cookie).actor.has(Role.DEPUTY)
    with pytest.raises(SignInFailed):
        school.service.signing_in.by_provider("stranger@school.example", "google")
    assert timedelta(minutes=15)
