"""Zone transfers: the messages of an AXFR (RFC 5936) or IXFR (RFC 1995), made one by one as they are sent."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from schoolgate_dns.rpz.records import Writer, name_server, soa
from schoolgate_dns.rpz.zone import Change, Version, changes
from schoolgate_dns.wire import AA, HEADER, QR, RD

_SMALL = 10_000  # names
_REMEMBERED = 64
_FULL = 16_000  # octets of records in a message; with question, OPT and TSIG far below what TCP carries


def whole(version: Version, folder: Path) -> Iterator[bytes]:
    """Yield the records of a whole zone, between its SOA record twice."""
    writer = Writer(version)
    start = soa(version.serial, version.ttl)
    yield start
    yield name_server(version.ttl)
    for node in version.nodes(folder):
        yield from writer.records(node)
    yield start


class Differences:
    """Tells versions of zones apart; small differences are remembered for the next secondary that asks."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._small: OrderedDict[tuple[Version, Version], tuple[Change, ...]] = OrderedDict()

    def records(self, old: Version, new: Version) -> Iterator[bytes]:
        """Yield what became of one version in another, as one step (RFC 1995 section 4 and 5)."""
        before, after = Writer(old), Writer(new)
        start = soa(new.serial, new.ttl)
        yield start
        yield soa(old.serial, old.ttl)
        for change in self._changes(old, new):
            if change.old is not None:
                yield from before.records(change.old)
        yield start
        for change in self._changes(old, new):
            if change.new is not None:
                yield from after.records(change.new)
        yield start

    def _changes(self, old: Version, new: Version) -> Iterator[Change]:
        known = self._small.get((old, new))
        if known is not None:
            yield from known
            return
        held: list[Change] = []
        for change in changes(self._folder, old, new):
            if len(held) < _SMALL:
                held.append(change)
            yield change
        if len(held) < _SMALL:
            self._small[old, new] = tuple(held)
            if len(self._small) > _REMEMBERED:
                self._small.popitem(last=False)


def messages(ident: int, flags: int, question: bytes, records: Iterable[bytes]) -> Iterator[bytes]:
    """Yield records as messages that each fit, all with the question, which the names in them point to."""
    held: list[bytes] = []
    size = 0
    for record in chain(records, (b"",)):
        if held and (size >= _FULL or not record):
            yield answer(ident, flags, question, held)
            held, size = [], 0
        held.append(record)
        size += len(record)


def answer(ident: int, flags: int, question: bytes, records: list[bytes]) -> bytes:
    """Return a message with some answers."""
    head = HEADER.pack(ident, QR | AA | (flags & RD), 1, len(records), 0, 0)
    return b"".join((head, question, *records))
