"""`schoolgate demo`: a school day end to end on loopback."""

import json
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from schoolgate.commands.options import DEFAULT_POLICY, AsJson, PolicyFile, read_policy, refuse

if TYPE_CHECKING:
    from schoolgate.demo.day import Line
    from schoolgate_policy.engine import Engine

_DAY = "2026-11-23"  # a Monday in the shipped policy's term


def demo(
    policy: PolicyFile = DEFAULT_POLICY,
    day: Annotated[str, typer.Option(help="The day to play.", metavar="DATE")] = _DAY,
    *,
    as_json: AsJson = False,
) -> None:
    """Play a school day with the real DNS and proxy; exit 0 if both agree with `explain` on every line."""
    import asyncio

    from schoolgate import logs
    from schoolgate_policy.engine import Engine

    try:
        when = date.fromisoformat(day)
    except ValueError:
        refuse([f"--day: `{day}` is not a date such as {_DAY}"])
    engine = Engine(read_policy(policy))
    logs.configure("error", "demo")
    try:
        lines = asyncio.run(_play(engine, when, as_json=as_json))
    except OSError as error:
        refuse([f"the demo needs addresses of 127.0.0.0/8 on this machine: {error.strerror or error}"])
    wrong = [line for line in lines if not line.agree]
    if not as_json:
        verdict = (
            f"{len(wrong)} lines disagree" if wrong else "DNS and proxy agree with explain on every line"
        )
        typer.echo(f"\n{len(lines)} lines: {verdict}.")
    raise typer.Exit(1 if wrong else 0)


async def _play(engine: "Engine", day: date, *, as_json: bool) -> "list[Line]":
    from schoolgate.demo.day import PEOPLE, play

    lines: list[Line] = []
    if not as_json:
        typer.echo(f"{engine.policy.school.name}, {day:%A %d %B %Y}, on a stand-in internet.")
        typer.echo("who: " + ", ".join(f"{who} {address}" for who, address in PEOPLE.items()))
    async for line in play(engine, day):
        if as_json:
            typer.echo(json.dumps(_as_mapping(line), ensure_ascii=False))
        else:
            if not lines or lines[-1].period != line.period:
                typer.echo(f"\n{line.at:%H:%M}  {line.period}")
                typer.echo(f"  {'who':7} {'what':33} {'dns':6} {'proxy':6} {'explain':8} why")
            typer.echo(_as_row(line))
        lines.append(line)
    return lines


def _as_row(line: "Line") -> str:
    mark = "" if line.agree else "   <-- DISAGREE"
    seen = f"{line.dns:6} {line.proxy:6} {line.page.verdict:8}"
    return f"  {line.who:7} {line.what:33} {seen} {_why(line)}{mark}"


def _why(line: "Line") -> str:
    page = line.page
    cause = f"{page.reason} {page.exception}" if page.exception else page.reason.replace("_", " ")
    return f"{cause} ({page.source})" if page.source else cause


def _as_mapping(line: "Line") -> dict[str, Any]:
    return {
        "at": line.at.isoformat(),
        "period": line.period,
        "who": line.who,
        "network": line.page.network,
        "what": line.what,
        "dns": line.dns.value,
        "proxy": line.proxy.value,
        "explain": line.page.verdict.value,
        "reason": line.page.reason.value,
        "source": line.page.source,
        "message": line.page.message,
        "agree": line.agree,
    }
