"""The gate as mitmproxy's own kind of listener: `gate@PORT`, or `gate:NETWORK@PORT` where the firewall redirects to.

The two classes are found by mitmproxy by their names as soon as this module is loaded.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

from mitmproxy import ctx
from mitmproxy.proxy import layers, mode_specs
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import Layer
from mitmproxy.proxy.mode_servers import AsyncioServerInstance

from schoolgate_proxy.addon import SchoolgateProxy
from schoolgate_proxy.gate.gate import Entrant
from schoolgate_proxy.gate.handler import GateHandler, Hooks
from schoolgate_proxy.gate.listener import Door, open_sockets


class GateMode(mode_specs.ProxyMode):  # type: ignore[no-untyped-call]  # mitmproxy leaves it untyped
    """A listener with the gate in front; the data is the network it serves, none for an explicit proxy."""

    description = "Schoolgate"
    transport_protocol: ClassVar[Literal["tcp", "udp", "both"]] = "tcp"

    def __post_init__(self) -> None:
        """Accept any network; which ones there are is the policy's to say."""

    @property
    def door(self) -> Door:
        """What stands behind the listener."""
        return Door(self.data or None)


class Listening:
    """Sockets that the gate listens on, as mitmproxy wants to see a server."""

    def __init__(self, sockets: Sequence[socket.socket], end: Callable[[], None]) -> None:
        self.sockets = sockets
        self._end = end

    def close(self) -> None:
        """Listen no longer."""
        self.sockets = ()
        self._end()


class GateInstance(AsyncioServerInstance[GateMode]):  # type: ignore[no-untyped-call]  # mitmproxy leaves it untyped
    """A listener: the gate's thread takes connections in, mitmproxy gets those that are to be opened."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._tasks: set[asyncio.Task[None]] = set()
        self._hooks: Hooks | None = None

    async def listen(self, host: str, port: int) -> list[Any]:
        """Listen, and let the gate take connections in."""
        gate = _addon().gate
        if gate is None:
            raise OSError("there is no gate")
        sockets = open_sockets(host, port, shared=gate.config.share_ports)
        return [Listening(sockets, gate.listen(sockets, self.mode.door, self._receive))]

    def make_top_layer(self, context: Context) -> Layer:
        """Return what mitmproxy begins with: where the destination is known it is a transparent proxy."""
        if context.server.address is None:
            return layers.modes.HttpProxy(context)
        return layers.modes.TransparentProxy(context)

    def _known_hooks(self) -> Hooks:
        if self._hooks is None:
            self._hooks = Hooks(ctx.master, _addon().fault)
        return self._hooks

    def _receive(self, entrant: Entrant) -> None:
        task = asyncio.ensure_future(self._serve(entrant))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, entrant: Entrant) -> None:
        addon = _addon()
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        try:
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, entrant.sock)
            writer = asyncio.StreamWriter(transport, protocol, reader, loop)
            handler = GateHandler(self._known_hooks(), ctx.master, reader, writer, ctx.options, self.mode)
            context = handler.layer.context
            if entrant.address is not None:
                context.server.address = entrant.address
                if entrant.door.transparent:
                    context.client.sockname = entrant.address
            handler.layer = _tls_at_once(context) if entrant.tls else self.make_top_layer(context)
            addon.expect(context.client.id, entrant)
            with self.manager.register_connection(context.client.id, handler):
                await handler.handle_client()
        except OSError:
            entrant.sock.close()  # the client has gone
        except Exception as error:  # noqa: BLE001 - one connection must not take all others with it
            entrant.sock.close()
            addon.fault(error)
        finally:
            if addon.gate is not None:
                addon.gate.departed(entrant)


def _tls_at_once(context: Context) -> Layer:
    """Return the layer that opens TLS: the gate has seen the ClientHello, there is nothing to find out below it.

    mitmproxy's own stack has four layers there, through which every event goes on its way in and out.
    """
    context.server.tls = True
    # Stands in the list of layers alone: those above ask what they are in.
    layers.modes.TransparentProxy(context)
    return layers.ClientTLSLayer(context)


def _addon() -> SchoolgateProxy:
    addon = ctx.master.addons.get("schoolgate")  # type: ignore[no-untyped-call]  # mitmproxy leaves it untyped
    if not isinstance(addon, SchoolgateProxy):
        raise TypeError("mitmproxy runs without the schoolgate addon")
    return addon
