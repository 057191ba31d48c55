"""Whether zones changed, told from one look through the two files of names that they were made of."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from schoolgate_dns.rpz.acts import OPEN, PASS
from schoolgate_dns.rpz.names_file import read_names
from schoolgate_dns.rpz.zone import Version

type _Line = tuple[bytes, int, int]  # key, look, the look of the name above it


@dataclass(slots=True)
class NamesDiff:
    """What became of the looks of one file in another; few values stand for millions of names."""

    kept: set[tuple[int, int]] = field(default_factory=set)  # looks of the same name in both
    gone: set[tuple[int, int]] = field(
        default_factory=set
    )  # looks of names of the old file, and of those above
    come: set[tuple[int, int]] = field(default_factory=set)

    def leaves_as_it_is(self, old: Version, new: Version) -> bool:
        """Whether a zone says the same as before; False may be said of a zone that does."""
        return (
            (old.pages, old.ttl, old.acts[0].below) == (new.pages, new.ttl, new.acts[0].below)
            and all(old.acts[one] == new.acts[other] for one, other in self.kept)
            and all(_adds_nothing(old, *pair) for pair in self.gone)
            and all(_adds_nothing(new, *pair) for pair in self.come)
        )


def diff_names(folder: Path, old: str, new: str) -> NamesDiff:
    """Compare two files of names."""
    found = NamesDiff()
    if old == new:
        found.kept.update((look, look) for look in {look for _, look in read_names(folder / new)})
        return found
    ours, theirs = _lines(folder / new), _lines(folder / old)
    one, other = next(ours, None), next(theirs, None)
    while one is not None or other is not None:
        if other is None or (one is not None and one[0] < other[0]):
            found.come.add(one[1:] if one else (0, 0))
            one = next(ours, None)
        elif one is None or other[0] < one[0]:
            found.gone.add(other[1:])
            other = next(theirs, None)
        else:
            found.kept.add((other[1], one[1]))
            one, other = next(ours, None), next(theirs, None)
    return found


def _lines(path: Path) -> Iterator[_Line]:
    above: list[tuple[bytes, int]] = []
    for key, look in read_names(path):
        while above and not key.startswith(above[-1][0]):
            above.pop()
        yield key, look, above[-1][1] if above else 0
        above.append((key + b" ", look))


def _adds_nothing(version: Version, look: int, parent: int) -> bool:
    """Whether a name gets what it would get without being there."""
    over = version.acts[parent].below
    return all(act == over or (act == PASS and over == OPEN) for act in version.acts[look])
