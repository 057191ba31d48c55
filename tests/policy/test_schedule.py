"""Schedules, checked against a clock that is looked at every minute."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schoolgate_policy.fields import parse_days, parse_period
from schoolgate_policy.holiday import bank_holidays
from schoolgate_policy.schedule import (
    Calendar,
    DateRange,
    Period,
    Schedule,
    Season,
    Span,
    When,
    instants,
    overlapping,
)

LONDON = ZoneInfo("Europe/London")
MINUTE = timedelta(minutes=1)
CALENDAR = Calendar(
    LONDON,
    terms=(
        DateRange("autumn 2026", date(2026, 9, 2), date(2026, 12, 18)),
        DateRange("spring 2027", date(2027, 1, 4), date(2027, 3, 31)),
        DateRange("spring 2028", date(2028, 1, 4), date(2028, 3, 31)),
    ),
    closed=(DateRange("half term", date(2026, 10, 26), date(2026, 10, 30)),),
    bank_holidays=bank_holidays("england", {2026, 2027, 2028}),
)


def at(text: str) -> datetime:
    """Read an instant; without an offset it is London's wall clock (the first of two)."""
    value = datetime.fromisoformat(text)
    return (value if value.tzinfo else value.replace(tzinfo=LONDON)).astimezone(UTC)


def schedule(days: str, *times: str, season: Season = Season.ALWAYS) -> Schedule:
    """Make a schedule as policy.yaml writes it."""
    return Schedule("s", CALENDAR, [parse_period(text) for text in times], parse_days(days), season)


def oracle(what: Schedule, instant: datetime) -> bool:
    """Look at the clock on the wall: is it in a period that started today or yesterday?"""
    wall = instant.astimezone(what.calendar.zone)
    minute = wall.hour * 60 + wall.minute
    today, yesterday = wall.date(), wall.date() - timedelta(days=1)
    for period in what.periods:
        if period.end > period.start:
            if what.runs_on(today) and period.start <= minute < period.end:
                return True
        elif (what.runs_on(today) and minute >= period.start) or (
            what.runs_on(yesterday) and minute < period.end
        ):
            return True
    return False


@pytest.mark.parametrize(
    ("when", "active"),
    [
        ("2026-11-23T08:49:59", False),
        ("2026-11-23T08:50", True),
        ("2026-11-23T10:29:59.999999", True),
        ("2026-11-23T10:30", False),
        ("2026-11-23T10:50", True),
        ("2026-11-21T09:00", False),  # Saturday
        ("2026-10-27T09:00", False),  # half term
        ("2026-12-21T09:00", False),  # after term
        ("2027-03-26T09:00", False),  # Good Friday, within the term's dates
    ],
)
def test_lessons(when: str, active: bool) -> None:
    """Lessons are half-open stretches of school days."""
    lessons = schedule("mon-fri", "08:50-10:30", "10:50-12:10", season=Season.TERM)
    assert lessons.is_active(at(when)) is active


def test_over_midnight_belongs_to_the_day_it_starts() -> None:
    """Friday night reaches into Saturday, Sunday night does not exist."""
    night = schedule("fri", "22:00-06:00")
    assert night.is_active(at("2026-11-20T23:00"))
    assert night.is_active(at("2026-11-21T05:59"))
    assert not night.is_active(at("2026-11-21T06:00"))
    assert not night.is_active(at("2026-11-20T05:00"))
    assert night.next_change(at("2026-11-20T23:00")) == at("2026-11-21T06:00")


def test_the_last_day_of_term_runs_into_its_night() -> None:
    """The season is asked of the day a period starts."""
    night = schedule("mon-fri", "22:00-06:00", season=Season.TERM)
    assert night.is_active(at("2026-12-19T05:00"))
    assert not night.is_active(at("2026-12-19T22:30"))


def test_clocks_go_back() -> None:
    """On 25 October 2026 the hour from 01:00 happens twice, and so does a period in it."""
    half = schedule("sun", "01:15-01:45")
    first, second = at("2026-10-25T00:30Z"), at("2026-10-25T01:30Z")
    assert half.is_active(first)
    assert half.is_active(second)
    assert half.next_change(first) == at("2026-10-25T00:45Z")
    assert half.next_change(at("2026-10-25T00:45Z")) == at("2026-10-25T01:15Z")


