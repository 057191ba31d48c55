"""The path of one query, in this order, and why in this order.

1. read          what is malformed is refused before anything looks at it
2. judge         every query of every type, so that no type is a way past the policy
3. special names answered here whatever the verdict: a canary must say NXDOMAIN where a block would show a page
4. blocked       before cache and upstream: a blocked name is not even asked for, nor told apart by timing
5. odd types     ANY and the like are never forwarded, and must not be told apart from other types when blocked
6. cache         of upstream's truth, the same for everybody; the policy is applied after it, so nothing leaks
7. recursion     a client that does not want it gets what the cache has, and no more
8. upstream      may take seconds: the verdict is asked for again afterwards
9. aliases       where the answer leads is judged as the name was: an allowed name may point to a blocked one
10. lease        no TTL outlives the verdict it was given under
"""

import struct
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from schoolgate_dns.answer import render
from schoolgate_dns.cache import Found
from schoolgate_dns.config import DnsConfig
from schoolgate_dns.lookup import Lookup
from schoolgate_dns.ports import DnsCounters, Transport
from schoolgate_dns.query import Query, Rejection, read_query
from schoolgate_dns.quick import QuickLookup
from schoolgate_dns.reply import (
    Body,
    Ede,
    EdeCode,
    build,
    record,
    refusal,
    reject,
    room,
)
from schoolgate_dns.reuse import Basis
from schoolgate_dns.sinkhole import Ruling, blocked_reply
from schoolgate_dns.special_names import special_name, special_reply
from schoolgate_dns.wire import Qtype, Rcode
from schoolgate_policy.decision import Attempt, Point
from schoolgate_policy.names import IPAddress
from schoolgate_policy.ports import Clock, PolicySource, Recorder
from schoolgate_policy.technique import Technique

type Outcome = bytes | Coroutine[Any, Any, bytes] | None

_HINFO = b"\x07RFC8482\x00"
# A blocked name of these categories of the shipped catalogue is a device looking for another resolver.
_TECHNIQUES = {"doh": Technique.DOH, "private-relay": Technique.PRIVATE_RELAY}
_META = range(128, 255)  # RFC 6895 section 3.1: transfers and other queries that are not for data


@dataclass(frozen=True, slots=True)
class Asker:
    """Who sent a query, how, and to which address of ours."""

    address: str
    local: IPAddress
    transport: Transport
    basis: Basis | None = None  # filled with what the answer rests upon, where that is wanted
    give: Callable[[bytes | Coroutine[Any, Any, bytes]], None] | None = None  # takes what comes later


