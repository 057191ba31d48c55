"""A web server for the recorded shapes of sites: HTTP/1 by hand, HTTP/2, websockets; one thread, any host name.

What it serves is data (`tests/proxy/shapes/shapes.yaml`): files by host and path, some with a behaviour (`does`).
"""

import asyncio
import base64
import gzip
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import brotli
import h2.config
import h2.connection
import h2.events
import trustme
import wsproto
import wsproto.events
import yaml
import zstandard

type Write = Callable[[bytes], Awaitable[None]]
FOLDER = Path(__file__).parents[1] / "proxy" / "shapes"
_PACK = {"gzip": gzip.compress, "br": brotli.compress, "zstd": zstandard.compress}
_PAGE = """<!doctype html><html lang=en><head><meta charset=utf-8><title>waiting</title><link rel=icon href=data:,>{head}</head>
<body>{body}<script type=module{nonce}>
try {{ document.title = 'done ' + await (async () => {{ {script} }})() }} catch (error) {{ document.title = 'failed ' + error }}
</script></body></html>"""


@dataclass
class Request:
    """A request as it arrived."""

    method: str
    host: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    version: str

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


@dataclass
class Reply:
    """A response: a list of pieces, with a pause between them where there are several."""

    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    pieces: list[bytes] = field(default_factory=list)
    trailers: list[tuple[str, str]] = field(default_factory=list)
    framing: str = "length"  # `length`, `chunked`, or `close` at the end as HTTP/1.0 does
    hints: list[tuple[str, str]] = field(default_factory=list)  # sent ahead as 103


@dataclass(frozen=True)
class Shape:
    """One shape: the page that is opened, and the result that its title has to show."""

    name: str
    url: str
    result: str
    files: Mapping[str, Mapping[str, Any]]


def read_shapes() -> list[Shape]:
    """Return all shapes of the data file."""
    document = yaml.safe_load((FOLDER / "shapes.yaml").read_text("utf-8"))
    shapes = []
    for name, about in document.items():
        url = about.get("url") or f"https://{name}.example/"
        parts = urlsplit(url)
        files = {_key(parts.netloc, path): file for path, file in about.get("files", {}).items()}
        if "script" in about or "body" in about:
            files.setdefault(f"{parts.netloc}{parts.path}", about)
        shapes.append(Shape(name, url, str(about["result"]), files))
    return shapes


def _key(host: str, path: str) -> str:
    return host + path if path.startswith("/") else path


