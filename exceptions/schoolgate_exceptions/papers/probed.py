"""The probes that were recorded, as papers speak of them."""

from collections.abc import Sequence
from datetime import datetime

from schoolgate_exceptions.papers.checks import Check
from schoolgate_exceptions.probe_record import ProbeRun, Result
from schoolgate_exceptions.watch.probes import Probes


class ProbeChecks:
    """Probes as checks: without who ran them, and on which machine."""

    def __init__(self, probes: Probes) -> None:
        self._probes = probes

    def between(self, since: datetime, until: datetime) -> Sequence[Check]:
        """Return the checks of `[since, until)`, newest first."""
        return [_check(run) for run in self._probes.runs(since, until)]


def _check(run: ProbeRun) -> Check:
    counts = {result: run.count(result) for result in Result}
    untold = counts[Result.UNKNOWN] + counts[Result.UNREACHED]
    return Check(run.started_at, run.reached, counts[Result.KEPT], counts[Result.BROKEN], untold)
