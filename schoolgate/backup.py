"""A backup in one file: policy, settings, everything in the state folder, the database as of one moment.

A gzipped tar with `manifest.json` at its beginning: the version of the format, and the SHA-256 of every other file in
it. Keys and passwords are never in it in clear: encrypted in `secrets.sealed`, or left out.
"""

import hashlib
import json
import mmap
import os
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from schoolgate import __version__
from schoolgate.backup_database import copy_sqlite, dump_postgresql, is_postgresql
from schoolgate.backup_secrets import SECRETS, named_secrets, seal
from schoolgate.request_queue import DATABASE, FIRST_ACCOUNT
from schoolgate.rpz.build import FOLDER as ZONES
from schoolgate.settings import Settings

FORMAT = 1
MANIFEST, SEALED, DUMP = "manifest.json", "secrets.sealed", "database.pgdump"
POLICY, SETTINGS, STATE = "policy.yaml", "schoolgate.toml", "state"
_BESIDE = ("-wal", "-shm", "-journal")  # of SQLite, part of the copy already
_KEY_SUFFIXES = frozenset((".key", ".p12", ".pfx"))


@dataclass(frozen=True, slots=True)
class Source:
    """What there is to save, and where."""

    policy: Path
    settings_file: Path | None
    settings: Settings


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that was written."""

    file: Path
    files: int
    octets: int
    keys: bool


def make(source: Source, target: Path, passphrase: bytes | None) -> Made:
    """Write a backup to `target`, whole or not at all, readable by its owner alone.

    Raises:
        OSError, ValueError: something cannot be read or written; one line.

    """
    with tempfile.TemporaryDirectory(prefix="schoolgate-backup-") as folder:
        staged = dict(_gather(source, Path(folder), passphrase))
        manifest = {
            "format": FORMAT,
            "schoolgate": __version__,
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "database": "postgresql" if is_postgresql(source.settings.database.url) else "sqlite",
            "files": {name: _entry(path) for name, path in staged.items()},
        }
        head = Path(folder) / MANIFEST
        head.write_text(json.dumps(manifest, indent=1))
        draft = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
                with tarfile.open(fileobj=stream, mode="w:gz") as tar:
                    for name, path in {MANIFEST: head, **staged}.items():
                        tar.add(path, name, recursive=False)
                stream.flush()
                os.fsync(stream.fileno())
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
    return Made(target, len(staged), target.stat().st_size, SEALED in staged)


def make_in(source: Source, folder: Path, passphrase: bytes | None, keep: int) -> Made:
    """Write a backup with the instant in its name into a folder, and remove all but the `keep` newest there."""
    made = make(source, folder / f"schoolgate-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar.gz", passphrase)
    for old in sorted(folder.glob("schoolgate-*T*Z.tar.gz"))[:-keep]:
        old.unlink()
    return made


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _entry(path: Path) -> dict[str, object]:
    return {"sha256": digest(path), "mode": f"{path.stat().st_mode & 0o777:o}"}


def _gather(source: Source, folder: Path, passphrase: bytes | None) -> Iterator[tuple[str, Path]]:
    """Yield names in the backup and the files that go there; what others write to is copied into `folder` first."""
    state = source.settings.state
    url = source.settings.database.url
    yield POLICY, source.policy
    if source.settings_file is not None:
        yield SETTINGS, source.settings_file
    for path in sorted(_files(source.settings)):
        name = path.relative_to(state).as_posix()
        yield f"{STATE}/{name}", _still(path, folder)
    if is_postgresql(url):
        dump_postgresql(url, folder / DUMP)
        yield DUMP, folder / DUMP
    elif (
        url and (file := Path(urlsplit(url).path[1:])).is_file() and file.parent.resolve() != state.resolve()
    ):
        copy_sqlite(file, folder / DATABASE)
        yield f"{STATE}/{DATABASE}", folder / DATABASE
    if passphrase is not None:
        (folder / SEALED).write_bytes(seal(source.settings, passphrase))
        yield SEALED, folder / SEALED


def _still(path: Path, folder: Path) -> Path:
    """Return a file that nobody writes to: of a database a copy in `folder`."""
    if path.suffix != ".db":
        return path
    copy = folder / path.name
    copy_sqlite(path, copy)
    copy.chmod(path.stat().st_mode & 0o777)
    return copy


def _files(settings: Settings) -> Iterator[Path]:
    """Yield what is worth keeping of the state folder: no secrets, locks, drafts or links for one use."""
    state = settings.state
    secrets = {path.resolve() for path in named_secrets(settings).values()}
    for path in state.rglob("*"):
        relative = path.relative_to(state)
        if not path.is_file() or path.is_symlink() or any(part.startswith(".") for part in relative.parts):
            continue
        if relative.as_posix() in SECRETS or relative.name == FIRST_ACCOUNT or path.name.endswith(_BESIDE):
            continue
        if relative.parts[0] == ZONES:  # made anew from the policy
            continue
        if path.resolve() not in secrets and not _holds_a_key(path):  # whatever it is called
            yield path


def _holds_a_key(path: Path) -> bool:
    """Whether a file has a private key in it, wherever in it; of what is not text its name tells."""
    if path.suffix in _KEY_SUFFIXES:
        return True
    if path.suffix == ".db" or not path.stat().st_size:
        return False
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(b"PRIVATE KEY-----") >= 0 or content[:5] == b'key "'
