"""The life of one process that filters or serves: start, say so, follow the policy, stop."""

import asyncio
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import structlog

from schoolgate import preflight, systemd
from schoolgate.events.sender import SOCKET, EventSender
from schoolgate.health import HealthServer
from schoolgate.logs import LineWriter
from schoolgate.memory import settle
from schoolgate.metrics import Metrics
from schoolgate.metrics_policy import PolicyMetrics
from schoolgate.policy_events import PolicyEvents, history_keeper
from schoolgate.probe.addresses import own_addresses
from schoolgate.record import MetricsRecorder
from schoolgate.settings import Endpoint, Settings
from schoolgate_policy.errors import SchoolgateError
from schoolgate_policy.model import Recorded
from schoolgate_policy.ports import Clock
from schoolgate_policy.store import PolicyStore

_STOP_SECONDS = 6.0
_KNOW_PROBES_SECONDS = 30.0
_log = structlog.get_logger()


class CannotStart(SchoolgateError):  # noqa: N818 - reads as what it is where it is raised and caught
    """A part that cannot start; one line that names the setting."""


class Ended(SchoolgateError):  # noqa: N818
    """A part that ran and ended without being asked: a failure of ours, and a reason to be started again."""


class Server(Protocol):
    """Something that listens."""

    async def start(self) -> None:
        """Listen; raises OSError or ValueError with one line where that is impossible."""
        ...

    async def ended(self) -> None:
        """Wait until it has ended by itself, which it should not."""
        ...

    async def stop(self) -> None:
        """Stop listening and let go of everything."""
        ...

    def listening(self) -> Mapping[str, str]:
        """Return where it listens, by a name for each listener."""
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a part is handed: everything it shares with the other parts of its process."""

    settings: Settings
    store: PolicyStore
    metrics: Metrics
    recorder: MetricsRecorder
    clock: Clock


@dataclass(frozen=True, slots=True)
class Part:
    """A kind of process: its name, the setting that says where it listens, and how it is made."""

    name: str
    listen_setting: str
    build: Callable[[Surroundings], Server]
    # Hosts whose connections this part cannot open, told by the state folder.
    unopened: Callable[[Path], tuple[str, ...]] = lambda _state: ()
    keeps_history: bool = False  # one of the processes notes each version of policy.yaml


def utc_now() -> datetime:
    """Return the present instant."""
    return datetime.now(UTC)


async def serve(part: Part, settings: Settings, policy: Path, writer: LineWriter) -> None:
    """Run a part until SIGTERM or SIGINT.

    Raises:
        PolicyError: there is no policy to judge by.
        CannotStart: an address cannot be had, or a folder not be used.
        Ended: it stopped without being asked.

    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    metrics = Metrics(part.name, getattr(getattr(settings, part.name, None), "workers", 1))
    metrics.watch_log(lambda: writer.dropped)
    _make_state(settings.state)
    events = EventSender(
        settings.state / SOCKET,
        part.name,
        everything=lambda: store.engine.policy.privacy.record is Recorded.EVERYTHING,
        lost=metrics.events_dropped.labels("sender").inc,
    )
    keep = [history_keeper(policy, settings.state)] if part.keeps_history else []
    store = PolicyStore(
        policy,
        settings.state,
        PolicyEvents(metrics, *keep, lambda version: events.bell("policy", version)),
        settings.portal_host,
        _unopened(part, settings.state),
    )
    PolicyMetrics(metrics.registry, store, utc_now)
    recorder = MetricsRecorder(metrics, events)
    around = Surroundings(settings, store, metrics, recorder, utc_now)
    server = part.build(around)
    health = HealthServer(metrics.registry, {"listening": lambda: None if server.listening() else "no"})
    try:
        settle()
        events.start()
        await _start(part, server, health, getattr(settings.metrics, part.name))
        loop.add_signal_handler(signal.SIGHUP, lambda: loop.run_in_executor(None, store.reload))
        tasks = [
            asyncio.create_task(_follow(store, recorder, stop), name="policy"),
            asyncio.create_task(_know_probes(around), name="probes"),
            asyncio.create_task(systemd.keep_alive(lambda: _status(store)), name="watchdog"),
        ]
        _announce(part, server, health, store)
        ended = asyncio.create_task(server.ended(), name="server")
        await asyncio.wait({ended, asyncio.create_task(stop.wait())}, return_when=asyncio.FIRST_COMPLETED)
        systemd.notify(STOPPING="1")
        if not stop.is_set():
            raise Ended(f"{part.name} ended by itself") from (ended.exception() if ended.done() else None)
        for task in (*tasks, ended):
            task.cancel()
        await asyncio.gather(*tasks, ended, return_exceptions=True)
    finally:
        await _end(server, health)
        events.stop()
    _log.info(f"{part.name}.stopped")


