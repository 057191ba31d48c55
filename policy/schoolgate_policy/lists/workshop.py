"""Has lists compiled: large ones by a process of their own, small ones on the spot."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from schoolgate_policy.lists.compiled import Compiled, Corrupt, open_compiled
from schoolgate_policy.lists.compiler import Order, compile_list
from schoolgate_policy.lists.hostset import NameSet
from schoolgate_policy.lists.shelf import Shelf
from schoolgate_policy.lists.source import size
from schoolgate_policy.lists.spec import ListRefused, ListSpec

_ON_THE_SPOT = 64 << 10  # bytes of source; what takes longer would hold up whoever shares the interpreter
_SECONDS = 300


class Workshop:
    """Turns a list's source into what look-ups need."""

    def __init__(self, shelf: Shelf | None, *, writes: bool) -> None:
        self._shelf = shelf
        self._writes = writes

    def make(self, spec: ListSpec, source: Path, digest: str, name: str) -> tuple[Compiled, NameSet | None]:
        """Return a list compiled, from an earlier file where there is one; a broken file is made again.

        Raises:
            ListRefused: it is no usable list; OSError where a file cannot be read or written.

        """
        if self._shelf is None:
            return self._aside(spec, source, digest)
        target = self._shelf.compiled(name)
        ready = _opened(target)
        if ready is None and not self._writes:
            return self._aside(spec, source, digest)
        if ready is not None:
            return ready, None
        try:
            with self._shelf.alone():
                ready = _opened(target)
                return (ready, None) if ready else _compile(_order(spec, source, target, digest))
        except OSError:  # a full disk costs the copy, not the list; a source that cannot be read fails again
            return self._aside(spec, source, digest)

    def again(self, name: str) -> Compiled | None:
        """Return an earlier compiled list; None where it is gone or broken."""
        return _opened(self._shelf.compiled(name)) if self._shelf else None

    def _aside(self, spec: ListSpec, source: Path, digest: str) -> tuple[Compiled, NameSet | None]:
        with tempfile.TemporaryDirectory(prefix="schoolgate-") as folder:
            return _compile(_order(spec, source, Path(folder) / "list", digest))


def _order(spec: ListSpec, source: Path, target: Path, digest: str) -> Order:
    return Order(str(source), str(target), spec.format, spec.locked, digest)


def _opened(path: Path) -> Compiled | None:
    try:
        return open_compiled(path)
    except (Corrupt, OSError):
        return None


def _compile(order: Order) -> tuple[Compiled, NameSet | None]:
    small = None
    if size(Path(order.source)) <= _ON_THE_SPOT and not _is_packed(Path(order.source)):
        small = _here(order)
    else:
        _elsewhere(order)
    return open_compiled(Path(order.target)), small


def _is_packed(source: Path) -> bool:
    if source.is_dir():
        return False
    with source.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _here(order: Order) -> NameSet | None:
    """Compile in this process; whatever goes wrong with a locked list is told without its words."""
    try:
        return compile_list(order)[1]
    except (ListRefused, OSError):
        raise
    except Exception as error:
        if not order.locked:
            raise
        failure = type(error).__name__
    raise ListRefused(f"it cannot be compiled: {failure}")


def _elsewhere(order: Order) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "schoolgate_policy.lists.compiler"],
            input=json.dumps(asdict(order)),
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            env=environment,
            check=False,
        )
        answer = json.loads(done.stdout) if done.returncode == 0 else {"refused": _failure(order, done)}
    except subprocess.TimeoutExpired:
        answer = {"refused": f"it was not compiled within {_SECONDS} s"}
    except OSError:  # no other process can be had: slower for those who wait, but done
        _here(order)
        return
    if "refused" in answer:
        raise ListRefused(answer["refused"])
    if "unreadable" in answer:
        raise OSError(0, answer["unreadable"])


def _failure(order: Order, done: subprocess.CompletedProcess[str]) -> str:
    last = "" if order.locked else (done.stderr.strip().splitlines() or [""])[-1]
    return f"it cannot be compiled: the compiler ended with {done.returncode} {last}".rstrip()
