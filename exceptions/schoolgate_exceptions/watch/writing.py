"""How events and counts get into the database: many rows at once, counts added to what is there."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

from schoolgate_exceptions.event_tables import attempt_counts, events, fault_counts, visit_counts
from schoolgate_exceptions.tables import write_instant
from schoolgate_exceptions.watch.folding import Folded
from schoolgate_policy.event import Fault, Visit

_LONGEST = timedelta(days=1)  # what a score can look back to
_FIELDS = tuple(column.name for column in events.columns)
_INSERT = f"INSERT INTO events ({', '.join(_FIELDS)}) VALUES "  # noqa: S608 - our own column names
_VISIT = ("point", "network", "service", "category", "verdict", "reason")
_UPDATE = ("last_at", "times", "source", "reason", "service", "category")


class Counts:
    """Counts by hour that were not written yet."""

    def __init__(self) -> None:
        self.visits: dict[tuple[int, str, str, str, str, str, str], int] = {}
        self.attempts: dict[tuple[int, str, str], int] = {}
        self.sightings: dict[tuple[int, str, str], int] = {}
        self.faults: dict[tuple[int, str, str, str], int] = {}

    def __bool__(self) -> bool:
        return bool(self.visits or self.attempts or self.sightings or self.faults)

    def visit(self, hour: int, one: Visit) -> None:
        """Count a visit."""
        key = hour, one.point, one.network, one.service, one.category, one.verdict, one.reason
        self.visits[key] = self.visits.get(key, 0) + one.times

    def attempt(self, hour: int, network: str, technique: str) -> None:
        """Count one attempt, however often it was seen."""
        key = hour, network, technique
        self.attempts[key] = self.attempts.get(key, 0) + 1

    def sighting(self, hour: int, network: str, technique: str, times: int) -> None:
        """Count how often something was seen."""
        key = hour, network, technique
        self.sightings[key] = self.sightings.get(key, 0) + times

    def fault(self, hour: int, one: Fault) -> None:
        """Count a failure of ours."""
        key = hour, one.point, one.area[:20], one.error[:60]
        self.faults[key] = self.faults.get(key, 0) + one.times


def insert(connection: Connection, fresh: list[Folded]) -> None:
    """Write new events; by the driver itself, which takes half the time."""
    if not fresh:
        return
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    marks = ", ".join([mark] * len(_FIELDS))
    connection.exec_driver_sql(f"{_INSERT}({marks})", [_row(one) for one in fresh])


def update(connection: Connection, changed: list[Folded]) -> None:
    """Write what has been added to events that are there."""
    if not changed:
        return
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    fields = ", ".join(f"{name} = {mark}" for name in _UPDATE)
    connection.exec_driver_sql(
        f"UPDATE events SET {fields} WHERE number = {mark}",  # noqa: S608 - our own column names
        [(*(_field(one, name) for name in _UPDATE), one.number) for one in changed],
    )


def count(connection: Connection, counts: Counts) -> int:
    """Add counts to what is there; return how many rows were touched."""
    visits = [
        {**dict(zip(_VISIT, key[1:], strict=True)), "hour": _moment(key[0]), "times": times}
        for key, times in counts.visits.items()
    ]
    attempts = [
        {
            **dict(zip(("network", "technique"), key[1:], strict=True)),
            "hour": _moment(key[0]),
            "attempts": counts.attempts.get(key, 0),
            "sightings": counts.sightings.get(key, 0),
        }
        for key in counts.attempts.keys() | counts.sightings.keys()
    ]
    faults = [
        {
            **dict(zip(("point", "area", "error"), key[1:], strict=True)),
            "hour": _moment(key[0]),
            "times": times,
        }
        for key, times in counts.faults.items()
    ]
    _add(connection, visit_counts, visits, "times")
    _add(connection, attempt_counts, attempts, "attempts", "sightings")
    _add(connection, fault_counts, faults, "times")
    return len(visits) + len(attempts) + len(faults)


def recent_attempts(connection: Connection, now: datetime) -> dict[str, list[tuple[float, int, str]]]:
    """Return the scored attempts of the last day by device, oldest first."""
    query = (
        sa.select(events.c.device, events.c.at, events.c.points, events.c.technique)
        .where(events.c.at > now - _LONGEST, events.c.points > 0)
        .order_by(events.c.at)
    )
    found: dict[str, list[tuple[float, int, str]]] = {}
    for row in connection.execute(query):
        found.setdefault(row.device, []).append((row.at.timestamp(), row.points, row.technique))
    return found


def _add(connection: Connection, table: Table, rows: list[dict[str, Any]], *sums: str) -> None:
    if not rows:
        return
    make = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    statement = make(table)
    keys = [column.name for column in table.primary_key.columns]
    added = {name: table.c[name] + statement.excluded[name] for name in sums}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=added), rows)


def _row(one: Folded) -> tuple[Any, ...]:
    return (
        one.number, _text(one.at), _text(one.last_at), one.point[:10], one.network[:64], one.device,
        one.attribution, one.host[:255], one.service[:64], one.category[:64], one.verdict[:10],
        one.reason[:20], one.source[:100], one.technique[:40], one.points, one.times,
    )  # fmt: skip


def _field(one: Folded, name: str) -> str | int:
    value = getattr(one, name)
    return _text(value) if name == "last_at" else value[:64] if isinstance(value, str) else value


def _text(at: float) -> str:
    """Return an instant as the table has it."""
    whole = int(at)
    return f"{_seconds(whole)}.{int((at - whole) * 1_000_000):06}Z"


@lru_cache(maxsize=4_096)
def _seconds(whole: int) -> str:
    return write_instant(datetime.fromtimestamp(whole, UTC)).partition(".")[0]


def _moment(hour: int) -> datetime:
    return datetime.fromtimestamp(hour, UTC)
