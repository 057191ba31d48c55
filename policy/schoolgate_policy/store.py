"""The policy in force: reads it, notices changes, and never lets go of a good one for a bad one.

A change is read, checked and compiled aside; only a policy without errors is swapped in, in one assignment. The last
good file is kept in the state folder, so that a start with a broken file still has something to judge by.
"""

import asyncio
import hashlib
import os
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from watchfiles import DefaultFilter, awatch

from schoolgate_policy.catalogue_installed import installed_file, load_installed
from schoolgate_policy.engine import Engine
from schoolgate_policy.errors import PolicyError, PolicyIssue, Severity
from schoolgate_policy.lists.library import ListLibrary
from schoolgate_policy.load import parse_policy
from schoolgate_policy.model import Catalogue, Policy, Sanction
from schoolgate_policy.own_host import with_own_host, with_unopened
from schoolgate_policy.sanctions import parse_sanctions
from schoolgate_policy.switch import parse_state

_GATHER_MS = 200  # an editor saves in several steps; judge after the last
_QUIET_MS = 40
_LOOK_ANYWAY_MS = 2_000  # where the file system tells nothing (network shares), and as a safety net


class StoreListener(Protocol):
    """Is told what became of the policy; must return at once and never raise."""

    def policy_loaded(self, policy: Policy, issues: tuple[PolicyIssue, ...]) -> None:
        """Hear that a policy is in force from now on; `issues` are warnings."""
        ...

    def policy_rejected(self, issues: tuple[PolicyIssue, ...], *, kept: str | None) -> None:
        """Hear that a file was refused; `kept` is the version that stays in force, None where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class _Read:
    """The bytes of a policy and of the sanctions, at one moment."""

    policy: bytes
    sanctions: bytes
    state: bytes
    catalogue: object  # the mark of the installed catalogue
    lists: object  # the signatures of the lists

    @property
    def digest(self) -> str:
        return hashlib.sha256(
            repr((self.policy, self.sanctions, self.state, self.catalogue, self.lists)).encode()
        ).hexdigest()


class PolicyStore:
    """Holds the engine of the policy in a file; `engine` is another object after each change."""

    def __init__(
        self,
        path: Path,
        state: Path | None,
        listener: StoreListener,
        own_host: str | None = None,
        unopened: tuple[str, ...] = (),
    ) -> None:
        """Read the policy, or the last good copy of it in `state`; `own_host` is the portal's.

        Connections to `unopened` hosts, and what is below them, are never opened for inspection.

        Raises:
            PolicyError: the file is unusable and there is no good copy; it carries every issue.

        """
        self._path = path
        self._listener = listener
        self._own_host = own_host
        self._unopened = unopened
        self._good = state / "last-good" / path.name if state else None
        self._sanctions = state / "sanctions.json" if state else None
        self._state = state / "state.json" if state else None
        self._installed = state
        self._catalogue: tuple[object, Catalogue, tuple[PolicyIssue, ...]] | None = None  # with its mark
        self._library = ListLibrary(path.parent, state)
        self._seen = ""
        self._one_at_a_time = threading.Lock()  # a signal may come while a change is being read
        self._engine: Engine
        self._first()

    @property
    def path(self) -> Path:
        """The file of the policy."""
        return self._path

    @property
    def engine(self) -> Engine:
        """The engine of the policy in force."""
        return self._engine

    def reload(self, *, force: bool = True) -> bool:
        """Read the policy again and swap it in if it is good; return whether the policy in force is the file's.

        Without `force`, nothing happens while the files are the same as last time.
        """
        with self._one_at_a_time:
            return self._reload(force=force)

    def _reload(self, *, force: bool) -> bool:
        try:
            read = self._read()
        except OSError as error:
            return self._reject((self._unreadable(error),))
        if not force and read.digest == self._seen:
            return True
        self._seen = read.digest
        try:
            engine, issues = self._build(read)
        except PolicyError as error:
            return self._reject(error.issues)
        return self._take(read, engine, issues)

    async def watch(self, stop: asyncio.Event) -> None:
        """Follow the files until `stop` is set; changes are in force well within a second."""
        async for _ in self._changes(stop):
            await asyncio.to_thread(self.reload, force=False)

    def _changes(self, stop: asyncio.Event) -> AsyncIterator[object]:
        folders = {self._path.parent, *self._library.folders()}
        if self._sanctions is not None:
            folders.add(self._sanctions.parent)
        return awatch(
            *(folder for folder in folders if folder.is_dir()),
            watch_filter=DefaultFilter(
                ignore_dirs=(), ignore_entity_patterns=(r"\.db(-wal|-shm|-journal)?$",)
            ),
            stop_event=stop,
            debounce=_GATHER_MS,
            step=_QUIET_MS,
            rust_timeout=_LOOK_ANYWAY_MS,
            yield_on_timeout=True,
            recursive=False,
        )

    def _first(self) -> None:
        try:
            read = self._read()
            engine, issues = self._build(read)
        except (PolicyError, OSError) as error:
            found = error.issues if isinstance(error, PolicyError) else (self._unreadable(error),)
            self._engine = self._last_good(found)
            return
        self._take(read, engine, issues)

    def _take(self, read: _Read, engine: Engine, issues: tuple[PolicyIssue, ...]) -> bool:
        """Put a policy in force; return False, and say so, where an old copy stands for one of its lists."""
        self._seen = replace(read, lists=self._library.noted()).digest
        self._engine = engine
        self._listener.policy_loaded(engine.policy, (*issues, *self._keep(read.policy)))
        if not any(status.refused for status in engine.policy.list_status):
            return True
        refused = tuple(issue for issue in issues if "refused: " in issue.message)
        return self._reject(refused)

    def _last_good(self, issues: tuple[PolicyIssue, ...]) -> Engine:
        """Fall back to the copy of the last good policy, or give up with the reasons."""
        if self._good is None or not self._good.is_file():
            self._listener.policy_rejected(issues, kept=None)
            raise PolicyError(issues)
        engine, _ = self._build(
            _Read(self._good.read_bytes(), *self._control_bytes(), self._catalogue_mark(), ())
        )
        self._listener.policy_loaded(engine.policy, ())
        self._listener.policy_rejected(issues, kept=engine.policy.version)
        return engine

    def _read(self) -> _Read:
        mark = self._catalogue_mark()
        return _Read(self._path.read_bytes(), *self._control_bytes(), mark, self._library.current())

    def _catalogue_mark(self) -> tuple[int, int] | None:
        """Tell one installed catalogue from the next by its time (ns) and size."""
        try:
            found = installed_file(self._installed).stat() if self._installed else None
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_size) if found else None

    def _catalogue_for(self, mark: object) -> tuple[Catalogue, tuple[PolicyIssue, ...]]:
        if self._catalogue is None or self._catalogue[0] != mark:
            self._catalogue = (mark, *load_installed(self._installed))
        return self._catalogue[1:]

    def _control_bytes(self) -> tuple[bytes, bytes]:
        return _bytes_of(self._sanctions), _bytes_of(self._state)

    def _build(self, read: _Read) -> tuple[Engine, tuple[PolicyIssue, ...]]:
        self._library.start_over()
        catalogue, warnings = self._catalogue_for(read.catalogue)
        policy, issues = parse_policy(read.policy, self._path.name, catalogue, self._library.read)
        if policy is None:
            raise PolicyError(tuple(issue for issue in issues if issue.severity is Severity.ERROR))
        sanctions = self._parse_sanctions(read.sanctions, policy)
        state = parse_state(read.state, policy) if read.state else None
        policy = with_own_host(policy, self._own_host) if self._own_host else policy
        return Engine(with_unopened(policy, self._unopened), sanctions, state), (*warnings, *issues)

    def _parse_sanctions(self, data: bytes, policy: Policy) -> tuple[Sanction, ...]:
        if not data or self._sanctions is None:
            return ()
        return parse_sanctions(data, self._sanctions.name, policy.catalogue)

    def _reject(self, issues: tuple[PolicyIssue, ...]) -> bool:
        self._listener.policy_rejected(issues, kept=self._engine.policy.version)
        return False

    def _unreadable(self, error: OSError) -> PolicyIssue:
        return PolicyIssue(str(self._path), 0, 0, "", f"cannot be read: {error.strerror}")

    def _keep(self, data: bytes) -> tuple[PolicyIssue, ...]:
        """Save a copy of a good policy; a state folder that cannot be written costs the copy, not the policy."""
        if self._good is None:
            return ()
        try:
            self._good.parent.mkdir(parents=True, exist_ok=True)
            beside = self._good.with_name(f".{self._good.name}.{os.getpid()}")
            beside.write_bytes(data)
            beside.replace(self._good)
        except OSError as error:
            return (
                PolicyIssue(str(self._good), 0, 0, "", f"no copy kept: {error.strerror}", Severity.WARNING),
            )
        return ()


def _bytes_of(path: Path | None) -> bytes:
    """Read a file that the portal writes when there is something to say."""
    try:
        return path.read_bytes() if path else b""
    except (FileNotFoundError, NotADirectoryError):
        return b""
