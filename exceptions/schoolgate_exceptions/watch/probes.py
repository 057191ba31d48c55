"""Keeps the records of probes: whoever probes sends one in pieces; it is written once all of it has arrived."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from schoolgate_exceptions.database import Database
from schoolgate_exceptions.errors import NotFound, Unavailable
from schoolgate_exceptions.office import Office
from schoolgate_exceptions.probe_record import (
    Group,
    Outcome,
    ProbeRun,
    Result,
    assemble,
    group_of,
    merge,
    read_piece,
)
from schoolgate_exceptions.probe_tables import probe_groups, probe_runs
from schoolgate_exceptions.roles import SYSTEM
from schoolgate_policy.event import Probed

_UNFINISHED = 8  # runs of which not everything has arrived
_PIECES = 500  # of one run
_HEAD = ("id", "started_at", "ended_at", "who", "machine", "vantage", "policy", "outcome")


class Probes:
    """Keeps the records of probes, and shows them."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._arriving: dict[str, list[dict[str, Any]]] = {}

    def take(self, piece: Probed) -> bool:
        """Take in a piece of a record; return False where it is none. Nothing is written yet."""
        run = piece.run[:32]
        waiting = self._arriving.pop(run, [])
        read = read_piece(piece)
        if read is None or len(waiting) >= _PIECES:
            return False
        while len(self._arriving) >= _UNFINISHED:
            del self._arriving[next(iter(self._arriving))]
        self._arriving[run] = [*waiting, read]
        return True

    def complete(self) -> list[ProbeRun]:
        """Return the runs of which everything has arrived."""
        found = (assemble(run, parts) for run, parts in self._arriving.items())
        return [one for one in found if one is not None]

    def write(self, connection: Connection, runs: Sequence[ProbeRun]) -> None:
        """Write complete runs, and into the audit that they were; one that is there already stays as it is."""
        for run in runs:
            if connection.execute(sa.select(probe_runs.c.id).where(probe_runs.c.id == run.id)).first():
                continue
            connection.execute(probe_runs.insert().values({name: getattr(run, name) for name in _HEAD}))
            rows = [
                {"run": run.id, "number": number, **_row(group)} for number, group in enumerate(run.groups)
            ]
            if rows:
                connection.execute(probe_groups.insert(), rows)
            counts = {str(result): run.count(result) for result in Result}
            self._office.audit.add(
                connection, self._office.now(), SYSTEM, "probe.recorded", run.id,
                outcome=str(run.outcome), who=run.who, checks=counts,
            )  # fmt: skip

    def written(self, runs: Sequence[ProbeRun]) -> None:
        """Forget runs that are in the database."""
        for run in runs:
            self._arriving.pop(run.id, None)

    def runs(self, since: datetime, until: datetime, *, most: int = 1_000) -> list[ProbeRun]:
        """Return the runs that began on `[since, until)`, newest first, with everything that was found."""
        query = sa.select(probe_runs).where(probe_runs.c.started_at >= since, probe_runs.c.started_at < until)
        return self._read(query, most)

    def latest(self) -> ProbeRun | None:
        """Return the newest run, None where there never was one."""
        return next(iter(self._read(sa.select(probe_runs), 1)), None)

    def newest_id(self) -> str:
        """Return which run is the newest, empty where there never was one."""
        query = sa.select(probe_runs.c.id).order_by(probe_runs.c.started_at.desc(), probe_runs.c.id).limit(1)
        with self._office.read() as connection:
            return str(connection.execute(query).scalar() or "")

    def newest_of(self, networks: Iterable[str]) -> dict[str, ProbeRun]:
        """Return for each network the newest run that has tried something from there."""
        wanted, found = set(networks), dict[str, ProbeRun]()
        for run in self._read(sa.select(probe_runs), 30):
            found.update({name: run for name in run.reached if name in wanted and name not in found})
            if len(found) == len(wanted):
                break
        return found

    def get(self, run: str) -> ProbeRun:
        """Return one run.

        Raises:
            NotFound: there is none of that number, or no longer.

        """
        found = self._read(sa.select(probe_runs).where(probe_runs.c.id == run), 1)
        if not found:
            raise NotFound("there is no such check")
        return found[0]

    def _read(self, query: sa.Select[Any], most: int) -> list[ProbeRun]:
        newest = query.order_by(probe_runs.c.started_at.desc(), probe_runs.c.id).limit(most)
        with self._office.read() as connection:
            return [_with_groups(connection, row) for row in connection.execute(newest).all()]


def is_kept(database: Database, run: str) -> bool:
    """Whether the record of a run is in the database; False also where it cannot be read now."""
    try:
        with database.read() as connection:
            return (
                connection.execute(sa.select(probe_runs.c.id).where(probe_runs.c.id == run)).first()
                is not None
            )
    except Unavailable:
        return False


def _with_groups(connection: Connection, row: Row[Any]) -> ProbeRun:
    query = sa.select(probe_groups).where(probe_groups.c.run == row.id).order_by(probe_groups.c.number)
    return ProbeRun(
        row.id, row.started_at, row.ended_at, row.who, row.machine, row.vantage, row.policy,
        merge(group_of(dict(found._mapping)) for found in connection.execute(query)),  # noqa: SLF001 - SQLAlchemy's name
        Outcome(row.outcome),
    )  # fmt: skip


def _row(group: Group) -> dict[str, Any]:
    row = asdict(group)
    return {**row, "kept": list(group.kept), "others": [asdict(one) for one in group.others]}