def _unopened(part: Part, state: Path) -> tuple[str, ...]:
    """Return the hosts that a part cannot open connections to, and log them."""
    hosts = part.unopened(state)
    if hosts:
        _log.info(
            f"{part.name}.never_opened", hosts=hosts, effect="they pass unread, or are refused without a page"
        )
    return hosts


def _make_state(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        raise CannotStart(f"state: {folder}: {(error.strerror or str(error)).lower()}") from error


async def _start(part: Part, server: Server, health: HealthServer, at: Endpoint) -> None:
    """Start the server and its health page; what fails is said with the setting that can mend it."""
    try:
        await server.start()
    except (OSError, ValueError) as error:
        raise CannotStart(_explain(part.listen_setting, error)) from error
    try:
        await health.start(*at)
    except OSError as error:
        reason = OSError(error.errno, f"cannot listen on {at}: {_reason(error)}")
        raise CannotStart(_explain(f"metrics.{part.name}", reason)) from error


def _explain(setting: str, error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {_reason(error)}"
    if not isinstance(error, OSError):
        return f"{setting}: {error}"
    return preflight.explain(setting, _reason(error))


def _reason(error: OSError) -> str:
    text = error.strerror or str(error)
    if "address already in use" in text.lower() and "cannot listen" not in text:
        return "address already in use"
    return text[:1].lower() + text[1:]


def _announce(part: Part, server: Server, health: HealthServer, store: PolicyStore) -> None:
    listening = {**server.listening(), f"metrics_{part.name}": f"{health.address}"}
    _log.info(f"{part.name}.started", policy=store.engine.policy.version, **listening)
    systemd.notify(
        READY="1", STATUS=_status(store), **{f"X_LISTEN_{name.upper()}": at for name, at in listening.items()}
    )


def _status(store: PolicyStore) -> str:
    return f"policy {store.engine.policy.version} in force"


async def _follow(store: PolicyStore, recorder: MetricsRecorder, stop: asyncio.Event) -> None:
    """Follow the policy's files for as long as the process lives, also after the watching failed."""
    while not stop.is_set():
        try:
            await store.watch(stop)
        except Exception as error:  # noqa: BLE001 - the policy in force stays; watching is taken up again
            recorder.fault("policy", error)
            await asyncio.sleep(1)


async def _know_probes(around: Surroundings) -> None:
    """Know from which addresses our own probe speaks; a network may get one later."""
    while True:
        try:
            policy, is_box = around.store.engine.policy, bool(around.settings.interfaces)
            around.recorder.own = own_addresses(policy, is_box=is_box)
        except Exception as error:  # noqa: BLE001 - the addresses known before stay
            around.recorder.fault("record", error)
        await asyncio.sleep(_KNOW_PROBES_SECONDS)


async def _end(server: Server, health: HealthServer) -> None:
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await health.stop()
            await server.stop()
    except TimeoutError:
        _log.warning("stop.unfinished", seconds=_STOP_SECONDS)
