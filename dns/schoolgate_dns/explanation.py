"""Why a name is blocked, for whoever reads `dig`, and for programs that ask to be told (structured DNS errors).

draft-ietf-dnsop-structured-dns-error: a client that puts an extended error into its query takes the text as JSON.
"""

import json

from schoolgate_dns.query import Query
from schoolgate_dns.reply import EDE, EDE_TEXT, Ede, EdeCode
from schoolgate_policy.decision import Decision
from schoolgate_policy.model import School

_NETWORK_OPERATOR_POLICY = 5  # sub-error of the draft's registry
_WIDEST = 6  # octets of one character in JSON: `\u0001`
_OFFICER = "e_safety_officer"


def wants_structure(query: Query) -> bool:
    """Whether the client asked for a structured error."""
    return query.edns is not None and any(code == EDE for code, _ in query.edns.options)


def explanation(query: Query, decision: Decision, school: School, *, via_alias: bool = False) -> Ede:
    """Return the extended error of a block: network, rule, the policy's line, and the reason in its words."""
    if wants_structure(query):
        structured = _structured(decision, school)
        if structured:
            return Ede(EdeCode.BLOCKED, structured)
    where = ", ".join(part for part in (decision.network, _rule(decision), decision.source) if part)
    via = f" (alias of {decision.host})" if via_alias else ""
    return Ede(EdeCode.BLOCKED, f"{where}: {decision.message}{via}" if where else f"{decision.message}{via}")


def _rule(decision: Decision) -> str:
    """Return what decided as `schoolgate policy explain` names it."""
    if decision.exception:
        return decision.exception
    return "" if decision.rule is None else f"rules[{decision.rule}]"


def _structured(decision: Decision, school: School) -> str:
    """Return the error as minified I-JSON; empty where the school names nobody to turn to, which it must."""
    contact = school.contacts.get(_OFFICER) or next(iter(school.contacts.values()), "")
    if not contact:
        return ""
    uri = contact if ":" in contact else f"mailto:{contact}"
    reason = decision.message
    while True:
        said = {"c": [uri], "j": reason, "s": _NETWORK_OPERATOR_POLICY, "o": school.name}
        text = json.dumps(said, ensure_ascii=False, separators=(",", ":"))
        excess = len(text.encode()) - EDE_TEXT
        if excess <= 0:
            return text
        if not reason:
            return ""  # the name of the school alone fills the room
        reason = reason[: -max(1, excess // _WIDEST)]
