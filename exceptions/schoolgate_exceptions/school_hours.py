"""The hours in which somebody at school reads letters: eight to five on days on which it is open. Pure."""

from datetime import UTC, datetime, time, timedelta

from schoolgate_exceptions.queue import is_school_day
from schoolgate_policy.model import Policy

BEGINS, ENDS = time(8), time(17)
_MOST_DAYS = 60  # looked at; who has waited for longer has waited for long


def is_in_hours(policy: Policy, at: datetime) -> bool:
    """Whether an instant lies within school hours."""
    local = at.astimezone(policy.calendar.zone)
    return BEGINS <= local.time() < ENDS and is_school_day(policy, local.date())


def hours_between(policy: Policy, since: datetime, until: datetime) -> timedelta:
    """Return how much of `[since, until)` lies within school hours, of its last 60 days at most."""
    zone, total = policy.calendar.zone, timedelta()
    day = max(since, until - timedelta(days=_MOST_DAYS)).astimezone(zone).date()
    while day <= until.astimezone(zone).date():
        if is_school_day(policy, day):
            begins, ends = (datetime.combine(day, at, zone).astimezone(UTC) for at in (BEGINS, ENDS))
            total += max(timedelta(), min(until, ends) - max(since, begins))
        day += timedelta(days=1)
    return total
