"""What the newest probes of the filter found, as metrics; read from their records when there is a new one."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Gauge

from schoolgate_exceptions.probe_record import Outcome, ProbeRun, Result
from schoolgate_exceptions.watch.probes import Probes
from schoolgate_policy.ports import PolicySource


class ProbeMetrics:
    """Shows the newest run, and the newest of each network; zero where there never was one."""

    def __init__(self, registry: CollectorRegistry, source: PolicySource) -> None:
        self._source = source
        self._shown: tuple[str, frozenset[str]] | None = None
        self._run = Gauge(
            "schoolgate_probe_run_timestamp_seconds",
            "When the filter was last probed; 0: never.",
            registry=registry,
        )
        self._failed = Gauge(
            "schoolgate_probe_failed",
            "1 where something was not as promised in the newest probe.",
            registry=registry,
        )
        self._networks = Gauge(
            "schoolgate_probe_network_timestamp_seconds",
            "When a network was last reached by a probe; 0: never.",
            ["network"],
            registry=registry,
        )
        self._checks = Gauge(
            "schoolgate_probe_checks",
            "What the checks came to in the newest probe that reached a network.",
            ["network", "result"],
            registry=registry,
        )
        self._show(None, {})

    def look(self, probes: Probes) -> None:
        """Show the records as they are now. Raises Unavailable."""
        newest, networks = probes.newest_id(), frozenset(self._source.engine.policy.networks)
        if (newest, networks) == self._shown:
            return
        self._show(probes.latest(), probes.newest_of(networks))
        self._shown = newest, networks

    def _show(self, latest: ProbeRun | None, by_network: Mapping[str, ProbeRun]) -> None:
        self._run.set(latest.ended_at.timestamp() if latest else 0)
        self._failed.set(latest is not None and latest.outcome is Outcome.FAILED)
        self._networks.clear()
        self._checks.clear()
        for network in self._source.engine.policy.networks:
            run = by_network.get(network)
            self._networks.labels(network).set(run.ended_at.timestamp() if run else 0)
            for result in Result:
                self._checks.labels(network, result).set(run.count(result, network) if run else 0)
