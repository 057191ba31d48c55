"""The servers that are compared, set up for the same job: block these names, forward the rest, remember answers."""

import contextlib
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SERVER_CORE, CLIENT_CORE = 0, 1
STUB = ("127.0.0.2", 5300)
CLIENTS = tuple(f"127.0.20.{number}" for number in range(1, 5))
_IDLE, _MOMENT = 0.02, 1.2  # a process that uses less of a core for so many seconds rests
_PATIENCE = 60.0  # seconds to become ready
_PROBE = b"\0\1\1\0\0\1\0\0\0\0\0\0\5probe\7example\0\0\1\0\1"

POLICY = """\
version: 1
school: {{name: Bench, bank_holidays: england}}
networks:
  staff: {{people: staff, addresses: [127.0.10.0/24], inspection: names, otherwise: allow}}
  pupils: {{people: pupil, addresses: [127.0.20.0/24], inspection: names, otherwise: allow}}
unknown_clients: pupils
calendar: {{terms: [{{name: always, from: 2020-01-01, to: 2040-12-31}}]}}
schedules:
  lessons: {{days: mon-fri, at: ["08:50-10:30"], in: term}}
lists:
  bench: {{file: {names}}}
rules:
  - {{block: [list:bench], reason: Not on the school's network}}
  - {{block: [category:social-network], for: [pupils], reason: Not for pupils}}
  - {{block: [category:video], for: [staff], during: [lessons], reason: Not in lessons}}
"""
SETTINGS = """\
state = "{folder}/state"
[dns]
listen = ["127.0.0.1:{port}"]
queries_per_second = 10000000
same_answers_per_second = 1000000
upstreams = ["{stub[0]}:{stub[1]}"]
[metrics]
dns = "127.0.0.1:0"
"""
UNBOUND = """\
server:
  interface: 127.0.0.1
  port: {port}
  num-threads: 1
  do-daemonize: no
  chroot: ""
  username: ""
  pidfile: ""
  directory: "{folder}"
  use-syslog: no
  verbosity: 0
  module-config: "iterator"
  access-control: 127.0.0.0/8 allow
  do-not-query-localhost: no
  so-rcvbuf: 4m
  outgoing-range: 4096
  num-queries-per-thread: 2048
  rrset-cache-size: 128m
  msg-cache-size: 64m
  include: "{folder}/unbound-names.conf"
forward-zone:
  name: "."
  forward-addr: {stub[0]}@{stub[1]}
"""
DNSMASQ = """\
keep-in-foreground
no-resolv
no-hosts
no-daemon
bind-interfaces
listen-address=127.0.0.1
port={port}
cache-size=20000
dns-forward-max=1000
server={stub[0]}#{stub[1]}
"""
DNSDIST = """\
setLocal("127.0.0.1:{port}")
setACL({{"127.0.0.0/8"}})
setSecurityPollSuffix("")
newServer({{address="{stub[0]}:{stub[1]}", healthCheckMode="up"}})
pc = newPacketCache(100000)
getPool(""):setCache(pc)
blocked = newSuffixMatchNode()
for line in io.lines("{folder}/names.txt") do blocked:add(newDNSName(line)) end
addAction(SuffixMatchNodeRule(blocked), RCodeAction(DNSRCode.NXDOMAIN))
"""


@contextlib.contextmanager
def portal(folder: Path) -> Iterator[None]:
    """Read what the sinkhole tells, as the portal does: sending is part of its work."""
    place = folder / "state" / "events.sock"
    place.parent.mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(place))
        reader = threading.Thread(target=_read_all, args=(sock,), daemon=True)
        reader.start()
        try:
            yield
        finally:
            sock.shutdown(socket.SHUT_RDWR)
            reader.join()


def _read_all(sock: socket.socket) -> None:
    while sock.recv(65536):
        pass


