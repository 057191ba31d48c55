"""When a rule bites: weekly periods of wall-clock time within the school calendar.

Times are judged as a clock on the classroom wall shows them, in the policy's zone: on the night the clocks go back
a period between 01:00 and 02:00 happens twice, on the night they go forward it does not happen. Periods are
half-open `[start, end)`; one that runs past midnight belongs to the day it starts. Nothing here reads a clock.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from zoneinfo import ZoneInfo

_DAY = timedelta(days=1)
_PROBE = timedelta(hours=30)  # further than any period is long, so that a clock change inside it is noticed
_ALWAYS_START = datetime.min.replace(tzinfo=UTC)


class Season(StrEnum):
    """Which days of the school year a schedule speaks of."""

    TERM = "term"
    HOLIDAY = "holiday"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class DateRange:
    """Some days with a name; both ends belong to it."""

    name: str
    first: date
    last: date

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last


@dataclass(frozen=True, slots=True)
class Calendar:
    """The school year in one time zone: a day of term is within a term, not closed and no bank holiday."""

    zone: ZoneInfo
    terms: tuple[DateRange, ...] = ()
    closed: tuple[DateRange, ...] = ()
    bank_holidays: frozenset[date] = frozenset()

    def is_term(self, day: date) -> bool:
        """Whether the school teaches on this day of the year, weekends aside."""
        return (
            any(day in term for term in self.terms)
            and day not in self.bank_holidays
            and not any(day in closure for closure in self.closed)
        )

    def covers(self, season: Season, day: date) -> bool:
        """Whether a day belongs to a season."""
        return season is Season.ALWAYS or self.is_term(day) is (season is Season.TERM)

    @property
    def last_day(self) -> date:
        """The last day the calendar says anything about; every later day is like every other."""
        return max((part.last for part in (*self.terms, *self.closed)), default=date.min)


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of wall-clock time in minutes since midnight; `end` at or before `start` lies on the next day."""

    start: int
    end: int

    def on(self, day: date) -> tuple[datetime, datetime]:
        """Return its naive wall-clock ends when it starts on `day`."""
        midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - wall-clock time has no offset
        length = self.end if self.end > self.start else self.end + 24 * 60
        return midnight + timedelta(minutes=self.start), midnight + timedelta(minutes=length)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time `[start, end)` during which something is or is not in force; `end` None is for ever."""

    start: datetime
    end: datetime | None
    active: bool

    def __contains__(self, at: datetime) -> bool:
        return self.start <= at and (self.end is None or at < self.end)


ALWAYS = Span(_ALWAYS_START, None, active=True)


class Schedule:
    """A named set of periods on some weekdays (Monday is 0) or single dates, in a season of the calendar."""

    __slots__ = ("_last", "calendar", "dates", "days", "id", "periods", "season")

    def __init__(
        self,
        id_: str,
        calendar: Calendar,
        periods: Iterable[Period],
        days: frozenset[int] = frozenset(range(7)),
        season: Season = Season.ALWAYS,
        dates: frozenset[date] = frozenset(),
    ) -> None:
        self.id = id_
        self.calendar = calendar
        self.periods = tuple(periods)
        self.days = days
        self.season = season
        self.dates = dates
        self._last = Span(_ALWAYS_START, _ALWAYS_START, active=False)

    def span(self, at: datetime) -> Span:
        """Return the stretch around an aware instant in which this schedule does not change."""
        if at not in self._last:
            self._last = self._find(at)
        return self._last

    def is_active(self, at: datetime) -> bool:
        """Whether the schedule is in force at an aware instant."""
        return self.span(at).active

    def next_change(self, at: datetime) -> datetime | None:
        """Return the first instant after `at` at which the schedule starts or stops, in UTC; None: never."""
        return self.span(at).end

    def runs_on(self, day: date) -> bool:
        """Whether periods start on this day."""
        if self.dates:
            return day in self.dates
        return day.weekday() in self.days and self.calendar.covers(self.season, day)

    def _find(self, at: datetime) -> Span:
        """Search a growing window of days, so that the usual answer costs three days and the rare one years."""
        today = at.astimezone(self.calendar.zone).date()
        horizon = max(today, self.calendar.last_day, *self.dates, date.min) + 10 * _DAY
        ahead = 2
        while True:
            last = min(today + ahead * _DAY, horizon)
            span = self._find_within(at, today - 2 * _DAY, last)
            if span.end is not None or last == horizon:
                return span
            ahead *= 8

    def _find_within(self, at: datetime, first: date, last: date) -> Span:
        """Look through the periods that start in `[first, last]`; an end that the window cuts off is None.

        Periods that start before `first` may run into it, so nothing is known before the midnight after it.
        """
        edge = self._midnight(last)
        before = self._midnight(first + _DAY)
        for start, end in self._intervals(first, last):
            if at < start:
                return Span(before, start, active=False)
            if at < end:
                return Span(start, end if end < edge else None, active=True)
            before = end
        return Span(before, None, active=False)

    def _midnight(self, day: date) -> datetime:
        return datetime(day.year, day.month, day.day, tzinfo=self.calendar.zone).astimezone(UTC)

    def _intervals(self, first: date, last: date) -> list[tuple[datetime, datetime]]:
        found = sorted(
            interval
            for number in range((last - first).days + 1)
            if self.runs_on(day := first + number * _DAY)
            for period in self.periods
            for interval in instants(*period.on(day), self.calendar.zone)
        )
        return _merged(found)


def _merged(intervals: list[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    merged: list[tuple[datetime, datetime]] = []
    for start, end in intervals:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def instants(start: datetime, end: datetime, zone: ZoneInfo) -> list[tuple[datetime, datetime]]:
    """Return the UTC intervals during which a clock in `zone` shows a time in `[start, end)` (both naive).

    None where the clocks skip it, two where they show it twice. At most one clock change may lie within 30 hours.
    """
    low, high = start.replace(tzinfo=UTC) - _PROBE, end.replace(tzinfo=UTC) + _PROBE
    before, after = _offset(low, zone), _offset(high, zone)
    early = start.replace(tzinfo=UTC) - before, end.replace(tzinfo=UTC) - before
    if before == after:
        return [early]
    change = _change_between(low, high, zone)
    late = start.replace(tzinfo=UTC) - after, end.replace(tzinfo=UTC) - after
    pieces = ((early[0], min(early[1], change)), (max(late[0], change), late[1]))
    return [(begin, finish) for begin, finish in pieces if begin < finish]


def _offset(at: datetime, zone: ZoneInfo) -> timedelta:
    return at.astimezone(zone).utcoffset() or timedelta(0)


def _change_between(low: datetime, high: datetime, zone: ZoneInfo) -> datetime:
    """Find the instant of the one clock change in `(low, high]`, to the second."""
    before = _offset(low, zone)
    while high - low > timedelta(seconds=1):
        middle = (low + (high - low) / 2).replace(microsecond=0)
        if middle <= low:
            break
        if _offset(middle, zone) == before:
            low = middle
        else:
            high = middle
    return high


@dataclass(frozen=True, slots=True)
class When:
    """The `during` of a rule: in force while any of its schedules is (or, negated, is not). Empty: always."""

    parts: tuple[tuple[Schedule, bool], ...] = ()  # the schedule, and whether it is negated

    def span(self, at: datetime) -> Span:
        """Return a stretch around `at` in which the state does not change; its end may come early, never late."""
        if not self.parts:
            return ALWAYS
        spans = [(schedule.span(at), negated) for schedule, negated in self.parts]
        ends = [span.end for span, _ in spans if span.end is not None]
        return Span(
            max(span.start for span, _ in spans),
            min(ends) if ends else None,
            active=any(span.active is not negated for span, negated in spans),
        )

    def __str__(self) -> str:
        return ", ".join(f"not {schedule.id}" if negated else schedule.id for schedule, negated in self.parts)


def overlapping(ranges: Iterable[DateRange]) -> list[tuple[DateRange, DateRange]]:
    """Return neighbouring pairs of date ranges that share a day, in order of their first days."""
    ordered = sorted(ranges, key=lambda part: part.first)
    return [(one, other) for one, other in pairwise(ordered) if other.first <= one.last]
