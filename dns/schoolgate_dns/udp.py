"""UDP: datagrams in, datagrams out, each answered from the very address it was sent to.

asyncio's own datagram transport costs more than everything else here, and cannot say which address of ours a packet
was for, which a socket bound to all addresses must know (else the kernel picks, and clients drop the answer); hence
plain sockets, read in batches when the loop says that there is something.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from schoolgate_dns import batch
from schoolgate_dns.admission import Later
from schoolgate_dns.express import Express
from schoolgate_dns.fast import Entrance, FastPath
from schoolgate_dns.ports import DnsCounters, Transport
from schoolgate_dns.quick import QuickLookup
from schoolgate_dns.volley import Replies
from schoolgate_policy.names import IPAddress
from schoolgate_policy.ports import Recorder

_IP_PKTINFO = 8  # Linux; Python names it from 3.14 on
_PKTINFO4 = struct.Struct("=i4s4s")  # interface, local address, destination in the header
_PKTINFO6 = struct.Struct("=16sI")
_CONTROL = 16  # octets of a control message before its data
_TURNS = 8  # batches before others get their turn
_BUSY = 4  # datagrams in a batch
_BUFFER = 4 * 1024 * 1024
_PAUSE_SECONDS = 0.002  # between handing in some notes and some more
_NOTHING = bytes(16)
# For every place in a batch and every length: where the message is behind its id. Made once, as slicing with a
# ready slice costs half of what it costs otherwise.
_BEHIND_ID = [
    [slice(place * batch.SLOT + 2, place * batch.SLOT + length) for length in range(batch.SLOT + 1)]
    for place in range(batch.SIZE)
]

type Ancillary = list[tuple[int, int, bytes]]
type Peer = tuple[Any, ...]


def bind_udp(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Return a bound, non-blocking socket; a `shared` port may be bound by several processes of one user.

    Raises:
        OSError: the address or port cannot be had.

    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if ip_address(host).is_unspecified:
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            else:
                sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


class UdpListener:
    """Serves one bound socket until closed."""

    def __init__(
        self,
        sock: socket.socket,
        fast: FastPath,
        quick: QuickLookup,
        counters: DnsCounters,
        recorder: Recorder,
        make_express: Callable[..., Express],
    ) -> None:
        """`make_express` makes an express way, given how it sends."""
        self._sock = sock
        self._fast = fast
        self._quick = quick
        self._counters = counters
        self._recorder = recorder
        self._bound = ip_address(sock.getsockname()[0].partition("%")[0])
        self._tasks: set[asyncio.Task[None]] = set()
        self._settling: asyncio.TimerHandle | None = None
        self._handing_in: asyncio.TimerHandle | None = None
        self._batch: batch.Batch | None = None
        self._begun = False  # the express way knows of this batch
        if batch.available():
            wide = self._bound.is_unspecified
            self._batch = batch.Batch(sock, wide=wide)
            self._express = make_express(send=Replies(sock, wide=wide).send, deliver=self._give)

    def start(self) -> None:
        """Begin to answer, on the running loop."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._sock, self._readable if self._batch is None else self._batch_readable)
        self._settle(loop)

    def _settle(self, loop: asyncio.AbstractEventLoop) -> None:
        """Hand in what was noted also when no query comes any more."""
        self._fast.settle()
        self._settling = loop.call_later(1.0, self._settle, loop)
        if self._handing_in is None:
            self._hand_in(loop)

    def _hand_in(self, loop: asyncio.AbstractEventLoop) -> None:
        """Hand in bit by bit, with the queries in between."""
        more = self._fast.hand_in()
        self._handing_in = loop.call_later(_PAUSE_SECONDS, self._hand_in, loop) if more else None

    # Batched.

    def _batch_readable(self) -> None:
        assert self._batch is not None  # noqa: S101 - for the type checker: this is the callback where there is one
        try:
            for _ in range(_TURNS):
                count = self._batch.receive()
                if count:
                    self._serve(self._batch, count)
                if count < _BUSY:
                    return  # else it is likely that more has come meanwhile, and asking costs less than the loop
        except Exception as error:  # noqa: BLE001 - whoever asked gets nothing and asks again
            self._recorder.fault("dns", error)

    def _serve(self, received: batch.Batch, count: int) -> None:
        """Answer a batch; all of the fast path's time is spent in this loop."""
        fast = self._fast
        fast.tick()
        self._begun = False
        lanes, data, lengths = fast.lanes.get, received.data, received.lengths
        if max(lengths) > batch.SLOT:
            data, lengths = b"", [2] * count  # rare and odd: one by one
        bodies: list[bytes] = []
        gaps: list[int] = []
        put = bodies.append
        for length, client, behind_id in zip(lengths, received.clients, _BEHIND_ID, strict=False):
            entrance = lanes(client)
            if entrance is not None:
                look, note, _ = entrance
                body = look(data[behind_id[length]])
                if body is not None:
                    put(body)
                    note(body)
                    continue
            place = len(bodies)
            body = self._slow(received, place, client, entrance)
            if body is None:
                gaps.append(place)
            put(body or _NOTHING)
        self._quick.flush()
        lost = received.send(bodies, gaps)
        if lost:
            self._counters.dropped(Transport.UDP, lost)
        # Whoever sends most is seen here most: one look a batch finds a flood within a few.
        if entrance is not None and len(entrance[2].given) > fast.allowance:
            fast.close(client)

    def _slow(
        self, received: batch.Batch, place: int, client: bytes, entrance: Entrance | None
    ) -> bytes | None:
        """Return the piece that answers a message; None where none is due, or not yet."""
        try:
            if entrance is None:
                peer, local, _ = self._who(received.opened(received.envelope(place)))
                if peer[1] == 0:  # nobody can be answered there
                    self._counters.dropped(Transport.UDP)
                    return None
                entrance = self._fast.enter(client, peer[0], local)
            message, lane = received.message(place), entrance[2]
            body = self._fast.again(message[2:], lane)
            if body is not None:
                return body
            envelope = received.envelope(place)
            if not self._begun:
                self._express.begin()
                self._begun = True
            if self._express.take(message, lane, envelope):
                return None
            return self._fast.respond(message, lane, partial(self._give, envelope))
        except Exception as error:  # noqa: BLE001 - one message must not cost the others their answers
            self._recorder.fault("dns", error)
        return None

    def _give(self, envelope: bytes, answer: Later) -> None:
        assert self._batch is not None  # noqa: S101 - as above: envelopes are a batch's
        peer, _, reply_from = self._who(self._batch.opened(envelope))
        self._deliver(reply_from, peer, answer)

    def _who(self, opened: tuple[bytes, bytes]) -> tuple[Peer, IPAddress, Ancillary]:
        """Read who sent a message and to which address of ours, and what makes its answer leave from there."""
        name, control = opened
        if self._sock.family == socket.AF_INET:
            port = int.from_bytes(name[2:4])
            peer: Peer = (socket.inet_ntop(socket.AF_INET, name[4:8]), port)
            found: Ancillary = [(socket.IPPROTO_IP, _IP_PKTINFO, control[_CONTROL:])]
        else:
            scope = int.from_bytes(name[24:28], "little" if struct.pack("H", 1) == b"\1\0" else "big")
            text = socket.inet_ntop(socket.AF_INET6, name[8:24])
            if scope:
                text += f"%{scope}"
            peer = (text, int.from_bytes(name[2:4]), 0, scope)
            found = [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, control[_CONTROL:])]
        return peer, *_addressed_to(found if control else [], self._bound)

    # One by one, where the system has no batches.

    def _readable(self) -> None:
        for _ in range(_TURNS * batch.SIZE):
            try:
                message, ancillary, _, peer = self._sock.recvmsg(batch.LARGEST, 128)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self._recorder.fault("dns", error)
                return
            if peer[1] == 0:  # nobody can be answered there
                self._counters.dropped(Transport.UDP)
                continue
            try:
                self._serve_one(message, ancillary, peer)
            except Exception as error:  # noqa: BLE001 - one message must not cost the others their answers
                self._recorder.fault("dns", error)

    def _serve_one(self, message: bytes, ancillary: Ancillary, peer: Peer) -> None:
        fast = self._fast
        fast.tick()
        client = peer[0].encode() + b"".join(data for _, _, data in ancillary)
        entrance = fast.lanes.get(client)
        local, reply_from = _addressed_to(ancillary, self._bound)
        if entrance is None:
            entrance = fast.enter(client, peer[0], local)
        look, note, lane = entrance
        body = look(message[2:])
        if body is not None:
            note(body)
            if len(lane.given) > fast.allowance:
                fast.close(client)
        else:
            body = fast.again(message[2:], lane)
            if body is None:
                body = fast.respond(message, lane, partial(self._deliver, reply_from, peer))
                self._quick.flush()
        if body is not None:
            self._send(message[:2] + batch.read_piece(body), reply_from, peer)

    # Both.

    def _deliver(self, reply_from: Ancillary, peer: Peer, answer: Later) -> None:
        """Send an answer that is ready, or once it is."""
        if isinstance(answer, bytes):
            self._send(answer, reply_from, peer)
            return

        async def finish() -> None:
            self._send(await answer, reply_from, peer)

        task = asyncio.get_running_loop().create_task(finish(), name="dns-udp")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _send(self, reply: bytes, reply_from: Ancillary, peer: Peer) -> None:
        # A full send buffer loses the datagram, as the network may: the client asks again.
        try:
            self._sock.sendmsg([reply], reply_from, 0, peer)
        except OSError:
            self._counters.dropped(Transport.UDP)

    async def close(self) -> None:
        """Stop reading, give up what is waiting, free the port."""
        asyncio.get_running_loop().remove_reader(self._sock)
        for timer in (self._settling, self._handing_in):
            if timer is not None:
                timer.cancel()
        self._fast.settle()
        self._fast.hand_in_all()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(OSError):
            self._sock.close()


def _addressed_to(ancillary: Ancillary, bound: IPAddress) -> tuple[IPAddress, Ancillary]:
    """Return the address of ours a datagram was sent to, and what makes its answer leave from there."""
    for level, kind, data in ancillary:
        if level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
            _, local, _ = _PKTINFO4.unpack(data[: _PKTINFO4.size])
            return IPv4Address(local), [(level, kind, _PKTINFO4.pack(0, local, bytes(4)))]
        if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
            local, interface = _PKTINFO6.unpack(data[: _PKTINFO6.size])
            address = IPv6Address(local)
            scope = interface if address.is_link_local else 0
            return address, [(level, kind, _PKTINFO6.pack(local, scope))]
    return bound, []
