"""The names that zones are made of, in a file: sorted so that every name stands before all below it, each with its look.

A line is the labels of a name from the right, a space between them, then a tab and the number of its look:
`com facebook www⇥12`. Millions of names are sorted in pieces on disk, so that memory does not grow with them.
"""

import heapq
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import IO

from schoolgate_dns.rpz.acts import STRANGER, Look, Looks

_PIECE = 200_000  # names sorted in memory at a time: about 30 MB
_LONGEST_KEY = 240  # octets; with the zone's own name behind it a longer one would be none

type Tell = Callable[[list[bytes]], None]
type Source = Callable[[Tell], None]


def key_of(name: bytes) -> bytes:
    """Return a canonical name as it is sorted."""
    return b" ".join(reversed(name.split(b".")))


def name_of(key: bytes) -> str:
    """Return the name of a key."""
    return ".".join(reversed(key.decode("ascii").split(" ")))


class _Sorter:
    """Takes names in any order and gives them back sorted, each once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: set[bytes] = set()
        self._pieces: list[Path] = []
        self.too_long = 0

    def add(self, names: Iterable[bytes]) -> None:
        """Take some names."""
        for name in names:
            if len(name) > _LONGEST_KEY:
                self.too_long += 1
            else:
                self._held.add(key_of(name))
        if len(self._held) >= _PIECE:
            self._put_down()

    def _put_down(self) -> None:
        path = self._folder / f"piece-{len(self._pieces)}"
        with path.open("wb") as file:
            file.writelines(key + b"\n" for key in sorted(self._held))
        self._pieces.append(path)
        self._held = set()

    def keys(self, stack: ExitStack) -> Iterator[bytes]:
        """Yield all names; the files stay open as long as `stack`."""
        held = iter([key + b"\n" for key in sorted(self._held)])
        files: list[Iterable[bytes]] = [stack.enter_context(path.open("rb")) for path in self._pieces]
        last = b""
        for line in heapq.merge(held, *files):
            if line != last:
                yield line[:-1]
                last = line


class Numbered:
    """Numbers looks in the order in which they are met; number 0 is that of every name nothing speaks of."""

    def __init__(self, looks: Looks) -> None:
        self._looks = looks
        self._numbers: dict[Look, int] = {looks.look(STRANGER): 0}
        self.examples = [STRANGER]

    def number(self, host: str) -> int:
        """Return the number of a host's look."""
        look = self._looks.look(host)
        known = self._numbers.get(look)
        if known is None:
            known = self._numbers[look] = len(self.examples)
            self.examples.append(host)
        return known


def write_names(folder: Path, looks: Looks, sources: Iterable[Source]) -> tuple[str, tuple[str, ...]]:
    """Write the file of all names; return its name and an example of each look.

    Names that are judged as the one above them are left out, those between two that stay are put in: in a zone of
    DNS a name that is only part of a longer one hides what stands for all names (RFC 4592 section 2.2.2).
    """
    numbered = Numbered(looks)
    with ExitStack() as stack:
        aside = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder, prefix=".names-")))
        sorter = _Sorter(aside)
        sorter.add(name.encode() for name in looks.names())
        for source in sources:
            source(sorter.add)
        beside = aside / "names"
        with beside.open("wb") as file:
            digest = _write(file, sorter.keys(stack), numbered)
        name = f"names-{digest}"
        beside.chmod(0o600)
        os.replace(beside, folder / name)  # noqa: PTH105 - atomic, and says so
    return name, tuple(numbered.examples)


def _write(file: IO[bytes], keys: Iterator[bytes], numbered: Numbered) -> str:
    """Write the names that are needed."""
    digest = sha256()
    above: list[tuple[bytes, int]] = []  # the names in the file that this one lies below
    for key in keys:
        while above and not key.startswith(above[-1][0] + b" "):
            above.pop()
        look = numbered.number(name_of(key))
        over, parent = above[-1] if above else (b"", 0)
        if look == parent:
            continue
        for between in _between(over, key):
            above.append((between, parent))
            _put(file, digest.update, between, parent)
        above.append((key, look))
        _put(file, digest.update, key, look)
    return digest.hexdigest()[:24]


def _put(file: IO[bytes], update: Callable[[bytes], None], key: bytes, look: int) -> None:
    line = b"%b\t%d\n" % (key, look)
    update(line)
    file.write(line)


def _between(over: bytes, key: bytes) -> Iterator[bytes]:
    """Yield the keys strictly between one and another below it."""
    at = len(over) + 1 if over else 0
    while (at := key.find(b" ", at)) >= 0:
        yield key[:at]
        at += 1


def read_names(path: Path) -> Iterator[tuple[bytes, int]]:
    """Yield the keys of a file and their looks."""
    with path.open("rb") as file:
        for line in file:
            key, _, look = line.partition(b"\t")
            yield key, int(look)
