"""How often anybody may do anything: a rate with a burst, for each of many keys, in bounded memory."""

from collections.abc import Hashable

_MOST_KEYS = 20_000
_BURST_SECONDS = 2.0  # so much of the rate may come at once


class RateLimit:
    """Allows each key so many events a second, twice that at once; a rate of 0 allows everything.

    Keeps one number for each key (GCRA): when the events so far would be over at the allowed pace. When too many keys
    are known all are forgotten, which gives each another burst and nothing more.
    """

    def __init__(self, per_second: float) -> None:
        self._step = 1 / per_second if per_second else 0.0
        self._due: dict[Hashable, float] = {}

    def has_room(self, key: Hashable, now: float) -> bool:
        """Whether an event would be allowed; counts nothing."""
        return not self._step or self._due.get(key, now) - now <= _BURST_SECONDS

    def allows(self, key: Hashable, now: float) -> bool:
        """Count one event at `now` (monotonic seconds); events beyond the rate are not counted."""
        if not self._step:
            return True
        due = self._due.get(key, now)
        due = max(due, now)
        if due - now > _BURST_SECONDS:
            return False
        if len(self._due) >= _MOST_KEYS:
            self._due.clear()
        self._due[key] = due + self._step
        return True

    def charge(self, key: Hashable, times: int, now: float) -> bool:
        """Count events that were let through already; whether more may follow at once."""
        if not self._step:
            return True
        if len(self._due) >= _MOST_KEYS:
            self._due.clear()
        due = max(self._due.get(key, now), now) + times * self._step
        self._due[key] = min(due, now + 2 * _BURST_SECONDS)
        return due - now <= _BURST_SECONDS
