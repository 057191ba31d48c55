"""What became of requests: when each was made, where it stood at an instant, when and how it ended. Nobody is named. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from schoolgate_exceptions.kinds import Kind
from schoolgate_exceptions.workflow import OPEN, State


class Outcome(StrEnum):
    """How a request ceased to wait."""

    AGREED = "agreed"
    SETTLED = "settled"  # a report that was dealt with: nothing of it is in the policy
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"  # nobody decided in time

    @property
    def is_decision(self) -> bool:
        """Whether somebody who may decide has decided."""
        return self in {Outcome.AGREED, Outcome.SETTLED, Outcome.REFUSED}


_OUTCOMES = {
    State.APPROVED: Outcome.AGREED,
    State.APPLIED: Outcome.SETTLED,
    State.REFUSED: Outcome.REFUSED,
    State.WITHDRAWN: Outcome.WITHDRAWN,
    State.EXPIRED: Outcome.EXPIRED,
    State.REVOKED: Outcome.WITHDRAWN,
}


@dataclass(frozen=True, slots=True)
class Course:
    """One request: what was asked, and each state it came to, oldest first."""

    kind: Kind
    asked_at: datetime
    states: tuple[tuple[datetime, State], ...]

    @property
    def ended_at(self) -> datetime | None:
        """When it ceased to wait; None while somebody has still to decide."""
        return next((at for at, state in self.states if state not in OPEN), None)

    @property
    def outcome(self) -> Outcome | None:
        """How it ceased to wait; what an agreed request came to later is not told."""
        return next((_OUTCOMES[state] for _, state in self.states if state not in OPEN), None)

    @property
    def took(self) -> timedelta | None:
        """How long it waited for a decision; None where there was none."""
        ended, outcome = self.ended_at, self.outcome
        return ended - self.asked_at if ended and outcome and outcome.is_decision else None

    def waiting_at(self, at: datetime) -> State | None:
        """Return the state in which it waited just before an instant; None where it was not made yet, or had ended."""
        if self.asked_at >= at:
            return None
        latest = State.SUBMITTED
        for moved_at, state in self.states:
            if moved_at >= at:
                break
            if state not in OPEN:
                return None
            latest = state
        return latest
