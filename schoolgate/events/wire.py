"""The wire form of events: several of them as one JSON array in one datagram, `[version, [kind, field, …], …]`."""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import batched

from schoolgate_policy.errors import SchoolgateError
from schoolgate_policy.event import Bell, Event, Fault, Probed, Sighting, Visit

VERSION = 1
LONGEST = 64 * 1024  # bytes of a datagram; the kernel takes three times as much
_KINDS: dict[str, type[Visit | Sighting | Bell | Fault | Probed]] = {
    "v": Visit,
    "s": Sighting,
    "b": Bell,
    "f": Fault,
    "p": Probed,
}
_LETTERS = {kind: letter for letter, kind in _KINDS.items()}
_AT_ONCE = 50  # events a datagram begins with
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


class BadDatagram(SchoolgateError):  # noqa: N818 - reads as what it is
    """What came is no datagram of ours, or of another version."""


def encode(events: Iterable[Event]) -> Iterator[bytes]:
    """Yield datagrams that hold all events, each no longer than `LONGEST`; an event that is too long is left out.

    Events are taken as the datagrams are, so that many need not be there at once.
    """
    for some in batched(events, _AT_ONCE):
        yield from _fit(some)


def _fit(events: Sequence[Event]) -> Iterator[bytes]:
    data = _encode([VERSION, *((_LETTERS[type(one)], *one) for one in events)]).encode("utf-8", "replace")
    if len(data) <= LONGEST:
        yield data
    elif len(events) > 1:
        middle = len(events) // 2
        yield from _fit(events[:middle])
        yield from _fit(events[middle:])


def decode(data: bytes) -> list[Event]:
    """Return the events of a datagram, in their order.

    Raises:
        BadDatagram: it is not what `encode` makes.

    """
    try:
        version, *rows = json.loads(data)
        if version != VERSION:
            raise BadDatagram(f"version {version} of the events is not known here; {VERSION} is")
        events: list[Event] = [_KINDS[row[0]](*row[1:]) for row in rows]
    except (ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
        raise BadDatagram(f"no events: {type(error).__name__}") from None
    if not all(map(_is_sound, events)):
        raise BadDatagram("a field is not what it should be")
    return events


def _is_sound(event: Event) -> bool:
    """Whether each field has its type; the socket is ours alone, so this guards against mistakes, not malice."""
    times = getattr(event, "times", 1)
    return (
        type(event[0]) is float
        and type(times) is int
        and times > 0
        and all(type(field) is str for field in (event[1:-1] if len(event) != 4 else event[1:]))
    )
