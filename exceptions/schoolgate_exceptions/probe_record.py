"""What one probe of the filter found, as a value, and in the pieces in which it is sent to the portal; pure."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from schoolgate_policy.event import Probed

POINT = "probe"
_AT_ONCE = 50  # findings in one piece, which fits into a datagram
_TEXT = 200


class Outcome(StrEnum):
    """What a whole run came to."""

    PASSED = "passed"  # everything that could be tried was as promised
    FAILED = "failed"  # something was not


class Result(StrEnum):
    """What one check came to."""

    KEPT = "kept"
    BROKEN = "broken"
    UNKNOWN = "unknown"  # there was no answer that tells
    UNREACHED = "unreached"  # it cannot be tried from where the probe was run


class Kind(StrEnum):
    """What a check is about."""

    CANARY = "canary"  # names of our own that nobody may reach
    SERVICES = "services"  # the catalogue, as the policy judges it now
    OPEN = "open"  # what must be open
    SAFE_SEARCH = "safe_search"
    CIRCUMVENTION = "circumvention"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was not found as promised, or could not be tried."""

    what: str
    result: Result
    expected: str = ""
    seen: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Checks of one kind from one network: the names of those that were as promised, and all others."""

    network: str
    kind: Kind
    point: str  # dns, proxy or firewall
    kept: tuple[str, ...] = ()
    others: tuple[Finding, ...] = ()

    def count(self, result: Result) -> int:
        """Return how many checks came to a result."""
        if result is Result.KEPT:
            return len(self.kept)
        return sum(one.result is result for one in self.others)


@dataclass(frozen=True, slots=True)
class ProbeRun:
    """One probe: who, when, from where, what, and what came of it."""

    id: str
    started_at: datetime
    ended_at: datetime
    who: str
    machine: str
    vantage: str
    policy: str
    groups: tuple[Group, ...] = ()
    outcome: Outcome = field(default=Outcome.PASSED)

    def count(self, result: Result, network: str | None = None) -> int:
        """Return how many checks came to a result, from one network or from all."""
        return sum(one.count(result) for one in self.groups if network in {None, one.network})

    @property
    def networks(self) -> tuple[str, ...]:
        """The networks that were to be probed, in their order."""
        return tuple(dict.fromkeys(one.network for one in self.groups))

    @property
    def reached(self) -> tuple[str, ...]:
        """The networks from which something could be tried."""
        tried = (Result.KEPT, Result.BROKEN, Result.UNKNOWN)
        return tuple(name for name in self.networks if any(self.count(one, name) for one in tried))

    @property
    def broken(self) -> tuple[tuple[Group, Finding], ...]:
        """What was not as promised."""
        return tuple(
            (group, one) for group in self.groups for one in group.others if one.result is Result.BROKEN
        )


def outcome_of(groups: Iterable[Group]) -> Outcome:
    """Return what a run with these checks came to."""
    return Outcome.FAILED if any(one.count(Result.BROKEN) for one in groups) else Outcome.PASSED


def pieces(run: ProbeRun) -> Iterator[Probed]:
    """Yield the record of a run as events for the portal; each fits into a datagram."""
    at, count = run.ended_at.timestamp(), 0
    for group in run.groups:
        for part in _parts(group):
            yield Probed(at, POINT, run.id, json.dumps({"number": count, **asdict(part)}))
            count += 1
    head = {
        **{name: str(getattr(run, name)) for name in ("who", "machine", "vantage", "policy", "outcome")},
        "started_at": run.started_at.timestamp(),
        "ended_at": at,
        "pieces": count,
    }
    yield Probed(at, POINT, run.id, json.dumps(head))


def _parts(group: Group) -> Iterator[Group]:
    for start in range(0, max(len(group.kept), len(group.others), 1), _AT_ONCE):
        here = slice(start, start + _AT_ONCE)
        yield Group(group.network, group.kind, group.point, group.kept[here], group.others[here])


def read_piece(piece: Probed) -> dict[str, Any] | None:
    """Return what a piece holds, None where it is no piece of a record."""
    try:
        body: dict[str, Any] = json.loads(piece.body)
        if "number" in body:
            group_of(body)
            return {**body, "number": int(body["number"])}
        head_of(piece.run, body)
        return {**body, "pieces": int(body["pieces"])}
    except (ValueError, TypeError, KeyError, OverflowError, AttributeError):
        return None


def merge(parts: Iterable[Group]) -> tuple[Group, ...]:
    """Put together again what was sent in several pieces."""
    found: dict[tuple[str, Kind, str], Group] = {}
    for one in parts:
        key = one.network, one.kind, one.point
        known = found.get(key, Group(*key))
        found[key] = Group(*key, known.kept + one.kept, known.others + one.others)
    return tuple(found.values())


def assemble(run: str, parts: Sequence[dict[str, Any]]) -> ProbeRun | None:
    """Return a run from all pieces of its record, None while some are missing."""
    head = next((one for one in parts if "number" not in one), None)
    numbered = {one["number"]: one for one in parts if "number" in one}
    if head is None or len(numbered) != head["pieces"]:
        return None
    groups = merge(group_of(numbered[number]) for number in sorted(numbered))
    return head_of(run, head, groups)


def head_of(run: str, body: dict[str, Any], groups: tuple[Group, ...] = ()) -> ProbeRun:
    """Return a run from the last piece of its record, and its groups."""
    began, ended = (datetime.fromtimestamp(float(body[name]), UTC) for name in ("started_at", "ended_at"))
    texts = {name: str(body[name])[:64] for name in ("who", "machine", "vantage", "policy")}
    return ProbeRun(
        run[:32], began, ended, texts["who"], texts["machine"], texts["vantage"][:10], texts["policy"][:12],
        groups, outcome_of(groups),
    )  # fmt: skip


def group_of(one: dict[str, Any]) -> Group:
    """Return a group from one piece, or from its row."""
    others = tuple(
        Finding(
            str(found["what"])[:_TEXT],
            Result(found["result"]),
            str(found["expected"])[:_TEXT],
            str(found["seen"])[:_TEXT],
        )
        for found in one["others"]
    )
    kept = tuple(str(name)[:_TEXT] for name in one["kept"])
    return Group(str(one["network"])[:64], Kind(one["kind"]), str(one["point"])[:10], kept, others)
