"""Events that wait for the centre, on disk: each datagram once, under a sequence that only goes up, within bounds."""

import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from schoolgate.events.wire import encode
from schoolgate_policy.errors import SchoolgateError
from schoolgate_policy.event import Event

FILE = "box/spool.db"
_SHARE = 10  # of a full spool one tenth is let go at a time


class SpoolFull(SchoolgateError):  # noqa: N818
    """The disk does not take events; they are kept in memory and tried again."""


class Spool:
    """An `EventSink` that keeps events until the centre has written them. The oldest go where there is no room."""

    def __init__(self, state: Path, most: int, lost: Callable[[int], None] = lambda _: None) -> None:
        """Open the spool; `most` is in octets, `lost` is told how many datagrams were let go.

        Raises:
            OSError: it cannot be opened.

        """
        self._most = most
        self._lost = lost
        self._held: list[Event] = []
        self._lock = threading.Lock()
        path = state / FILE
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        try:
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS waiting (sequence INTEGER PRIMARY KEY AUTOINCREMENT, data BLOB NOT NULL)"
            )
            self._begin()
        except sqlite3.Error as error:
            raise OSError(0, str(error).lower(), str(path)) from error

    def _begin(self) -> None:
        """Begin a new spool's sequence with the time, so that one made anew is behind one that was lost."""
        if self._db.execute("SELECT 1 FROM sqlite_sequence").fetchone() is None:
            start = int(time.time() * 1000)
            self._db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('waiting', ?)", (start,))

    def take(self, events: Sequence[Event]) -> None:
        """Hold events until `flush`."""
        self._held += events

    def mark(self, box: int, sequence: int) -> None:
        """Take no note: a box has no boxes."""

    def flush(self) -> int:
        """Write what is held; return how many datagrams that were.

        Raises:
            SpoolFull: the disk does not take them.

        """
        if not self._held:
            return 0
        rows = [(data,) for data in encode(self._held)]
        try:
            with self._lock:
                self._db.execute("BEGIN")
                self._db.executemany("INSERT INTO waiting (data) VALUES (?)", rows)
                self._db.execute("COMMIT")
                self._bound()
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise SpoolFull(f"the events cannot be kept: {error}".lower()) from error
        self._held.clear()
        return len(rows)

    def _bound(self) -> None:
        size, count = self._db.execute(
            "SELECT coalesce(sum(length(data)), 0), count(*) FROM waiting"
        ).fetchone()
        if size <= self._most:
            return
        gone = max(1, count // _SHARE)
        self._db.execute(
            "DELETE FROM waiting WHERE sequence IN (SELECT sequence FROM waiting ORDER BY sequence LIMIT ?)",
            (gone,),
        )
        self._lost(gone)

    def next(self, octets: int) -> list[tuple[int, str]]:
        """Return the oldest datagrams with their sequences, at least one if there is any, up to so many octets."""
        found: list[tuple[int, str]] = []
        size = 0
        with self._lock:
            for sequence, data in self._db.execute(
                "SELECT sequence, data FROM waiting ORDER BY sequence LIMIT 500"
            ):
                size += len(data)
                if found and size > octets:
                    break
                found.append((sequence, bytes(data).decode()))
        return found

    def written(self, sequence: int) -> None:
        """Let go of all up to a sequence."""
        with self._lock:
            self._db.execute("DELETE FROM waiting WHERE sequence <= ?", (sequence,))

    def waiting(self) -> int:
        """Return how many datagrams wait."""
        with self._lock:
            return int(self._db.execute("SELECT count(*) FROM waiting").fetchone()[0])

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()
