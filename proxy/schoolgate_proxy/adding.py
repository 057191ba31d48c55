"""Sets on a request what the policy adds to it: header fields, and parameters of searches. Knows no proxy framework."""

from collections.abc import Mapping
from urllib.parse import quote, unquote_plus

_SEARCH = "q"  # the parameter that holds the words, at every search engine we know


def with_query(path: str, wanted: Mapping[str, str]) -> str:
    """Return a raw path with parameters set in its query, in the place of the client's own; searches only."""
    before, mark, query = path.partition("?")
    parts = query.split("&") if mark else []
    named = [(unquote_plus(part.partition("=")[0]).lower(), part) for part in parts]
    if not wanted or _SEARCH not in {name for name, _ in named}:
        return path
    kept = [part for name, part in named if name not in wanted]
    return (
        before + "?" + "&".join([*kept, *(f"{quote(name)}={quote(value)}" for name, value in wanted.items())])
    )
