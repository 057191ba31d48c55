"""What is asked of the server of zones: who asks is proved first, then what is wanted is told."""

import struct
from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass

from schoolgate_dns.rpz.archive import Archive, is_newer
from schoolgate_dns.rpz.config import RpzConfig
from schoolgate_dns.rpz.ports import Refused, RpzCounters, Seconds, Transfer
from schoolgate_dns.rpz.records import soa
from schoolgate_dns.rpz.transfer import Differences, messages, whole
from schoolgate_dns.rpz.tsig import (
    Signature,
    Signer,
    TsigError,
    TsigKey,
    check,
    read_signature,
    server_time,
    unsigned_error,
    wire_name,
)
from schoolgate_dns.rpz.zone import Version
from schoolgate_dns.wire import (
    HEADER,
    IN,
    QR,
    QUESTION_TAIL,
    RD,
    Qtype,
    Rcode,
    Record,
    WireError,
    read_name,
    read_records,
)

IXFR, AXFR = 251, 252
NOTAUTH = 9
_OPCODE = 0x7800
_WHY = {
    TsigError.BADKEY: Refused.BAD_KEY,
    TsigError.BADSIG: Refused.BAD_SIGNATURE,
    TsigError.BADTRUNC: Refused.BAD_SIGNATURE,
    TsigError.BADTIME: Refused.BAD_TIME,
}


@dataclass(frozen=True, slots=True)
class _Request:
    ident: int
    flags: int
    question: bytes
    zone: str | None  # the first label of a zone of ours
    qtype: int
    serial: int | None  # what an IXFR's sender has
    signature: Signature | None


class Desk:
    """Answers requests; each reply is some messages, made while they are sent."""

    def __init__(self, config: RpzConfig, archive: Archive, counters: RpzCounters, seconds: Seconds) -> None:
        self._archive = archive
        self._differences = Differences(archive.folder)
        self._counters = counters
        self._seconds = seconds
        self._keys = {wire_name(one.key.name): one.key for one in config.secondaries if one.key}
        self._unsigned = {one.notify[0] for one in config.secondaries if one.key is None}
        self._suffix = wire_name(config.origin)

    def reply(self, message: bytes, peer: str, *, tcp: bool) -> Generator[bytes]:
        """Yield the reply to one message of a peer (its address); none to what is no request."""
        if len(message) < HEADER.size or message[2] & QR >> 8:
            return
        try:
            request = self._read(message)
        except (WireError, struct.error):
            self._counters.refused(Refused.MALFORMED)
            yield _bare(message, Rcode.FORMERR)
            return
        if request.signature is not None:
            yield from self._signed(request, request.signature, tcp=tcp)
        elif peer in self._unsigned:
            yield from self._served(request, tcp=tcp)
        else:
            self._counters.refused(Refused.UNSIGNED)
            yield _failure(request, Rcode.REFUSED)

    def _signed(self, request: _Request, signature: Signature, *, tcp: bool) -> Generator[bytes]:
        now = int(self._seconds())
        found = check(signature, self._keys, now)
        if isinstance(found, TsigKey):
            signer = Signer(found, signature.mac)
            with closing(self._served(request, tcp=tcp)) as reply:
                for message in reply:
                    yield signer.sign(message, int(self._seconds()))
            return
        self._counters.refused(_WHY[found])
        failure = _failure(request, NOTAUTH)
        if found in {TsigError.BADTIME, TsigError.BADTRUNC}:
            key = self._keys[signature.name]
            other, at = (server_time(now), signature.time) if found is TsigError.BADTIME else (b"", now)
            yield Signer(key, signature.mac).sign(failure, now, error=found, other=other, at=at)
        else:
            yield unsigned_error(failure, signature, found)

    def _served(self, request: _Request, *, tcp: bool) -> Generator[bytes]:
        """Yield the reply to somebody who may have the zones."""
        version = self._archive.current(request.zone) if request.zone else None
        if request.zone is None or version is None:
            self._counters.refused(Refused.NO_SUCH_ZONE)
            yield _failure(request, NOTAUTH)
            return
        served = request.qtype in {Qtype.SOA, IXFR} or (request.qtype == AXFR and tcp)
        if not served or request.flags & _OPCODE:
            self._counters.refused(Refused.NOT_SERVED)
            yield _failure(request, Rcode.NOTIMP if request.flags & _OPCODE else Rcode.REFUSED)
            return
        gave, records = self._content(request, request.zone, version, tcp=tcp)
        self._counters.gave(gave)
        yield from messages(request.ident, request.flags, request.question, records)

    def _content(
        self, request: _Request, zone: str, version: Version, *, tcp: bool
    ) -> tuple[Transfer, Iterable[bytes]]:
        folder, had = self._archive.folder, request.serial
        if request.qtype == AXFR:
            return Transfer.WHOLE, whole(version, folder)
        if not tcp or had is None or not is_newer(version.serial, had):
            # Over UDP the serial says enough: who is behind comes back over TCP (RFC 1995 section 2).
            return Transfer.SERIAL, (soa(version.serial, version.ttl),)
        old = self._archive.at(zone, had)
        if old is None:
            return Transfer.WHOLE, whole(version, folder)
        return Transfer.CHANGES, self._differences.records(old, version)

    def _read(self, message: bytes) -> _Request:
        ident, flags, questions, *_ = HEADER.unpack_from(message)
        if questions != 1:
            raise WireError("a request has one question")
        name, end = read_name(message, HEADER.size)
        qtype, qclass = QUESTION_TAIL.unpack_from(message, end)
        question = name + message[end : end + QUESTION_TAIL.size]
        records = read_records(message, end + QUESTION_TAIL.size)
        zone = self._zone(name.lower()) if qclass == IN else None
        serial = _serial(message, records) if qtype == IXFR else None
        return _Request(ident, flags, question, zone, qtype, serial, read_signature(message, records))

    def _zone(self, name: bytes) -> str | None:
        label = name[1 : 1 + name[0]]
        return label.decode("ascii", "replace") if name[1 + name[0] :] == self._suffix else None


def _serial(message: bytes, records: list[Record]) -> int:
    """Return the serial of the SOA record that an IXFR's sender shows (RFC 1995 section 3)."""
    shown = next((one for one in records if one.section == 2 and one.rtype == Qtype.SOA), None)
    if shown is None:
        raise WireError("an IXFR shows what its sender has")
    _, at = read_name(message, shown.rdata_at)
    _, at = read_name(message, at)
    return int.from_bytes(message[at : at + 4])


def _failure(request: _Request, rcode: int) -> bytes:
    flags = QR | (request.flags & (_OPCODE | RD)) | rcode
    return HEADER.pack(request.ident, flags, 1, 0, 0, 0) + request.question


def _bare(message: bytes, rcode: int) -> bytes:
    ident, flags = struct.unpack_from("!HH", message)
    return HEADER.pack(ident, QR | (flags & (_OPCODE | RD)) | rcode, 0, 0, 0, 0)
