"""Rules and exceptions without effect, found by asking the engine everything that it can be asked."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date

from schoolgate_policy.cells import Group
from schoolgate_policy.decision import Attempt, Decision, Reason
from schoolgate_policy.engine import Engine
from schoolgate_policy.errors import Severity
from schoolgate_policy.model import Policy, PolicyException, Rule
from schoolgate_policy.sites import Site
from schoolgate_policy.survey import Answers, Survey, bits_of
from schoolgate_policy.yaml_text import KeyPath

_MOST_NAMED = 3
_MOST_RULINGS = 2_000

type Finding = tuple[KeyPath, str, Severity]


def without_effect(policy: Policy, today: date) -> Iterator[Finding]:
    """Find the rules that decide nothing and the exceptions that change nothing from a day on.

    A policy with thousands of rules is not searched, which would take minutes; one finding says so.
    """
    count = len(policy.rules) + len(policy.exceptions) + sum(len(s.rules) for s in policy.states.values())
    if count > _MOST_RULINGS:
        message = f"{count} rules and exceptions are too many to look for those without effect; the most is {_MOST_RULINGS}"
        yield (), message, Severity.INFO
        return
    for state in (None, *policy.states):
        yield from _rules(policy, state, today)
    yield from _exceptions(policy, today)


@dataclass(slots=True)
class _Seen:
    """What became of one rule in all that was asked."""

    speaks: bool = False  # of something, to somebody
    in_force: bool = False  # at some time while it speaks
    decides: bool = False
    others: dict[str, None] = field(default_factory=dict)  # what decided in its place


def _rules(policy: Policy, state: str | None, today: date) -> Iterator[Finding]:
    survey = Survey((replace(policy, exceptions=()),), today, (state,))
    compiled = survey.compiled[0]
    what = f"states.{state}." if state else ""
    names = {
        number: entry.what
        for number, entry in enumerate(compiled.entries)
        if entry.what.startswith(f"{what}rules[")
    }
    seen: dict[str, _Seen] = {name: _Seen() for name in names.values()}
    silent = sum(1 << number for number in names)
    for group, site in distinct(survey):
        for number in bits_of(survey.entries_for(0, group, site) & silent):
            note = seen[names[number]]
            _look(note, number, survey, survey.answers(group, site))
            if note.decides:
                silent ^= 1 << number
    rules = policy.states[state].rules if state else policy.rules
    for rule in rules:
        note = seen[f"{what}rules[{rule.index}]"]
        path: KeyPath = ("states", state, "rules", rule.index) if state else ("rules", rule.index)
        if not note.decides:
            yield path, _why_silent(note, rule, policy), Severity.WARNING


def _look(note: _Seen, number: int, survey: Survey, answers: Answers) -> None:
    entry = survey.compiled[0].entries[number]
    note.speaks = True
    for slot in bits_of(survey.in_force(0, number)):
        note.in_force = True
        (decision,) = answers[slot]
        if (
            decision.reason is entry.reason
            and decision.source == entry.source
            and decision.rule == entry.rule
        ):
            note.decides = True
            return
        note.others[_named(decision)] = None


def _named(decision: Decision) -> str:
    if decision.rule is not None:
        return f"rules[{decision.rule}] ({decision.source})"
    where = f" ({decision.source})" if decision.source else ""
    what = "the minimum age" if decision.reason is Reason.RULE else decision.reason.value
    return f"{what}{where}"


def _why_silent(note: _Seen, rule: Rule, policy: Policy) -> str:
    if not note.speaks:
        if rule.networks or rule.devices:
            return "nobody is in what `for` names, or what it speaks of is nothing: this rule can never match"
        return "what it speaks of is nothing: this rule can never match"
    if not note.in_force:
        return f"it is in force only during {rule.during}, which never comes again"
    others = list(note.others)
    more = f" and {len(others) - _MOST_NAMED} more" if len(others) > _MOST_NAMED else ""
    before = ", ".join(others[:_MOST_NAMED]) or policy.source
    return f"this rule can never match: {before}{more} decides before it, whoever asks and at any time"


def _exceptions(policy: Policy, today: date) -> Iterator[Finding]:
    survey = Survey((policy,), today)
    morning = min(slot.at for slot in survey.times)
    decided: dict[str, list[tuple[Attempt, Decision]]] = defaultdict(list)
    for group, site in distinct(survey):
        for slot, (decision,) in zip(survey.times, survey.answers(group, site), strict=True):
            if decision.exception is not None:
                attempt = Attempt(group.address, site.host, slot.at, site.path)
                decided[decision.exception].append((attempt, decision))
    for exception in policy.exceptions:
        if exception.ends > morning and not _matters(survey, exception, decided[exception.id]):
            message = f"{exception.id} changes nothing: everything it speaks of is judged the same without it"
            yield ("exceptions", exception.index), message, Severity.WARNING


def _matters(survey: Survey, exception: PolicyException, decided: Iterable[tuple[Attempt, Decision]]) -> bool:
    policy = survey.engines[0].policy
    without = Engine(replace(policy, exceptions=tuple(e for e in policy.exceptions if e is not exception)))
    return any(without.decide(attempt).verdict is not decision.verdict for attempt, decision in decided)


def distinct(survey: Survey) -> Iterator[tuple[Group, Site]]:
    """Yield one group and site of each pair that is judged alike."""
    known: set[object] = set()
    for group in survey.groups:
        for site in survey.sites.all:
            look = survey.look(group, site)
            if look not in known and survey.is_possible(group, site):
                known.add(look)
                yield group, site
