"""Host names in one spelling: what DNS, proxy, policy and lists all compare.

One function, `canonical_host`, decides what a name *is*; nothing else in the product lower-cases or strips.
Sources: RFC 1123 2.1 and RFC 2181 11 (syntax), UTS #46 non-transitional (internationalised names), RFC 3986 3.2.2
(IP literals), POSIX inet_aton (the numeric spellings of an IPv4 address that browsers and libraries still accept).
"""

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address

import idna

from schoolgate_policy.errors import InvalidHost

type IPAddress = IPv4Address | IPv6Address

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}")
_DOTS = str.maketrans({"。": ".", "．": ".", "｡": "."})  # noqa: RUF001 - UTS #46 reads these as a full stop
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]*|[0-9]+")
_MAX_NAME = 253  # RFC 1035 2.3.4: 255 octets on the wire is 253 characters of text


def canonical_host(text: str) -> str:
    """Return the one spelling of a host: lower-case A-labels without a trailing dot, or an IP address.

    Exactly one trailing dot is dropped. A port, user information or white space is not part of a host.

    Raises:
        InvalidHost: the text names no host; the message says why.

    """
    if _NAME.fullmatch(text) and len(text) <= _MAX_NAME and not _looks_numeric(text):
        return text
    return _canonical_slow(text)


def _canonical_slow(text: str) -> str:
    if text.startswith("[") and text.endswith("]"):
        return _canonical_ipv6(text[1:-1])
    name = text.translate(_DOTS)
    name = name.removesuffix(".")
    if not name:
        raise InvalidHost("the host is empty")
    if ":" in name:
        return _canonical_ipv6(name)
    if not name.isascii():
        name = _to_ascii(name)
    name = name.lower()
    if _looks_numeric(name):
        return _canonical_ipv4(name)
    if len(name) > _MAX_NAME:
        raise InvalidHost(f"a host name has at most {_MAX_NAME} characters, this has {len(name)}")
    if not _NAME.fullmatch(name):
        raise InvalidHost(f"{text!r} is not a host name")
    return name


def _looks_numeric(name: str) -> bool:
    """Whether the last label is a number, which makes the whole name an IPv4 address (WHATWG URL, 'ends in a number')."""
    last = name[name.rfind(".") + 1 :]
    return last[:1].isdecimal() and _NUMBER.fullmatch(last) is not None


def _to_ascii(name: str) -> str:
    try:
        mapped = idna.uts46_remap(name, std3_rules=False, transitional=False)
        if mapped.isascii():
            return mapped.removesuffix(".") if mapped.endswith(".") else mapped
        return ".".join(
            label if label.isascii() else idna.alabel(label).decode("ascii") for label in mapped.split(".")
        )
    except (idna.IDNAError, UnicodeError) as error:
        raise InvalidHost(f"{name!r} is not an internationalised host name: {error}") from error


def _canonical_ipv6(text: str) -> str:
    address, _, scope = text.partition("%")
    try:
        value = IPv6Address(address)
    except ValueError:
        raise InvalidHost(f"{text!r} is not a host name and not an IPv6 address") from None
    if scope and not value.is_link_local:
        raise InvalidHost(f"{text!r}: only a link-local address has a zone")
    return str(value.ipv4_mapped or value)


def _canonical_ipv4(name: str) -> str:
    """Read an IPv4 address as inet_aton does: one to four parts, each decimal, octal or hexadecimal."""
    parts = name.split(".")
    if len(parts) > 4:
        raise InvalidHost(f"{name!r} ends in a number but is no IPv4 address")
    numbers = [_number(part, name) for part in parts]
    *leading, last = numbers
    if any(number > 255 for number in leading) or last >= 256 ** (5 - len(numbers)):
        raise InvalidHost(f"{name!r} ends in a number but is no IPv4 address")
    value = last
    for position, number in enumerate(leading):
        value |= number << (8 * (3 - position))
    return str(IPv4Address(value))


def _number(part: str, name: str) -> int:
    if not _NUMBER.fullmatch(part):
        raise InvalidHost(f"{name!r} ends in a number but is no IPv4 address")
    if part[:2] in {"0x", "0X"}:
        return int(part[2:] or "0", 16)
    try:
        return int(part, 8 if part.startswith("0") and len(part) > 1 else 10)
    except ValueError:
        raise InvalidHost(f"{name!r} ends in a number but is no IPv4 address") from None


def as_ip(host: str) -> IPAddress | None:
    """Return the address that a canonical host is, or None where it is a name."""
    if ":" not in host and not host[-1:].isdigit():
        return None
    try:
        return ip_address(host)
    except ValueError:
        return None


def parse_address(text: str) -> IPAddress:
    """Read a client's address: IPv4-mapped IPv6 becomes IPv4, a zone such as `%eth0` is dropped.

    Raises:
        ValueError: the text is no IP address.

    """
    address = ip_address(text.partition("%")[0])
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def suffixes(host: str) -> Iterator[str]:
    """Yield a canonical name and all names above it, longest first: `a.b.c`, `b.c`, `c`."""
    yield host
    start = host.find(".")
    while start >= 0:
        yield host[start + 1 :]
        start = host.find(".", start + 1)
