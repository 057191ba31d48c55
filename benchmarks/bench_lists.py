"""What millions of listed names cost: memory, compiling, swapping, look-ups.

Random names, one a line (real lists are a little shorter); half of the hosts that are asked for are listed or lie below a
listed name. Look-ups and decisions are processor time, the rest is by the clock. Each figure is the median of its rounds,
with the lowest and the highest beside it. Memory is what mapping the compiled file and asking for 40,000 names adds to the
resident set of a fresh process.
"""

import json
import random
import string
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from bench_policy import Row

from schoolgate_policy.catalogue_file import load_catalogue
from schoolgate_policy.decision import Attempt
from schoolgate_policy.engine import Engine
from schoolgate_policy.lists.library import ListLibrary
from schoolgate_policy.lists.spec import HostSet, ListSpec
from schoolgate_policy.load import parse_policy
from schoolgate_policy.model import Policy

ROUNDS = 5
ASKED = 40_000
AT = datetime(2026, 11, 23, 10, 15, tzinfo=UTC)
HEAD = """\
version: 1
school: {name: Bench}
networks:
  pupils: {people: pupil, addresses: [10.20.0.0/16], inspection: all, otherwise: allow}
unknown_clients: pupils
"""
WITH = HEAD + "lists: {big: {file: big.txt}}\nrules: [{block: 'list:big', reason: listed}]\n"
WITHOUT = HEAD + "rules: [{block: other.example, reason: no}]\n"
RESIDENT = """
import sys
from pathlib import Path
from schoolgate_policy.lists.library import ListLibrary
from schoolgate_policy.lists.spec import ListSpec

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

folder, state, asked = map(Path, sys.argv[1:])
hosts = asked.read_text().split()
before = resident()
content = ListLibrary(folder, state).read(ListSpec("big", file="big.txt"))
assert sum(map(content.hosts.covers, hosts))
print(resident() - before)
"""


def write_names(path: Path, count: int) -> list[str]:
    """Write a list of distinct names; return some of them."""
    source = random.Random(count)
    letters = string.ascii_lowercase + string.digits
    ends = (".com", ".net", ".org", ".co.uk", ".xyz", ".info")
    some = []
    with path.open("w") as file:
        for number in range(count):
            name = "".join(source.choices(letters, k=source.randint(5, 14))) + source.choice(ends)
            file.write(f"{name}\n")
            if number % (count // ASKED or 1) == 0:
                some.append(name)
    return some


def hosts_of(names: list[str]) -> list[str]:
    """Return hosts to ask for: listed, below a listed name, and two kinds that are not listed."""
    shapes = ("{}", "www.{}", "not-{}", "www.not-{}")
    return [shapes[number % 4].format(name) for number, name in enumerate(names)]


def compile_seconds(folder: Path, rounds: int) -> tuple[float, ...]:
    """Compile the list anew several times, in the background process that does it."""
    results = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as state:
            start = time.perf_counter()
            ListLibrary(folder, Path(state)).read(ListSpec("big", file="big.txt"))
            results.append(time.perf_counter() - start)
    return tuple(results)


def engine_of(text: str, library: ListLibrary) -> Policy:
    """Build a policy; it must be right."""
    policy, issues = parse_policy(text.encode(), "policy.yaml", load_catalogue(), library.read)
    if policy is None:
        raise SystemExit("\n".join(map(str, issues)))
    return policy


def first_decisions(policy: Policy, hosts: list[str]) -> float:
    """Return the processor time of one first decision, none of the hosts having been asked for before."""
    engine = Engine(policy)
    engine.decide(Attempt("10.20.0.1", "warm.example", AT))
    attempts = [Attempt("10.20.0.1", host, AT) for host in hosts]
    start = time.process_time()
    for attempt in attempts:
        engine.decide(attempt)
    return (time.process_time() - start) / len(attempts)


def look_up_seconds(names: HostSet, hosts: list[str]) -> float:
    """Return the processor time of one look-up."""
    start = time.process_time()
    for host in hosts:
        names.covers(host)
    return (time.process_time() - start) / len(hosts)


def swap_seconds(folder: Path, state: Path, host: str) -> float:
    """Return how long a filter that has been judging by one policy needs from the new list to its first verdict.

    The list is compiled, its digest known and the rest of the policy built: that is done aside. What is left is to map
    the file, check its sum, put the new engine in place and judge.
    """
    library = ListLibrary(folder, state)
    spec = ListSpec("big", file="big.txt")
    library.digest(spec)
    start = time.perf_counter()
    content = library.read(spec)
    took = time.perf_counter() - start
    policy, _ = parse_policy(WITH.encode(), "policy.yaml", load_catalogue(), lambda _: content)
    assert policy is not None
    engine = Engine(policy)
    start = time.perf_counter()
    holder = [engine]
    holder[0].decide(Attempt("10.20.0.1", host, AT))
    return took + time.perf_counter() - start


def resident_bytes(folder: Path, state: Path, hosts: list[str]) -> float:
    """Return what the list adds to the resident set of a fresh process."""
    asked = folder / "asked"
    asked.write_text("\n".join(hosts))
    done = subprocess.run(
        [sys.executable, "-c", RESIDENT, str(folder), str(state), str(asked)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return float(done.stdout)


def measure(count: int, folder: Path) -> list[Row]:
    """Measure one size."""
    size = f"{count // 1_000_000} M names"
    hosts = hosts_of(write_names(folder / "big.txt", count))
    state = folder / "state"
    build = compile_seconds(folder, 3 if count > 1_000_000 else ROUNDS)
    library = ListLibrary(folder, state)
    with_list = engine_of(WITH, library)
    without = engine_of(WITHOUT, library)
    resident = tuple(resident_bytes(folder, state, hosts) / count for _ in range(ROUNDS))
    listed, plain = [], []
    for _ in range(ROUNDS):
        plain.append(first_decisions(without, hosts))
        listed.append(first_decisions(with_list, hosts))
    swapped = [swap_seconds(folder, state, hosts[0]) for _ in range(ROUNDS)]
    content = library.read(ListSpec("big", file="big.txt"))
    covers = [look_up_seconds(content.hosts, hosts) for _ in range(ROUNDS)]
    return [
        Row(f"{size}: resident, mapped and used", "bytes/name", resident, 12),
        Row(f"{size}: compile in the background", "s", build, 10 if count > 1_000_000 else 3),
        Row(
            f"{size}: swap, to the first verdict of the new policy", "ms", tuple(v * 1e3 for v in swapped), 10
        ),
        Row(f"{size}: look-up of a name with its parents", "µs", tuple(v * 1e6 for v in covers), 4),
        Row(
            f"{size}: what the list adds to a first decision",
            "µs",
            tuple((one - other) * 1e6 for one, other in zip(listed, plain, strict=True)),
            4,
        ),
        Row(f"{size}: first decision with the list", "µs", tuple(v * 1e6 for v in listed), 20),
    ]


def main() -> None:
    """Print the table, or JSON with --json; the sizes in millions may be given."""
    sizes = [int(word) * 1_000_000 for word in sys.argv[1:] if word.isdigit()] or [1_000_000, 5_000_000]
    rows = []
    for count in sizes:
        with tempfile.TemporaryDirectory() as folder:
            rows += measure(count, Path(folder))
    if "--json" in sys.argv:
        table = [{"work": row.work, "unit": row.unit, "median": row.middle, "goal": row.goal} for row in rows]
        print(json.dumps(table))
        return
    print("| work | measured: median [fastest-slowest] | goal | |\n| --- | --- | --- | --- |")
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
