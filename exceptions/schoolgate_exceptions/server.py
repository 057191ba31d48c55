"""The portal as one thing to start and stop: its application in uvicorn, in the running event loop."""

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Iterator, Mapping

import uvicorn
from starlette.types import ASGIApp

from schoolgate_exceptions.portal import create_app
from schoolgate_exceptions.ports import (
    BlockPage,
    Certificate,
    Endpoint,
    PortalConfig,
    PortalCounters,
    SignInProvider,
)
from schoolgate_exceptions.service import Service
from schoolgate_policy.ports import Clock, PolicySource, Recorder

_BACKLOG = 512
_STOP_SECONDS = 3
_RENEW_SECONDS = 30


class _Server(uvicorn.Server):
    """Uvicorn without its signal handlers: whoever runs the loop decides when to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class PortalServer:
    """Serves the portal over HTTP and, where it is handed a certificate, over HTTPS."""

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
        certificate: Certificate | None = None,
    ) -> None:
        app = create_app(config, source, recorder, counters, clock, block_page, service, providers)
        self._recorder = recorder
        self._certificate = certificate
        self._plain = _Listener(config.listen, app)
        self._tls: _Listener | None = None
        if config.listen_tls is not None and certificate is not None:
            self._tls = _Listener(config.listen_tls, app, certificate.context)
        self._task: asyncio.Task[None] | None = None
        self._renewing: asyncio.Task[None] | None = None

    @property
    def address(self) -> Endpoint:
        """The address and port that are listened on."""
        return self._plain.address

    @property
    def tls_address(self) -> Endpoint | None:
        """The address and port that are listened on with TLS; None where there are none."""
        return self._tls.address if self._tls else None

    async def start(self) -> None:
        """Listen, then serve.

        Raises:
            OSError: an address cannot be had; the message is one line that says which.

        """
        listeners = [one for one in (self._plain, self._tls) if one is not None]
        try:
            for one in listeners:
                one.listen()
        except OSError:
            for one in listeners:
                one.close()
            raise
        self._task = asyncio.create_task(self._serve(listeners), name="portal")
        if self._tls is not None:
            self._renewing = asyncio.create_task(self._renew(), name="certificate")

    async def run(self) -> None:
        """Serve until `stop` is called or uvicorn ends."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def stop(self) -> None:
        """Let open requests finish (three seconds at most), then close; harmless when not started."""
        if self._renewing is not None:
            self._renewing.cancel()
            self._renewing = None
        if self._task is not None:
            self._end()
            await self._task
            self._task = None

    async def _serve(self, listeners: list["_Listener"]) -> None:
        """Serve until one listener ends; the other ends with it."""
        tasks = [asyncio.create_task(one.serve()) for one in listeners]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        self._end()
        await asyncio.gather(*tasks)

    def _end(self) -> None:
        for one in (self._plain, self._tls):
            if one is not None:
                one.end()

    async def _renew(self) -> None:
        """Follow the certificate; one that cannot be used leaves the old one in its place."""
        while self._certificate is not None:
            await asyncio.sleep(_RENEW_SECONDS)
            try:
                await asyncio.to_thread(self._certificate.renew)
            except Exception as error:  # noqa: BLE001 - the old certificate serves on
                self._recorder.fault("portal", error)


class _Listener:
    """One address, and what serves it."""

    def __init__(self, listen: Endpoint, app: ASGIApp, tls: ssl.SSLContext | None = None) -> None:
        self._listen = listen
        config = uvicorn.Config(
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
        config.load()
        config.ssl = tls  # uvicorn's own would read the files once
        self._server = _Server(config)
        self._socket: socket.socket | None = None

    @property
    def address(self) -> Endpoint:
        if self._socket is None:
            return self._listen
        host, port = self._socket.getsockname()[:2]
        return host, port

    def listen(self) -> None:
        self._socket = _bind(*self._listen)

    async def serve(self) -> None:
        # The socket listens already: what connects before uvicorn is up waits in its backlog.
        assert self._socket is not None  # noqa: S101 - `listen` comes first
        await self._server.serve([self._socket])

    def end(self) -> None:
        self._server.should_exit = True

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    both = host == "::" and socket.has_dualstack_ipv6()  # every address means those of IPv4 as well
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG, dualstack_ipv6=both)
    except OSError as error:
        reason = os.strerror(error.errno).lower() if error.errno else str(error)
        where = f"[{host}]:{port}" if family is socket.AF_INET6 else f"{host}:{port}"
        raise OSError(error.errno, f"cannot listen on {where}: {reason}") from error
