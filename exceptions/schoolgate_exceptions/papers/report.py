"""The report as values: what may be said of a period to governors and the safeguarding lead, one stream for each people."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from statistics import median

from schoolgate_exceptions.evidence import Count, Evidence, RequestFact
from schoolgate_exceptions.kinds import Kind
from schoolgate_exceptions.papers.checks import Check
from schoolgate_exceptions.papers.numbers import LEAST, Tally, few, series, tally
from schoolgate_exceptions.papers.period import Period
from schoolgate_exceptions.workflow import OPEN, State
from schoolgate_policy.model import Catalogue, People, Policy
from schoolgate_policy.technique_table import about

OTHER_SITES = "Other sites"
_FEW_ADDRESSES = 5  # a network of fewer is a person's
_DAY = timedelta(days=1)
_TITLES = {
    Kind.UNBLOCK: "To open a page",
    Kind.BLOCK: "To block a page",
    Kind.REPORT: "To look at a page",
    Kind.OFFICIAL_USE: "For official use",
}


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests of a period. Durations in seconds, None where too few were decided to say one."""

    by_outcome: Tally
    by_kind: Tally
    lesson_windows: int | None
    median_seconds: float | None = None
    longest_seconds: float | None = None
    within_a_day: float | None = None  # share of those decided


@dataclass(frozen=True, slots=True)
class Granted:
    """An exception in force: what for how many devices or which networks; a device's site is not named."""

    id: str
    verb: str
    what: tuple[str, ...]
    whom: str
    starts: datetime
    ends: datetime


@dataclass(frozen=True, slots=True)
class Stream:
    """What there is to say of one people. Counts are look-ups and requests as devices make them, not persons."""

    people: People
    networks: tuple[str, ...]
    visits: int | None
    blocked: Tally  # by category
    blocked_where: Tally  # by network
    blocked_weeks: tuple[tuple[str, int | None], ...]
    attempts: Tally  # by technique, in plain words
    attempts_where: Tally
    attempts_weeks: tuple[tuple[str, int | None], ...]
    ways: tuple[str, ...]  # every way round the filter that was seen, however rarely: titles, no counts
    background: int | None  # what devices send by themselves
    background_ways: tuple[str, ...]
    requests: Requests
    alerts: int | None
    seen_to: int | None
    median_alert_seconds: float | None
    supervised: int | None
    granted: tuple[Granted, ...]


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """A version of the policy that came into force, and how many lines were new or gone."""

    at: datetime
    version: str
    added: int
    removed: int


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that a report says. It holds no name, address, host or pseudonym."""

    school: str
    period: Period
    made_at: datetime
    policy_version: str
    counted_from: datetime | None  # before that nothing is known (any more); None: nothing at all
    streams: tuple[Stream, ...]
    checks: tuple[Check, ...]
    changes: tuple[PolicyChange, ...]
    faults: int
    review_by: str
    review_due: date | None
    lists: tuple[tuple[str, str, int], ...]  # locked ones: name, standing, entries
    waiting_since: datetime | None


class Gatherer:
    """Gathers one stream after the other; a network of a few addresses never stands by itself."""

    def __init__(self, evidence: Evidence, policy: Policy, period: Period, now: datetime) -> None:
        self._evidence = evidence
        self._policy = policy
        self._period = period
        self._now = now
        self._requests = evidence.requests(period.since, period.until)

    def peoples(self) -> tuple[People, ...]:
        """Return whom the policy has networks for, pupils first."""
        used = {network.people for network in self._policy.networks.values()}
        return tuple(one for one in (People.PUPIL, People.STAFF, People.GUEST) if one in used)

    def stream(self, people: People) -> Stream:
        """Return what there is to say of one people."""
        since, until, evidence = self._period.since, self._period.until, self._evidence
        only = {"people": people.value}
        visits = evidence.visits(since, until, ("verdict", "category", "network", "day"), **only)
        tried = evidence.attempts(since, until, ("technique", "network", "day"), **only)
        blocked = [one for one in visits if one.key[0] == "block"]
        done = [one for one in tried if not _is_background(one.key[0])]
        alerts = evidence.alerts(since, until, people=people)
        few_alerts = 0 < alerts.raised < LEAST
        return Stream(
            people,
            tuple(one.id for one in self._policy.networks.values() if one.people is people),
            few(sum(one.count for one in visits)),
            tally(_by(blocked, 1, lambda name: category_title(self._policy.catalogue, name))),
            tally(_by(blocked, 2, self._network)),
            self._weeks(blocked, 3),
            tally(_by(done, 0, technique_title)),
            tally(_by(done, 1, self._network)),
            self._weeks(done, 2),
            _ways(done),
            few(sum(one.count for one in tried) - sum(one.count for one in done)),
            _ways(one for one in tried if _is_background(one.key[0])),
            requests(one for one in self._requests if one.people == people),
            few(alerts.raised),
            None if few_alerts else few(alerts.acknowledged),
            None if few_alerts else alerts.median_seconds,
            None if few_alerts else few(alerts.supervised),
            self._granted(people),
        )

    def _network(self, name: str) -> str:
        """Return the name of a network, or of the pot for those that are nearly somebody's."""
        known = self._policy.networks.get(name)
        size = sum(part.num_addresses for part in known.addresses) if known else _FEW_ADDRESSES
        return name if size >= _FEW_ADDRESSES else "networks of a few devices"

    def _weeks(self, counts: Sequence[Count], day: int) -> tuple[tuple[str, int | None], ...]:
        totals = _by(counts, day, str)
        weeks = [
            (_week(first), sum(totals.get((first + n * _DAY).isoformat(), 0) for n in range((last - first).days + 1)))
            for first, last in self._period.weeks()
        ]  # fmt: skip
        return series(weeks)

    def _granted(self, people: People) -> tuple[Granted, ...]:
        policy, found = self._policy, []
        for one in self._evidence.exceptions_in_force(self._now):
            networks = [name for name in policy.networks if name in one.networks]
            everybody = not (one.networks or one.devices)
            of_devices = [name for name in one.devices if self._people_of(name) is people]
            mine = [name for name in networks if policy.networks[name].people is people]
            if not (mine or of_devices or everybody):
                continue
            rooms = [name for name in of_devices if _is_room(policy, name)]
            whom = [*mine, *_several(len(rooms), "room"), *_several(len(of_devices) - len(rooms), "device")]
            personal = not (mine or everybody or rooms)
            what = tuple(dict.fromkeys(_target(policy, str(part), personal=personal) for part in one.targets))
            verb = "open" if one.verdict == "allow" else "blocked"
            found.append(Granted(one.id, verb, what, ", ".join(whom) or "everybody", one.starts, one.ends))
        return tuple(found)

    def _people_of(self, device: str) -> People:
        address = self._policy.devices[device].addresses[0].network_address
        for network in self._policy.networks.values():
            if any(address.version == part.version and address in part for part in network.addresses):
                return network.people
        return self._policy.networks[self._policy.unknown_clients].people


