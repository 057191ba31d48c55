"""Relays two connected sockets in the kernel: socket to pipe to socket, never through this process's memory.

Level-triggered: one turn moves at most a pipe full each way, so that one download does not starve the others. A side
that cannot be written to is not read from on the other side (back-pressure). The end of one direction is passed on
(`shutdown`) while the other goes on; the relay ends when both have, or when either side fails.
"""

import os
import struct
from collections.abc import Callable
from contextlib import suppress
from select import EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT
from socket import SHUT_WR, SO_LINGER, SOL_SOCKET, socket

from schoolgate_proxy.gate.pipes import CAPACITY, Pipe, PipePool
from schoolgate_proxy.gate.poller import Poller

_FLAGS = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK
_READABLE = EPOLLIN | EPOLLHUP | EPOLLERR
_UNWATCHED = -1
_RESET = struct.pack("ii", 1, 0)  # closing sends RST: the other side must not take this for a proper end


class Flow:
    """One direction."""

    __slots__ = ("ended", "held", "moved", "pipe", "sink", "source")

    def __init__(self, source: socket, sink: socket) -> None:
        self.source = source
        self.sink = sink
        self.pipe: Pipe | None = None  # only while something is held in it
        self.held = 0
        self.moved = 0  # octets taken from the source so far
        self.ended = False  # the source has no more


class Relay:
    """Two sockets and both directions between them; owns the sockets from now on."""

    __slots__ = (
        "_closed",
        "_downward",
        "_ended",
        "_interest",
        "_poller",
        "_pool",
        "_upward",
        "active",
        "since",
    )

    def __init__(
        self,
        poller: Poller,
        pool: PipePool,
        client: socket,
        upstream: socket,
        ended: Callable[["Relay"], None],
    ) -> None:
        """Take both sockets; `ended` is called once, when they are closed."""
        self._poller = poller
        self._pool = pool
        self._upward = Flow(client, upstream)
        self._downward = Flow(upstream, client)
        self._ended = ended
        self._interest = {client.fileno(): EPOLLIN, upstream.fileno(): EPOLLIN}
        self._closed = False
        self.active = self.since = poller.now

    @property
    def sent(self) -> int:
        """Octets taken from the client."""
        return self._upward.moved

    @property
    def received(self) -> int:
        """Octets taken from the upstream."""
        return self._downward.moved

    @property
    def half_closed(self) -> bool:
        """Whether one direction has ended."""
        return self._upward.ended or self._downward.ended

    def start(self) -> None:
        """Begin. Both sockets are being watched already; the client has sent something that nobody has read."""
        client, upstream = self._upward.source, self._upward.sink
        self._poller.change(upstream.fileno(), EPOLLIN, self._on_upstream)
        self._poller.change(client.fileno(), EPOLLIN, self._on_client)
        self._pump(self._upward)

    def close(self, *, reset: bool = False) -> None:
        """Close both sides; `reset` tells them that this was no proper end."""
        if self._closed:
            return
        self._closed = True
        for flow in (self._upward, self._downward):
            if flow.pipe is not None:
                self._pool.discard(flow.pipe)
                flow.pipe = None
            if reset:
                flow.source.setsockopt(SOL_SOCKET, SO_LINGER, _RESET)
            self._poller.close(flow.source)
        self._ended(self)

    def _on_client(self, mask: int) -> None:
        self._turn(mask, self._upward, self._downward)

    def _on_upstream(self, mask: int) -> None:
        self._turn(mask, self._downward, self._upward)

    def _turn(self, mask: int, outgoing: Flow, incoming: Flow) -> None:
        """Act on events of one socket, which is the source of `outgoing` and the sink of `incoming`."""
        if self._closed:
            return
        self.active = self._poller.now
        try:
            if mask & EPOLLOUT and incoming.held:
                self._drain(incoming)
            if mask & _READABLE and not self._closed:
                self._readable(mask, outgoing)
        except OSError:
            self.close(reset=True)
        except BaseException:
            self.close(reset=True)
            raise

    def _readable(self, mask: int, flow: Flow) -> None:
        if not (flow.ended or flow.held):
            self._pump(flow)
        elif mask & EPOLLERR or (mask & EPOLLHUP and flow.ended):
            self.close(reset=True)  # nobody is there any more
        elif mask & EPOLLHUP:
            # Closed both ways, with octets still on their way: this would be told again and again.
            self._poller.forget(flow.source.fileno())
            self._interest[flow.source.fileno()] = _UNWATCHED

    def _pump(self, flow: Flow) -> None:
        """Move what is there from the source into a pipe, and on into the sink."""
        pipe = self._pool.take()
        flow.pipe = pipe
        try:
            moved = os.splice(flow.source.fileno(), pipe[1], CAPACITY, flags=_FLAGS)
        except BlockingIOError:
            self._release(flow)
            return
        if not moved:
            self._release(flow)
            flow.ended = True
            self._pass_on_end(flow)
            return
        flow.moved += moved
        flow.held = moved
        with suppress(BlockingIOError):
            flow.held -= os.splice(pipe[0], flow.sink.fileno(), moved, flags=_FLAGS)
        if flow.held:
            self._set(flow.source, EPOLLIN, on=False)
            self._set(flow.sink, EPOLLOUT, on=True)
        else:
            self._release(flow)

    def _drain(self, flow: Flow) -> None:
        """Move what a pipe still holds into the sink, which can take something again."""
        if flow.pipe is None:
            raise RuntimeError("octets are held without a pipe")
        try:
            flow.held -= os.splice(flow.pipe[0], flow.sink.fileno(), flow.held, flags=_FLAGS)
        except BlockingIOError:
            return
        if flow.held:
            return
        self._release(flow)
        self._set(flow.sink, EPOLLOUT, on=False)
        self._set(flow.source, EPOLLIN, on=True)

    def _pass_on_end(self, flow: Flow) -> None:
        if self._upward.ended and self._downward.ended:
            self.close()
            return
        self._set(flow.source, EPOLLIN, on=False)
        flow.sink.shutdown(SHUT_WR)

    def _release(self, flow: Flow) -> None:
        if flow.pipe is not None:
            self._pool.give_back(flow.pipe)
            flow.pipe = None

    def _set(self, side: socket, event: int, *, on: bool) -> None:
        fd = side.fileno()
        before = self._interest[fd]
        handler = self._on_client if side is self._upward.source else self._on_upstream
        if before == _UNWATCHED:
            if on:
                self._interest[fd] = event
                self._poller.watch(fd, event, handler)
            return
        after = before | event if on else before & ~event
        if after != before:
            self._interest[fd] = after
            self._poller.change(fd, after, handler)
