"""What would change: which verdicts of one policy another gives otherwise, for whom, for what and when.

Complete by construction: both policies are asked every kind of attempt that either can tell apart (`survey`), and
what comes out is put together again into as few lines as say the same.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from schoolgate_policy.cells import Group
from schoolgate_policy.decision import Decision, Verdict
from schoolgate_policy.model import Policy
from schoolgate_policy.sites import Site
from schoolgate_policy.slots import Slot
from schoolgate_policy.survey import Survey
from schoolgate_policy.times_in_words import Times, in_words


@dataclass(frozen=True, slots=True)
class Change:
    """Some attempts whose verdict changes in the same way at the same times, in a state of the school.

    `before` and `after` say where the verdicts come from: `policy.yaml:41`, or the reason where it is in no line.
    """

    state: str | None
    groups: tuple[Group, ...]
    sites: tuple[Site, ...]
    verdict: Verdict  # the new one; the old one is the other
    slots: tuple[Slot, ...]
    times: tuple[Times, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]

    def covers(self, group: Group, site: Site, slot: Slot) -> bool:
        """Whether attempts of this kind are among those that change."""
        return group in self.groups and site in self.sites and slot in self.slots


@dataclass(frozen=True, slots=True)
class Difference:
    """Everything that changes between two policies, and what was compared to find it."""

    changes: tuple[Change, ...]
    surveys: tuple[tuple[str | None, Survey], ...]  # by state of the school; None is the usual one


def difference(old: Policy, new: Policy, first: date) -> Difference:
    """Compare two policies from the day `first` on.

    A state of the school that only one of them knows is compared with the other's usual rules.

    Raises:
        DifferentZones: the policies count time in different zones.

    """
    surveys = []
    changes: list[Change] = []
    for state in (None, *sorted({*old.states, *new.states})):
        states = state if state in old.states else None, state if state in new.states else None
        survey = Survey((old, new), first, states)
        surveys.append((state, survey))
        changes += _changes(survey, state, new)
    usual = {_content(change) for change in changes if change.state is None}
    kept = [change for change in changes if change.state is None or _content(change) not in usual]
    return Difference(tuple(kept), tuple(surveys))


def _content(change: Change) -> object:
    """Return what makes a change in a special state the same as one in the usual state."""
    return change.groups, change.sites, change.verdict, change.times


type _Where = tuple[tuple[str, ...], tuple[str, ...]]
type _Kind = tuple[Verdict, frozenset[int], _Where]  # new verdict, numbers of slots, where it comes from


def _changes(survey: Survey, state: str | None, new: Policy) -> Iterator[Change]:
    by_group: dict[Group, dict[_Kind, list[Site]]] = {}
    for group in survey.groups:
        kinds: dict[_Kind, list[Site]] = defaultdict(list)
        for site in survey.sites.all:
            if survey.is_possible(group, site):
                for kind in _kinds(survey, group, site):
                    kinds[kind].append(site)
        by_group[group] = kinds
    together: dict[tuple[_Kind, tuple[Site, ...]], list[Group]] = defaultdict(list)
    for group, kinds in by_group.items():
        for kind, sites in kinds.items():
            together[kind, tuple(sites)].append(group)
    for (kind, some), groups in together.items():
        yield _change(survey, state, new, kind, some, groups)


def _kinds(survey: Survey, group: Group, site: Site) -> Iterator[_Kind]:
    for verdict in Verdict:
        changed = [
            (number, before, after)
            for number, (before, after) in enumerate(survey.answers(group, site))
            if after.verdict is verdict and before.verdict is not verdict
        ]
        if changed:
            where = _wheres(before for _, before, _ in changed), _wheres(after for _, _, after in changed)
            yield verdict, frozenset(number for number, _, _ in changed), where


def _wheres(decisions: Iterable[Decision]) -> tuple[str, ...]:
    return tuple(
        sorted({f"{decision.source}" if decision.source else decision.reason.value for decision in decisions})
    )


def _change(
    survey: Survey,
    state: str | None,
    new: Policy,
    kind: _Kind,
    sites: tuple[Site, ...],
    groups: list[Group],
) -> Change:
    verdict, numbers, (before, after) = kind
    slots = tuple(slot for number, slot in enumerate(survey.times) if number in numbers)
    times = in_words(slots, survey.slots.days, new.calendar)
    return Change(state, tuple(groups), sites, verdict, slots, times, before, after)
