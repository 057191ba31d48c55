"""What the queue and a case say to who decides: how old, how many, and each reason to think twice; and a flood of wishes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from policies import CATALOGUE, lists, local
from school import PUPIL, School

from schoolgate_exceptions.errors import TooMany
from schoolgate_exceptions.granting import Concern, objections
from schoolgate_exceptions.kinds import Kind, Purpose
from schoolgate_exceptions.model import Ask, Grant
from schoolgate_exceptions.office import Limits
from schoolgate_exceptions.queue import Age, Filter, age_of
from schoolgate_exceptions.roles import Role
from schoolgate_exceptions.tables import outbox
from schoolgate_policy.engine import Engine
from schoolgate_policy.load import parse_policy
from schoolgate_policy.model import MinimumAge


def _letters(school: School) -> list[str]:
    with school.service.office.read() as connection:
        return list(connection.execute(sa.select(outbox.c.letter).order_by(outbox.c.number)).scalars())


@pytest.mark.parametrize(
    ("now", "age"),
    [
        ("2026-11-23T16:00", Age.NEW),  # the same Monday
        ("2026-11-24T00:00", Age.WAITING),
        ("2026-11-25T23:59", Age.WAITING),
        ("2026-11-26T00:00", Age.LATE),  # the third school day since
    ],
)
def test_how_long_a_request_has_waited(school, now, age):
    """New until the next school day begins, late from the third on."""
    request = school.ask()
    assert age_of(request, school.service.office.policy, local(now)) is age


def test_weekends_and_holidays_make_nothing_late(school):
    """What was asked for on a Friday is new on Sunday, and what was asked before half term waits through it as one day."""
    request = school.ask()
    policy = school.service.office.policy
    friday = replace(request, created_at=local("2026-11-27T14:00"))
    assert age_of(friday, policy, local("2026-11-29T20:00")) is Age.NEW
    assert age_of(friday, policy, local("2026-11-30T08:00")) is Age.WAITING
    before = replace(request, created_at=local("2026-10-23T14:00"))
    assert age_of(before, policy, local("2026-11-01T20:00")) is Age.NEW
    assert age_of(before, policy, local("2026-11-02T08:00")) is Age.WAITING


def test_the_groups_have_the_badge(school, officer):
    """The queue shows the age of each request, the oldest group first."""
    school.ask("other.example")
    school.clock.forward(days=3)
    school.ask("blocked.example")
    groups = school.service.queue.groups(officer)
    assert [(one.host, one.entries[0].age) for one in groups] == [
        ("other.example", Age.LATE),
        ("blocked.example", Age.NEW),
    ]


def _engine(school: School, minimum: int, age: int | None) -> Engine:
    """Return the school's policy with a minimum age for Facebook and an age of the pupils."""
    services = dict(CATALOGUE.services)
    services["facebook"] = replace(services["facebook"], min_age=MinimumAge(minimum, "tests"))
    catalogue = replace(CATALOGUE, services=services)
    text = school.policy.read_text()
    if age is not None:
        text = text.replace("people: pupil,", f"people: pupil, age: {age},")
    text = text.replace("locked:\n  iwf: {file: locked.txt}\n", "")
    policy, issues = parse_policy(text.encode(), "policy.yaml", catalogue, lists)
    assert policy is not None, issues
    return Engine(policy)


@pytest.mark.parametrize(
    ("target", "minimum", "age", "whom", "found"),
    [
        ("facebook", 13, 11, "pupils", True),
        ("facebook", 13, 13, "pupils", None),
        ("facebook", 13, None, "pupils", False),
        ("facebook", 12, None, "pupils", None),  # too young an age to be worth a warning
        ("facebook", 18, None, "staff", None),
        ("www.facebook.com", 13, 11, "pupils", True),
        ("example.org", 13, 11, "pupils", None),
        ("category:social-network", 13, 11, "pupils", True),
        ("category:video", 13, 11, "pupils", None),
        ("facebook", 13, 11, "", True),  # for everybody is for pupils too
    ],
)
def test_minimum_age(school, officer, target, minimum, age, whom, found):
    """Too young for certain: refused. Nobody wrote down how old they are: a warning. Staff, and old enough: nothing."""
    request = school.ask("facebook.com")
    grant = replace(
        school.service.queue.case(officer, request.id).grant,
        targets=(target,),
        whom=(whom,) if whom else (),
    )
    told = objections(request, grant, _engine(school, minimum, age), school.clock.at)
    ages = [one.blocks for one in told if one.concern is Concern.MINIMUM_AGE]
    assert ages == ([] if found is None else [found])


def _concerns(school: School, officer, **changes: object) -> dict[Concern, bool]:
    request = school.ask()
    grant: Grant = school.service.queue.case(officer, request.id).grant
    shown = school.service.queue.preview(officer, request.id, replace(grant, **changes))
    return {one.concern: one.blocks for one in shown.objections}


