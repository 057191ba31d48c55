"""TLS towards clients: our certificates, one context that knows clients again; used by the gate and by mitmproxy."""

import socket
from collections.abc import Callable
from typing import Any

from mitmproxy.net import tls as net_tls
from OpenSSL import SSL

from schoolgate_proxy.certificates import Leaves

# TLS 1.2 with forward secrecy and authenticated encryption; those of TLS 1.3 are OpenSSL's own choice.
_CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"
_DISTRUST = ("unknown ca", "bad certificate", "certificate unknown", "does not trust")

type Choose = Callable[
    [SSL.Connection, list[bytes]], Any
]  # pyOpenSSL's word for `none of them` has no public type


class ClientTls:
    """Makes the server's end of TLS connections, with a certificate for the name that was judged."""

    def __init__(self, leaves: Leaves, choose: Choose) -> None:
        """Take where certificates come from, and what chooses among the protocols that a client offers (ALPN)."""
        self._leaves = leaves
        self._context = _context(leaves, choose)

    def connection(self, name: str, sock: socket.socket | None = None) -> SSL.Connection:
        """Return a connection that waits for a ClientHello: from a socket, or from what is written into it."""
        connection = SSL.Connection(self._context, sock)
        connection.use_certificate(self._leaves.certificate(name))
        connection.set_accept_state()
        return connection


def only_http1(_connection: SSL.Connection, offered: list[bytes]) -> Any:
    """Choose HTTP/1.1 where it is offered."""
    return b"http/1.1" if b"http/1.1" in offered else SSL.NO_OVERLAPPING_PROTOCOLS


def distrusts(fault: str) -> bool:
    """Whether a TLS failure says that the client does not trust our certificate (RFC 8446 6.2)."""
    return any(sign in fault for sign in _DISTRUST)


def _context(leaves: Leaves, choose: Choose) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(net_tls.DEFAULT_OPTIONS)
    context.set_cipher_list(_CIPHERS)
    context.set_alpn_select_callback(choose)
    for certificate in leaves.chain:
        context.add_extra_chain_cert(certificate)
    context.use_privatekey(leaves.key)  # once: to bring it into OpenSSL's form costs as much as a signature
    context.set_session_id(b"schoolgate")  # tickets of this process are good for its other connections
    return context
