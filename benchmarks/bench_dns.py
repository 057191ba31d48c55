"""The sinkhole against Debian's servers: the same job, in turns within one run, each pinned to the same core.

    python benchmarks/bench_dns.py [--rounds N] [--seconds S] [--servers a,b] [--work a,b]

The load generator and the upstream (both C, built here) have the other core. Figures are medians over the rounds of
the server's processor time for a query; ratios are medians of each round's ratio. Nothing here is part of the tests.
"""

import argparse
import json
import random
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

from dns_servers import (
    CLIENT_CORE,
    CLIENTS,
    SERVER_CORE,
    STUB,
    Process,
    command,
    free_port,
    missing,
    portal,
    write_configuration,
)

HERE = Path(__file__).parent
# `floor` is the stand-in upstream in place of a server: it answers whatever is asked, in C, in batches, and looks nothing
# up. What it costs is what the kernel costs, below which no server can come.
SERVERS = ("schoolgate", "unbound", "dnsmasq", "dnsdist", "floor")
WORKS = ("blocked", "cached", "mix", "miss", "steady")
OUTSTANDING = 128
STEADY = 2_000
# work, other server, "cpu" (theirs / ours, at least) or a latency (ours / theirs, at most), goal
GOALS = (
    ("blocked", "dnsmasq", "cpu", 4.0),
    ("blocked", "unbound", "cpu", 1.5),
    ("cached", "dnsmasq", "cpu", 2.0),
    ("cached", "unbound", "cpu", 1.0),
    ("mix", "dnsmasq", "cpu", 2.5),
    ("mix", "unbound", "cpu", 1.15),
    ("miss", "unbound", "cpu", 1.3),
    ("miss", "dnsdist", "cpu", 0.5),
    ("steady", "unbound", "p50", 1.2),
    ("steady", "unbound", "p99", 1.5),
)
EXPECTED = {"blocked": {"3"}, "cached": {"0"}, "mix": {"0", "3"}, "miss": {"0"}, "steady": {"0", "3"}}
LISTED, WORKING_SET, DISTINCT = 100_000, 10_000, 500_000
FILLED, MANY, RELOADING = 50_000, 1_000_000, 20


def word(chance: random.Random) -> str:
    return "".join(chance.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=chance.randint(5, 14)))


def listed_names(count: int) -> list[str]:
    chance = random.Random(1)
    endings = ("com", "net", "org", "info", "co.uk")
    return sorted({f"{word(chance)}{number}.{chance.choice(endings)}" for number in range(count)})


def packet(name: str) -> bytes:
    wire = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    message = struct.pack("!HHHHHH", 0, 0x0100, 1, 0, 0, 1) + wire + b"\0\1\0\1"
    message += b"\0\0\x29\x04\xd0\0\0\0\0\0\0"
    return struct.pack("!H", len(message)) + message


