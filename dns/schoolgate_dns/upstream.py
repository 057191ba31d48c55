"""Asking other resolvers: over UDP, over TCP where UDP does not suffice, and another one where one fails.

Against forged answers (RFC 5452) every question gets a random id, a socket of its own and with it a random port, and
random letter case; an answer counts only if it comes from the upstream's address and repeats all of it.
"""

import asyncio
import secrets
import socket
import time
from contextlib import suppress
from dataclasses import dataclass

from schoolgate_dns.config import DnsConfig, Endpoint
from schoolgate_dns.ports import DnsCounters, UpstreamOutcome
from schoolgate_dns.query import Query
from schoolgate_dns.reply import OUR_UDP_SIZE
from schoolgate_dns.wire import AD, CD, DO, HEADER, IN, QR, QUESTION_TAIL, RD, RECORD, TC, Qtype, Rcode

_RETRY_PLAIN = frozenset(
    {Rcode.FORMERR, Rcode.NOTIMP}
)  # how servers older than EDNS answer it (RFC 6891 section 7)
_ROUNDS = 2  # a single lost datagram must not cost a page
_FORGERIES = 20  # so many wrong datagrams are an attack, which might also crowd out the true answer
_FAILED = frozenset({Rcode.FORMERR, Rcode.SERVFAIL, Rcode.NOTIMP, Rcode.REFUSED})


class UpstreamError(Exception):
    """No upstream gave an answer; the text says why, in one line."""


@dataclass(frozen=True, slots=True)
class Asking:
    """One question as it goes out: the message, and what an answer must repeat."""

    message: bytes
    ident: bytes
    question: bytes

    def answered_by(self, reply: bytes) -> bool:
        """Whether a message answers this question to the letter."""
        return self._matches(reply) and reply[HEADER.size : HEADER.size + len(self.question)] == self.question

    def answered_in_other_case(self, reply: bytes) -> bool:
        """Whether a message answers it but for letter case: the server loses it, or somebody guesses."""
        echoed = reply[HEADER.size : HEADER.size + len(self.question)]
        return self._matches(reply) and echoed.lower() == self.question.lower()

    def _matches(self, reply: bytes) -> bool:
        if len(reply) < HEADER.size + len(self.question) or reply[:2] != self.ident:
            return False
        _, flags, questions, *_ = HEADER.unpack_from(reply)
        return bool(flags & QR) and not flags >> 11 & 0xF and questions == 1


def ask(query: Query, *, edns: bool = True) -> Asking:
    """Put a client's question into our own words: nothing of its options, client subnet above all, goes along."""
    ident = secrets.token_bytes(2)
    question = _random_case(query.name) + QUESTION_TAIL.pack(query.qtype, IN)
    flags = RD | AD | (CD if query.checking_disabled else 0)
    opt = b""
    if edns:
        opt = b"\0" + RECORD.pack(Qtype.OPT, OUR_UDP_SIZE, DO if query.dnssec_ok else 0, 0)
    header = ident + HEADER.pack(0, flags, 1, 0, 0, int(edns))[2:]
    return Asking(header + question + opt, ident, question)


def _random_case(name: bytes) -> bytes:
    """Return the name with each letter in random case: 0x20 is the one bit that tells them apart."""
    noise = secrets.token_bytes(len(name))
    return bytes(
        octet ^ 0x20 if 0x61 <= octet <= 0x7A and chance & 1 else octet
        for octet, chance in zip(name, noise, strict=True)
    )


