"""UDP: datagrams in, datagrams out, each answered from the very address it was sent to.

asyncio's own datagram transport cannot say which address of ours a packet was for, which a socket bound to all
addresses must know (else the kernel picks, and clients drop the answer); hence plain sockets and a reader callback.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Coroutine
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from schoolgate_dns.ports import DnsCounters, Transport
from schoolgate_dns.resolver import Asker, Resolver
from schoolgate_policy.names import IPAddress
from schoolgate_policy.ports import Recorder

_IP_PKTINFO = 8  # Linux; Python names it from 3.14 on
_PKTINFO4 = struct.Struct("=i4s4s")  # interface, local address, destination in the header
_PKTINFO6 = struct.Struct("=16sI")
_BATCH = 64  # datagrams read before others get their turn
_LARGEST = 4096  # a query is a few dozen octets; what is longer is cut, and thereby malformed
_BUFFER = 4 * 1024 * 1024

type Ancillary = list[tuple[int, int, bytes]]


def bind_udp(host: str, port: int) -> socket.socket:
    """Return a bound, non-blocking socket. Raises OSError where the address or port cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
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
        self, sock: socket.socket, resolver: Resolver, counters: DnsCounters, recorder: Recorder
    ) -> None:
        self._sock = sock
        self._resolver = resolver
        self._counters = counters
        self._recorder = recorder
        self._bound = ip_address(sock.getsockname()[0])
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to answer, on the running loop."""
        asyncio.get_running_loop().add_reader(self._sock, self._readable)

    def _readable(self) -> None:
        for _ in range(_BATCH):
            try:
                message, ancillary, _, peer = self._sock.recvmsg(_LARGEST, 128)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self._recorder.fault("dns", error)
                return
            if peer[1] == 0:  # nobody can be answered there
                self._counters.dropped(Transport.UDP)
                continue
            local, reply_from = _addressed_to(ancillary, self._bound)
            outcome = self._resolver.handle(message, Asker(peer[0], local, Transport.UDP))
            if isinstance(outcome, bytes):
                self._send(outcome, reply_from, peer)
            elif outcome is not None:
                self._start(outcome, reply_from, peer)

    def _start(self, answer: Coroutine[Any, Any, bytes], reply_from: Ancillary, peer: Any) -> None:
        async def finish() -> None:
            self._send(await answer, reply_from, peer)

        task = asyncio.get_running_loop().create_task(finish(), name="dns-udp")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _send(self, reply: bytes, reply_from: Ancillary, peer: Any) -> None:
        # A full send buffer loses the datagram, as the network may: the client asks again.
        try:
            self._sock.sendmsg([reply], reply_from, 0, peer)
        except OSError:
            self._counters.dropped(Transport.UDP)

    async def close(self) -> None:
        """Stop reading, give up what is waiting, free the port."""
        asyncio.get_running_loop().remove_reader(self._sock)
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
