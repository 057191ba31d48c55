"""URL paths in one spelling, so that a path exception opens that page and no other.

Sources: RFC 3986 5.2.4 (dot segments) and 6.2.2 (normalisation); the rest is what servers are known to fold.
"""

import re
from urllib.parse import quote, unquote_to_bytes

from schoolgate_policy.errors import InvalidPath

_MAX_DECODINGS = 3
_ESCAPE = re.compile(r"%[0-9a-fA-F]{2}")
_KEPT = "/-._~!$&'()*+,;=:@"  # RFC 3986 pchar and the slash stay as they are


def canonical_path(raw: str) -> str:
    """Return the path a server may understand: decoded, without query, parameters, dot segments, double slashes.

    Raises:
        InvalidPath: encoded more than three times, not UTF-8, or with control characters.

    """
    text = _decoded(re.split(r"[?#]", raw, maxsplit=1)[0])
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in text):
        raise InvalidPath("a path with control characters")
    segments = [segment.partition(";")[0] for segment in text.replace("\\", "/").split("/")]
    return quote(_without_dots(segments), safe=_KEPT)


def _decoded(text: str) -> str:
    for _ in range(_MAX_DECODINGS + 1):
        if not _ESCAPE.search(text):
            return text
        try:
            text = unquote_to_bytes(text).decode("utf-8")
        except UnicodeDecodeError:
            raise InvalidPath("a path that is not UTF-8") from None
    raise InvalidPath(f"a path encoded more than {_MAX_DECODINGS} times")


def _without_dots(segments: list[str]) -> str:
    kept: list[str] = []
    for segment in segments:
        if segment == "..":
            if kept:
                kept.pop()
        elif segment not in {"", "."}:
            kept.append(segment)
    slash = "/" if kept and segments[-1] in {"", ".", ".."} else ""
    return "/" + "/".join(kept) + slash


def is_canonical(raw: str) -> bool:
    """Whether a raw path is spelt so plainly that every server reads it as we do (the query does not count)."""
    path = re.split(r"[?#]", raw, maxsplit=1)[0]
    try:
        return _ESCAPE.sub(lambda escape: escape[0].upper(), path) == canonical_path(raw)
    except InvalidPath:
        return False


def is_below(path: str, prefix: str) -> bool:
    """Whether a canonical path is the prefix itself or lies below it (`/school` covers `/school/news`, not `/schools`)."""
    stem = prefix.rstrip("/")
    return path == stem or path.startswith(stem + "/") or not stem
