"""Puts a backup back: everything is checked before anything is touched, and what was there is moved aside."""

import json
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
from schoolgate.backup_place import give_all, put_file, put_secret
from schoolgate.backup_secrets import NAMED, named_secrets, unseal
from schoolgate.settings import Settings
from schoolgate.settings_file import SettingsError, load_settings


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
        secrets = _secrets(folder, target, keys)
        aside = _make_room(folder, target, secrets, force=force)
        _place(folder, target, {name: key for name, key in keys.items() if not name.startswith(NAMED)})
        for path, content in secrets.items():
            put_secret(content, path)
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


def _secrets(folder: Path, target: Source, keys: Mapping[str, bytes]) -> dict[Path, bytes]:
    """Return where the secrets go that settings name: those that are restored, else those of this box."""
    settings, moved = target.settings, None
    if target.settings_file is not None and (folder / SETTINGS).exists():
        try:
            settings, moved = load_settings(folder / SETTINGS), target.settings_file.parent
        except SettingsError as error:
            raise ValueError(error.lines[0]) from error
    at = _named_here(settings, folder, moved)
    return {at[name]: content for name, content in keys.items() if name in at}


def _named_here(settings: Settings, folder: Path, moved: Path | None) -> dict[str, Path]:
    """Return the files that settings name; those beside the settings in `folder` lie beside them in `moved` later."""
    return {
        name: moved / path.relative_to(folder) if moved and path.is_relative_to(folder) else path
        for name, path in named_secrets(settings).items()
    }


def _make_room(folder: Path, target: Source, secrets: Mapping[Path, bytes], *, force: bool) -> list[Path]:
    """Move aside what is in the way, if that is wanted; else refuse."""
    settings = target.settings
    at = settings.metrics.portal
    if at.port and _answers(at):
        raise ValueError("the portal runs; stop Schoolgate first (systemctl stop schoolgate.target)")
    there = [path for path in (target.policy, *_contents(settings.state, folder), *secrets) if path.exists()]
    if there and not force:
        raise ValueError(f"{there[0]}: exists; --force moves what is there aside and restores")
    stamp = f"before-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    replaced = [
        path
        for path in (target.policy, target.settings_file)
        if path is not None and path.exists() and (folder / _name(path, target)).exists()
    ]
    moved = [_copied(path, stamp) for path in (*replaced, *secrets) if force and path.exists()]
    old = settings.state / f".{stamp}"
    for path in _contents(settings.state, folder):
        old.mkdir(mode=0o700, exist_ok=True)
        path.rename(old / path.name)
    if old.exists():
        give_all(old, settings.state)
    return [*moved, old] if old.exists() else moved


def _copied(path: Path, stamp: str) -> Path:
    """Keep a copy of a file beside it, for the same people."""
    copy = path.with_name(f"{path.name}.{stamp}")
    copy.touch(mode=0o600)
    put_file(path, copy)
    give_all(copy, path)
    copy.chmod(path.stat().st_mode & 0o777)
    return copy


def _name(path: Path, target: Source) -> str:
    return POLICY if path == target.policy else SETTINGS


def _contents(state: Path, besides: Path) -> list[Path]:
    return [
        path for path in state.iterdir() if path.name != besides.name and not path.name.startswith(".before-")
    ]


def _place(folder: Path, target: Source, keys: Mapping[str, bytes]) -> None:
    """Put everything where it belongs; what comes into the state folder belongs to whom that belongs to."""
    state, fresh = target.settings.state, folder / STATE
    fresh.mkdir(exist_ok=True)
    for name, content in keys.items():
        put_secret(content, fresh / PurePosixPath(name))
        (fresh / PurePosixPath(name)).chmod(0o600)
    if (fresh / "ca").is_dir():
        (fresh / "ca").chmod(0o700)
    give_all(fresh, state)
    for path in fresh.iterdir():
        path.rename(state / path.name)
    put_file(folder / POLICY, target.policy)
    if target.settings_file is not None and (folder / SETTINGS).exists():
        put_file(folder / SETTINGS, target.settings_file)


def _folder(state: Path) -> Path:
    state.mkdir(mode=0o750, parents=True, exist_ok=True)
    return state


def _answers(at: tuple[str, int]) -> bool:
    try:
        with socket.create_connection(at, timeout=1):
            return True
    except OSError:
        return False
