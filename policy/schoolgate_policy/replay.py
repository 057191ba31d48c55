"""Recorded attempts judged again by two policies: how many would change, by network and service, naming nobody.

One JSON object a line: `{"at": "2026-11-23T10:15:00Z", "network": "pupils", "host": "x.com"}`, with `device` and
`path` where they are known. Other keys are not looked at.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from schoolgate_policy.cells import Group, groups_of
from schoolgate_policy.decision import Attempt, Verdict
from schoolgate_policy.engine import Engine
from schoolgate_policy.model import Policy

OTHER_SITES = "other sites"


class InvalidRecord(ValueError):  # noqa: N818 - reads as what it is where it is raised and caught
    """A line that is no recorded attempt; the message has its number."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One recorded attempt. `at` is aware."""

    at: datetime
    network: str
    host: str
    device: str | None = None
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Shift:
    """What changed verdict, in the words the count is kept by."""

    network: str
    service: str
    verdict: Verdict  # the new one


@dataclass(slots=True)
class Replay:
    """The outcome: attempts looked at, those that no client of the policies can have made, and what changes."""

    attempts: int = 0
    unplaced: int = 0
    shifts: Counter[Shift] = field(default_factory=Counter)

    @property
    def changed(self) -> int:
        """How many attempts would be judged otherwise."""
        return self.shifts.total()

    def as_lines(self) -> Iterator[str]:
        """Yield a summary and a line for each kind of change, the largest first."""
        yield f"{self.attempts} recorded attempts, {self.changed} would be judged otherwise"
        if self.unplaced:
            yield f"{self.unplaced} were not judged: their network or device is in neither policy"
        for shift, count in self._ordered():
            words = "blocked → allowed" if shift.verdict is Verdict.ALLOW else "allowed → blocked"
            yield f"{shift.network}: {shift.service}: {words}: {count}"

    def as_mapping(self) -> dict[str, Any]:
        """Return the outcome as plain data."""
        return {
            "attempts": self.attempts,
            "unplaced": self.unplaced,
            "changed": self.changed,
            "changes": [
                {
                    "network": shift.network,
                    "service": shift.service,
                    "to": shift.verdict.value,
                    "count": count,
                }
                for shift, count in self._ordered()
            ],
        }

    def _ordered(self) -> list[tuple[Shift, int]]:
        return sorted(self.shifts.items(), key=lambda item: (-item[1], item[0].network, item[0].service))


def read_records(lines: Iterable[str]) -> Iterator[Recorded]:
    """Read recorded attempts, one JSON object a line; empty lines do not count.

    Raises:
        InvalidRecord: a line is no recorded attempt.

    """
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield _record(json.loads(line))
            except json.JSONDecodeError as error:
                raise InvalidRecord(f"line {number}: not JSON: {error.msg.lower()}") from None
            except ValueError as error:
                raise InvalidRecord(f"line {number}: {error}") from None


def _record(value: Any) -> Recorded:
    if not isinstance(value, dict):
        raise ValueError('a recorded attempt is an object such as {"at": …, "network": …, "host": …}')  # noqa: TRY004 - a bad line, not a bad call
    for key in ("at", "network", "host"):
        if not isinstance(value.get(key), str):
            raise ValueError(f"`{key}` is missing or no text")  # noqa: TRY004 - a bad line, not a bad call
    for key in ("device", "path"):
        if not isinstance(value.get(key), str | None):
            raise ValueError(f"`{key}` is no text")  # noqa: TRY004 - likewise
    try:
        at = datetime.fromisoformat(value["at"])
    except ValueError:
        raise ValueError(f"`at`: {value['at']!r} is no instant such as 2026-11-23T10:15:00Z") from None
    if at.tzinfo is None:
        raise ValueError("`at` needs an offset, such as the Z of 2026-11-23T10:15:00Z")
    return Recorded(at, value["network"], value["host"], value.get("device"), value.get("path"))


def replay(old: Policy, new: Policy, records: Iterable[Recorded]) -> Replay:
    """Judge recorded attempts by two policies.

    A record names a network and perhaps a device, no address; the widest range that the old policy calls so (or the
    new one, where the old does not know the name) stands for it.
    """
    engines = Engine(old), Engine(new)
    addresses = _addresses(groups_of((old, new)))
    result = Replay()
    for record in records:
        result.attempts += 1
        address = addresses.get((record.network, record.device)) or addresses.get((record.network, None))
        if address is None:
            result.unplaced += 1
            continue
        attempt = Attempt(address, record.host, record.at, record.path)
        before, after = (engine.decide(attempt) for engine in engines)
        if before.verdict is not after.verdict:
            service = after.service or before.service or OTHER_SITES
            result.shifts[Shift(record.network, service, after.verdict)] += 1
    return result


def _addresses(groups: Iterable[Group]) -> dict[tuple[str, str | None], str]:
    """Map what records are called by to an address; groups come widest first, the old policy's names before the new's."""
    found: dict[tuple[str, str | None], str] = {}
    ordered = list(groups)
    for number in (0, 1):
        for group in ordered:
            client = group.clients[number]
            found.setdefault((client.network, client.devices[0] if client.devices else None), group.address)
            for device in client.devices:
                found.setdefault((client.network, device), group.address)
    return found
