"""The parent of all parts: starts, restarts, gives up, stops; with small programs as children."""

import asyncio
import os
import signal
import sys
import threading

import pytest
from running import alive, eventually

from schoolgate import supervise
from schoolgate.supervise import Part, Supervisor

NOTIFY = """
import os, signal, socket, sys, time
def say(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.sendto(text.encode(), os.environ["NOTIFY_SOCKET"])
def note(text):
    with open(sys.argv[1], "a") as f:
        f.write(text + chr(10))
note(f"started {os.getpid()}")
"""
STEADY = (
    NOTIFY
    + "say('READY=1\\nX_LISTEN_DOOR=127.0.0.1:1')\nwhile True:\n    say('WATCHDOG=1')\n    time.sleep(0.05)"
)
SILENT = NOTIFY + "say('READY=1')\ntime.sleep(60)"
STUBBORN = NOTIFY + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nsay('READY=1')\ntime.sleep(60)"
REFUSING = NOTIFY + "sys.exit(2)"
CRASHING_ONCE = (
    NOTIFY + "if open(sys.argv[1]).read().count('started') < 3: sys.exit(1)\n" + STEADY[len(NOTIFY) :]
)
HUP = (
    NOTIFY
    + "signal.signal(signal.SIGHUP, lambda *_: note('hup'))\nsay('READY=1')\nwhile True: time.sleep(0.02)"
)


@pytest.fixture
def quick(monkeypatch):
    """Patience in tenths of seconds instead of minutes."""
    for name, value in {
        "_FIRST_PAUSE": 0.05,
        "_SILENCE": 0.5,
        "_STOP_PATIENCE": 0.5,
        "_START_PATIENCE": 3.0,
    }.items():
        monkeypatch.setattr(supervise, name, value)


class Family:
    """A supervisor with children that note what they do in files."""

    def __init__(self, folder, **programs):
        self.notes = {name: folder / name for name in programs}
        self.parts = tuple(
            Part(name, (sys.executable, "-c", program, str(self.notes[name])))
            for name, program in programs.items()
        )
        self.listening = None

    def run(self, and_then):
        """Run until `and_then`, which is called in a thread when all are ready, has stopped it."""

        def announce(listening):
            self.listening = listening
            threading.Thread(target=self._then, args=(and_then,)).start()

        return asyncio.run(Supervisor(self.parts, os.environ).run(announce))

    def _then(self, and_then):
        try:
            and_then()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    def starts(self, name):
        """Return the process numbers of every start of a child."""
        text = self.notes[name].read_text() if self.notes[name].exists() else ""
        return [int(line.split()[1]) for line in text.splitlines() if line.startswith("started")]


def test_all_start_say_where_they_listen_and_stop(quick, tmp_path):
    """Children are announced when all are ready, and gone when the supervisor is."""
    family = Family(tmp_path, one=STEADY, two=STEADY)
    assert family.run(lambda: None) == 0
    assert family.listening == {"door": "127.0.0.1:1"}
    assert not any(alive(pid) for name in ("one", "two") for pid in family.starts(name))


def test_a_killed_child_is_started_again(quick, tmp_path):
    """A child that is killed comes back; the other is left alone."""
    family = Family(tmp_path, one=STEADY, two=STEADY)

    def kill():
        os.kill(family.starts("one")[0], signal.SIGKILL)
        eventually(lambda: len(family.starts("one")) == 2)

    assert family.run(kill) == 0
    assert len(family.starts("two")) == 1


def test_a_crash_while_starting_is_tried_again(quick, tmp_path):
    """A child that crashes before it is ready is tried again, after a pause."""
    family = Family(tmp_path, one=CRASHING_ONCE)
    assert family.run(lambda: None) == 0
    assert len(family.starts("one")) == 3


def test_a_silent_child_is_killed_and_started_again(quick, tmp_path):
    """A child that gives no sign of life is taken for stuck."""
    family = Family(tmp_path, one=SILENT)
    assert family.run(lambda: eventually(lambda: len(family.starts("one")) == 2)) == 0


def test_a_stubborn_child_is_made_to_stop(quick, tmp_path):
    """A child that does not stop when asked is killed after a while."""
    family = Family(tmp_path, one=STUBBORN)
    assert family.run(lambda: None) == 0
    assert not alive(family.starts("one")[0])


def test_a_child_that_cannot_run_ends_all(quick, tmp_path):
    """A child that says it cannot run is not tried again: all stop, and the exit code says so."""
    family = Family(tmp_path, one=STEADY, two=REFUSING)
    assert family.run(lambda: None) == 2
    assert family.listening is None
    assert len(family.starts("two")) == 1
    assert not any(alive(pid) for pid in family.starts("one"))


def test_a_child_that_never_gets_ready_ends_all(quick, tmp_path, monkeypatch):
    """Patience with a start ends."""
    monkeypatch.setattr(supervise, "_START_PATIENCE", 0.5)
    family = Family(tmp_path, one=NOTIFY + "time.sleep(60)")
    assert family.run(lambda: None) == 2
    assert not any(alive(pid) for pid in family.starts("one"))


def test_sighup_is_passed_on(quick, tmp_path):
    """SIGHUP reaches every child."""
    family = Family(tmp_path, one=HUP, two=HUP)

    def hang_up():
        os.kill(os.getpid(), signal.SIGHUP)
        for name in ("one", "two"):
            eventually(lambda name=name: "hup" in family.notes[name].read_text(), 2)

    assert family.run(hang_up) == 0


def test_a_part_ends_when_its_parent_is_gone(monkeypatch):
    """A part whose parent ended while it was starting does not start."""
    from schoolgate.parent import VARIABLE, end_with_parent

    monkeypatch.delenv(VARIABLE, raising=False)
    end_with_parent()
    monkeypatch.setenv(VARIABLE, "1" if os.getppid() != 1 else "2")
    program = f"import os; os.environ[{VARIABLE!r}]='1'; from schoolgate.parent import end_with_parent as e; e(); print('on')"
    import subprocess

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
