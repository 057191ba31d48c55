"""A whole Schoolgate in processes of its own, on free ports, in front of a stand-in internet on loopback."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from schoolgate.demo.internet import Internet

ROOT = Path(__file__).parents[2]
PUPIL, STAFF, OFFICE, GUEST = "127.0.20.5", "127.0.10.5", "127.0.10.20", "127.0.30.5"
FREE_PORTS = {
    "SCHOOLGATE_DNS_LISTEN": "127.0.0.1:0",
    "SCHOOLGATE_PROXY_EXPLICIT": "127.0.0.1:0",
    "SCHOOLGATE_PORTAL_LISTEN": "127.0.0.1:0",
    "SCHOOLGATE_METRICS_DNS": "127.0.0.1:0",
    "SCHOOLGATE_METRICS_PROXY": "127.0.0.1:0",
    "SCHOOLGATE_METRICS_PORTAL": "127.0.0.1:0",
    "SCHOOLGATE_INTERNAL": "127.0.0.0/8",
}
type Address = tuple[str, int]


def eventually(check: Callable[[], object], seconds: float = 10.0) -> float:
    """Wait until something is true; return how long it took."""
    started = time.monotonic()
    while not check():
        if time.monotonic() - started > seconds:
            raise AssertionError(f"not within {seconds} s: {check}")
        time.sleep(0.02)
    return time.monotonic() - started


class InternetThread:
    """The stand-in internet in a thread, for tests that are not asynchronous."""

    def __init__(self, internet: Internet | None = None) -> None:
        self.internet = internet or Internet()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Internet:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.internet.start(), self._loop).result(10)
        return self.internet

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self.internet.stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


def clean_environment(**more: str) -> dict[str, str]:
    """Return the environment without settings of Schoolgate's, and with those given."""
    return {**{k: v for k, v in os.environ.items() if not k.startswith("SCHOOLGATE_")}, **more}


def schoolgate(
    *arguments: str, cwd: Path, stdin: str = "", **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "schoolgate", *arguments],
        cwd=cwd, env=clean_environment(**environ), input=stdin, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


class Running:
    """`schoolgate run` in a folder of its own with a copy of the shipped policy."""

    def __init__(
        self, folder: Path, internet: Internet, *, command: tuple[str, ...] = ("run",), **environ: str
    ) -> None:
        self.folder = folder
        self.policy = folder / "policy.yaml"
        if not self.policy.exists():
            shutil.copy(ROOT / "policy.yaml", self.policy)
        self.state = folder / "state"
        host, port = internet.resolver
        settings = {**FREE_PORTS, "SCHOOLGATE_DNS_UPSTREAMS": f"{host}:{port}", **environ}
        self.out = folder / "stdout"
        self.log = folder / "stderr"
        with self.out.open("w") as out, self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "schoolgate", *command],
                cwd=folder, env=clean_environment(**settings), stdout=out, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip

    def wait_ready(self) -> "Running":
        """Wait until everything listens."""
        eventually(lambda: "Ctrl-C" in self.out.read_text() or self.process.poll() is not None, 300)
        assert self.process.poll() is None, self.log.read_text()
        return self

    def address(self, name: str) -> Address:
        """Return where a listener listens."""
        match = re.search(rf"^  {name} +(\S+):(\d+)$", self.out.read_text(), re.MULTILINE)
        assert match, self.out.read_text()
        return match[1], int(match[2])

    def metrics(self, part: str) -> str:
        """Return the metrics of a part."""
        return self.health(part, "metrics")

    def health(self, part: str, page: str) -> str:
        """Return a page of the health server of a part."""
        host, port = self.address(f"metrics_{part}")
        with urllib.request.urlopen(f"http://{host}:{port}/{page}", timeout=5) as response:
            return response.read().decode()

    def pids(self) -> dict[str, int]:
        """Return the parts' process numbers, read from the kernel."""
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                words = (entry / "cmdline").read_text().split("\0")
            except (OSError, ValueError):
                continue
            if parent == self.process.pid and "schoolgate" in words:
                found[words[words.index("schoolgate") + 1]] = int(entry.name)
        return found

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop and wait until it has."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(120)


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
