"""Compiles a list; as a program of its own, so that neither its work nor its memory burden whoever filters.

`python -m schoolgate_policy.lists.compiler` reads one order as JSON from standard input and answers in JSON.
"""

import json
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from publicsuffixlist import PSLFILE

from schoolgate_policy.lists.compiled import write
from schoolgate_policy.lists.gather import Gathered
from schoolgate_policy.lists.hostset import NameSet
from schoolgate_policy.lists.spec import Counts, Format, ListRefused
from schoolgate_policy.lists.table import digest as hash_of
from schoolgate_policy.lists.unpack import parts

_NICE = 10


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be compiled, and where to."""

    source: str
    target: str
    format: str | None
    locked: bool
    digest: str


def compile_list(order: Order) -> tuple[Counts, NameSet | None]:
    """Read a list and write its compiled file; return what was counted, and the names themselves if they are few.

    Raises:
        ListRefused: it is no usable list; OSError where a file cannot be read or written.

    """
    kind = Format(order.format) if order.format else None
    gathered = Gathered(kind, quiet=order.locked, with_pages=order.locked)
    for part in parts(Path(order.source)):
        gathered.read(part.stream, ut1=part.ut1)
    wide = _public_suffixes()
    names, too_wide = gathered.names.table(frozenset(hash_of(name.encode()) for name in wide))
    pages, _ = gathered.pages.table()
    counts = gathered.counts(len(names), too_wide)
    write(Path(order.target), names, pages, counts, order.digest)
    return counts, NameSet(gathered.small - wide) if gathered.small is not None else None


@cache
def _public_suffixes() -> frozenset[str]:
    """Return the suffixes under which registries sell names, which no list can mean: `uk`, `co.uk`."""
    found = set()
    with Path(PSLFILE).open(encoding="utf-8") as file:
        for line in file:
            if "BEGIN PRIVATE DOMAINS" in line:
                break
            name = line.strip()
            if name.isascii() and name and not name.startswith(("//", "*", "!")):
                found.add(name)
    found.discard("onion")  # no registry sells names there; a list may well mean all of it
    return frozenset(found)


def main() -> None:
    """Carry out one order."""
    with suppress(PermissionError):  # a service whose calls are filtered may not even step back
        os.nice(_NICE)
    order = Order(**json.load(sys.stdin))
    try:
        compile_list(order)
        answer = {}
    except ListRefused as error:
        answer = {"refused": str(error)}
    except OSError as error:
        answer = {"unreadable": error.strerror or type(error).__name__}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
