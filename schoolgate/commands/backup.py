"""`schoolgate backup` and `restore`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schoolgate.commands.options import (
    DEFAULT_POLICY,
    PolicyFile,
    SettingsFile,
    StateFolder,
    read_settings,
    refuse,
)

if TYPE_CHECKING:
    from schoolgate.backup import Source

PassphraseFile = Annotated[
    Path | None,
    typer.Option("--passphrase-file", help="Its first line protects the keys.", metavar="FILE"),
]


def backup(
    file: Annotated[
        Path, typer.Argument(help="The file to write, or a folder to write one into.", metavar="FILE")
    ],
    policy: PolicyFile = DEFAULT_POLICY,
    folder: StateFolder = None,
    settings: SettingsFile = None,
    passphrase_file: PassphraseFile = None,
    keep: Annotated[int, typer.Option("--keep", min=1, help="In a folder: how many stay, the newest.")] = 14,
) -> None:
    """Save policy, settings, database and state in one file; keys only with --passphrase-file, encrypted."""
    from schoolgate.backup import make, make_in

    try:
        secret = _passphrase(passphrase_file)
        source = _source(policy, folder, settings)
        made = make_in(source, file, secret, keep) if file.is_dir() else make(source, file, secret)
    except (OSError, ValueError) as error:
        refuse([_line(error)])
    keys = "keys encrypted" if made.keys else "without keys"
    typer.echo(f"{made.file}: {made.files} files, {made.octets} octets, {keys}")


def restore(
    file: Annotated[Path, typer.Argument(help="The backup.", metavar="FILE")],
    policy: PolicyFile = DEFAULT_POLICY,
    folder: StateFolder = None,
    settings: SettingsFile = None,
    passphrase_file: PassphraseFile = None,
    *,
    force: Annotated[bool, typer.Option("--force", help="Move what is there aside.")] = False,
) -> None:
    """Put a backup back; refuses where something is in its place, and touches nothing before all of it is checked."""
    from schoolgate.backup_restore import restore as put_back

    try:
        done = put_back(file, _source(policy, folder, settings), _passphrase(passphrase_file), force=force)
    except (OSError, ValueError) as error:
        refuse([_line(error)])
    typer.echo(f"{done.files} files of {done.made} are back{'' if done.keys else '; keys were not restored'}")
    for path in done.aside:
        typer.echo(f"what was there before: {path}")


def _source(policy: Path, folder: Path | None, settings_file: Path | None) -> "Source":
    from schoolgate.backup import Source
    from schoolgate.settings_file import DEFAULT_FILE

    settings = read_settings(settings_file if settings_file and settings_file.exists() else None, folder)
    return Source(policy, settings_file or (DEFAULT_FILE if DEFAULT_FILE.exists() else None), settings)


def _passphrase(file: Path | None) -> bytes | None:
    from schoolgate.ca_custody import read_passphrase

    return read_passphrase(file) if file else None


def _line(error: OSError | ValueError) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {(error.strerror or str(error)).lower()}"
    return str(error)
