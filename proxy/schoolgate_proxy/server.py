"""The proxy as a part of a program: mitmproxy embedded with as few of its addons as serve the purpose."""

import asyncio
import contextlib
import errno
import os
from dataclasses import dataclass

from mitmproxy import options
from mitmproxy.addons import core, next_layer, proxyserver
from mitmproxy.master import Master

from schoolgate_policy.ports import Clock, PolicySource, Recorder
from schoolgate_proxy import authority, error_page, lean
from schoolgate_proxy.addon import SchoolgateProxy
from schoolgate_proxy.certificates import Leaves
from schoolgate_proxy.client_tls import ClientTls, only_http1
from schoolgate_proxy.config import ProxyConfig
from schoolgate_proxy.gate import mode as _mode_of_the_gate  # noqa: F401 - mitmproxy finds the mode once it is loaded
from schoolgate_proxy.judge import Judge
from schoolgate_proxy.ports import Address, Counters
from schoolgate_proxy.tls import SchoolTls

_STOP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Listening:
    """An address that the proxy listens on; `network` is None for an explicit listener."""

    network: str | None
    address: Address


class ProxyServer:
    """Runs the proxy in the running event loop. One per process: mitmproxy keeps its master in a global."""

    def __init__(
        self, config: ProxyConfig, source: PolicySource, recorder: Recorder, counters: Counters, clock: Clock
    ) -> None:
        self._config = config
        self._judge = Judge(source, recorder, clock)
        self._networks = {_mode(f"gate:{network}", at): network for network, at in config.transparent.items()}
        self._addon = SchoolgateProxy(config, self._judge, counters, self._networks)
        self._gate = self._addon.open_gate()
        self._proxyserver = proxyserver.Proxyserver()  # type: ignore[no-untyped-call]  # mitmproxy leaves it untyped
        self._master: Master | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def addresses(self) -> tuple[Listening, ...]:
        """Every address that is listened on, with the port that was really taken."""
        return tuple(
            Listening(self._networks.get(server.mode.full_spec), (host, port))
            for server in self._proxyserver.servers
            for host, port, *_ in server.listen_addrs
        )

    async def start(self) -> None:
        """Make the certificate authority where there is none, and listen.

        Raises:
            OSError: an address cannot be listened on (one line that names it), or the state folder not be used.
            ValueError: the file of further roots holds none.

        """
        folder = authority.prepare(self._config.state, self._judge.policy.school.name)
        leaves = Leaves(authority.intermediate(folder, self._judge.policy.school.name))
        roots = authority.upstream_roots(folder, self._config.upstream_ca)
        lean.install()
        error_page.install(self._judge.policy.school.name)
        started = _Started()
        master = Master(self._options(str(folder), str(roots) if roots else None))
        # Ours comes before NextLayer, which would otherwise choose a protocol on the first byte.
        _add(master, core.Core(), self._proxyserver, self._addon)
        _add(master, next_layer.NextLayer(), SchoolTls(leaves), started)
        _set(master, connection_strategy="lazy", validate_inbound_headers=True, store_streamed_bodies=False)
        self._master = master
        self._gate.tls = ClientTls(leaves, only_http1)
        self._gate.start(asyncio.get_running_loop())
        self._task = asyncio.get_running_loop().create_task(master.run(), name="mitmproxy")
        waiter = asyncio.ensure_future(started.event.wait())
        await asyncio.wait([self._task, waiter], return_when=asyncio.FIRST_COMPLETED)
        waiter.cancel()
        if (failure := self._failure()) is not None:
            await self.stop()
            raise failure
        lean.settle(master.options)

    async def run(self) -> None:
        """Serve until `stop` is called or mitmproxy ends."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def stop(self) -> None:
        """Close the listeners, then every connection, and wait for both (five seconds at most)."""
        master, task = self._master, self._task
        self._master = self._task = None
        if master is None or task is None:
            return
        await self._proxyserver.servers.update([])
        self._gate.stop()
        handlers = list(self._proxyserver.connections.values())
        for handler in handlers:
            for io in list(handler.transports.values()):
                if io.handler is not None:
                    io.handler.cancel("the proxy stops")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._addon.idle(), _STOP_SECONDS)
        for _ in range(100):  # mitmproxy closes the upstream side after its last hook, and tells nobody
            if not self._proxyserver.connections:
                break
            await asyncio.sleep(0.01)
        master.shutdown()  # type: ignore[no-untyped-call]  # mitmproxy leaves it untyped
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.01)  # lets the closed transports of the last connections go

    def _options(self, confdir: str, roots: str | None) -> options.Options:
        modes = [_mode("gate", address) for address in self._config.explicit]
        return options.Options(
            mode=[*modes, *self._networks],
            confdir=confdir,
            ssl_insecure=False,
            ssl_verify_upstream_trusted_ca=roots,
            upstream_cert=False,
            rawtcp=False,
            http2=True,
            http3=False,
            websocket=True,
            tcp_timeout=self._config.idle,
        )

    def _failure(self) -> OSError | None:
        """Return why a listener did not start, in one line."""
        for server in self._proxyserver.servers:
            if server.is_running:
                continue
            cause = server.last_exception
            number = cause.errno if isinstance(cause, OSError) and cause.errno else errno.EIO
            host, port = server.mode.listen_host() or "*", server.mode.listen_port()
            return OSError(number, f"cannot listen on {host}:{port}: {os.strerror(number).lower()}")
        return None


class _Started:
    """Tells when mitmproxy has brought its listeners up."""

    name = "schoolgate-started"

    def __init__(self) -> None:
        self.event = asyncio.Event()

    def running(self) -> None:
        self.event.set()


def _add(master: Master, *addons: object) -> None:
    master.addons.add(*addons)  # type: ignore[no-untyped-call]  # mitmproxy leaves it untyped


def _set(master: Master, **values: object) -> None:
    master.options.update(**values)  # type: ignore[no-untyped-call]  # mitmproxy leaves it untyped


def _mode(kind: str, address: Address) -> str:
    """Return mitmproxy's specification of a listener."""
    return f"{kind}@{address[0]}:{address[1]}"
