"""What a blocked name resolves to, and how long any answer may be believed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address

from schoolgate_dns.config import DnsConfig
from schoolgate_dns.explanation import explanation, wants_structure
from schoolgate_dns.query import Query
from schoolgate_dns.reply import Body, address_body, build, negative_body
from schoolgate_dns.wire import Qtype, Rcode
from schoolgate_policy.decision import Attempt, Decision, Reason
from schoolgate_policy.model import Inspection, School, Strength
from schoolgate_policy.names import IPAddress

_OPENED = frozenset({Reason.EXCEPTION, Reason.ALWAYS_ALLOW})
_UNNAMED = frozenset({Reason.OTHERWISE, Reason.SANCTION})
_SETTLED = frozenset({Reason.OTHERWISE, Reason.ALWAYS_ALLOW})


@dataclass(frozen=True, slots=True)
class Ruling:
    """An attempt, the decision on it, and what a DNS answer needs to know beside it.

    `inspection` and `safe_search` are the network's. `denied` says that the name, when blocked, shall not exist
    rather than lead to a page: the ways round the filter, which programs try, and which give up at once when there
    is no such name. `via_alias` says that not the name asked for was judged, but one that the answer leads to.
    """

    attempt: Attempt
    decision: Decision
    inspection: Inspection | None
    school: School
    safe_search: Mapping[str, Strength]
    denied: bool = False
    via_alias: bool = False

    def forbids_alias(self, target: "Ruling") -> bool:
        """Whether an allowed name may not be answered because of where its answer leads.

        Only what somebody blocked by name counts: that a content network stands on nobody's list of allowed names
        (`otherwise`, a sanction) is no reason to break an allowed name it serves. What was opened by name is open
        wherever it leads, short of what nobody can open.
        """
        if not target.decision.blocked or target.decision.reason is Reason.LOCKED:
            return target.decision.blocked
        return self.decision.reason not in _OPENED and target.decision.reason not in _UNNAMED

    def lease(self, now: datetime, config: DnsConfig) -> int:
        """Return how many seconds an answer given `now` may live."""
        return lease(self.decision, now, config)


def lease(decision: Decision, now: datetime, config: DnsConfig) -> int:
    """Return how many whole seconds an answer given `now` under a decision may live; 0: it is for this moment only.

    Names that a rule, an exception or a schedule speaks of are asked again soon, so that a changed policy
    bites soon; and no answer reaches beyond `valid_until`.
    """
    until = decision.valid_until
    if until is None:
        return config.longest_ttl if decision.reason in _SETTLED else config.policy_ttl
    left = int((until - now).total_seconds())
    return max(0, min(config.policy_ttl, left))


def page_address(query: Query, config: DnsConfig, local: IPAddress) -> IPAddress | None:
    """Return where the block page is for the family the query asks for; None where that family has none.

    `local` is the address of this box that was asked.
    """
    own4 = local if isinstance(local, IPv4Address) else None
    # A link-local address means nothing without an interface, which an AAAA record cannot name.
    own6 = local if isinstance(local, IPv6Address) and not local.is_link_local else None
    if query.qtype == Qtype.A:
        return config.block_page_v4 or own4
    if query.qtype == Qtype.AAAA:
        return config.block_page_v6 or own6
    return None


def own_reply(query: Query, config: DnsConfig, local: IPAddress, limit: int) -> bytes:
    """Build the answer to a name that is the box itself."""
    address = page_address(query, config, local)
    body = address_body(address, config.policy_ttl) if address else negative_body(query, config.policy_ttl)
    return build(query, Rcode.NOERROR, body, limit=limit)


def blocked_reply(
    query: Query, ruling: Ruling, config: DnsConfig, local: IPAddress, *, now: datetime, limit: int
) -> bytes:
    """Build the answer to a blocked name.

    Where the school's devices can show a block page (`needed`, `all`) addresses lead to it, and everything else,
    HTTPS and SVCB above all, does not exist, so that no client finds another way to connect. A client that takes
    structured errors shows those, and gets no forged address. Where nothing is opened (`names`) the name itself does
    not exist, and neither does a way round the filter anywhere.
    """
    ttl = min(config.policy_ttl, ruling.lease(now, config))
    rcode, body = Rcode.NXDOMAIN, Body()
    if ruling.inspection in {Inspection.NEEDED, Inspection.ALL} and not ruling.denied:
        rcode = Rcode.NOERROR
        address = None if wants_structure(query) else page_address(query, config, local)
        body = address_body(address, ttl) if address else Body()
    if not body.answers:
        body = negative_body(query, ttl)
    why = explanation(query, ruling.decision, ruling.school, via_alias=ruling.via_alias)
    return build(query, rcode, body, limit=limit, edes=(why,))
