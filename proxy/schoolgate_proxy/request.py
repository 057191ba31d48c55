"""Reads who and what a request is really for, and refuses heads that could be read in two ways.

Sources: RFC 9112 3.2 (request target and Host), RFC 9110 7.2 and 15.5.20 (misdirected requests), RFC 9113 8.3.1
(`:authority`). Knows no proxy framework.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from schoolgate_policy.decision import Page
from schoolgate_policy.errors import InvalidHost
from schoolgate_policy.names import canonical_host
from schoolgate_policy.technique import Technique
from schoolgate_proxy import doh

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_TARGET_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_PORT = re.compile(r"[0-9]{1,5}")
_PAGE = re.compile(r"https?://(?P<host>[^/?#@\\\s]+)(?P<path>/[^?#\s]*)?(?:[?#].*)?")


@dataclass(frozen=True, slots=True)
class RequestHead:
    """What a client sent before the body. `headers` in the order of arrival, names in any case."""

    method: str
    authority: str  # of an absolute-form target, or `:authority`; empty where there was neither
    path: str  # with the query
    headers: Sequence[tuple[str, str]]
    http2: bool
    tls: bool

    def values(self, name: str) -> list[str]:
        """Return the values of all header fields of that (lower-case) name."""
        return [value for field, value in self.headers if field.lower() == name]


@dataclass(frozen=True, slots=True)
class Target:
    """What a request is for: a canonical host, the port, and the raw path without its query."""

    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The one spelling of host and port that is sent upstream."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port in {80, 443} else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that is not forwarded whatever the policy says."""

    status: int
    message: str
    technique: Technique
    host: str = ""


def split_port(text: str) -> tuple[str, int | None]:
    """Split `host`, `host:port` or `[v6]:port`; the host is not checked.

    Raises:
        InvalidHost: what follows the colon is no port.

    """
    head, colon, tail = text.rpartition(":")
    if not colon or text.endswith("]") or "]" in tail:
        return text, None
    if ":" in head and not head.endswith("]"):
        return text, None  # a bare IPv6 address: a port needs brackets
    if not tail:
        return head, None
    if not _PORT.fullmatch(tail) or not 0 < int(tail) < 65536:
        raise InvalidHost(f"{tail!r} is not a port")
    return head, int(tail)


def read_target(head: RequestHead, web_ports: frozenset[int]) -> Target | Refusal:
    """Return what the request is for, or why it is refused."""
    return _odd_head(head) or _tunnel(head) or _one_host(head, web_ports)


def _odd_head(head: RequestHead) -> Refusal | None:
    if _TARGET_CONTROL.search(head.path) or _TARGET_CONTROL.search(head.authority):
        return Refusal(400, "the request target holds a space or a control character", Technique.SMUGGLING)
    if any(_CONTROL.search(value.replace("\t", " ")) for _, value in head.headers):
        return Refusal(400, "a header field holds a control character", Technique.SMUGGLING)
    if head.method not in METHODS:
        technique = Technique.SSTP if head.method == "SSTP_DUPLEX_POST" else Technique.ODD_METHOD
        return Refusal(405, "this method is not forwarded", technique, _named(head))
    if not head.path.startswith("/") and not (head.path == "*" and head.method == "OPTIONS"):
        return Refusal(400, "the path does not begin with a slash", Technique.PATH_TRICK, _named(head))
    return None


def _tunnel(head: RequestHead) -> Refusal | None:
    for value in head.values("upgrade"):
        if {word.strip().lower() for word in value.split(",")} - {"websocket", "h2c"}:
            return Refusal(
                403, "only a websocket may be opened this way", Technique.UPGRADE_TUNNEL, _named(head)
            )
    if doh.asks(head.path, (*head.values("content-type"), *head.values("accept"))):
        return Refusal(403, "names are looked up through the school's own DNS", Technique.DOH, _named(head))
    return None


def _named(head: RequestHead) -> str:
    """Return the host a refused head names, as far as it can be told, for the record."""
    for name in (head.authority, *head.values("host")):
        try:
            return canonical_host(split_port(name)[0])
        except InvalidHost:
            continue
    return ""


def _one_host(head: RequestHead, web_ports: frozenset[int]) -> Target | Refusal:
    hosts = head.values("host")
    if len(hosts) > 1 or (not hosts and not (head.http2 and head.authority)):
        return Refusal(400, "a request names exactly one host", Technique.HOST_AMBIGUITY, _named(head))
    try:
        names = {_canonical(name, tls=head.tls) for name in (head.authority, *hosts) if name}
    except InvalidHost as error:
        return Refusal(400, str(error), Technique.ODD_HOST)
    if len(names) != 1:
        return Refusal(400, "the request names two hosts", Technique.HOST_AMBIGUITY, _named(head))
    host, port = names.pop()
    if port not in web_ports:
        return Refusal(403, f"port {port} is not open for the web", Technique.PROXY_PROTOCOL, host)
    if (port == 443) is not head.tls and port in {80, 443}:
        return Refusal(400, f"port {port} does not go with this connection", Technique.PROXY_PROTOCOL, host)
    return Target(host, port, head.path.partition("?")[0])


def _canonical(name: str, *, tls: bool) -> tuple[str, int]:
    host, port = split_port(name)
    return canonical_host(host), port or (443 if tls else 80)


def page_of(head: RequestHead) -> Page | None:
    """Return the page that wants the request as a part, by the browser's word; None: it is asked for by itself.

    Sources: Fetch Metadata (`Sec-Fetch-Dest: document` is what a person goes to), RFC 9110 10.1.3 (Referer), Fetch
    3.2 (Origin). A program can say what it likes here.
    """
    if "document" in head.values("sec-fetch-dest"):
        return None
    for name in ("referer", "origin"):
        for value in head.values(name):
            match = _PAGE.fullmatch(value)
            if match is None:
                return None
            try:
                host = canonical_host(split_port(match["host"])[0])
            except InvalidHost:
                return None
            return Page(host, match["path"] or "/")
    return None
