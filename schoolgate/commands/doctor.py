"""`schoolgate doctor`: what is wrong with this installation, and what to do about it."""

import typer

from schoolgate.commands.options import (
    DEFAULT_POLICY,
    AsJson,
    PolicyFile,
    SettingsFile,
    StateFolder,
    read_settings,
)


def doctor(
    policy: PolicyFile = DEFAULT_POLICY,
    folder: StateFolder = None,
    settings: SettingsFile = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Look at this installation; each finding says what to do. Exit 1 if there is any."""
    from schoolgate.commands import as_json as json_out
    from schoolgate.doctor.look import CHECKS, look, subject

    found = list(look(subject(policy, settings, read_settings(settings, folder))))
    if as_json:
        json_out.echo(found)
    else:
        for one in found:
            typer.echo(f"{one.weight}: {one.area}: {one.what}\n    do: {one.do}")
        typer.echo(f"{len(CHECKS)} checks, {len(found) or 'no'} finding{'' if len(found) == 1 else 's'}")
    raise typer.Exit(1 if found else 0)