def requests(facts: Iterable[RequestFact]) -> Requests:
    """Return what may be said of some requests; windows that teachers open by themselves are counted apart."""
    every = list(facts)
    asked = [one for one in every if one.kind != Kind.LESSON_WINDOW]
    took = [one.took.total_seconds() for one in asked if one.took is not None]
    said = len(took) >= LEAST
    return Requests(
        tally(Counter(_outcome(one) for one in asked)),
        tally(Counter(_TITLES[Kind(one.kind)] for one in asked)),
        few(len(every) - len(asked)),
        median(took) if said else None,
        max(took) if said else None,
        sum(one <= _DAY.total_seconds() for one in took) / len(took) if said else None,
    )


def technique_title(name: str) -> str:
    """Return a technique in plain words."""
    known = about(name)
    return known.title["en"] if known else name


def category_title(catalogue: Catalogue, name: str) -> str:
    """Return what people call a kind of site."""
    known = catalogue.categories.get(name)
    return known.title if known else name or OTHER_SITES


def _is_background(technique: str) -> bool:
    known = about(technique)
    return known is None or known.is_background


def _ways(tried: Iterable[Count]) -> tuple[str, ...]:
    """Name the ways that were seen: in the order of the alphabet, which tells nothing of how often."""
    return tuple(sorted({technique_title(one.key[0]) for one in tried if one.count}))


def _outcome(one: RequestFact) -> str:
    if one.decided_at is None:
        return "Waiting" if State(one.state) in OPEN else "Taken back or lapsed"
    return "Refused" if one.state == State.REFUSED else "Agreed"


def _by(counts: Iterable[Count], part: int, name: Callable[[str], str]) -> Mapping[str, int]:
    totals: Counter[str] = Counter()
    for one in counts:
        totals[name(one.key[part])] += one.count
    return totals


def _week(first: date) -> str:
    return f"{first.day} {first:%b}"


def _several(count: int, what: str) -> list[str]:
    return [f"{count} {what}{'' if count == 1 else 's'}"] if count else []


def _is_room(policy: Policy, device: str) -> bool:
    """Whether a name in the policy stands for so many addresses that it is nobody's own."""
    return sum(part.num_addresses for part in policy.devices[device].addresses) >= _FEW_ADDRESSES


def _target(policy: Policy, target: str, *, personal: bool) -> str:
    """Name a target: services and kinds by their title; a site that only some device may reach is not named."""
    kind, _, value = target.rpartition(":")
    if kind == "category":
        return category_title(policy.catalogue, value)
    if target in policy.catalogue.services:
        return policy.catalogue.services[target].title
    return "a site" if personal else target
