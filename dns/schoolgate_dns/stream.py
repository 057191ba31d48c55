"""Questions to one upstream over TCP or TLS, many at once on one connection (RFC 7766, 7858).

The connection is made for the first question, kept while there are questions, and closed when there were none for a
while. Over TLS the upstream must prove who it is; where it cannot, nothing is asked (RFC 8310, strict profile).
"""

import asyncio
import secrets
import ssl
from contextlib import suppress
from pathlib import Path

from schoolgate_dns.asking import Asking
from schoolgate_dns.upstream_address import Upstream
from schoolgate_policy.patience import within


def tls_context(roots: Path | None) -> ssl.SSLContext:
    """Return what upstreams must satisfy over TLS: the system's certificate authorities and those in `roots`.

    Raises:
        OSError: the file cannot be read, or holds no certificate.

    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["dot"])
    if roots is not None:
        context.load_verify_locations(roots)
    return context


class Stream:
    """The connection to one upstream; `idle` is how many seconds without questions it is kept."""

    def __init__(self, upstream: Upstream, context: ssl.SSLContext | None, idle: float) -> None:
        self._upstream = upstream
        self._context = context
        self._idle = idle
        self._opening = asyncio.Lock()
        self._open: _Connection | None = None

    async def ask(self, asking: Asking) -> bytes:
        """Return the answer, in the spelling of the question.

        Raises:
            OSError, EOFError: no connection, no proof of identity, or the connection broke.

        """
        connection = self._open
        if connection is not None and connection.usable:
            # The upstream may have closed it while the question was on its way: that is nobody's fault.
            with suppress(OSError, EOFError):
                return await connection.ask(asking)
        connection = await self._connect(connection)
        return await connection.ask(asking)

    async def _connect(self, broken: "_Connection | None") -> "_Connection":
        async with self._opening:
            if self._open is not None and self._open is not broken and self._open.usable:
                return self._open  # another question opened it meanwhile
            name = self._upstream.tls_name or self._upstream.host
            reader, writer = await asyncio.open_connection(
                self._upstream.host,
                self._upstream.port,
                ssl=self._context,
                server_hostname=name if self._context else None,
            )
            self._open = _Connection(reader, writer, self._idle)
            return self._open

    async def close(self) -> None:
        """Close the connection, if there is one."""
        if self._open is not None:
            await self._open.close()


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, idle: float) -> None:
        self._reader = reader
        self._writer = writer
        self._idle = idle
        self._heard = 0
        self._waiting: dict[bytes, tuple[Asking, asyncio.Future[bytes]]] = {}
        self.usable = True
        self._listening = asyncio.create_task(self._listen(), name="dns-upstream-stream")

    async def ask(self, asking: Asking) -> bytes:
        while asking.ident in self._waiting:
            asking = asking.with_ident(secrets.token_bytes(2))
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[asking.ident] = asking, answer
        heard = self._heard
        try:
            self._writer.write(len(asking.message).to_bytes(2) + asking.message)
            await self._writer.drain()
            return await answer
        except asyncio.CancelledError:
            if self._heard == heard:
                self._end()  # out of time, and not a sound meanwhile: the next question needs a new connection
            raise
        finally:
            self._waiting.pop(asking.ident, None)

    async def _listen(self) -> None:
        try:
            while (size := await self._next_size()) is not None:
                self._take(await self._reader.readexactly(size))
        except (OSError, EOFError) as error:
            self._fail(error)
        finally:
            self._end()

    async def _next_size(self) -> int | None:
        """Return how long the next message is; None where none came for a while and none is waited for."""
        while True:
            try:
                async with within(self._idle):
                    return int.from_bytes(await self._reader.readexactly(2))
            except TimeoutError:
                if not self._waiting:
                    return None

    def _take(self, reply: bytes) -> None:
        self._heard += 1
        asking, answer = self._waiting.get(reply[:2], (None, None))
        if asking is None or answer is None or answer.done():
            return  # whoever asked has given up
        if asking.answered_in_other_case(reply):
            answer.set_result(asking.respelt(reply))
        else:
            answer.set_exception(OSError("its answer over TCP belongs to another question"))
            self._end()

    def _fail(self, error: Exception) -> None:
        for _, answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(error)

    def _end(self) -> None:
        self.usable = False
        self._fail(EOFError("the connection was closed"))
        self._writer.transport.abort()

    async def close(self) -> None:
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)
        self._end()
