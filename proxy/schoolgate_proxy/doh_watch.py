"""Stops a streamed body that turns out to be what must not pass, as soon as that is clear; for mitmproxy's `stream`."""

from collections.abc import Callable

from schoolgate_proxy.doh import Sight
from schoolgate_proxy.inflating import Inflate

_LOOKED_AT = 16_384  # clear octets
_HEADER = (
    12  # octets that may go on unseen: they name nothing (RFC 1035 4.1.1), and streams may begin with so few
)

type Chunks = list[bytes] | bytes


class Watch:
    """Looks at the beginning of a body, holds back what may be DNS until that is clear, and stops what is found."""

    __slots__ = ("_clear", "_found", "_given", "_held", "_inflate", "_looking", "_sight")

    def __init__(
        self, looking: Callable[[bytes], Sight], found: Callable[[], None], codings: str = ""
    ) -> None:
        """Ask `looking` about the beginning, as it grows; `found` is called once if it is what is looked for.

        `codings` is the value of Content-Encoding.
        """
        self._looking = looking
        self._found = found
        self._inflate = Inflate(codings) if codings else None
        self._clear = b""
        self._held = b""
        self._given = 0
        self._sight = Sight.UNSURE

    def __call__(self, data: bytes) -> Chunks:
        """Return what is passed on of a piece; an empty one is the end."""
        if self._sight is Sight.ORDINARY:
            return data or []
        if self._sight is Sight.FOUND:
            return []
        if not data:
            self._sight = Sight.ORDINARY
            held, self._held = self._held, b""
            return held or []
        self._sight = self._look(data)
        if self._sight is Sight.FOUND:
            self._held = b""
            self._found()
            return []
        return self._pass_on(data)

    def _look(self, data: bytes) -> Sight:
        room = _LOOKED_AT - len(self._clear)
        more = data[:room] if self._inflate is None else self._inflate(data, room)
        self._clear += more
        sight = self._looking(self._clear)
        if sight is not Sight.FOUND and self._is_enough:
            return Sight.ORDINARY
        return sight

    @property
    def _is_enough(self) -> bool:
        if self._inflate is not None and self._inflate.broken:
            return True
        return len(self._clear) >= _LOOKED_AT or len(self._held) >= _LOOKED_AT

    def _pass_on(self, data: bytes) -> Chunks:
        held, self._held = self._held + data, b""
        if self._sight is Sight.UNSURE:
            free = max(_HEADER - self._given, 0)
            held, self._held = held[:free], held[free:]
        self._given += len(held)
        return held or []
