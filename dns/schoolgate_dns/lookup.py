"""What upstream says about a question: remembered, being asked already, or asked now."""

import asyncio
import time
from collections.abc import Callable

from schoolgate_dns.answer import Answer, digest
from schoolgate_dns.cache import Cache, Found, Key, key_of
from schoolgate_dns.config import DnsConfig
from schoolgate_dns.plain import Plain, digest_plain
from schoolgate_dns.ports import CacheOutcome, DnsCounters
from schoolgate_dns.query import Query
from schoolgate_dns.reply import OUR_FAULT, Body, Ede, EdeCode
from schoolgate_dns.upstream import Begun, UpstreamError, Upstreams
from schoolgate_dns.wire import Rcode, WireError
from schoolgate_policy.names import suffixes
from schoolgate_policy.ports import Recorder

_TOLD = frozenset({Rcode.NOERROR, Rcode.NXDOMAIN, Rcode.YXDOMAIN})  # everything else is a failure


class Lookup:
    """Upstream's truth, each question asked once however many want to know."""

    def __init__(
        self,
        config: DnsConfig,
        upstreams: Upstreams,
        recorder: Recorder,
        counters: DnsCounters,
        monotonic: Callable[[], float] = time.monotonic,
        phase: float = 0.0,
    ) -> None:
        """`phase` is how much of the first second is over already."""
        self._config = config
        self._own_zones = config.own_zones
        self._upstreams = upstreams
        self._recorder = recorder
        self._counters = counters
        self._monotonic, self._epoch = monotonic, monotonic() - phase
        self._cache = Cache(config.cache_entries, config.cache_bytes, config.stale_seconds)
        # Apart, so that a failure never pushes out an answer that could still be served stale.
        self._failures = Cache(config.cache_entries // 10 + 1, config.cache_bytes // 10 + 1)
        self._asking: dict[Key, asyncio.Task[Answer]] = {}
        self._unknown: Query | None = None  # the question that `remembered` knew nothing about just now
        self._begun: dict[Key, Begun] = {}
        self.waiting = 0  # clients' questions, by either way

    def second(self) -> int:
        """Return the present second of the clock by which answers age; it has no smaller parts."""
        return int(self._monotonic() - self._epoch)

    def remembered(self, query: Query) -> Found | None:
        """Return what can be told at once: a fresh answer, or, while upstream fails, a stale one or the failure."""
        now = self.second()
        found = self._cache.get(query, now)
        if found is not None and not found.stale:
            self._counters.cache(CacheOutcome.HIT)
            return found
        failure = self._failures.get(query, now)
        self._unknown = query if found is None and failure is None else None
        if failure is None or failure.stale:
            return None
        self._counters.cache(CacheOutcome.STALE if found else CacheOutcome.HIT)
        return found or failure

    def knows(self, query: Query) -> bool:
        """Whether anything is remembered of a question, be it stale or a failure, or it is being asked.

        To be called only where `remembered` has just been.
        """
        return self._unknown is not query or key_of(query) in self._asking

    def unheard_of(self, key: Key, name: bytes) -> bool:
        """Whether nothing at all is known of a question, by its key and name, and nobody asks it the long way."""
        return not (
            key in self._cache.entries
            or key in self._failures.entries
            or key in self._asking
            or self._cache.denies(name)
        )

    def keep_plain(self, key: Key, plain: Plain) -> None:
        """Remember a plain answer."""
        self._cache.put_plain(key, plain, min(plain[2], self._config.cache_seconds), self.second())

    def begin(self, key: Key, begun: Begun) -> None:
        """Take note of what came of asking by the short way; whoever waits will ask `find` at once."""
        self._begun[key] = begun

    def learn(self, query: Query, message: bytes, question: bytes) -> Answer | None:
        """Remember a good answer of an upstream, which repeats `question`; None where it is malformed."""
        try:
            answer = digest_plain(message, question, self._config) or digest(
                message, self._config, own_zone=self._is_own(query.host)
            )
        except WireError:
            return None  # another upstream may do better
        self._cache.put(query, answer, self.second())
        return answer

    def _is_own(self, host: str) -> bool:
        zones = self._own_zones
        return bool(zones) and any(name in zones for name in suffixes(host))

    @property
    def full(self) -> bool:
        """Whether as many clients' questions wait for upstream as may."""
        return self.waiting >= self._config.max_in_flight

    def stale(self, query: Query) -> Found | None:
        """Return a remembered answer whose time is over, for when upstream cannot be asked."""
        found = self._cache.get(query, self.second())
        if found is not None:
            self._counters.cache(CacheOutcome.STALE)
        return found

    async def find(self, query: Query) -> Found:
        """Ask upstream; where it is slow (RFC 8767 section 5) or fails, a stale answer is better than none."""
        self._counters.cache(CacheOutcome.MISS)
        self.waiting += 1
        try:
            return await self._find(query)
        finally:
            self.waiting -= 1

    async def _find(self, query: Query) -> Found:
        task = self._task(query)
        now = self.second()
        stale = self._cache.get(query, now)
        # The task goes on when we stop waiting, or when this client's query is cancelled: others wait for it too.
        done, _ = await asyncio.wait({task}, timeout=self._config.stale_after if stale else None)
        answer = task.result() if done else None
        if answer is not None and answer.rcode in _TOLD:
            return Found(answer, self.second(), 0, stale=False)
        if stale is not None:
            self._counters.cache(CacheOutcome.STALE)
            return stale
        return Found(answer or _failure(), self.second(), 0, stale=False)

    def _task(self, query: Query) -> asyncio.Task[Answer]:
        key = key_of(query)
        task = self._asking.get(key)
        if task is None:
            task = asyncio.create_task(self._ask(query), name="dns-lookup")
            self._asking[key] = task
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        return task

    async def _ask(self, query: Query) -> Answer:
        """Return upstream's answer, remembered; a failure is an answer too, and never an exception."""
        try:
            own_zone = self._is_own(query.host)
            answer = await self._upstreams.learn(
                query,
                lambda message: digest(message, self._config, own_zone=own_zone),
                self._begun.pop(key_of(query), None),
            )
        except UpstreamError as error:
            self._recorder.fault("upstream", error)
            answer = _failure(
                (Ede(EdeCode.NO_REACHABLE_AUTHORITY, str(error)),), self._config.failure_seconds
            )
        except WireError as error:
            self._recorder.fault("upstream", error)
            text = f"upstream's answer is malformed: {error}"
            answer = _failure((Ede(EdeCode.NETWORK_ERROR, text),), self._config.failure_seconds)
        except Exception as error:  # noqa: BLE001 - a bug of ours must end in SERVFAIL, not in silence
            self._recorder.fault("dns", error)
            answer = _failure((OUR_FAULT,))
        if answer.rcode in _TOLD:
            self._cache.put(query, answer, self.second())
            return answer
        return self._remember_failure(query, answer)

    def _remember_failure(self, query: Query, answer: Answer) -> Answer:
        """Keep a failure for a moment (RFC 9520), so that an outage is not made worse by everybody asking again."""
        edes = answer.edes or (Ede(EdeCode.NO_REACHABLE_AUTHORITY, "upstream could not answer"),)
        failure = _failure(edes, self._config.failure_seconds)
        self._failures.put(query, failure, self.second())
        return failure

    async def close(self) -> None:
        """Give up every question that waits."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._upstreams.close()


def _failure(edes: tuple[Ede, ...] = (), lifetime: int = 0) -> Answer:
    return Answer(Rcode.SERVFAIL, Body(), lifetime=lifetime, edes=edes)
