"""Finds the address of another site inside a request: what a translator, an archive or a web proxy is to show.

Pure. What services spell it how is data (`embedded.yaml`). An address may be wrapped three times: percent-encoded,
base64, hexadecimal, or by Ultraviolet's codec (every second character XOR 2); and one service inside another.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote, unquote_plus

from schoolgate_policy.embedded_data import WHOLE, Carrier, Program, knowledge
from schoolgate_policy.errors import InvalidHost
from schoolgate_policy.names import as_ip, canonical_host

_LAYERS = 3
_NESTED = 3
_LONGEST = 8192  # characters of an address that are looked at
_SCHEME = re.compile(r"(?:https?|wss?)?:?/{1,2}|s?://|https?:", re.IGNORECASE)
_ABSOLUTE = re.compile(r"(?:(?:https?|wss?):/{1,2}|s?://|//)[^\s/?#\\]", re.IGNORECASE)
_INSIDE = re.compile(r"(?:https?|wss?)(?::|%(?:25){0,2}3a)(?:/|%(?:25){0,2}2f)", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{10,}={0,2}")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2}){8,}")
_XOR = re.compile(r"hvtrs8/-|hvtr:-/")  # `https:` and `http:` as Ultraviolet writes them
_BARE = re.compile(r"(?:[\w-]+\.)+[A-Za-z][\w-]+(?::[0-9]+)?(?:[/?#].*)?", re.DOTALL)
# The beginnings of an address in any of its wrappings, so that ordinary requests cost one search.
_MAYBE = re.compile(
    r"[Hh][Tt][Tt][Pp][Ss]?(?::|%(?:25){0,2}3[aA])|=(?:s?:|s?%3[aA])?(?:/|%2[fF]){2}"
    r"|aHR0c|YUhSMGN|Oi8v|czovL|d3d3L|68747470|hvtr|\?(?:https?|//)"
)


@dataclass(frozen=True, slots=True)
class Embedded:
    """An address inside a request. `host` is canonical; `path` raw, without its query."""

    host: str
    path: str
    redirects: bool = False  # the browser is only sent there
    known: bool = False  # in a place where a service is known to carry one


def embedded_in(host: str, target: str) -> tuple[Embedded, ...]:
    """Return the addresses inside a request to a canonical host; `target` is the raw path with the query."""
    return tuple(dict.fromkeys(_all(host, target[:_LONGEST], _NESTED)))


def program_at(target: str, headers: Iterable[str] = (), *, websocket: bool = False) -> Program | None:
    """Return the rewriting web proxy that a request shows its site to run; `headers` are lower-case names."""
    known = knowledge()
    present = known.headers.intersection(headers)
    if not present and not known.signs.search(target):
        return None
    path, _, query = target.partition("?")
    names: frozenset[str] | None = None
    for program in known.programs:
        if present & program.headers or (websocket and program.websocket and program.websocket.search(path)):
            return program
        if program.paths is not None and not program.paths.search(path):
            continue
        if program.query:
            if names is None:
                names = frozenset(_parameters(query))
            if not program.query <= names:
                continue
        elif program.paths is None:
            continue
        return program
    return None


def program_in(body: bytes, *, script: bool) -> Program | None:
    """Return the rewriting web proxy that the beginning of a page, or of a `script`, shows its site to run."""
    for program in knowledge().programs:
        if script:
            if any(text in body for text in program.scripts):
                return program
        elif program.pages is not None and program.pages.search(body):
            return program
    return None


def _all(host: str, target: str, depth: int) -> Iterator[Embedded]:
    carriers = knowledge().carriers_of(host)
    if not carriers and not _MAYBE.search(target):
        return
    path, _, query = target.partition("?")
    parameters = _parameters(query)
    for carrier in carriers:
        for text in _carried(carrier, host, path, query, parameters):
            yield from _nested(text, depth, redirects=carrier.redirects, known=True)
    for text in _anywhere(path, query, parameters):
        yield from _nested(text, depth, absolute=True)


def _nested(
    text: str, depth: int, *, redirects: bool = False, known: bool = False, absolute: bool = False
) -> Iterator[Embedded]:
    found = _unwrapped(text, absolute=absolute)
    if found is None:
        return
    host, path, query = found
    yield Embedded(host, path, redirects, known)
    if depth > 1:
        yield from _all(host, f"{path}?{query}" if query else path, depth - 1)


def _carried(
    carrier: Carrier, host: str, path: str, query: str, parameters: Mapping[str, str]
) -> Iterator[str]:
    if carrier.hyphens:
        name = _from_hyphens(host, carrier.names, parameters)
        if name is not None:
            yield name + path
    for pattern in carrier.paths:
        match = pattern.search(path)
        if match is not None:
            yield match["target"] + (f"?{query}" if query else "")
    if not carrier.only_at or any(pattern.search(path) for pattern in carrier.only_at):
        yield from _in_query(carrier, query, parameters)


def _in_query(carrier: Carrier, query: str, parameters: Mapping[str, str]) -> Iterator[str]:
    for name in carrier.query:
        if name == WHOLE:
            yield query
        elif name in parameters:
            yield parameters[name]
    for name, pattern in carrier.query_patterns.items():
        match = pattern.search(unquote_plus(parameters.get(name, "")))
        if match is not None:
            yield match["target"]


def _anywhere(path: str, query: str, parameters: Mapping[str, str]) -> Iterator[str]:
    for name, value in parameters.items():
        if name.lower() in knowledge().anywhere:
            yield value
    if query and "=" not in query.partition("/")[0]:
        yield query
    inside = _INSIDE.search(path)
    if inside is not None:
        yield path[inside.start() :] + (f"?{query}" if query else "")
        return
    segments = [segment for segment in path.split("/") if len(segment) >= 12]
    yield from segments[-3:]


def _parameters(query: str) -> dict[str, str]:
    """Return the raw value of each parameter by its decoded name; of one that stands twice, the last."""
    pairs = (part.partition("=") for part in re.split("[&;]", query) if "=" in part)
    return {unquote_plus(name): value for name, _, value in pairs}


def _from_hyphens(host: str, names: tuple[str, ...], parameters: Mapping[str, str]) -> str | None:
    """Read a host that stands in a label with its dots as hyphens, and its hyphens as two.

    Google's `_x_tr_hp` holds what was too long for the label, `_x_tr_enc` says which marks stand before it: `0-`
    for an internationalised name, `1-` for one that begins like a mark.
    """
    above = next(name for name in names if host == name or host.endswith(f".{name}"))
    label = host.removesuffix(above).removesuffix(".").rpartition(".")[2]
    marks = parameters.get("_x_tr_enc", "").split(",")
    label = parameters.get("_x_tr_hp", "") + label
    if "1" in marks:
        label = label.removeprefix("1-")
    international = "0" in marks and label.startswith("0-")
    if international:
        label = label.removeprefix("0-")
    name = re.sub(r"(?<=\w)-(?=\w)", ".", label).replace("--", "-")
    return (f"xn--{name}" if international else name) if "." in name else None


def _unwrapped(text: str, *, absolute: bool) -> tuple[str, str, str] | None:
    """Take an address out of its wrappings; with `absolute` only what has a scheme in the end, or was base64."""
    current, wrapped = text.strip(), False
    for _ in range(_LAYERS + 1):
        if _ABSOLUTE.match(current) or (_BARE.fullmatch(current) and (wrapped or not absolute)):
            return _split(current)
        following = _one_layer_less(current)
        if following is None:
            return None
        wrapped = wrapped or "%" not in current
        current = following.strip()
    return None


def _one_layer_less(text: str) -> str | None:
    if "%" in text:
        plain = unquote(text, errors="replace")
        return plain if plain != text else None
    if _XOR.match(text):
        return "".join(chr(ord(c) ^ 2) if place % 2 else c for place, c in enumerate(text))
    if _HEX.fullmatch(text):
        return _readable(bytes.fromhex(text))
    if _BASE64.fullmatch(text):
        try:
            return _readable(
                base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), altchars=b"-_")
            )
        except (binascii.Error, ValueError):
            return None
    return None


def _readable(data: bytes) -> str | None:
    """Return the text that bytes are, None where they are no printable ASCII."""
    return data.decode("ascii") if data.isascii() and data.decode("ascii").isprintable() else None


def _split(text: str) -> tuple[str, str, str] | None:
    """Split an address into canonical host, path and query; user information and port are dropped."""
    rest = re.sub(r"^[\s/\\]+", "", _SCHEME.sub("", text, count=1) if _ABSOLUTE.match(text) else text)
    authority = re.split(r"[/?#\\]", rest, maxsplit=1)[0]
    tail = rest[len(authority) :].partition("#")[0].replace("\\", "/")
    name = unquote(authority).rpartition("@")[2]
    name = re.sub(r"(?<=[^:\]]):[0-9]*$|(?<=\]):[0-9]*$", "", name)
    try:
        host = canonical_host(name)
    except InvalidHost:
        return None
    if "." not in host and as_ip(host) is None:
        return None
    path, _, query = tail.partition("?")
    return host, path or "/", query
