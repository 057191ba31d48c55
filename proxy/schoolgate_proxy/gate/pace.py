"""Notices who opens far more connections than a browser does, as programs that try every server at once (Psiphon)."""

WINDOW_SECONDS = 5.0


class Pace:
    """How many connections each client has opened within the running five seconds."""

    def __init__(self, most: int) -> None:
        """`most` may be opened in a window; a page that loads a hundred parts stays far below any sensible one."""
        self._most = most
        self._began = 0.0
        self._opened: dict[str, int] = {}

    def too_fast(self, client: str, now: float) -> bool:
        """Count a connection; return whether it is one too many. `now`: seconds of a clock that only goes forward."""
        if now - self._began >= WINDOW_SECONDS:
            self._opened.clear()
            self._began = now
        opened = self._opened[client] = self._opened.get(client, 0) + 1
        return opened > self._most
