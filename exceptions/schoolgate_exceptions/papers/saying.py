"""How papers say numbers, times and lists in plain English. Pure."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from schoolgate_exceptions.papers.numbers import FEW, Tally, shown

_MOST = 4


def day(at: date) -> str:
    """Write a day: 27 November 2026."""
    return f"{at.day} {at:%B %Y}"


def moment(at: datetime, zone: ZoneInfo) -> str:
    """Write a day and a time at school."""
    there = at.astimezone(zone)
    return f"{day(there)}, {there:%H:%M}"


def end(at: datetime, zone: ZoneInfo) -> str:
    """Say when something ends; midnight is the end of the day before it."""
    there = at.astimezone(zone)
    if (there.hour, there.minute) != (0, 0):
        return moment(at, zone)
    return f"the end of {day(there.date() - timedelta(days=1))}"


def length(seconds: float) -> str:
    """Say how long something took, in the unit that fits."""
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            return many(round(seconds / size), unit)
    return "less than a minute"


def period(kept: timedelta) -> str:
    """Say how long something is kept: years, months or days, whichever is exact enough."""
    if kept < timedelta(days=2):
        return length(kept.total_seconds())
    if kept.days >= 365:
        years = kept.days / 365.25
        return many(round(years), "year") if abs(years - round(years)) < 0.02 else f"{years:.1f} years"
    return many(kept.days, "day")


def many(count: int | None, one: str, several: str = "") -> str:
    """Write a count with its noun: 1 request, 12 requests, fewer than 5 requests."""
    return f"{shown(count)} {one if count == 1 else several or one + 's'}"


def listed(names: Sequence[str]) -> str:
    """Write a list: a, b and c."""
    return " and ".join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else "".join(names)


def most(found: Tally) -> str:
    """Name the largest counts of a tally; empty where there are none to name."""
    return listed([f"{name} ({count:,})" for name, count in found.rows[:_MOST]])


def rows(found: Tally) -> list[tuple[str, str]]:
    """Return a tally as rows of a table, with the rest and the sum."""
    table = [(name, f"{count:,}") for name, count in found.rows]
    if found.rest:
        table.append((f"All others ({found.rest_of} kinds)", f"{found.rest:,}"))
    if found.total is None:
        return [("All together", FEW)]
    return [*table, ("All together", f"{found.total:,}")] if found.total else []