class Resolver:
    """Answers queries; holds no policy, but asks for the one in force each time."""

    def __init__(
        self,
        config: DnsConfig,
        *,
        source: PolicySource,
        recorder: Recorder,
        counters: DnsCounters,
        clock: Clock,
        lookup: Lookup,
        quick: QuickLookup,
    ) -> None:
        self._config = config
        self._source = source
        self._recorder = recorder
        self._counters = counters
        self._clock = clock
        self._lookup = lookup
        self._quick = quick

    def handle(self, message: bytes, asker: Asker) -> Outcome:
        """Answer one message: the reply, or a coroutine that returns it, or None where none is due.

        None is also for an answer that comes later and is handed to `asker.give`.

        Never raises; neither does the coroutine.
        """
        query = None
        try:
            query = read_query(message)
            if query is None:
                self._counters.dropped(asker.transport)
                return None
            if isinstance(query, Rejection):
                return self._reject(query, asker)
            reply = self._at_once(query, asker)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong, the client gets SERVFAIL and nothing opens
            return self._broken(query, message, asker, error)
        if reply is not None:
            return self._count(reply, asker)
        if asker.give is not None and self._quick.take(query, partial(self._arrived, query, asker)):
            return None
        return self._later(query, asker)

    def _arrived(self, query: Query, asker: Asker, found: Found | None) -> None:
        """Go on with a question that took the short way; the long one where that led nowhere."""
        if asker.give is None:
            return
        asker.give(self._later(query, asker) if found is None else self._after(query, asker, found))

    async def _later(self, query: Query, asker: Asker) -> bytes:
        try:
            found = await self._lookup.find(query)
        except Exception as error:  # noqa: BLE001 - as above
            return self._broken(query, b"", asker, error)
        return self._after(query, asker, found)

    def _after(self, query: Query, asker: Asker, found: Found) -> bytes:
        """Answer with what upstream said a moment ago; the verdict may be another by now."""
        try:
            ruling = self._judge(query, asker)
            if ruling is not None and ruling.decision.blocked:
                reply = self._block(query, asker, ruling)
            else:
                reply = self._tell(query, asker, ruling, found)
        except Exception as error:  # noqa: BLE001 - as above
            return self._broken(query, b"", asker, error)
        return self._count(reply, asker)

    def _at_once(self, query: Query, asker: Asker) -> bytes | None:
        """Return the reply to whatever needs no upstream, None for the rest."""
        limit = room(query, tcp=asker.transport is Transport.TCP)
        ruling = self._judge(query, asker)
        reply = self._by_name(query, asker, ruling, limit) or self._by_type(query, ruling, limit)
        if reply is not None:
            return reply
        found = self._lookup.remembered(query)
        if found is not None:
            return self._tell(query, asker, ruling, found)
        if not query.recursion_desired:
            return refusal(query, Rcode.REFUSED, limit=limit)
        if self._lookup.full:
            found = self._lookup.stale(query)
            if found is not None:
                return self._tell(query, asker, ruling, found)
            busy = Ede(EdeCode.NETWORK_ERROR, "too many questions are waiting for upstream")
            return refusal(query, Rcode.SERVFAIL, limit=limit, ede=busy)
        return None

    def _by_name(self, query: Query, asker: Asker, ruling: Ruling | None, limit: int) -> bytes | None:
        special = special_name(query.host, query.qtype, self._config.local_zones)
        if special is not None:
            if special.technique is not None:
                self._suspect(special.technique, ruling, asker, query.host)
            return special_reply(special, query, limit)
        if ruling is not None and ruling.decision.blocked:
            technique = _TECHNIQUES.get(ruling.decision.category or "")
            if technique is not None:
                self._suspect(technique, ruling, asker, query.host)
            elif asker.basis is not None:
                asker.basis.blocked(query, ruling.decision)
            return self._block(query, asker, ruling)
        return None

    def _by_type(self, query: Query, ruling: Ruling | None, limit: int) -> bytes | None:
        if query.qtype == Qtype.NULL or query.qtype in _META:
            return refusal(query, Rcode.REFUSED, limit=limit)
        if query.qtype != Qtype.ANY:
            return None
        # As little as can be (RFC 8482 section 4.2).
        ttl = self._config.policy_ttl
        if ruling is not None:
            ttl = ruling.lease(self._clock(), self._config)
            self._recorder.decision(ruling.attempt, ruling.decision)
        body = Body(record(Qtype.HINFO, ttl, _HINFO), answers=1)
        return build(query, Rcode.NOERROR, body, limit=limit)

    def _judge(self, query: Query, asker: Asker) -> Ruling | None:
        """Return the verdict on the name asked for; None for the root, which names no host."""
        return self._judge_host(query.host, asker) if query.host else None

    def _judge_host(self, host: str, asker: Asker) -> Ruling:
        engine = self._source.engine
        attempt = Attempt(asker.address, host, self._clock(), point=Point.DNS)
        decision = engine.decide(attempt)
        network = engine.policy.networks.get(decision.network)
        return Ruling(attempt, decision, network.inspection if network else None)

    def _block(self, query: Query, asker: Asker, ruling: Ruling) -> bytes:
        self._recorder.decision(ruling.attempt, ruling.decision)
        limit = room(query, tcp=asker.transport is Transport.TCP)
        return blocked_reply(query, ruling, self._config, asker.local, now=self._clock(), limit=limit)

    def _tell(self, query: Query, asker: Asker, ruling: Ruling | None, found: Found) -> bytes:
        """Give an allowed client an answer, if all it leads to is allowed as well."""
        now = self._clock()
        longest = self._config.policy_ttl if ruling is None else ruling.lease(now, self._config)
        if found.answer.rebinding:
            self._suspect(Technique.REBINDING, ruling, asker, query.host)
        for alias in found.answer.aliases if ruling else ():
            beyond = self._judge_host(alias, asker) if alias else None
            if beyond is None:
                continue  # `.` as a target says "not here" (RFC 9460 section 2.5.1)
            if ruling is not None and ruling.forbids_alias(beyond):
                self._suspect(Technique.CNAME_CLOAKING, beyond, asker, query.host)
                return self._block(query, asker, replace(beyond, via_alias=True))
            if asker.basis is not None:
                asker.basis.rests_on(beyond.decision)
            if not beyond.decision.blocked:
                longest = min(longest, beyond.lease(now, self._config))
        if ruling is not None:
            self._recorder.decision(ruling.attempt, ruling.decision)
            if asker.basis is not None:
                asker.basis.told(query, ruling.decision, found, longest)
        return self._render(query, asker, found, longest)

    def _render(self, query: Query, asker: Asker, found: Found, longest: int) -> bytes:
        limit = room(query, tcp=asker.transport is Transport.TCP)
        edes: tuple[Ede, ...] = ()
        age = found.age
        if found.stale:
            denied = found.answer.rcode == Rcode.NXDOMAIN
            edes = (
                Ede(EdeCode.STALE_NXDOMAIN if denied else EdeCode.STALE_ANSWER, "upstream does not answer"),
            )
            longest, age = min(longest, self._config.stale_ttl), 0
        return render(found.answer, query, age=age, longest=longest, limit=limit, edes=edes)

    def _suspect(self, technique: Technique, ruling: Ruling | None, asker: Asker, host: str) -> None:
        network = ruling.decision.network if ruling else ""
        self._recorder.technique(technique, network, asker.address, host)

    def _reject(self, rejection: Rejection, asker: Asker) -> bytes:
        if rejection.odd_name:
            network = self._source.engine.identify(asker.address).network
            self._recorder.technique(Technique.MALFORMED_DNS, network, asker.address, "")
        return self._count(reject(rejection), asker)

    def _broken(
        self, query: Query | Rejection | None, message: bytes, asker: Asker, error: Exception
    ) -> bytes:
        """Answer SERVFAIL for a fault of ours, and have it seen to."""
        self._recorder.fault("dns", error)
        if isinstance(query, Query):
            limit = room(query, tcp=asker.transport is Transport.TCP)
            reply = refusal(query, Rcode.SERVFAIL, limit=limit)
        else:
            ident, flags = struct.unpack_from("!HH", message)
            reply = reject(Rejection(Rcode.SERVFAIL, ident, flags, str(error)))
        return self._count(reply, asker)

    def _count(self, reply: bytes, asker: Asker) -> bytes:
        self._counters.query(asker.transport, _RCODES.get(reply[3] & 0xF, "OTHER"))
        return reply


_RCODES = {rcode.value: rcode.name for rcode in Rcode}
