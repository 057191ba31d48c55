"""`schoolgate policy limits`: what the filter cannot see, network by network."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from schoolgate.commands.options import DEFAULT_POLICY, AsJson, read_policy, read_settings, refuse


def show_limits(
    file: Annotated[
        Path, typer.Argument(help="The policy to look at.", envvar="SCHOOLGATE_POLICY")
    ] = DEFAULT_POLICY,
    *,
    as_json: AsJson = False,
) -> None:
    """Say what each network's level of inspection cannot see, in plain words."""
    from schoolgate_policy.limits import everywhere, limits, passed_unread

    if not file.is_file():
        refuse([f"{file}: no such file"])
    policy = read_policy(file, read_settings(None).state)
    found = limits(policy)
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found], ensure_ascii=False, indent=2))
        return
    for network in policy.networks.values():
        typer.echo(f"{network.id} (inspection: {network.inspection})")
        for one in found:
            if one.network == network.id:
                typer.echo(f"  - {one.text}" + (f" [{one.technique}]" if one.technique else ""))
    for title, texts in (("passed on unread", passed_unread(policy)), ("everywhere", everywhere(policy))):
        typer.echo(title)
        for text in texts:
            typer.echo(f"  - {text}")