def test_clocks_go_forward() -> None:
    """On 28 March 2027 the hour from 01:00 does not happen, nor does a period in it."""
    half = schedule("sun", "01:15-01:45")
    night = schedule("sat", "23:00-03:00")
    assert not half.is_active(at("2027-03-28T01:00Z"))
    assert half.next_change(at("2027-03-28T00:00Z")) == at("2027-04-04T00:15Z")
    assert night.next_change(at("2027-03-28T00:30Z")) == at("2027-03-28T02:00Z")


def test_periods_that_touch_are_one() -> None:
    """No edge is reported where one period follows another at once."""
    both = schedule("mon", "09:00-10:00", "10:00-11:00")
    assert both.next_change(at("2026-11-23T09:30")) == at("2026-11-23T11:00")


def test_always_and_never_have_no_next_change() -> None:
    """Whole days every day never end; a schedule whose days are over never starts."""
    always = schedule("mon-sun", "00:00-24:00")
    over = schedule("mon-fri", "09:00-10:00", season=Season.TERM)
    assert always.is_active(at("2026-11-23T09:30"))
    assert always.next_change(at("2026-11-23T09:30")) is None
    assert over.next_change(at("2030-01-01T00:00")) is None
    assert over.next_change(at("2026-12-19T00:00")) == at("2027-01-04T09:00")


def test_single_dates() -> None:
    """A schedule may name dates instead of weekdays."""
    fair = Schedule("fair", CALENDAR, [Period(600, 720)], dates=frozenset({date(2026, 12, 5)}))
    assert fair.next_change(at("2026-11-23T09:30")) == at("2026-12-05T10:00")
    assert fair.is_active(at("2026-12-05T10:00"))
    assert fair.next_change(at("2026-12-05T12:00")) is None


def test_holiday_is_what_term_is_not() -> None:
    """`in: holiday` covers half terms, bank holidays and the time between terms."""
    free = schedule("mon-fri", "09:00-10:00", season=Season.HOLIDAY)
    assert free.is_active(at("2026-10-27T09:30"))
    assert free.is_active(at("2027-03-26T09:30"))
    assert not free.is_active(at("2026-11-23T09:30"))


def test_two_years_minute_by_minute() -> None:
    """For two years, four clock changes and a leap day included, every minute is what the clock on the wall says."""
    what = Schedule(
        "s",
        CALENDAR,
        [Period(530, 630), Period(1320, 360), Period(75, 105)],
        frozenset({0, 2, 4, 6}),
        Season.TERM,
    )
    instant, end = at("2026-09-01T00:00"), at("2028-09-01T00:00")
    span = what.span(instant)
    edges = 0
    while instant < end:
        if instant == span.end:
            span, edges = what.span(instant), edges + 1
        assert oracle(what, instant) is span.active, instant
        instant += MINUTE
    assert edges > 300


@pytest.mark.parametrize("season", [Season.HOLIDAY, Season.ALWAYS])
def test_two_years_edge_by_edge(season: Season) -> None:
    """In the other seasons every stretch is right at its ends and in its middle."""
    what = Schedule(
        "s", CALENDAR, [Period(530, 630), Period(1320, 360), Period(75, 105)], frozenset({0, 2, 4, 6}), season
    )
    instant, end = at("2026-09-01T00:00"), at("2028-09-01T00:00")
    while instant < end:
        span = what.span(instant)
        stop = min(span.end or end, end)
        middle = (instant + (stop - instant) / 2).replace(second=0, microsecond=0)
        assert oracle(what, instant) is oracle(what, middle) is oracle(what, stop - MINUTE) is span.active
        if span.end is not None:
            assert oracle(what, span.end) is not span.active, span
        instant = stop


