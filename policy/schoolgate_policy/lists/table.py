"""Sorted 64-bit hashes with an index of buckets: a set of millions that costs 10 bytes a member and no loading.

Two members are taken for one another with a chance of n / 2^64 for each question: 3 in 10^13 at five million.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate, repeat

from xxhash import xxh3_64_intdigest

SEED = 0x5C_4001_6A7E  # part of the file format: every process must hash alike
_PARTS_BITS = 10
_PARTS = 1 << _PARTS_BITS
_HASH_BITS = 64


class TooManyMembers(ValueError):  # noqa: N818
    """More members than a set may have."""


@dataclass(frozen=True, slots=True)
class Table:
    """A set of hashes. Those of bucket b stand in `hashes[index[b]:index[b + 1]]`, and b is a hash's first bits."""

    index: memoryview  # of unsigned 32-bit numbers
    hashes: memoryview  # of unsigned 64-bit numbers
    shift: int

    def __contains__(self, value: int) -> bool:
        bucket = value >> self.shift
        end = self.index[bucket + 1]
        place = bisect_left(self.hashes, value, self.index[bucket], end)
        return place < end and self.hashes[place] == value

    def __len__(self) -> int:
        return len(self.hashes)


class Gatherer:
    """Takes members and puts them in order; holds about 9 bytes for each."""

    def __init__(self, most: int) -> None:
        self._parts = [array("Q") for _ in range(_PARTS)]
        self._most = most
        self.taken = 0

    def add(self, members: Iterable[bytes]) -> None:
        """Take some members.

        Raises:
            TooManyMembers: there are more than the set may have, duplicates counted.

        """
        parts = self._parts
        shift = _HASH_BITS - _PARTS_BITS
        count = self.taken
        for value in map(xxh3_64_intdigest, members, repeat(SEED)):
            parts[value >> shift].append(value)
            count += 1
        self.taken = count
        if count > self._most:
            raise TooManyMembers(f"more than {self._most:,} entries")

    def table(self, without: frozenset[int] = frozenset()) -> tuple[Table, int]:
        """Return the set, and how many members of `without` were left out; the gatherer is empty afterwards."""
        hashes = array("Q")
        dropped = 0
        for number, part in enumerate(self._parts):
            members = set(part)
            self._parts[number] = array("Q")
            found = members & without
            dropped += len(found)
            hashes.extend(sorted(members - found if found else members))
        shift = _HASH_BITS - max(1, len(hashes).bit_length() - 2)
        counts = array("I", bytes(4 * ((1 << (_HASH_BITS - shift)) + 1)))
        for value in hashes:
            counts[(value >> shift) + 1] += 1
        index = array("I", accumulate(counts))
        return Table(memoryview(index), memoryview(hashes), shift), dropped


def digest(member: bytes) -> int:
    """Return the hash of one member."""
    return xxh3_64_intdigest(member, SEED)


def table_of(buffer: memoryview, shift: int, count: int) -> Table:
    """Read a set from the bytes of its index followed by its hashes; `buffer` starts at a multiple of 8."""
    end = index_bytes(shift)
    return Table(
        buffer[: 4 * ((1 << (_HASH_BITS - shift)) + 1)].cast("I"),
        buffer[end : end + 8 * count].cast("Q"),
        shift,
    )


def index_bytes(shift: int) -> int:
    """Return the size of an index, filled up to a multiple of 8."""
    return -(-4 * ((1 << (_HASH_BITS - shift)) + 1) // 8) * 8


def bytes_of(table: Table) -> Iterable[memoryview | bytes]:
    """Return the bytes of a set as `table_of` reads them."""
    index = table.index.cast("B")
    return index, bytes(index_bytes(table.shift) - len(index)), table.hashes.cast("B")
