"""Writing policy.yaml: one writer at a time, never over somebody else's change, whole or not at all.

Whoever writes holds a lock on the folder of the file, reads it anew, makes the change, checks the result as the
policy it is to become, and swaps it in with one rename. An editor knows nothing of the lock, so the file is compared
once more right before that. Every version is kept before it is replaced.
"""

import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from schoolgate_policy.catalogue_installed import load_installed
from schoolgate_policy.errors import PolicyConflict, PolicyError, PolicyUnwritable, Severity
from schoolgate_policy.history import SHORT, History, digest_of, line_changes
from schoolgate_policy.load import parse_policy, reader_below
from schoolgate_policy.model import Catalogue

type Edit = Callable[[bytes], bytes]

_LOOK_AGAIN_S = 0.02
_NEW_MODE = 0o644
_BY_HAND = "found in the file"
_UNKNOWN = "an editor"


@dataclass(frozen=True, slots=True)
class Author:
    """Who makes a change, why, and at which instant (aware); a role rather than a name, never a pupil."""

    who: str
    why: str
    when: datetime


@dataclass(frozen=True, slots=True)
class Written:
    """What came of an edit: the digests before and after, the same where nothing was to be changed."""

    before: str
    after: str


def edit_policy(
    path: Path,
    edit: Edit,
    *,
    author: Author,
    expect: str | None = None,
    state: Path | None = None,
    catalogue: Catalogue | None = None,
    patience: float = 30.0,
    create: bool = False,
) -> Written:
    """Change a policy file by a function from its bytes to the new ones; a link is followed to its file.

    `expect` is the digest (or `Policy.version`) that the change was made for; without it the change is made to
    whatever is there. The versions before and after are kept below `state`. `patience` is how many seconds to wait
    for other writers. With `create` a missing file counts as an empty one. `edit` may be called more than once.

    Raises:
        EditError: raised by `edit`; nothing was written.
        PolicyConflict: the file is not what `expect` says, or somebody else is still writing; nothing was written.
        PolicyError: the result is no usable policy; nothing was written.
        PolicyUnwritable: the file or the history cannot be written; it carries what to paste.
        HistoryError: the index of the history is damaged; nothing was written.

    """
    target = _followed(path, missing=create)
    writer = _Writer(
        target, History(state / "history") if state else None, catalogue or load_installed(state)[0], state
    )
    with _alone(target.parent, patience):
        while True:
            written = writer.attempt(edit, author, expect)
            if written is not None:
                return written


def history_of(state: Path) -> History:
    """Return the history that `edit_policy` keeps below a state folder."""
    return History(state / "history")


@dataclass(slots=True)
class _Writer:
    path: Path
    history: History | None
    catalogue: Catalogue
    state: Path | None  # has the last good copies of its lists

    def attempt(self, edit: Edit, author: Author, expect: str | None) -> Written | None:
        """Make the change once; None where the file changed meanwhile and the change is to be made to that."""
        old = self._read()
        self._compare(old, expect)
        new = edit(old)
        if new == old:
            return Written(digest_of(old), digest_of(old))
        self._check(new)
        try:
            if self.history is not None:
                if old:
                    self.history.note(old, author.when, _UNKNOWN, _BY_HAND)
                self.history.keep(new)
            if not self._swap(old, new):
                self._compare(self._read(), expect)
                return None
        except OSError as error:
            raise self._unwritable(error, old, new) from error
        self._list(new, author)
        return Written(digest_of(old), digest_of(new))

    def _read(self) -> bytes:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""  # gone since its links were followed, or to be created
        except OSError as error:
            raise PolicyUnwritable(f"{self.path}: cannot be read: {error.strerror}") from error

    def _compare(self, data: bytes, expect: str | None) -> None:
        if expect is not None and (len(expect) < SHORT or not digest_of(data).startswith(expect)):
            raise PolicyConflict(
                f"{self.path.name} changed since version {expect[:SHORT]}; nothing was written"
            )

    def _check(self, data: bytes) -> None:
        policy, issues = parse_policy(
            data, self.path.name, self.catalogue, reader_below(self.path.parent, self.state)
        )
        if policy is None:
            raise PolicyError(tuple(issue for issue in issues if issue.severity is Severity.ERROR))

    def _swap(self, old: bytes, new: bytes) -> bool:
        """Replace the file in one step, unless it is no longer the old one."""
        descriptor, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        beside = Path(name)
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123 - it is open already
                file.write(new)
                _like(self.path, file.fileno(), beside)
                file.flush()
                os.fsync(file.fileno())
            if self._read() != old:
                return False
            beside.replace(self.path)
        finally:
            beside.unlink(missing_ok=True)
        _sync_folder(self.path.parent)
        return True

    def _list(self, new: bytes, author: Author) -> None:
        if self.history is None:
            return
        try:
            self.history.note(new, author.when, author.who, author.why)
        except OSError as error:
            message = f"{self.path.name} was written, but its history was not: {error.strerror}"
            raise PolicyUnwritable(message) from error

    def _unwritable(self, error: OSError, old: bytes, new: bytes) -> PolicyUnwritable:
        where = error.filename or self.path.parent
        message = f"{where}: cannot be written ({error.strerror}); {self.path.name} is as it was"
        return PolicyUnwritable(message, "\n".join(line_changes(old, new)[0]))


def _followed(path: Path, *, missing: bool) -> Path:
    try:
        if missing and not path.is_symlink() and not path.exists():
            return path.parent.resolve(strict=True) / path.name
        return path.resolve(strict=True)
    except (OSError, RuntimeError) as error:  # the latter for a circle of links, before Python 3.13
        reason = (error.strerror if isinstance(error, OSError) else None) or "its links lead nowhere"
        raise PolicyUnwritable(f"{path}: cannot be read: {reason}") from error


@contextmanager
def _alone(folder: Path, patience: float) -> Iterator[None]:
    """Hold the lock on a folder that every writer of a policy in it takes."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        until = time.monotonic() + patience
        while not _locked(descriptor, folder):
            if time.monotonic() >= until:
                raise PolicyConflict(f"{folder}: another program is writing the policy; nothing was written")
            time.sleep(_LOOK_AGAIN_S)
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int, folder: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in {errno.EAGAIN, errno.EACCES}:
            return False
        raise PolicyUnwritable(
            f"{folder}: cannot be locked ({error.strerror}); nothing was written"
        ) from error
    return True


def _like(path: Path, descriptor: int, beside: Path) -> None:
    """Give a new file the owner, group, mode and access lists of another.

    Where the owner cannot be kept, since only root gives files away, the group and mode still are: the folder was
    set up so that this process may write in it, and the group is what it shares with whoever edits by hand.
    """
    if not path.exists():
        beside.chmod(_NEW_MODE)
        return
    mark = path.stat()
    for uid, gid in ((mark.st_uid, mark.st_gid), (-1, mark.st_gid)):
        try:
            os.fchown(descriptor, uid, gid)
            break
        except PermissionError:
            continue
    shutil.copystat(path, beside)
    os.utime(beside)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
