"""One version of one zone: the names in a file and the acts on their looks; and what differs between two versions."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from schoolgate_dns.rpz.acts import NOTHING, OPEN, PASS, Acts
from schoolgate_dns.rpz.names_file import read_names

_ROOT = b""


class Node(NamedTuple):
    """A name in a zone, and what is said of it and of all below it; None where nothing needs to be said."""

    key: bytes
    exact: str | None
    below: str | None


@dataclass(frozen=True, slots=True)
class Version:
    """A zone as it was from one moment on. `acts` are by look; `pages` are the block page's addresses."""

    serial: int
    names: str  # the file
    acts: tuple[Acts, ...]
    pages: tuple[str, ...]
    ttl: int

    def nodes(self, folder: Path) -> Iterator[Node]:
        """Yield what the zone says, every name before all below it; memory does not grow with the zone.

        A name that gets what all below the one above it get is left out, unless something below it is said: it would
        hide the wildcard above (RFC 4592 section 2.2.2).
        """
        everywhere = self.acts[0].below
        if everywhere != PASS:
            yield Node(_ROOT, None, everywhere)
        above: list[_Above] = []
        root = _Above(b"", everywhere if everywhere != PASS else None)
        for key, look in read_names(folder / self.names):
            while above and not key.startswith(above[-1].prefix):
                above.pop()
            over = (above[-1] if above else root).below
            node, below = _said(key, self.acts[look], over)
            held = over is not None and node is not None and node.exact == node.below == over
            if node is not None and not held:
                for one in above:
                    if one.held is not None:
                        yield one.held
                        one.held = None
                yield node
            above.append(_Above(key + b" ", below, node if held else None))


@dataclass(slots=True)
class _Above:
    """A name that others lie below, what they get by it (None: nothing is said), and what is held back of it."""

    prefix: bytes
    below: str | None
    held: Node | None = None


def _said(key: bytes, acts: Acts, over: str | None) -> tuple[Node | None, str | None]:
    """Return what is said of a name, and what those below it get; `over` is what it gets from above."""
    if over is not None:
        exact, below = (OPEN if act == PASS else act for act in acts)
        return Node(key, exact, below), below
    if acts == NOTHING:
        return None, None
    said = tuple(None if act == PASS else act for act in acts)
    return Node(key, *said), said[1]


class Change(NamedTuple):
    """A name of which two versions say something different; None where one says nothing."""

    old: Node | None
    new: Node | None


def changes(folder: Path, old: Version, new: Version) -> Iterator[Change]:
    """Yield what differs, in the order of the names."""
    same_words = old.pages == new.pages and old.ttl == new.ttl
    if same_words and old.names == new.names and old.acts == new.acts:
        return
    ours, theirs = new.nodes(folder), old.nodes(folder)
    one, other = next(ours, None), next(theirs, None)
    while one is not None or other is not None:
        if other is None or (one is not None and one.key < other.key):
            yield Change(None, one)
            one = next(ours, None)
        elif one is None or other.key < one.key:
            yield Change(other, None)
            other = next(theirs, None)
        else:
            if one != other or not same_words:
                yield Change(other, one)
            one, other = next(ours, None), next(theirs, None)