class ShapeOrigin:
    """Serves all shapes, over TLS (HTTP/1 and HTTP/2) and in the clear."""

    def __init__(self, ca: trustme.CA, shapes: list[Shape]) -> None:
        self._files = {where: file for shape in shapes for where, file in shape.files.items()}
        self._ca = ca
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._counts: dict[str, int] = {}
        self.http = self.https = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._servers = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(20)

    def close(self) -> None:
        """Stop serving."""
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> list[asyncio.Server]:
        plain = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20)
        secret = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._listener(), limit=1 << 20)
        self.http, self.https = (server.sockets[0].getsockname()[1] for server in (plain, secret))
        return [plain, secret]

    async def _stop(self) -> None:
        for server in self._servers:
            server.close()
        running = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _listener(self) -> ssl.SSLContext:
        def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
            if name is not None:
                connection.context = self._context(name)

        context = self._context("default.example")
        context.sni_callback = choose
        return context

    def _context(self, name: str) -> ssl.SSLContext:
        if name not in self._contexts:
            context = self._contexts[name] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            protocols = ["http/1.1"] if name.startswith("h1-") or ".h1-" in name else ["h2", "http/1.1"]
            context.set_alpn_protocols(protocols)
            self._ca.issue_cert(name).configure_cert(context)
        return self._contexts[name]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tls = writer.get_extra_info("ssl_object")
        try:
            if tls is not None and tls.selected_alpn_protocol() == "h2":
                await _Http2(self, reader, writer).run()
            else:
                await self._http1(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError, ssl.SSLError):
            pass
        finally:
            writer.close()
            with suppress(OSError, ssl.SSLError, asyncio.CancelledError):
                await writer.wait_closed()

    # -- what is served ----------------------------------------------------------------------------------------

    def reply(self, request: Request) -> Reply:
        """Return what the data says about a request."""
        where = request.host + request.path
        file = self._files.get(where)
        if file is None:
            return Reply(404, pieces=[b"nothing here"])
        count = self._counts[where] = self._counts.get(where, 0) + 1
        body = self._body(request, file, count)
        made = Reply(
            int(file.get("status", 200)), [(k.lower(), str(v)) for k, v in file.get("headers", {}).items()]
        )
        kind = file.get(
            "type", "text/html; charset=utf-8" if "script" in file else "text/plain; charset=utf-8"
        )
        made.headers.append(("content-type", kind))
        if packing := file.get("encoding"):
            body = _PACK[packing](body)
            made.headers.append(("content-encoding", packing))
        made.pieces = [body]
        made.framing = file.get("framing", "length")
        made.trailers = list(file.get("trailers", {}).items())
        made.hints = [(k.lower(), v) for k, v in file.get("hints", {}).items()]
        return _behave(request, file, made, count)

    def _body(self, request: Request, file: Mapping[str, Any], count: int) -> bytes:
        if "file" in file:
            return Path(file["file"]).read_bytes()
        if "base64" in file:
            return base64.b64decode(file["base64"])
        if "script" in file:
            return _PAGE.format(
                head=file.get("head", ""),
                body=file.get("body", ""),
                script=file["script"],
                nonce=file.get("nonce", ""),
            ).encode()
        text = str(file.get("body", "")) * int(file.get("times", 1))
        for name, value in (
            ("METHOD", request.method),
            ("BYTES", str(len(request.body))),
            ("BODY", request.body[:200].decode("latin-1")),
            ("TARGET", unquote(request.target)),
            ("LENGTH", str(len(request.target))),
            ("COUNT", str(count)),
            ("VERSION", request.version),
        ):
            text = text.replace(f"<{name}>", value)
        for name in file.get("shows", ()):
            text = text.replace(f"<{name}>", request.headers.get(name, "-"))
        return text.encode()

    # -- HTTP/1 ------------------------------------------------------------------------------------------------

    async def _http1(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, target, _ = head[0].split(" ")
            headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
            if headers.get("expect", "").lower() == "100-continue":
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = await _read_body(reader, headers)
            request = Request(method, headers.get("host", ""), target, headers, body, "h1")
            if headers.get("upgrade", "").lower() == "websocket":
                await _websocket(reader, writer, "\r\n".join(head).encode("latin-1"))
                return
            if not await _write_http1(writer, request, self.reply(request)):
                return


async def _read_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return await reader.readexactly(int(headers.get("content-length", 0)))
    body = b""
    while size := int((await reader.readline()).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readline()
    while (await reader.readline()).strip():
        pass
    return body


async def _write_http1(writer: asyncio.StreamWriter, request: Request, reply: Reply) -> bool:
    """Write a response; False where the connection ends with it."""
    if reply.hints:
        lines = "".join(f"{name}: {value}\r\n" for name, value in reply.hints)
        writer.write(f"HTTP/1.1 103 Early Hints\r\n{lines}\r\n".encode())
    version = "1.0" if reply.framing == "close" else "1.1"
    empty = reply.status in {204, 205, 304}
    headers = list(reply.headers)
    if reply.framing == "chunked":
        headers.append(("transfer-encoding", "chunked"))
    elif reply.framing == "length" and not empty:
        headers.append(("content-length", str(sum(map(len, reply.pieces)))))
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    writer.write(f"HTTP/{version} {reply.status} As Told\r\n{lines}\r\n".encode("latin-1"))
    if request.method != "HEAD" and not empty:
        async for piece in _paced(reply):
            chunked = reply.framing == "chunked"
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
            await writer.drain()
        if reply.framing == "chunked":
            trailers = "".join(f"{name}: {value}\r\n" for name, value in reply.trailers)
            writer.write(f"0\r\n{trailers}\r\n".encode())
    await writer.drain()
    return reply.framing != "close"


async def _paced(reply: Reply) -> AsyncIterator[bytes]:
    for number, piece in enumerate(reply.pieces):
        if number:
            await asyncio.sleep(0.05)
        if piece:
            yield piece


def _behave(request: Request, file: Mapping[str, Any], made: Reply, count: int) -> Reply:
    """Do what plain files do not: ranges, events, conditional answers, a challenge."""
    (body,) = made.pieces
    match file.get("does"):
        case "range" if "range" in request.headers:
            first, _, last = request.headers["range"].removeprefix("bytes=").partition("-")
            end = min(int(last or len(body) - 1), len(body) - 1)
            made.status, made.pieces = 206, [body[int(first) : end + 1]]
            made.headers.append(("content-range", f"bytes {first}-{end}/{len(body)}"))
        case "drip":
            made.pieces = [body[start : start + 64] for start in range(0, len(body), 64)]
        case "events":
            made.pieces = [f"id: {n}\ndata: {n}\n\n".encode() for n in range(1, 4)]
            made.framing = "chunked"
        case "validate":
            made.headers += [("etag", '"v1"'), ("cache-control", "no-cache")]
            if request.headers.get("if-none-match") == '"v1"':
                made.status, made.pieces = 304, [b""]
        case "challenge" if "authorization" not in request.headers:
            made.status = 401
            made.headers.append(("www-authenticate", 'Basic realm="x"'))
        case "preflight" if request.method == "OPTIONS":
            made.status, made.pieces = 204, [b""]
    return made


async def _websocket(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> None:
    """Be a websocket that sends back what it gets."""
    connection = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
    connection.receive_data(head)
    while True:
        for event in connection.events():
            match event:
                case wsproto.events.Request():
                    writer.write(connection.send(wsproto.events.AcceptConnection()))
                case wsproto.events.TextMessage() | wsproto.events.BytesMessage():
                    again = type(event)(data=event.data, message_finished=event.message_finished)
                    writer.write(connection.send(again))
                case wsproto.events.Ping():
                    writer.write(connection.send(event.response()))
                case wsproto.events.CloseConnection():
                    writer.write(connection.send(event.response()))
                    return
        await writer.drain()
        data = await reader.read(65536)
        if not data:
            return
        connection.receive_data(data)


class _Http2:
    """One HTTP/2 connection."""

    def __init__(
        self, origin: ShapeOrigin, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._origin, self._reader, self._writer = origin, reader, writer
        self._h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding="latin-1")
        )
        self._heads: dict[int, dict[str, str]] = {}
        self._bodies: dict[int, bytearray] = {}
        self._window = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve until the client goes."""
        self._h2.initiate_connection()
        self._flush()
        try:
            while data := await self._reader.read(65536):
                for event in self._h2.receive_data(data):
                    self._handle(event)
                self._flush()
        finally:
            for task in self._tasks:
                task.cancel()

    def _flush(self) -> None:
        self._writer.write(self._h2.data_to_send())

    def _handle(self, event: Any) -> None:
        match event:
            case h2.events.RequestReceived():
                self._heads[event.stream_id] = dict(event.headers)
                self._bodies[event.stream_id] = bytearray()
            case h2.events.DataReceived():
                self._bodies[event.stream_id] += event.data
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.StreamEnded():
                task = asyncio.get_running_loop().create_task(self._answer(event.stream_id))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case h2.events.WindowUpdated() | h2.events.RemoteSettingsChanged():
                self._window.set()

    async def _answer(self, stream: int) -> None:
        head = self._heads.pop(stream)
        body = bytes(self._bodies.pop(stream))
        request = Request(head[":method"], head[":authority"], head[":path"], head, body, "h2")
        reply = self._origin.reply(request)
        with suppress(h2.exceptions.ProtocolError):
            if reply.hints:
                self._h2.send_headers(stream, [(":status", "103"), *reply.hints])
            self._h2.send_headers(stream, [(":status", str(reply.status)), *reply.headers])
            if request.method != "HEAD" and reply.status not in {204, 205, 304}:
                async for piece in _paced(reply):
                    await self._send(stream, piece)
            if reply.trailers:
                self._h2.send_headers(stream, [(k.lower(), v) for k, v in reply.trailers], end_stream=True)
            else:
                self._h2.end_stream(stream)
            self._flush()

    async def _send(self, stream: int, data: bytes) -> None:
        while data:
            room = min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size)
            if not room:
                self._flush()
                self._window.clear()
                await self._window.wait()
                continue
            self._h2.send_data(stream, data[:room])
            data = data[room:]
        self._flush()
        await self._writer.drain()