@pytest.mark.parametrize(
    ("nation", "own", "foreign"),
    [
        ("england", "2026-08-31", "2026-11-30"),
        ("wales", "2026-08-31", "2026-03-17"),
        ("scotland", "2026-11-30", "2026-04-06"),
        ("northern-ireland", "2026-07-13", "2026-01-02"),
    ],
)
def test_bank_holidays_of_the_four_nations(nation: str, own: str, foreign: str) -> None:
    """Each nation has its own days off, and all have Christmas; a school may have none."""
    days = bank_holidays(nation, {2026})
    assert date.fromisoformat(own) in days
    assert date.fromisoformat(foreign) not in days
    assert date(2026, 12, 25) in days
    assert not bank_holidays("none", {2026})


PERIODS = st.builds(Period, st.integers(0, 1439), st.integers(0, 1440)).filter(
    lambda period: period.start != period.end
)
SCHEDULES = st.builds(
    lambda periods, days, season: Schedule("s", CALENDAR, periods, days, season),
    st.lists(PERIODS, min_size=1, max_size=4),
    st.frozensets(st.integers(0, 6), min_size=1),
    st.sampled_from(Season),
)
MINUTES = st.integers(0, 2 * 365 * 24 * 60).map(lambda number: at("2026-09-01T00:00") + number * MINUTE)
NEAR_CHANGES = st.builds(
    lambda base, minutes: at(base) + minutes * MINUTE,
    st.sampled_from(["2026-10-24T12:00", "2027-03-27T12:00", "2027-10-30T12:00", "2028-02-28T12:00"]),
    st.integers(0, 2 * 24 * 60),
)


@settings(max_examples=400)
@given(SCHEDULES, st.one_of(MINUTES, NEAR_CHANGES))
def test_any_schedule_agrees_with_the_clock(what: Schedule, instant: datetime) -> None:
    """Active when the clock says so, constant on the span, and different at its end."""
    span = what.span(instant)
    assert instant in span
    assert span.active is oracle(what, instant)
    if span.end is not None:
        assert oracle(what, span.end) is not span.active
        step = max(MINUTE, (span.end - instant) // 50 // MINUTE * MINUTE)
        while instant < span.end:
            assert oracle(what, instant) is span.active
            instant += step
    else:
        for days in range(0, 800, 13):
            assert oracle(what, instant + timedelta(days=days)) is span.active


@given(SCHEDULES, MINUTES, MINUTES)
def test_memory_never_misleads(what: Schedule, one: datetime, other: datetime) -> None:
    """An answer does not depend on what was asked before, earlier or later."""
    fresh = Schedule("s", CALENDAR, what.periods, what.days, what.season)
    what.span(one)
    assert what.is_active(other) is fresh.is_active(other)


def test_when_is_any_of_its_parts() -> None:
    """`during: [a, not b]` is in force in a, and outside b."""
    a, b = schedule("mon", "09:00-10:00"), schedule("mon", "09:30-11:00")
    when = When(((a, False), (b, True)))
    assert when.span(at("2026-11-23T09:45")).active
    assert not when.span(at("2026-11-23T10:30")).active
    assert when.span(at("2026-11-23T10:30")).end == at("2026-11-23T11:00")
    assert str(when) == "s, not s"


def test_no_clock_change_costs_no_search() -> None:
    """An ordinary day is one interval; the two special nights are none or two."""
    ordinary = instants(datetime(2026, 11, 23, 9), datetime(2026, 11, 23, 10), LONDON)
    assert ordinary == [(at("2026-11-23T09:00Z"), at("2026-11-23T10:00Z"))]
    assert instants(datetime(2027, 3, 28, 1, 15), datetime(2027, 3, 28, 1, 45), LONDON) == []
    assert len(instants(datetime(2026, 10, 25, 1, 15), datetime(2026, 10, 25, 1, 45), LONDON)) == 2


def test_overlaps_are_found_whatever_the_order() -> None:
    """Terms that share a day are reported as pairs."""
    one = DateRange("one", date(2026, 9, 1), date(2026, 10, 1))
    two = DateRange("two", date(2026, 10, 1), date(2026, 11, 1))
    assert overlapping([two, one]) == [(one, two)]
    assert overlapping([one]) == []


def test_a_span_knows_its_ends() -> None:
    """Half-open: the start belongs to it, the end does not."""
    span = Span(at("2026-11-23T09:00"), at("2026-11-23T10:00"), active=True)
    assert span.start in span
    assert at("2026-11-23T10:00") not in span
