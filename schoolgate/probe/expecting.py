"""The engine that says what to expect: of the same files as the filter's, read again as soon as they change."""

import threading
import time
from pathlib import Path

from schoolgate_policy.engine import Engine
from schoolgate_policy.errors import PolicyError
from schoolgate_policy.load import load_policy
from schoolgate_policy.own_host import with_own_host
from schoolgate_policy.switch import parse_state

_LOOK_EVERY_SECONDS = 1.0


class Expecting:
    """Calling it returns the engine of the policy as it is now; the last good one where a change cannot be used."""

    def __init__(self, policy: Path, state: Path, own_host: str | None) -> None:
        """Read the files. Raises PolicyError."""
        self._policy, self._state, self._own_host = policy, state, own_host
        self._lock = threading.Lock()
        self._seen = self._bytes()
        self._engine = self._read()
        self._looked = time.monotonic()

    def __call__(self) -> Engine:
        """Return the engine."""
        with self._lock:
            if time.monotonic() - self._looked >= _LOOK_EVERY_SECONDS:
                self._looked = time.monotonic()
                self._look()
            return self._engine

    def _look(self) -> None:
        found = self._bytes()
        if found == self._seen:
            return
        self._seen = found
        try:
            self._engine = self._read()
        except PolicyError:
            return  # what the filter refuses, too: the policy before stays in force

    def _bytes(self) -> tuple[bytes, bytes]:
        return _bytes_of(self._policy), _bytes_of(self._state / "state.json")

    def _read(self) -> Engine:
        policy = load_policy(self._policy, state=self._state)
        switched = self._seen[1]
        state = parse_state(switched, policy) if switched else None
        return Engine(with_own_host(policy, self._own_host) if self._own_host else policy, (), state)


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
