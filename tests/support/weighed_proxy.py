"""The real proxy in a process of its own, to be weighed, and the way through it."""

import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flood_origin import Flood

PUPIL = "127.0.20.5"
MB = 1 << 20
_PROCESS = Path(__file__).parents[1] / "proxy" / "gate_process.py"


class Box:
    """The proxy's process, and the way through it."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
        self.process = process
        self.port = port
        self._context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
        self._context.load_verify_locations(str(folder / "origin.pem"))

    @property
    def rss(self) -> int:
        """The resident memory in octets."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.partition("VmRSS:")[2].split()[0]) * 1024

    @property
    def files(self) -> int:
        """How many files it has open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def plain(self, name: str, source: str = PUPIL) -> bytes:
        """Ask for a page without TLS."""
        with self.connect(source) as connection:
            connection.sendall(
                f"GET http://{name}/ HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode()
            )
            return b"".join(iter(lambda: connection.recv(65_536), b""))

    def connect(self, source: str) -> socket.socket:
        """Open a connection from an address."""
        made = socket.create_connection(("127.0.0.1", self.port), timeout=30, source_address=(source, 0))
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def tls(self, name: str, source: str = PUPIL, alpn: str = "http/1.1") -> ssl.SSLSocket:
        """Open TLS to a site through a tunnel."""
        raw = self.connect(source)
        try:
            raw.sendall(f"CONNECT {name}:443 HTTP/1.1\r\nHost: {name}:443\r\n\r\n".encode())
            reply = b""
            while not reply.endswith(b"\r\n\r\n"):
                octet = raw.recv(1)
                assert octet, "no tunnel"
                reply += octet
            self._context.set_alpn_protocols([alpn])
            return self._context.wrap_socket(raw, server_hostname=name)
        except BaseException:
            raw.close()
            raise

    def get(self, name: str, source: str = PUPIL) -> bytes:
        """Fetch a small page over a new connection."""
        with self.tls(name, source) as connection:
            connection.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
            return b"".join(iter(lambda: connection.recv(65_536), b""))


@contextmanager
def running(folder: Path, flood: Flood, files: int = 0) -> Iterator[Box]:
    """Run the proxy, with a limit of open files where `files` is given."""
    flood.roots(folder / "origin.pem")
    command = [sys.executable, str(_PROCESS), str(folder), str(flood.port)]
    with subprocess.Popen(
        ["prlimit", f"--nofile={files or 4096}", *command], stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            yield Box(process, int(process.stdout.readline()), folder)
        finally:
            process.kill()
            process.wait(10)
