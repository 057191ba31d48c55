"""What a connection and a request cost: mitmdump alone, Schoolgate, and squid, with the same origin and client.

Every round visits each proxy in turn (A B C, A B C ...), so that the figures stand side by side in one run. The
proxies run on one core, client and origin on the other. "CPU" is the processor time of the proxy for one unit, from
/proc; it is steadier than the clock where a machine has other work. Needs nginx, squid-openssl, hey and curl; e2guardian is
measured, where it is installed and we are root, on connections that it passes on (it opens none here). mitmdump passes
connections on with `ignore_connection`, squid with `splice`, and they open them by default and with `bump`.

    bench_proxy.py [--rounds N] [--seconds S] [--only mitmdump,schoolgate,squid,e2guardian]

No round is begun after S seconds, so that a slow machine ends in time, too.
"""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from proxy_servers import (
    BLOCKED,
    GUEST,
    LARGE,
    OPENED,
    ORIGIN,
    PASSED,
    PORT,
    certificates,
    free_port,
    on_core,
    origin,
    peer_command,
    running,
    two_workers,
)

PEERS = ("mitmdump", "schoolgate", "squid", "e2guardian")
OPENS = ("mitmdump", "schoolgate", "squid")
TICK = 1 / os.sysconf("SC_CLK_TCK")


@dataclass
class Peer:
    """A proxy that is measured."""

    name: str
    port: int
    process: subprocess.Popen[bytes]

    def pids(self) -> list[int]:
        """Return the process and those it started."""
        found = [self.process.pid]
        for pid in found:
            for task in Path(f"/proc/{pid}/task").iterdir():
                with suppress(OSError):
                    found += [int(child) for child in (task / "children").read_text().split()]
        return found

    def cpu(self) -> float:
        """Return the processor seconds used so far."""
        return cpu_of(self.pids())

    def rss(self) -> float:
        """Return the resident memory in KB."""
        return sum(
            int(line.split()[1])
            for pid in self.pids()
            for line in Path(f"/proc/{pid}/status").read_text().splitlines()
            if line.startswith("VmRSS")
        )


def cpu_of(pids: list[int]) -> float:
    """Return the processor seconds that processes have used so far."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(words[11]) + int(words[12])
    return total * TICK


@dataclass
class Table:
    """Figures by row and peer, one for each round."""

    cells: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, row: str, peer: str, value: float) -> None:
        """Put a figure in."""
        self.cells.setdefault(row, {}).setdefault(peer, []).append(value)

    def middle(self, row: str, peer: str) -> float | None:
        """Return the median of the rounds."""
        values = self.cells.get(row, {}).get(peer)
        return median(values) if values else None


def hey(peer: Peer, host: str, count: int, *, keep: bool, clients: int = 16) -> int:
    """Fetch a small page so often; returns how many answers came, and fails where one was no 200 or many are missing."""
    command = ["hey", "-t", "20", "-n", str(count), "-c", str(clients), "-cpus", "1"]
    command += ["-x", f"http://127.0.0.1:{peer.port}", *([] if keep else ["-disable-keepalive"])]
    command = on_core(1, [*command, f"https://{host}/small"])
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    answers = {int(status): int(number) for status, number in re.findall(r"\[(\d+)\]\t(\d+) responses", out)}
    if answers.keys() != {200} or answers[200] < count * 0.8:
        raise RuntimeError(f"{peer.name} {host}: not all answers were good\n{out}")
    return answers[200]


def download(peer: Peer, host: str) -> float:
    """Fetch the large file; returns the seconds that it took."""
    began = time.perf_counter()
    subprocess.run(
        on_core(
            1,
            [
                "curl",
                "-sfk",
                "-o",
                "/dev/null",
                "-x",
                f"http://127.0.0.1:{peer.port}",
                f"https://{host}/large",
            ],
        ),
        check=True,
    )
    return time.perf_counter() - began


def tunnel(port: int, host: str, source: str = "127.0.0.1") -> socket.socket:
    raw = socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(source, 0))
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    raw.sendall(f"CONNECT {host}:{PORT} HTTP/1.1\r\nHost: {host}:{PORT}\r\n\r\n".encode())
    reply = b""
    while not reply.endswith(b"\r\n\r\n"):
        reply += raw.recv(1) or b"\r\n\r\n"
    return raw


def insecure() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def fetch(port: int | None, host: str, context: ssl.SSLContext) -> tuple[float, bytes]:
    """Fetch a page over a new connection, directly where `port` is None; returns milliseconds and the first line."""
    began = time.perf_counter()
    raw = socket.create_connection((ORIGIN, PORT), timeout=10) if port is None else tunnel(port, host)
    with context.wrap_socket(raw, server_hostname=host) as connection:
        connection.sendall(f"GET /small HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        line = connection.recv(4096)[:12]
        return (time.perf_counter() - began) * 1000, line


def refusal(port: int) -> float:
    """Return the milliseconds from a ClientHello with a blocked name to the alert."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = insecure().wrap_bio(incoming, outgoing, server_hostname=BLOCKED)
    with suppress(ssl.SSLWantReadError):
        hello.do_handshake()
    data = outgoing.read()
    with tunnel(port, "192.0.2.1", GUEST) as raw:
        began = time.perf_counter()
        raw.sendall(data)
        if raw.recv(100)[:1] != b"\x15":
            raise RuntimeError("no alert")
        return (time.perf_counter() - began) * 1000


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def one_round(peer: Peer, table: Table, base: tuple[float, float]) -> None:
    """Do all the work through one proxy."""

    def cost(row: str, work: Callable[[], int]) -> None:
        before = peer.cpu()
        done = work()
        table.add(row, peer.name, max(peer.cpu() - before, TICK) / done * 1e6)

    def carry(kind: str, host: str) -> None:
        before = peer.cpu()
        seconds = download(peer, host)
        table.add(f"{kind}: download, MB per CPU s", peer.name, LARGE / max(peer.cpu() - before, TICK))
        table.add(f"{kind}: download, MB/s", peer.name, LARGE / seconds)

    cost("pass: new connection, CPU µs", lambda: hey(peer, PASSED, 1600, keep=False))
    carry("pass", PASSED)
    context = insecure()
    times = [fetch(peer.port, PASSED, context)[0] for _ in range(300)]
    table.add("pass: added p50, ms", peer.name, median(times) - base[0])
    table.add("pass: added p99, ms", peer.name, percentile(times, 0.99) - base[1])
    if peer.name not in OPENS:
        return
    cost("open: new connection, CPU µs", lambda: hey(peer, OPENED, 256, keep=False))
    cost("open: kept connection, CPU µs a request", lambda: hey(peer, OPENED, 992, keep=True))
    carry("open", OPENED)
    pages = [fetch(peer.port, BLOCKED, context) for _ in range(60)]
    if any(b" 403" not in line for _, line in pages):
        raise RuntimeError(f"{peer.name}: the block page is none: {pages[0]}")
    table.add("block page inside TLS, p50 ms", peer.name, median(ms for ms, _ in pages))
    if peer.name == "schoolgate":
        table.add("refusal without a page, p50 ms", peer.name, median(refusal(peer.port) for _ in range(100)))


