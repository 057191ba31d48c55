"""Shuts the door when a hook of ours fails: mitmproxy itself only logs the exception and lets the traffic go on."""

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from mitmproxy import connection, http
from mitmproxy.exceptions import AddonHalt
from mitmproxy.proxy import layer, server_hooks
from mitmproxy.tls import ClientHelloData, TlsData

from schoolgate_proxy.blockpage import BlockResponse, render_fault
from schoolgate_proxy.layers import Closed


class Guarded(Protocol):
    """An addon whose hooks are guarded."""

    def fault(self, error: Exception) -> None:
        """Note a failure of ours."""
        ...

    def refuse_tls(self, data: ClientHelloData) -> None:
        """End a connection whose ClientHello was read."""
        ...

    def close(self, client: connection.Client) -> None:
        """End a client connection."""
        ...


def guarded(hook: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a hook, plain or async, so that an exception in it ends in a block and is noted."""
    if inspect.iscoroutinefunction(hook):

        @functools.wraps(hook)
        async def awaited(addon: Guarded, data: Any) -> None:
            try:
                await hook(addon, data)
            except AddonHalt:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, it must not open the door
                _failed(addon, data, error)

        return awaited

    @functools.wraps(hook)
    def called(addon: Guarded, data: Any) -> Awaitable[None] | None:
        try:
            hook(addon, data)
        except AddonHalt:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not open the door
            _failed(addon, data, error)
        return None

    return called


def answer(flow: http.HTTPFlow, response: BlockResponse) -> None:
    """Answer a request ourselves, at once (`wire/stream.py`): what the client still sends is not waited for."""
    flow.request.stream = True
    flow.request.headers.pop("expect", None)  # nobody is asked for a body that nobody reads
    body = b"" if flow.request.method == "HEAD" else response.body
    headers = http.Headers([(name.encode(), value.encode()) for name, value in response.headers])
    flow.response = http.Response.make(response.status, body, headers)
    if flow.request.method == "HEAD":
        flow.response.headers["content-length"] = str(len(response.body))


def _failed(addon: Guarded, data: object, error: Exception) -> None:
    try:
        addon.fault(error)
    finally:
        _shut(addon, data)


def _shut(addon: Guarded, data: object) -> None:
    match data:
        case http.HTTPFlow() if data.response is None:
            answer(data, render_fault("", accept=data.request.headers.get("accept", "")))
        case http.HTTPFlow():
            if data.killable:
                data.kill()  # type: ignore[no-untyped-call]  # mitmproxy leaves it untyped
        case ClientHelloData():
            addon.refuse_tls(data)
        case server_hooks.ServerConnectionHookData():
            data.server.error = "refused: the filter failed"
        case layer.NextLayer():
            data.layer = Closed(data.context)
        case TlsData():
            addon.close(data.context.client)
        case connection.Client():
            data.error = "refused: the filter failed"
