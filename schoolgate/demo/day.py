"""The script of the day, and what came of it."""

import asyncio
import ssl
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from ipaddress import ip_network
from pathlib import Path
from zoneinfo import ZoneInfo

from schoolgate.demo.clients import Seen, ask_dns, fetch
from schoolgate.demo.internet import Internet
from schoolgate.metrics import Metrics
from schoolgate.metrics_dns import DnsMetrics
from schoolgate.metrics_proxy import ProxyMetrics
from schoolgate.record import MetricsRecorder
from schoolgate_dns.config import DnsConfig
from schoolgate_dns.server import DnsServer
from schoolgate_policy.decision import Attempt, Decision
from schoolgate_policy.engine import Engine
from schoolgate_proxy.config import ProxyConfig
from schoolgate_proxy.server import ProxyServer

_LOOPBACK = (ip_network("127.0.0.0/8"),)
_HERE = "127.0.0.1"

TIMES = (
    (time(8, 0), "before school"),
    (time(10, 15), "lesson"),
    (time(12, 30), "lunch"),
    (time(15, 45), "after school"),
)
PEOPLE = {
    "pupil": "127.0.20.5",
    "staff": "127.0.10.5",
    "office": "127.0.10.20",
    "guest": "127.0.30.5",
}
_EVERYDAY = (
    "www.instagram.com/",
    "www.tiktok.com/",
    "www.youtube.com/",
    "www.childline.org.uk/",
    "www.bbc.co.uk/bitesize",
)
WISHES = {
    "pupil": _EVERYDAY,
    "staff": _EVERYDAY,
    "office": ("www.facebook.com/perryfieldspru",),
    "guest": ("www.tiktok.com/", "www.youtube.com/", "www.bbc.co.uk/bitesize"),
}


@dataclass(frozen=True, slots=True)
class Line:
    """One wish at one time: what DNS and proxy did, and what `explain` says of it."""

    at: datetime  # in the policy's zone
    period: str
    who: str
    what: str
    dns: Seen
    proxy: Seen
    page: Decision  # explain, asked with the URL
    name: Decision  # explain, asked with the bare host

    @property
    def agree(self) -> bool:
        """Whether all three say the same: of the page, and DNS of the name."""
        return self.dns.value == self.name.verdict.value and self.proxy.value == self.page.verdict.value


class _Clock:
    """A clock that stands where it is set."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


@dataclass(frozen=True, slots=True)
class _Source:
    engine: Engine


async def play(engine: Engine, day: date) -> AsyncIterator[Line]:
    """Play the day: yield each line as it happens."""
    clock, internet = _Clock(), Internet()
    metrics = Metrics("demo")
    recorder, source = MetricsRecorder(metrics), _Source(engine)
    with tempfile.TemporaryDirectory(prefix="schoolgate-demo-") as folder:
        state = Path(folder)
        await internet.start()
        dns = DnsServer(
            DnsConfig(listen=((_HERE, 0),), upstreams=(internet.resolver,), private_allowed=_LOOPBACK),
            source, recorder, DnsMetrics(metrics.registry), clock,
        )  # fmt: skip
        proxy = ProxyServer(
            ProxyConfig(
                state,
                explicit=((_HERE, 0),),
                upstream_ca=internet.roots,
                allowed_upstream=_LOOPBACK,
                resolve=internet.resolve,
            ),
            source, recorder, ProxyMetrics(metrics.registry), clock,
        )  # fmt: skip
        await dns.start()
        await proxy.start()
        try:
            trust = ssl.create_default_context(cafile=str(state / "ca.pem"))
            trust.load_verify_locations(internet.roots)
            places = (dns.addresses[0], proxy.addresses[0].address)
            async for line in _script(engine, day, clock, places, trust):
                yield line
        finally:
            await proxy.stop()
            await dns.stop()
            await internet.stop()


async def _script(
    engine: Engine,
    day: date,
    clock: _Clock,
    places: tuple[tuple[str, int], tuple[str, int]],
    trust: ssl.SSLContext,
) -> AsyncIterator[Line]:
    zone = ZoneInfo(engine.policy.school.timezone)
    for hour, period in TIMES:
        local = datetime.combine(day, hour, zone)
        clock.now = local.astimezone(UTC)
        for who, wishes in WISHES.items():
            address = PEOPLE[who]
            for what in wishes:
                host, slash, rest = what.partition("/")
                dns, proxy = await asyncio.gather(
                    asyncio.to_thread(ask_dns, places[0], address, host),
                    asyncio.to_thread(fetch, places[1], address, host, slash + rest, trust),
                )
                page = engine.explain(Attempt(address, host, clock.now, slash + rest))
                name = engine.explain(Attempt(address, host, clock.now))
                yield Line(local, period, who, what.removesuffix("/"), dns, proxy, page, name)
