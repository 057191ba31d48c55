"""TCP (RFC 7766): many queries on a connection, answered as they are ready, under limits nobody can lean on."""

import asyncio
import socket
from collections import Counter, OrderedDict
from collections.abc import Coroutine
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

from schoolgate_dns.config import DnsConfig
from schoolgate_dns.ports import DnsCounters, Transport
from schoolgate_dns.resolver import Asker, Resolver
from schoolgate_policy.patience import within
from schoolgate_policy.ports import Recorder

_BACKLOG = 256  # accepted at a time, before others get their turn
_QUEUE = 4096  # waiting to be accepted; beyond it clients try again only after a second
_BUFFER = 8192  # read ahead per connection: bounds memory, and how long one client can keep the loop busy


def bind_tcp(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Return a bound, listening, non-blocking socket; a `shared` port may be bound by several processes of one user.

    Raises:
        OSError: the address or port cannot be had.

    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # past connections must not bar a restart
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
        sock.listen(_QUEUE)
    except OSError:
        sock.close()
        raise
    return sock


class Seats:
    """How many connections there are, and whose; shared by all listeners of a server.

    When all seats are taken the connection that has been idle for longest gives its up, so that a crowd of silent
    connections keeps nobody out. One client has only so many.
    """

    def __init__(self, config: DnsConfig) -> None:
        self._config = config
        self._idle: OrderedDict[asyncio.StreamWriter, str] = OrderedDict()  # longest silent first
        self._open: Counter[str] = Counter()
        self._taken = 0
        self._put_out: set[asyncio.StreamWriter] = set()

    def take(self, client: str) -> bool:
        """Give a client a seat, and say whether there is one."""
        if self._open[client] >= self._config.tcp_per_client:
            return False
        if self._taken >= self._config.tcp_connections:
            if not self._idle:
                return False
            writer, holder = self._idle.popitem(last=False)
            self.leave(holder, writer)
            self._put_out.add(writer)  # its task has yet to notice
            writer.transport.abort()
        self._open[client] += 1
        self._taken += 1
        return True

    def leave(self, client: str, writer: asyncio.StreamWriter) -> None:
        """Give the seat back."""
        self._idle.pop(writer, None)
        if writer in self._put_out:
            self._put_out.discard(writer)
            return
        self._taken -= 1
        self._open[client] -= 1
        if not self._open[client]:
            del self._open[client]

    def idle(self, client: str, writer: asyncio.StreamWriter) -> None:
        """Take note that nothing is asked or answered on a connection."""
        if writer not in self._put_out:
            self._idle[writer] = client

    def busy(self, writer: asyncio.StreamWriter) -> None:
        """Take note that something is."""
        self._idle.pop(writer, None)


class TcpListener:
    """Serves one listening socket until closed."""

    def __init__(
        self,
        sock: socket.socket,
        resolver: Resolver,
        config: DnsConfig,
        counters: DnsCounters,
        seats: Seats,
        recorder: Recorder,
    ) -> None:
        self._sock = sock
        self._resolver = resolver
        self._config = config
        self._counters = counters
        self._seats = seats
        self._recorder = recorder
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to answer, on the running loop."""
        self._server = await asyncio.start_server(
            self._accepted, sock=self._sock, backlog=_BACKLOG, limit=_BUFFER
        )
        self._sock.listen(_QUEUE)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        peer = writer.get_extra_info("peername")
        if task is None or peer is None or not self._seats.take(str(peer[0])):
            self._counters.dropped(Transport.TCP)
            writer.transport.abort()
            return
        client = str(peer[0])
        self._connections.add(task)
        try:
            local = ip_address(writer.get_extra_info("sockname")[0].partition("%")[0])
            asker = Asker(client, local, Transport.TCP)
            await _Connection(reader, writer, asker, self._config, self._seats).serve(self._resolver)
        except* (OSError, EOFError, TimeoutError):
            pass  # the client went away, or does not take its answers
        except* Exception as group:  # noqa: BLE001 - a bug of ours costs this connection and nothing else
            for error in group.exceptions:
                self._recorder.fault("dns", error)
        finally:
            self._seats.leave(client, writer)
            self._connections.discard(task)
            if writer.transport.get_write_buffer_size():
                writer.transport.abort()  # it would wait for ever for a client that reads nothing
            else:
                writer.close()

    async def close(self) -> None:
        """Stop listening and close every connection."""
        if self._server is None:
            self._sock.close()
            return
        self._server.close()
        connections = list(self._connections)
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


class _Connection:
    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        asker: Asker,
        config: DnsConfig,
        seats: Seats,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._asker = asker
        self._config = config
        self._seats = seats
        self._unanswered = 0
        self._slots = asyncio.Semaphore(config.tcp_pipeline)

    async def serve(self, resolver: Resolver) -> None:
        """Answer until the client closes, is silent for too long, or does not take its answers."""
        async with asyncio.TaskGroup() as waiting:
            with suppress(EOFError, TimeoutError):
                while True:
                    await self._slots.acquire()
                    message = await self._read()
                    outcome = resolver.handle(message, self._asker)
                    if outcome is None or isinstance(outcome, bytes):
                        self._slots.release()
                        await self._write(outcome or b"")
                    else:
                        # Slow ones do not hold up the rest: answers leave in the order they are ready.
                        self._unanswered += 1
                        waiting.create_task(self._finish(outcome))

    async def _read(self) -> bytes:
        if not self._unanswered:
            self._seats.idle(self._asker.address, self._writer)
        async with within(self._config.tcp_idle):
            message = await self._reader.readexactly(int.from_bytes(await self._reader.readexactly(2)))
        self._seats.busy(self._writer)
        return message

    async def _finish(self, answer: Coroutine[Any, Any, bytes]) -> None:
        try:
            await self._write(await answer)
        finally:
            self._unanswered -= 1
            if not self._unanswered:
                self._seats.idle(self._asker.address, self._writer)
            self._slots.release()

    async def _write(self, reply: bytes) -> None:
        if not reply:
            return
        self._writer.write(len(reply).to_bytes(2) + reply)
        async with within(self._config.tcp_idle):
            await self._writer.drain()
