"""The portal as one thing to start and stop: its application in uvicorn, in the running event loop."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator, Mapping

import uvicorn

from schoolgate_exceptions.portal import create_app
from schoolgate_exceptions.ports import BlockPage, Endpoint, PortalConfig, PortalCounters, SignInProvider
from schoolgate_exceptions.service import Service
from schoolgate_policy.ports import Clock, PolicySource, Recorder

_BACKLOG = 512
_STOP_SECONDS = 3


class _Server(uvicorn.Server):
    """Uvicorn without its signal handlers: whoever runs the loop decides when to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class PortalServer:
    """Serves the portal over HTTP."""

    def __init__(
        self,
        config: PortalConfig,
        source: PolicySource,
        recorder: Recorder,
        counters: PortalCounters,
        clock: Clock,
        block_page: BlockPage,
        service: Service | None = None,
        providers: Mapping[str, SignInProvider] | None = None,
    ) -> None:
        self._listen = config.listen
        app = create_app(config, source, recorder, counters, clock, block_page, service, providers)
        self._server = _Server(
            uvicorn.Config(
                app,
                http="httptools",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                date_header=True,
                timeout_graceful_shutdown=_STOP_SECONDS,
                limit_concurrency=1_000,
            )
        )
        self._socket: socket.socket | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def address(self) -> Endpoint:
        """The address and port that are listened on."""
        if self._socket is None:
            return self._listen
        host, port = self._socket.getsockname()[:2]
        return host, port

    async def start(self) -> None:
        """Listen, then serve.

        Raises:
            OSError: the address cannot be had; the message is one line that says which.

        """
        self._socket = _bind(*self._listen)
        self._task = asyncio.create_task(self._server.serve([self._socket]), name="portal")
        # The socket listens already: what connects before uvicorn is up waits in its backlog.

    async def run(self) -> None:
        """Serve until `stop` is called or uvicorn ends."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def stop(self) -> None:
        """Let open requests finish (three seconds at most), then close; harmless when not started."""
        if self._task is not None:
            self._server.should_exit = True
            await self._task
            self._task = None


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    both = host == "::" and socket.has_dualstack_ipv6()  # every address means those of IPv4 as well
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG, dualstack_ipv6=both)
    except OSError as error:
        reason = os.strerror(error.errno).lower() if error.errno else str(error)
        where = f"[{host}]:{port}" if family is socket.AF_INET6 else f"{host}:{port}"
        raise OSError(error.errno, f"cannot listen on {where}: {reason}") from error
