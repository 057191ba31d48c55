"""All that some policies can be asked, and what each answers: every kind of attempt by anybody, to anything, at any time.

Nothing is sampled: the parts come from the compiled policies themselves, and the engine answers for each.
"""

from collections.abc import Iterator
from datetime import date

from schoolgate_policy.cells import Group, groups_of
from schoolgate_policy.compile import Compiled, compile_policy
from schoolgate_policy.decision import Attempt, Decision
from schoolgate_policy.engine import Engine
from schoolgate_policy.model import Policy
from schoolgate_policy.sites import Part, Site, Sites
from schoolgate_policy.slots import Slot, Slots

type Answers = tuple[tuple[Decision, ...], ...]  # one a slot, each with one decision a policy


class Survey:
    """Asks several policies everything from the day `first` on, in one state of the school each."""

    def __init__(
        self, policies: tuple[Policy, ...], first: date, states: tuple[str | None, ...] | None = None
    ) -> None:
        states = states or (None,) * len(policies)
        self.sites = Sites(policies)
        self.groups: tuple[Group, ...] = groups_of(policies)
        self.slots = Slots(policies, first)
        stand_ins = self.sites.policies()
        self.engines = tuple(
            Engine(policy, (), state) for policy, state in zip(stand_ins, states, strict=True)
        )
        self.compiled = tuple(
            compile_policy(policy, (), state) for policy, state in zip(stand_ins, states, strict=True)
        )
        self._looks = {site: tuple(_look(part, site) for part in self.compiled) for site in self.sites.all}
        self._audiences: dict[Group, tuple[tuple[int, str], ...]] = {}
        self._answers: dict[object, Answers] = {}
        self._in_force: dict[object, int] = {}  # by schedules and dates

    @property
    def times(self) -> tuple[Slot, ...]:
        """Every slot, in the order of the answers."""
        return self.slots.all

    def answers(self, group: Group, site: Site) -> Answers:
        """Return every policy's decision in each slot; those of groups and sites that look alike are shared."""
        look = self.look(group, site)
        known = self._answers.get(look)
        if known is None:
            known = self._answers[look] = self._ask(group, site)
        return known

    def look(self, group: Group, site: Site) -> object:
        """Return what decides how a site is judged for a group: with the same look, the same verdicts."""
        return self._audience(group), self._looks[site], site.method

    def is_possible(self, group: Group, site: Site) -> bool:
        """Whether such an attempt can be seen at all: pages are where a connection is opened in some policy."""
        return site.part in {Part.ALL, Part.NAME} or any(
            compiled.networks[client.network].inspection != "names"
            for compiled, client in zip(self.compiled, group.clients, strict=True)
        )

    def entries_for(self, number: int, group: Group, site: Site) -> int:
        """Return the entries of one policy that speak of a site for a group, as bits in the order of judgement."""
        sure, maybe, shared, _ = self._looks[site][number]
        speaking = sure | maybe
        for one in shared:
            speaking |= one[0] | one[1]
        return speaking & self._audience(group)[number][0]

    def _audience(self, group: Group) -> tuple[tuple[int, str], ...]:
        known = self._audiences.get(group)
        if known is None:
            profiles = (
                compiled.profile(client, None)
                for compiled, client in zip(self.compiled, group.clients, strict=True)
            )
            known = tuple((profile.mask, str(profile.network.otherwise)) for profile in profiles)
            self._audiences[group] = known
        return known

    def _ask(self, group: Group, site: Site) -> Answers:
        """Ask once for all slots in which the same of the entries that speak of this are in force."""
        decisions: list[tuple[Decision, ...]] = [()] * len(self.times)
        for part in self._alike(group, site):
            numbers = list(bits_of(part))
            attempt = Attempt(
                group.address, site.host, self.times[numbers[0]].at, site.path, method=site.method
            )
            answer = tuple(engine.decide(attempt) for engine in self.engines)
            for number in numbers:
                decisions[number] = answer
        return tuple(decisions)

    def _alike(self, group: Group, site: Site) -> list[int]:
        """Divide the slots, as bits, by what is in force in them."""
        parts = [(1 << len(self.times)) - 1]
        for number in range(len(self.engines)):
            for entry in bits_of(self.entries_for(number, group, site)):
                active = self.in_force(number, entry)
                parts = [piece for part in parts for piece in (part & active, part & ~active) if piece]
        return parts

    def in_force(self, number: int, entry: int) -> int:
        """Return the slots, as bits, in which an entry of one policy is in force."""
        what = self.compiled[number].entries[entry]
        key = tuple((id(schedule), negated) for schedule, negated in what.when.parts), what.starts, what.ends
        known = self._in_force.get(key)
        if known is None:
            known = sum(1 << position for position, slot in enumerate(self.times) if what.state(slot.at)[0])
            self._in_force[key] = known
        return known


def bits_of(mask: int) -> Iterator[int]:
    """Yield the numbers of the bits that are set, lowest first."""
    while mask:
        bit = mask & -mask
        mask ^= bit
        yield bit.bit_length() - 1


type _Look = tuple[int, int, tuple[tuple[int, int], ...], bool]


def _look(compiled: Compiled, site: Site) -> _Look:
    """Return which entries speak of a site: sites with the same look are judged alike."""
    hits = compiled.look_up(site.host, site.path, None)
    shared = tuple((one.sure, one.maybe) for one in hits.shared)
    return hits.sure, hits.maybe, shared, any(part.hosts.covers(site.host) for part in compiled.locked)
