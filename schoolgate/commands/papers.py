"""`schoolgate report`, `evidence`, `limits` and `annex`: papers for governors, inspectors and the data protection officer."""

import sys
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schoolgate.commands.options import AsJson, refuse
from schoolgate.commands.queue_access import on_queue

if TYPE_CHECKING:
    from schoolgate_exceptions.service import Service

Output = Annotated[Path | None, typer.Option("--output", "-o", help="Write it there.", metavar="FILE")]
Form = Annotated[str, typer.Option("--format", help="html, pdf, json or text.", metavar="FORM")]
_FORMATS = ["%Y-%m-%d"]


@on_queue
def report(
    service: "Service",
    first: Annotated[
        datetime | None,
        typer.Option(
            "--from",
            formats=_FORMATS,
            metavar="DAY",
            help="Default: the half term that ended last, else 30 days.",
        ),
    ] = None,
    last: Annotated[
        datetime | None, typer.Option("--to", formats=_FORMATS, metavar="DAY", help="The last day.")
    ] = None,
    form: Annotated[
        str, typer.Option("--format", help="html, pdf, csv, json or text.", metavar="FORM")
    ] = "text",
    about: Annotated[
        str,
        typer.Option("--for", help="Whom it is about: pupils (and visitors), staff or both.", metavar="WHOM"),
    ] = "both",
    output: Output = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Report what was blocked, tried, asked for and checked, in plain English and without names."""
    from schoolgate_exceptions.papers.desk import REPORT_FORMS
    from schoolgate_exceptions.papers.reports import ABOUT
    from schoolgate_exceptions.roles import SYSTEM

    form = _chosen(form, REPORT_FORMS, output, as_json=as_json)
    if about not in ABOUT:
        refuse([f"--for: nobody is `{about}`; available: {', '.join(ABOUT)}"])
    paper = service.papers.report(SYSTEM, _day(first), _day(last), form, about)
    made = service.papers.hand_over(paper, form)
    _hand_over(made, output)


@on_queue
def evidence(
    service: "Service", form: Form = "text", output: Output = None, *, as_json: AsJson = False
) -> None:
    """Show each point of the UKSIC and DfE standards as met, not met or not ours, with its proof from the running system."""
    from schoolgate_exceptions.papers.desk import PAPER_FORMS
    from schoolgate_exceptions.roles import SYSTEM

    form = _chosen(form, PAPER_FORMS, output, as_json=as_json)
    made = service.papers.hand_over(service.papers.evidence(SYSTEM, form), form)
    _hand_over(made, output)


@on_queue
def limits(
    service: "Service", form: Form = "text", output: Output = None, *, as_json: AsJson = False
) -> None:
    """Say what the filter cannot see, made from the configuration that is in force."""
    from schoolgate_exceptions.papers.desk import PAPER_FORMS

    form = _chosen(form, PAPER_FORMS, output, as_json=as_json)
    made = service.papers.hand_over(service.papers.limits(), form)
    _hand_over(made, output)


@on_queue
def annex(service: "Service", form: Form = "text", output: Output = None, *, as_json: AsJson = False) -> None:
    """Write the annex on data protection: fields, purposes, periods, readers, proof of deletion."""
    from schoolgate_exceptions.papers.desk import PAPER_FORMS
    from schoolgate_exceptions.roles import SYSTEM

    form = _chosen(form, PAPER_FORMS, output, as_json=as_json)
    made = service.papers.hand_over(service.papers.annex(SYSTEM, form), form)
    _hand_over(made, output)


def _day(at: datetime | None) -> date | None:
    return at.date() if at else None


def _chosen(form: str, forms: tuple[str, ...], output: Path | None, *, as_json: bool) -> str:
    """Return the form that was asked for, or leave: a PDF is never written onto a terminal."""
    form = "json" if as_json else form
    if form not in forms:
        refuse([f"--format: no form `{form}`; available: {', '.join(forms)}"])
    if form == "pdf" and output is None and sys.stdout.isatty():
        refuse(["--output: a PDF is written into a file, such as --output report.pdf"])
    return form


def _hand_over(made: bytes, output: Path | None) -> None:
    if output is None:
        typer.echo(made, nl=False)
        return
    try:
        output.write_bytes(made)
    except OSError as error:
        refuse([f"{output}: cannot be written: {(error.strerror or str(error)).lower()}"])
