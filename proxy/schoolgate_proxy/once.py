"""Remembers what was noted about whom, so that what repeats itself all day is noted once an hour."""

WINDOW_SECONDS = 3600.0
_MOST = 16_384


class Once:
    """What was noted of each client within the running hour; of too many, nothing more is noted until it is over."""

    def __init__(self) -> None:
        self._began = 0.0
        self._noted: set[tuple[str, str]] = set()

    def first(self, client: str, what: str, now: float) -> bool:
        """Return whether this is new; `now` is in seconds of a clock that only goes forward."""
        if now - self._began >= WINDOW_SECONDS:
            self._noted.clear()
            self._began = now
        if (client, what) in self._noted or len(self._noted) >= _MOST:
            return False
        self._noted.add((client, what))
        return True
