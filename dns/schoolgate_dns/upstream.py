"""Asking other resolvers: the fastest first, another one where one fails, each zone's own for that zone.

Against forged answers (RFC 5452) every question gets a random id, a socket of its own and with it a random port, and
random letter case; an answer counts only if it comes from the upstream's address and repeats all of it. What cannot
be settled over UDP is settled over TCP. Upstreams named `tls://` are never asked in clear text.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from schoolgate_dns.asking import Asking, ask
from schoolgate_dns.config import DnsConfig
from schoolgate_dns.datagram import over_udp
from schoolgate_dns.health import HasHealth, Health, in_order
from schoolgate_dns.ports import UpstreamCounters, UpstreamOutcome
from schoolgate_dns.query import Query
from schoolgate_dns.stream import Stream, tls_context
from schoolgate_dns.upstream_address import Upstream
from schoolgate_dns.wire import HEADER, TC, Qtype, Rcode, WireError
from schoolgate_policy.names import suffixes
from schoolgate_policy.patience import within

_RETRY_PLAIN = frozenset(
    {Rcode.FORMERR, Rcode.NOTIMP}
)  # how servers older than EDNS answer it (RFC 6891 section 7)
_ROUNDS = 2  # a single lost datagram must not cost a page
_FAILED = frozenset({Rcode.FORMERR, Rcode.SERVFAIL, Rcode.NOTIMP, Rcode.REFUSED})
# Asked of an upstream that failed: everybody knows the root, and any answer at all says "I am back".
_ARE_YOU_THERE = Query(0, 0, b"", b"\0", "", Qtype.NS, None)


class UpstreamError(Exception):
    """No upstream gave an answer; the text says why, in one line."""


class Server(HasHealth):
    """One upstream, how it does, and the connection to it."""

    def __init__(self, upstream: Upstream, config: DnsConfig) -> None:
        self.upstream = upstream
        self.health = Health()
        context = tls_context(config.upstream_roots) if upstream.tls else None
        self.stream = Stream(upstream, context, config.upstream_idle)

    def __str__(self) -> str:
        return f"{self.upstream.host} port {self.upstream.port}"


@dataclass(frozen=True, slots=True)
class Begun:
    """What came of asking an upstream over UDP: an answer that is not plainly good, None where none can be believed."""

    server: Server
    asking: Asking
    reply: bytes | None


class Upstreams:
    """The configured upstreams: those of all names, and those of single zones."""

    def __init__(self, config: DnsConfig, counters: UpstreamCounters) -> None:
        self._config = config
        self._counters = counters
        self._servers = [Server(Upstream(*one), config) for one in config.upstreams]
        self._zones = {
            zone: [Server(Upstream(*one), config) for one in servers]
            for zone, servers in config.zones.items()
        }
        self._watching: dict[Server, asyncio.Task[None]] = {}

    def quick(self, host: str) -> "Server | None":
        """Return the upstream that a name is asked of first; None where that must not or cannot be done in clear."""
        servers = self._of(host)
        if not servers:
            return None
        server = servers[0] if len(servers) == 1 else in_order(servers)[0]
        return None if server.upstream.tls or server.health.failed_at is not None else server

    def answered(self, server: "Server", started: float, times: int = 1) -> None:
        """Note that an upstream, asked so many questions at `started` by the short way, answered them just now."""
        now = time.monotonic()
        server.health.answered(started, now)
        self._counters.upstream(UpstreamOutcome.ANSWERED, now - started, times)

    def missed(self, server: "Server", started: float) -> None:
        """Note that an upstream, asked at `started` by the short way, did not answer in time."""
        now = time.monotonic()
        self._counters.upstream(UpstreamOutcome.TIMEOUT, now - started)
        self._failed(server, started, now)

    def working(self) -> list[bool]:
        """Return of each upstream whether it answered last: those of all names in their order, then zones' own."""
        return [server.health.failed_at is None for server in self._every()]

    def _every(self) -> list[Server]:
        return [*self._servers, *(one for zone in self._zones.values() for one in zone)]

    async def exchange(self, query: Query) -> bytes:
        """Return the first proper answer to a question, as `learn` does, unread."""
        return await self.learn(query, bytes)

    async def learn[T](self, query: Query, read: Callable[[bytes], T], begun: "Begun | None" = None) -> T:
        """Return what `read` makes of the first proper answer, else of the last improper one (SERVFAIL, REFUSED …).

        An answer that `read` cannot make sense of is passed over like one that never came. `begun` is what came of
        asking by the short way.

        Raises:
            UpstreamError: none is configured, or none answered in time.
            WireError: nothing came but answers that make no sense.

        """
        trial = _Trial(self, query, read, begun)
        with suppress(TimeoutError):
            async with within(self._config.upstream_deadline):
                return await trial.run(self._of(query.host))
        return trial.leftover()

    def _of(self, host: str) -> list[Server]:
        for zone in suffixes(host) if self._zones else ():
            servers = self._zones.get(zone)
            if servers is not None:
                return servers  # never anybody else: the names of a private zone are nobody's business
        return self._servers

    async def attempt(
        self, server: Server, query: Query, reasons: list[str], begun: "Begun | None" = None
    ) -> bytes | None:
        """Ask one upstream, or go on where that has begun; None where it gave nothing that can be used, and why is added to `reasons`."""
        started = time.monotonic()
        outcome = UpstreamOutcome.TIMEOUT  # also when the deadline of the whole cuts us off
        try:
            reply = await self._ask(server, query, begun)
            outcome = UpstreamOutcome.FAILED if reply[3] & 0xF in _FAILED else UpstreamOutcome.ANSWERED
        except TimeoutError:
            reasons.append(f"{server} did not answer in time")
        except (OSError, EOFError) as error:
            outcome = UpstreamOutcome.UNREACHABLE
            reasons.append(f"{server}: {getattr(error, 'verify_message', '') or error}")
        else:
            server.health.answered(started, time.monotonic())
            return reply
        finally:
            now = time.monotonic()
            self._counters.upstream(outcome, now - started)
            if outcome in {UpstreamOutcome.TIMEOUT, UpstreamOutcome.UNREACHABLE}:
                self._failed(server, started, now)
        return None

    def _failed(self, server: Server, started: float, now: float) -> None:
        if server.health.failed(started, now) and server not in self._watching:
            task = asyncio.create_task(self._watch(server), name="dns-upstream-watch")
            self._watching[server] = task
            task.add_done_callback(lambda _: self._watching.pop(server, None))

    async def _watch(self, server: Server) -> None:
        """Ask a failed upstream until it is back, so that no client has to find out."""
        while server.health.failed_at is not None:
            await asyncio.sleep(self._config.upstream_check)
            started = time.monotonic()
            with suppress(OSError, EOFError):
                await self._ask(server, _ARE_YOU_THERE)
                server.health.answered(started, time.monotonic())

    async def _ask(self, server: Server, query: Query, begun: "Begun | None" = None) -> bytes:
        if server.upstream.tls:
            async with within(self._config.tcp_timeout):
                return await server.stream.ask(ask(query, padded=True))
        if begun is not None:
            asking, reply = begun.asking, begun.reply
        else:
            asking = ask(query)
            reply = await over_udp(server.upstream, asking, self._config.udp_timeout, self._counters)
        if reply is not None and reply[3] & 0xF in _RETRY_PLAIN:
            asking = ask(query, edns=False)
            reply = await over_udp(server.upstream, asking, self._config.udp_timeout, self._counters)
        if reply is not None and not HEADER.unpack_from(reply)[1] & TC:
            return reply
        async with within(self._config.tcp_timeout):
            return await server.stream.ask(asking)

    async def close(self) -> None:
        """Close all connections."""
        watching = list(self._watching.values())
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        for server in self._every():
            await server.stream.close()


