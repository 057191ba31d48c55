"""A stand-in for the internet on loopback: every name has an address, and at that address every site answers."""

import asyncio
import ssl
import tempfile
from pathlib import Path

from dnslib import QTYPE, RCODE, RR, A, DNSError, DNSRecord

from schoolgate.demo.certificates import Authority

ADDRESS = "127.0.99.1"  # of every name; the filter's own answers are told apart by it
GREETING = "this is the real site"
_TTL = 300
_PATIENCE = 10.0  # seconds for a request


class Internet:
    """An authoritative DNS for all names, and a web server for all sites, on free ports of one loopback address.

    With `web_ports` sites really listen on ports 80 and 443, as browsers expect; that takes the right to.
    """

    def __init__(self, address: str = ADDRESS, *, web_ports: bool = False) -> None:
        self.address = address
        self._web_ports = web_ports
        self._folder = tempfile.TemporaryDirectory(prefix="schoolgate-internet-")
        self._authority = Authority(Path(self._folder.name))
        self._dns: asyncio.DatagramTransport | None = None
        self._servers: list[asyncio.Server] = []
        self._ports: dict[int, int] = {}  # what a client asks for, and where that is
        self.asked: list[str] = []  # every name that reached the DNS
        self.visited: list[str] = []  # every Host that reached the web server

    @property
    def roots(self) -> Path:
        """The certificate that this internet's sites are signed by, in PEM form."""
        return self._authority.certificate

    @property
    def resolver(self) -> tuple[str, int]:
        """Where its DNS listens."""
        if self._dns is None:
            raise RuntimeError("the stand-in internet is not started")
        host, port = self._dns.get_extra_info("sockname")
        return host, port

    async def resolve(self, _name: str, port: int) -> list[tuple[str, int]]:
        """Return where a site's port really is; for the proxy."""
        return [(self.address, self._ports.get(port, port))]

    async def start(self) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        self._dns, _ = await loop.create_datagram_endpoint(
            lambda: _Names(self.asked, self.address), local_addr=(self.address, 0)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.sni_callback = self._authority.choose
        for port, tls in ((80, None), (443, context)):
            at = port if self._web_ports else 0
            server = await asyncio.start_server(self._serve, self.address, at, ssl=tls)
            self._ports[port] = server.sockets[0].getsockname()[1]
            self._servers.append(server)

    async def stop(self) -> None:
        """Close everything and remove the certificates."""
        if self._dns is not None:
            self._dns.close()
        for server in self._servers:
            server.close()
        self._folder.cleanup()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request and close."""
        try:
            async with asyncio.timeout(_PATIENCE):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                host = next(
                    (x.partition(":")[2].strip() for x in head.split("\r\n") if x[:5].lower() == "host:"), ""
                )
                self.visited.append(host)
                body = f"{GREETING}: {host}\n".encode()
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n"
                    b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
                )
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return  # whoever left without asking
        finally:
            writer.close()


class _Names(asyncio.DatagramProtocol):
    """Says of every name that it lives at the one address."""

    def __init__(self, asked: list[str], address: str) -> None:
        self._asked = asked
        self._address = A(address)
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.DatagramTransport):
            self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        try:
            query = DNSRecord.parse(data)
        except DNSError:
            return  # no question of a resolver's
        reply = query.reply(ra=1, aa=1)
        reply.header.rcode = RCODE.NOERROR
        self._asked.append(str(query.q.qname))
        if query.q.qtype == QTYPE.A:
            reply.add_answer(RR(query.q.qname, QTYPE.A, rdata=self._address, ttl=_TTL))
        if self._transport is not None:
            self._transport.sendto(reply.pack(), addr)
