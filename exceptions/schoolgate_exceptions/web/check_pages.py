"""Checks of the filter: what the probes found, by network and run, to look at and to take along."""

from datetime import timedelta

from schoolgate_exceptions import probe_export
from schoolgate_exceptions.ports import Page
from schoolgate_exceptions.probe_record import ProbeRun, Result
from schoolgate_exceptions.web.desk import Counter
from schoolgate_exceptions.web.frame import raw
from schoolgate_exceptions.web.home import READS_CHECKS
from schoolgate_exceptions.web.visit import Visit

READERS = READS_CHECKS
_SHOWN = 60  # runs on the page
_MOST = 800  # runs in a file: two years of nights
_CSV, _JSON = "text/csv; charset=utf-8", "application/json; charset=utf-8"


def checks(counter: Counter, visit: Visit) -> Page:
    """Show whether the filter did what is promised when it was last tried, and each time before."""
    probes = counter.service.probes
    runs = _runs(counter, _SHOWN)
    newest = probes.newest_of(counter.policy.networks)
    return counter.page(
        visit,
        "office/checks.html.j2",
        runs=runs,
        newest=newest,
        late=bool(runs) and visit.t.now - runs[0].ended_at > timedelta(days=2),
        Result=Result,
    )


def check(counter: Counter, visit: Visit) -> Page:
    """Show one run in full."""
    run = counter.service.probes.get(visit.parts["run"])
    return counter.page(visit, "office/check.html.j2", run=run, Result=Result)


def export(counter: Counter, visit: Visit) -> Page:
    """Hand out the history as a file: sums as CSV, everything as JSON."""
    runs = _runs(counter, _MOST)
    if visit.query.one("format") == "json":
        return _file(_JSON, "checks.json", probe_export.as_json(runs))
    return _file(_CSV, "checks.csv", probe_export.sums_csv(runs))


def export_one(counter: Counter, visit: Visit) -> Page:
    """Hand out one run as a file, each single check."""
    run = counter.service.probes.get(visit.parts["run"])
    name = f"check-{run.started_at:%Y-%m-%d-%H%M}"
    if visit.query.one("format") == "json":
        return _file(_JSON, f"{name}.json", probe_export.as_json([run]))
    return _file(_CSV, f"{name}.csv", probe_export.checks_csv(run))


def _runs(counter: Counter, most: int) -> list[ProbeRun]:
    now = counter.service.office.now()
    since = now - counter.policy.privacy.keep_counts
    return counter.service.probes.runs(since, now + timedelta(days=1), most=most)


def _file(kind: str, name: str, text: str) -> Page:
    return raw(200, kind, text.encode(), (("Content-Disposition", f'attachment; filename="{name}"'),))
