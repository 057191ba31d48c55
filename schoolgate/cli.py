"""The command line. Exit codes: 0 fine or allowed, 1 "no" or findings, 2 cannot run.

Commands import what they need when they run, so that `policy check` never waits for a proxy to load.
"""

import os
import sys
from typing import Annotated

import typer
from typer.exceptions import TyperException

from schoolgate import __version__
from schoolgate.commands import (
    audit,
    backup,
    box,
    ca,
    catalogue,
    demo,
    doctor,
    firewall,
    history,
    lists,
    papers,
    parts,
    policy,
    probe,
    purge,
    request_acts,
    requests,
    rpz,
    run,
    services,
    users,
)

app = typer.Typer(
    name="schoolgate",
    help="Keeps social media out of lessons, and can prove what it did and why.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("run")(run.run)
app.command("dns")(parts.dns)
app.command("proxy")(parts.proxy)
app.command("portal")(parts.portal)
app.command("demo")(demo.demo)
app.command("services")(services.services)
policy.app.command("lists")(lists.lists)
policy.app.command("history")(history.history)
policy.app.command("restore")(history.restore)
policy.app.command("migrate")(history.migrate)
policy.app.add_typer(history.exceptions, name="except")
app.add_typer(policy.app, name="policy")
app.add_typer(catalogue.app, name="catalogue")
app.add_typer(firewall.app, name="firewall")
app.add_typer(rpz.app, name="rpz")
app.add_typer(box.app, name="box")
for name, act in (
    ("take", request_acts.take),
    ("reconsider", request_acts.reconsider),
    ("block-now", request_acts.block_now),
    ("settle", request_acts.settle),
    ("hold", request_acts.hold),
    ("release", request_acts.release),
):
    requests.app.command(name)(act)
app.add_typer(requests.app, name="requests")
app.add_typer(users.app, name="users")
app.add_typer(audit.app, name="audit")
app.add_typer(ca.app, name="ca")
app.command("purge")(purge.purge)
app.command("report")(papers.report)
app.command("evidence")(papers.evidence)
app.command("limits")(papers.limits)
app.command("annex")(papers.annex)
app.command("doctor")(doctor.doctor)
app.command("probe")(probe.probe)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)


def _show_version(value: bool) -> None:  # noqa: FBT001 - typer's callback
    if value:
        typer.echo(f"schoolgate {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and leave."),
    ] = False,
) -> None:
    """Keep social media out of lessons, and prove what was done and why."""


def main() -> None:
    """Run the command line; every error is one line on stderr."""
    try:
        code = app(standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(130)
    except TyperException as error:
        typer.echo(_one_line(error), err=True)
        sys.exit(2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read our output has left
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def _one_line(error: TyperException) -> str:
    show = getattr(error, "format_message", None)
    message: str = show() if show else str(error)
    if "\n" in message:  # the help that is shown where a command is missing
        return message
    return f"schoolgate: {message[:1].lower()}{message[1:].removesuffix('.')}"