def free_port() -> int:
    """Return a port that nobody listens on, below those that the system gives to connections."""
    for port in range(5400, 5500):
        with (
            contextlib.suppress(OSError),
            socket.socket() as tcp,
            socket.socket(type=socket.SOCK_DGRAM) as udp,
        ):
            tcp.bind(("127.0.0.1", port))
            udp.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no port is free")


def write_configuration(folder: Path, names: list[str], port: int) -> None:
    """Write what every server needs below a folder."""
    fields = {"folder": folder, "port": port, "stub": STUB, "names": "names.txt"}
    (folder / "port").write_text(str(port))
    (folder / "names.txt").write_text("\n".join(names) + "\n")
    (folder / "policy.yaml").write_text(POLICY.format(**fields))
    (folder / "schoolgate.toml").write_text(SETTINGS.format(**fields))
    (folder / "unbound.conf").write_text(UNBOUND.format(**fields))
    (folder / "unbound-names.conf").write_text(
        "".join(f'local-zone: "{name}." always_nxdomain\n' for name in names)
    )
    (folder / "dnsmasq.conf").write_text(
        DNSMASQ.format(**fields) + "".join(f"address=/{name}/\n" for name in names)
    )
    (folder / "dnsdist.conf").write_text(DNSDIST.format(**fields))


def command(server: str, folder: Path) -> list[str]:
    """Return how a server is started."""
    match server:
        case "floor":
            return [f"{folder}/stub", "127.0.0.1", (folder / "port").read_text()]
        case "schoolgate":
            own = Path(sys.executable).with_name("schoolgate")
            return [
                str(own),
                "dns",
                "--policy",
                f"{folder}/policy.yaml",
                "--settings",
                f"{folder}/schoolgate.toml",
            ]
        case "unbound":
            return ["unbound", "-d", "-c", f"{folder}/unbound.conf"]
        case "dnsmasq":
            return ["dnsmasq", "-C", f"{folder}/dnsmasq.conf", "-u", "root"]
        case "dnsdist":
            return ["dnsdist", "--supervised", "--disable-syslog", "-C", f"{folder}/dnsdist.conf"]
    raise ValueError(server)


def missing() -> list[str]:
    """Return the programs that are not installed."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    return [name for name in ("unbound", "dnsmasq", "dnsdist", "cc") if not shutil.which(name)]


@dataclass
class Process:
    """A process pinned to one core, and what it has used of it."""

    process: subprocess.Popen[bytes]

    @classmethod
    def start(cls, words: list[str], core: int, log: Path) -> "Process":
        """Start a command."""
        with log.open("ab") as output:
            return cls(
                subprocess.Popen(
                    ["taskset", "-c", str(core), *words],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                )
            )

    @property
    def cpu(self) -> float:
        """Seconds on the processor so far, of all threads that live."""
        tasks = Path(f"/proc/{self.process.pid}/task")
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9

    def rest(self) -> None:
        """Wait until it has done what it does afterwards, such as telling the portal of what it blocked."""
        before = -math.inf
        while self.cpu - before > _IDLE * _MOMENT:
            before = self.cpu
            time.sleep(_MOMENT)

    @property
    def resident(self) -> float:
        """Resident memory in megabytes."""
        fields = Path(f"/proc/{self.process.pid}/status").read_text().split("VmRSS:")[1].split()
        return int(fields[0]) / 1024

    def wait_ready(self, port: int) -> None:
        """Wait until it answers."""
        end = time.monotonic() + _PATIENCE
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((CLIENTS[0], 0))
            sock.settimeout(0.2)
            while time.monotonic() < end and self.process.poll() is None:
                try:
                    sock.sendto(_PROBE, ("127.0.0.1", port))
                    if sock.recv(512)[3] & 15 == 0:
                        return
                except OSError:
                    time.sleep(0.05)
        raise RuntimeError(f"{self.process.args} does not answer")

    def stop(self) -> None:
        """End it."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
