"""The fast path: bytes of a question that was answered a moment ago in, the finished answer out, nothing parsed.

Invariants, in the order in which they are easiest to break:

1. The slow path (`Resolver`) makes every answer; this file only gives it again, to the same bytes of question (all
   behind the id: flags, question, EDNS) from clients of the same `Engine.group` to the same address of ours.
2. Only answers for which the resolver filled a `Basis` are kept, and only for questions without EDNS options:
   everything that leaves an event behind, depends on a budget, or was stale or failed, is made afresh each time.
3. `hot` holds an answer as bytes for no longer than the second, by either clock, in which it was made: nothing in an
   answer (TTL, lease, age) changes more often. Each new second empties it.
4. `kept` holds an answer for as long as it is the same but for TTLs: while the cache's answer is fresh, and until a
   decision's edge comes so near that it cuts TTLs. TTLs are counted down as `answer.render` does.
5. Another engine, or a wall clock that steps back, empties everything.
6. What is given is counted: each client's lane notes it, and once a second the notes go to the counters, and to the
   recorder; in a rush to the recorder every few seconds only, as who blocks many names writes a row for each.
7. All tables are bounded: lanes, `kept` answers, and the arena in which `hot` answers lie.
"""

import math
import struct
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from schoolgate_dns.admission import Asker, Later
from schoolgate_dns.batch import address_of, piece
from schoolgate_dns.config import DnsConfig
from schoolgate_dns.lookup import Lookup
from schoolgate_dns.ports import CacheOutcome, DnsCounters, DnsRecorder, Transport
from schoolgate_dns.resolver import Resolver
from schoolgate_dns.reuse import Basis
from schoolgate_dns.wire import Rcode
from schoolgate_policy.decision import Decision, Point
from schoolgate_policy.engine import Engine
from schoolgate_policy.names import IPAddress
from schoolgate_policy.ports import Clock, PolicySource

_ARENA = 4 * 1024 * 1024  # octets of answers given in one second; what is more is made slowly
_RESERVE = 64 * 1232  # octets that one batch may need
_MOST_LANES = 8_192
_FEW, _MANY = 1_000, 50_000  # notes, or answers in a second, that are no rush; notes that are kept at most
_AT_A_TIME = 100  # notes handed in without a pause, so that no query waits for all of them
_RUSH = 5  # seconds for which more than a few notes are kept together
_LONGEST_KEY = 254  # octets behind the id of a question that is worth keeping
_TTL = struct.Struct("!I")
_HEAD = 10  # octets of a header behind its id
_TC = 0x02  # in the first octet behind the id
_RCODES = {rcode.value: rcode.name for rcode in Rcode}


@dataclass(frozen=True, slots=True, eq=False)
class _Told:
    """What to note when an answer is given again."""

    decision: Decision
    outcome: tuple[str, bool]  # response code, and whether it came from the cache


type _Notes = dict[str, dict[_Told, int]]  # client's address, and what it was told so often


@dataclass(slots=True)
class _Kept:
    """An answer without its id that stays the same, but for TTLs, to the end of the wall second `until`."""

    body: bytes
    told: _Told
    until: float
    expires: float = math.inf  # by the cache's clock
    stored: int = 0
    longest: int = 0
    ttls: tuple[tuple[int, int], ...] = ()  # where behind `records`, and how many seconds when it was stored
    records: int = 0

    def at(self, second: int) -> bytes:
        """Return the answer as it is told in a second of the cache's clock."""
        if not self.ttls:
            return self.body
        body, age = bytearray(self.body), second - self.stored
        for offset, ttl in self.ttls:
            _TTL.pack_into(body, self.records + offset, min(max(ttl - age, 0), self.longest))
        return bytes(body)


@dataclass(slots=True)
class _Table:
    """The answers for all clients that are judged alike and wrote to the same address of ours."""

    hot: dict[bytes, bytes] = field(default_factory=dict)  # question to the `piece` of the arena
    kept: dict[bytes, _Kept] = field(default_factory=dict)
    older: dict[bytes, _Kept] = field(
        default_factory=dict
    )  # the generation before: the first to be forgotten


@dataclass(slots=True)
class Lane:
    """One client's way to its table, and the pieces it was given this second."""

    address: str
    local: IPAddress
    table: _Table
    given: list[bytes] = field(default_factory=list)
    closed: bool = False  # for the rest of the second


