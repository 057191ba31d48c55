"""Where boxes reach the centre: HTTPS on a port of its own, in the portal's process."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from schoolgate.settings import Endpoint


class _Server(uvicorn.Server):
    """Uvicorn without its signal handlers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class CentreListener:
    """Serves boxes until stopped."""

    def __init__(self, at: Endpoint, app: ASGIApp, tls: ssl.SSLContext) -> None:
        self._at = at
        config = uvicorn.Config(
            app, http="httptools", ws="none", lifespan="off", log_config=None, access_log=False,
            proxy_headers=False, server_header=False, timeout_graceful_shutdown=3, limit_concurrency=500,
        )  # fmt: skip
        config.load()
        config.ssl = tls
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    @property
    def address(self) -> Endpoint:
        """Where it listens."""
        return self._at

    def start(self) -> None:
        """Listen; raises OSError with one line."""
        family = socket.AF_INET6 if ":" in self._at.host else socket.AF_INET
        try:
            sock = socket.create_server(self._at, family=family)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise OSError(error.errno, f"centre.listen: cannot listen on {self._at}: {reason}") from error
        self._at = Endpoint(*sock.getsockname()[:2])
        self._task = asyncio.create_task(self._server.serve([sock]), name="centre")

    async def stop(self) -> None:
        """Let open requests finish, then close; harmless when not started."""
        if self._task is not None:
            self._server.should_exit = True
            await self._task
            self._task = None
