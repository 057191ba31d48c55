"""A bounded memory of upstream's truth; it never knows who asked."""

from collections import OrderedDict
from dataclasses import dataclass

from schoolgate_dns.answer import Answer, denied_below
from schoolgate_dns.query import Query

type Key = tuple[
    bytes, int, bool, bool
]  # name in lower-case wire form, type, DNSSEC wanted, checking disabled

_EVERYTHING_BELOW = -1  # in place of a type: what is said of a name and all names below it
_ENTRY_OVERHEAD = 900  # octets of Python objects around one answer, roughly


def key_of(query: Query) -> Key:
    """Return what tells one question to upstream from another."""
    return query.name, query.qtype, query.dnssec_ok, query.checking_disabled


@dataclass(slots=True)
class _Entry:
    answer: Answer
    stored: int
    expires: int
    size: int


@dataclass(frozen=True, slots=True)
class Found:
    """An answer: when it was stored, its age, and whether its time is over (seconds)."""

    answer: Answer
    stored: int
    age: int
    stale: bool

    @property
    def expires(self) -> int:
        """The first second in which the answer is stale."""
        return self.stored + self.answer.lifetime


class Cache:
    """Answers by question, the least recently used forgotten first; times are whole seconds."""

    def __init__(self, entries: int, octets: int, stale_seconds: int = 0) -> None:
        self._limit = entries
        self._room = octets
        self._stale_seconds = stale_seconds
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, query: Query, now: int) -> Found | None:
        """Return what is known about the question, fresh before stale."""
        key = key_of(query)
        if not self._entries:
            return None
        exact = self._look(key, now)
        if exact is not None and not exact.stale:
            return exact
        # RFC 8020. Not where proofs are wanted: those of a name do not prove the names below it.
        if not query.dnssec_ok:
            denied = self._look_above(query, now)
            if denied is not None:
                return denied
        return exact

    def _look_above(self, query: Query, now: int) -> Found | None:
        name = query.name
        while len(name) > 1:
            found = self._look((name, _EVERYTHING_BELOW, False, query.checking_disabled), now)
            if found is not None and not found.stale:
                return found
            name = name[name[0] + 1 :]
        return None

    def _look(self, key: Key, now: int) -> Found | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        if now >= entry.expires + self._stale_seconds:
            self._forget(key)
            return None
        self._entries.move_to_end(key)
        return Found(entry.answer, entry.stored, now - entry.stored, now >= entry.expires)

    def put(self, query: Query, answer: Answer, now: int) -> None:
        """Remember an answer for its lifetime; one without a lifetime is not kept."""
        if answer.lifetime <= 0:
            return
        key = key_of(query)
        self._store(key, answer, now)
        if answer.denial and not query.dnssec_ok:
            self._store((query.name, _EVERYTHING_BELOW, False, key[3]), denied_below(answer), now)
        while self._entries and (self._room < 0 or len(self._entries) > self._limit):
            self._forget(next(iter(self._entries)))

    def _store(self, key: Key, answer: Answer, now: int) -> None:
        self._forget(key)
        size = len(answer.body.data) + len(answer.denial) + _ENTRY_OVERHEAD
        self._entries[key] = _Entry(answer, now, now + answer.lifetime, size)
        self._room -= size

    def _forget(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._room += entry.size
