"""From a `Policy` to what the engine runs on: entries in the order of judgement, an index, a profile per client."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from schoolgate_policy.canary import CANARY
from schoolgate_policy.clients import Client
from schoolgate_policy.decision import READING, Decision, Page, Reason, Verdict
from schoolgate_policy.index import Hits, Index
from schoolgate_policy.lists.spec import ListSpec
from schoolgate_policy.model import (
    Device,
    LockedList,
    Network,
    Policy,
    PolicyException,
    Rule,
    Sanction,
    Target,
    TargetKind,
)
from schoolgate_policy.parts import Parts
from schoolgate_policy.reach import names_of
from schoolgate_policy.schedule import When


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that can give a verdict; its place in `Compiled.entries` is its place in the order of judgement."""

    reason: Reason
    verdict: Verdict
    message: str
    source: str
    targets: tuple[Target, ...]
    when: When = field(default_factory=When)
    starts: datetime | None = None
    ends: datetime | None = None
    networks: frozenset[str] = frozenset()
    devices: frozenset[str] = frozenset()
    what: str = ""  # its name in a trail
    rule: int | None = None
    exception: str | None = None
    age: int | None = None  # speaks only of clients for whom this age counts
    within: tuple[Target, ...] = ()  # speaks only of parts of these
    methods: frozenset[str] = frozenset()  # speaks only of requests by these; none: of all

    def state(self, at: datetime) -> tuple[bool, datetime | None]:
        """Return whether the entry is in force at a UTC instant, and when that may next change."""
        if self.starts is not None and at < self.starts:
            return False, self.starts
        if self.ends is not None and at >= self.ends:
            return False, None
        if not self.when.parts:
            return True, self.ends
        span = self.when.span(at)
        change = span.end
        if self.ends is not None and (change is None or self.ends < change):
            change = self.ends
        return span.active, change

    def speaks_of(self, method: str | None) -> bool:
        """Whether the entry speaks of requests by a method; None: one that reads."""
        return not self.methods or method is None or method in self.methods

    def applies_to(self, client: Client, age: int | None) -> bool:
        """Whether the entry speaks of a client: of its network, one of its devices, or of everybody."""
        if self.age is not None and self.age != age:
            return False
        if not self.networks and not self.devices:
            return True
        return client.network in self.networks or not self.devices.isdisjoint(client.devices)


@dataclass(frozen=True, slots=True)
class ActiveSanction:
    """A sanction with its supervised list compiled."""

    ends: datetime
    reason: str
    index: Index
    starts: datetime | None = None

    def state(self, at: datetime) -> tuple[bool, datetime | None]:
        """Return whether it is in force at an instant, and when that changes."""
        if at >= self.ends:
            return False, None
        if self.starts is not None and at < self.starts:
            return False, self.starts
        return True, self.ends

    def covers(self, host: str, path: str | None) -> bool:
        """Whether a supervised pupil may reach this."""
        hits = self.index.look_up(host, path)
        return bool(hits.sure | hits.maybe)


@dataclass(slots=True)
class Profile:
    """What applies to all clients with the same network, devices and sanction."""

    network: Network
    device: str | None
    age: int | None
    mask: int
    sanction: ActiveSanction | None
    decisions: dict[str | tuple[str, ...], Decision] = field(default_factory=dict)
    examples: dict[Hits, Decision] = field(default_factory=dict)  # of what follows where the same is said

    def message(self, reason: Reason, verdict: Verdict) -> str:
        """Say why, where no entry of the policy has words for it."""
        match reason:
            case Reason.LOCKED:
                return "this site is on a list that nobody can open"
            case Reason.SANCTION:
                sanction = self.sanction
                return sanction.reason if sanction else ""
            case _:
                verb = "allows" if verdict is Verdict.ALLOW else "blocks"
                return (
                    f"no rule speaks of it, and the network {self.network.id} {verb} what no rule speaks of"
                )

    def source(self, reason: Reason) -> str | None:
        """Say where in the policy a verdict without an entry comes from."""
        return self.network.source if reason is Reason.OTHERWISE else None