def write_queries(folder: Path, names: list[str]) -> None:
    """Write a file of queries for each kind of work; the misses are too many to come round again."""
    chance = random.Random(2)
    some = chance.sample(names, WORKING_SET)
    blocked = [name if number % 2 else f"sub.{name}" for number, name in enumerate(some)]
    cached = [f"www.{word(chance)}{number}.example" for number in range(WORKING_SET)]
    mix = blocked[: WORKING_SET // 5] + cached[: WORKING_SET * 4 // 5]
    chance.shuffle(mix)
    missed = [f"{word(chance)}{number}.{word(chance)}.org" for number in range(DISTINCT)]
    for work, asked in (
        ("blocked", blocked),
        ("cached", cached),
        ("mix", mix),
        ("steady", mix),
        ("miss", missed),
    ):
        (folder / f"{work}.queries").write_bytes(b"".join(map(packet, asked)))


def build(folder: Path) -> None:
    for name in ("loadgen", "stub"):
        subprocess.run(["cc", "-O2", "-o", folder / name, HERE / f"{name}.c"], check=True)


def load(folder: Path, work: str, port: int, seconds: float, *, rate: int = 0, first: int = 0) -> dict:
    words = ["taskset", "-c", str(CLIENT_CORE), folder / "loadgen", "127.0.0.1", port, folder / f"{work}.queries",
             seconds, OUTSTANDING, rate, first, *CLIENTS]  # fmt: skip
    return json.loads(subprocess.run(map(str, words), check=True, capture_output=True).stdout)


def measure(folder: Path, server: str, port: int, works: list[str], seconds: float) -> dict[str, dict]:
    """Start one server afresh and let it do all kinds of work."""
    process = Process.start(command(server, folder), SERVER_CORE, folder / f"{server}.log")
    found = {}
    try:
        process.wait_ready(port)
        for work in works if server != "floor" else [work for work in works if work != "miss"]:
            if work != "miss" and server != "floor":
                for _ in range(2):
                    load(folder, work, port, 0)  # every name twice
                process.rest()
            before = process.cpu
            result = load(folder, work, port, seconds, rate=STEADY if work == "steady" else 0)
            result["resident"] = process.resident
            if work != "steady":  # so slow that what a process costs that only waits would count
                process.rest()
            result["cpu"] = (process.cpu - before) / result["replies"] * 1e6
            wrong = set(result["rcodes"]) - EXPECTED[work]
            if wrong and server != "floor":
                result["wrong"] = sorted(wrong)
            found[work] = result
    finally:
        process.stop()
    return found


def alone(folder: Path, port: int) -> str:
    """Measure what has no counterpart: memory while filling up, and reloads with a million names under load."""
    rows = ["| work | measured | goal | |", "| --- | --- | --- | --- |"]
    process = Process.start(command("schoolgate", folder), SERVER_CORE, folder / "schoolgate.log")
    try:
        process.wait_ready(port)
        asked, full = 0, 0.0
        while asked < FILLED:
            asked += load(folder, "miss", port, 5, first=asked)["sent"]
        full = process.resident
        while asked < 4 * FILLED:
            asked += load(folder, "miss", port, 5, first=asked)["sent"]
        grown = process.resident - full
    finally:
        process.stop()
    rows.append(_row(f"memory with {FILLED:,} answers", full, 80, "MB"))
    rows.append(_row(f"… and after {3 * FILLED:,} more random names", grown, 10, "MB more"))
    names = listed_names(MANY)
    write_configuration(folder, names, port)
    process = Process.start(command("schoolgate", folder), SERVER_CORE, folder / "schoolgate.log")
    try:
        process.wait_ready(port)
        quiet = load(folder, "steady", port, RELOADING, rate=STEADY)
        reloads = threading.Thread(target=_reload, args=(folder, names))
        reloads.start()
        result = load(folder, "steady", port, RELOADING, rate=STEADY)
        reloads.join()
    finally:
        process.stop()
    loaded = (folder / "schoolgate.log").read_text().count('"policy.loaded"')
    rows.append(_row(f"queries lost in {loaded - 2} reloads of {MANY:,} names", result["lost"], 0, ""))
    rows.append(f"| p99 without reloads, with them | {quiet['p99']:,.0f}, {result['p99']:,.0f} µs | | |")
    return "\n".join(rows)


def _row(work: str, value: float, goal: float, unit: str) -> str:
    return f"| {work} | {value:,.0f} {unit} | ≤ {goal:g} {unit} | {'met' if value <= goal else 'MISSED'} |"


def _reload(folder: Path, names: list[str]) -> None:
    for number in range(3):
        time.sleep(RELOADING / 5)
        fresh = folder / "names.new"
        fresh.write_text("\n".join([*names, f"more{number}.example"]) + "\n")
        fresh.replace(folder / "names.txt")


def table(rounds: list[dict[str, dict[str, dict]]], works: list[str], servers: list[str]) -> str:
    lines = [
        "| work | server | CPU µs/query | queries/s | p50 µs | p99 µs | lost | MB |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for work in works:
        for server in servers:
            cells = [one[server][work] for one in rounds if work in one[server]]
            if not cells:
                continue
            cpu = [cell["cpu"] for cell in cells]
            row = [work, server, f"{median(cpu):.2f} [{min(cpu):.2f}-{max(cpu):.2f}]"]
            row += [f"{median(cell[key] for cell in cells):,.0f}" for key in ("qps", "p50", "p99")]
            row += [
                str(sum(cell["lost"] for cell in cells)),
                f"{median(cell['resident'] for cell in cells):.0f}",
            ]
            wrong = sorted({rcode for cell in cells for rcode in cell.get("wrong", ())})
            lines.append("| " + " | ".join(row) + " |" + (f" wrong rcodes {wrong}" if wrong else ""))
    return "\n".join(lines)


def goals(rounds: list[dict[str, dict[str, dict]]], works: list[str], servers: list[str]) -> tuple[str, bool]:
    lines = ["| work | against | measured | goal | |", "| --- | --- | --- | --- | --- |"]
    all_met = True
    for work, other, key, goal in GOALS:
        if work not in works or other not in servers:
            continue
        pairs = [(one["schoolgate"][work][key], one[other][work][key]) for one in rounds]
        ratios = [theirs / ours if key == "cpu" else ours / theirs for ours, theirs in pairs]
        ratio, sign = median(ratios), "≥" if key == "cpu" else "≤"
        met = ratio >= goal if key == "cpu" else ratio <= goal
        all_met &= met
        label = "CPU per query" if key == "cpu" else key
        spread = f"[{min(ratios):.2f}-{max(ratios):.2f}]"
        lines.append(
            f"| {work}, {label} | {other} | {ratio:.2f}x {spread} | {sign} {goal:g}x | {'met' if met else 'MISSED'} |"
        )
    return "\n".join(lines), all_met


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--servers", default=",".join(SERVERS))
    parser.add_argument("--alone", action="store_true", help="only memory and reloads")
    parser.add_argument("--together", action="store_true", help="only the comparison")
    parser.add_argument("--work", default=",".join(WORKS))
    options = parser.parse_args()
    all_met = True
    servers, works = options.servers.split(","), options.work.split(",")
    absent = missing()
    if absent:
        print(f"not installed: {', '.join(absent)}; `make bench-dns` installs them", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="bench-dns-") as name:
        folder, port = Path(name), free_port()
        names = listed_names(LISTED)
        build(folder)
        write_configuration(folder, names, port)
        write_queries(folder, names)
        stub = Process.start([f"{folder}/stub", *map(str, STUB)], CLIENT_CORE, folder / "stub.log")
        try:
            with portal(folder):
                rounds = compare(folder, port, servers, works, options) if not options.alone else []
            if rounds:
                print(table(rounds, works, servers), end="\n\n")
                text, all_met = goals(rounds, works, servers)
                print(text, end="\n\n")
            own = "" if options.together else alone(folder, port)
        finally:
            stub.stop()
    print(own)
    return 0 if all_met and "MISSED" not in own else 1


def compare(
    folder: Path, port: int, servers: list[str], works: list[str], options: argparse.Namespace
) -> list[dict[str, dict[str, dict]]]:
    rounds = []
    for number in range(options.rounds):
        order = servers if number % 2 else servers[::-1]
        rounds.append({server: measure(folder, server, port, works, options.seconds) for server in order})
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
    return rounds


if __name__ == "__main__":
    sys.exit(main())