class _Trial[T]:
    """One question on its way round the upstreams, and the best that came back so far."""

    def __init__(
        self, upstreams: Upstreams, query: Query, read: Callable[[bytes], T], begun: Begun | None
    ) -> None:
        self._upstreams = upstreams
        self._query = query
        self._read = read
        self._begun = begun
        self._improper: list[T] = []
        self._malformed: WireError | None = None
        self._reasons: list[str] = []

    async def run(self, servers: list[Server]) -> T:
        if not servers:
            raise UpstreamError("no upstream resolver is configured: set dns.upstreams")
        for _ in range(_ROUNDS):
            for server in self._order(servers):
                begun, self._begun = self._begun, None
                reply = await self._upstreams.attempt(server, self._query, self._reasons, begun)
                if reply is None:
                    continue
                try:
                    answer = self._read(reply)
                except WireError as error:
                    self._malformed = WireError(f"{server}: {error}")
                    continue
                if reply[3] & 0xF not in _FAILED:
                    return answer
                self._improper.append(answer)
            if self._improper:
                break  # "no" was said, not lost: asking again changes nothing
        return self.leftover()

    def _order(self, servers: list[Server]) -> list[Server]:
        """Return the servers as they are to be asked, one that has been asked already first."""
        if self._begun is None:
            return in_order(servers)
        first = self._begun.server
        return [first, *(server for server in in_order(servers) if server is not first)]

    def leftover(self) -> T:
        """Return or raise what is left when nobody answered properly."""
        if self._improper:
            return self._improper[-1]
        if self._malformed is not None:
            raise self._malformed
        raise UpstreamError(
            "no upstream answered: " + ("; ".join(dict.fromkeys(self._reasons)) or "out of time")
        )
