"""DNS cookies (RFC 7873) in the form all servers agree on (RFC 9018): a client that has one was seen at its address.

Nobody is refused for want of a cookie. Processes that answer at one address share a secret, so that each takes the
cookies of the others.
"""

import secrets
import struct
from ipaddress import ip_address

COOKIE = 10  # option code
SECRET_SIZE = 16
_CLIENT = 8  # octets of the client's part
_LENGTHS = frozenset({_CLIENT, *range(_CLIENT + 8, _CLIENT + 33)})
_VERSION = b"\1\0\0\0"  # version 1 and three reserved octets
_STAMP = struct.Struct("!I")
_FRESH = 1800  # RFC 9018 section 4.3: younger cookies are given back as they are
_OLDEST, _AHEAD = 3600, 300
_MASK = (1 << 64) - 1


class Cookies:
    """Makes and checks server cookies."""

    def __init__(self, secret: bytes = b"") -> None:
        if secret and len(secret) != SECRET_SIZE:
            raise ValueError(f"a cookie secret has {SECRET_SIZE} octets, this has {len(secret)}")
        self._secret = secret or secrets.token_bytes(SECRET_SIZE)

    def check(self, cookie: bytes, address: str, now: int) -> tuple[bytes, bool] | None:
        """Return the cookie to answer with, and whether the one received is ours; None where it is malformed.

        `now` is in seconds since 1970.
        """
        if len(cookie) not in _LENGTHS:
            return None
        client, server = cookie[:_CLIENT], cookie[_CLIENT:]
        packed = ip_address(address.partition("%")[0]).packed
        if len(server) == len(_VERSION) + _STAMP.size + 8 and server[:4] == _VERSION:
            (stamp,) = _STAMP.unpack_from(server, 4)
            age = (now - stamp + 0x80000000) % 0x100000000 - 0x80000000  # RFC 1982: survives the year 2106
            ours = secrets.compare_digest(server, self._make(client, packed, stamp))
            if ours and -_AHEAD <= age <= _OLDEST:
                return cookie if age <= _FRESH else client + self._make(client, packed, now), True
        return client + self._make(client, packed, now), False

    def _make(self, client: bytes, packed: bytes, stamp: int) -> bytes:
        head = _VERSION + _STAMP.pack(stamp & 0xFFFFFFFF)
        return head + siphash(self._secret, client + head + packed)


def siphash(key: bytes, data: bytes) -> bytes:
    """Return SipHash-2-4 of the data (Aumasson and Bernstein, 2012), 8 octets."""
    k0, k1 = struct.unpack("<QQ", key)
    state = [
        k0 ^ 0x736F6D6570736575,
        k1 ^ 0x646F72616E646F6D,
        k0 ^ 0x6C7967656E657261,
        k1 ^ 0x7465646279746573,
    ]
    padded = data + bytes(-(len(data) + 1) % 8) + bytes([len(data) & 0xFF])
    for (word,) in struct.iter_unpack("<Q", padded):
        state[3] ^= word
        _rounds(state, 2)
        state[0] ^= word
    state[2] ^= 0xFF
    _rounds(state, 4)
    return struct.pack("<Q", state[0] ^ state[1] ^ state[2] ^ state[3])


def _rounds(state: list[int], count: int) -> None:
    a, b, c, d = state
    for _ in range(count):
        a, c = (a + b) & _MASK, (c + d) & _MASK
        b, d = _turn(b, 13) ^ a, _turn(d, 16) ^ c
        a, c = (_turn(a, 32) + d) & _MASK, (c + b) & _MASK
        b, d = _turn(b, 17) ^ c, _turn(d, 21) ^ a
        c = _turn(c, 32)
    state[:] = a, b, c, d


def _turn(word: int, bits: int) -> int:
    return (word << bits | word >> (64 - bits)) & _MASK
