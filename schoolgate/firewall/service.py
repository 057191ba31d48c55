"""The life of the process that reads the firewall's evidence: look, record, serve metrics, stop."""

import asyncio
import contextlib
import signal
from collections.abc import Mapping
from functools import partial

import structlog

from schoolgate import systemd
from schoolgate.events.sender import SOCKET, EventSender
from schoolgate.firewall.evidence import EvidenceReader, EvidenceSink, read
from schoolgate.health import HealthServer
from schoolgate.metrics import Metrics
from schoolgate.record import MetricsRecorder
from schoolgate.settings import Settings

_log = structlog.get_logger()


async def serve(
    settings: Settings, networks: Mapping[str, str], seconds: float, sink: EvidenceSink | None = None
) -> None:
    """Read evidence until SIGTERM or SIGINT; raises OSError where the metrics' address cannot be had."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    metrics = Metrics("firewall")
    metrics.begin(networks.values())
    lost = metrics.events_dropped.labels("sender").inc
    events = EventSender(settings.state / SOCKET, "firewall", lost=lost)
    reader = EvidenceReader(
        partial(read, networks), sink or MetricsRecorder(metrics, events), metrics.registry
    )
    health = HealthServer(metrics.registry, {"firewall": lambda: _unread(reader)})
    await health.start(*settings.metrics.firewall)
    events.start()
    tasks = [
        asyncio.create_task(reader.follow(seconds), name="evidence"),
        asyncio.create_task(systemd.keep_alive(lambda: _unread(reader) or "reading"), name="watchdog"),
    ]
    _log.info("firewall.started", metrics_firewall=str(health.address))
    systemd.notify(READY="1", X_LISTEN_METRICS_FIREWALL=str(health.address))
    try:
        await stop.wait()
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
        await health.stop()
        await asyncio.to_thread(events.stop)


def _unread(reader: EvidenceReader) -> str | None:
    return None if reader.readable else "the firewall cannot be read"
