"""The confinement that the units ask for, as far as it can be had without systemd: every part serves under it.

`MemoryDenyWriteExecute` by the kernel's own switch (PR_SET_MDWE, Linux 6.3), which systemd sets as well;
`SystemCallFilter` by a filter of our own (seccomp(2)) that refuses what a program of this kind might call of
what the units refuse.
"""

import contextlib
import platform
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ports import free_port
from running import FREE_PORTS, PUPIL, ROOT, InternetThread, clean_environment, eventually, schoolgate

from schoolgate.demo.internet import Internet

UNITS = ROOT / "deploy/systemd"
# Numbers on x86-64 of calls in @privileged and @resources. Root's own (chown, setuid) are not among them: the units are
# somebody else, the tests need not be.
REFUSED = {
    "capset": 126, "setpriority": 141, "sched_setparam": 142, "sched_setscheduler": 144, "setrlimit": 160, "chroot": 161,
    "sched_setaffinity": 203, "mbind": 237, "set_mempolicy": 238, "ioprio_set": 251, "unshare": 272, "bpf": 321,
}  # fmt: skip
_START = """
import ctypes, os, struct, sys
libc = ctypes.CDLL(None)
numbers = [int(one) for one in sys.argv[2].split(",")]
code = [struct.pack("=HBBI", 0x20, 0, 0, 0)]  # load the number of the call
code += [struct.pack("=HBBI", 0x15, len(numbers) - at, 0, one) for at, one in enumerate(numbers)]
code += [struct.pack("=HBBI", 6, 0, 0, 0x7FFF0000), struct.pack("=HBBI", 6, 0, 0, 0x00050001)]  # allow; EPERM
held = ctypes.create_string_buffer(b"".join(code))
program = ctypes.create_string_buffer(struct.pack("@HP", len(code), ctypes.addressof(held)))
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program, 0, 0):
    os._exit(77)
if sys.argv[1] == "yes" and libc.prctl(65, 1, 0, 0, 0):
    os._exit(77)
os.execv(sys.executable, [sys.executable, "-m", "schoolgate", *sys.argv[3:]])
"""


def denied(part: str) -> str:
    """Return what the drop-ins of a part's unit come to: the last one that speaks of it wins."""
    said = "".join(
        (UNITS / folder / file).read_text()
        for folder, file in (("schoolgate-.service.d", "10-hardening.conf"), (f"schoolgate-{part}.service.d", "20-needs.conf"))
        if (UNITS / folder / file).exists()
    )  # fmt: skip
    return re.findall(r"(?m)^MemoryDenyWriteExecute=(\w+)$", said)[-1]


def confined(part: str) -> tuple[str, ...]:
    """Return the beginning of a command that runs `schoolgate` as the unit of a part does."""
    if platform.machine() != "x86_64":
        pytest.skip("the numbers of calls are those of x86-64")
    return sys.executable, "-c", _START, denied(part), ",".join(map(str, REFUSED.values()))


@contextlib.contextmanager
def started(part: str, folder: Path, internet: Internet, policy: str = "", **environ: str) -> Iterator[None]:
    """A part of the product, in a folder of its own, under the kernel's switch if its unit wants that."""
    (folder / "policy.yaml").write_text(policy or (ROOT / "policy.yaml").read_text())
    host, port = internet.resolver
    settings = {**FREE_PORTS, "SCHOOLGATE_DNS_UPSTREAMS": f"{host}:{port}", **environ}
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*confined(part), part], cwd=folder, env=clean_environment(**settings),
            stdin=subprocess.DEVNULL, stdout=out, stderr=out,
        )  # fmt: skip
    try:
        eventually(lambda: f'"{part}.started"' in log.read_text() or process.poll() is not None, 300)
        if process.poll() == 77:
            pytest.skip("this kernel has no such confinement")
        assert process.poll() is None, log.read_text()
        yield
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="module")
def internet() -> Iterator[Internet]:
    """A stand-in internet."""
    with InternetThread() as internet:
        yield internet


@pytest.fixture
def at() -> str:
    """A free address."""
    return f"127.0.0.1:{free_port()}"


