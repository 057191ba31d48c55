"""Up to 64 datagrams in one system call each way: recvmmsg(2) and sendmmsg(2) through ctypes.

Everything the kernel reads or writes lies in buffers made once. What came in is handed out as plain `bytes`, copied
in one piece for the whole batch, because slices of `bytes` are the cheapest keys Python has. An answer goes out as
two pieces: the id, from where it was received, and a body that lies anywhere; so a body made once serves everybody.
"""

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Sequence

SIZE = 64  # datagrams in a batch
SLOT = 256  # octets of a datagram in the quick part of the buffers: queries are rarely longer
LARGEST = 4096  # octets of a datagram that are read; what is longer is cut, and thereby malformed

MSG_DONTWAIT = 0x40
_IP_PKTINFO = 8  # Linux; Python names it from 3.14 on
PASSING = frozenset({errno.EAGAIN, errno.EINTR})


class Iovec(ctypes.Structure):
    """A stretch of memory."""

    _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))


class Msghdr(ctypes.Structure):
    """A datagram: whom it is from or for, and where it lies."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("namelen", ctypes.c_uint32),
        ("iov", ctypes.c_void_p),
        ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("controllen", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class Mmsghdr(ctypes.Structure):
    """The same, and how long it was."""

    _fields_ = (("hdr", Msghdr), ("len", ctypes.c_uint32))


def available() -> bool:
    """Whether this system has both calls, and lays its structures out as this file does."""
    if os.uname().sysname != "Linux" or ctypes.sizeof(Mmsghdr) != 64:
        return False
    library = ctypes.CDLL(None)
    return hasattr(library, "recvmmsg") and hasattr(library, "sendmmsg")


class Family:
    """How the address of a peer and the address of ours that it wrote to lie in memory, for one family."""

    def __init__(self, *, name: int, control: int, key: str, wide_key: str, interface: int) -> None:
        self.name = name  # octets of the socket address
        self.room = (name + 7) // 8 * 8
        self.control = control  # octets of the control message, with its padding
        self.key = key  # which octets of both tell one client from another, as a struct format
        self.wide_key = wide_key  # the same where the address of ours may differ
        self.interface = interface  # where in the control message the interface stands


FAMILIES = {
    socket.AF_INET: Family(name=16, control=32, key="4x4s40x", wide_key="4x44s", interface=16),
    socket.AF_INET6: Family(name=28, control=40, key="8x20s44x", wide_key="8x64s", interface=32),
}


class Batch:
    """The buffers of one bound UDP socket; `wide` is for one bound to all addresses, with PKTINFO switched on.

    After `receive`, message `i` is `data[i * SLOT : i * SLOT + lengths[i]]` as far as it fits there, and `clients[i]`
    are octets that are the same for all messages of one client (to one address of ours).
    """

    def __init__(self, sock: socket.socket, *, wide: bool) -> None:
        family = FAMILIES[socket.AddressFamily(sock.family)]
        self._family = family
        self._wide = wide
        self._fd = sock.fileno()
        library = ctypes.CDLL(None, use_errno=True)
        self._recvmmsg, self._sendmmsg = library.recvmmsg, library.sendmmsg
        self._stride = family.room + family.control
        self._slots = bytearray(SIZE * SLOT)
        self._rest = bytearray(SIZE * (LARGEST - SLOT))
        self._envelopes = bytearray(SIZE * self._stride)
        self._in_iov, self._out_iov = (Iovec * (2 * SIZE))(), bytearray(2 * SIZE * ctypes.sizeof(Iovec))
        self._in, self._out = (Mmsghdr * SIZE)(), (Mmsghdr * SIZE)()
        self._lay_out()
        self._lengths = (
            memoryview(self._in).cast("B").cast("I")[Mmsghdr.len.offset // 4 :: ctypes.sizeof(Mmsghdr) // 4]
        )
        self._keys = [struct.Struct(n * (family.wide_key if wide else family.key)) for n in range(SIZE + 1)]
        self._kept = b""  # the envelopes of this batch, where somebody wanted one
        self.data = b""
        self.lengths: list[int] = []
        self.clients: Sequence[bytes] = ()

    def _lay_out(self) -> None:
        """Point the headers at the buffers, once and for all."""
        family, size = self._family, ctypes.sizeof(Iovec)
        slots, rest, envelopes, out_iov = map(
            address_of, (self._slots, self._rest, self._envelopes, self._out_iov)
        )
        self._ids: list[bytes] = []
        for i in range(SIZE):
            slot, envelope = slots + i * SLOT, envelopes + i * self._stride
            self._in_iov[2 * i] = Iovec(slot, SLOT)
            self._in_iov[2 * i + 1] = Iovec(rest + i * (LARGEST - SLOT), LARGEST - SLOT)
            self._ids.append(piece(slot, 2))
            control = (envelope + family.room, family.control) if self._wide else (None, 0)
            iov_in, iov_out = ctypes.addressof(self._in_iov) + 2 * i * size, out_iov + 2 * i * size
            self._in[i].hdr = Msghdr(envelope, family.name, iov_in, 2, *control, 0)
            self._out[i].hdr = Msghdr(envelope, family.name, iov_out, 2, *control, 0)
        self._outs = [ctypes.byref(self._out, i * ctypes.sizeof(Mmsghdr)) for i in range(SIZE)]

    def receive(self) -> int:
        """Read what is there, at most `SIZE` messages; return how many. Raises OSError."""
        count: int = self._recvmmsg(self._fd, self._in, SIZE, MSG_DONTWAIT, None)
        if count <= 0:
            number = ctypes.get_errno()
            if count == 0 or number in PASSING:
                return 0
            raise OSError(number, os.strerror(number))
        self._kept = b""
        self.data = bytes(memoryview(self._slots)[: count * SLOT])
        self.lengths = self._lengths[:count].tolist()
        self.clients = self._keys[count].unpack(memoryview(self._envelopes)[: count * self._stride])
        return count

    def message(self, place: int) -> bytes:
        """Return a whole message of the batch."""
        length = self.lengths[place]
        start = place * SLOT
        if length <= SLOT:
            return self.data[start : start + length]
        over = place * (LARGEST - SLOT)
        return self.data[start : start + SLOT] + bytes(self._rest[over : over + length - SLOT])

    def envelope(self, place: int) -> bytes:
        """Return the socket address a message came from, with the control message that came with it: see `opened`."""
        if not self._kept:
            self._kept = bytes(memoryview(self._envelopes)[: len(self.lengths) * self._stride])
        return self._kept[place * self._stride : (place + 1) * self._stride]

    def opened(self, envelope: bytes) -> tuple[bytes, bytes]:
        """Return the socket address and the control message that an envelope holds."""
        family = self._family
        return envelope[: family.name], envelope[family.room :] if self._wide else b""

    def send(self, bodies: list[bytes], gaps: Sequence[int]) -> int:
        """Answer the batch: message `i` with its id and the body that `bodies[i]` is the `piece` of.

        Messages in `gaps` (ascending) are not answered, whatever stands there. Returns how many could not be sent.
        """
        count = len(bodies)
        if len(gaps) == count:
            return 0
        parts = [b""] * (2 * count)
        parts[::2] = self._ids[:count]
        parts[1::2] = bodies
        pieces = b"".join(parts)
        self._out_iov[: len(pieces)] = pieces
        if self._wide:
            self._forget_interfaces(count)
        lost = start = 0
        for gap in (*gaps, count):
            lost += self._send_run(start, gap)
            start = gap + 1
        return lost

    def _send_run(self, start: int, stop: int) -> int:
        lost = 0
        while start < stop:
            sent = self._sendmmsg(self._fd, self._outs[start], stop - start, MSG_DONTWAIT)
            if sent > 0:
                start += sent
            elif ctypes.get_errno() == errno.EAGAIN:
                return lost + stop - start  # a full buffer loses datagrams, as the network may
            elif ctypes.get_errno() != errno.EINTR:
                lost, start = lost + 1, start + 1  # nobody can be answered there
        return lost

    def _forget_interfaces(self, count: int) -> None:
        """Let routing choose by which interface an answer leaves: only the address of ours must stay."""
        view = memoryview(self._envelopes).cast("I")[
            (self._family.room + self._family.interface) // 4 :: self._stride // 4
        ]
        for place in range(count):
            view[place] = 0


def address_of(buffer: bytearray) -> int:
    """Return where a buffer lies; it must not be resized as long as that is used."""
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


_PIECE = struct.Struct("PN")


def piece(address: int, size: int) -> bytes:
    """Return how the kernel is told of a stretch of memory."""
    return _PIECE.pack(address, size)


def read_piece(packed: bytes) -> bytes:
    """Return what lies where a `piece` points."""
    return ctypes.string_at(*_PIECE.unpack(packed))
