"""How an upstream resolver is named in the settings: `9.9.9.9`, `[2620:fe::fe]:53`, `tls://9.9.9.9#dns.quad9.net`."""

import re
from ipaddress import ip_address
from typing import NamedTuple

_DNS_PORT, _TLS_PORT = 53, 853
_FORM = re.compile(
    r"(?:(?P<scheme>udp|tls)://)?(?:\[(?P<bracketed>[^\]]+)\]|(?P<plain>[^#\[\]]+?))(?P<port>:\d+)?(?:#(?P<name>.+))?"
)
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]*[a-z0-9])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9])?)*")


class Upstream(NamedTuple):
    """A resolver to ask: over UDP with TCP where that is needed, or over TLS only (RFC 7858).

    Over TLS it must prove `tls_name`, or its address where that is empty, by its certificate (RFC 8310).
    """

    host: str
    port: int = _DNS_PORT
    tls: bool = False
    tls_name: str = ""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        name = f"#{self.tls_name}" if self.tls_name else ""
        return f"{'tls://' if self.tls else ''}{host}:{self.port}{name}"


def parse_upstream(text: str) -> Upstream:
    """Read the name of an upstream; the port is 53, or 853 over TLS, where none is given.

    Raises:
        ValueError: the text names none; the message says what would.

    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise ValueError(_problem(text))
    host, port = found["bracketed"] or found["plain"], found["port"]
    if (
        port and found["plain"] and ":" in host
    ):  # `2620:fe::fe`: what looks like a port is part of the address
        host, port = host + port, None
    try:
        host = str(ip_address(host))
    except ValueError:
        raise ValueError(_problem(text)) from None
    tls = found["scheme"] == "tls"
    number = int(port[1:]) if port else _TLS_PORT if tls else _DNS_PORT
    name = (found["name"] or "").lower().removesuffix(".")
    if not 0 < number < 65_536:
        raise ValueError(f"`{text}`: a port is a number from 1 to 65535")
    if name and not tls:
        raise ValueError(f"`{text}`: only tls:// has a name after `#`, which the certificate must prove")
    if name and not _NAME.fullmatch(name):
        raise ValueError(f"`{text}`: `{name}` is not the name of a server")
    return Upstream(host, number, tls, name)


def _problem(text: str) -> str:
    return (
        f"`{text}` is not a resolver: ADDRESS, ADDRESS:PORT or tls://ADDRESS#NAME,"
        " such as 9.9.9.9, [2620:fe::fe]:53 or tls://9.9.9.9#dns.quad9.net"
    )
