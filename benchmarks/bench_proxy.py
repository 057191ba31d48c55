"""What a connection and a request cost: mitmdump alone, Schoolgate, and squid, with the same origin and client.

Every round visits each proxy in turn (A B C, A B C ...), so that the figures stand side by side in one run. The
proxies run on one core, client and origin on the other. "CPU" is the processor time of the proxy for one unit, from
/proc; it is steadier than the clock where a machine has other work. Needs nginx, squid-openssl, hey and curl.

    bench_proxy.py [--rounds N] [--only mitmdump,schoolgate,squid]
"""

# ruff: noqa: PLC0415 - only the measured process itself loads the proxy
import argparse
import asyncio
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
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

ORIGIN, PORT = "127.0.0.2", 443
PASSED, OPENED, BLOCKED = "passed.example", "opened.example", "blocked.example"
GUEST = "127.0.30.5"
LARGE = 256  # MB of the large file
PEERS = ("mitmdump", "schoolgate", "squid")
TICK = 1 / os.sysconf("SC_CLK_TCK")
POLICY = f"""
version: 1
school: {{name: Bench, timezone: Europe/London, bank_holidays: england}}
networks:
  pupils: {{people: pupil, addresses: [127.0.0.0/16], inspection: all, otherwise: allow}}
  guests: {{people: guest, addresses: [127.0.30.0/24], inspection: names, otherwise: allow}}
unknown_clients: pupils
never_inspect: [{PASSED}]
rules: [{{block: [{BLOCKED}], reason: Not at school}}]
"""
MITMDUMP = f"""
from mitmproxy import http
class Bench:
    def tls_clienthello(self, data):
        data.ignore_connection = data.client_hello.sni == "{PASSED}"
    def requestheaders(self, flow):
        flow.response = http.Response.make(403, b"no" * 2000) if flow.request.host == "{BLOCKED}" else None
    def responseheaders(self, flow):
        flow.response.stream = True
    def server_connect(self, data):
        data.server.address = ("{ORIGIN}", {PORT})
addons = [Bench()]
"""
SQUID = """
http_port 127.0.0.1:{port} ssl-bump cert={folder}/ca.pem generate-host-certificates=on dynamic_cert_mem_cache_size=8MB
sslcrtd_program /usr/lib/squid/security_file_certgen -s {folder}/certs -M 8MB
acl step1 at_step SslBump1
acl passed ssl::server_name @passed@
acl blocked dstdomain @blocked@
ssl_bump peek step1
ssl_bump splice passed
ssl_bump bump all
http_access deny blocked
http_access allow all
tls_outgoing_options flags=DONT_VERIFY_PEER
sslproxy_cert_error allow all
hosts_file {folder}/hosts
cache deny all
cache_mem 8 MB
access_log none
cache_log {folder}/cache.log
pid_filename {folder}/squid.pid
coredump_dir {folder}
workers 1
shutdown_lifetime 0 seconds
""".replace("@passed@", PASSED).replace("@blocked@", BLOCKED)


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
        total = 0
        for pid in self.pids():
            with suppress(OSError):
                words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                total += int(words[11]) + int(words[12])
        return total * TICK

    def rss(self) -> float:
        """Return the resident memory in KB."""
        return sum(
            int(line.split()[1])
            for pid in self.pids()
            for line in Path(f"/proc/{pid}/status").read_text().splitlines()
            if line.startswith("VmRSS")
        )


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


def on_core(core: int, command: list[str]) -> list[str]:
    return ["taskset", "-c", str(core % (os.cpu_count() or 1)), *command]


def hey(peer: Peer, host: str, count: int, *, keep: bool, clients: int = 16) -> int:
    """Fetch a small page so often; returns how many answers came, and fails where one was no 200 or many are missing."""
    command = ["hey", "-t", "5", "-n", str(count), "-c", str(clients), "-cpus", "1"]
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
    times = [fetch(peer.port, PASSED, context)[0] for _ in range(250)]
    table.add("pass: added p50, ms", peer.name, median(times) - base[0])
    table.add("pass: added p99, ms", peer.name, percentile(times, 0.99) - base[1])
    cost("open: new connection, CPU µs", lambda: hey(peer, OPENED, 256, keep=False))
    cost("open: kept connection, CPU µs a request", lambda: hey(peer, OPENED, 992, keep=True))
    carry("open", OPENED)
    pages = [fetch(peer.port, BLOCKED, context) for _ in range(60)]
    if any(b" 403" not in line for _, line in pages):
        raise RuntimeError(f"{peer.name}: the block page is none: {pages[0]}")
    table.add("block page inside TLS, p50 ms", peer.name, median(ms for ms, _ in pages))
    if peer.name == "schoolgate":
        table.add("refusal without a page, p50 ms", peer.name, median(refusal(peer.port) for _ in range(100)))


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


