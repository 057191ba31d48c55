"""Numbers that may be shown: what is so small that somebody could be known by it is put together or left out. Pure.

A count of one to four is *small*. Small counts go into one row for the rest, with the next larger ones until the rest is not
small itself, so that no small count can be worked out from the others and their total, and rows and rest still add up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LEAST = 5
FEW = f"fewer than {LEAST}"
HIDDEN = "not shown"


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts by name, most first, with what was put together; `total` None: some, but fewer than `LEAST`."""

    total: int | None
    rows: tuple[tuple[str, int], ...] = ()
    rest: int = 0
    rest_of: int = 0  # how many names the rest stands for

    @property
    def is_nothing(self) -> bool:
        """Whether there was nothing to count."""
        return self.total == 0


def tally(counts: Mapping[str, int], least: int = LEAST) -> Tally:
    """Return what may be shown of some counts."""
    found = sorted(((name, count) for name, count in counts.items() if count > 0), key=_fewest_first)
    total = sum(count for _, count in found)
    if 0 < total < least:
        return Tally(None)
    rest = rest_of = 0
    while found and (found[0][1] < least or 0 < rest < least):
        rest, rest_of = rest + found.pop(0)[1], rest_of + 1
    return Tally(total, tuple(reversed(found)), rest, rest_of)


def series(counts: Sequence[tuple[str, int]], least: int = LEAST) -> tuple[tuple[str, int | None], ...]:
    """Return counts in their order, None for those that are left out; never only one, so that no total tells it."""
    small = {number for number, (_, count) in enumerate(counts) if 0 < count < least}
    larger = [
        number for _, number in sorted((count, n) for n, (_, count) in enumerate(counts) if count >= least)
    ]
    while small and larger and (len(small) < 2 or sum(counts[number][1] for number in small) < least):
        small.add(larger.pop(0))
    return tuple((name, None if n in small else count) for n, (name, count) in enumerate(counts))


def shown(count: int | None) -> str:
    """Write a count as it may be shown."""
    return FEW if count is None else f"{count:,}"


def few(count: int, least: int = LEAST) -> int | None:
    """Return a count that stands alone, None where it is small."""
    return None if 0 < count < least else count


def _fewest_first(item: tuple[str, int]) -> tuple[int, str]:
    return item[1], item[0]
