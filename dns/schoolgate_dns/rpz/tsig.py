"""TSIG (RFC 8945): requests proved by a shared key, and replies signed with it, over as many messages as it takes."""

import hashlib
import hmac
import struct
from dataclasses import dataclass, field
from enum import IntEnum

from schoolgate_dns.wire import HEADER, RECORD, Record, WireError, read_name, read_records

TSIG, ANY = 250, 255
FUDGE = 300  # seconds; RFC 8945 section 10
ALGORITHMS = {"hmac-sha256": hashlib.sha256, "hmac-sha384": hashlib.sha384, "hmac-sha512": hashlib.sha512}
_TIMERS = struct.Struct("!HIH")


class TsigError(IntEnum):
    """Why a signature is not accepted (RFC 8945 section 3)."""

    BADSIG = 16
    BADKEY = 17
    BADTIME = 18
    BADTRUNC = 22


@dataclass(frozen=True, slots=True)
class TsigKey:
    """A shared secret; `name` is text without a final dot, in lower case."""

    name: str
    algorithm: str
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if self.algorithm not in ALGORITHMS:
            raise ValueError(
                f"`{self.algorithm}` is not accepted for TSIG; available: {', '.join(ALGORITHMS)}"
            )

    def mac(self, data: bytes) -> bytes:
        """Return the signature over some octets."""
        return hmac.new(self.secret, data, ALGORITHMS[self.algorithm]).digest()


@dataclass(frozen=True, slots=True)
class Signature:
    """A TSIG record as it was read."""

    name: bytes  # uncompressed, lower-case
    algorithm: bytes
    time: int
    fudge: int
    mac: bytes
    original_id: int
    unsigned: bytes  # the message as it was signed

    def variables(self, error: int = 0, other: bytes = b"") -> bytes:
        """Return what is signed beside the message (RFC 8945 section 4.3.3)."""
        return (
            self.name
            + struct.pack("!HI", ANY, 0)
            + self.algorithm
            + _timers(self.time, self.fudge)
            + struct.pack("!HH", error, len(other))
            + other
        )


def wire_name(text: str) -> bytes:
    """Return a canonical name in wire form."""
    labels = [label.encode("ascii") for label in text.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def read_signature(message: bytes, records: list[Record]) -> Signature | None:
    """Return a message's TSIG record; None without one.

    Raises:
        WireError: it is not the last record, or not alone, or malformed (RFC 8945 section 5.2).

    """
    places = [place for place, record in enumerate(records) if record.rtype == TSIG]
    if not places:
        return None
    record = records[-1]
    if places != [len(records) - 1] or record.section != 3 or record.rclass != ANY or record.ttl:
        raise WireError("the TSIG record is not the last one")
    algorithm, at = read_name(message, record.rdata_at)
    try:
        high, low, fudge, size = struct.unpack_from("!HIHH", message, at)
        mac = message[at + 10 : at + 10 + size]
        original, _, other = struct.unpack_from("!HHH", message, at + 10 + size)
    except struct.error:
        raise WireError("the TSIG record runs over the end") from None
    if at + 16 + size + other != record.end:
        raise WireError("the TSIG record has a wrong length")
    ident, flags, *counts = HEADER.unpack_from(message)
    del ident
    head = HEADER.pack(original, flags, *counts[:3], counts[3] - 1)
    unsigned = head + message[HEADER.size : record.start]
    return Signature(record.owner, algorithm.lower(), high << 32 | low, fudge, mac, original, unsigned)


def check(signature: Signature, keys: dict[bytes, TsigKey], now: int) -> TsigKey | TsigError:
    """Return the key that a request is signed with, or what is wrong, in the order of RFC 8945 section 5.2."""
    key = keys.get(signature.name)
    if key is None or signature.algorithm != wire_name(key.algorithm):
        return TsigError.BADKEY
    expected = key.mac(signature.unsigned + signature.variables())
    if len(signature.mac) < len(expected):
        return TsigError.BADTRUNC
    if not hmac.compare_digest(signature.mac, expected):
        return TsigError.BADSIG
    if abs(now - signature.time) > min(signature.fudge, FUDGE):
        return TsigError.BADTIME
    return key


class Signer:
    """Signs the messages of one reply, in order: each proves all before it (RFC 8945 section 5.3.1)."""

    def __init__(self, key: TsigKey, request_mac: bytes = b"") -> None:
        self._key = key
        self._before = request_mac
        self._first = True

    def sign(self, message: bytes, now: int, *, error: int = 0, other: bytes = b"", at: int = 0) -> bytes:
        """Return a message with its TSIG record, signed `now` (or said to be `at`, as RFC 8945 5.2.3 has it)."""
        told = at or now
        ident = int.from_bytes(message[:2])
        name, algorithm = wire_name(self._key.name), wire_name(self._key.algorithm)
        chained = struct.pack("!H", len(self._before)) + self._before if self._before else b""
        behind = _timers(told, FUDGE)
        if self._first:
            variables = Signature(name, algorithm, told, FUDGE, b"", ident, b"").variables(error, other)
            behind = variables
        mac = self._key.mac(chained + message + behind)
        self._before, self._first = mac, False
        return with_record(message, name, algorithm, told, mac, error, other)


def unsigned_error(message: bytes, signature: Signature, error: TsigError) -> bytes:
    """Return a reply that says why a signature is not accepted, with an empty MAC (RFC 8945 section 5.3.2)."""
    return with_record(message, signature.name, signature.algorithm, signature.time, b"", error, b"")


def with_record(
    message: bytes, name: bytes, algorithm: bytes, time: int, mac: bytes, error: int, other: bytes
) -> bytes:
    """Return a message with a TSIG record behind it."""
    ident, flags, *counts = HEADER.unpack_from(message)
    rdata = (
        algorithm
        + _timers(time, FUDGE)
        + struct.pack("!H", len(mac))
        + mac
        + struct.pack("!HHH", ident, error, len(other))
        + other
    )
    head = HEADER.pack(ident, flags, *counts[:3], counts[3] + 1)
    return head + message[HEADER.size :] + name + RECORD.pack(TSIG, ANY, 0, len(rdata)) + rdata


def proves(reply: bytes, question_end: int, key: TsigKey, request_mac: bytes, now: int) -> bool:
    """Whether a single reply to a request of ours is signed with the same key."""
    try:
        signature = read_signature(reply, read_records(reply, question_end))
    except WireError:
        return False
    if signature is None or signature.name != wire_name(key.name) or abs(now - signature.time) > FUDGE:
        return False
    chained = struct.pack("!H", len(request_mac)) + request_mac
    return hmac.compare_digest(signature.mac, key.mac(chained + signature.unsigned + signature.variables()))


def server_time(now: int) -> bytes:
    """Return the six octets that tell a client with a wrong clock what time it is (RFC 8945 section 5.2.3)."""
    return struct.pack("!HI", now >> 32, now & 0xFFFFFFFF)


def _timers(time: int, fudge: int) -> bytes:
    return _TIMERS.pack(time >> 32, time & 0xFFFFFFFF, fudge)
