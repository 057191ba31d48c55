"""How a point of a standard stands, with its proof; and the lists of illegal content, which decide several of them. Pure."""

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from schoolgate_exceptions.papers import saying
from schoolgate_exceptions.papers.facts import Facts
from schoolgate_policy.lists.spec import ListStatus, Standing

ILLEGAL_IMAGES = re.compile(r"iwf|csam|child", re.IGNORECASE)
TERRORIST = re.compile(r"ctiru|terror|police|extrem|prevent", re.IGNORECASE)
_MISSED = 3  # refreshes that may fail before a list is stale
_FEWEST = 100  # entries; a shorter list of illegal content is hardly the whole one
_FILE_AGE = timedelta(days=7)  # of a list in a file that nobody has replaced


class Stands(StrEnum):
    """Whether a point is met."""

    MET = "met"
    NOT_MET = "not met"
    NOT_OURS = "not ours"


@dataclass(frozen=True, slots=True)
class Judged:
    """How a point stands, why one can know it, and what to do where it is not met."""

    stands: Stands
    proof: tuple[str, ...]
    do: str = ""


def met(*proof: str) -> Judged:
    """Say that a point is met."""
    return Judged(Stands.MET, proof)


def not_met(do: str, *proof: str) -> Judged:
    """Say that a point is not met, and what to do."""
    return Judged(Stands.NOT_MET, proof, do)


def not_ours(*why: str) -> Judged:
    """Say that no network filter can meet a point, or that somebody else must."""
    return Judged(Stands.NOT_OURS, why)


def locked_lists(facts: Facts, kind: re.Pattern[str] | None = None) -> list[ListStatus]:
    """Return the locked lists of a kind, told by their names; all of them without one."""
    every = [one for one in facts.policy.list_status if one.spec.locked]
    return [one for one in every if kind is None or kind.search(one.spec.name)]


def problem(facts: Facts, one: ListStatus) -> str:
    """Return why a locked list proves nothing: it is empty, not what its source brings, or stale."""
    if not one.names or one.standing is Standing.NOT_SUPPLIED:
        return "no entries: nobody has supplied it"
    if one.standing is not Standing.IN_USE:
        return str(one.standing)
    if one.names < _FEWEST:
        return f"fewer than {_FEWEST} entries: hardly the whole list"
    if one.dated is None:
        return "of unknown age"
    age = facts.now - one.dated
    allowed = _MISSED * one.spec.refresh if one.spec.url else _FILE_AGE
    return f"stale: last confirmed {saying.length(age.total_seconds())} ago" if age > allowed else ""


def describe(facts: Facts, one: ListStatus) -> str:
    """Say what is known of a list: its size and date, never an entry."""
    dated = f", confirmed {saying.moment(one.dated, facts.zone)}" if one.dated else ""
    wrong = (
        problem(facts, one)
        if one.spec.locked
        else ("" if one.standing is Standing.IN_USE else str(one.standing))
    )
    return f"list {one.spec.name}: {saying.many(one.names, 'entry', 'entries')}{dated}" + (
        f" ({wrong})" if wrong else ""
    )


def illegal(facts: Facts, kind: re.Pattern[str] | None = None) -> tuple[bool, tuple[str, ...]]:
    """Return whether there is a locked list of a kind, all of them filled and fresh, and what is known of each."""
    found = locked_lists(facts, kind)
    whole = bool(found) and not any(problem(facts, one) for one in found)
    return whole, tuple(describe(facts, one) for one in found) or (
        "there is no such list under `locked:` in policy.yaml",
    )
