"""Relays websockets frame by frame: mitmproxy collects a message, of any size, before it goes on, and keeps all of them.

Only the heads of frames are read, so that nothing but a websocket can follow `101 Switching Protocols`; what is inside is
counted and goes on as it comes. Source: RFC 6455 5.2; RSV1 is compression (RFC 7692 6).
"""

import time
from dataclasses import dataclass, field

from mitmproxy.http import HTTPFlow
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import CommandGenerator, Layer

COUNTED = "schoolgate_websocket"  # where a flow's metadata holds its `Counted`
_TEXT, _BINARY = 1, 2
_DATA, _CONTROL = frozenset({0, _TEXT, _BINARY}), frozenset({8, 9, 10})
_LARGEST_CONTROL = 125


class NotAFrame(ValueError):  # noqa: N818 - reads as what it is where it is caught
    """Octets that are no websocket frame."""


@dataclass(slots=True)
class Counted:
    """What a websocket has carried, in octets, both ways."""

    text: int = 0
    binary: int = 0
    noted: bool = False
    since: float = field(default_factory=time.monotonic)

    @property
    def octets(self) -> int:
        """All that it has carried."""
        return self.text + self.binary


class Frames:
    """Reads one direction of a websocket, in pieces of any size; pure."""

    def __init__(self, *, masked: bool, compressed: bool, counted: Counted) -> None:
        """`masked`: from a client; `compressed`: RSV1 has been agreed on."""
        self._masked = masked
        self._reserved = 0x30 if compressed else 0x70
        self._counted = counted
        self._head = b""
        self._left = 0  # octets of the present frame
        self._kind = _BINARY  # of the present message

    def feed(self, data: bytes) -> None:
        """Take the next octets.

        Raises:
            NotAFrame: they are none of a websocket's.

        """
        at = 0
        while at < len(data):
            if self._left:
                taken = min(self._left, len(data) - at)
                self._left -= taken
                self._count(taken)
                at += taken
                continue
            self._head += data[at : at + 1]
            at += 1
            if len(self._head) == self._needed():
                self._begin(self._head)
                self._head = b""

    def _needed(self) -> int:
        """Return the length of the head, as far as it is known by now."""
        if len(self._head) < 2:
            return 2
        length = self._head[1] & 0x7F
        return 2 + {126: 2, 127: 8}.get(length, 0) + (4 if self._masked else 0)

    def _begin(self, head: bytes) -> None:
        final, opcode, short = head[0] & 0x80, head[0] & 0x0F, head[1] & 0x7F
        if head[0] & self._reserved or bool(head[1] & 0x80) is not self._masked:
            raise NotAFrame("reserved bits or the mask are wrong")
        if opcode in _CONTROL:
            if not final or short > _LARGEST_CONTROL:
                raise NotAFrame("a control frame is too large or in pieces")
        elif opcode not in _DATA:
            raise NotAFrame(f"frames of kind {opcode} are not known")
        elif opcode:
            self._kind = opcode
        self._left = int.from_bytes(head[2 : {126: 4, 127: 10}[short]]) if short > 125 else short

    def _count(self, octets: int) -> None:
        if self._kind == _TEXT:
            self._counted.text += octets
        else:
            self._counted.binary += octets


class FrameRelay(Layer):
    """Sends on what comes, as long as it is a websocket's."""

    def __init__(self, context: Context, flow: HTTPFlow) -> None:
        super().__init__(context)
        self._flow = flow
        fields = flow.response.headers if flow.response is not None else {}
        compressed = "permessage-deflate" in fields.get("sec-websocket-extensions", "").lower()
        counted = flow.metadata[COUNTED] = Counted()
        self._frames = {
            masked: Frames(masked=masked, compressed=compressed, counted=counted) for masked in (True, False)
        }

    def _handle_event(self, event: events.Event) -> CommandGenerator[None]:
        if isinstance(event, events.DataReceived):
            from_client = event.connection == self.context.client
            try:
                self._frames[from_client].feed(event.data)
            except NotAFrame as fault:
                yield commands.Log(f"not a websocket: {fault}")
                yield from self._end()
            else:
                yield commands.SendData(
                    self.context.server if from_client else self.context.client, event.data
                )
        elif isinstance(event, events.ConnectionClosed):
            yield from self._end()

    def _end(self) -> CommandGenerator[None]:
        self._flow.live = False
        yield commands.CloseConnection(self.context.server)
        yield commands.CloseConnection(self.context.client)
        self._handle_event = self._ended  # type: ignore[assignment]  # as mitmproxy's layers do

    def _ended(self, _event: events.Event) -> CommandGenerator[None]:
        yield from ()
