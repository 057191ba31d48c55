"""Puts a backup back: everything is checked before anything is touched, and what was there is moved aside."""

import json
import os
import shutil
import socket
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from schoolgate.backup import DUMP, FORMAT, MANIFEST, POLICY, SEALED, SETTINGS, STATE, Source, digest
from schoolgate.backup_database import is_postgresql, load_postgresql
from schoolgate.backup_secrets import unseal


@dataclass(frozen=True, slots=True)
class Restored:
    """A backup that was put back; `aside` are the places where what was there before is now."""

    made: str
    files: int
    keys: bool
    aside: tuple[Path, ...]


def restore(file: Path, target: Source, passphrase: bytes | None, *, force: bool) -> Restored:
    """Put a backup back.

    Raises:
        OSError, ValueError: it is damaged, of another format, or something is in its place; nothing was changed.

    """
    with tempfile.TemporaryDirectory(
        prefix=".schoolgate-restore-", dir=_folder(target.settings.state)
    ) as name:
        folder = Path(name)
        manifest = _unpack(file, folder)
        keys = _keys(folder, passphrase)
        dump = folder / DUMP
        if dump.exists() != is_postgresql(target.settings.database.url):
            raise ValueError(
                f"{file}: it holds a {manifest['database']} database, and database.url names another kind"
            )
        aside = _make_room(folder, target, force=force)
        _place(folder, target, keys)
        if dump.exists():
            load_postgresql(target.settings.database.url, dump)
    return Restored(str(manifest["made"]), len(manifest["files"]), bool(keys), tuple(aside))


def _unpack(file: Path, folder: Path) -> Mapping[str, Any]:
    """Unpack into a folder exactly what the manifest names, with the sums it names."""
    try:
        with tarfile.open(file) as tar:
            tar.extractall(folder, filter="data")
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
        wanted = manifest["files"]
    except (tarfile.TarError, EOFError, KeyError, TypeError, ValueError, FileNotFoundError) as error:
        if not file.exists():
            raise
        raise ValueError(f"{file}: no backup of Schoolgate, or a damaged one") from error
    if manifest.get("format") != FORMAT:
        raise ValueError(f"{file}: its format is {manifest.get('format')}; this version reads {FORMAT}")
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {MANIFEST}
    if found != set(wanted) or POLICY not in found:
        raise ValueError(f"{file}: damaged: other files than its manifest names")
    for name, entry in wanted.items():
        if digest(folder / name) != entry["sha256"]:
            raise ValueError(f"{file}: damaged: {name} is not what was saved")
        (folder / name).chmod(int(entry["mode"], 8) & 0o777)
    return dict(manifest)


def _keys(folder: Path, passphrase: bytes | None) -> dict[str, bytes]:
    sealed = folder / SEALED
    if passphrase is None:
        return {}
    if not sealed.exists():
        raise ValueError("this backup holds no keys; leave the passphrase out")
    return unseal(sealed.read_bytes(), passphrase)


def _make_room(folder: Path, target: Source, *, force: bool) -> list[Path]:
    """Move aside what is in the way, if that is wanted; else refuse."""
    settings = target.settings
    at = settings.metrics.portal
    if at.port and _answers(at):
        raise ValueError("the portal runs; stop Schoolgate first (systemctl stop schoolgate.target)")
    there = [path for path in (target.policy, *_contents(settings.state, folder)) if path.exists()]
    if there and not force:
        raise ValueError(f"{there[0]}: exists; --force moves what is there aside and restores")
    stamp = f"before-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    moved = []
    for path in {target.policy, target.settings_file} if force else ():
        if path is not None and path.exists() and (folder / _name(path, target)).exists():
            shutil.copy2(path, path.with_name(f"{path.name}.{stamp}"))
            moved.append(path.with_name(f"{path.name}.{stamp}"))
    old = settings.state / f".{stamp}"
    for path in _contents(settings.state, folder):
        old.mkdir(mode=0o700, exist_ok=True)
        path.rename(old / path.name)
    return [*moved, old] if old.exists() else moved


def _name(path: Path, target: Source) -> str:
    return POLICY if path == target.policy else SETTINGS


def _contents(state: Path, besides: Path) -> list[Path]:
    return [
        path for path in state.iterdir() if path.name != besides.name and not path.name.startswith(".before-")
    ]


def _place(folder: Path, target: Source, keys: Mapping[str, bytes]) -> None:
    state = target.settings.state
    for path in (folder / STATE).iterdir() if (folder / STATE).is_dir() else ():
        path.rename(state / path.name)
    if (state / "ca").is_dir():
        (state / "ca").chmod(0o700)
    for name, content in keys.items():
        path = state / PurePosixPath(name)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(content)
    _put(folder / POLICY, target.policy)
    if target.settings_file is not None and (folder / SETTINGS).exists():
        _put(folder / SETTINGS, target.settings_file)


def _put(source: Path, target: Path) -> None:
    """Write a file whole; beside the target first, which may be on another disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copy(source, draft)
    draft.replace(target)


def _folder(state: Path) -> Path:
    state.mkdir(mode=0o750, parents=True, exist_ok=True)
    return state


def _answers(at: tuple[str, int]) -> bool:
    try:
        with socket.create_connection(at, timeout=1):
            return True
    except OSError:
        return False
