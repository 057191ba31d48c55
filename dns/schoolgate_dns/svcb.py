"""Service binding records (RFC 9460): out go the ways to connect that this filter cannot watch.

Removed: `ech` (hides the server's name, RFC 9848), HTTP/3 from `alpn` (QUIC is not inspected), the address hints
(they would be a way past the answers we judge), and `dohpath` (RFC 9461).
"""

import struct

from schoolgate_dns.wire import WireError, read_name

_MANDATORY, _ALPN, _NO_DEFAULT_ALPN, _IPV4HINT, _ECH, _IPV6HINT, _DOHPATH = 0, 1, 2, 4, 5, 6, 7
_REMOVED = frozenset({_IPV4HINT, _ECH, _IPV6HINT, _DOHPATH})
_PARAM = struct.Struct("!HH")


def alias_target(rdata: bytes) -> bytes | None:
    """Return the lower-case wire name that a record in AliasMode (priority 0) points to; None for other records.

    Raises:
        WireError: the data end too soon.

    """
    target, _ = _target(rdata)
    return target.lower() if rdata[:2] == b"\0\0" and target != b"\0" else None


def _target(rdata: bytes) -> tuple[bytes, int]:
    """Return the target's name, and the offset of the parameters. The name is never compressed (section 2.2)."""
    if len(rdata) < 3:
        raise WireError("a service record is too short")
    name, end = read_name(rdata, 2)
    if len(name) != end - 2:
        raise WireError("a service record has a compressed target")
    return name, end


def without_hiding(rdata: bytes) -> bytes | None:
    """Return the record's data without what this filter cannot watch; None where no usable record is left.

    None is also the answer for data that are malformed: clients must ignore those anyway (section 2.2).
    """
    try:
        _, offset = _target(rdata)
        params = _read_params(rdata, offset)
    except WireError:
        return None
    kept = {key: value for key, value in params.items() if key not in _REMOVED}
    if _ALPN in kept:
        protocols = _without_http3(kept[_ALPN])
        if protocols is None:
            return None
        if not protocols and _NO_DEFAULT_ALPN in kept:
            return None  # this endpoint speaks HTTP/3 and nothing else
        if protocols:
            kept[_ALPN] = protocols
        else:
            del kept[_ALPN]
    _shorten_mandatory(kept)
    tail = b"".join(_PARAM.pack(key, len(value)) + value for key, value in kept.items())
    return rdata[:offset] + tail


def _read_params(rdata: bytes, offset: int) -> dict[int, bytes]:
    params: dict[int, bytes] = {}
    last = -1
    while offset < len(rdata):
        if offset + _PARAM.size > len(rdata):
            raise WireError("a service parameter is cut off")
        key, length = _PARAM.unpack_from(rdata, offset)
        offset += _PARAM.size + length
        # Ascending order, each key once: anything else is malformed (section 2.2).
        if offset > len(rdata) or key <= last:
            raise WireError("service parameters are cut off or out of order")
        params[key] = rdata[offset - length : offset]
        last = key
    return params


def _without_http3(alpn: bytes) -> bytes | None:
    """Return the protocol list without `h3` and its drafts; None where it is malformed."""
    kept = b""
    offset = 0
    while offset < len(alpn):
        end = offset + 1 + alpn[offset]
        if end == offset + 1 or end > len(alpn):
            return None
        if not alpn[offset + 1 : end].lower().startswith(b"h3"):
            kept += alpn[offset:end]
        offset = end
    return kept


def _shorten_mandatory(params: dict[int, bytes]) -> None:
    """Take the keys that are gone out of `mandatory`, and `mandatory` itself when nothing is left in it."""
    listed = params.get(_MANDATORY)
    if listed is None:
        return
    keys = [listed[at : at + 2] for at in range(0, len(listed), 2)]
    kept = b"".join(key for key in keys if int.from_bytes(key) in params)
    if kept:
        params[_MANDATORY] = kept
    else:
        del params[_MANDATORY]
