"""The time profiles of a network: the sets of schedules that may be in force together, each with its next moment."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from schoolgate_policy.clients import Client
from schoolgate_policy.compile import compile_policy
from schoolgate_policy.engine import Engine
from schoolgate_policy.schedule import Schedule

_AHEAD = timedelta(days=70)  # longer than any holiday
_MOST_STEPS = 4_000
_MOST_PROFILES = 24  # of one network
_LONGEST_LABEL = 63  # RFC 1035 section 2.3.4
NO_SCHEDULE = "other-times"


@dataclass(frozen=True, slots=True)
class Profile:
    """A zone: what a network gets at `at`, which is now or the next time these schedules are in force.

    `label` is the first part of the zone's name; `schedules` None stands for whatever is in force now.
    """

    label: str
    network: str
    address: str  # of a client there
    schedules: tuple[str, ...] | None
    at: datetime


def profiles_of(engine: Engine, clients: Mapping[str, str], now: datetime) -> tuple[Profile, ...]:
    """Return the zones of a policy: for each network what is in force now, then one for each profile."""
    found = {network: Profile(network, network, address, None, now) for network, address in clients.items()}
    for network, address in clients.items():
        for names, at in _combinations(_schedules(engine, network), now):
            label = _label(network, names)
            found.setdefault(label, Profile(label, network, address, names, at))
    return tuple(found.values())


def _schedules(engine: Engine, network: str) -> tuple[Schedule, ...]:
    """Return the schedules that something for a whole network depends on."""
    compiled = compile_policy(engine.policy, (), engine.state)
    client = Client("", network)
    mask = compiled.profile(client, None).mask
    spoken = (entry for number, entry in enumerate(compiled.entries) if mask >> number & 1)
    every = {schedule.id: schedule for entry in spoken for schedule, _ in entry.when.parts}
    return tuple(every[name] for name in sorted(every))


def _combinations(
    schedules: tuple[Schedule, ...], now: datetime
) -> Iterator[tuple[tuple[str, ...], datetime]]:
    """Yield each set of schedules that is in force together in the next weeks, and when next."""
    seen: set[tuple[str, ...]] = set()
    at = now
    for _ in range(_MOST_STEPS if schedules else 0):
        names = tuple(schedule.id for schedule in schedules if schedule.is_active(at))
        if names not in seen:
            seen.add(names)
            yield names, at
        edges = [edge for schedule in schedules if (edge := schedule.next_change(at)) is not None]
        at = min(edges, default=now + _AHEAD)
        if at >= now + _AHEAD or len(seen) >= _MOST_PROFILES:
            return


def _label(network: str, names: tuple[str, ...]) -> str:
    label = "-".join((network, *(names or (NO_SCHEDULE,))))
    if len(label) <= _LONGEST_LABEL:
        return label
    return f"{label[: _LONGEST_LABEL - 9]}-{sha256(label.encode()).hexdigest()[:8]}"