class Upstreams:
    """The configured upstreams, those that failed lately last."""

    def __init__(self, config: DnsConfig, counters: DnsCounters) -> None:
        self._config = config
        self._counters = counters
        self._failed_at: dict[Endpoint, float] = {}

    def _order(self) -> list[Endpoint]:
        """Return the upstreams in the configured order; those in their hold-down last, the longest waiting first."""
        since = time.monotonic() - self._config.upstream_hold_down
        return sorted(
            self._config.upstreams,
            key=lambda one: failed if (failed := self._failed_at.get(one, 0.0)) > since else 0.0,
        )

    def quick(self, host: str) -> Endpoint | None:  # noqa: ARG002 - one upstream serves all names
        """Return the upstream that a name is asked of first, if it did not fail lately."""
        upstreams = self._config.upstreams
        if not upstreams or (
            self._failed_at
            and self._failed_at.get(upstreams[0], 0.0) > time.monotonic() - self._config.upstream_hold_down
        ):
            return None
        return upstreams[0]

    def missed(self, endpoint: Endpoint) -> None:
        """Note that an upstream did not answer in time."""
        self._counters.upstream(UpstreamOutcome.TIMEOUT, self._config.quick_timeout)
        self._failed_at[endpoint] = time.monotonic()

    async def exchange(self, query: Query) -> bytes:
        """Return the first proper answer to a question, else the last improper one (SERVFAIL, REFUSED …).

        Raises:
            UpstreamError: none is configured, or none answered in time.

        """
        if not self._config.upstreams:
            raise UpstreamError("no upstream resolver is configured: set dns.upstreams")
        improper: bytes | None = None
        reasons: list[str] = []
        with suppress(TimeoutError):
            async with asyncio.timeout(self._config.upstream_deadline):
                for endpoint in self._order() * _ROUNDS:
                    reply = await self._try(endpoint, query, reasons)
                    if reply is not None and reply[3] & 0xF not in _FAILED:
                        return reply
                    improper = reply or improper
        if improper is not None:
            return improper
        raise UpstreamError("no upstream answered: " + ("; ".join(dict.fromkeys(reasons)) or "out of time"))

    async def _try(self, endpoint: Endpoint, query: Query, reasons: list[str]) -> bytes | None:
        """Ask one upstream; None where it gave nothing that can be used."""
        started = time.monotonic()
        outcome = UpstreamOutcome.TIMEOUT  # also when the deadline of the whole cuts us off
        try:
            reply = await self._ask(endpoint, query)
            outcome = UpstreamOutcome.FAILED if reply[3] & 0xF in _FAILED else UpstreamOutcome.ANSWERED
        except TimeoutError:
            reasons.append(f"{endpoint[0]} port {endpoint[1]} did not answer in time")
        except (OSError, EOFError) as error:
            outcome = UpstreamOutcome.UNREACHABLE
            reasons.append(f"{endpoint[0]} port {endpoint[1]}: {error}")
        else:
            self._failed_at.pop(endpoint, None)
            return reply
        finally:
            now = time.monotonic()
            self._counters.upstream(outcome, now - started)
            if outcome in {UpstreamOutcome.TIMEOUT, UpstreamOutcome.UNREACHABLE}:
                self._failed_at[endpoint] = now
        return None

    async def _ask(self, endpoint: Endpoint, query: Query) -> bytes:
        asking = ask(query)
        reply = await self._over_udp(endpoint, asking)
        if reply is not None and reply[3] & 0xF in _RETRY_PLAIN:
            asking = ask(query, edns=False)
            reply = await self._over_udp(endpoint, asking)
        if reply is not None and not HEADER.unpack_from(reply)[1] & TC:
            return reply
        return await self._over_tcp(endpoint, asking)

    async def _over_udp(self, endpoint: Endpoint, asking: Asking) -> bytes | None:
        """Return the answer; None where only TCP can vouch for it: wrong letter case, or a flood of forgeries."""
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in endpoint[0] else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
            sock.connect(endpoint)  # a fresh random port; the kernel drops what others send to it
            async with asyncio.timeout(self._config.udp_timeout):
                await loop.sock_sendall(sock, asking.message)
                for _ in range(_FORGERIES):
                    reply = await loop.sock_recv(sock, 65_535)
                    if asking.answered_by(reply):
                        return reply
                    self._counters.forged()
                    if asking.answered_in_other_case(reply):
                        break
        return None

    async def _over_tcp(self, endpoint: Endpoint, asking: Asking) -> bytes:
        async with asyncio.timeout(self._config.tcp_timeout):
            reader, writer = await asyncio.open_connection(*endpoint)
            try:
                writer.write(len(asking.message).to_bytes(2) + asking.message)
                reply = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
            finally:
                writer.close()
        if not asking.answered_in_other_case(reply):
            raise OSError("its answer over TCP belongs to another question")
        # Our own spelling goes in again: what follows takes the question as we asked it.
        return reply[: HEADER.size] + asking.question + reply[HEADER.size + len(asking.question) :]
