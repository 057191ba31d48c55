"""Which blocked visits a safeguarding lead is told of: locked lists, and subjects about which the policy offers help."""

from datetime import UTC, datetime

from schoolgate_exceptions.watch.alerting import Concern
from schoolgate_policy.decision import Attempt, Reason
from schoolgate_policy.engine import Engine
from schoolgate_policy.event import Visit
from schoolgate_policy.support import is_welfare


def concern_of(one: Visit, engine: Engine) -> Concern | None:
    """Return what a blocked visit is about, None where it is nothing that anybody is told of.

    An event does not say which list blocked it, so it is judged again, at its instant.
    """
    if one.reason == Reason.LOCKED:
        return Concern.LOCKED
    if not (engine.policy.support.topics and one.host and one.reason):
        return None
    decision = engine.decide(Attempt(one.address, one.host, datetime.fromtimestamp(one.at, UTC)))
    return Concern.SUPPORT if decision.blocked and is_welfare(engine.policy, decision) else None
