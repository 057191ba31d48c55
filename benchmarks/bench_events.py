"""How many events a second the portal takes: decoding, folding, scoring and writing, on one core.

Three mixes, each against a fresh SQLite file: what a school sends (most of it counts and retries), nothing but
attempts of many devices, and the worst case, where every event is a row of its own.
Run: python benchmarks/bench_events.py
"""

import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from school import KEYS, School, sqlite_url

from schoolgate.events.wire import decode, encode
from schoolgate_exceptions.database import Database
from schoolgate_exceptions.service import Config, Service, build_service
from schoolgate_policy.engine import Engine
from schoolgate_policy.event import Event, Sighting, Visit
from schoolgate_policy.technique import Technique

EVENTS, BATCH, GOAL = 100_000, 10_000, 20_000
_WAYS = tuple(Technique)


@dataclass(frozen=True)
class Still:
    """A policy that nobody edits."""

    engine: Engine


def _service(school: School, path: Path) -> Service:
    config = Config(school.policy, path / "state", "http://portal.example")
    database = Database(sqlite_url(path / "portal.db"))
    return build_service(config, database, Still(school.source.engine), school.clock, KEYS)


def school_mix(chance: random.Random, number: int, now: float) -> Event:
    """Two thousand devices and their browsers: counts, blocks that are tried again and again, some attempts."""
    address = f"10.20.{chance.randrange(8)}.{chance.randrange(250)}"
    if number % 10 < 5:
        return Visit(now, "dns", "pupils", "", "", "allow", "otherwise", "", "", "", chance.randrange(1, 40))
    if number % 10 < 9:
        site = min(int(chance.expovariate(0.2)), 400)
        return Visit(now, "dns", "pupils", address, f"www.site{site}.example", "block", "rule", "policy.yaml:41", "", "games")  # fmt: skip
    return Sighting(now, "dns", "pupils", address, "dns.google", chance.choice(_WAYS))


def attempts(chance: random.Random, number: int, now: float) -> Event:  # noqa: ARG001 - as the others
    """Nothing but attempts."""
    address = f"10.20.{chance.randrange(8)}.{chance.randrange(250)}"
    return Sighting(now, "proxy", "pupils", address, "dns.google", chance.choice(_WAYS))


def all_rows(chance: random.Random, number: int, now: float) -> Event:  # noqa: ARG001
    """Every event another site: nothing to fold."""
    address = f"10.20.{number % 8}.{number % 250}"
    return Visit(now, "dns", "pupils", address, f"www.site{number}.example", "block", "rule", "policy.yaml:41", "", "")  # fmt: skip


def measure(make: Callable[[random.Random, int, float], Event]) -> tuple[float, int]:
    """Return events per second of processor time, and the rows written."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        database = Database(sqlite_url(path / "portal.db"))
        database.migrate()
        database.close()
        school = School(path, sqlite_url(path / "portal.db"))
        school.service.close()
        service = _service(school, path)
        chance = random.Random(7)
        school.clock.at = datetime.now(UTC)
        now = school.clock.at.timestamp()
        sent = list(encode(make(chance, number, now + number / GOAL) for number in range(EVENTS)))
        log, rows, waiting = service.log, 0, 0
        began = time.process_time()
        for datagram in sent:
            events = decode(datagram)
            log.take(events)
            waiting += len(events)
            if waiting >= BATCH:  # half a second at 20,000 a second
                rows += log.flush()
                waiting = 0
                school.clock.forward(seconds=BATCH / GOAL)
        rows += log.flush()
        spent = time.process_time() - began
        service.close()
    return EVENTS / spent, rows


def main() -> int:
    """Measure and print; exit 1 where the school's mix is slower than the goal."""
    results = {}
    for make in (school_mix, attempts, all_rows):
        speed, rows = measure(make)
        results[make.__name__] = speed
        sys.stdout.write(f"{make.__name__:12} {speed:10,.0f} events/s of one core   {rows:8,} rows written\n")
    return int(results["school_mix"] < GOAL)


if __name__ == "__main__":
    sys.exit(main())
