"""Several processes of one part, DNS or proxy, on the same addresses, under one that keeps them running.

The kernel spreads clients over whoever listens (SO_REUSEPORT), and stops as soon as one dies: the others serve on
while it is started again. Each follows the policy by itself, as all parts do; compiled lists they map from the same
file.
"""

import asyncio
import contextlib
import os
import secrets
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from schoolgate import systemd
from schoolgate.settings import Settings
from schoolgate.supervise import Part, Supervisor

WORKER = "SCHOOLGATE_WORKER"
_SECRET = "SCHOOLGATE_DNS_COOKIE_SECRET"  # noqa: S105 - the name of a variable, which names a file
_STATUS = "all workers answer"


def run_workers(name: str, settings: Settings, arguments: Sequence[str]) -> int:
    """Run this command, of the part `name`, once for each worker until asked to stop; return the exit code."""
    count: int = getattr(settings, name).workers
    with tempfile.TemporaryDirectory(prefix="schoolgate-") as folder:
        needed = name == "dns" and not settings.dns.cookie_secret
        shared = {_SECRET: _write_secret(Path(folder))} if needed else {}
        command = (sys.executable, "-m", "schoolgate", *arguments)
        parts = tuple(
            Part(f"{name}-{number}", command, {**shared, WORKER: str(number)})
            for number in range(1, count + 1)
        )
        return asyncio.run(_run(parts))


def _write_secret(folder: Path) -> str:
    """Make up the secret behind the cookies, which all workers must know of one another's; return its file."""
    file = folder / "cookie-secret"
    file.touch(mode=0o600)
    file.write_text(secrets.token_hex(16))
    return str(file)


async def _run(parts: tuple[Part, ...]) -> int:
    alive = asyncio.create_task(systemd.keep_alive(lambda: _STATUS), name="watchdog")
    environ = {key: text for key, text in os.environ.items() if key not in {"NOTIFY_SOCKET", "WATCHDOG_PID"}}
    try:
        return await Supervisor(parts, environ).run(_announce)
    finally:
        alive.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await alive


def _announce(listening: dict[str, str]) -> None:
    """Say that all are ready, and where they listen."""
    fields = {f"X_LISTEN_{name.upper()}": at for name, at in listening.items()}
    systemd.notify(READY="1", STATUS=_STATUS, **fields)
