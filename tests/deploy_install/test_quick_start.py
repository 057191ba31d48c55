"""The quick start, done as it is written: from nothing to a pupil who reaches everything but Instagram."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pictures
import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "quick-start.md").read_text()
SECONDS = 300

pytestmark = pytest.mark.timeout(1800)


def blocks(kind: str) -> list[str]:
    """Return the fenced blocks of a kind."""
    return re.findall(rf"(?ms)^```{kind}\n(.*?)^```$", TEXT)


def transcripts() -> Iterator[tuple[str, str]]:
    """Yield each command that is to be typed, and what it is said to print."""
    for block in blocks("console"):
        for part in re.split(r"(?m)^# ", block)[1:]:
            command, _, shown = part.partition("\n")
            yield command, shown.strip()


def fits(shown: str, printed: str) -> bool:
    """Whether something was printed as it is shown; `…` stands for anything."""
    pattern = ".*".join(re.escape(" ".join(piece.split())) for piece in shown.split("…"))
    return re.fullmatch(pattern, " ".join(printed.split())) is not None


@pytest.fixture
def clone(tmp_path: Path, copy_source: Callable[[Path], None]) -> Path:
    """A fresh copy of the source, with nothing installed, where other users may look."""
    folder = tmp_path / "schoolgate"
    copy_source(folder)
    for path in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        path.chmod(0o755)
    return folder


def test_what_is_written_happens(clone: Path) -> None:
    """Every command of the first page prints what the page shows: from an empty machine to a pupil and an internet."""
    for tool in ("make", "nft", "ip", "dig", "curl", "unshare"):
        if shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin:/sbin") is None:
            pytest.skip(f"{tool} is not installed")
    if (
        os.geteuid()
        or subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("no right to make namespaces")
    environ = {
        key: text for key, text in os.environ.items() if not key.startswith(("SCHOOLGATE_", "VIRTUAL_ENV"))
    }
    (first, announced), *rest = transcripts()
    assert first == "make lab"
    log = clone / "lab.log"  # with SIGINT ignored at first, as where a script says `make lab &`
    with log.open("wb") as out:
        lab = subprocess.Popen(
            ["bash", "-c", f"trap '' INT; {first}"], cwd=clone, env=environ, stdout=out, stderr=out, stdin=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
    try:
        _wait(lab, log)
        assert fits(announced + "…", log.read_text())
        wrong = {}
        for command, shown in rest:
            done = subprocess.run(
                ["bash", "-c", command], cwd=clone, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True, timeout=SECONDS, check=False,
            )  # fmt: skip
            if shown and not fits(shown, done.stdout):
                wrong[command] = done.stdout
        assert wrong == {}
    finally:
        os.killpg(lab.pid, signal.SIGINT)
        try:
            lab.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(lab.pid, signal.SIGKILL)
            lab.wait()
    assert "The school is gone." in log.read_text()
    assert (
        "lab-pupil" not in subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
    )


def _wait(lab: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the lab is there; skips where packages cannot be had."""
    end = time.monotonic() + 900
    while "Ctrl-C" not in log.read_text():
        said = log.read_text()
        if lab.poll() is not None and re.search(
            r"No matching distribution|ConnectionError|Temporary failure", said
        ):
            pytest.skip("packages cannot be fetched here")
        if "a lab is running already" in said:
            pytest.skip("a lab is running on this machine")
        assert lab.poll() is None, said
        assert time.monotonic() < end, said
        time.sleep(0.5)


def test_the_second_page_is_what_the_installation_test_does() -> None:
    """Each command of the second page is one that `in_root.sh` runs on a machine of its own."""
    (block,) = blocks("sh")
    commands = [line for line in block.splitlines() if line]
    assert len(commands) > 4
    assert "docs/quick-start.md" in (ROOT / "tests/deploy_install/in_root.sh").read_text()
    assert all(re.match(r"(deploy/install\.sh|schoolgate) ", command) for command in commands)


def test_the_pictures_are_those_of_the_script() -> None:
    """Drawings are what the script draws, all that is shown is there, and together they are small."""
    for name, draw in pictures.DRAWINGS.items():
        assert (pictures.FOLDER / name).read_text() == draw(), f"{name}: run `make pictures`"
    shown = set(re.findall(r"pictures/([\w.-]+)", TEXT))
    there = {path.name for path in pictures.FOLDER.iterdir()}
    assert shown == there
    assert sum(path.stat().st_size for path in pictures.FOLDER.iterdir()) < 300_000


def test_the_quick_start_is_two_pages() -> None:
    """No more than fits on two pages, and every page that it sends people to exists."""
    assert len(TEXT.splitlines()) <= 140
    for target in re.findall(r"\]\(([\w./-]+)\)", TEXT):
        assert (ROOT / "docs" / target).exists(), target
