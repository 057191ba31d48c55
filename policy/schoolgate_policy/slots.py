"""Every stretch of time that some policies can tell apart, from a day on: each `Slot` is judged alike throughout.

Days on which the same schedules run and the same exceptions are in force look alike, so one of them stands for all,
hour by hour of the clock on the wall. A day within which an exception starts or ends is taken by itself, in instants.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from schoolgate_policy.compile import Entry, compile_policy
from schoolgate_policy.model import Policy
from schoolgate_policy.schedule import Schedule

_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)
_LAST_WEEKS = 14  # days after the last special one: the weeks that repeat from then on
_YEARS_AHEAD = 12


class DifferentZones(ValueError):  # noqa: N818 - reads as what it is where it is raised and caught
    """Policies in different time zones, whose wall clocks cannot be compared."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A stretch of time: `[start, end)` in minutes since midnight on each of `days`, or else one stretch of instants.

    `at` is one instant in it, in UTC.
    """

    at: datetime
    days: tuple[date, ...] = ()
    start: int = 0
    end: int = 0
    stretch: tuple[datetime, datetime] | None = None


class Slots:
    """The slots of some policies from the day `first` on; `days` are the days that were looked at.

    After the last of them the weeks are all the same. What starts or ends later than twelve years ahead never does.
    """

    def __init__(self, policies: tuple[Policy, ...], first: date) -> None:
        zones = {policy.calendar.zone.key for policy in policies}
        if len(zones) > 1:
            raise DifferentZones(f"the time zones differ: {', '.join(sorted(zones))}")
        self.zone: ZoneInfo = policies[0].calendar.zone
        entries = [entry for policy in policies for entry in _entries(policy)]
        self._schedules = _distinct(schedule for entry in entries for schedule, _ in entry.when.parts)
        self._edges = sorted(
            edge
            for edge in {edge for entry in entries for edge in (entry.starts, entry.ends) if edge}
            if first.year <= edge.year + 1 <= first.year + _YEARS_AHEAD
        )
        self.days = self._days(first, policies)
        self.all = tuple(self._slots())

    def _days(self, first: date, policies: Iterable[Policy]) -> tuple[date, ...]:
        calendars = [part for policy in policies for part in (policy.calendar, *policy.calendars.values())]
        special = {edge.astimezone(self.zone).date() for edge in self._edges}
        special.update(day for schedule in self._schedules for day in schedule.dates)
        special.update(calendar.last_day for calendar in calendars)
        near = [day for day in special if day.year <= first.year + _YEARS_AHEAD]
        last = max(first, *near) + _LAST_WEEKS * _DAY
        return tuple(first + number * _DAY for number in range((last - first).days + 1))

    def _slots(self) -> Iterator[Slot]:
        alike: dict[object, list[date]] = {}
        for day in self.days:
            start, end = self._midnight(day), self._midnight(day + _DAY)
            inside = [edge for edge in self._edges if start < edge < end]
            if inside and (self._length(day) != _DAY or any(edge.second for edge in inside)):
                yield from self._by_instants(start, end)
            elif inside:
                yield from self._by_clock((day,), {(edge - start) // _MINUTE for edge in inside})
            else:
                alike.setdefault(self._look(day, start), []).append(day)
        for days in alike.values():
            if any(self._length(day) == _DAY for day in days):
                yield from self._by_clock(tuple(days), set())
                continue
            for day in days:  # nights on which the clocks change, and no other day looks like them
                yield from self._by_instants(self._midnight(day), self._midnight(day + _DAY))

    def _by_clock(self, days: tuple[date, ...], more: set[int]) -> Iterator[Slot]:
        usual = next(day for day in days if self._length(day) == _DAY)
        midnight = datetime(usual.year, usual.month, usual.day, tzinfo=self.zone)
        for start, end in pairwise(sorted({*self._cuts(), *more, _DAY // _MINUTE})):
            yield Slot((midnight + start * _MINUTE).astimezone(UTC), days, start, end)

    def _look(self, day: date, start: datetime) -> object:
        """Return what is the same on days that look alike."""
        runs = tuple((s.runs_on(day), s.runs_on(day - _DAY)) for s in self._schedules)
        return runs, sum(edge <= start for edge in self._edges)

    def _cuts(self) -> list[int]:
        """Return every minute of the day at which some schedule may start or stop."""
        periods = [period for schedule in self._schedules for period in schedule.periods]
        day = _DAY // _MINUTE
        return sorted({0, *(edge % day for period in periods for edge in (period.start, period.end))})

    def _by_instants(self, start: datetime, end: datetime) -> Iterator[Slot]:
        day = start.astimezone(self.zone).date()
        midnight = datetime(day.year, day.month, day.day, tzinfo=self.zone)
        cuts = {start, end, *self._edges, *_clock_changes(start, end, self.zone)}
        for minutes in self._cuts():
            wall = midnight + timedelta(minutes=minutes)
            cuts.update(wall.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
        for begin, finish in pairwise(sorted(cut for cut in cuts if start <= cut <= end)):
            yield Slot(begin, stretch=(begin, finish))

    def _midnight(self, day: date) -> datetime:
        return datetime(day.year, day.month, day.day, tzinfo=self.zone).astimezone(UTC)

    def _length(self, day: date) -> timedelta:
        return self._midnight(day + _DAY) - self._midnight(day)


def _entries(policy: Policy) -> Iterator[Entry]:
    for state in (None, *policy.states):
        yield from compile_policy(policy, (), state).entries


def _distinct(schedules: Iterable[Schedule]) -> Sequence[Schedule]:
    return tuple({id(schedule): schedule for schedule in schedules}.values())


def _clock_changes(start: datetime, end: datetime, zone: ZoneInfo) -> list[datetime]:
    """Return the whole hours and half hours at which a clock in `zone` jumps."""
    step, found = timedelta(minutes=30), []
    while start < end:
        if start.astimezone(zone).utcoffset() != (start + step).astimezone(zone).utcoffset():
            found.append(start + step)
        start += step
    return found
