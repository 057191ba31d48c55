"""Reads the ClientHello at the start of a TLS connection; pure, and strict: what is not one is refused.

Sources: RFC 8446 4.1.2 (ClientHello), 5.1 (records; a handshake message may be spread over any number of them),
RFC 6066 3 (server name), RFC 7301 3.1 (ALPN), RFC 9849 (Encrypted ClientHello).
"""

from dataclasses import dataclass

LARGEST = 16_384  # octets of a ClientHello; post-quantum key shares need about 2,000
LARGEST_RAW = 32_768  # with the headers of the records it is spread over
_HEADER = 5
_HANDSHAKE, _CLIENT_HELLO = 22, 1
_SERVER_NAME, _ALPN, _ECH = 0, 16, 0xFE0D


class NotAHello(ValueError):  # noqa: N818 - reads as what it is where it is caught
    """Bytes that begin like TLS and are no ClientHello."""


@dataclass(frozen=True, slots=True)
class Hello:
    """What a ClientHello says. `sni` is None where there is not exactly one host name, else as it was sent."""

    sni: str | None
    alpn: tuple[bytes, ...]
    ech: bool  # the extension is there, be it real or GREASE
    records: int  # TLS records it was spread over


def read_hello(data: bytes) -> Hello | int:
    """Return the ClientHello at the start of `data`, or how many octets must be there before it is worth another try.

    Raises:
        NotAHello: it is none, whatever may follow, or it is longer than is accepted.

    """
    if len(data) > _HEADER and len(data) >= _HEADER + (end := data[3] << 8 | data[4]):
        message = data[_HEADER : _HEADER + end]  # the usual case: one record, all there
        _check_header(data, 0)
        if len(message) >= 4 and len(message) == 4 + int.from_bytes(message[1:4]):
            return _parse(message, 1)
    return _read_records(data)


def read_message(message: bytes) -> Hello:
    """Return a ClientHello from its handshake message without the header; raises as `read_hello` does."""
    return _parse(b"\1" + len(message).to_bytes(3) + message, 1)


def _read_records(data: bytes) -> Hello | int:
    message = bytearray()
    position = records = 0
    while True:
        if len(data) < position + _HEADER:
            _check_prefix(data, position)
            return position + _HEADER
        length = _check_header(data, position)
        start = position + _HEADER
        message += data[start : start + length]
        records += 1
        if message[:1] and message[0] != _CLIENT_HELLO:
            raise NotAHello("a handshake begins with a ClientHello")
        whole = 4 + int.from_bytes(message[1:4]) if len(message) >= 4 else None
        if whole is not None and (whole > LARGEST or len(message) > whole):
            raise NotAHello("the ClientHello is too long")
        position = start + length
        if position > LARGEST_RAW:
            raise NotAHello("the ClientHello is spread too thin")
        if len(data) < position:
            return position
        if len(message) == whole:
            return _parse(bytes(message), records)


def _check_prefix(data: bytes, position: int) -> None:
    for octet, allowed in zip(
        data[position : position + 3], ({_HANDSHAKE}, {3}, {0, 1, 2, 3, 4}), strict=False
    ):
        if octet not in allowed:
            raise NotAHello("not a TLS handshake record")


def _check_header(data: bytes, position: int) -> int:
    """Return the length of the record whose header stands at `position`."""
    if data[position] != _HANDSHAKE or data[position + 1] != 3 or data[position + 2] > 4:
        raise NotAHello("not a TLS handshake record")
    length = data[position + 3] << 8 | data[position + 4]
    if not 0 < length <= LARGEST:  # RFC 8446 5.1: handshake fragments are never empty
        raise NotAHello("a TLS record of an impossible length")
    return length


def _parse(message: bytes, records: int) -> Hello:
    if message[0] != _CLIENT_HELLO:
        raise NotAHello("a handshake begins with a ClientHello")
    if len(message) > LARGEST:
        raise NotAHello("the ClientHello is too long")
    try:
        position = 4 + 2 + 32
        position += 1 + message[position]  # session id
        position += 2 + (message[position] << 8 | message[position + 1])  # cipher suites
        position += 1 + message[position]  # compression methods
        return _extensions(message, position, records)
    except IndexError:
        raise NotAHello("the ClientHello ends too early") from None


def _extensions(message: bytes, position: int, records: int) -> Hello:
    sni: str | None = None
    alpn: tuple[bytes, ...] = ()
    seen: set[int] = set()
    if position < len(message):
        end = position + 2 + (message[position] << 8 | message[position + 1])
        position += 2
        if end != len(message):
            raise NotAHello("the extensions do not fill the ClientHello")
        while position < end:
            kind = message[position] << 8 | message[position + 1]
            start = position + 4
            position = start + (message[position + 2] << 8 | message[position + 3])
            if position > end or kind in seen:  # RFC 8446 4.2: each extension once
                raise NotAHello("an extension is cut short or stands there twice")
            seen.add(kind)
            if kind == _SERVER_NAME:
                sni = _server_name(message[start:position])
            elif kind == _ALPN:
                alpn = _protocols(message[start:position])
    elif position > len(message):
        raise NotAHello("the ClientHello ends too early")
    return Hello(sni, alpn, _ECH in seen, records)


def _server_name(body: bytes) -> str | None:
    if len(body) < 5 or body[2] != 0:
        return None
    length = body[3] << 8 | body[4]
    if (body[0] << 8 | body[1]) != len(body) - 2 or length != len(body) - 5:
        return None  # several names, or one that is cut short
    return body[5:].decode("ascii", "backslashreplace")


def _protocols(body: bytes) -> tuple[bytes, ...]:
    found = []
    position = 2
    while position < len(body):
        length = body[position]
        found.append(body[position + 1 : position + 1 + length])
        position += 1 + length
    return tuple(found)
