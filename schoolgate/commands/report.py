"""`schoolgate report`: what the filter did in a period, for governors and the safeguarding lead."""

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from schoolgate.commands.options import DEFAULT_POLICY, AsJson, PolicyFile, SettingsFile, StateFolder, refuse
from schoolgate.commands.queue_access import opened

Output = Annotated[Path | None, typer.Option("--output", "-o", help="Write it there.", metavar="FILE")]


def report(
    first: Annotated[
        datetime | None,
        typer.Option(
            "--from",
            formats=["%Y-%m-%d"],
            metavar="DAY",
            help="The first day; default: of the half term that ended last, else 30 days.",
        ),
    ] = None,
    last: Annotated[
        datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], metavar="DAY", help="The last day.")
    ] = None,
    form: Annotated[
        str, typer.Option("--format", help="html, pdf, csv, json or text.", metavar="FORM")
    ] = "text",
    output: Output = None,
    policy: PolicyFile = DEFAULT_POLICY,
    folder: StateFolder = None,
    settings: SettingsFile = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Report what was blocked, tried, asked for and checked, in plain English and without names."""
    from schoolgate_exceptions.papers.desk import REPORT_FORMS
    from schoolgate_exceptions.roles import SYSTEM

    form = chosen(form, REPORT_FORMS, as_json=as_json)
    with opened(policy, folder, settings) as service:
        reports = service.papers.reports
        period = reports.period(first.date() if first else None, last.date() if last else None)
        made = service.papers.report_in(reports.make(SYSTEM, period, form), form)
    hand_over(made, output, form)


def chosen(form: str, forms: tuple[str, ...], *, as_json: bool) -> str:
    """Return the form that was asked for, or leave."""
    form = "json" if as_json else form
    if form not in forms:
        refuse([f"--format: no form `{form}`; available: {', '.join(forms)}"])
    return form


def hand_over(made: bytes, output: Path | None, form: str) -> None:
    """Write a paper into a file or onto the terminal; a PDF never onto a terminal."""
    if output is not None:
        try:
            output.write_bytes(made)
        except OSError as error:
            refuse([f"{output}: cannot be written: {(error.strerror or str(error)).lower()}"])
    elif form == "pdf" and sys.stdout.isatty():
        refuse(["--output: a PDF is written into a file, such as --output report.pdf"])
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(made)
        sys.stdout.buffer.flush()
