"""A bounded memory of upstream's truth; it never knows who asked.

Answers are kept in one piece of bytes each: as the objects they are made of, fifty thousand would take 45 MB, like
this they take 15. Plain answers, which most are, are shorter still, and made without an `Answer` in between.
"""

import marshal
import struct
from dataclasses import dataclass
from itertools import islice

from schoolgate_dns.answer import Answer, denied_below
from schoolgate_dns.plain import Plain, ttls_of
from schoolgate_dns.query import Query
from schoolgate_dns.reply import Body, Ede

type Key = bytes  # name in lower-case wire form, type, and whether DNSSEC is wanted and checking disabled

_ENTRY_OVERHEAD = 220  # octets of memory around one answer and its key, roughly
_FLAGS = (b"\0", b"\1", b"\2", b"\3")
_PLAIN = struct.Struct("=cBII")  # a mark that marshal never begins with, records, stored, lifetime
_MARK = b"\0"
_BELOW = (b"\xff\xff\0", b"\xff\xff\2")  # in place of type and flags: what is said of all names below a name


def key_of(query: Query) -> Key:
    """Return what tells one question to upstream from another."""
    return query.name + query.qtype.to_bytes(2) + _FLAGS[query.dnssec_ok + 2 * query.checking_disabled]


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
        self.entries: dict[Key, bytes] = {}  # the least recently used first
        self._denials = 0  # entries that speak of names below

    def __len__(self) -> int:
        return len(self.entries)

    def get(self, query: Query, now: int) -> Found | None:
        """Return what is known about the question, fresh before stale."""
        exact = self._look(key_of(query), now)
        if exact is not None and not exact.stale:
            return exact
        # RFC 8020. Not where proofs are wanted: those of a name do not prove the names below it.
        if self._denials and not query.dnssec_ok:
            denied = self._look_above(query, now)
            if denied is not None:
                return denied
        return exact

    def _look_above(self, query: Query, now: int) -> Found | None:
        name, below = query.name, _BELOW[query.checking_disabled]
        while len(name) > 1:
            found = self._look(name + below, now)
            if found is not None and not found.stale:
                return found
            name = name[name[0] + 1 :]
        return None

    def _look(self, key: Key, now: int) -> Found | None:
        packed = self.entries.get(key)
        if packed is None:
            return None
        stored, answer = _unpack(packed)
        expires = stored + answer.lifetime
        if now >= expires + self._stale_seconds:
            self._forget(key)
            return None
        self.entries[key] = self.entries.pop(key)
        return Found(answer, stored, now - stored, now >= expires)

    def denies(self, name: bytes) -> bool:
        """Whether something may be remembered of all names below one above this name (wire form, lower case)."""
        if not self._denials:
            return False
        entries = self.entries
        while len(name) > 1:
            if name + _BELOW[0] in entries or name + _BELOW[1] in entries:
                return True
            name = name[name[0] + 1 :]
        return False

    def put_plain(self, key: Key, plain: Plain, lifetime: int, now: int) -> None:
        """Remember a plain answer, nobody having vouched for it, for a lifetime."""
        if lifetime > 0:
            data, count, _, _ = plain
            self._keep(key, _PLAIN.pack(_MARK, count, now, lifetime) + data)
            self._shrink()

    def put(self, query: Query, answer: Answer, now: int) -> None:
        """Remember an answer for its lifetime; one without a lifetime is not kept."""
        if answer.lifetime <= 0:
            return
        self._store(key_of(query), answer, now)
        if answer.denial and not query.dnssec_ok:
            self._store(query.name + _BELOW[query.checking_disabled], denied_below(answer), now)
        self._shrink()

    def _shrink(self) -> None:
        # Many at once: to find the first key of a dict whose first ones were taken out takes ever longer.
        while len(self.entries) > self._limit or (self._room < 0 and self.entries):
            for key in list(islice(self.entries, len(self.entries) // 16 + 1)):
                self._forget(key)

    def _store(self, key: Key, answer: Answer, now: int) -> None:
        self._keep(key, _pack(now, answer))

    def _keep(self, key: Key, packed: bytes) -> None:
        if key in self.entries:
            self._forget(key)
        self.entries[key] = packed
        self._room -= len(key) + len(packed) + _ENTRY_OVERHEAD
        self._denials += key.endswith(_BELOW)

    def _forget(self, key: Key) -> None:
        packed = self.entries.pop(key, None)
        if packed is not None:
            self._room += len(key) + len(packed) + _ENTRY_OVERHEAD
            self._denials -= key.endswith(_BELOW)


def _pack(stored: int, answer: Answer) -> bytes:
    body = answer.body
    return marshal.dumps(
        (
            stored, int(answer.rcode), body.data, body.answers, body.authorities, body.additionals, answer.ttls,
            answer.lifetime, answer.aliases, answer.authenticated,
            tuple((int(ede.code), ede.text) for ede in answer.edes), answer.rebinding, answer.denial,
        )
    )  # fmt: skip


def _unpack(packed: bytes) -> tuple[int, Answer]:
    if packed.startswith(_MARK):
        _, count, stored, lifetime = _PLAIN.unpack_from(packed)
        data = packed[_PLAIN.size :]
        return stored, Answer(0, Body(data, count), ttls_of(data, count), lifetime)
    (
        stored,
        rcode,
        data,
        answers,
        authorities,
        additionals,
        ttls,
        lifetime,
        aliases,
        sure,
        edes,
        rebinding,
        denial,
    ) = marshal.loads(packed)  # noqa: S302 - our own bytes, never anybody else's
    body = Body(data, answers, authorities, additionals)
    notes = tuple(Ede(code, text) for code, text in edes) if edes else ()
    return stored, Answer(rcode, body, ttls, lifetime, aliases, sure, notes, rebinding, denial)