@contextmanager
def running(
    command: list[str], port: int, host: str = "127.0.0.1", **named: object
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until it listens, and end it afterwards."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True, **named)  # type: ignore[call-overload]
    try:
        for _ in range(300):
            with suppress(OSError), socket.create_connection((host, port), timeout=1):
                break
            if process.poll() is not None:
                raise RuntimeError(f"{' '.join(command)} ended by itself")
            time.sleep(0.05)
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        for left in Path("/dev/shm").glob(f"bench{os.getpid()}-*"):
            left.unlink()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def certificates(folder: Path) -> None:
    run = subprocess.run
    subject = ["-nodes", "-days", "2", "-subj", "/CN=bench"]
    names = "subjectAltName=" + ",".join(f"DNS:{host}" for host in (PASSED, OPENED, BLOCKED))
    run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-keyout", folder / "o.key", "-out", folder / "o.pem", "-addext", names, *subject], check=True, capture_output=True)  # fmt: skip
    run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-keyout", folder / "ca.key", "-out", folder / "ca.crt", *subject], check=True, capture_output=True)  # fmt: skip
    (folder / "ca.pem").write_bytes((folder / "ca.key").read_bytes() + (folder / "ca.crt").read_bytes())


def origin(folder: Path) -> list[str]:
    """Write the origin's files and return the command that runs it."""
    (folder / "small").write_bytes(b"x" * 1024)
    with (folder / "large").open("wb") as file:
        file.truncate(LARGE << 20)
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr crit; user root;\n"
        "events { worker_connections 8192; }\n"
        f"http {{ access_log off; sendfile on; keepalive_requests 1000000; client_body_temp_path {folder}/b;\n"
        f"proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u;\n"
        f"scgi_temp_path {folder}/s; server {{ listen {ORIGIN}:{PORT} ssl; root {folder};\n"
        f"ssl_certificate {folder}/o.pem; ssl_certificate_key {folder}/o.key; ssl_protocols TLSv1.3; }} }}\n"
    )
    return ["nginx", "-c", str(config), "-p", str(folder)]


def peer_command(name: str, folder: Path, port: int) -> list[str]:
    here = Path(sys.executable).parent
    if name == "mitmdump":
        (folder / "bench_mitm.py").write_text(MITMDUMP)
        words = ["-q", "-s", str(folder / "bench_mitm.py"), "--listen-host", "127.0.0.1", "-p", str(port)]
        words += ["--set", f"confdir={folder}/mitm", "--set", "connection_strategy=lazy", "--ssl-insecure"]
        return [str(here / "mitmdump"), *words, "--set", "upstream_cert=false"]
    if name == "schoolgate":
        return [sys.executable, __file__, "--serve", str(folder), str(port)]
    (folder / "hosts").write_text("".join(f"{ORIGIN} {host}\n" for host in (PASSED, OPENED, BLOCKED)))
    (folder / "squid.conf").write_text(SQUID.format(port=port, folder=folder))
    shutil.rmtree(folder / "certs", ignore_errors=True)
    subprocess.run(
        ["/usr/lib/squid/security_file_certgen", "-c", "-s", str(folder / "certs"), "-M", "8MB"],
        check=True,
        capture_output=True,
    )
    if os.geteuid() == 0:  # squid gives up its rights
        subprocess.run(["chown", "-R", "proxy", str(folder / "certs"), str(folder / "ca.pem")], check=True)
        folder.chmod(0o777)
    return ["squid", "-N", "-n", f"bench{os.getpid()}", "-f", str(folder / "squid.conf")]


async def serve(folder: Path, port: int) -> None:
    """Run Schoolgate's proxy with its real metrics and recorder."""
    from datetime import UTC, datetime
    from ipaddress import ip_network

    from schoolgate import logs
    from schoolgate.metrics import Metrics
    from schoolgate.metrics_proxy import ProxyMetrics
    from schoolgate.record import MetricsRecorder
    from schoolgate_policy.store import PolicyStore
    from schoolgate_proxy.config import ProxyConfig
    from schoolgate_proxy.server import ProxyServer

    class Quiet:
        def policy_loaded(self, *_: object) -> None: ...
        def policy_rejected(self, *_: object, **__: object) -> None: ...

    async def resolve(_name: str, _port: int) -> list[tuple[str, int]]:
        return [(ORIGIN, PORT)]

    logs.configure("info", "proxy")
    (folder / "policy.yaml").write_text(POLICY)
    metrics = Metrics("proxy")
    config = ProxyConfig(
        state=folder / "schoolgate",
        explicit=(("127.0.0.1", port),),
        upstream_ca=folder / "o.pem",
        allowed_upstream=(ip_network("127.0.0.0/8"),),
        resolve=resolve,
    )
    server = ProxyServer(
        config,
        PolicyStore(folder / "policy.yaml", None, Quiet()),
        MetricsRecorder(metrics),
        ProxyMetrics(metrics.registry),
        lambda: datetime.now(UTC),
    )
    await server.start()
    await server.run()


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
    return lines


def measure(names: list[str], rounds: int, *, memory: bool) -> Table:
    """Run origin and proxies, and visit each proxy in every round."""
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
        context = insecure()
        for peer in peers:
            for host in (PASSED, OPENED):
                hey(peer, host, 64, keep=False)
            if memory:
                idle(peer, table)
        for _ in range(rounds):
            times = [fetch(None, PASSED, context)[0] for _ in range(250)]
            base = median(times), percentile(times, 0.99)
            for peer in peers:
                one_round(peer, table, base)
        for peer in peers:
            if peer.name == "schoolgate" and memory:
                growth(peer, table)
    return table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default=",".join(PEERS))
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--serve", nargs=2)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve(Path(arguments.serve[0]), int(arguments.serve[1])))
        return 0
    names = [name for name in arguments.only.split(",") if name in PEERS]
    missing = [tool for tool in ("nginx", "hey", "curl", "openssl", "squid") if not shutil.which(tool)]
    if missing:
        print(f"not measured: {', '.join(missing)} not found", file=sys.stderr)
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the servers are ended too
    table = measure(names, arguments.rounds, memory=not arguments.no_memory)
    print(report(table))
    print(json.dumps(table.cells), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
