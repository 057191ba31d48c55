"""`schoolgate firewall`: the ruleset of the box, printed, applied, compared, removed; and what it saw."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schoolgate.commands.options import (
    DEFAULT_POLICY,
    AsJson,
    PolicyFile,
    SettingsFile,
    StateFolder,
    read_policy,
    read_settings,
    refuse,
)

if TYPE_CHECKING:
    from schoolgate.firewall.evidence import Evidence
    from schoolgate.settings import Settings

app = typer.Typer(help="Print the nftables ruleset for this policy and these settings, or put it in force.")


@app.callback(invoke_without_command=True)
def firewall(
    context: typer.Context,
    policy: PolicyFile = DEFAULT_POLICY,
    state: StateFolder = None,
    settings: SettingsFile = None,
    *,
    apply: Annotated[bool, typer.Option("--apply", help="Put it in force, unless it is already.")] = False,
    diff: Annotated[
        bool, typer.Option("--diff", help="Show what is loaded otherwise; exit 1 if anything is.")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Take it out of the kernel.")] = False,
) -> None:
    """Print the nftables ruleset for this policy and these settings, or put it in force."""
    if context.invoked_subcommand is not None:
        return
    if apply + diff + remove > 1:
        refuse(["firewall: one of --apply, --diff and --remove"])
    from schoolgate.firewall import nft

    try:
        if remove:
            nft.remove()
            return
        _act(_ruleset(policy, state, settings), apply=apply, diff=diff)
    except nft.FirewallError as error:
        refuse([error])


def _act(ruleset: str, *, apply: bool, diff: bool) -> None:
    from schoolgate.firewall import nft

    if not (apply or diff):
        typer.echo(ruleset, nl=False)
        return
    lines = nft.difference(ruleset)
    if diff:
        for line in lines:
            typer.echo(line)
        raise typer.Exit(1 if lines else 0)
    if lines:
        nft.load(ruleset)
    typer.echo("in force now" if lines else "in force already, nothing changed", err=True)


def _ruleset(policy: Path, state: Path | None, settings_file: Path | None) -> str:
    from schoolgate.firewall.plan import CannotPlan, make_plan
    from schoolgate.firewall.ruleset import render

    settings = read_settings(settings_file, state)
    try:
        plan = make_plan(read_policy(policy, settings.state), settings)
    except CannotPlan as error:
        refuse(error.lines)
    for network in plan.unfiltered:
        typer.echo(
            f"networks.{network}: no interface in [interfaces], so nothing of it is forwarded", err=True
        )
    return render(plan)


@app.command("evidence")
def evidence(
    settings: SettingsFile = None,
    *,
    follow: Annotated[
        float | None, typer.Option("--follow", help="Look every so many seconds.", min=0.1)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print who was refused what in the last hour; with --follow, record it and serve metrics until stopped."""
    from schoolgate.firewall import evidence as reading
    from schoolgate.firewall import nft

    read = read_settings(settings)
    networks = {interface: name for name, interface in read.interfaces.items()}
    if follow is not None:
        _follow(read, networks, follow)
        return
    try:
        found = reading.read(networks)
    except nft.FirewallError as error:
        refuse([error])
    _show(found, as_json=as_json)


def _follow(settings: "Settings", networks: dict[str, str], seconds: float) -> None:
    import asyncio

    from schoolgate import logs
    from schoolgate.firewall.service import serve

    writer = logs.configure(settings.log.level, "firewall")
    try:
        asyncio.run(serve(settings, networks, seconds))
    except OSError as error:
        refuse([f"metrics.firewall: {settings.metrics.firewall}: {(error.strerror or str(error)).lower()}"])
    finally:
        writer.close()


def _show(found: "Evidence", *, as_json: bool) -> None:
    from schoolgate.commands import as_json as json_out

    if as_json:
        json_out.echo(found)
        return
    for total in found.refused:
        if total.packets:
            typer.echo(f"{total.network:12} {total.technique:16} {total.packets} packets")
    for one in found.tried:
        typer.echo(f"{one.network:12} {one.technique:16} {one.packets} packets from {one.address}")
