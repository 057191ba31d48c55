"""The forms in which papers are handed out, and their values for programs: JSON, and CSV for a spreadsheet."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from schoolgate_exceptions.papers.numbers import FEW, HIDDEN, Tally

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from schoolgate_exceptions.papers.report import Report, Stream

MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "pdf": "application/pdf",
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "text": "text/plain; charset=utf-8",
}
ENDINGS = {"html": "html", "pdf": "pdf", "csv": "csv", "json": "json", "text": "txt"}
SEEN = "seen"  # in the place of a count that is not said
_HEAD = ("people", "figure", "name", "count")
_COUNTED = (
    ("blocked", "blocked by kind of site"),
    ("blocked_where", "blocked by network"),
    ("attempts", "attempts by way"),
    ("attempts_where", "attempts by network"),
)


def to_json(value: "DataclassInstance | Sequence[DataclassInstance]") -> str:
    """Return values as JSON: instants and days in ISO 8601, durations in seconds."""
    made = [asdict(one) for one in value] if isinstance(value, Sequence) else asdict(value)
    return json.dumps(made, ensure_ascii=False, indent=2, default=_plain) + "\n"


def to_csv(report: "Report") -> str:
    """Return the counts of a report as CSV (RFC 4180), a line for each; where one may not be shown it says so."""
    file = io.StringIO()
    lines = csv.writer(file)
    lines.writerow(_HEAD)
    for stream in report.streams:
        for row in _rows(stream):
            lines.writerow([_harmless(cell) for cell in row])
    for row in _care(report):
        lines.writerow([_harmless(cell) for cell in row])
    return file.getvalue()


def _rows(one: "Stream") -> Iterator[tuple[str, str, str, str]]:
    people = str(one.people)
    yield people, "requests to the filter", "all", _count(one.visits)
    for name, figure in _COUNTED:
        yield from _tally(people, figure, getattr(one, name))
    for figure, weeks in (("blocked by week", one.blocked_weeks), ("attempts by week", one.attempts_weeks)):
        for week, count in weeks:
            yield people, figure, week, HIDDEN if count is None else str(count)
    for figure, ways in (("way seen", one.ways), ("done by devices themselves", one.background_ways)):
        for way in ways:
            yield people, figure, way, SEEN
    yield from _tally(people, "requests by answer", one.requests.by_outcome)
    yield from _tally(people, "requests by kind", one.requests.by_kind)
    yield people, "lesson windows", "all", _count(one.requests.lesson_windows)
    for name in ("median_seconds", "longest_seconds"):
        seconds = getattr(one.requests, name)
        yield people, "answer to a request", name, "" if seconds is None else f"{seconds:.0f}"
    yield people, "alerts", "all", _count(one.alerts)
    for granted in one.granted:
        what = f"{', '.join(granted.what)} {granted.verb} for {granted.whom}"
        yield people, "exception in force", f"{granted.id}: {what}", f"until {granted.ends.isoformat()}"


def _care(report: "Report") -> Iterator[tuple[str, str, str, str]]:
    """Yield what is about nobody: the checks that were made, and when the policy is due for review."""
    for one in report.checks:
        for name, count in (("kept", one.kept), ("broken", one.broken), ("unknown", one.unknown)):
            yield "", f"check: {name}", f"{one.at.isoformat()} {' '.join(one.networks)}".strip(), str(count)
    yield "", "review due", report.review_by, report.review_due.isoformat() if report.review_due else ""


def _tally(people: str, figure: str, found: Tally) -> Iterator[tuple[str, str, str, str]]:
    for name, count in found.rows:
        yield people, figure, name, str(count)
    if found.rest:
        yield people, figure, "all others", str(found.rest)
    yield people, figure, "all", _count(found.total)


def _count(count: int | None) -> str:
    return FEW if count is None else str(count)


def _harmless(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell[:1] in {"=", "+", "-", "@", "\t", "\r"} else cell


def _plain(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return str(value)
