"""An origin that sends without end, takes without end, or does neither; it speaks HTTP/1.1 and HTTP/2 over TLS.

By path: `/endless` sends until nobody takes it, `/sink` counts what it is sent, `/deaf` does not read what it is sent,
`/ws` is a websocket that swallows everything, `/trailers` a gRPC-like stream, `/hints` says that HTTP/3 is to be had;
anything else is a small page.
"""

import asyncio
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import trustme

PIECE = bytes(65_536)


@dataclass
class Flood:
    """The origin, in a thread; `sent` and `taken` are octets of bodies, `heads` the request heads seen."""

    ca: trustme.CA = field(default_factory=trustme.CA)
    sent: int = 0
    taken: int = 0
    heads: list[dict[str, str]] = field(default_factory=list)
    port: int = 0

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._tasks: set[Any] = set()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def roots(self, file: Path) -> None:
        """Write the root of the certificates."""
        self.ca.cert_pem.write_to_path(str(file))

    async def _listen(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert("fine.example", "one.example", "two.example").configure_cert(context)
        one = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert("fine.example", "one.example", "two.example").configure_cert(one)
        one.set_alpn_protocols(["http/1.1"])
        context.set_alpn_protocols(["h2", "http/1.1"])

        def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
            if name == "one.example":  # which speaks HTTP/1.1 alone
                connection.context = one

        context.sni_callback = choose
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _end(self) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(task := asyncio.current_task())
        speaks = writer.get_extra_info("ssl_object").selected_alpn_protocol()
        try:
            await (self._two if speaks == "h2" else self._one)(reader, writer)
        except (OSError, asyncio.IncompleteReadError, h2.exceptions.ProtocolError):
            pass  # the other side has gone
        finally:
            self._tasks.discard(task)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    # -- HTTP/1.1 ----------------------------------------------------------------------------------------------

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, path, _ = head[0].split(" ", 2)
            fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
            self.heads.append({":method": method, ":path": path, **fields})
            if path == "/deaf":
                await asyncio.sleep(3600)
            if path == "/endless":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n")
                while True:
                    writer.write(PIECE)
                    self.sent += len(PIECE)
                    await writer.drain()
                    # Over TLS `drain` does not wait where nothing is paused, not even for news of a lost connection.
                    await asyncio.sleep(0)
            if path == "/ws":
                writer.write(
                    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
                )
                path = "/sink"
                fields["content-length"] = "100000000000"
            if (left := int(fields.get("content-length", 0))) > 0:
                while left and (data := await reader.read(min(left, 1 << 20))):
                    left -= len(data)
                    self.taken += len(data)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsmall")
            if fields.get("connection") == "close":
                return

    # -- HTTP/2 ------------------------------------------------------------------------------------------------

    async def _two(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        speaker = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        )
        speaker.initiate_connection()
        endless: set[int] = set()
        deaf: set[int] = set()
        while True:
            for stream in list(endless):
                while (room := speaker.local_flow_control_window(stream)) > 0:
                    data = PIECE[: min(room, speaker.max_outbound_frame_size)]
                    speaker.send_data(stream, data)
                    self.sent += len(data)
            writer.write(speaker.data_to_send())
            await writer.drain()
            if not (data := await reader.read(65_536)):
                return
            for event in speaker.receive_data(data):
                match event:
                    case h2.events.RequestReceived():
                        self._begin(speaker, event, endless, deaf)
                    case h2.events.DataReceived():
                        self.taken += len(event.data)
                        if event.stream_id not in deaf:
                            speaker.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    case h2.events.StreamEnded() if event.stream_id not in endless:
                        self._finish(speaker, event.stream_id)
                    case h2.events.StreamReset():
                        endless.discard(event.stream_id)

    def _begin(self, speaker: Any, event: Any, endless: set[int], deaf: set[int]) -> None:
        head = dict(event.headers)
        self.heads.append(head)
        if head[":path"] == "/endless":
            endless.add(event.stream_id)
            speaker.send_headers(event.stream_id, [(":status", "200")])
        elif head[":path"] == "/deaf":
            deaf.add(event.stream_id)
        elif head[":path"] == "/trailers":
            speaker.send_headers(event.stream_id, [(":status", "200"), ("content-type", "application/grpc")])
            speaker.send_data(event.stream_id, b"\0\0\0\0\5first")

    def _finish(self, speaker: Any, stream: int) -> None:
        if self.heads[-1][":path"] == "/trailers":
            speaker.send_data(stream, b"\0\0\0\0\6second")
            speaker.send_headers(stream, [("grpc-status", "0"), ("grpc-message", "fine")], end_stream=True)
        else:
            more = []
            if self.heads[-1][":path"] == "/hints":
                speaker.advertise_alternative_service(b'h3=":443"', stream_id=stream)
                more = [("alt-svc", 'h3=":443"'), ("strict-transport-security", "max-age=63072000")]
            speaker.send_headers(stream, [(":status", "200"), ("content-length", "5"), *more])
            speaker.send_data(stream, b"small", end_stream=True)
