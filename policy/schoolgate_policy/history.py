"""Every version of policy.yaml that ever was: its bytes by their hash, and an index of when, who and why.

`versions/HASH.yaml` is written once and never changed; `index.jsonl` only grows, a line a version. Writers hold the
index's lock, so several processes may note at once.
"""

import fcntl
import hashlib
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import SequenceMatcher
from pathlib import Path

from schoolgate_policy.errors import HistoryError

SHORT = 12  # digits of a digest that people see; `Policy.version` has as many
_FEWEST_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Version:
    """One version of the file: the SHA-256 of its bytes, the instant it was noted (UTC), who made it, and why."""

    digest: str
    at: datetime
    who: str
    why: str

    @property
    def short(self) -> str:
        """The first digits of the digest, as `Policy.version` has them."""
        return self.digest[:SHORT]


@dataclass(frozen=True, slots=True)
class Listed:
    """A version and how many lines it added to and took from the one before it."""

    version: Version
    added: int
    removed: int


class History:
    """The versions kept in a folder; the folder is made when the first is."""

    def __init__(self, folder: Path) -> None:
        self._versions = folder / "versions"
        self._index = folder / "index.jsonl"

    def note(self, data: bytes, when: datetime, who: str, why: str) -> Version | None:
        """Keep a version; None where it is the newest already, so that noting twice does no harm.

        Raises:
            OSError: the folder cannot be written.
            HistoryError: the index is damaged.

        """
        digest = self.keep(data)
        with self._locked():
            newest = next(iter(self.versions()), None)
            if newest is not None and newest.digest == digest:
                return None
            version = Version(digest, when.astimezone(UTC), who, why)
            self._append(version)
        return version

    def keep(self, data: bytes) -> str:
        """Store the bytes of a version under their hash, without listing it, and return the hash."""
        digest = digest_of(data)
        path = self._path(digest)
        if not path.is_file():
            self._versions.mkdir(parents=True, exist_ok=True)
            beside = path.with_name(f".{digest}.{os.getpid()}.{threading.get_ident()}")
            with beside.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
            for made in (path, self._versions, self._versions.parent):
                _give_to_owner(made, self._versions.parent.parent)
        return digest

    def versions(self) -> list[Version]:
        """Return every version, newest first.

        Raises:
            HistoryError: a line of the index cannot be read.

        """
        try:
            lines = self._index.read_bytes().split(b"\n")
        except FileNotFoundError:
            return []
        # What follows the last line break is a line that a power cut left unfinished; the next note takes it away.
        return [self._parse(number, line) for number, line in enumerate(lines[:-1], 1)][::-1]

    def listed(self) -> Iterator[Listed]:
        """Yield every version, newest first, with the number of lines that it changed."""
        versions = self.versions()
        for version, before in zip(versions, [*versions[1:], None], strict=False):
            old = self.read(before) if before else b""
            added, removed = line_changes(old, self.read(version))
            yield Listed(version, len(added), len(removed))

    def find(self, name: str) -> Version:
        """Return the version whose digest starts with `name`, at least four digits of it.

        Raises:
            HistoryError: there is none, or more than one.

        """
        versions = self.versions()
        found = {version.digest: version for version in versions if version.digest.startswith(name.lower())}
        if len(name) < _FEWEST_DIGITS or not found:
            known = ", ".join(dict.fromkeys(version.short for version in versions[:10])) or "none"
            raise HistoryError(f"there is no version `{name}`; the newest: {known}")
        if len(found) > 1:
            names = ", ".join(version.short for version in found.values())
            raise HistoryError(f"`{name}` may be any of {names}; write more of it")
        return next(iter(found.values()))

    def read(self, version: Version) -> bytes:
        """Return the bytes of a version.

        Raises:
            HistoryError: they are gone, or not what they were.

        """
        try:
            data = self._path(version.digest).read_bytes()
        except OSError as error:
            raise HistoryError(f"version {version.short} cannot be read: {error.strerror}") from error
        if digest_of(data) != version.digest:
            raise HistoryError(f"version {version.short} was damaged: its bytes are not those that were kept")
        return data

    def _path(self, digest: str) -> Path:
        return self._versions / f"{digest}.yaml"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._index.touch()
        _give_to_owner(self._index, self._index.parent.parent)
        with self._index.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _append(self, version: Version) -> None:
        line = {
            "at": version.at.isoformat(),
            "digest": version.digest,
            "who": version.who,
            "why": version.why,
        }
        with self._index.open("rb+") as file:
            whole = file.read()
            file.seek(whole.rfind(b"\n") + 1)
            file.truncate()
            file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _parse(self, number: int, line: bytes) -> Version:
        try:
            read = json.loads(line)
            return Version(read["digest"], datetime.fromisoformat(read["at"]), read["who"], read["why"])
        except (ValueError, KeyError, TypeError) as error:
            raise HistoryError(f"{self._index}:{number}: this line of the history is damaged") from error


def digest_of(data: bytes) -> str:
    """Return the SHA-256 of a version; `Policy.version` is its beginning."""
    return hashlib.sha256(data).hexdigest()


def line_changes(old: bytes, new: bytes) -> tuple[list[str], list[str]]:
    """Return the lines that were added and those that were removed, without their line breaks."""
    before = old.decode(errors="replace").splitlines()
    after = new.decode(errors="replace").splitlines()
    while before and after and before[-1] == after[-1]:  # what differs is mostly a few lines of many
        del before[-1], after[-1]
    pairs = zip(before, after, strict=False)
    same = next((n for n, (one, other) in enumerate(pairs) if one != other), min(len(before), len(after)))
    del before[:same], after[:same]
    added: list[str] = []
    removed: list[str] = []
    for kind, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind != "equal":
            removed += before[a:b]
            added += after[c:d]
    return added, removed


def _give_to_owner(path: Path, folder: Path) -> None:
    """Leave what root makes to the owner of the state folder, whose processes must be able to go on with it."""
    if os.geteuid() == 0:
        mark = folder.stat()
        os.chown(path, mark.st_uid, mark.st_gid)
