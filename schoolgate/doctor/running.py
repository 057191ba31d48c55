"""What runs: every part answers, and every upstream resolver does."""

import asyncio
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace

from prometheus_client import CollectorRegistry

from schoolgate.app import dns_config
from schoolgate.box.enrolled import is_enrolled
from schoolgate.box.home import Home
from schoolgate.doctor.finding import Finding, Subject, Weight
from schoolgate.lookup import UpstreamLookup
from schoolgate.metrics_dns import DnsMetrics
from schoolgate.settings import Endpoint, Settings
from schoolgate_dns.upstream import Upstreams
from schoolgate_dns.upstream_address import Upstream

_SECONDS = 5.0
_NAME = "example.com"  # reserved (RFC 2606), and resolvable everywhere


def services(at: Subject) -> Iterator[Finding]:
    """Find parts that do not answer, or say that they are not ready."""
    for part, endpoint in health(at.settings):
        problem = not_ready(endpoint)
        if problem:
            do = f"systemctl status schoolgate-{part}; journalctl --namespace=schoolgate -u schoolgate-{part}"
            yield Finding("services", Weight.ERROR, f"{part}: {problem}", do)


def upstreams(at: Subject) -> Iterator[Finding]:
    """Find resolvers that do not answer."""
    config = dns_config(at.settings)
    if not config.upstreams:
        do = 'set dns.upstreams in schoolgate.toml, such as ["tls://9.9.9.9#dns.quad9.net"]'
        yield Finding("upstreams", Weight.ERROR, "there is no resolver to ask", do)
    for upstream in config.upstreams:
        problem = asyncio.run(_ask(at.settings, upstream))
        if problem:
            do = "look at the cable and the provider's firewall, or name another one in dns.upstreams"
            yield Finding("upstreams", Weight.ERROR, f"{upstream}: {problem}", do)


def centre(at: Subject) -> Iterator[Finding]:
    """Find what is wrong between a box and its centre."""
    for what, why in Home(at.settings.state).trouble().items():
        do = "the last good policy is in force; look at the centre, the network between, and this box's clock"
        yield Finding("centre", Weight.ERROR, f"{what}: {why}", do)


def health(settings: Settings) -> Iterator[tuple[str, Endpoint]]:
    """Yield each part that is to run, and where it says whether it is well."""
    for number in range(1, settings.dns.workers + 1):
        yield "dns", settings.of_worker("dns", number).metrics.dns
    for number in range(1, settings.proxy.workers + 1):
        yield "proxy", settings.of_worker("proxy", number).metrics.proxy
    if is_enrolled(settings.state):  # the portal is the centre's
        yield "box", settings.metrics.box
    else:
        yield "portal", settings.metrics.portal
    if settings.rpz.secondaries:
        yield "rpz", settings.metrics.rpz
    if settings.interfaces:
        yield "evidence", settings.metrics.firewall


def not_ready(at: Endpoint, seconds: float = _SECONDS) -> str:
    """Return what is wrong with what should answer at a health address within some seconds; empty: it is well."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{at}/readyz", timeout=seconds):
            return ""
    except urllib.error.HTTPError as error:
        with error:
            told = error.read(2000).decode("utf-8", "replace").strip().replace("\n", ", ")
        return f"is not ready: {told}"
    except OSError as error:
        reason = getattr(error, "reason", error)
        return f"nothing answers at {at}: {getattr(reason, 'strerror', None) or reason}".lower()


async def _ask(settings: Settings, upstream: Upstream | tuple[str, int]) -> str:
    config = replace(dns_config(settings), upstreams=(upstream,), zones={})
    asked = Upstreams(config, DnsMetrics(CollectorRegistry()))
    try:
        async with asyncio.timeout(_SECONDS):
            await UpstreamLookup(asked)(_NAME, 443)
    except TimeoutError:
        return f"no answer within {_SECONDS:.0f} s"
    except OSError as error:
        return str(error)
    finally:
        await asked.close()
    return ""