type Give = Callable[[Later], None]
# Looks into `hot`, notes what was given, and the lane they belong to.
type Entrance = tuple[Callable[[bytes], bytes | None], Callable[[bytes], None], Lane]


class FastPath:
    """The tables of one listener. Every method but `close` is called from one thread, the event loop's."""

    def __init__(
        self,
        config: DnsConfig,
        *,
        source: PolicySource,
        recorder: DnsRecorder,
        counters: DnsCounters,
        clock: Clock,
        lookup: Lookup,
        resolver: Resolver,
    ) -> None:
        self._config = config
        self._source = source
        self._recorder = recorder
        self._counters = counters
        self._clock = clock
        self._lookup = lookup
        self._resolver = resolver
        self.allowance = config.queries_per_second or math.inf  # answers for one client in a second
        self._engine: Engine | None = None
        self._wall = self._second = 0
        self._on_the_second = False
        self._tables: dict[Hashable, _Table] = {}
        self.lanes: dict[bytes, Entrance] = {}
        self._told: dict[bytes, _Told] = {}  # what the pieces in `hot` tell
        self._kept = 0
        self._arena = bytearray(_ARENA)
        self._base = address_of(self._arena)
        self._used = 0
        self._spilt: list[bytearray] = []
        self._notes: _Notes = {}
        self._leaving: Iterator[tuple[str, Decision, int]] | None = (
            None  # notes that are handed in bit by bit
        )
        self._set_out = 0  # second

    def tick(self) -> None:
        """Forget what is no longer so; to be called before each batch, after it was received."""
        engine = self._source.engine
        now = self._clock()
        wall, second = int(now.timestamp()), self._lookup.second()
        self._on_the_second = not now.microsecond
        full = self._used > _ARENA - _RESERVE or self._spilt
        if wall == self._wall and second == self._second and engine is self._engine and not full:
            return
        self.settle()
        if engine is not self._engine or wall < self._wall:
            self._tables.clear()
            self.lanes.clear()
            self._kept = 0
        self._engine, self._wall, self._second = engine, wall, second

    def settle(self) -> None:
        """Count what was given, hand in the notes unless there is a rush, and end the second: `hot` is empty afterwards."""
        answers = 0
        for client, (_, _, lane) in list(self.lanes.items()):
            answers += len(lane.given)
            if lane.given and not self._note(lane):
                self.close(client)
            elif lane.closed:
                del self.lanes[client]  # it opens again with the next question
        for table in self._tables.values():
            table.hot.clear()
        self._told.clear()
        self._spilt.clear()
        self._used = 0
        count = sum(map(len, self._notes.values()))
        waited = self._lookup.second() - self._set_out
        if count >= _MANY:
            self.hand_in_all()
        elif self._leaving is None and (min(count, answers) <= _FEW or waited >= _RUSH):
            self._send_off()
            self.hand_in()

    def _send_off(self) -> None:
        self._set_out = self._lookup.second()
        notes, self._notes = self._notes, {}
        self._leaving = (
            (address, told.decision, times) for address, kept in notes.items() for told, times in kept.items()
        )

    def hand_in(self, most: int | None = _AT_A_TIME) -> bool:
        """Give the recorder some of the notes that are leaving; return whether there may be more."""
        if self._leaving is None:
            return False
        batch = list(islice(self._leaving, most))
        if len(batch) != most:
            self._leaving = None
        if batch:
            self._recorder.repeated(Point.DNS, batch)
        return self._leaving is not None

    def hand_in_all(self) -> None:
        """Give the recorder all notes at once."""
        self.hand_in(None)
        self._send_off()
        self.hand_in(None)

    def _note(self, lane: Lane) -> bool:
        """Count and note what a client was given this second; return whether it may go on like that."""
        outcomes: dict[tuple[str, bool], int] = {}
        notes, tolds, given = self._notes.setdefault(lane.address, {}), self._told, Counter(lane.given)
        for answer, times in given.items():
            told = tolds[answer]
            outcome = told.outcome
            outcomes[outcome] = outcomes.get(outcome, 0) + times
            notes[told] = notes.get(told, 0) + times
        total = len(lane.given)
        lane.given.clear()
        for (rcode, cached), times in outcomes.items():
            self._counters.query(Transport.UDP, rcode, times)
            if cached:
                self._counters.cache(CacheOutcome.HIT, times)
        return self._resolver.admission.charge(lane.address, total, max(given.values()))

    def close(self, client: bytes) -> None:
        """Let the resolver answer a client for a second: it asks more than a client may, and limits are kept there."""
        _, note, lane = self.lanes[client]
        lane.closed = True
        self.lanes[client] = _nothing, note, lane

    def enter(self, client: bytes, address: str, local: IPAddress) -> Entrance:
        """Return the way of a client that has none yet."""
        if len(self.lanes) >= _MOST_LANES:
            self.settle()
            self.lanes.clear()
        group = self._source.engine.group(address), local
        table = self._tables.setdefault(group, _Table())
        lane = Lane(address, local, table)
        entrance = self.lanes[client] = table.hot.get, lane.given.append, lane
        return entrance

    def again(self, key: bytes, lane: Lane) -> bytes | None:
        """Return the piece for a question that `hot` has nothing for but `kept` has; noted as given already."""
        table = lane.table
        kept = table.kept.get(key) or self._from_older(table, key)
        if kept is None or lane.closed or self._wall > kept.until or self._second >= kept.expires:
            return None
        given = self._heat(table, key, kept.at(self._second), kept.told)
        lane.given.append(given)
        return given

    def respond(self, message: bytes, lane: Lane, give: Give) -> bytes | None:
        """Have a message answered by the resolver: the `piece` to send behind its id, good until the next `tick`.

        None where no answer is due, or where it comes later and is given to `give`.
        """
        key, table = message[2:], lane.table
        basis = Basis()
        outcome = self._resolver.handle(message, Asker(lane.address, lane.local, Transport.UDP, basis, give))
        if outcome is None:
            return None
        if not isinstance(outcome, bytes):
            give(outcome)
            return None
        body = outcome[2:]
        if basis.decision is None or len(key) > _LONGEST_KEY or self._source.engine is not self._engine:
            return self._place(body)
        return self._keep(table, key, body, basis, basis.decision)

    def _keep(self, table: _Table, key: bytes, body: bytes, basis: Basis, decision: Decision) -> bytes:
        """Take an answer that may be given again into the tables; return its piece."""
        found, edge = basis.found, basis.edge
        told = _Told(decision, (_RCODES.get(body[1] & 0xF, "OTHER"), found is not None))
        if edge is not None and (edge.microsecond or self._on_the_second):
            return self._place(body)  # what is left until the edge changes within this second
        last = edge.timestamp() - self._config.policy_ttl - 1 if edge is not None else math.inf
        if self._wall <= last and not body[0] & _TC:
            if found is None:
                kept = _Kept(body, told, last)
            else:
                kept = _Kept(
                    body, told, last, found.expires, found.stored, basis.longest, found.answer.ttls,
                    _HEAD + basis.question,
                )  # fmt: skip
            self._remember(table, key, kept)
        return self._heat(table, key, body, told)

    def _remember(self, table: _Table, key: bytes, kept: _Kept) -> None:
        if self._kept >= self._config.fast_entries // 2:
            for each in self._tables.values():
                each.older, each.kept = each.kept, {}
            self._kept = 0
        self._kept += key not in table.kept
        table.kept[key] = kept

    def _from_older(self, table: _Table, key: bytes) -> _Kept | None:
        kept = table.older.pop(key, None)
        if kept is not None:
            self._remember(table, key, kept)
        return kept

    def _heat(self, table: _Table, key: bytes, body: bytes, told: _Told) -> bytes:
        """Put an answer where it is found at once for the rest of the second, unless there is no room left."""
        roomy = self._used + len(body) <= _ARENA
        given = self._place(body)
        self._told[given] = told
        if roomy:
            table.hot[key] = given
        return given

    def _place(self, body: bytes) -> bytes:
        """Lay out an answer where the kernel can read it until the next tick, and return its piece."""
        start, end = self._used, self._used + len(body)
        if end <= _ARENA:
            self._arena[start:end] = body
            self._used = end
            return piece(self._base + start, len(body))
        spilt = bytearray(body)
        self._spilt.append(spilt)
        return piece(address_of(spilt), len(spilt))


def _nothing(_: bytes) -> None:
    return None
