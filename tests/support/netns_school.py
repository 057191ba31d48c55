"""A whole school in network namespaces: pupil, staff, guest, the box (`edge`) and an internet (`wan`).

Joined by veth, IPv4 and IPv6; the product runs in `edge` as it is installed: without root's rights, behind its own
firewall. Tests and `make lab` use the same school. Names carry the number of the process, and are removed with it.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from netns_internet import RESOLVER4, RESOLVER6

ROOT = Path(__file__).parents[2]
PATIENCE = 600  # seconds: on a machine that is busy with other things everything is slow
NOBODY = 65534
VLANS = {"staff": 10, "pupil": 20, "guest": 30}
NETWORKS = {"staff": "staff", "pupil": "pupils", "guest": "guests"}
INTERFACES = {"vlan10": "staff", "vlan20": "pupils", "vlan30": "guests"}
_WITH_US = "--pdeathsig=TERM"  # whatever ends us, nothing that we started is left behind
METRICS = {"dns": 9153, "proxy": 9154, "portal": 9155}
SETTINGS = """\
[dns]
listen = ["0.0.0.0:5353", "[::]:5353"]
upstreams = ["{four}", "[{six}]:53"]
[proxy]
transparent = {{staff = 8410, pupils = 8420, guests = 8430}}
upstream_ca = "{roots}"
[portal]
listen = "[::]:8000"
url = "http://filter.school.example"
[interfaces]
staff = "vlan10"
pupils = "vlan20"
guests = "vlan30"
wan = "wan0"
"""


class NoNamespacesError(Exception):
    """This machine does not allow them; says why."""


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


def _batch(lines: Iterable[str]) -> None:
    subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), check=True, capture_output=True, text=True)


@dataclass
class Host:
    """A machine: a namespace to act in."""

    name: str
    role: str
    pool: ThreadPoolExecutor = field(init=False)

    def __post_init__(self) -> None:
        self.pool = ThreadPoolExecutor(16, initializer=self._enter, thread_name_prefix=self.role)

    def _enter(self) -> None:
        with Path("/run/netns", self.name).open() as handle:
            os.setns(handle.fileno(), os.CLONE_NEWNET)

    @property
    def four(self) -> str:
        """Its IPv4 address."""
        return f"10.{VLANS[self.role]}.0.5"

    @property
    def six(self) -> str:
        """Its IPv6 address."""
        return f"2a00:{VLANS[self.role]}::5"

    @property
    def gateway4(self) -> str:
        """The box, as it sees it."""
        return f"10.{VLANS[self.role]}.0.1"

    @property
    def gateway6(self) -> str:
        """The box over IPv6."""
        return f"2a00:{VLANS[self.role]}::1"

    def gateway(self, there: str) -> str:
        """The box, over the family of an address."""
        return self.gateway6 if ":" in there else self.gateway4

    def do[T](self, act: Callable[..., T], *arguments: Any) -> T:
        """Call something whose sockets belong to this machine."""
        return self.pool.submit(act, *arguments).result(PATIENCE)

    def run(self, *command: str, stdin: str | bytes = "", seconds: float = PATIENCE) -> str:
        """Run a command on this machine and return what it prints, whatever its exit code."""
        data = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(
            ["ip", "netns", "exec", self.name, *command], input=data, capture_output=True, timeout=seconds, check=False
        )  # fmt: skip
        return (done.stdout + done.stderr).decode(errors="replace")

    def start(self, *command: str, log: Path | None = None, **more: Any) -> subprocess.Popen[bytes]:
        """Start a command on this machine."""
        out = log.open("ab") if log else subprocess.DEVNULL
        try:
            return subprocess.Popen(
                ["ip", "netns", "exec", self.name, *command],
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, **more,
            )  # fmt: skip
        finally:
            if log:
                out.close()


class Internet:
    """The stand-in internet, and what has reached it."""

    def __init__(self, wan: Host, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        script = Path(__file__).with_name("netns_internet.py")
        command = ("setpriv", _WITH_US, sys.executable, str(script), str(folder))
        self.process = wan.start(*command, log=folder / "output", start_new_session=True)
        wait_for(lambda: (folder / "ready").exists() or self.process.poll() is not None, PATIENCE)
        if self.process.poll() is not None:
            raise RuntimeError((folder / "output").read_text())
        self._read = 0

    @property
    def roots(self) -> Path:
        """The certificate that its sites are signed by."""
        return self.folder / "roots.pem"

    def seen(self) -> list[dict[str, Any]]:
        """Return what has reached it since the last `forget`."""
        with (self.folder / "log").open() as log:
            log.seek(self._read)
            return [json.loads(line) for line in log if line.endswith("\n")]

    def forget(self) -> None:
        """Start with a clean sheet."""
        self._read = (self.folder / "log").stat().st_size

    def signal(self, number: signal.Signals) -> None:
        """Stop it for a while, or let it go on."""
        os.killpg(self.process.pid, number)

    def stop(self) -> None:
        """End it."""
        self.signal(signal.SIGKILL)
        self.process.wait()


class Box:
    """The product, running in `edge` as it is installed."""

    def __init__(self, edge: Host, folder: Path, policy: str, internet: Internet, **environ: str) -> None:
        self.edge, self.folder = edge, folder
        folder.mkdir()
        self.policy, self.settings, self.state = (
            folder / "policy.yaml",
            folder / "schoolgate.toml",
            folder / "state",
        )
        self.policy.write_text(policy)
        roots = folder / "roots.pem"
        shutil.copy(internet.roots, roots)
        self.settings.write_text(SETTINGS.format(four=RESOLVER4, six=RESOLVER6, roots=roots))
        self.state.mkdir()
        self.environ = environ
        self._edits = 0
        self.processes: list[subprocess.Popen[bytes]] = []
        self._watching = False

    def with_a_small_disk(self) -> "Box":
        """Give it a disk of its own for its state, which a test may fill."""
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=96m,mode=0755", f"sg{os.getpid()}-state", self.state],
            check=True,
        )
        return self

    @property
    def options(self) -> tuple[str, ...]:
        """The options that every command of this box takes."""
        return ("--policy", str(self.policy), "--state", str(self.state), "--settings", str(self.settings))

    @property
    def log(self) -> Path:
        """What the product says."""
        return self.folder / "output"

    def firewall(self, *options: str) -> str:
        """Run `schoolgate firewall`, as root."""
        words = (sys.executable, "-m", "schoolgate", "firewall", *options, *self.options)
        return self.edge.run(*words, seconds=240)

    def start(self, clock: Path | None = None) -> None:
        """Apply the firewall and start everything; returns when all of it is ready. See `faked_clock` for `clock`."""
        said = self.firewall("--apply")
        assert "in force" in said, said
        if clock is None:
            commands = [[sys.executable, "-m", "schoolgate", "run"]]
        else:
            script = str(Path(__file__).with_name("faked_clock.py"))
            commands = [[sys.executable, script, str(clock), part] for part in METRICS]
        bare, environ = _unprivileged(self.folder), self._environ()
        self.log.write_bytes(b"")
        self.processes = [
            self.edge.start(*bare, *command, *self.options, log=self.log, cwd=self.folder, env=environ)
            for command in commands
        ]
        wait_for(lambda: self._ready(clock is not None) or self._ended(), PATIENCE)
        assert not self._ended(), self.log.read_text()

    def watch(self) -> None:
        """Start the reader of the firewall's evidence, as root, unless it runs."""
        if self._watching:
            return
        self._watching = True
        command = (
            sys.executable,
            "-m",
            "schoolgate",
            "firewall",
            "evidence",
            "--follow",
            "1",
            "--settings",
            str(self.settings),
        )
        log = self.folder / "evidence"
        reader = self.edge.start("setpriv", _WITH_US, *command, log=log, env=self._environ(), cwd=self.folder)
        self.processes.append(reader)
        wait_for(lambda: "firewall.started" in log.read_text() or self._ended())
        assert not self._ended(), log.read_text()

    def _environ(self) -> dict[str, str]:
        kept = {key: text for key, text in os.environ.items() if not key.startswith("SCHOOLGATE_")}
        return {**kept, **self.environ}

    def _ready(self, parts: bool) -> bool:
        said = self.log.read_text()
        return all(f'"{part}.started"' in said for part in METRICS) if parts else "Ctrl-C" in said

    def _ended(self) -> bool:
        return any(process.poll() is not None for process in self.processes)

    def end(self) -> None:
        """End its processes; it can be started again."""
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes = []
        self._watching = False

    def stop(self) -> None:
        """Stop it for good."""
        self.end()
        subprocess.run(["umount", "--lazy", self.state], check=False, capture_output=True)

    def pids(self) -> dict[str, int]:
        """Return the process numbers of the parts."""
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError, ValueError, IndexError):
                    words = (entry / "cmdline").read_text().split("\0")
                    if str(self.policy) in words and "schoolgate" in words:
                        found[words[words.index("schoolgate") + 1]] = int(entry.name)
        return found

    def metrics(self, part: str) -> str:
        """Return the metrics of a part; they are served on the box's loopback only."""
        return self.edge.run("curl", "-s", "-m", "60", f"http://127.0.0.1:{METRICS[part]}/metrics")

    def rewrite(self, text: str) -> None:
        """Change the policy, as an editor does, and wait until it is in force."""
        before = self._reloads()
        fresh = self.policy.with_suffix(".new")
        self._edits += 1
        fresh.write_text(f"{text}\n# edit {self._edits}\n")  # what is as it was is not read again
        fresh.replace(self.policy)
        wait_for(lambda: all(now > was for now, was in zip(self._reloads(), before, strict=True)), PATIENCE)

    def _reloads(self) -> list[float]:
        line = 'schoolgate_policy_reloads_total{result="accepted"} '
        return [float(self.metrics(part).partition(line)[2].split("\n")[0] or -1) for part in METRICS]


