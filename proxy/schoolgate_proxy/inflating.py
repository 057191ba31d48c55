"""Reads the beginning of a compressed body as it comes, within bounds, for those who look at what a body holds.

Sources: RFC 9110 8.4.1 (content codings), RFC 7932 (br), RFC 8878 (zstd). `deflate` is meant to be zlib's format, and
is sent bare by some (RFC 9110 8.4.1.2).
"""

import zlib
from collections.abc import Callable
from typing import Protocol

import brotli  # type: ignore[import-untyped]  # it comes with mitmproxy, and has no types
import zstandard

_SLICE = 64  # octets fed to decoders that cannot be told to stop: of zstd, one slice makes 2 MB at most
_CODINGS = 2  # laid over one another; nobody has reason for more

type Decode = Callable[[bytes, int], bytes]


class _Unbounded(Protocol):
    def decompress(self, data: bytes, /) -> bytes: ...


class Inflate:
    """Turns the pieces of a body into its clear octets; nothing more comes of one that cannot be read."""

    __slots__ = ("_decoders", "broken")

    def __init__(self, codings: str) -> None:
        """Take the value of Content-Encoding; `broken` says that a body cannot be read (any more)."""
        names = [name.strip().lower() for name in codings.split(",")]
        wanted = [name for name in reversed(names) if name not in {"", "identity"}]
        made = [_MAKERS[name]() for name in wanted if name in _MAKERS]
        self.broken = len(made) < len(wanted) or len(made) > _CODINGS
        self._decoders: list[Decode] = made

    def __call__(self, data: bytes, most: int) -> bytes:
        """Return what a piece adds to the clear octets, about `most` at most; what is more may be lost."""
        if self.broken:
            return b""
        try:
            for decode in self._decoders:
                data = decode(data, most)
        except (zlib.error, zstandard.ZstdError, brotli.error):
            self.broken = True
            return b""
        return data[:most]


def _gzip() -> Decode:
    return zlib.decompressobj(wbits=31).decompress


def _deflate() -> Decode:
    made: list[Decode] = []

    def decode(data: bytes, most: int) -> bytes:
        if not made and data:
            # RFC 1950 2.2: the low four bits are 8 in zlib's format; a bare block that begins so is a rare one.
            made.append(zlib.decompressobj(15 if data[0] & 0x0F == 8 else -15).decompress)
        return made[0](data, most) if made else b""

    return decode


def _brotli() -> Decode:
    decoder = brotli.Decompressor()

    def decode(data: bytes, most: int) -> bytes:
        if not decoder.can_accept_more_data():
            return b""  # as much was made as was wanted
        return bytes(decoder.process(data, output_buffer_limit=most))

    return decode


def _zstd() -> Decode:
    decoder: _Unbounded = zstandard.ZstdDecompressor().decompressobj()

    def decode(data: bytes, most: int) -> bytes:
        clear = b""
        for start in range(0, len(data), _SLICE):
            clear += decoder.decompress(data[start : start + _SLICE])
            if len(clear) >= most:
                break
        return clear

    return decode


_MAKERS: dict[str, Callable[[], Decode]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
