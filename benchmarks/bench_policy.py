"""What a decision costs, and what loading a policy costs.

The policy has 200 rules, 100 services of its own and 50 exceptions; hosts are half named, half not. Each figure is
the median of seven rounds, with the fastest and the slowest beside it.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from schoolgate_policy.catalogue_file import load_catalogue
from schoolgate_policy.decision import Attempt
from schoolgate_policy.engine import Engine
from schoolgate_policy.load import parse_policy, reader_below
from schoolgate_policy.model import Catalogue, Policy

ROUNDS = 7
AT = datetime(2026, 11, 23, 10, 15, tzinfo=UTC)
HEAD = """\
version: 1
school: {name: Bench, bank_holidays: england}
networks:
  staff: {people: staff, addresses: [10.10.0.0/16, "fd00:10::/64"], inspection: needed, otherwise: allow}
  pupils: {people: pupil, addresses: [10.20.0.0/16, "fd00:20::/64"], inspection: all, otherwise: allow}
unknown_clients: pupils
calendar: {terms: [{name: autumn, from: 2026-09-02, to: 2026-12-18}, {name: spring, from: 2027-01-04, to: 2027-03-25}]}
schedules:
  lessons: {days: mon-fri, at: ["08:50-10:30", "10:50-12:10", "13:10-15:15"], in: term}
  lunch: {days: mon-fri, at: ["12:10-13:10"], in: term}
never_inspect: [category:banking]
"""


@dataclass(frozen=True)
class Row:
    """One measured figure and the goal it is held against."""

    work: str
    unit: str
    values: tuple[float, ...]
    goal: float

    @property
    def middle(self) -> float:
        """The median of the rounds."""
        return median(self.values)

    def __str__(self) -> str:
        spread = f"[{min(self.values):.2f}-{max(self.values):.2f}]"
        verdict = "met" if self.middle <= self.goal else "MISSED"
        return f"| {self.work} | {self.middle:.2f} {spread} {self.unit} | ≤ {self.goal:g} {self.unit} | {verdict} |"


def policy_text() -> str:
    """Write the policy that is measured."""
    services = "".join(
        f"  app{n}: {{title: App {n}, category: social-network, domains: [app{n}.example, cdn{n}.example, api{n}.test]}}\n"
        for n in range(100)
    )
    rules = "".join(
        f"  - {{block: [app{n % 100}, site{n}.example.org], for: {('staff', 'pupils')[n % 2]}, during: "
        f"{('lessons', 'lunch', 'not lunch')[n % 3]}, reason: rule {n}}}\n"
        for n in range(199)
    )
    exceptions = "".join(
        f"  - {{id: R{n}, allow: app{n}.example, for: staff, from: 2026-11-01, until: 2026-12-18, reason: trial {n}}}\n"
        for n in range(50)
    )
    last = "  - {block: [category:social-network, category:circumvention], for: pupils, reason: no}\n"
    return f"{HEAD}services:\n{services}rules:\n{rules}{last}exceptions:\n{exceptions}"


def build(data: bytes, catalogue: Catalogue) -> Policy:
    """Read and build the policy; it must be right."""
    policy, issues = parse_policy(data, "policy.yaml", catalogue, reader_below(Path()))
    if policy is None:
        raise SystemExit("\n".join(map(str, issues)))
    return policy


def timed(work: Callable[[], int]) -> tuple[float, ...]:
    """Run some work several times; return seconds per piece of it."""
    results = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        pieces = work()
        results.append((time.perf_counter() - start) / pieces)
    return tuple(results)


def micro(values: tuple[float, ...]) -> tuple[float, ...]:
    """Seconds to microseconds."""
    return tuple(value * 1e6 for value in values)


def measure() -> list[Row]:
    """Measure everything once."""
    data, catalogue = policy_text().encode(), load_catalogue()
    policy = build(data, catalogue)
    hosts = [f"www.app{n % 100}.example" if n % 2 else f"host{n}.example.com" for n in range(2000)]
    attempts = [Attempt(f"10.{(10, 20)[n % 2]}.0.{n % 250}", host, AT) for n, host in enumerate(hosts)]
    engine = Engine(policy)

    def first() -> int:
        nonlocal engine
        engine = Engine(policy)
        engine.decide(attempts[0]), engine.decide(attempts[1])
        for attempt in attempts[2:]:
            engine.decide(attempt)
        return len(attempts)

    def again() -> int:
        for attempt in attempts:
            engine.decide(attempt)
        return len(attempts)

    def paths() -> int:
        turn = time.perf_counter_ns()  # paths never asked for before
        for n, attempt in enumerate(attempts):
            engine.decide(replace(attempt, path=f"/page/{turn}/{n}"))
        return len(attempts)

    def load() -> int:
        Engine(build(data, catalogue))
        return 1

    return [
        Row("decision, first of a client and name", "µs", micro(timed(first)), 20),
        Row("decision, repeated", "µs", micro(timed(again)), 2),
        Row("decision with a path, first", "µs", micro(timed(paths)), 20),
        Row("load and compile the policy", "ms", tuple(value * 1e3 for value in timed(load)), 300),
        Row(
            "load the catalogue",
            "ms",
            tuple(value * 1e3 for value in timed(lambda: bool(load_catalogue()))),
            100,
        ),
    ]


def main() -> None:
    """Print the table, or JSON with --json."""
    rows = measure()
    if "--json" in sys.argv:
        print(
            json.dumps(
                [{"work": row.work, "unit": row.unit, "median": row.middle, "goal": row.goal} for row in rows]
            )
        )
        return
    print("| work | measured: median [fastest-slowest] | goal | |\n| --- | --- | --- | --- |")
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
