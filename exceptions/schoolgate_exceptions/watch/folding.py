"""Folding: browser retries, prefetches and both layers' sightings of one attempt become one event. Pure.

Attempts of a device by the same technique within a minute are one, whatever names they went to: a page with links to
ten VPN services makes a browser look up ten names, and is one visit to one page. Blocked visits of a device to the
same service or site within a minute are one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from schoolgate_policy.suffix import registrable_domain

WINDOW = 60.0  # seconds from the first
_MOST = 100_000  # folded events in memory

type Key = tuple[str, str, str, str]  # device, technique, site or service, verdict
site_of = lru_cache(maxsize=20_000)(registrable_domain)


@dataclass(slots=True)
class Folded:
    """One event: an attempt where it has a technique, else a visit. `number` is 0 until it has a row."""

    at: float
    last_at: float
    point: str
    network: str
    device: str
    attribution: str
    host: str
    service: str
    category: str
    verdict: str
    reason: str
    source: str
    technique: str
    points: int
    times: int
    number: int = 0
    changed: bool = True


class Fold:
    """Holds the events of the last minute."""

    def __init__(self) -> None:
        self._open: dict[Key, Folded] = {}

    def __len__(self) -> int:
        return len(self._open)

    @property
    def full(self) -> bool:
        """Whether no new event can be taken."""
        return len(self._open) >= _MOST

    def again(self, key: Key, at: float, times: int) -> Folded | None:
        """Fold something into the event it belongs to; None where it is a new one."""
        known = self._open.get(key)
        if known is None or not -WINDOW < at - known.at < WINDOW:
            return None
        known.times += times
        known.last_at = max(at, known.last_at)
        known.changed = True
        return known

    def begin(self, key: Key, event: Folded) -> Iterator[Folded]:
        """Add a new event; yield one that it takes the place of and that was not written yet."""
        before = self._open.get(key)
        self._open[key] = event
        if before is not None and before.changed:
            yield before

    def changed(self) -> list[Folded]:
        """Return the events that have changed since they were written."""
        return [one for one in self._open.values() if one.changed]

    def close(self, now: float) -> None:
        """Forget what is over and written."""
        for key in [key for key, one in self._open.items() if not one.changed and now - one.at >= WINDOW]:
            del self._open[key]
