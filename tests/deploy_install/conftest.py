"""Runs the installer once, in a root and a network of its own, and keeps what each step said."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_IN_ROOT = """
set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root" "$1/results"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
root="$1/root"
mount --bind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mkdir "$root/tmp/source" "$root/tmp/results"
mount --bind "$2" "$root/tmp/source"
mount --bind "$3" "$root/tmp/results"
rm -rf "$root/opt/schoolgate" "$root/etc/schoolgate" "$root/var/lib/schoolgate"
mkdir -p "$root/opt/schoolgate/python"
mount --bind "$4" "$root/opt/schoolgate/python"
exec chroot "$root" sh /tmp/source/tests/deploy_install/in_root.sh /tmp/source /tmp/results
"""


@dataclass(frozen=True)
class Installed:
    """What each step of `in_root.sh` said."""

    results: Path

    def out(self, step: str) -> str:
        """Return what a step wrote."""
        return (self.results / f"{step}.out").read_text()

    def code(self, step: str) -> int:
        """Return how a step ended."""
        return int((self.results / f"{step}.code").read_text())

    def state(self, number: int) -> list[str]:
        """Return the files after a run of the installer."""
        return (self.results / f"state{number}").read_text().splitlines()


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """An installation that has had its whole life."""
    for tool in ("unshare", "setpriv", "nft", "systemctl", "chroot", "ip", "curl"):
        if shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin:/sbin") is None:
            pytest.skip(f"{tool} is not installed")
    folder = tmp_path_factory.mktemp("install")
    if subprocess.run(["unshare", "--mount", "--net", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no right to make namespaces")
    results, source, root = folder / "results", folder / "source", folder / "root"
    results.mkdir()
    root.mkdir()
    _copy_source(source)
    python = Path(sys.base_prefix)
    # The network of this machine stays: packages come from its index. Only the firewall is one of its own.
    subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", _IN_ROOT, "sh", root, source, results, python],
        check=True, timeout=1500, env={**os.environ, "PIP_ROOT_USER_ACTION": "ignore"},
    )  # fmt: skip
    return Installed(results)


@pytest.fixture(scope="session")
def copy_source() -> Callable[[Path], None]:
    """How to get a folder with what a release would hold."""
    return _copy_source


def _copy_source(target: Path) -> None:
    """Copy what git knows, with what was changed since: what a release would hold."""
    names = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in names.stdout.splitlines():
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
