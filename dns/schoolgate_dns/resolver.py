"""The path of one query, in this order, and why in this order.

1. read          what is malformed is refused before anything looks at it
2. admit         only clients of the school, each only so often: the cheapest answers come first under a flood
3. judge         every query of every type, so that no type is a way past the policy
4. special names answered here whatever the verdict: a canary must say NXDOMAIN where a block would show a page
5. blocked       before cache and upstream: a blocked name is not even asked for, nor told apart by timing
6. odd types     ANY and the like are never forwarded, and must not be told apart from other types when blocked
7. safe search   from here on the question may be about the filtered twin of a search engine
8. cache         of upstream's truth, the same for everybody; the policy is applied after it, so nothing leaks
9. recursion     a client that does not want it gets what the cache has, and no more
10. budget       what must go upstream could carry data out: so many new names of one domain, and no more
11. upstream     may take seconds: the verdict is asked for again afterwards
12. aliases      where the answer leads is judged as the name was: an allowed name may point to a blocked one
13. lease        no TTL outlives the verdict it was given under
"""

import struct
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any

from schoolgate_dns.admission import Admission, Asker
from schoolgate_dns.answer import render
from schoolgate_dns.cache import Found
from schoolgate_dns.config import DnsConfig
from schoolgate_dns.lookup import Lookup
from schoolgate_dns.policy_view import PolicyView
from schoolgate_dns.ports import DnsCounters, Limit, Transport
from schoolgate_dns.query import Query, Rejection, read_query
from schoolgate_dns.quick import QuickLookup
from schoolgate_dns.reply import OUR_FAULT, Body, Ede, EdeCode, build, record, refusal, reject, room
from schoolgate_dns.safe_search import alias_only, needs_twin, twin_query, with_alias
from schoolgate_dns.sinkhole import Ruling, blocked_reply, own_reply
from schoolgate_dns.special_names import Kind, special_name, special_reply
from schoolgate_dns.tunnels import Budget, Tunnels
from schoolgate_dns.wire import Qtype, Rcode
from schoolgate_policy.decision import Attempt, Point, Reason
from schoolgate_policy.names import suffixes
from schoolgate_policy.ports import Clock, PolicySource, Recorder
from schoolgate_policy.safe_search import enforcement
from schoolgate_policy.technique import BY_CATEGORY, Technique

__all__ = ["Asker", "Outcome", "Resolver"]

type Outcome = bytes | Coroutine[Any, Any, bytes] | None

