"""`schoolgate audit …`: prove that the audit is whole, and hand it over."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from schoolgate.commands.options import AsJson, refuse
from schoolgate.commands.queue_access import on_queue

if TYPE_CHECKING:
    from schoolgate_exceptions.service import Service

app = typer.Typer(help="Check and export the audit.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
@on_queue
def verify(service: "Service", *, as_json: AsJson = False) -> None:
    """Check every row; exit 1 if one was changed or is missing."""
    from schoolgate.commands import as_json as json_out
    from schoolgate_exceptions.errors import AuditBroken

    try:
        found = service.audit.verify()
    except AuditBroken as error:
        if as_json:
            json_out.echo({"whole": False, "problem": str(error)})
        refuse([error], code=1)
    if as_json:
        json_out.echo({"whole": True, **json_out.plain(found)})
    else:
        typer.echo(
            f"the audit is whole: {found.rows} rows, {found.purged} of them purged; newest {found.last}"
        )


@app.command()
@on_queue
def export(
    service: "Service",
    after: Annotated[int, typer.Option("--after", help="Only rows after this number.")] = 0,
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON array instead of a JSON line each.")
    ] = False,
) -> None:
    """Print the audit, a JSON line a row; the export is a row itself."""
    from schoolgate.commands import as_json as json_out
    from schoolgate_exceptions.roles import SYSTEM

    rows = service.audit.export(SYSTEM, after)
    if as_json:
        json_out.echo(list(rows))
        return
    for row in rows:
        typer.echo(json.dumps(json_out.plain(row), ensure_ascii=False))
