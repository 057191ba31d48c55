"""The sinkhole as one thing to start and stop: every listen address over UDP and TCP, on the same port."""

import contextlib
import errno
import os
import socket
import time
from collections.abc import Callable

import structlog

from schoolgate_dns.admission import Later
from schoolgate_dns.config import DnsConfig, Endpoint
from schoolgate_dns.express import Express
from schoolgate_dns.fast import FastPath
from schoolgate_dns.lookup import Lookup
from schoolgate_dns.ports import DnsCounters, DnsRecorder
from schoolgate_dns.quick import QuickLookup
from schoolgate_dns.resolver import Resolver
from schoolgate_dns.tcp import Seats, TcpListener, bind_tcp
from schoolgate_dns.udp import UdpListener, bind_udp
from schoolgate_dns.upstream import Upstreams
from schoolgate_policy.ports import Clock, PolicySource

_log = structlog.get_logger("schoolgate.dns")
_PORT_TRIES = 16


class DnsServer:
    """Answers DNS for the networks of the policy in force."""

    def __init__(
        self,
        config: DnsConfig,
        source: PolicySource,
        recorder: DnsRecorder,
        counters: DnsCounters,
        clock: Clock,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._recorder = recorder
        self._counters = counters
        self._source = source
        self._clock = clock
        self._monotonic = monotonic
        self._upstreams = upstreams = Upstreams(config, counters)
        # Both clocks' seconds begin together, so that the fast path has to start anew only once for both.
        phase = clock().microsecond / 1_000_000
        self._lookup = Lookup(config, upstreams, recorder, counters, monotonic, phase)
        self._quick = QuickLookup(config, self._lookup, upstreams, counters, recorder)
        self._resolver = Resolver(
            config,
            source=source,
            recorder=recorder,
            counters=counters,
            clock=clock,
            lookup=self._lookup,
            quick=self._quick,
            monotonic=monotonic,
        )
        self._listeners: list[UdpListener | TcpListener] = []
        self._addresses: list[Endpoint] = []

    @property
    def addresses(self) -> tuple[Endpoint, ...]:
        """The addresses and ports that are listened on, in the order of the settings."""
        return tuple(self._addresses)

    def upstreams_working(self) -> list[bool]:
        """Return of each upstream whether it answered last: those of all names in their order, then zones' own."""
        return self._upstreams.working()

    async def start(self) -> None:
        """Bind everything, then answer.

        Raises:
            OSError: an address or port cannot be had; the message is one line that says which. Nothing is left bound.

        """
        pairs = _bind_all(self._config.listen, shared=self._config.shared_ports)
        seats = Seats(self._config)
        for udp, tcp in pairs:
            host, port = udp.getsockname()[:2]
            self._addresses.append((host, port))
            datagrams = UdpListener(
                udp, self._fast_path(), self._quick, self._counters, self._recorder, self._express
            )
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

    def _fast_path(self) -> FastPath:
        return FastPath(
            self._config,
            source=self._source,
            recorder=self._recorder,
            counters=self._counters,
            clock=self._clock,
            lookup=self._lookup,
            resolver=self._resolver,
        )

    def _express(
        self, *, send: Callable[[list[bytes], list[bytes]], int], deliver: Callable[[bytes, Later], None]
    ) -> Express:
        return Express(
            self._config,
            source=self._source,
            recorder=self._recorder,
            counters=self._counters,
            clock=self._clock,
            lookup=self._lookup,
            quick=self._quick,
            resolver=self._resolver,
            monotonic=self._monotonic,
            send=send,
            deliver=deliver,
        )

    async def stop(self) -> None:
        """Stop listening, close connections, give up what waits; harmless when not started."""
        for listener in self._listeners:
            await listener.close()
        self._listeners.clear()
        self._addresses.clear()
        self._quick.close()
        await self._lookup.close()


def _bind_all(listen: tuple[Endpoint, ...], *, shared: bool) -> list[tuple[socket.socket, socket.socket]]:
    pairs: list[tuple[socket.socket, socket.socket]] = []
    with contextlib.ExitStack() as undo:
        for host, port in listen:
            pair = _bind_pair(host, port, shared=shared)
            for sock in pair:
                undo.callback(sock.close)
            pairs.append(pair)
        undo.pop_all()
    return pairs


def _bind_pair(host: str, port: int, *, shared: bool) -> tuple[socket.socket, socket.socket]:
    """Bind one port for both transports; port 0 is any port that both can have."""
    for _ in range(_PORT_TRIES):
        udp = _or_explain("udp", host, port, shared=shared)
        try:
            return udp, _or_explain("tcp", host, udp.getsockname()[1], shared=shared)
        except OSError as error:
            udp.close()
            if port or error.errno != errno.EADDRINUSE:
                raise
    raise OSError(errno.EADDRINUSE, f"cannot listen on {host}: found no port free for both udp and tcp")


def _or_explain(transport: str, host: str, port: int, *, shared: bool) -> socket.socket:
    try:
        bind = bind_udp if transport == "udp" else bind_tcp
        return bind(host, port, shared=shared)
    except OSError as error:
        reason = os.strerror(error.errno).lower() if error.errno else str(error)
        raise OSError(error.errno, f"cannot listen on {host} port {port} ({transport}): {reason}") from error
