"""TLS towards clients, in place of mitmproxy's own: our certificates, and one context that knows clients again."""

from collections.abc import Set as AbstractSet
from typing import cast

from mitmproxy.addons import tlsconfig
from mitmproxy.connection import Client
from mitmproxy.net import tls as net_tls
from mitmproxy.tls import TlsData
from OpenSSL import SSL

from schoolgate_proxy.certificates import Leaves

# TLS 1.2 with forward secrecy and authenticated encryption; those of TLS 1.3 are OpenSSL's own choice.
_CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"
_OF_THE_STORE = {"certs", "confdir", "key_size", "cert_passphrase"}


class SchoolTls(tlsconfig.TlsConfig):
    """mitmproxy's TlsConfig without its certificate store; upstream it does as mitmproxy does."""

    request = None  # type: ignore[assignment]  # mitmproxy's answers requests for its revocation list

    def __init__(self, leaves: Leaves) -> None:
        self._leaves = leaves
        self._context = _context(leaves)

    def running(self) -> None:
        """Do nothing: there is no store to be read."""

    def configure(self, updated: AbstractSet[str]) -> None:
        """Take the options in, but for those of the certificate store."""
        super().configure(updated - _OF_THE_STORE)  # type: ignore[no-untyped-call]  # mitmproxy leaves it untyped

    def tls_start_client(self, tls_start: TlsData) -> None:
        """Make the connection object for a client, with a certificate for the name that was judged."""
        if tls_start.ssl_conn is not None:
            return
        client, address = cast("Client", tls_start.conn), tls_start.context.server.address
        if address is None:
            raise ValueError("a connection is to be opened that was judged for no name")
        connection = SSL.Connection(self._context)
        connection.use_certificate(self._leaves.certificate(address[0]))
        connection.use_privatekey(self._leaves.key)
        connection.set_app_data(
            tlsconfig.AppData(client_alpn=client.alpn, server_alpn=tls_start.context.server.alpn, http2=True)
        )
        connection.set_accept_state()
        tls_start.ssl_conn = connection


def _context(leaves: Leaves) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(net_tls.DEFAULT_OPTIONS)
    context.set_cipher_list(_CIPHERS)
    context.set_alpn_select_callback(tlsconfig.alpn_select_callback)
    for certificate in leaves.chain:
        context.add_extra_chain_cert(certificate)
    context.set_session_id(b"schoolgate")  # tickets of this process are good for its other connections
    return context
