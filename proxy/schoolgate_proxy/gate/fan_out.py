"""Notices who is refused at very many addresses at once, as programs are that try every door (Psiphon)."""

MOST_ADDRESSES = 100  # a page full of blocked parts stays far below: their names all have our own address
WINDOW_SECONDS = 60.0
_MOST_CLIENTS = 4096


class FanOut:
    """The addresses at which each client was refused within the running minute."""

    def __init__(self) -> None:
        self._began = 0.0
        self._refused: dict[str, set[str]] = {}

    def refused(self, client: str, address: str, now: float) -> bool:
        """Note a refusal at an address; return whether it is the one that makes too many, once a minute.

        `now` is in seconds of a clock that only goes forward.
        """
        if now - self._began >= WINDOW_SECONDS:
            self._refused.clear()
            self._began = now
        if client not in self._refused and len(self._refused) >= _MOST_CLIENTS:
            return False
        addresses = self._refused.setdefault(client, set())
        if len(addresses) >= MOST_ADDRESSES or address in addresses:
            return False
        addresses.add(address)
        return len(addresses) == MOST_ADDRESSES
