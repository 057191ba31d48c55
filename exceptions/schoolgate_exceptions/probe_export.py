"""Records of probes as files: CSV for tables, JSON for programs. They name nobody but whoever probed."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any

from schoolgate_exceptions.probe_record import ProbeRun, Result

_RUN = ("run", "started_at", "ended_at", "who", "machine", "vantage", "policy", "outcome")
_GROUP = ("network", "kind", "point")
# The Department for Education asks that a record of checks also says from what kind of device, and what was done about it:
# the last is for people to fill in, where something was not as promised.
_DONE = ("device_type", "action")
SUMS = (*_RUN, *_GROUP, *Result, "not_as_promised", *_DONE)
CHECKS = (*_RUN, *_GROUP, "what", "result", "expected", "seen", *_DONE)
_DEVICES = {"box": "filter, by an address of the network", "inside": "device on the network"}
_TO_FILL_IN, _NONE_NEEDED = "", "none needed"


def sums_csv(runs: Iterable[ProbeRun]) -> str:
    """Return a row for each kind of check of each network of each run."""
    return _csv(SUMS, (row for run in runs for row in _sums(run)))


def checks_csv(run: ProbeRun) -> str:
    """Return a row for each single check of a run."""
    return _csv(CHECKS, _checks(run))


def as_json(runs: Iterable[ProbeRun]) -> str:
    """Return runs with everything that was found."""
    plain = [{**asdict(run), "reached": run.reached} for run in runs]
    return json.dumps(plain, ensure_ascii=False, indent=2, default=_text) + "\n"


def _sums(run: ProbeRun) -> Iterator[tuple[str, ...]]:
    for group in run.groups:
        counts = tuple(str(group.count(result)) for result in Result)
        broken = "; ".join(one.what for one in group.others if one.result is Result.BROKEN)
        yield (
            *_head(run),
            group.network,
            group.kind,
            group.point,
            *counts,
            broken,
            *_done(run, broken=bool(broken)),
        )


def _checks(run: ProbeRun) -> Iterator[tuple[str, ...]]:
    for group in run.groups:
        head = (*_head(run), group.network, group.kind, group.point)
        for name in group.kept:
            yield (*head, name, Result.KEPT, "", "", *_done(run, broken=False))
        for one in group.others:
            broken = one.result is Result.BROKEN
            yield (*head, one.what, one.result, one.expected, one.seen, *_done(run, broken=broken))


def _done(run: ProbeRun, *, broken: bool) -> tuple[str, str]:
    return _DEVICES.get(run.vantage, run.vantage), _TO_FILL_IN if broken else _NONE_NEEDED


def _head(run: ProbeRun) -> tuple[str, ...]:
    times = run.started_at.isoformat(timespec="seconds"), run.ended_at.isoformat(timespec="seconds")
    return (run.id, *times, run.who, run.machine, run.vantage, run.policy, run.outcome)


def _csv(head: Iterable[str], rows: Iterable[tuple[str, ...]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")  # RFC 4180
    writer.writerow(head)
    writer.writerows([_harmless(cell) for cell in row] for row in rows)
    return out.getvalue()


def _harmless(cell: str) -> str:
    """Keep a spreadsheet from taking a text for a formula."""
    return f"'{cell}" if cell[:1] in {"=", "+", "-", "@", "\t", "\r"} else cell


def _text(value: Any) -> str:
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else str(value)
