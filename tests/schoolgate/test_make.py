"""What happens on a fresh clone: which Python is taken, and what is said when something is missing."""

import subprocess
import sys
from pathlib import Path

import pytest
from running import ROOT

FAILING = "#!/bin/sh\nexit 127\n"  # a version manager's command for a Python that is not installed
OLD = '#!/bin/sh\ncase "$2" in *version_info*) exit 1;; esac\n'
WITHOUT_VENV = '#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; *print*) echo 3.12;; esac\n'


def make_venv(folder: Path, **pythons: str) -> subprocess.CompletedProcess[str]:
    """Run the script with these Pythons and no others on the path."""
    commands = folder / "bin"
    commands.mkdir()
    for name, text in pythons.items():
        file = commands / name.replace("_", ".")
        file.write_text(text)
        file.chmod(0o755)
    for tool in ("sh", "rm"):
        (commands / tool).symlink_to(f"/bin/{tool}")
    return subprocess.run(
        ["/bin/sh", str(ROOT / "deploy" / "make-venv.sh"), str(folder / "venv")],
        env={"PATH": str(commands)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_first_python_that_runs_is_taken(tmp_path):
    """A command that is there but fails is passed over."""
    real = f'#!/bin/sh\nexec {sys.executable} "$@"\n'
    done = make_venv(tmp_path, python3_13=FAILING, python3_12=OLD, python3=real)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "venv" / "bin" / "python").exists()


@pytest.mark.parametrize("pythons", [{}, {"python3_13": FAILING, "python3": OLD}])
def test_no_python_is_one_line(tmp_path, pythons):
    """Without a Python that is new enough, one line says what is missing and how to get it."""
    done = make_venv(tmp_path, **pythons)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("no Python 3.12 or newer found (tried: python3.13, python3.12, python3)")


def test_a_missing_venv_module_is_one_line(tmp_path):
    """Debian's Python without its venv package is told apart, with the package's name."""
    done = make_venv(tmp_path, python3_12=WITHOUT_VENV)
    assert done.returncode == 1
    assert done.stderr == (
        "python3.12 cannot make a virtual environment: install its venv module "
        "(on Debian: apt-get install python3.12-venv)\n"
    )


def test_missing_packages_are_told_to_those_who_cannot_install(tmp_path):
    """Without a package manager, the script says which tests will be skipped, and that is no failure."""
    commands = tmp_path / "bin"
    commands.mkdir()
    (commands / "id").symlink_to("/usr/bin/id")
    done = subprocess.run(
        ["/bin/sh", "-s"], input=(ROOT / "deploy" / "test-packages.sh").read_text(), env={"PATH": str(commands)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stderr.startswith("these tests will be skipped: questions asked with dig")
    assert "(missing: bind9-dnsutils" in done.stderr


def test_requirements_name_no_index():
    """Pinned packages have hashes, and no line says where to get them."""
    for name in ("run", "dev", "build"):
        lines = (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
        assert lines[0].endswith("Made by `make lock`.")
        assert not [line for line in lines if line.startswith("-") or "://" in line]
        pins = [line for line in lines if "==" in line]
        assert pins
        assert sum("--hash=sha256:" in line for line in lines) >= len(pins)


def test_every_target_is_explained():
    """`make help` lists the commands that people need."""
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    for target in ("run", "demo", "test", "lint", "bench", "lock"):
        assert f"make {target} " in done.stdout