def wait_for(check: Callable[[], object], seconds: float = PATIENCE) -> float:
    """Wait until something is true; return how long it took."""
    started = time.monotonic()
    while not check():
        if time.monotonic() - started > seconds:
            raise AssertionError(f"not within {seconds} s")
        time.sleep(0.05)
    return time.monotonic() - started


def _unprivileged(folder: Path) -> list[str]:
    """Return the command that gives all rights away: another user where that one can read us, else root without any."""
    bare = ["setpriv", _WITH_US, "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"]
    other = [*bare, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    probe = subprocess.run(
        [*other, sys.executable, "-c", "import schoolgate.app"], cwd=folder, capture_output=True, check=False
    )
    if probe.returncode:
        return bare
    for path in (folder, *folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    return other


RULES = """\
  - {block: [blocked.example], reason: Blocked for everybody}
  - {allow: [paths.example/ourschool], for: [pupils, staff], reason: Our page}
  - {block: [paths.example], reason: All but our page}
"""


def school_policy() -> str:
    """Return the shipped policy, with addresses that are routed in the namespaces and some sites to judge."""
    text = (ROOT / "policy.yaml").read_text()
    for number in VLANS.values():
        text = text.replace(f'"fd00:{number}::/64"', f'"fd00:{number}::/64", "2a00:{number}::/64"')
    text = text.replace("never_inspect:", "never_inspect:\n  - bank.example", 1)
    text = text.replace("\nrules:\n", f"\nrules:\n{RULES}", 1)
    return text.replace(
        "127.0.10.0/24]\n    inspection: needed",
        '127.0.10.0/24]\n    passes:\n      - {to: [52.112.0.0/14, "2603:1063::/38"], ports: [udp 3478-3481], reason: Teams calls}\n'
        '      - {to: [74.125.250.0/24, "2001:4860:4864:5::/64"], ports: [udp 3478, udp 19302-19309], reason: Meet calls}\n'
        "      - {to: 45.60.3.9, ports: [tcp 9100], reason: The printer in the library}\n"
        '      - {to: [10.20.0.5, "2a00:20::5"], ports: [tcp 9100], reason: A printer among the pupils}\n'
        "      - {to: 45.60.3.10, ports: [tcp 88, udp 88, tcp 389, tcp 445, tcp 636], reason: Active Directory}\n"
        "    inspection: needed",
        1,
    )


@dataclass
class School:
    """Everybody."""

    staff: Host
    pupil: Host
    guest: Host
    edge: Host
    wan: Host
    internet: Internet
    folder: Path

    def hosts(self) -> Mapping[str, Host]:
        """Return the machines of people, by role."""
        return {"staff": self.staff, "pupil": self.pupil, "guest": self.guest}

    def build_box(self, name: str = "box", policy: str | None = None, **environ: str) -> Box:
        """Put a box into `edge`; it is not started yet."""
        return Box(self.edge, self.folder / name, policy or school_policy(), self.internet, **environ)


@contextmanager
def make_school(folder: Path, prefix: str = "") -> Iterator[School]:
    """Make the namespaces and the internet, and remove them whatever happens; `prefix` begins their names.

    Raises:
        NoNamespacesError: this machine does not allow it.

    """
    _remove_orphans()
    if prefix:
        for role in (*VLANS, "edge", "wan"):
            _remove(f"{prefix}-{role}")
    hosts = {role: f"{prefix or f'sg{os.getpid()}'}-{role}" for role in (*VLANS, "edge", "wan")}
    internet, machines = None, []
    try:
        _join(hosts)
        machines = [Host(name, role) for role, name in hosts.items()]
        staff, pupil, guest, edge, wan = machines
        internet = Internet(wan, folder / "internet")
        yield School(staff, pupil, guest, edge, wan, internet, folder)
    finally:
        if internet is not None:
            internet.stop()
        for machine in machines:
            machine.pool.shutdown()
        for name in hosts.values():
            _remove(name)


def _join(hosts: dict[str, str]) -> None:
    if os.geteuid() != 0 or not all(shutil.which(tool) for tool in ("ip", "nft", "setpriv", "curl")):
        raise NoNamespacesError("network namespaces need root, ip, nft, setpriv and curl")
    try:
        for name in hosts.values():
            _ip("netns", "add", name)
        for role, number in VLANS.items():
            _ip("-n", hosts["edge"], "link", "add", f"vlan{number}", "type", "veth", "peer", "name", "eth0", "netns", hosts[role])  # fmt: skip
        _ip(
            "-n",
            hosts["edge"],
            "link",
            "add",
            "wan0",
            "type",
            "veth",
            "peer",
            "name",
            "eth0",
            "netns",
            hosts["wan"],
        )
        for name, lines in _addresses(hosts).items():
            subprocess.run(
                ["ip", "-n", name, "-batch", "-"], input="\n".join(lines), check=True, capture_output=True, text=True
            )  # fmt: skip
        subprocess.run(
            ["ip", "netns", "exec", hosts["edge"], "sysctl", "-q", "-w", "net.ipv4.ip_forward=1",
             "net.ipv6.conf.all.forwarding=1"], check=True, capture_output=True, text=True,
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        raise NoNamespacesError(f"no network namespaces here: {error.stderr.strip()}") from error
    for role, number in VLANS.items():
        _own_file(
            hosts[role], "resolv.conf", f"nameserver 10.{number}.0.1\nnameserver 2a00:{number}::1\n".encode()
        )
    _own_file(hosts["edge"], "resolv.conf", f"nameserver {RESOLVER4}\nnameserver {RESOLVER6}\n".encode())


def _own_file(namespace: str, name: str, content: bytes) -> None:
    """Write a file that is in /etc for whatever is started in a namespace (ip-netns(8))."""
    file = Path("/etc/netns", namespace, name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def trust(host: Host, *files: Path) -> None:
    """Let a machine trust the certificates in these files and no others, as far as its programs use OpenSSL."""
    _own_file(host.name, "ssl/certs/ca-certificates.crt", b"".join(file.read_bytes() for file in files))
    with suppress(FileNotFoundError):
        _own_file(host.name, "ssl/openssl.cnf", Path("/etc/ssl/openssl.cnf").read_bytes())


def _addresses(hosts: dict[str, str]) -> dict[str, list[str]]:
    edge = ["link set lo up"]
    lines = {hosts["edge"]: edge}
    for role, number in VLANS.items():
        edge += [
            f"link set vlan{number} up",
            f"address add 10.{number}.0.1/16 dev vlan{number}",
            f"address add 2a00:{number}::1/64 dev vlan{number} nodad",
        ]
        lines[hosts[role]] = [
            "link set lo up",
            "link set eth0 up",
            f"address add 10.{number}.0.5/16 dev eth0",
            f"address add 2a00:{number}::5/64 dev eth0 nodad",
            f"route add default via 10.{number}.0.1",
            f"route add default via 2a00:{number}::1",
        ]
    edge += [
        "link set wan0 up",
        "address add 45.60.0.2/24 dev wan0",
        "address add 2a00:9::2/64 dev wan0 nodad",
        "route add default via 45.60.0.1",
        "route add default via 2a00:9::1",
    ]
    lines[hosts["wan"]] = [
        "link set lo up",
        "link set eth0 up",
        "address add 45.60.0.1/24 dev eth0",
        "address add 45.60.0.53/24 dev eth0",
        "address add 2a00:9::1/64 dev eth0 nodad",
        "address add 2a00:9::53/64 dev eth0 nodad",
        # Every address there is lives here, so that whatever leaves the box is seen to arrive.
        "route add local 0.0.0.0/0 dev lo table main",
        "route add local ::/0 dev lo table main",
        "route add 10.0.0.0/8 via 45.60.0.2",
        *(f"route add 2a00:{number}::/64 via 2a00:9::2" for number in VLANS.values()),
    ]
    return lines


def _remove(name: str) -> None:
    with suppress(subprocess.CalledProcessError, FileNotFoundError):
        _ip("netns", "del", name)
    shutil.rmtree(Path("/etc/netns", name), ignore_errors=True)


def _remove_orphans() -> None:
    """Remove what a killed run has left behind."""
    for path in Path("/run/netns").glob("sg*-*"):
        if _is_orphan(path.name):
            _remove(path.name)
    for line in Path("/proc/mounts").read_text().splitlines():
        source, folder, *_ = line.split()
        if source.endswith("-state") and _is_orphan(source):
            subprocess.run(["umount", "--lazy", folder], check=False, capture_output=True)


def _is_orphan(name: str) -> bool:
    """Whether something carries the number of a process that is no more."""
    number = name.removeprefix("sg").partition("-")[0]
    return number.isdigit() and not Path("/proc", number).exists()
