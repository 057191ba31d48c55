"""The days a report is about: those that were asked for, else the half term that ended last, else thirty days. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from schoolgate_policy.schedule import Calendar, DateRange

_DAY = timedelta(days=1)
_USUAL_DAYS = 30
_BREAK_DAYS = 3  # days without school in one stretch that make two half terms of a term
_OLD = timedelta(days=120)  # a half term that ended earlier is not what anybody asks about


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days of the school, both ends included; `[since, until)` are the same as instants."""

    first: date
    last: date
    since: datetime
    until: datetime
    name: str = ""

    @property
    def days(self) -> int:
        """How many days there are."""
        return (self.last - self.first).days + 1

    def weeks(self) -> Iterator[tuple[date, date]]:
        """Yield the first and the last day of each week from Monday, cut to the period."""
        first = self.first
        while first <= self.last:
            last = min(first + (6 - first.weekday()) * _DAY, self.last)
            yield first, last
            first = last + _DAY


def between(first: date, last: date, zone: ZoneInfo, name: str = "") -> Period:
    """Return a period from its first and last day.

    Raises:
        ValueError: it ends before it begins.

    """
    if last < first:
        raise ValueError(f"the period ends on {last}, before it begins on {first}")
    after = last + _DAY
    since = datetime(first.year, first.month, first.day, tzinfo=zone)
    return Period(first, last, since, datetime(after.year, after.month, after.day, tzinfo=zone), name)


def choose(first: date | None, last: date | None, calendar: Calendar, today: date) -> Period:
    """Return what was asked for; with one end only, thirty days or until today; with none, the usual period."""
    if first is None and last is None:
        return usual(calendar, today)
    if last is None:
        last = today
    return between(first or last - (_USUAL_DAYS - 1) * _DAY, last, calendar.zone)


def usual(calendar: Calendar, today: date) -> Period:
    """Return the half term that ended last, or the last thirty days where none ended lately."""
    ended = [one for one in half_terms(calendar) if today - _OLD <= one.last < today]
    if ended:
        newest = max(ended, key=lambda one: one.last)
        return between(newest.first, newest.last, calendar.zone, newest.name)
    return between(today - (_USUAL_DAYS - 1) * _DAY, today, calendar.zone, f"the last {_USUAL_DAYS} days")


def half_terms(calendar: Calendar) -> list[DateRange]:
    """Return the terms, cut where the school is closed for some days."""
    found = []
    for term in calendar.terms:
        parts, first = [], term.first
        for closed in sorted(calendar.closed, key=lambda one: one.first):
            inside = term.first < closed.first and closed.last < term.last
            if inside and (closed.last - closed.first).days + 1 >= _BREAK_DAYS:
                parts.append((first, closed.first - _DAY))
                first = closed.last + _DAY
        parts.append((first, term.last))
        found += [
            DateRange(term.name if len(parts) == 1 else f"{term.name}, part {number}", *part)
            for number, part in enumerate(parts, 1)
        ]
    return found
