"""Which name a TLS connection is for, and what about it is no way to browse; knows no proxy framework.

The gate and mitmproxy's hook ask the same function.
"""

from dataclasses import dataclass

from schoolgate_policy.errors import InvalidHost
from schoolgate_policy.names import as_ip, canonical_host
from schoolgate_policy.technique import Technique

# ALPN names of HTTP over TCP, now and before, and those by which phones fetch their notices on the web's port.
_WEB = (b"http/", b"h2", b"spdy/", b"apns-", b"x-amzn-http-")


@dataclass(frozen=True, slots=True)
class TlsName:
    """The canonical name of a connection, None where it is refused whatever the policy says; `label` for the record."""

    name: str | None
    label: str
    techniques: tuple[Technique, ...] = ()


def speaks_web(alpn: tuple[bytes, ...]) -> bool:
    """Whether a client that offers these protocols (RFC 7301) may want the web; offering none, it may."""
    named = [protocol for protocol in alpn if not _is_grease(protocol)]
    return not named or any(protocol.startswith(_WEB) for protocol in named)


def _is_grease(protocol: bytes) -> bool:
    """Whether a protocol is one of those that mean nothing (RFC 8701 2)."""
    return len(protocol) == 2 and protocol[0] == protocol[1] and protocol[0] & 0x0F == 0x0A


def tls_name(
    sni: str | None,
    alpn: tuple[bytes, ...],
    *,
    dialled: str,
    connect_name: str | None,
    to_the_proxy: bool,
    split: bool,
    inside: str | None = None,
) -> TlsName:
    """Return what a ClientHello asks for.

    `dialled` is the address the client connected to, `connect_name` the canonical host of its CONNECT request.
    `to_the_proxy` says that the client speaks TLS to an explicit proxy itself, `split` that the hello came in
    pieces, `inside` the name of the decrypted connection that it came through.
    """
    technique: Technique | None = None
    name: str | None = None
    try:
        name = canonical_host(sni or connect_name or dialled)
    except InvalidHost:
        technique = Technique.ODD_HOST
    named = connect_name if connect_name and as_ip(connect_name) is None else None
    if inside is not None:
        technique = Technique.NON_HTTP_TLS  # TLS in TLS
    elif b"dot" in alpn or b"doq" in alpn:
        technique = Technique.DOT if b"dot" in alpn else Technique.DOQ
    elif to_the_proxy:
        technique = Technique.PROXY_PROTOCOL
    elif named is not None and name != named:
        technique = Technique.SNI_MISMATCH
    label = name or dialled
    if technique is not None:
        return TlsName(None, label, (technique,))
    seen = []
    if split:
        seen.append(Technique.SPLIT_HELLO)
    if sni is None and named is None:
        seen.append(Technique.NO_SNI)
    return TlsName(name, label, tuple(seen))