@dataclass(frozen=True, slots=True)
class Compiled:
    """A policy ready to judge by."""

    entries: tuple[Entry, ...]
    index: Index
    locked: tuple[LockedList, ...]
    sanctions: dict[str, ActiveSanction]
    always_mask: int
    never_inspect_mask: int
    networks: Mapping[str, Network]
    devices: Mapping[str, Device]
    lists: Mapping[str, ListSpec]
    parts: Parts
    reading_only: bool  # some entry tells methods apart

    def look_up(self, host: str, path: str | None, within: Page | None, shows: str | None = None) -> Hits:
        """Find the entries that speak of an attempt to reach a canonical host; the bits are places in `entries`."""
        hits = self.index.look_up(host, path)
        if shows is not None:
            hits = self.index.also_as(shows, hits)
        return self.parts.narrowed(hits, path, within) if self.parts.mask else hits

    def profile(self, client: Client, sanction: ActiveSanction | None) -> Profile:
        """Work out which entries speak of a client."""
        network, age = self.networks[client.network], self._age(client)
        mask = sum(1 << number for number, entry in enumerate(self.entries) if entry.applies_to(client, age))
        return Profile(network, client.devices[0] if client.devices else None, age, mask, sanction)

    def _age(self, client: Client) -> int | None:
        """Return the age that counts for a client: its narrowest device's that has one, else its network's."""
        ages = (self.devices[name].age for name in client.devices)
        return next((age for age in ages if age is not None), self.networks[client.network].age)


def compile_policy(policy: Policy, sanctions: Iterable[Sanction] = (), state: str | None = None) -> Compiled:
    """Bring everything that can give a verdict into the order of judgement and index it."""
    always = [
        Entry(
            Reason.ALWAYS_ALLOW,
            Verdict.ALLOW,
            "this site is always allowed",
            source,
            (target,),
            what="always_allow",
        )
        for target, source in policy.always_allow
    ]
    special = policy.states[state].rules if state else ()
    exceptions = sorted(
        (pair for exception in policy.exceptions for pair in _exception_entries(exception)),
        key=lambda pair: pair[0],
    )
    entries = (
        *always,
        *(
            entry
            for rule in special
            for entry in _rule_entries(rule, f"states.{state}.rules[{rule.index}]", None)
        ),
        *(entry for _, entry in exceptions),
        *_age_entries(policy),
        *(
            entry
            for rule in policy.rules
            for entry in _rule_entries(rule, f"rules[{rule.index}]", rule.index)
        ),
    )
    never_bit = len(entries)
    indexed = [
        (number, target, entry.verdict is Verdict.ALLOW)
        for number, entry in enumerate(entries)
        for target in entry.targets
    ]
    indexed += [(never_bit, target, True) for target in policy.never_inspect]
    lists = {status.spec.name: status.spec for status in policy.list_status if not status.spec.locked}
    categories = {name: spec.category for name, spec in lists.items() if spec.category is not None}
    return Compiled(
        entries=entries,
        index=Index(indexed, policy.catalogue, policy.lists, categories),
        locked=(*policy.locked, CANARY),
        sanctions={
            sanction.address: ActiveSanction(
                sanction.ends,
                sanction.reason,
                Index(
                    [(0, target, True) for target in (*policy.supervised, *sanction.targets)],
                    policy.catalogue,
                    policy.lists,
                    categories,
                ),
                sanction.starts,
            )
            for sanction in sanctions
        },
        always_mask=(1 << len(always)) - 1,
        never_inspect_mask=1 << never_bit,
        networks=policy.networks,
        devices=policy.devices,
        lists=lists,
        parts=_parts(entries, policy),
        reading_only=any(entry.methods for entry in entries),
    )


def _parts(entries: tuple[Entry, ...], policy: Policy) -> Parts:
    """Compile what is open only as a part of some page. What is open there may in turn have parts of its own."""
    held = {number: entry for number, entry in enumerate(entries) if entry.within}
    pages = [
        (number, target, True) for number, entry in held.items() for target in (*entry.within, *entry.targets)
    ]
    spoken = [names_of(target, policy.catalogue) for entry in held.values() for target in entry.targets]
    names = frozenset[str]().union(*spoken) if all(spoken) else frozenset[str]()
    mask = sum(1 << number for number in held)
    return Parts(mask, names, Index(pages, policy.catalogue, policy.lists) if held else None)


