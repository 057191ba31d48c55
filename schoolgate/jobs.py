"""Runs what the clock does for the request queue, beside the portal's pages and never in their way."""

import asyncio

import structlog

from schoolgate.metrics_portal import PortalMetrics
from schoolgate.metrics_probe import ProbeMetrics
from schoolgate.record import MetricsRecorder
from schoolgate_exceptions.jobs import Ran
from schoolgate_exceptions.service import Service
from schoolgate_policy.errors import SchoolgateError

EVERY_SECONDS = 5.0
_log = structlog.get_logger()


class JobRunner:
    """Runs the jobs of a service every few seconds until it is stopped."""

    def __init__(
        self, service: Service, metrics: PortalMetrics, probes: ProbeMetrics, recorder: MetricsRecorder
    ) -> None:
        self._service = service
        self._probes = probes
        self._metrics = metrics
        self._recorder = recorder
        self._task: asyncio.Task[None] | None = None
        self._said: dict[str, str] = {}

    def start(self) -> None:
        """Begin; the first round is run at once."""
        self._task = asyncio.create_task(self._run(), name="jobs")

    async def stop(self) -> None:
        """Stop; a round that is being run is finished first."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        while True:
            try:
                ran = await asyncio.shield(asyncio.to_thread(self._round))
            except Exception as error:  # noqa: BLE001 - a bug in one round must not end all later ones
                self._recorder.fault("jobs", error)
            else:
                for one in ran:
                    self._tell(one)
            await asyncio.sleep(EVERY_SECONDS)

    def _round(self) -> list[Ran]:
        ran = self._service.jobs.run_due()
        try:
            self._metrics.queue(self._service.overviews.now())
            self._probes.look(self._service.probes)
        except SchoolgateError as error:
            ran.append(Ran("overview", problem=error))
        return ran

    def _tell(self, one: Ran) -> None:
        """Log what changed: a job that did something, one that fails for a new reason, one that works again."""
        problem = str(one.problem) if one.problem else ""
        self._metrics.job(one.job, "failed" if problem else "done")
        if problem != self._said.get(one.job, ""):
            self._said[one.job] = problem
            if problem:
                _log.warning("job.failed", job=one.job, problem=problem)
            else:
                _log.info("job.works_again", job=one.job)
        elif one.count:
            _log.info("job.done", job=one.job, count=one.count)
