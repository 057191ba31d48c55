"""The sinkhole as one thing to start and stop: every listen address over UDP and TCP, on the same port."""

import contextlib
import errno
import os
import socket
import time
from collections.abc import Callable

import structlog

from schoolgate_dns.config import DnsConfig, Endpoint
from schoolgate_dns.lookup import Lookup
from schoolgate_dns.ports import DnsCounters
from schoolgate_dns.resolver import Resolver
from schoolgate_dns.tcp import Seats, TcpListener, bind_tcp
from schoolgate_dns.udp import UdpListener, bind_udp
from schoolgate_dns.upstream import Upstreams
from schoolgate_policy.ports import Clock, PolicySource, Recorder

_log = structlog.get_logger("schoolgate.dns")
_PORT_TRIES = 16


class DnsServer:
    """Answers DNS for the networks of the policy in force."""

    def __init__(
        self,
        config: DnsConfig,
        source: PolicySource,
        recorder: Recorder,
        counters: DnsCounters,
        clock: Clock,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._recorder = recorder
        self._counters = counters
        self._lookup = Lookup(config, Upstreams(config, counters), recorder, counters, monotonic)
        self._resolver = Resolver(
            config,
            source=source,
            recorder=recorder,
            counters=counters,
            clock=clock,
            lookup=self._lookup,
            monotonic=monotonic,
        )
        self._listeners: list[UdpListener | TcpListener] = []
        self._addresses: list[Endpoint] = []

    @property
    def addresses(self) -> tuple[Endpoint, ...]:
        """The addresses and ports that are listened on, in the order of the settings."""
        return tuple(self._addresses)

    async def start(self) -> None:
        """Bind everything, then answer.

        Raises:
            OSError: an address or port cannot be had; the message is one line that says which. Nothing is left bound.

        """
        pairs = _bind_all(self._config.listen)
        seats = Seats(self._config)
        for udp, tcp in pairs:
            host, port = udp.getsockname()[:2]
            self._addresses.append((host, port))
            datagrams = UdpListener(udp, self._resolver, self._counters, self._recorder)
            streams = TcpListener(tcp, self._resolver, self._config, self._counters, seats, self._recorder)
            await streams.start()
            datagrams.start()
            self._listeners += (datagrams, streams)
        if not self._config.upstreams:
            _log.warning(
                "dns.no_upstream",
                effect="every allowed name is answered SERVFAIL",
                remedy="set dns.upstreams",
            )

    async def stop(self) -> None:
        """Stop listening, close connections, give up what waits; harmless when not started."""
        for listener in self._listeners:
            await listener.close()
        self._listeners.clear()
        self._addresses.clear()
        await self._lookup.close()


def _bind_all(listen: tuple[Endpoint, ...]) -> list[tuple[socket.socket, socket.socket]]:
    pairs: list[tuple[socket.socket, socket.socket]] = []
    with contextlib.ExitStack() as undo:
        for host, port in listen:
            pair = _bind_pair(host, port)
            for sock in pair:
                undo.callback(sock.close)
            pairs.append(pair)
        undo.pop_all()
    return pairs


def _bind_pair(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """Bind one port for both transports; port 0 is any port that both can have."""
    for _ in range(_PORT_TRIES):
        udp = _or_explain("udp", host, port)
        try:
            return udp, _or_explain("tcp", host, udp.getsockname()[1])
        except OSError as error:
            udp.close()
            if port or error.errno != errno.EADDRINUSE:
                raise
    raise OSError(errno.EADDRINUSE, f"cannot listen on {host}: found no port free for both udp and tcp")


def _or_explain(transport: str, host: str, port: int) -> socket.socket:
    try:
        return bind_udp(host, port) if transport == "udp" else bind_tcp(host, port)
    except OSError as error:
        reason = os.strerror(error.errno).lower() if error.errno else str(error)
        raise OSError(error.errno, f"cannot listen on {host} port {port} ({transport}): {reason}") from error
