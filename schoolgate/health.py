"""`/metrics`, `/livez` and `/readyz` over HTTP, for Prometheus and service managers, on loopback.

Served from the event loop that also filters: an answer proves that the loop turns. It is no web server: one request
per connection, GET and HEAD only, small heads, short patience.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from http import HTTPStatus

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from schoolgate.settings import Endpoint
from schoolgate_policy.patience import within

type Check = Callable[[], str | None]  # None: fine; text: what is wrong

_MAX_HEAD = 8 * 1024  # octets
_PATIENCE = 5.0  # seconds
_PLAIN = "text/plain; charset=utf-8"


class HealthServer:
    """Serves the state of one process."""

    def __init__(self, registry: CollectorRegistry, ready: Mapping[str, Check]) -> None:
        self._registry = registry
        self._ready = ready
        self._server: asyncio.Server | None = None
        self.address = ""
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self, host: str, port: int) -> None:
        """Listen; `address` says where.

        Raises:
            OSError: the address cannot be had.

        """
        self._server = await asyncio.start_server(self._serve, host, port, limit=_MAX_HEAD)
        self.address = str(Endpoint(*self._server.sockets[0].getsockname()[:2]))

    async def stop(self) -> None:
        """Stop listening and close what is open."""
        if self._server:
            self._server.close()
            for writer in tuple(self._open):
                writer.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            async with within(_PATIENCE):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                writer.write(self._answer(head))
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever asks like this gets no answer
        finally:
            self._open.discard(writer)
            with contextlib.suppress(OSError):
                writer.close()

    def _answer(self, head: str) -> bytes:
        line, *fields = head.split("\r\n")
        method, _, rest = line.partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        if method not in {"GET", "HEAD"}:
            return _response(HTTPStatus.METHOD_NOT_ALLOWED, b"GET or HEAD only\n", with_body=True)
        accept = next((f.partition(":")[2].strip() for f in fields if f.lower().startswith("accept:")), "")
        status, body, kind = self._page(path, accept)
        return _response(status, body, kind, with_body=method == "GET")

    def _page(self, path: str, accept: str) -> tuple[HTTPStatus, bytes, str]:
        if path == "/metrics":
            encode, kind = choose_encoder(accept)
            return HTTPStatus.OK, encode(self._registry), kind
        if path == "/livez":
            return HTTPStatus.OK, b"ok\n", _PLAIN
        if path == "/readyz":
            states = {name: check() for name, check in self._ready.items()}
            text = "".join(f"{name}: {state or 'ok'}\n" for name, state in states.items())
            failing = any(states.values())
            return HTTPStatus.SERVICE_UNAVAILABLE if failing else HTTPStatus.OK, text.encode(), _PLAIN
        return HTTPStatus.NOT_FOUND, b"/metrics, /livez, /readyz\n", _PLAIN


def _response(status: HTTPStatus, body: bytes, kind: str = _PLAIN, *, with_body: bool) -> bytes:
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    )
    return head.encode("latin-1") + (body if with_body else b"")
