"""Pages of hosts as keys of a set, so that a listed page is found however its URL is written.

Every key starts with a letter: `h` host that has pages; `p` host and path prefix; `q` host and path that has queries;
`?` host, path and query. The case of paths is folded: some servers do, and for what is locked the wider reading counts.
"""

from collections.abc import Iterable, Iterator
from itertools import combinations
from urllib.parse import parse_qsl, urlsplit

from schoolgate_policy.errors import InvalidHost, InvalidPath
from schoolgate_policy.names import canonical_host
from schoolgate_policy.paths import canonical_path

_MOST_PARAMETERS = 8  # of a request to a page that is listed with a query; beyond them it counts as listed
_MOST_SEGMENTS = 64


class InvalidPage(ValueError):  # noqa: N818
    """Text that is no URL of a page."""


def keys_of(text: str) -> Iterable[bytes]:
    """Return the keys under which a page is entered.

    Raises:
        InvalidPage: the text is no URL.

    """
    host, raw = split_page(text)
    try:
        path = canonical_path(raw).lower().rstrip("/")
    except InvalidPath as error:
        raise InvalidPage(str(error)) from None
    query = _parameters(raw)
    if not query:
        return _key("h", host), _key("p", host, path)
    return _key("h", host), _key("q", host, path), _key("?", host, path, _joined(query))


def split_page(text: str) -> tuple[str, str]:
    """Return the canonical host and raw path of a URL, with or without a scheme.

    Raises:
        InvalidPage: the text is no URL.

    """
    try:
        parts = urlsplit(text if "://" in text else f"//{text}")
        host = canonical_host(parts.hostname or "")
    except (InvalidHost, ValueError) as error:
        raise InvalidPage(str(error)) from None
    query = f"?{parts.query}" if parts.query else ""
    return host, f"{parts.path}{query}"


def is_whole_site(raw: str) -> bool:
    """Whether a raw path stands for all pages of a site."""
    return raw in {"", "/"}


def host_key(host: str) -> bytes:
    """Return the key that is in the set where a host has pages."""
    return _key("h", host)


def keys_to_ask(host: str, raw: str) -> Iterator[bytes]:
    """Yield the keys of which one is in the set if a raw path of a host (not of those above it) is listed.

    Raises:
        InvalidPath: the path cannot be brought into one form.

    """
    path = canonical_path(raw).lower().rstrip("/")
    places = [place for place, character in enumerate(path) if character == "/"]
    for place in (*places[:_MOST_SEGMENTS], len(path)):
        yield _key("p", host, path[:place])


def query_key(host: str, raw: str) -> bytes:
    """Return the key that is in the set where a page is listed with some query."""
    return _key("q", host, canonical_path(raw).lower().rstrip("/"))


def queries_to_ask(host: str, raw: str) -> Iterator[bytes] | None:
    """Return the keys of a page with each choice of its parameters; None where there are too many to try."""
    query = _parameters(raw)
    if len(query) > _MOST_PARAMETERS:
        return None
    path = canonical_path(raw).lower().rstrip("/")
    return (
        _key("?", host, path, _joined(choice))
        for count in range(1, len(query) + 1)
        for choice in combinations(query, count)
    )


def _parameters(raw: str) -> list[tuple[str, str]]:
    query = raw.partition("#")[0].partition("?")[2]
    try:
        pairs = parse_qsl(query.replace(";", "&"), keep_blank_values=True, max_num_fields=200)
    except ValueError:  # hundreds of parameters: more than are tried
        pairs = [(str(number), "") for number in range(_MOST_PARAMETERS + 1)]
    return sorted({(name.lower(), value.lower()) for name, value in pairs})


def _joined(pairs: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"{name}={value}" for name, value in pairs)


def _key(kind: str, host: str, path: str = "", query: str = "") -> bytes:
    return f"{kind}\0{host}\0{path}\0{query}".encode("utf-8", "surrogatepass")
