"""mitmproxy's TLS with our certificates towards clients."""

from collections.abc import Set as AbstractSet
from typing import cast

from mitmproxy.addons import tlsconfig
from mitmproxy.connection import Client
from mitmproxy.tls import TlsData

from schoolgate_proxy.certificates import Leaves
from schoolgate_proxy.client_tls import ClientTls

_OF_THE_STORE = {"certs", "confdir", "key_size", "cert_passphrase"}


class SchoolTls(tlsconfig.TlsConfig):
    """mitmproxy's TlsConfig without its certificate store; upstream it does as mitmproxy does."""

    request = None  # type: ignore[assignment]  # mitmproxy's answers requests for its revocation list

    def __init__(self, leaves: Leaves) -> None:
        self._tls = ClientTls(leaves, tlsconfig.alpn_select_callback)

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
        connection = self._tls.connection(address[0])
        connection.set_app_data(
            tlsconfig.AppData(client_alpn=client.alpn, server_alpn=tls_start.context.server.alpn, http2=True)
        )
        tls_start.ssl_conn = connection
