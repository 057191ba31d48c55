"""Which upstream to ask first: the fastest that works, by what its answers so far say."""

from collections.abc import Sequence

_SHARE = 0.25  # of the newest time in the smoothed one
_FORGET = 0.98  # those not asked look a little faster with each question, so that they get another chance
_UNPROVEN = 0.0  # an upstream never asked comes first: that is how it is measured


class Health:
    """What is known about one upstream. Times are monotonic seconds."""

    def __init__(self) -> None:
        self.failed_at: float | None = None
        self._answered_at = 0.0
        self._seconds = _UNPROVEN

    @property
    def rank(self) -> tuple[float, float]:
        """The lower, the sooner it is asked: working ones by speed, then failed ones, the longest failed first."""
        return (self.failed_at, 0.0) if self.failed_at is not None else (0.0, self._seconds)

    def answered(self, started: float, now: float) -> None:
        """Take note of an answer to a question sent at `started`."""
        self.failed_at = None
        self._answered_at = now
        taken = now - started
        self._seconds = taken if not self._seconds else self._seconds + _SHARE * (taken - self._seconds)

    def failed(self, started: float, now: float) -> bool:
        """Take note of a question without answer; return whether the upstream counts as failed now.

        One that answered others meanwhile is well: it is the name that nobody can resolve.
        """
        if self._answered_at > started:
            return False
        self.failed_at = now
        return True

    def passed_over(self) -> None:
        """Take note that another one was asked instead."""
        self._seconds *= _FORGET


def in_order[T: "HasHealth"](servers: Sequence[T]) -> list[T]:
    """Return the servers in the order to ask them; among equals the order of the settings."""
    ordered = sorted(servers, key=lambda server: server.health.rank)
    for server in ordered[1:]:
        server.health.passed_over()
    return ordered


class HasHealth:
    """Something whose health is kept."""

    health: Health