def _rule_entries(rule: Rule, what: str, number: int | None) -> Iterable[Entry]:
    """Make the entry of a rule, one for those of its pages that are open for reading, and one for their companions."""
    entry = _rule_entry(rule, what, number)
    read = tuple(target for target in rule.targets if _methods(target, rule))
    whole = tuple(target for target in rule.targets if target not in read)
    if whole:
        yield replace(entry, targets=whole)
    if read:
        yield replace(entry, targets=read, methods=_methods(read[0], rule))
    if rule.companions:
        yield replace(entry, targets=rule.companions, within=rule.targets, what=f"{what} companions")


def _methods(target: Target, ruling: Rule | PolicyException) -> frozenset[str]:
    """Return the methods that an allowed page takes; none: any. A part of other pages takes any unless it is said."""
    page = target.kind is TargetKind.URL and ruling.verdict is Verdict.ALLOW
    if not page or (ruling.within and not ruling.methods):
        return frozenset()
    return READING | ruling.methods


def _rule_entry(rule: Rule, what: str, number: int | None) -> Entry:
    return Entry(
        Reason.RULE,
        rule.verdict,
        rule.reason,
        rule.source,
        rule.targets,
        rule.during,
        networks=rule.networks,
        devices=rule.devices,
        what=what,
        rule=number,
        within=rule.within,
    )


def _age_entries(policy: Policy) -> Iterable[Entry]:
    """Block every service whose minimum age is above that of a network or device, each with its own line."""
    for network in policy.networks.values():
        yield from _too_young(policy, network, frozenset({network.id}), frozenset())
    for device in policy.devices.values():
        yield from _too_young(policy, device, frozenset(), frozenset({device.id}))


def _too_young(
    policy: Policy, holder: Network | Device, networks: frozenset[str], devices: frozenset[str]
) -> Iterable[Entry]:
    if holder.age is None:
        return
    by_limit: dict[int, list[Target]] = {}
    for service in policy.catalogue.services.values():
        if service.min_age and service.min_age.years > holder.age:
            by_limit.setdefault(service.min_age.years, []).append(Target(TargetKind.SERVICE, service.id))
    for limit, targets in sorted(by_limit.items()):
        message = f"this is for people who are {limit} or older"
        yield Entry(
            Reason.RULE,
            Verdict.BLOCK,
            message,
            holder.source,
            tuple(targets),
            networks=networks,
            devices=devices,
            what="min_age",
            age=holder.age,
        )


type _Rank = tuple[int, int, int, int]

_KIND_RANK = {
    TargetKind.URL: 0,
    TargetKind.DOMAIN: 1,
    TargetKind.SERVICE: 2,
    TargetKind.CATEGORY: 3,
    TargetKind.LIST: 4,
    TargetKind.EVERYTHING: 5,
}


def _exception_entries(exception: PolicyException) -> list[tuple[_Rank, Entry]]:
    """Give each target of an exception an entry of its own, ranked most specific first."""
    audience = 0 if exception.devices else 1 if exception.networks else 2
    pairs = []
    held = [(target, exception.within, _methods(target, exception)) for target in exception.targets]
    around = (*exception.targets, *exception.companions)
    held += [(target, around, frozenset()) for target in exception.companions]
    for target, within, methods in held:
        rank = _KIND_RANK[target.kind], -_length(target), audience, exception.index
        entry = Entry(
            Reason.EXCEPTION,
            exception.verdict,
            exception.reason,
            exception.source,
            (target,),
            exception.during,
            exception.starts,
            exception.ends,
            exception.networks,
            exception.devices,
            what=f"exception {exception.id}",
            exception=exception.id,
            within=within,
            methods=methods,
        )
        pairs.append((rank, entry))
    return pairs


def _length(target: Target) -> int:
    """Measure how narrow a target is among its kind: labels of a name, then characters of a path."""
    if target.kind not in {TargetKind.DOMAIN, TargetKind.URL}:
        return 0
    return target.value.count(".") * 4096 + len(target.path)
