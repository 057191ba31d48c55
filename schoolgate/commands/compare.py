"""`schoolgate policy diff`: which verdicts change between two policies, for whom, and when."""

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schoolgate.commands.options import AsJson, read_policy, refuse

if TYPE_CHECKING:
    from schoolgate_policy.model import Policy
    from schoolgate_policy.replay import Replay


def diff(
    old: Annotated[Path, typer.Argument(help="The policy as it is.")],
    new: Annotated[Path, typer.Argument(help="The policy as it would be.")],
    replay: Annotated[
        Path | None,
        typer.Option(
            "--replay", metavar="EVENTS", help="Count which recorded attempts (JSON lines) would change."
        ),
    ] = None,
    since: Annotated[str, typer.Option("--since", help="Compare from this day on; default: today.")] = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Say which verdicts change, for whom, for what and when; exit 1 if any does."""
    from schoolgate_policy.difference import difference
    from schoolgate_policy.difference_text import as_lines, as_mapping
    from schoolgate_policy.fields import parse_day
    from schoolgate_policy.slots import DifferentZones

    try:
        first = parse_day(since) if since else datetime.now().astimezone().date()
    except ValueError as error:
        refuse([f"--since: {error}"])
    before, after = read_policy(old), read_policy(new)
    replayed = _replay(before, after, replay) if replay else None
    try:
        found = difference(before, after, first)
    except DifferentZones as error:
        refuse([f"{new}: {error}"])
    if as_json:
        answer = as_mapping(found, after)
        if replayed:
            answer["replay"] = replayed.as_mapping()
        typer.echo(json.dumps(answer, ensure_ascii=False, indent=2))
    else:
        lines = [*as_lines(found, after), *(replayed.as_lines() if replayed else ())]
        typer.echo("\n".join(lines) if found.changes or replayed else "no verdict changes")
    raise typer.Exit(int(bool(found.changes)))


def _replay(old: "Policy", new: "Policy", events: Path) -> "Replay":
    from schoolgate_policy.replay import InvalidRecord, read_records, replay

    try:
        if str(events) == "-":
            return replay(old, new, read_records(sys.stdin))
        with events.open(encoding="utf-8") as lines:
            return replay(old, new, read_records(lines))
    except OSError as error:
        refuse([f"{events}: cannot be read: {error.strerror}"])
    except UnicodeDecodeError:
        refuse([f"{events}: not UTF-8 text"])
    except InvalidRecord as error:
        refuse([f"{events}: {error}"])