def curl(*words: str) -> str:
    done = subprocess.run(
        ["curl", "-sSk", "-m", "60", *words], capture_output=True, text=True, check=False, timeout=100
    )
    return done.stdout + done.stderr


def test_the_proxy_opens_connections(tmp_path: Path, internet: Internet, at: str) -> None:
    """A pupil gets a block page inside TLS: certificate, callbacks of OpenSSL and all."""
    with started("proxy", tmp_path, internet, SCHOOLGATE_PROXY_EXPLICIT=at):
        for version in ("--http1.1", "--http2"):
            printed = curl(
                "--interface",
                PUPIL,
                version,
                "-x",
                f"http://{at}",
                "-w",
                "%{http_code}",
                "https://www.instagram.com/",
            )
            assert printed.endswith("403"), printed
        printed = curl(
            "--interface", PUPIL, "-x", f"http://{at}", "-w", "%{http_code}", "https://www.bbc.co.uk/"
        )
        assert printed.endswith("502"), printed  # opened; nothing listens on port 443 here


def test_the_portal_speaks_tls(tmp_path: Path, internet: Internet, at: str) -> None:
    """With a certificate that the school's authority signs."""
    assert shutil.copy(ROOT / "policy.yaml", tmp_path)
    assert schoolgate("ca", "init", cwd=tmp_path).returncode == 0
    name, port = "filter.school.example", at.rpartition(":")[2]
    with started(
        "portal",
        tmp_path,
        internet,
        SCHOOLGATE_PORTAL_LISTEN_TLS=at,
        SCHOOLGATE_PORTAL_URL=f"https://{name}:{port}",
    ):
        printed = curl("--connect-to", f"{name}:{port}:{at}", "-w", "%{http_code}", f"https://{name}:{port}/")
        assert printed.endswith("200"), printed


def test_the_sinkhole_answers(tmp_path: Path, internet: Internet) -> None:
    """Also the batches of datagrams that go past the interpreter."""
    port = free_port()
    with (
        started("dns", tmp_path, internet, SCHOOLGATE_DNS_LISTEN=f"127.0.0.1:{port}"),
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking,
    ):
        asking.bind((PUPIL, 0))
        asking.settimeout(30)
        for _ in range(3):
            asking.sendto(b"\0\1\1\0\0\1\0\0\0\0\0\0\3bbc\2co\2uk\0\0\1\0\1", ("127.0.0.1", port))
            assert asking.recv(4096)[3] & 15 == 0


def test_the_portal_compiles_lists(tmp_path: Path, internet: Internet) -> None:
    """A list that is too long to be compiled beside other work is compiled, by a process that cannot be made slower."""
    names = "\n".join(f"number-{number}.games.example" for number in range(8_000))
    (tmp_path / "games.txt").write_text(f"{names}\n")
    text = (ROOT / "policy.yaml").read_text()
    text += "\nlists:\n  games:\n    file: games.txt\n    category: circumvention\n"
    with started("portal", tmp_path, internet, text):
        assert '"policy.loaded"' in (tmp_path / "log").read_text()
    assert "cannot be compiled" not in (tmp_path / "log").read_text()
    assert [*(tmp_path / "state/lists/compiled").glob("*.sgl")], (tmp_path / "log").read_text()


@pytest.mark.parametrize("words", [("backup", "saved.tar.gz"), ("purge",), ("doctor", "--json")])
def test_what_timers_start(tmp_path: Path, words: tuple[str, ...]) -> None:
    """The nightly jobs do what they do elsewhere."""
    shutil.copy(ROOT / "policy.yaml", tmp_path)
    assert schoolgate("ca", "init", cwd=tmp_path).returncode == 0
    free = schoolgate(*words, cwd=tmp_path)
    (tmp_path / "saved.tar.gz").unlink(missing_ok=True)
    done = subprocess.run(
        [*confined(words[0]), *words], cwd=tmp_path, env=clean_environment(), capture_output=True, text=True,
        check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == free.returncode, done.stderr
    assert done.stderr == free.stderr
