"""Keeps the parts running as processes of their own, for `schoolgate run`; systemd does the same in production.

The parent speaks systemd's notification protocol with its children: each says READY, where it listens, and that it is
alive. A child that ends is started again after a pause that doubles; one that falls silent is killed first. When the
parent is asked to stop, all stop; when the parent dies, the kernel ends the children.
"""

import asyncio
import contextlib
import os
import signal
import socket
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from schoolgate_policy.patience import within

CANNOT_RUN = 2  # a child's exit code: its settings or its policy keep it from running, and it said why
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0  # seconds before a crashed child is started again
_STEADY = 60.0  # seconds after which a child counts as running well, and the pause is short again
_START_PATIENCE = 300.0  # seconds for all children to become ready; a busy or slow machine takes its time
_STOP_PATIENCE = 8.0  # seconds between asking a child to stop and making it
_SILENCE = 30.0  # seconds without a sign of life

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Part:
    """One process: its name, and its command."""

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict)  # beside the supervisor's own


@dataclass(slots=True)
class _Child:
    part: Part
    process: asyncio.subprocess.Process | None = None
    channel: socket.socket | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    listening: dict[str, str] = field(default_factory=dict)
    heard: float = 0.0
    restarts: int = 0


class Supervisor:
    """Starts parts, keeps them running, and stops them together."""

    def __init__(self, parts: tuple[Part, ...], environ: Mapping[str, str]) -> None:
        self._children = [_Child(part) for part in parts]
        self._environ = environ
        self._stop = asyncio.Event()
        self._failed = False

    async def run(self, announce: Callable[[dict[str, str]], Awaitable[None] | None]) -> int:
        """Run until asked to stop (SIGTERM, SIGINT); return the exit code.

        `announce` is called once, when every part is ready, with where each of them listens.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._forward, signal.SIGHUP)
        with tempfile.TemporaryDirectory(prefix="schoolgate-") as folder:
            tasks = [asyncio.create_task(self._keep(child, Path(folder))) for child in self._children]
            try:
                if await self._all_ready(tasks):
                    outcome = announce({k: v for child in self._children for k, v in child.listening.items()})
                    if outcome is not None:
                        await outcome
                    await self._stop.wait()
            finally:
                await self._end(tasks)
        return CANNOT_RUN if self._failed else 0

    async def _all_ready(self, tasks: list[asyncio.Task[bool]]) -> bool:
        waiting = asyncio.create_task(self._wait_for_all())
        stopping = asyncio.create_task(self._stop.wait())
        done, _ = await asyncio.wait(
            {waiting, stopping, *tasks}, timeout=_START_PATIENCE, return_when=asyncio.FIRST_COMPLETED
        )
        ready = waiting in done
        waiting.cancel()
        stopping.cancel()
        if not ready and not self._stop.is_set():
            self._failed = True
            if not done:
                slow = [child.part.name for child in self._children if not child.ready.is_set()]
                log.error("run.not_ready", parts=slow, seconds=_START_PATIENCE)
        return ready

    async def _wait_for_all(self) -> bool:
        for child in self._children:
            await child.ready.wait()
        return True

    async def _keep(self, child: _Child, folder: Path) -> bool:
        """Start a child again and again; return whether it ever ran.

        That is when all is to stop, or when the child cannot start the first time.
        """
        pause = _FIRST_PAUSE
        loop = asyncio.get_running_loop()
        while not self._stop.is_set():
            started = loop.time()
            code = await self._once(child, folder)
            if self._stop.is_set():
                break
            if not child.ready.is_set() and code == CANNOT_RUN:
                self._failed = True  # it has said why on stderr
                break
            if loop.time() - started > _STEADY:
                pause = _FIRST_PAUSE
            child.restarts += 1
            log.error("run.part_ended", part=child.part.name, code=code, restart_in_seconds=pause)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        return child.ready.is_set()

    async def _once(self, child: _Child, folder: Path) -> int:
        address = folder / f"{child.part.name}-{child.restarts}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.settimeout(0)
            channel.bind(str(address))
            environ = {
                **self._environ,
                **child.part.environ,
                "NOTIFY_SOCKET": str(address),
                "WATCHDOG_USEC": str(int(_SILENCE * 1_000_000)),
                "SCHOOLGATE_PARENT": str(os.getpid()),
            }
            child.process = await asyncio.create_subprocess_exec(
                *child.part.command,
                env=environ, stdin=asyncio.subprocess.DEVNULL, process_group=0,
            )  # fmt: skip
            if self._stop.is_set():  # asked to stop while this one was being started
                child.process.terminate()
            listening = asyncio.create_task(self._listen(child, channel, child.process))
            try:
                return await child.process.wait()
            finally:
                listening.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await listening

    async def _listen(
        self, child: _Child, channel: socket.socket, process: asyncio.subprocess.Process
    ) -> None:
        """Hear what the child says of itself; kill it when it has been silent for too long."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with within(_SILENCE + _START_PATIENCE * (not child.ready.is_set())):
                    message = await loop.sock_recv(channel, 4096)
            except TimeoutError:
                log.error("run.part_silent", part=child.part.name)  # noqa: TRY400 - the time-out is no news
                process.kill()
                return
            fields = dict(
                line.partition("=")[::2] for line in message.decode("utf-8", "replace").splitlines()
            )
            child.listening.update(
                {
                    k.removeprefix("X_LISTEN_").lower(): v
                    for k, v in fields.items()
                    if k.startswith("X_LISTEN_")
                }
            )
            if fields.get("READY") == "1":
                child.ready.set()

    def _forward(self, number: signal.Signals) -> None:
        for child in self._children:
            if child.process and child.process.returncode is None:
                child.process.send_signal(number)

    async def _end(self, tasks: list[asyncio.Task[bool]]) -> None:
        """Ask every child to stop, wait a little, and make those stop that do not."""
        self._stop.set()
        self._forward(signal.SIGTERM)
        _, unfinished = await asyncio.wait(tasks, timeout=_STOP_PATIENCE)
        if unfinished:
            log.error("run.parts_killed", count=len(unfinished))
            self._forward(signal.SIGKILL)
        await asyncio.gather(*tasks, return_exceptions=True)
