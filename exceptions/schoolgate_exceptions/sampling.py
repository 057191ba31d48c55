"""Samples of how the box is: every five minutes one row of numbers, kept for thirty days. They are about nobody.

What may be kept is the closed set of series below; anything else an instrument tells is left out, so that a row stays
small whatever happens.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isfinite

import sqlalchemy as sa

from schoolgate_exceptions.office import Office
from schoolgate_exceptions.ports import Instruments, Readings
from schoolgate_exceptions.sample_tables import health_samples

EVERY = timedelta(minutes=5)
KEEP_SAMPLES = timedelta(days=30)
INTERVAL = "interval"  # seconds since the reading before; missing where there was none, and so no growth
LEVELS = frozenset(
    {
        "up", "started", "memory", "policy", "room", "clock", "certificates", "upstreams", "firewall", "open", "old",
        "zones", INTERVAL,
    }
)  # fmt: skip
GROWTHS = frozenset(
    {
        "cpu", "queries", "cache", "exchanges", "answer_times", "dns_refused", "connections", "turned_away",
        "site_failures", "ech", "pinned", "no_certificate", "lost", "recorded", "pages", "errors", "jobs_failed", "reloads",
    }
)  # fmt: skip
_MOST_NAMES, _LONGEST_NAME = 40, 40


@dataclass(frozen=True, slots=True)
class Sample:
    """What was read at an instant. Of growth only what is not 0 is kept: what a sample with an interval lacks was 0."""

    at: datetime
    readings: Readings

    def of(self, series: str) -> Mapping[str, float]:
        """Return a series by what it is of; empty where nothing was told."""
        return self.readings.get(series, {})

    @property
    def grew(self) -> bool:
        """Whether it tells what was counted since the sample before."""
        return INTERVAL in self.readings


class NoInstruments:
    """Where nothing can be read of the box, no sample is taken."""

    def read(self) -> Readings:
        """Return nothing."""
        return {}


class Sampling:
    """Takes samples, and shows them. `instruments` is handed in by who knows the box."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self.instruments: Instruments = NoInstruments()

    def take_due(self) -> int:
        """Take a sample if the last one is five minutes old; return whether one was taken. Raises Unavailable."""
        now = self._office.now()
        with self._office.read() as connection:
            last = connection.execute(sa.select(sa.func.max(health_samples.c.at))).scalar()
        if last is not None and timedelta(0) <= now - last < EVERY:
            return 0
        readings = bounded(self.instruments.read())
        if not readings:
            return 0
        with self._office.write() as connection:
            connection.execute(health_samples.delete().where(health_samples.c.at >= now))  # a clock went back
            connection.execute(health_samples.insert().values(at=now, readings=readings))
        return 1

    def between(self, since: datetime, until: datetime) -> list[Sample]:
        """Return the samples of `[since, until)`, oldest first."""
        query = sa.select(health_samples).where(health_samples.c.at >= since, health_samples.c.at < until)
        with self._office.read() as connection:
            return [
                Sample(row.at, row.readings)
                for row in connection.execute(query.order_by(health_samples.c.at))
            ]

    def latest(self) -> Sample | None:
        """Return the newest sample, None where none is kept."""
        query = sa.select(health_samples).order_by(health_samples.c.at.desc()).limit(1)
        with self._office.read() as connection:
            row = connection.execute(query).first()
        return Sample(row.at, row.readings) if row else None


def bounded(readings: Readings) -> dict[str, dict[str, float]]:
    """Return what may be kept of readings: known series, few and short names, finite numbers. Pure."""
    kept: dict[str, dict[str, float]] = {}
    for series, values in readings.items():
        if series not in LEVELS | GROWTHS:
            continue
        named = sorted((name[:_LONGEST_NAME], value) for name, value in values.items() if isfinite(value))
        if series in GROWTHS:
            named = [(name, value) for name, value in named if value > 0]
        if named:
            kept[series] = {name: _short(value) for name, value in named[:_MOST_NAMES]}
    return kept


def _short(value: float) -> float:
    """Return a number without digits that nobody looks at."""
    rounded = round(value, 3)
    return int(rounded) if rounded == int(rounded) else rounded
