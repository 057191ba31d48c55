"""Sets of hosts and pages, small and large; each name covers all below it."""

from bisect import bisect_left
from collections.abc import Iterable

from xxhash import xxh3_64_intdigest

from schoolgate_policy.errors import InvalidPath
from schoolgate_policy.lists import pages
from schoolgate_policy.lists.table import SEED, Table, digest
from schoolgate_policy.names import suffixes


class NameSet:
    """A small set of names, as they are."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)

    def covers(self, host: str) -> bool:
        """Whether the canonical host, or any name above it, is listed."""
        names = self._names
        return any(name in names for name in suffixes(host))

    def __len__(self) -> int:
        return len(self._names)


class _Recent:
    """The hashes of the name that was asked for last: one verdict asks every list for the same name."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: tuple[str, list[int]] = ("", [])

    def digests(self, host: str) -> list[int]:
        """Return the hashes of a name and all above it, longest first."""
        known, found = self._last  # one attribute, so that threads see either pair whole
        if known == host:
            return found
        found = []
        name = host.encode()
        while name:
            found.append(xxh3_64_intdigest(name, SEED))
            name = name.partition(b".")[2]
        self._last = host, found
        return found


_digests = _Recent().digests


class HashedSet:
    """A set of millions of names, of which only the hashes are kept."""

    def __init__(self, table: Table, *, single_labels: bool = True) -> None:
        self._table = table
        self._asked = (
            slice(None, None, -1) if single_labels else slice(-2, None, -1)
        )  # shortest first; no list means all of `com`
        self._index, self._hashes, self._shift = table.index, table.hashes, table.shift

    def covers(self, host: str) -> bool:
        """Whether the canonical host, or any name above it, is listed (or, once in 10^12 questions, seems to be)."""
        index, hashes, shift = self._index, self._hashes, self._shift
        for value in _digests(host)[self._asked]:
            bucket = value >> shift
            end = index[bucket + 1]
            place = bisect_left(hashes, value, index[bucket], end)
            if place < end and hashes[place] == value:
                return True
        return False

    def __len__(self) -> int:
        return len(self._table)


class Pages:
    """A set of pages, of which only the hashes are kept."""

    def __init__(self, table: Table, count: int) -> None:
        self._table = table
        self._count = count

    def below(self, host: str) -> bool:
        """Whether some page of the canonical host, or of a name above it, is listed."""
        return any(digest(pages.host_key(owner)) in self._table for owner in suffixes(host))

    def covers(self, host: str, path: str) -> bool:
        """Whether a raw path of the host is a listed page, lies below one, or cannot be told from one."""
        owners = [owner for owner in suffixes(host) if digest(pages.host_key(owner)) in self._table]
        try:
            return any(self._listed(owner, path) for owner in owners)
        except InvalidPath:
            return True

    def _listed(self, owner: str, path: str) -> bool:
        if any(digest(key) in self._table for key in pages.keys_to_ask(owner, path)):
            return True
        if digest(pages.query_key(owner, path)) not in self._table:
            return False
        asked = pages.queries_to_ask(owner, path)
        return asked is None or any(digest(key) in self._table for key in asked)

    def __len__(self) -> int:
        return self._count