_HINFO = b"\x07RFC8482\x00"
_META = range(128, 255)  # RFC 6895 section 3.1: transfers and other queries that are not for data
OPENED = frozenset(
    {Reason.ALWAYS_ALLOW, Reason.EXCEPTION}
)  # by name, by somebody: trusted with any number of names
_TURNS = 3  # how often a question may change under a reload while upstream thinks


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
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._source = source
        self._recorder = recorder
        self._counters = counters
        self._clock = clock
        self._lookup = lookup
        self._quick = quick
        self._monotonic = monotonic
        self._own_zones = config.own_zones
        in_own_zone = any(zone in self._own_zones for zone in suffixes(config.portal_host))
        self.portal_host = "" if in_own_zone else config.portal_host  # else the school's own servers know it
        self.admission = Admission(config, counters, clock, monotonic)
        self.tunnels = Tunnels(config)
        self._seen: PolicyView | None = None

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
            admitted = self.admission.admit(query, asker, self.view())
            if isinstance(admitted, Query):
                query = admitted
                admitted = self._at_once(query, asker)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong, the client gets SERVFAIL and nothing opens
            return self._broken(query, message, asker, error)
        if admitted is None or isinstance(admitted, bytes):
            return admitted and self._count(admitted, asker)
        if asker.give is not None and self._quick.take(
            admitted, partial(self._arrived, query, asker, admitted)
        ):
            return None
        return self._later(query, asker, admitted)

    def resume(self, query: Query, asker: Asker, found: Found | None) -> None:
        """Go on with an allowed question that was asked upstream for `asker.give` without `handle`."""
        self._arrived(query, asker, query, found)

    def broken(self, message: bytes, asker: Asker, error: Exception) -> None:
        """Give SERVFAIL for a fault of ours in front of `handle`."""
        if asker.give is not None:
            asker.give(self._broken(read_query(message), message, asker, error))

    def _arrived(self, query: Query, asker: Asker, asked: Query, found: Found | None) -> None:
        """Go on with a question that took the short way; the long one where that led nowhere."""
        if asker.give is None:
            return
        try:
            reply = asked if found is None else self._consider(query, asker, asked, found)
        except Exception as error:  # noqa: BLE001 - as above
            asker.give(self._broken(query, b"", asker, error))
            return
        if isinstance(reply, Query):
            asker.give(self._later(query, asker, reply))
        else:
            asker.give(self._count(reply, asker))

    async def _later(self, query: Query, asker: Asker, asked: Query) -> bytes:
        try:
            reply = await self._learn(query, asker, asked)
        except Exception as error:  # noqa: BLE001 - as above
            return self._broken(query, b"", asker, error)
        return self._count(reply, asker)

    async def _learn(self, query: Query, asker: Asker, asked: Query) -> bytes:
        """Ask upstream, then do as the policy of that later moment says."""
        for _ in range(_TURNS):
            found = await self._lookup.find(asked)
            reply = self._consider(query, asker, asked, found)
            if not isinstance(reply, Query):
                return reply
            asked = reply
        limit = room(query, tcp=asker.transport is Transport.TCP)
        why = Ede(EdeCode.OTHER, "the policy changed again and again while upstream was asked")
        return refusal(query, Rcode.SERVFAIL, limit=limit, ede=why)

    def _consider(self, query: Query, asker: Asker, asked: Query, found: Found) -> bytes | Query:
        """Answer with what upstream said; where the policy wants to know something else by now, return that."""
        self.tunnels.charge(asker.address, asked, len(found.answer.body.data), self._monotonic())
        ruling = self._judge(query, asker)
        if ruling is not None and ruling.decision.blocked:
            return self._block(query, asker, ruling)
        wanted = self._wanted(query, ruling)
        return self._tell(query, asker, ruling, found, asked) if wanted.name == asked.name else wanted

    def _at_once(self, query: Query, asker: Asker) -> bytes | Query:
        """Return the reply to whatever needs no upstream, else the question to ask there."""
        limit = room(query, tcp=asker.transport is Transport.TCP)
        ruling = self._judge(query, asker)
        reply = self._by_name(query, asker, ruling, limit) or self._by_type(query, asker, ruling, limit)
        if reply is not None:
            return reply
        asked = self._wanted(query, ruling)
        if asked is not query and not needs_twin(query):
            self._record(ruling)
            body = alias_only(query, asked, self._lease(ruling, filtered=True))
            return build(query, Rcode.NOERROR, body, limit=limit)
        found = self._lookup.remembered(asked)
        if found is not None:
            return self._tell(query, asker, ruling, found, asked)
        return self._turned_back(query, asker, ruling, asked, limit) or asked

    def _turned_back(
        self, query: Query, asker: Asker, ruling: Ruling | None, asked: Query, limit: int
    ) -> bytes | None:
        """Return the reply to what would have to go upstream and may not, None where it may."""
        if not query.recursion_desired:
            return refusal(query, Rcode.REFUSED, limit=limit)
        budget = self._budget(query, asker, ruling)
        if budget is not Budget.WITHIN:
            if budget is Budget.SPENT_NOW:
                self._suspect(Technique.DNS_TUNNEL, ruling, asker, query.host)
            self._counters.limited(Limit.TUNNEL)
            why = Ede(EdeCode.BLOCKED, "too many different names of this domain in a short time")
            return refusal(query, Rcode.REFUSED, limit=limit, ede=why)
        if self._lookup.full:
            found = self._lookup.stale(asked)
            if found is not None:
                return self._tell(query, asker, ruling, found, asked)
            busy = Ede(EdeCode.NETWORK_ERROR, "too many questions are waiting for upstream")
            return refusal(query, Rcode.SERVFAIL, limit=limit, ede=busy)
        return None

    def _budget(self, query: Query, asker: Asker, ruling: Ruling | None) -> Budget:
        if ruling is None or ruling.decision.reason in OPENED:
            return Budget.WITHIN
        if any(zone in self._own_zones for zone in suffixes(query.host)):
            return Budget.WITHIN
        return self.tunnels.spend(asker.address, query, self._monotonic())

    def _by_name(self, query: Query, asker: Asker, ruling: Ruling | None, limit: int) -> bytes | None:
        if query.host and query.host == self.portal_host:
            self._record(ruling)
            return own_reply(query, self._config, asker.local, limit)
        special = special_name(query.host, query.qtype, self._own_zones)
        if special is not None:
            if special.technique is not None:
                self._suspect(special.technique, ruling, asker, query.host)
            if special.kind is Kind.PAGE:
                return own_reply(query, self._config, asker.local, limit)
            return special_reply(special, query, limit)
        if ruling is not None and ruling.decision.blocked:
            technique = BY_CATEGORY.get(ruling.decision.category or "")
            if technique is not None:
                self._suspect(technique, ruling, asker, query.host)
            elif asker.basis is not None:
                asker.basis.blocked(query, ruling.decision)
            return self._block(query, asker, ruling)
        return None

    def _by_type(self, query: Query, asker: Asker, ruling: Ruling | None, limit: int) -> bytes | None:
        if query.qtype == Qtype.NULL or query.qtype in _META:
            if query.qtype == Qtype.NULL:  # nothing but tunnels asks for it
                self._suspect(Technique.DNS_TUNNEL, ruling, asker, query.host)
            why = Ede(EdeCode.NOT_SUPPORTED, f"questions of type {query.qtype} are not answered here")
            return refusal(query, Rcode.REFUSED, limit=limit, ede=why)
        if query.qtype != Qtype.ANY:
            return None
        # As little as can be (RFC 8482 section 4.2).
        self._record(ruling)
        body = Body(record(Qtype.HINFO, self._lease(ruling), _HINFO), answers=1)
        return build(query, Rcode.NOERROR, body, limit=limit)

    def view(self) -> PolicyView:
        """Return the policy in force, as the sinkhole sees it."""
        engine = self._source.engine
        if self._seen is None or self._seen.engine is not engine:
            self._seen = PolicyView(engine, answer_unknown=self._config.answer_unknown)
        return self._seen

    def _judge(self, query: Query, asker: Asker) -> Ruling | None:
        """Return the verdict on the name asked for; None for the root, which names no host."""
        return self._judge_host(query.host, asker) if query.host else None

    def _judge_host(self, host: str, asker: Asker) -> Ruling:
        view = self.view()
        attempt = Attempt(asker.address, host, self._clock(), point=Point.DNS)
        decision = view.engine.decide(attempt)
        network = view.engine.policy.networks[decision.network]
        return Ruling(
            attempt,
            decision,
            network.inspection,
            view.engine.policy.school,
            network.safe_search,
            denied=decision.category in view.denied,
        )

    def _wanted(self, query: Query, ruling: Ruling | None) -> Query:
        """Return what to ask upstream: the question itself, or the same about a search engine's filtered twin."""
        twin = enforcement(ruling.safe_search, query.host) if ruling is not None else None
        return query if twin is None else twin_query(query, twin.alias)

    def _lease(self, ruling: Ruling | None, *, filtered: bool = False) -> int:
        """Return how long an answer may live; one that another network gets otherwise, no longer than a verdict."""
        if ruling is None or filtered:
            longest = self._config.policy_ttl
            return longest if ruling is None else min(longest, ruling.lease(self._clock(), self._config))
        return ruling.lease(self._clock(), self._config)

    def _record(self, ruling: Ruling | None) -> None:
        if ruling is not None:
            self._recorder.decision(ruling.attempt, ruling.decision)

    def _block(self, query: Query, asker: Asker, ruling: Ruling) -> bytes:
        self._record(ruling)
        limit = room(query, tcp=asker.transport is Transport.TCP)
        return blocked_reply(query, ruling, self._config, asker.local, now=self._clock(), limit=limit)

    def _tell(self, query: Query, asker: Asker, ruling: Ruling | None, found: Found, asked: Query) -> bytes:
        """Give an allowed client an answer, if all it leads to is allowed as well."""
        longest = self._lease(ruling, filtered=asked is not query)
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
                longest = min(longest, beyond.lease(self._clock(), self._config))
        self._record(ruling)
        if asked is not query:
            found = with_alias(query, asked, found)
        elif ruling is not None and asker.basis is not None:
            asker.basis.told(query, ruling.decision, found, longest)
        return self._render(query, asker, found, longest)

    def _render(self, query: Query, asker: Asker, found: Found, longest: int) -> bytes:
        limit = room(query, tcp=asker.transport is Transport.TCP)
        edes: tuple[Ede, ...] = ()
        age = found.age
        if found.stale:
            denied = found.answer.rcode == Rcode.NXDOMAIN
            code = EdeCode.STALE_NXDOMAIN if denied else EdeCode.STALE_ANSWER
            edes = (Ede(code, "upstream does not answer"),)
            longest, age = min(longest, self._config.stale_ttl), 0
        if found.answer.rebinding:
            edes += (Ede(EdeCode.BLOCKED, "addresses inside the school were left out of this answer"),)
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
            reply = refusal(query, Rcode.SERVFAIL, limit=limit, ede=OUR_FAULT)
        else:
            ident, flags = struct.unpack_from("!HH", message)
            reply = reject(Rejection(Rcode.SERVFAIL, ident, flags, str(error)))
        return self._count(reply, asker)

    def _count(self, reply: bytes, asker: Asker) -> bytes:
        self._counters.query(asker.transport, _RCODES.get(reply[3] & 0xF, "OTHER"))
        return reply


_RCODES = {rcode.value: rcode.name for rcode in Rcode}
