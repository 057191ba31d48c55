"""`schoolgate policy import-terms`: a school's calendar file as `calendar:` of policy.yaml, for review."""

import re
from pathlib import Path
from typing import Annotated

import typer

from schoolgate.commands.options import refuse

_SCHOOL_YEAR = re.compile(r"(20\d\d)(?:[/-](?:20)?(\d\d))?")


def import_terms(
    file: Annotated[Path, typer.Argument(help="The school's calendar file (.ics).")],
    school_year: Annotated[
        str, typer.Option("--school-year", help="Only this one, such as 2026/27; default: all.")
    ] = "",
) -> None:
    """Print the terms and days off of a calendar file as YAML; look it over before it goes into policy.yaml."""
    from schoolgate_policy.terms import TermsError
    from schoolgate_policy.terms import import_terms as read

    try:
        typer.echo(read(file.read_bytes(), _year(school_year)).as_yaml(), nl=False)
    except OSError as error:
        refuse([f"{file}: cannot be read: {error.strerror}"])
    except TermsError as error:
        refuse([f"{file}: {error}"])


def _year(text: str) -> int | None:
    if not text:
        return None
    match = _SCHOOL_YEAR.fullmatch(text)
    if match is None or (match[2] and int(match[2]) != (int(match[1]) + 1) % 100):
        refuse([f"--school-year: `{text}` is no school year such as 2026/27"])
    return int(match[1])
