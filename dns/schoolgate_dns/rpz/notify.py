"""NOTIFY (RFC 1996): tells secondaries at once that a zone has changed, until each has said that it heard."""

import asyncio
import secrets
import struct
from collections.abc import Iterable

from schoolgate_dns.config import Endpoint
from schoolgate_dns.rpz.config import RpzConfig, Secondary
from schoolgate_dns.rpz.ports import RpzCounters, Seconds
from schoolgate_dns.rpz.records import soa
from schoolgate_dns.rpz.tsig import Signer, proves, read_signature, wire_name
from schoolgate_dns.rpz.zone import Version
from schoolgate_dns.wire import AA, HEADER, IN, QR, QUESTION_TAIL, Qtype, read_records
from schoolgate_policy.patience import within

_NOTIFY = 4 << 11
_OPCODE = 0x7800
_WAITS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)  # seconds for an answer before it is told again


class _Ear(asyncio.DatagramProtocol):
    """Waits for the one reply to a notice."""

    def __init__(self, ident: int) -> None:
        self._ident = ident
        self.heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:
        del addr
        if len(data) < HEADER.size or self.heard.done():
            return
        ident, flags = struct.unpack_from("!HH", data)
        if ident == self._ident and flags & QR and flags & _OPCODE == _NOTIFY:
            self.heard.set_result(data)

    def error_received(self, exc: Exception) -> None:
        """Go on waiting: nobody listens there yet."""


class Notifier:
    """Tells every secondary of zones that changed; a newer change of a zone takes the place of an older one."""

    def __init__(self, config: RpzConfig, counters: RpzCounters, seconds: Seconds) -> None:
        self._config = config
        self._counters = counters
        self._seconds = seconds
        self._running: dict[tuple[str, str], asyncio.Task[None]] = {}
        self.behind: dict[str, bool] = {one.name: False for one in config.secondaries}

    def tell(self, zones: Iterable[tuple[str, Version]]) -> None:
        """Begin to tell all secondaries, on the running loop."""
        for label, version in zones:
            for secondary in self._config.secondaries:
                key = label, secondary.name
                if (before := self._running.pop(key, None)) is not None:
                    before.cancel()
                self._running[key] = asyncio.create_task(self._tell(label, version, secondary))

    async def _tell(self, label: str, version: Version, secondary: Secondary) -> None:
        for wait in _WAITS:
            heard = await self._once(label, version, secondary, wait)
            self._counters.notified(heard=heard)
            self.behind[secondary.name] = not heard
            if heard:
                return

    async def _once(self, label: str, version: Version, secondary: Secondary, wait: float) -> bool:
        question = wire_name(f"{label}.{self._config.origin}") + QUESTION_TAIL.pack(Qtype.SOA, IN)
        ident = secrets.randbelow(1 << 16)
        head = HEADER.pack(ident, _NOTIFY | AA, 1, 1, 0, 0)
        message = head + question + soa(version.serial, version.ttl)
        mac = b""
        if secondary.key is not None:
            message = Signer(secondary.key).sign(message, self._now())
            at = HEADER.size + len(question)
            signature = read_signature(message, read_records(message, at))
            mac = signature.mac if signature else b""
        reply = await _ask(secondary.notify, message, ident, wait)
        if reply is None:
            return False
        key = secondary.key
        return key is None or proves(reply, HEADER.size + len(question), key, mac, self._now())

    def _now(self) -> int:
        return int(self._seconds())

    async def close(self) -> None:
        """Stop telling."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._running.clear()


async def _ask(to: Endpoint, message: bytes, ident: int, wait: float) -> bytes | None:
    """Send a datagram and return what comes back; None where nothing does."""
    loop = asyncio.get_running_loop()
    try:
        transport, ear = await loop.create_datagram_endpoint(lambda: _Ear(ident), remote_addr=to)
    except OSError:
        await asyncio.sleep(wait)
        return None
    try:
        transport.sendto(message)
        async with within(wait):
            return await ear.heard
    except TimeoutError:
        return None
    finally:
        transport.close()
