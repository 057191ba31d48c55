"""The days, weeks or hours that stand beside one another in a picture. Pure."""

from dataclasses import dataclass
from datetime import date, datetime

from schoolgate_exceptions.papers.period import between
from schoolgate_exceptions.queue import is_school_day
from schoolgate_exceptions.web.figures import Window
from schoolgate_policy.model import Policy

MOST_DAYS = 30  # more are drawn by the week


@dataclass(frozen=True, slots=True)
class Stretch:
    """A day or a week of a picture, `[since, until)`; `mark` stands below it, `name` in the table."""

    since: datetime
    until: datetime
    mark: str
    name: str
    closed: bool = False  # a day on which the school is not open


def stretches(seen: Window, policy: Policy) -> tuple[Stretch, ...]:
    """Return the days that a page looks at, or where they are many its weeks from Monday, oldest first."""
    first, last = (date.fromisoformat(seen.labels[place]) for place in (0, -1))
    zone = policy.calendar.zone
    if seen.days > MOST_DAYS:
        weeks = [between(*days, zone) for days in between(first, last, zone).weeks()]
        return tuple(
            Stretch(one.since, one.until, f"{one.first.day}.{one.first.month}.", one.first.isoformat())
            for one in weeks
        )
    days = [between(day, day, zone) for day in (date.fromisoformat(label) for label in seen.labels)]
    return tuple(
        Stretch(
            one.since,
            one.until,
            str(one.first.day),
            one.first.isoformat(),
            not is_school_day(policy, one.first),
        )
        for one in days
    )
