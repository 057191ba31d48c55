"""One line of a list → the hosts and pages in it. A text with a slash is a page.

Sources: hosts(5); dnsmasq(8) `--address`, `--server`, `--local`; the Adblock Plus filter syntax; the response policy zones
draft (vixie-dnsop-dns-rpz, section 4); the layout of the Toulouse (UT1) lists.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from schoolgate_policy.lists.spec import Format
from schoolgate_policy.names import as_ip

type LineParser = Callable[[str, "Tally"], Iterable[str]]

_LOCAL = frozenset(
    {"localhost", "localhost.localdomain", "local", "broadcasthost", "0.0.0.0", "ip6-localhost"}  # noqa: S104
    | {"ip6-loopback", "ip6-localnet", "ip6-mcastprefix", "ip6-allnodes", "ip6-allrouters", "ip6-allhosts"}
)
_WHOLE_SITE = frozenset({"important", "all", "document", "doc", "popup"})  # options that narrow nothing
_DNSMASQ = re.compile(r"(address|server|local)=/([^#]*)/([^/]*)")
_RPZ_TRIGGERS = (".rpz-ip", ".rpz-nsdname", ".rpz-nsip", ".rpz-client-ip")
_RPZ_KINDS = frozenset({"a", "aaaa", "cname", "txt", "soa", "ns", "srv", "mx", "ptr", "dname"})
_SAMPLE = 200  # lines that are looked at to find the format


class BadLine(ValueError):  # noqa: N818
    """A line that makes no sense in its format."""


@dataclass(slots=True)
class Tally:
    """Counts what a list holds beside names."""

    exceptions: int = 0
    unused: int = 0


def parser_of(kind: Format) -> LineParser:
    """Return a new parser of the lines of one file."""
    match kind:
        case Format.HOSTS | Format.DOMAINS | Format.UT1:
            return _plain
        case Format.ADBLOCK:
            return _adblock
        case Format.DNSMASQ:
            return _dnsmasq
        case Format.RPZ:
            return _Rpz()


def detect(lines: Iterable[str]) -> Format:
    """Tell the format from the first lines, in lower case; what has no marks of its own is plain names or hosts."""
    for number, line in enumerate(lines):
        text = line.strip()
        if number >= _SAMPLE:
            break
        if text.startswith(("[adblock", "||", "@@")) or "##" in text.partition(" ")[0]:
            return Format.ADBLOCK
        if _DNSMASQ.match(text):
            return Format.DNSMASQ
        words = text.partition(";")[0].split()
        if text.startswith(("$ttl", "$origin")) or ("soa" in words[1:4]) or ("cname" in words[1:4]):
            return Format.RPZ
        if len(words) > 1 and as_ip(words[0]):
            return Format.HOSTS
    return Format.DOMAINS


def _plain(line: str, _tally: Tally) -> Iterable[str]:
    words = line.partition("#")[0].split()
    if not words:
        return ()
    if len(words) > 1 and as_ip(words[0]):
        return [word for word in words[1:] if word not in _LOCAL]
    if len(words) > 1:
        raise BadLine(f"`{line.strip()[:60]}` is neither one name nor an address and names")
    word = words[0]
    return (word[2:] if word.startswith("*.") else word.removeprefix("."),)


def _adblock(line: str, tally: Tally) -> Iterable[str]:
    rule = line.strip()
    if not rule or rule == "#" or rule.startswith(("!", "[", "# ")):
        return ()
    if rule.startswith("@@"):
        tally.exceptions += 1
        return ()
    body, _, options = rule.removeprefix("||").partition("$")
    body = body.removesuffix("|")
    narrow = bool(options) and not _WHOLE_SITE.issuperset(options.split(","))
    if not rule.startswith("||") or narrow or "*" in body or "#" in body:
        tally.unused += 1
        return ()
    if "/" in body:
        return (body.removesuffix("^"),)
    if not body.endswith("^"):  # `||name` without an end also stands for longer names
        tally.unused += 1
        return ()
    return (body.removesuffix("^").removesuffix("."),)


def _dnsmasq(line: str, tally: Tally) -> Iterable[str]:
    text = line.strip()
    if not text or text.startswith("#"):
        return ()
    match = _DNSMASQ.match(text)
    if match is None:
        if "=" in text:
            tally.unused += 1  # some other setting
            return ()
        raise BadLine("neither address=/name/, server=/name/ nor local=/name/")
    verb, names, to = match[1], match[2].split("/"), match[3].partition(" ")[0]
    if to.startswith("#") and verb == "server":
        tally.exceptions += 1  # back to the ordinary servers
        return ()
    if verb == "server" and to:
        tally.unused += 1  # names that another server answers
        return ()
    return [name.removeprefix("*.") for name in names if name]


class _Rpz:
    """A response policy zone, line after line."""

    def __init__(self) -> None:
        self._origin = ""
        self._open = 0  # brackets of a record that goes on

    def __call__(self, line: str, tally: Tally) -> Iterable[str]:
        text = line.partition(";")[0]
        inside = self._open > 0
        self._open += text.count("(") - text.count(")")
        words = text.split()
        if inside or not words or text[0].isspace():
            return ()
        if words[0] == "$origin" and len(words) > 1:
            self._origin = words[1].strip(".")
            return ()
        if words[0].startswith("$"):
            return ()
        kind = next((number for number, word in enumerate(words[1:4], 1) if word in _RPZ_KINDS), 0)
        if not kind:
            raise BadLine("no record of a response policy zone")
        return self._record(words[0], words[kind], words[kind + 1 :], tally)

    def _record(self, owner: str, kind: str, data: list[str], tally: Tally) -> Iterable[str]:
        if kind == "soa" and owner.endswith("."):
            self._origin = self._origin or owner.strip(".")
        if kind in {"soa", "ns"} or owner == "@":
            return ()
        name = owner
        if owner.endswith("."):
            name = owner.removesuffix(".").removesuffix(f".{self._origin}" if self._origin else "")
        target = data[0].removesuffix(".") if data else ""
        if kind == "cname" and target == "rpz-passthru":
            tally.exceptions += 1
            return ()
        if name.endswith(_RPZ_TRIGGERS) or target == "rpz-tcp-only":
            tally.unused += 1
            return ()
        return (name.removeprefix("*."),)
