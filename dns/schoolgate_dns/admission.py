"""Who is answered at all, and how often: before any judgement, because a flood must be cheap to turn away."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

from schoolgate_dns.config import DnsConfig
from schoolgate_dns.cookies import COOKIE, Cookies
from schoolgate_dns.limits import RateLimit
from schoolgate_dns.policy_view import PolicyView
from schoolgate_dns.ports import DnsCounters, Limit, Transport
from schoolgate_dns.query import Query
from schoolgate_dns.reply import Ede, EdeCode, refusal, room, truncated
from schoolgate_dns.reuse import Basis
from schoolgate_dns.wire import Rcode
from schoolgate_policy.names import IPAddress
from schoolgate_policy.ports import Clock

_STRANGER = Ede(EdeCode.PROHIBITED, "only the networks of the school are answered")
_TOO_MANY = Ede(EdeCode.PROHIBITED, "too many questions in a second")

type Later = bytes | Coroutine[Any, Any, bytes]


@dataclass(frozen=True, slots=True)
class Asker:
    """Who sent a query, how, and to which address of ours."""

    address: str
    local: IPAddress
    transport: Transport
    basis: Basis | None = None  # filled with what the answer rests upon, where that is wanted
    give: Callable[[Later], None] | None = None  # takes an answer that comes later


class Admission:
    """Turns away strangers and floods; gives cookies. Times are monotonic seconds, but for the cookies' stamps."""

    def __init__(
        self, config: DnsConfig, counters: DnsCounters, clock: Clock, monotonic: Callable[[], float]
    ) -> None:
        self._counters = counters
        self._clock = clock
        self._monotonic = monotonic
        self._cookies = Cookies(config.cookie_secret)
        self._clients = RateLimit(config.queries_per_second)
        self._answers = RateLimit(config.same_answers_per_second)
        self._same_answers = config.same_answers_per_second
        self._turned_away = 0

    def admit(self, query: Query, asker: Asker, view: PolicyView) -> Query | bytes | None:
        """Return the query, with its cookie; or the reply to it, or None where it is not to be answered."""
        limit = room(query, tcp=asker.transport is Transport.TCP)
        proven = False
        sent = (
            next((data for code, data in query.edns.options if code == COOKIE), None) if query.edns else None
        )
        if sent is not None:
            checked = self._cookies.check(sent, asker.address, int(self._clock().timestamp()))
            if checked is None:
                return refusal(query, Rcode.FORMERR, limit=limit)  # RFC 7873 section 5.2.2
            cookie, proven = checked
            query = replace(query, cookie=cookie)
        if not view.serves(asker.address):
            self._counters.limited(Limit.UNKNOWN_CLIENT)
            return refusal(query, Rcode.REFUSED, limit=limit, ede=_STRANGER)
        exceeded = self._exceeded(query, asker, proven=proven)
        return self._turn_away(query, asker, exceeded) if exceeded else query

    def is_quiet(self, address: str, view: PolicyView, now: float) -> bool:
        """Whether a client is one of ours that has not reached its limit; counts nothing."""
        return view.serves(address) and self._clients.has_room(address, now)

    def admits(self, address: str, now: float) -> bool:
        """Count a question over UDP that nobody has asked before; False: it goes beyond the client's limit."""
        return self._clients.allows(address, now)

    def charge(self, address: str, times: int, most_alike: int) -> bool:
        """Count what the fast path answered a client in the last second; whether it may answer that client on.

        `most_alike` is how often the client was given the answer that it was given most often.
        """
        within = self._clients.charge(address, times, self._monotonic())
        return within and not 0 < self._same_answers < most_alike

    def _exceeded(self, query: Query, asker: Asker, *, proven: bool) -> Limit | None:
        now = self._monotonic()
        if not self._clients.allows(asker.address, now):
            return Limit.CLIENT_RATE
        # Over TCP, and with a cookie of ours, nobody asks under another's address.
        if asker.transport is Transport.UDP and not proven:
            key = (asker.address, query.name, query.qtype)
            if not self._answers.allows(key, now):
                return Limit.SAME_ANSWER
        return None

    def _turn_away(self, query: Query, asker: Asker, limit: Limit) -> bytes | None:
        """Refuse over TCP; over UDP send every second one to TCP, where honest clients go, and drop the others."""
        self._counters.limited(limit)
        if asker.transport is Transport.TCP:
            return refusal(query, Rcode.REFUSED, limit=room(query, tcp=True), ede=_TOO_MANY)
        self._turned_away += 1
        if self._turned_away % 2:
            return truncated(query)
        self._counters.dropped(Transport.UDP)
        return None