def workers(folder: Path, table: Table) -> None:
    """Measure two workers behind one port on all cores: linear is what costs as much for each connection as one worker."""
    port = free_port()
    with running(two_workers(folder, port), port) as process:
        peer = Peer("schoolgate", port, process)
        time.sleep(3)  # until both listen
        hey(peer, OPENED, 64, keep=False)
        for row, host, count in (("passed", PASSED, 1600), ("opened", OPENED, 256)):
            before = peer.cpu()
            done = hey(peer, host, count, keep=False)
            table.add(
                f"two workers: new connection {row}, CPU µs", peer.name, (peer.cpu() - before) / done * 1e6
            )
        shares = sorted(cpu_of([pid]) for pid in peer.pids()[1:3])
        table.add("two workers: the less busy one's share of the work", peer.name, shares[0] / sum(shares))


def idle(peer: Peer, table: Table) -> None:
    """Measure what idle connections take, in a process that has not done other work before."""
    context = insecure()
    before = peer.rss()
    with ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(context.wrap_socket(tunnel(peer.port, PASSED), server_hostname=PASSED))
        table.add("idle passed connection, KB", peer.name, (peer.rss() - before) / 1000)


def growth(peer: Peer, table: Table) -> None:
    """Measure what many requests leave in memory."""
    hey(peer, OPENED, 4000, keep=True)
    before = peer.rss()
    hey(peer, OPENED, 20_000, keep=True)
    table.add("growth over 20,000 opened requests, MB", peer.name, (peer.rss() - before) / 1024)


def report(table: Table) -> str:
    """Return the table in Markdown, with the goals."""
    lines = [f"| work | {' | '.join(PEERS)} |", "| --- | " + "--: | " * len(PEERS)]
    for row, cells in table.cells.items():
        texts = []
        for peer in PEERS:
            values = cells.get(peer)
            texts.append(f"{median(values):.4g} [{min(values):.3g}-{max(values):.3g}]" if values else "-")
        lines.append(f"| {row} | {' | '.join(texts)} |")
    return "\n".join([*lines, "", *goals(table)])


