"""From slots to words: `mon-fri 12:10-13:10 in term, until 2026-12-18`. Exact: what is said is what the slots say."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from schoolgate_policy.schedule import Calendar, Season
from schoolgate_policy.slots import Slot

_DAY_NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MINUTES = 24 * 60
_EVERY_DAY = frozenset(range(7))


@dataclass(frozen=True, slots=True)
class Times:
    """Times of day on some weekdays of a season, from and to some day (both included); or one stretch of instants."""

    days: frozenset[int] = _EVERY_DAY
    at: tuple[tuple[int, int], ...] = ((0, _MINUTES),)
    season: Season = Season.ALWAYS
    first: date | None = None
    last: date | None = None
    stretch: tuple[datetime, datetime] | None = None

    def __str__(self) -> str:
        if self.stretch:
            start, end = self.stretch
            same_day = start.date() == end.date()
            return f"{start:%Y-%m-%d %H:%M} to {end:{'%H:%M' if same_day else '%Y-%m-%d %H:%M'}}"
        if self.first and self.first == self.last:
            words = [f"on {self.first}", self._hours()]
        else:
            words = [weekdays(self.days), self._hours(), self._season(), self._between()]
        return " ".join(word for word in words if word) or "at all times"

    def _hours(self) -> str:
        if self.at == ((0, _MINUTES),):
            return "" if self.days == _EVERY_DAY and not self.first else "all day"
        return ", ".join(f"{clock(start)}-{clock(end)}" for start, end in self.at)

    def _season(self) -> str:
        return {Season.ALWAYS: "", Season.TERM: "in term", Season.HOLIDAY: "outside term"}[self.season]

    def _between(self) -> str:
        return " ".join(
            [*([f"from {self.first}"] if self.first else []), *([f"to {self.last}"] if self.last else [])]
        )


def clock(minutes: int) -> str:
    """Write minutes since midnight as a clock shows them; the end of a day is 24:00."""
    return f"{minutes // 60:02}:{minutes % 60:02}"


def weekdays(days: frozenset[int]) -> str:
    """Write weekdays as policies do: `mon-fri`, `sat`; every day is nothing."""
    if days == _EVERY_DAY:
        return ""
    parts, ordered = [], sorted(days)
    while ordered:
        run = [ordered.pop(0)]
        while ordered and ordered[0] == run[-1] + 1:
            run.append(ordered.pop(0))
        short = [_DAY_NAMES[day] for day in run]
        parts.append(f"{short[0]}-{short[-1]}" if len(run) > 2 else ", ".join(short))
    return ", ".join(parts)


def in_words(slots: Iterable[Slot], days: Sequence[date], calendar: Calendar) -> tuple[Times, ...]:
    """Say when some slots are; `days` are all that were looked at, in order, `calendar` tells term from holiday."""
    hours: dict[date, list[tuple[int, int]]] = defaultdict(list)
    stretches = []
    for slot in slots:
        if slot.stretch:
            stretches.append(slot.stretch)
        for day in slot.days:
            hours[day].append((slot.start, slot.end))
    by_hours: dict[tuple[tuple[int, int], ...], set[date]] = defaultdict(set)
    for day, parts in hours.items():
        by_hours[_joined(parts)].add(day)
    found = [
        Times(weekdays, at, season, first, last)
        for at, some in sorted(by_hours.items(), key=lambda item: (-len(item[1]), min(item[1]), item[0]))
        for weekdays, season, first, last in _on_days(some, days, calendar)
    ]
    local = [
        (start.astimezone(calendar.zone), end.astimezone(calendar.zone)) for start, end in _joined(stretches)
    ]
    return (*found, *(Times(stretch=stretch) for stretch in local))


def _joined[T: (int, datetime)](parts: list[tuple[T, T]]) -> tuple[tuple[T, T], ...]:
    joined: list[tuple[T, T]] = []
    for start, end in sorted(parts):
        if joined and joined[-1][1] == start:
            joined[-1] = joined[-1][0], end
        else:
            joined.append((start, end))
    return tuple(joined)


type _Days = tuple[frozenset[int], Season, date | None, date | None]


def _on_days(wanted: set[date], days: Sequence[date], calendar: Calendar) -> list[_Days]:
    """Describe a set of days in few words: all at once, or term and holidays apart, or weekday by weekday."""
    together = _least(Season.ALWAYS, wanted, days, calendar)
    apart = [
        told
        for season in (Season.TERM, Season.HOLIDAY)
        if (part := {day for day in wanted if calendar.covers(season, day)})
        for told in _least(season, part, days, calendar)
    ]
    return min(together, apart, key=len)


def _least(season: Season, wanted: set[date], days: Sequence[date], calendar: Calendar) -> list[_Days]:
    """Describe days of one season at once or weekday by weekday, whichever is shorter; the latter is always exact."""
    at_once = _told(season, wanted, days, calendar)
    singly = [told for part in _by_weekday(wanted) for told in _told(season, part, days, calendar) or ()]
    joined: dict[tuple[date | None, date | None], frozenset[int]] = {}
    for on, _, first, last in singly:
        joined[first, last] = joined.get((first, last), frozenset()) | on
    merged = [(on, season, first, last) for (first, last), on in joined.items()]
    return merged if at_once is None or len(merged) < len(at_once) else at_once


def _by_weekday(wanted: set[date]) -> list[set[date]]:
    return [part for number in range(7) if (part := {day for day in wanted if day.weekday() == number})]


def _told(season: Season, wanted: set[date], days: Sequence[date], calendar: Calendar) -> list[_Days] | None:
    """Describe days as runs of their weekdays within a season; None where that would not be exact."""
    found: list[_Days] = []
    on = frozenset(day.weekday() for day in wanted)
    pool = [day for day in days if day.weekday() in on and calendar.covers(season, day)]
    last_week = {day for day in pool if (days[-1] - day).days < len(_DAY_NAMES)} or {pool[-1]}
    for run in _runs(wanted, pool):
        goes_on = run[-1] in last_week
        if goes_on and not last_week <= set(run):
            return None  # after the last day looked at, the last week repeats; it has to be in the run as a whole
        starts_later = run[0] > pool[0] or (len(run) == 1 and not goes_on)
        found.append((on, season, run[0] if starts_later else None, None if goes_on else run[-1]))
    return found


def _runs(wanted: set[date], pool: Sequence[date]) -> list[list[date]]:
    found: list[list[date]] = []
    inside = False
    for day in pool:
        if day in wanted:
            if not inside:
                found.append([])
            found[-1].append(day)
        inside = day in wanted
    return found
