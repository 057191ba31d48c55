"""Finds out when something blocked opens again, by asking the engine at each instant the answer may change."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from schoolgate_policy.decision import Attempt, Decision

_AHEAD = timedelta(days=14)
_STEPS = 200


class Decides(Protocol):
    """Whatever gives verdicts."""

    def decide(self, attempt: Attempt) -> Decision:
        """Return the verdict on an attempt."""
        ...


def opens_at(engine: Decides, attempt: Attempt) -> datetime | None:
    """Return the first instant within 14 days at which a blocked attempt is allowed, or None."""
    decision = engine.decide(attempt)
    for _ in range(_STEPS):
        if not decision.blocked:
            return decision.at
        at = decision.valid_until
        if at is None or at <= decision.at or at > attempt.at + _AHEAD:
            return None
        decision = engine.decide(replace(attempt, at=at))
    return None
