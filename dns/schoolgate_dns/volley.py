"""Many datagrams in one system call where each goes its own way: to upstream, and to the clients that waited.

`Volley` is for connected sockets, any number of them in turn; `Replies` sends from a listener to whom it may concern.
Both copy what they send into buffers made once, which is cheaper than making the kernel's structures anew each time.
"""

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from schoolgate_dns.batch import (
    FAMILIES,
    LARGEST,
    MSG_DONTWAIT,
    PASSING,
    SIZE,
    Iovec,
    Mmsghdr,
    Msghdr,
    address_of,
    available,
)

_SLOT = 512  # octets of an answer in the quick part of the buffers
_MOST = 65_535


class _Outgoing:
    """Up to `SIZE` messages laid out for sendmmsg, one stretch of memory each."""

    def __init__(self) -> None:
        library = ctypes.CDLL(None, use_errno=True)
        self._sendmmsg = library.sendmmsg
        self._room = SIZE * LARGEST
        self._octets = bytearray(self._room)
        self._base = address_of(self._octets)
        self._iov = bytearray(SIZE * ctypes.sizeof(Iovec))
        iov = address_of(self._iov)
        self._out = (Mmsghdr * SIZE)()
        for place in range(SIZE):
            self._out[place].hdr = Msghdr(None, 0, iov + place * ctypes.sizeof(Iovec), 1, None, 0, 0)
        self._outs = [ctypes.byref(self._out, place * ctypes.sizeof(Mmsghdr)) for place in range(SIZE)]
        self._packers = [struct.Struct("PN" * count) for count in range(SIZE + 1)]

    def lay(self, messages: Sequence[bytes]) -> None:
        blob = b"".join(messages)
        self._octets[: len(blob)] = blob
        lengths = list(map(len, messages))
        parts = [0] * (2 * len(lengths))
        parts[::2] = accumulate(lengths[:-1], initial=self._base)
        parts[1::2] = lengths
        self._packers[len(lengths)].pack_into(self._iov, 0, *parts)

    def name(self, place: int, name: int, size: int, control: tuple[int | None, int]) -> None:
        """Say where the address stands to which the message at a place goes, and its control message."""
        header = self._out[place].hdr
        header.name, header.namelen = name, size
        header.control, header.controllen = control

    def send(self, fd: int, count: int) -> int:
        """Send what was laid; return how many could not be sent."""
        lost = start = 0
        while start < count:
            sent = self._sendmmsg(fd, self._outs[start], count - start, MSG_DONTWAIT)
            if sent > 0:
                start += sent
                continue
            number = ctypes.get_errno()
            if number == errno.EAGAIN:
                return lost + count - start  # a full buffer loses datagrams, as the network may
            if number != errno.EINTR:
                lost, start = lost + 1, start + 1  # nobody can be reached there
        return lost


class Volley:
    """Sends to and receives from connected sockets, up to `SIZE` datagrams at once."""

    def __init__(self) -> None:
        self._batched = available()
        if not self._batched:
            return
        self._outgoing = _Outgoing()
        self._recvmmsg = ctypes.CDLL(None, use_errno=True).recvmmsg
        self._slots, self._rest = bytearray(SIZE * _SLOT), bytearray(SIZE * (LARGEST - _SLOT))
        slots, rest = address_of(self._slots), address_of(self._rest)
        self._iov, self._in = (Iovec * (2 * SIZE))(), (Mmsghdr * SIZE)()
        for i in range(SIZE):
            self._iov[2 * i] = Iovec(slots + i * _SLOT, _SLOT)
            self._iov[2 * i + 1] = Iovec(rest + i * (LARGEST - _SLOT), LARGEST - _SLOT)
            iov = ctypes.addressof(self._iov) + 2 * i * ctypes.sizeof(Iovec)
            self._in[i].hdr = Msghdr(None, 0, iov, 2, None, 0, 0)
        self._lengths = (
            memoryview(self._in).cast("B").cast("I")[Mmsghdr.len.offset // 4 :: ctypes.sizeof(Mmsghdr) // 4]
        )

    def send(self, sock: socket.socket, messages: Sequence[bytes]) -> None:
        """Send messages of at most `LARGEST` octets; what finds no room is lost, as on the network."""
        if self._batched:
            for start in range(0, len(messages), SIZE):
                part = messages[start : start + SIZE]
                self._outgoing.lay(part)
                self._outgoing.send(sock.fileno(), len(part))
            return
        for message in messages:
            try:
                sock.send(message)
            except (BlockingIOError, InterruptedError):
                return

    def receive(self, sock: socket.socket) -> list[bytes]:
        """Return what has come, at most `SIZE` messages.

        Raises:
            OSError: the other side cannot be reached.

        """
        if not self._batched:
            return _receive_one(sock)
        count: int = self._recvmmsg(sock.fileno(), self._in, SIZE, MSG_DONTWAIT, None)
        if count <= 0:
            number = ctypes.get_errno()
            if count == 0 or number in PASSING:
                return []
            raise OSError(number, os.strerror(number))
        data = bytes(memoryview(self._slots)[: count * _SLOT])
        lengths = self._lengths[:count].tolist()
        messages = [
            data[at : at + length] for at, length in zip(range(0, count * _SLOT, _SLOT), lengths, strict=True)
        ]
        if max(lengths) > _SLOT:
            for place, length in enumerate(lengths):
                if length > _SLOT:
                    over = place * (LARGEST - _SLOT)
                    at = place * _SLOT
                    messages[place] = data[at : at + _SLOT] + bytes(self._rest[over : over + length - _SLOT])
        return messages


def _receive_one(sock: socket.socket) -> list[bytes]:
    try:
        return [sock.recv(_MOST)]
    except (BlockingIOError, InterruptedError):
        return []


class Replies:
    """Sends from a listener's socket to the clients whose envelopes (see `batch.Batch`) were kept."""

    def __init__(self, sock: socket.socket, *, wide: bool) -> None:
        self._fd = sock.fileno()
        self._family = family = FAMILIES[socket.AddressFamily(sock.family)]
        self._wide = wide
        self._stride = family.room + family.control
        self._envelopes = bytearray(SIZE * self._stride)
        base = address_of(self._envelopes)
        self._outgoing = _Outgoing()
        for place in range(SIZE):
            at = base + place * self._stride
            control = (at + family.room, family.control) if wide else (None, 0)
            self._outgoing.name(place, at, family.name, control)
        self._interfaces: Any = memoryview(self._envelopes).cast("I")[
            (family.room + family.interface) // 4 :: self._stride // 4
        ]

    def send(self, envelopes: Sequence[bytes], messages: Sequence[bytes]) -> int:
        """Send each message to whom its envelope names, from the address of ours that it names; return how many not."""
        lost = 0
        for start in range(0, len(messages), SIZE):
            part = messages[start : start + SIZE]
            names = b"".join(envelopes[start : start + SIZE])
            self._envelopes[: len(names)] = names
            if self._wide:
                for place in range(len(part)):
                    self._interfaces[place] = 0  # routing chooses; only the address of ours must stay
            self._outgoing.lay(part)
            lost += self._outgoing.send(self._fd, len(part))
        return lost
