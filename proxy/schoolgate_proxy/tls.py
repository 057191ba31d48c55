"""mitmproxy's TLS with our certificates towards clients, and upstreams that know us again."""

import time
from collections import OrderedDict
from collections.abc import Set as AbstractSet
from typing import cast

from mitmproxy.addons import tlsconfig
from mitmproxy.connection import Client, Connection, Server
from mitmproxy.proxy.server_hooks import ServerConnectionHookData
from mitmproxy.tls import TlsData
from OpenSSL import SSL

from schoolgate_proxy.certificates import Leaves
from schoolgate_proxy.client_tls import ClientTls

_SESSIONS, _SESSION_SECONDS = (
    2000,
    600.0,
)  # kept towards upstreams: a certificate is looked at again after that
_OF_THE_STORE = {"certs", "confdir", "key_size", "cert_passphrase"}


class SchoolTls(tlsconfig.TlsConfig):
    """mitmproxy's TlsConfig without its certificate store; upstream it does as mitmproxy does."""

    request = None  # type: ignore[assignment]  # mitmproxy's answers requests for its revocation list

    def __init__(self, leaves: Leaves) -> None:
        self._tls = ClientTls(leaves, tlsconfig.alpn_select_callback)
        self._upstreams: dict[Connection, SSL.Connection] = {}
        self._sessions: OrderedDict[str, tuple[float, SSL.Session]] = OrderedDict()

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

    def tls_start_server(self, tls_start: TlsData) -> None:
        """Make the connection object for an upstream, with the session of the last connection to that name.

        A session that is resumed spares the check of the certificate, which was done when it began
        (RFC 8446 2.2): it is kept for ten minutes, and for that name alone.
        """
        super().tls_start_server(tls_start)
        server, connection = cast("Server", tls_start.conn), tls_start.ssl_conn
        if connection is None or server.sni is None:
            return
        since, session = self._sessions.get(server.sni, (0.0, None))
        if session is not None and time.monotonic() - since < _SESSION_SECONDS:
            connection.set_session(session)
        else:
            self._upstreams[server] = connection

    def server_disconnected(self, data: ServerConnectionHookData) -> None:
        """Keep the session of an upstream whose certificate held."""
        connection = self._upstreams.pop(data.server, None)
        if connection is None or data.server.sni is None or data.server.timestamp_tls_setup is None:
            return
        session = connection.get_session()
        if session is not None:
            self._sessions[data.server.sni] = time.monotonic(), session
            self._sessions.move_to_end(data.server.sni)
            if len(self._sessions) > _SESSIONS:
                self._sessions.popitem(last=False)
