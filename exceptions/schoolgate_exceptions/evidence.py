"""What can be shown to governors, the safeguarding lead and inspectors: counts and durations, never a device or a name.

The read side for reports and pictures. Times are half-open `[since, until)` and aware; days and hours are the school's.
Every method reads only, and is safe to call while events arrive.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from statistics import median
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Table

from schoolgate_exceptions.courses import Course
from schoolgate_exceptions.event_tables import alerts, attempt_counts, bells, fault_counts, visit_counts
from schoolgate_exceptions.kinds import Kind
from schoolgate_exceptions.office import Office
from schoolgate_exceptions.tables import requests, sanctions, steps
from schoolgate_exceptions.workflow import OPEN, State
from schoolgate_policy.model import PolicyException

_DECIDED = (State.APPROVED, State.REFUSED, State.APPLIED)


@dataclass(frozen=True, slots=True)
class Count:
    """How many of something; `key` has a value for each part it was asked by, in that order."""

    key: tuple[str, ...]
    count: int
    sightings: int = 0  # of attempts: before retries were folded


@dataclass(frozen=True, slots=True)
class RequestFact:
    """A request for access without who asked for it and why. Durations are None while nothing was decided."""

    kind: str
    network: str
    people: str
    service: str
    purpose: str
    state: str
    asked_at: datetime
    decided_at: datetime | None

    @property
    def took(self) -> timedelta | None:
        """How long it took until it was decided."""
        return self.decided_at - self.asked_at if self.decided_at else None


@dataclass(frozen=True, slots=True)
class AlertFacts:
    """What became of alerts about some people."""

    raised: int
    acknowledged: int
    escalated: int
    supervised: int
    median_seconds: float | None  # until somebody acknowledged one


@dataclass(frozen=True, slots=True)
class SanctionFacts:
    """How many sanctions were imposed in a time, by whom, and how many were in force at its end."""

    imposed: int
    by_score: int
    lifted_early: int
    in_force: int


class Evidence:
    """Counts by anything that names nobody."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def visits(
        self, since: datetime, until: datetime, by: tuple[str, ...] = ("verdict",), **only: str
    ) -> list[Count]:
        """Count visits by `day`, `hour`, `weekday`, `people`, `network`, `point`, `service`, `category`, `verdict`
        or `reason`, most first; `only` restricts them by the same names (`verdict="block"`).

        Raises:
            ValueError: there is no such name.

        """  # noqa: D205 - the names need the room
        return self._counted(visit_counts, ("times",), since, until, by, only)

    def attempts(
        self, since: datetime, until: datetime, by: tuple[str, ...] = ("technique",), **only: str
    ) -> list[Count]:
        """Count attempts by `day`, `hour`, `weekday`, `people`, `network` or `technique`, most first."""
        return self._counted(attempt_counts, ("attempts", "sightings"), since, until, by, only)

    def faults(self, since: datetime, until: datetime, by: tuple[str, ...] = ("area",)) -> list[Count]:
        """Count failures of ours by `day`, `hour`, `point`, `area` or `error`; each ended in a block."""
        return self._counted(fault_counts, ("times",), since, until, by, {})

    def policy_changes(self, since: datetime, until: datetime) -> list[tuple[datetime, str, str]]:
        """Return when which version of the policy came into force in which process, oldest first."""
        query = sa.select(bells).where(bells.c.at >= since, bells.c.at < until).order_by(bells.c.at)
        with self._office.read() as connection:
            rows = connection.execute(query.where(bells.c.what == "policy"))
            return [(row.at, row.point, row.name) for row in rows]

    def requests(self, since: datetime, until: datetime) -> list[RequestFact]:
        """Return the requests that were made, oldest first, and how long each took."""
        decided = (
            sa.select(sa.func.min(steps.c.at))
            .where(steps.c.request == requests.c.number, steps.c.target.in_(_DECIDED))
            .scalar_subquery()
        )
        query = (
            sa.select(requests, decided.label("decided_at"))
            .where(requests.c.created_at >= since, requests.c.created_at < until)
            .order_by(requests.c.created_at)
        )
        with self._office.read() as connection:
            return [
                RequestFact(
                    row.kind, row.network, self.people(row.network), row.service, row.purpose, row.state,
                    row.created_at, row.decided_at,
                )
                for row in connection.execute(query)
            ]  # fmt: skip

    def courses(self, since: datetime, until: datetime) -> list[Course]:
        """Return what became of every request that was made or waited in a time, oldest first.

        A window that a teacher opens for a lesson is no request: nobody waits for it.
        """
        here = sa.and_(
            requests.c.created_at < until,
            requests.c.state.in_(OPEN) | (requests.c.changed_at >= since),
            requests.c.kind != Kind.LESSON_WINDOW,
        )
        query = (
            sa.select(requests.c.number, requests.c.kind, requests.c.created_at, steps.c.at, steps.c.target)
            .join_from(requests, steps, steps.c.request == requests.c.number)
            .where(here)
            .order_by(requests.c.created_at, requests.c.number, steps.c.at, steps.c.number)
        )
        with self._office.read() as connection:
            rows = connection.execute(query).all()
        return [
            Course(Kind(kind), created_at, tuple((row.at, State(row.target)) for row in found))
            for (_, kind, created_at), found in groupby(
                rows, lambda row: (row.number, row.kind, row.created_at)
            )
        ]

    def alert_waits(self, since: datetime, until: datetime, *, network: str = "") -> list[timedelta | None]:
        """Return how long each alert about attempts waited until somebody acknowledged it, None where nobody has yet."""
        there = alerts.c.network == network if network else sa.true()
        query = sa.select(alerts.c.at, alerts.c.acknowledged_at).where(
            alerts.c.at >= since, alerts.c.at < until, alerts.c.kind == "", there
        )
        with self._office.read() as connection:
            return [
                acknowledged_at - at if acknowledged_at else None
                for at, acknowledged_at in connection.execute(query.order_by(alerts.c.at))
            ]

    def waiting_longest(self) -> datetime | None:
        """Return when the oldest request was made that is not decided yet."""
        query = sa.select(sa.func.min(requests.c.created_at)).where(requests.c.state.in_(OPEN))
        with self._office.read() as connection:
            found: datetime | None = connection.execute(query).scalar()
        return found

    def exceptions_in_force(self, at: datetime) -> list[PolicyException]:
        """Return the exceptions of the policy in force at an instant, the next to end first."""
        found = [one for one in self._office.policy.exceptions if one.starts <= at < one.ends]
        return sorted(found, key=lambda one: one.ends)

    def first_count(self) -> datetime | None:
        """Return the first hour of which counts are kept, None where there are none."""
        first = [sa.select(sa.func.min(table.c.hour)) for table in (visit_counts, attempt_counts)]
        with self._office.read() as connection:
            found = [connection.execute(query).scalar() for query in first]
        return min((one for one in found if one is not None), default=None)

    def alerts(self, since: datetime, until: datetime, *, people: str = "") -> AlertFacts:
        """Count alerts about attempts of some people, or of all; what only a safeguarding lead is told of is not counted."""
        where = alerts.c.people == people if people else sa.true()
        query = sa.select(alerts).where(alerts.c.at >= since, alerts.c.at < until, alerts.c.kind == "", where)
        with self._office.read() as connection:
            rows = connection.execute(query).all()
        took = [
            (row.acknowledged_at - row.at).total_seconds() for row in rows if row.acknowledged_at is not None
        ]
        return AlertFacts(
            len(rows),
            len(took),
            sum(row.escalated_at is not None for row in rows),
            sum(row.supervised for row in rows),
            median(took) if took else None,
        )

    def alert_waiting(self) -> datetime | None:
        """Return when the oldest alert was raised that nobody has acknowledged, whatever it is about."""
        query = sa.select(sa.func.min(alerts.c.at)).where(alerts.c.acknowledged_at.is_(None))
        with self._office.read() as connection:
            found: datetime | None = connection.execute(query).scalar()
        return found

    def sanctions(self, since: datetime, until: datetime) -> SanctionFacts:
        """Count the sanctions that were imposed."""
        with self._office.read() as connection:
            rows = connection.execute(sa.select(sanctions)).all()
        made = [row for row in rows if since <= row.made_at < until]
        return SanctionFacts(
            len(made),
            sum(row.made_by is None for row in made),
            sum(row.lifted_at is not None for row in made),
            sum(
                row.made_at < until <= row.until and (row.lifted_at is None or row.lifted_at >= until)
                for row in rows
            ),
        )

    def people(self, network: str) -> str:
        """Return who uses a network; `pupil` for one that the policy does not know any more."""
        known = self._office.policy.networks.get(network)
        return known.people if known else "pupil"

    def _counted(
        self,
        table: Table,
        sums: tuple[str, ...],
        since: datetime,
        until: datetime,
        by: tuple[str, ...],
        only: Mapping[str, str],
    ) -> list[Count]:
        makers = [self._part(table, name) for name in (*by, *only)]
        columns = [column for column in table.primary_key.columns if _is_wanted(column.name, (*by, *only))]
        query = (
            sa.select(*columns, *(sa.func.sum(table.c[name]).label(name) for name in sums))
            .where(table.c.hour >= since, table.c.hour < until)
            .group_by(*columns)
        )
        totals: Counter[tuple[str, ...]] = Counter()
        seen: Counter[tuple[str, ...]] = Counter()
        with self._office.read() as connection:
            for row in connection.execute(query):
                parts = [make(row) for make in makers]
                if parts[len(by) :] != list(only.values()):
                    continue
                key = tuple(parts[: len(by)])
                totals[key] += int(getattr(row, sums[0]))
                seen[key] += int(getattr(row, sums[-1]))
        return [Count(key, count, seen[key]) for key, count in sorted(totals.items(), key=_most_first)]

    def _part(self, table: Table, name: str) -> Callable[[Any], str]:
        """Return what reads one part of a key from a row."""
        zone = self._office.zone
        match name:
            case "day":
                return lambda row: f"{row.hour.astimezone(zone):%Y-%m-%d}"
            case "hour":
                return lambda row: f"{row.hour.astimezone(zone):%H}"
            case "weekday":
                return lambda row: str(row.hour.astimezone(zone).weekday())
            case "people" if "network" in table.c:
                return lambda row: self.people(row.network)
            case _ if name in table.c and name != "hour":
                return lambda row: str(getattr(row, name))
        raise ValueError(f"cannot count by `{name}`")


def _is_wanted(column: str, names: tuple[str, ...]) -> bool:
    needs = {"day": "hour", "weekday": "hour", "people": "network"}
    return column in {needs.get(name, name) for name in names}


def _most_first(item: tuple[tuple[str, ...], int]) -> tuple[int, tuple[str, ...]]:
    return -item[1], item[0]
