"""The server of zones: UDP for serials, TCP for transfers, and the publisher behind both."""

import asyncio
import contextlib
import errno
import os
import socket
import time
from ipaddress import ip_address

from schoolgate_dns.config import Endpoint
from schoolgate_dns.rpz.archive import Archive
from schoolgate_dns.rpz.config import RpzConfig
from schoolgate_dns.rpz.notify import Notifier
from schoolgate_dns.rpz.ports import Refused, RpzCounters, Seconds
from schoolgate_dns.rpz.publisher import ListSources, Publisher
from schoolgate_dns.rpz.requests import Desk
from schoolgate_dns.tcp import bind_tcp
from schoolgate_dns.udp import bind_udp
from schoolgate_policy.patience import within
from schoolgate_policy.ports import Clock, PolicySource, Recorder

_PORT_TRIES = 16


class RpzServer:
    """Publishes the policy in force as response policy zones."""

    def __init__(
        self,
        config: RpzConfig,
        source: PolicySource,
        lists: ListSources,
        recorder: Recorder,
        counters: RpzCounters,
        clock: Clock,
        *,
        seconds: Seconds = time.time,
    ) -> None:
        self._config = config
        self._recorder = recorder
        self._counters = counters
        self.archive = Archive(config.folder, config.versions)
        self.notifier = Notifier(config, counters, seconds)
        self.publisher = Publisher(
            config, source, lists, self.archive, counters, recorder, clock, self._changed
        )
        self._desk = Desk(config, self.archive, counters, seconds)
        self._addresses: list[Endpoint] = []
        self._stack = contextlib.AsyncExitStack()
        self._connections: set[asyncio.Task[None]] = set()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def addresses(self) -> tuple[Endpoint, ...]:
        """The addresses and ports that are listened on, in the order of the settings."""
        return tuple(self._addresses)

    async def start(self) -> None:
        """Work the zones out once, then listen and follow the policy.

        Raises:
            OSError: an address cannot be had, or the folder not be written.

        """
        await self.publisher.refresh()
        loop = asyncio.get_running_loop()
        try:
            for host, port in self._config.listen:
                udp, tcp = _bind(host, port)
                self._addresses.append(udp.getsockname()[:2])
                server = await asyncio.start_server(self._accepted, sock=tcp)
                self._stack.callback(server.close)
                transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), sock=udp)
                self._stack.callback(transport.close)
        except OSError:
            await self.stop()
            raise
        self._tasks.append(asyncio.create_task(self.publisher.run(), name="zones"))

    def _changed(self, zones: list[str]) -> None:
        versions = ((zone, self.archive.current(zone)) for zone in zones)
        self.notifier.tell((zone, version) for zone, version in versions if version is not None)

    def datagram(self, message: bytes, peer: str) -> bytes | None:
        """Return the reply to a datagram; a fault of ours leaves it without one."""
        try:
            return next(self._desk.reply(message, peer, tcp=False), None)
        except Exception as error:  # noqa: BLE001 - one datagram, and nothing else
            self._recorder.fault("rpz", error)
            return None

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        peer = writer.get_extra_info("peername")
        if task is None or peer is None or len(self._connections) >= self._config.connections:
            self._counters.refused(Refused.BUSY)
            writer.transport.abort()
            return
        self._connections.add(task)
        try:
            await self._serve(reader, writer, str(ip_address(peer[0].partition("%")[0])))
        except (OSError, EOFError, TimeoutError):
            pass  # it went away, or takes nothing; or the zone changed in the moment it was opened
        except Exception as error:  # noqa: BLE001 - a bug of ours costs this connection and nothing else
            self._recorder.fault("rpz", error)
        finally:
            self._connections.discard(task)
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: str) -> None:
        while True:
            async with within(self._config.idle):
                size = int.from_bytes(await reader.readexactly(2))
                message = await reader.readexactly(size)
            reply = self._desk.reply(message, peer, tcp=True)
            try:
                # In a thread: looking for what changed among a million names takes seconds.
                while (part := await asyncio.to_thread(next, reply, None)) is not None:
                    writer.write(len(part).to_bytes(2) + part)
                    async with within(self._config.idle):
                        await writer.drain()
            finally:
                with contextlib.suppress(ValueError):  # a thread is in it: it ends with its present step
                    reply.close()

    async def stop(self) -> None:
        """Stop listening, telling and following; harmless when not started."""
        for task in (*self._tasks, *self._connections):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._connections, return_exceptions=True)
        await self.notifier.close()
        await self._stack.aclose()
        self._addresses.clear()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: RpzServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.DatagramTransport):
            self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        reply = self._server.datagram(data, str(ip_address(addr[0].partition("%")[0])))
        if reply is not None and self._transport is not None:
            self._transport.sendto(reply, addr)


def _bind(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """Bind one port for both transports; port 0 is any that both can have."""
    for _ in range(_PORT_TRIES):
        udp = _or_explain(host, port, udp=True)
        try:
            return udp, _or_explain(host, udp.getsockname()[1], udp=False)
        except OSError as error:
            udp.close()
            if port or error.errno != errno.EADDRINUSE:
                raise
    raise OSError(errno.EADDRINUSE, f"cannot listen on {host}: found no port free for both udp and tcp")


def _or_explain(host: str, port: int, *, udp: bool) -> socket.socket:
    try:
        return bind_udp(host, port) if udp else bind_tcp(host, port)
    except OSError as error:
        reason = os.strerror(error.errno).lower() if error.errno else str(error)
        raise OSError(error.errno, f"cannot listen on {host} port {port}: {reason}") from error
