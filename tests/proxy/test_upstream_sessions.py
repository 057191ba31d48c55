"""Upstreams know the proxy again, and only where their certificate held."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import trustme


@contextmanager
def _origin(ca: trustme.CA, name: str) -> Iterator[tuple[int, list[bool]]]:
    """Serve one page for ever with one TLS context; notes for each connection whether it was resumed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(name).configure_cert(context)
    reused: list[bool] = []

    def serve(listening: socket.socket) -> None:
        while True:
            try:
                raw, _ = listening.accept()
            except OSError:
                return
            with suppress(OSError), context.wrap_socket(raw, server_side=True) as connection:
                reused.append(bool(connection.session_reused))
                connection.settimeout(10)
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,), daemon=True)
        thread.start()
        yield listening.getsockname()[1], reused
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def test_an_upstream_knows_the_proxy_again(internet: Any) -> None:
    """The second connection to a name resumes the TLS session of the first, which spares both sides the signature."""
    with _origin(internet.origin._ca, "again.example") as (port, reused):
        internet.names.special["again.example"] = [("127.0.0.1", port)]
        for _ in range(3):
            assert internet.get("again.example").endswith(b"ok")
    assert reused[0] is False
    assert reused[-1] is True


def test_sessions_belong_to_a_name_whose_certificate_held(internet: Any) -> None:
    """An upstream that cannot prove its name is refused each time, though it knows us under another name."""
    with _origin(internet.origin._ca, "mine.example") as (port, _):
        for host in ("mine.example", "other.example"):
            internet.names.special[host] = [("127.0.0.1", port)]
        assert internet.get("mine.example").endswith(b"ok")
        for _ in range(2):
            assert internet.get("other.example").startswith(b"HTTP/1.1 502 ")
        assert internet.get("mine.example").endswith(b"ok")
