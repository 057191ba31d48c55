"""What an answer rests upon, noted while it is made, so that the fast path knows for how long it may be given again."""

from dataclasses import dataclass, field
from datetime import datetime

from schoolgate_dns.cache import Found
from schoolgate_dns.query import Query
from schoolgate_dns.wire import Rcode
from schoolgate_policy.decision import Decision

_KNOWN = frozenset({Rcode.NOERROR, Rcode.NXDOMAIN})


@dataclass(slots=True)
class Basis:
    """Filled by the resolver for an answer that depends on nothing but what stands here.

    `decision` is what is recorded with the answer, None for one that must not be given again. `edges` are the
    `valid_until` of every decision that was asked for on the way. `found` is what the cache had, None for a block;
    its records were told with TTLs of at most `longest`.
    """

    decision: Decision | None = None
    edges: list[datetime] = field(default_factory=list)
    found: Found | None = None
    longest: int = 0
    question: int = 0  # octets

    def rests_on(self, decision: Decision) -> None:
        """Note one decision without which the answer might be another."""
        if decision.valid_until is not None:
            self.edges.append(decision.valid_until)

    def blocked(self, query: Query, decision: Decision) -> None:
        """Note that the answer is the block of the name asked for."""
        if _plain(query):
            self.rests_on(decision)
            self.decision = decision

    def told(self, query: Query, decision: Decision, found: Found, longest: int) -> None:
        """Note that the answer is what the cache had."""
        if _plain(query) and not found.stale and not found.answer.rebinding and found.answer.rcode in _KNOWN:
            self.rests_on(decision)
            self.decision, self.found, self.longest = decision, found, longest
            self.question = len(query.question)

    @property
    def edge(self) -> datetime | None:
        """The first instant at which one of the decisions may be another."""
        return min(self.edges, default=None)


def _plain(query: Query) -> bool:
    """Whether a question says nothing about the one who asks it (RFC 7873 cookies, RFC 7871 subnets …)."""
    return query.edns is None or not query.edns.options
