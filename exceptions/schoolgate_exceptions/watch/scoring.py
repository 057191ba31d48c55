"""The score of a device: the points of its attempts within a sliding window. Pure: time comes in with the attempts.

An alert begins when the score reaches the threshold and is over when it has fallen below half of it, so that one burst
raises one alert however long it lasts. What may come from a setting or an app (weight 1) counts a few times only, and never
reaches a threshold by itself: a device with another resolver built in asks for it each minute, all day (ADR 43).
"""

from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import timedelta

from schoolgate_policy.model import Circumvention, Threshold

_MOST_DEVICES = 20_000
_LIGHT = 1  # the weight of what may come from a setting or an app
_MOST_OF_LIGHT = 3  # points that one technique of that weight adds within a window
_MIXED = 10.0  # seconds that events may arrive late
LONGEST = timedelta(days=1)  # no window of a threshold is longer


@dataclass(slots=True)
class _Device:
    attempts: deque[tuple[float, int, str]] = field(default_factory=deque)  # when, points, technique
    alerted: bool = False
    supervised: bool = False


@dataclass(frozen=True, slots=True)
class Reached:
    """A device has reached a threshold: `supervise` says which."""

    device: str
    at: float
    points: int
    techniques: dict[str, int]
    supervise: bool


class Scores:
    """Keeps the scores of all devices."""

    def __init__(self) -> None:
        self._devices: dict[str, _Device] = {}

    def add(
        self, device: str, at: float, points: int, technique: str, policy: Circumvention
    ) -> list[Reached]:
        """Add one attempt; return the thresholds that it reaches. Background noise has no points and no effect."""
        if points <= 0:
            return []
        known = self._devices.get(device)
        if known is None:
            if len(self._devices) >= _MOST_DEVICES:
                self._devices.pop(next(iter(self._devices)))
            known = self._devices[device] = _Device()
        known.attempts.append((at, points, technique))
        self._forget(known, at)
        reached = []
        if policy.alert and not known.alerted and _points(known, at, policy.alert) >= policy.alert.points:
            known.alerted = True
            reached.append(_reached(device, known, at, policy.alert, supervise=False))
        limit = policy.supervise
        if limit and not known.supervised and _points(known, at, limit) >= limit.points:
            known.supervised = True
            reached.append(_reached(device, known, at, limit, supervise=True))
        return reached

    def over(self, now: float, policy: Circumvention) -> list[str]:
        """Return the devices whose alert is over by now, and forget those that have been quiet."""
        ended = []
        for device, known in list(self._devices.items()):
            self._forget(known, now)
            if known.alerted and _is_below(known, now, policy.alert):
                known.alerted = False
                ended.append(device)
            if known.supervised and _is_below(known, now, policy.supervise):
                known.supervised = False
            if not known.attempts and not known.alerted:
                del self._devices[device]
        return ended

    def restore(
        self, device: str, attempts: list[tuple[float, int, str]], *, alerted: bool, supervised: bool = False
    ) -> None:
        """Take up again where a process before this one left off; who was `supervised` is not so again at once."""
        self._devices[device] = _Device(deque(attempts), alerted, supervised)

    def points(self, device: str, now: float, threshold: Threshold) -> int:
        """Return the score of a device within the window of a threshold."""
        known = self._devices.get(device)
        return _points(known, now, threshold) if known else 0

    def _forget(self, known: _Device, now: float) -> None:
        while known.attempts and known.attempts[0][0] <= now - LONGEST.total_seconds():
            known.attempts.popleft()


def _points(known: _Device, now: float, threshold: Threshold) -> int:
    since = now - threshold.within.total_seconds()
    most = max(1, min(_MOST_OF_LIGHT, threshold.points - 1))
    total = 0
    light: dict[str, int] = {}
    for at, points, technique in reversed(known.attempts):  # nearly in order: those of one batch may be mixed
        if at <= since - _MIXED:
            break
        if at <= since:
            continue
        if points == _LIGHT:
            light[technique] = light.get(technique, 0) + points
        else:
            total += points
    return total + sum(min(points, most) for points in light.values())


def _is_below(known: _Device, now: float, threshold: Threshold | None) -> bool:
    return threshold is None or 2 * _points(known, now, threshold) < threshold.points


def _reached(device: str, known: _Device, at: float, threshold: Threshold, *, supervise: bool) -> Reached:
    since = at - threshold.within.total_seconds()
    seen = Counter(technique for when, _, technique in known.attempts if when > since)
    return Reached(device, at, _points(known, at, threshold), dict(seen), supervise)
