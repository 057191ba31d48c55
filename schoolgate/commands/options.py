"""Options that several commands share, and how a command says that it cannot run."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from schoolgate.settings import Settings
    from schoolgate_policy.model import Policy

CANNOT_RUN = 2

PolicyFile = Annotated[
    Path, typer.Option("--policy", envvar="SCHOOLGATE_POLICY", help="The school's policy.", metavar="FILE")
]
SettingsFile = Annotated[
    Path | None,
    typer.Option("--settings", envvar="SCHOOLGATE_SETTINGS", help="The box's settings.", metavar="FILE"),
]
StateFolder = Annotated[
    Path | None,
    typer.Option("--state", help="Where to keep the certificate authority and more.", metavar="DIR"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DEFAULT_POLICY = Path("policy.yaml")


def refuse(lines: Iterable[object], code: int = CANNOT_RUN) -> NoReturn:
    """Say on stderr why this command cannot run, one line each, and leave."""
    for line in lines:
        typer.echo(str(line), err=True)
    raise typer.Exit(code)


def read_settings(file: Path | None, state: Path | None = None) -> "Settings":
    """Read the settings, or leave with a line for each mistake."""
    from schoolgate.settings_file import SettingsError, load_settings

    try:
        settings = load_settings(file)
    except SettingsError as error:
        refuse(error.lines)
    return settings.model_copy(update={"state": state}) if state else settings


def read_policy(file: Path, state: Path | None = None) -> "Policy":
    """Read the policy, or leave with a line for each mistake; `state` has what was fetched of its lists."""
    from schoolgate_policy.errors import PolicyError
    from schoolgate_policy.load import load_policy

    try:
        return load_policy(file, state=state or read_settings(None).state)
    except PolicyError as error:
        refuse(error.issues)
