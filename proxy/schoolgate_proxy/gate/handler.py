"""Drives mitmproxy's layers for one opened connection, with fewer tasks than mitmproxy's own handler.

mitmproxy starts a task for every hook, which waits for a lock before the layers hear that the hook is done: some
fourteen times for a connection. Here a hook whose handlers are plain functions runs where it is met, and the layers
hear of it next; the order of events is the same. What is awaited goes mitmproxy's way.
"""

import asyncio
import inspect
from collections import deque
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from mitmproxy.exceptions import AddonHalt
from mitmproxy.hooks import Hook
from mitmproxy.master import Master
from mitmproxy.proxy import commands, events, server
from mitmproxy.proxy.mode_servers import ProxyConnectionHandler
from mitmproxy.utils import asyncio_utils

from schoolgate_proxy.wire import pressure

_PAUSE_SECONDS = 0.05

type Handler = Callable[[Any], Any]


class Hooks:
    """Who is told of which hook, worked out once: the addons do not change while the proxy runs."""

    def __init__(self, master: Master, fault: Callable[[Exception], None]) -> None:
        """Take the addons of a master; `fault` hears of handlers that raise (ours never do: they are guarded)."""
        self._master = master
        self.fault = fault
        self._known: dict[type[Hook], tuple[str, tuple[Handler, ...], bool]] = {}

    def now(self, hook: Hook) -> bool:
        """Call the handlers, in the order of the addons; False, and nothing is called, where one must be awaited."""
        name, handlers, awaited = self._known.get(type(hook)) or self._find(hook)
        if awaited:
            return False
        data = getattr(hook, name)
        for handler in handlers:
            try:
                handler(data)
            except AddonHalt:
                break
            except Exception as error:  # noqa: BLE001 - what mitmproxy does without an answer is to close
                self.fault(error)
        return True

    async def run(self, hook: Hook) -> None:
        """Call the handlers, and await those that want it."""
        name, handlers, _ = self._known.get(type(hook)) or self._find(hook)
        data = getattr(hook, name)
        for handler in handlers:
            try:
                result = handler(data)
                if result is not None:
                    await result
            except AddonHalt:
                return
            except Exception as error:  # noqa: BLE001 - as above
                self.fault(error)

    def _find(self, hook: Hook) -> tuple[str, tuple[Handler, ...], bool]:
        (data,) = fields(hook)  # type: ignore[arg-type]  # each hook is a dataclass, of one field here
        found = (getattr(addon, hook.name, None) for addon in self._master.addons.chain)
        handlers = tuple(handler for handler in found if callable(handler))
        awaited = any(inspect.iscoroutinefunction(handler) for handler in handlers)
        known = self._known[type(hook)] = data.name, handlers, awaited
        return known


class GateHandler(ProxyConnectionHandler):
    """mitmproxy's handler of a connection, with `Hooks`."""

    def __init__(self, hooks: Hooks, *arguments: Any) -> None:
        super().__init__(*arguments)  # type: ignore[no-untyped-call]  # mitmproxy leaves it untyped
        self._hooks = hooks

    async def handle_hook(self, hook: commands.StartHook) -> None:
        """Tell the addons; the time this takes is not the client's."""
        with self.timeout_watchdog.disarm():
            await self._hooks.run(hook)

    async def server_event(self, event: events.Event) -> None:
        """Give the layers an event, and do what they command."""
        async with self._server_event_lock:  # no `await` beyond this point
            self.timeout_watchdog.register_activity()  # type: ignore[no-untyped-call]  # mitmproxy leaves it untyped
            waiting: deque[events.Event] = deque([event])
            try:
                while waiting:
                    for command in self.layer.handle_event(waiting.popleft()):
                        if isinstance(command, commands.StartHook):
                            self._hook(command, waiting)
                        else:
                            self._obey(command)
            except Exception as error:  # noqa: BLE001 - as mitmproxy does; the connection is closed for it
                self._crashed(error)

    async def drain_writers(self) -> None:
        """Wait until what was just read can go on; mitmproxy waits for the sockets alone."""
        await super().drain_writers()  # type: ignore[no-untyped-call]  # mitmproxy leaves it untyped
        http = pressure.http_layer(self.layer.context.layers)
        task = asyncio.current_task()
        if http is not None:
            for connection, io in self.transports.items():
                if io.handler is task:
                    while pressure.stuck(http, connection):  # noqa: ASYNC110 - mitmproxy's layers tell nobody
                        await asyncio.sleep(_PAUSE_SECONDS)
                    return

    def _hook(self, command: commands.StartHook, waiting: deque[events.Event]) -> None:
        if not self._hooks.now(command):
            # Most of what could be waited for is known already: then there is nothing to wait for.
            begun = asyncio.Task(self._hooks.run(command), loop=asyncio.get_running_loop(), eager_start=True)
            if not begun.done():
                self._task(self._completed(begun, command), command.name, keep=True)
                return
        if command.blocking:
            waiting.append(events.HookCompleted(command))

    async def _completed(self, begun: asyncio.Task[None], hook: commands.StartHook) -> None:
        with self.timeout_watchdog.disarm():
            await begun
        if hook.blocking:
            await self.server_event(events.HookCompleted(hook))

    def _obey(self, command: commands.Command) -> None:
        match command:
            case commands.OpenConnection():
                handler = self._task(self.open_connection(command), "server", keep=False)
                self.transports[command.connection] = server.ConnectionIO(handler=handler)
            case commands.RequestWakeup():
                self.wakeup_timer.add(self._task(self.wakeup(command), "wakeup", keep=False))
            case commands.ConnectionCommand() if command.connection not in self.transports:
                pass  # it has been closed already
            case commands.SendData():
                writer = self.transports[command.connection].writer
                if writer is not None and not writer.is_closing():
                    writer.write(command.data)
            case commands.CloseTcpConnection():
                self.close_connection(command.connection, command.half_close)
            case commands.CloseConnection():
                self.close_connection(command.connection)
            case commands.Log():
                self.log(command.message, command.level)
            case _:
                raise RuntimeError(f"a command of mitmproxy's that is not known: {command}")

    def _task(self, coroutine: Any, name: str, *, keep: bool) -> Any:
        return asyncio_utils.create_task(coroutine, name=name, keep_ref=keep, client=self.client.peername)

    def _crashed(self, error: Exception) -> None:
        self._hooks.fault(error)
        io = self.transports.get(self.client)
        if io is not None and io.handler is not None:
            io.handler.cancel("the proxy failed")
