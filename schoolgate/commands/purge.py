"""`schoolgate purge`: remove what is older than policy.yaml allows, and prove it."""

from typing import TYPE_CHECKING

import typer

from schoolgate.commands.options import AsJson
from schoolgate.commands.queue_access import on_queue

if TYPE_CHECKING:
    from schoolgate_exceptions.service import Service


@on_queue
def purge(service: "Service", *, as_json: AsJson = False) -> None:
    """Remove what is too old; prints what is left and how old it is. Exit 1 if anything stayed that should not."""
    from schoolgate.commands import as_json as json_out

    found = service.retention.purge()
    if as_json:
        json_out.echo([{**json_out.plain(one), "proved": one.is_proved} for one in found])
    else:
        for one in found:
            age = f"the oldest of {one.oldest:%Y-%m-%d}" if one.oldest else "none with an age"
            held = f", {one.held} held" if one.held else ""
            typer.echo(
                f"{one.what:12} {one.removed} removed, {one.left} left{held}: {age}, limit {one.limit:%Y-%m-%d}"
            )
    raise typer.Exit(0 if all(one.is_proved for one in found) else 1)