def test_what_makes_one_think_twice(school, officer):
    """A whole category, every network, and what is open there already are said and not forbidden."""
    assert _concerns(school, officer) == {}
    assert _concerns(school, officer, targets=("category:video",)) == {Concern.WIDE: False}
    assert _concerns(school, officer, targets=("everything",)).items() >= {Concern.WIDE: False}.items()
    assert _concerns(school, officer, whom=()) == {Concern.EVERYBODY: False}
    school.policy.write_text(
        school.policy.read_text().replace("always_allow: []", "").rstrip("\n")
        + "\nalways_allow: [blocked.example]\n"
    )
    assert _concerns(school, officer) == {Concern.OPEN_ALREADY: False}


def test_a_long_queue_says_how_long_it_is(school, officer):
    """A list shows so many at most; `count` says how many there are, by the same filter."""
    for number in range(7):
        school.ask(f"h{number}.example", address=f"10.20.0.{number}")
    shown = school.service.queue.listed(officer, Filter(most=3))
    assert [one.host for one in shown] == ["h0.example", "h1.example", "h2.example"]
    assert school.service.queue.count(officer, Filter(most=3)) == 7
    assert school.service.queue.count(officer, Filter(host="h6")) == 1


@pytest.mark.parametrize(
    ("lasts", "quiet", "due"),
    [
        (timedelta(days=2), timedelta(hours=23), timedelta(hours=24)),
        (timedelta(hours=6), timedelta(hours=2, minutes=59), timedelta(hours=3)),
        (timedelta(days=3), timedelta(hours=35), timedelta(hours=36)),
        (timedelta(days=10), timedelta(days=6, hours=23), timedelta(days=7)),
    ],
)
def test_short_exceptions_get_their_letter_too(school, officer, head, lasts, quiet, due):
    """Three days before the end, or when half the time is over where it lasts three days or less; once."""
    request = school.recommended(officer, until=school.clock.at + lasts)
    school.service.approving.approve(head, request.id)
    start = school.clock.at
    school.clock.at = start + quiet
    assert school.service.ending.tell_of_ends() == 0
    school.clock.at = start + due
    assert school.service.ending.tell_of_ends() == 1
    assert school.service.ending.tell_of_ends() == 0
    assert _letters(school).count("ending") == 1


def test_reminders_at_the_edge_of_a_day(school, officer, head):
    """Recommended a second before midnight or after it: reminded at half past seven of that morning, once a day."""
    from schoolgate_exceptions.reminders import Reminders

    reminders = Reminders(school.service.approving._desk)
    school.clock.at = local("2026-11-23T23:59:59")
    school.recommended(officer)
    for moment, told in (
        ("2026-11-24T00:00:00", 0),
        ("2026-11-24T07:29:59", 0),
        ("2026-11-24T07:30:00", 1),
        ("2026-11-24T07:30:01", 0),
        ("2026-11-24T23:59:59", 0),
        ("2026-11-25T00:00:00", 0),
        ("2026-11-25T07:30:00", 1),
        ("2026-11-28T07:30:00", 0),  # a Saturday
    ):
        school.clock.at = local(moment)
        reminders.send_due()
        assert _letters(school).count("reminder") == told, moment
        with school.service.office.write() as connection:
            connection.execute(outbox.delete())


def test_a_morning_in_the_night_the_clocks_change(school, officer, head):
    """The morning after the clocks went back is half past seven by the school's clock, and comes once."""
    from schoolgate_exceptions.reminders import Reminders

    reminders = Reminders(school.service.approving._desk)
    school.clock.at = datetime(2027, 3, 26, 23, 30, tzinfo=UTC)
    school.policy.write_text(school.policy.read_text().replace("to: 2027-03-25", "to: 2027-04-01"))
    school.recommended(officer)
    for moment, told in (
        (datetime(2027, 3, 29, 6, 29, tzinfo=UTC), 0),
        (datetime(2027, 3, 30, 6, 30, tzinfo=UTC), 1),
    ):
        school.clock.at = moment
        reminders.send_due()
        assert _letters(school).count("reminder") == told


@pytest.mark.timeout(900)
def test_ten_thousand_devices_with_a_wish_each(tmp_path, sqlite_only):
    """Many devices for many hosts: the queue fills to its limit, one audit row says so, and a report still comes through."""
    school = School(tmp_path, sqlite_only, limits=Limits(open_in_all=600))
    officer = school.person("officer@school.example", Role.OFFICER)
    turned_away, asking = 0, school.service.asking
    for number in range(10_000):
        address = f"10.20.{number // 250}.{number % 250}"
        ask = Ask(Kind.UNBLOCK, Purpose.LESSON, "Volcanoes", None, f"h{number}.blocked.example")
        try:
            asking.submit(ask, asking.asker(address), address)
        except TooMany:
            turned_away += 1
    limit = school.limits.open_in_all
    assert school.service.queue.count(officer) == limit
    assert turned_away == 10_000 - limit
    assert len(school.service.queue.listed(officer)) == Filter().most
    with school.service.office.read() as connection:
        actions = [row.action for row in school.service.office.audit.entries(connection)]
    assert actions.count("request.limited") == 1
    report = Ask(Kind.REPORT, Purpose.OTHER, "somebody there scares me", None, "open.example")
    assert asking.submit(report, asking.asker(PUPIL), PUPIL).fresh
    school.service.close()
