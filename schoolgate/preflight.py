"""Looks, before anything is started, whether every address can be had: one line for each that cannot."""

import os
import socket
from collections.abc import Iterator

from schoolgate.box.enrolled import is_enrolled
from schoolgate.settings import Endpoint, Settings


def endpoints(settings: Settings) -> Iterator[tuple[str, Endpoint]]:
    """Yield the setting and the address of everything that `schoolgate run` listens on."""
    yield from (("dns.listen", at) for at in settings.dns.listen)
    yield "proxy.explicit", settings.proxy.explicit
    for port in sorted(port for name in settings.proxy.transparent for port in settings.proxy.ports(name)):
        yield "proxy.transparent", Endpoint("0.0.0.0", port)  # noqa: S104 - redirected packets come to any address
    yield "portal.listen", settings.portal.listen
    if settings.portal.listen_tls:
        yield "portal.listen_tls", settings.portal.listen_tls
    yield "metrics.dns", settings.metrics.dns
    yield "metrics.proxy", settings.metrics.proxy
    yield "metrics.portal", settings.metrics.portal
    if settings.centre.listen:
        yield "centre.listen", settings.centre.listen
    if is_enrolled(settings.state):
        yield "metrics.box", settings.metrics.box
    if settings.rpz.secondaries:
        yield from (("rpz.listen", at) for at in settings.rpz.listen)
        yield "metrics.rpz", settings.metrics.rpz


def unavailable(settings: Settings) -> list[str]:
    """Return a line for each address that cannot be listened on; what is free is let go at once."""
    found = []
    for setting, at in endpoints(settings):
        kinds = (
            (socket.SOCK_DGRAM, socket.SOCK_STREAM)
            if setting in {"dns.listen", "rpz.listen"}
            else (socket.SOCK_STREAM,)
        )
        error = next(filter(None, (_try(at, kind) for kind in kinds)), None)
        if error is not None:
            found.append(explain(setting, f"cannot listen on {at}: {os.strerror(error.errno or 0).lower()}"))
    return found


def explain(setting: str, problem: str) -> str:
    """Return one line that says what is wrong with an address, and where another one is set."""
    variable = f"SCHOOLGATE_{setting.replace('.', '_').upper()}"
    return f"{setting}: {problem}; set another in schoolgate.toml or with {variable}"


def _try(at: Endpoint, kind: socket.SocketKind) -> OSError | None:
    family = socket.AF_INET6 if ":" in at.host else socket.AF_INET
    try:
        with socket.socket(family, kind) as probe:
            if kind is socket.SOCK_STREAM:
                # Connections that linger after a restart are no reason to refuse; a listener still is.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(at)
    except OSError as error:
        return error
    return None