def goals(table: Table) -> list[str]:
    """Hold the figures against the goals."""
    lines = ["| goal | figure | |", "| --- | --: | --- |"]

    def hold(text: str, row: str, peer: str, least: float, *, cheaper: bool = True) -> None:
        ours, theirs = table.middle(row, "schoolgate"), table.middle(row, peer)
        if ours and theirs:
            ratio = theirs / ours if cheaper else ours / theirs
            lines.append(f"| {text} | {ratio:.2f} | {'met' if ratio >= least else 'MISSED'} |")

    def below(text: str, row: str, most: float | None) -> None:
        ours = table.middle(row, "schoolgate")
        if ours is not None and most is not None:
            lines.append(f"| {text} | {ours:.3g} | {'met' if ours <= most else 'MISSED'} |")

    new, kept = "open: new connection, CPU µs", "open: kept connection, CPU µs a request"
    hold("new connection passed: ≥ 0.9 x squid splice", "pass: new connection, CPU µs", "squid", 0.9)
    hold("new connection passed: ≥ 10 x mitmdump", "pass: new connection, CPU µs", "mitmdump", 10)
    hold("download passed: ≥ 1.2 x squid splice", "pass: download, MB per CPU s", "squid", 1.2, cheaper=False)
    below("added p50 of a passed connection ≤ 0.7 ms", "pass: added p50, ms", 0.7)
    p99 = table.middle("pass: added p99, ms", "squid")
    below("added p99 ≤ 1.5 x squid's", "pass: added p99, ms", 1.5 * p99 if p99 else None)
    hold("new connection opened: ≥ 1.0 x squid bump", new, "squid", 1.0)
    hold("new connection opened: ≥ 1.5 x mitmdump", new, "mitmdump", 1.5)
    hold("kept request: ≥ 3 x mitmdump", kept, "mitmdump", 3)
    page = "block page inside TLS, p50 ms"
    below("block page ≤ squid's", page, table.middle(page, "squid"))
    below("refusal without a page ≤ 0.2 ms", "refusal without a page, p50 ms", 0.2)
    below("growth over 20,000 requests ≤ 10 MB", "growth over 20,000 opened requests, MB", 10)
    below("idle passed connection ≤ 30 KB", "idle passed connection, KB", 30)
    for kind, one in (("passed", "pass"), ("opened", "open")):
        alone = table.middle(f"{one}: new connection, CPU µs", "schoolgate")
        two = table.middle(f"two workers: new connection {kind}, CPU µs", "schoolgate")
        if alone and two:
            verdict = "met" if two <= 1.25 * alone else "MISSED"
            lines.append(
                f"| two workers, {kind}: each connection ≤ 1.25 x what it costs one | {two / alone:.2f} | {verdict} |"
            )
    return lines


def all_rounds(peers: list[Peer], table: Table, most: int, seconds: float) -> None:
    """Visit each proxy in every round; the first round is always done, and none begun that would take too long."""
    began, context = time.monotonic(), insecure()
    for done in range(most):
        if done and (time.monotonic() - began) * (done + 1) / done > seconds:
            break
        times = [fetch(None, PASSED, context)[0] for _ in range(300)]
        base = median(times), percentile(times, 0.99)
        for peer in peers:
            one_round(peer, table, base)


def measure(names: list[str], rounds: int, seconds: float, *, memory: bool) -> Table:
    """Run origin and proxies, and visit each proxy in every round; the first round is always done."""
    table = Table()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-proxy-")))
        folder.chmod(0o755)
        certificates(folder)
        stack.enter_context(running(on_core(1, origin(folder)), PORT, ORIGIN))
        peers = []
        for name in names:
            port = free_port()
            peers.append(Peer(name, port, stack.enter_context(running(on_core(0, peer_command(name, folder, port)), port))))  # fmt: skip
        os.sched_setaffinity(0, {1 % (os.cpu_count() or 1)})
        for peer in peers:
            for host in (PASSED, OPENED) if peer.name in OPENS else (PASSED,):
                hey(peer, host, 64, keep=False)
            if memory and peer.name != "e2guardian":  # which has a thread for each, and not so many
                idle(peer, table)
        all_rounds(peers, table, rounds, seconds)
        for peer in peers:
            if peer.name == "schoolgate" and memory:
                growth(peer, table)
        if "schoolgate" in names:
            os.sched_setaffinity(0, range(os.cpu_count() or 1))
            workers(folder, table)
    return table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default=",".join(PEERS))
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument(
        "--seconds", type=float, default=240, help="begin no round that would end after so many"
    )
    arguments = parser.parse_args()
    names = [name for name in arguments.only.split(",") if name in PEERS]
    if "e2guardian" in names and (os.geteuid() or not shutil.which("e2guardian")):
        print("e2guardian is not measured: it is not installed, or we are not root", file=sys.stderr)
        names.remove("e2guardian")
    missing = [tool for tool in ("nginx", "hey", "curl", "openssl", "squid") if not shutil.which(tool)]
    if missing:
        print(f"not measured: {', '.join(missing)} not found", file=sys.stderr)
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the servers are ended too
    table = measure(names, arguments.rounds, arguments.seconds, memory=not arguments.no_memory)
    print(report(table))
    print(json.dumps(table.cells), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
