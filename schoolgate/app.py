"""The composition root: the only place where the parts meet the settings, the policy and one another.

Each `build_*` imports its part when it is called, so that a process loads only what it runs.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from ssl import SSLError
from typing import TYPE_CHECKING

import structlog

from schoolgate.part import CannotStart, Part, Server, Surroundings
from schoolgate.settings import Endpoint, Settings, system_resolvers
from schoolgate_policy.names import as_ip

_log = structlog.get_logger()
_UNDER_A_CENTRE = (
    "box: this box is under a centre, whose portal it has; `schoolgate box serve` runs in its place here"
)

if TYPE_CHECKING:
    from schoolgate.ask_links import AskUrl
    from schoolgate.centre.listener import CentreListener
    from schoolgate.events.receiver import EventReceiver
    from schoolgate.jobs import JobRunner
    from schoolgate.list_refresh import ListRefresher
    from schoolgate.portal_tls import PortalCertificate
    from schoolgate.sign_on import SignOn
    from schoolgate_dns.config import DnsConfig
    from schoolgate_dns.rpz.server import RpzServer
    from schoolgate_dns.server import DnsServer
    from schoolgate_exceptions.ports import BlockPage
    from schoolgate_exceptions.server import PortalServer
    from schoolgate_exceptions.service import Service
    from schoolgate_policy.decision import Attempt, Decision
    from schoolgate_policy.engine import Engine
    from schoolgate_policy.model import Policy
    from schoolgate_proxy.ports import Resolve
    from schoolgate_proxy.server import ProxyServer


def dns_config(settings: Settings) -> "DnsConfig":
    """Return the sinkhole's settings; without upstreams it asks the system's resolvers."""
    from schoolgate_dns.config import DnsConfig
    from schoolgate_dns.upstream_address import parse_upstream

    dns = settings.dns
    pages = [ip_address(text) for text in dns.block_page_address]
    return DnsConfig(
        listen=dns.listen,
        shared_ports=dns.workers > 1,
        upstreams=tuple(parse_upstream(text) for text in dns.upstreams) or system_resolvers(),
        zones={zone: tuple(parse_upstream(text) for text in every) for zone, every in dns.zones.items()},
        upstream_roots=_roots(dns.upstream_ca),
        trust_ad=dns.trust_ad,
        answer_unknown=dns.answer_unknown,
        cookie_secret=_cookie_secret(dns.cookie_secret),
        queries_per_second=dns.queries_per_second,
        same_answers_per_second=dns.same_answers_per_second,
        tunnel_names=dns.tunnel_names,
        tunnel_carriers=dns.tunnel_carriers,
        block_page_v4=next((page for page in pages if isinstance(page, IPv4Address)), None),
        block_page_v6=next((page for page in pages if isinstance(page, IPv6Address)), None),
        portal_host=_portal_name(settings),
        local_zones=frozenset(dns.local_zones),
        private_allowed=settings.internal,
    )


def _portal_name(settings: Settings) -> str:
    """Return the portal's name as the sinkhole answers it; empty where it has none, or an address."""
    host = settings.portal_host or ""
    return "" if as_ip(host) is not None else host


def _roots(file: Path | None) -> Path | None:
    """Return the file if certificate authorities can be read from it."""
    from schoolgate_dns.stream import tls_context

    try:
        tls_context(file)
    except OSError as error:
        reason = (
            (error.strerror or str(error)).lower() if not isinstance(error, SSLError) else "no certificate"
        )
        raise CannotStart(f"dns.upstream_ca: {file}: cannot be used: {reason}") from error
    return file


def _cookie_secret(file: Path | None) -> bytes:
    if file is None:
        return b""
    try:
        secret = bytes.fromhex(file.read_text("ascii"))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise CannotStart(f"dns.cookie_secret: {file}: cannot be read: {reason}") from error
    except ValueError:
        secret = b""
    if len(secret) != 16:
        raise CannotStart(f"dns.cookie_secret: {file}: not 32 hexadecimal digits")
    return secret


def build_dns(around: Surroundings) -> Server:
    """Put the sinkhole together."""
    from schoolgate.metrics_dns import DnsMetrics
    from schoolgate_dns.server import DnsServer

    config = dns_config(around.settings)
    counters = DnsMetrics(around.metrics.registry)
    server = DnsServer(config, around.store, around.recorder, counters, around.clock)
    counters.watch(server.upstreams_working)
    return _Dns(server)


def build_proxy(around: Surroundings) -> Server:
    """Put the web proxy together."""
    from schoolgate.metrics_box import certificate_metrics
    from schoolgate.metrics_proxy import ProxyMetrics
    from schoolgate_proxy.authority import certificate_files
    from schoolgate_proxy.config import ProxyConfig
    from schoolgate_proxy.server import ProxyServer

    settings = around.settings.proxy
    _check_networks(settings.transparent, around.store.engine)
    _tell_limits(around.store.engine.policy)
    config = ProxyConfig(
        state=around.settings.state,
        explicit=(settings.explicit,),
        transparent={network: ("", port) for network, port in settings.transparent.items()},
        upstream_ca=settings.upstream_ca,
        allowed_upstream=around.settings.internal,
        resolve=_lookup(around),
        own_pages=_own_pages(around.settings),
        ask_url=_ask_url(around.settings),
        share_ports=settings.workers > 1,
    )
    counters = ProxyMetrics(around.metrics.registry)
    certificate_metrics(around.metrics.registry, certificate_files(around.settings.state))
    return _Proxy(ProxyServer(config, around.store, around.recorder, counters, around.clock))


def never_signed(state: Path) -> tuple[str, ...]:
    """Return the hosts that the certificate authority may not sign for (`ca init --never-for`)."""
    from schoolgate_proxy.authority import never_signs

    try:
        return never_signs(state)
    except (OSError, ValueError) as error:
        raise CannotStart(f"state: {error}") from error


def _own_pages(settings: Settings) -> dict[tuple[str, int], tuple[str, int]]:
    """Return the portal's host and the ports that browsers ask for, and where this box listens for them."""
    host, portal = settings.portal_host, settings.portal
    if host is None:
        return {}
    pages = {80: portal.listen, 443: portal.listen_tls}
    return {(host, port): _from_here(at) for port, at in pages.items() if at is not None and at.port}


def _from_here(at: Endpoint) -> tuple[str, int]:
    """Return how this box reaches what listens on an address, be that every address."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(at.host, at.host), at.port  # noqa: S104 - compared, not bound


def _tell_limits(policy: "Policy") -> None:
    """Log what each network's level of inspection cannot see."""
    from schoolgate_policy.limits import limits

    found = limits(policy)
    for network in policy.networks.values():
        unseen = [one.text for one in found if one.network == network.id]
        _log.info("proxy.cannot_see", network=network.id, inspection=network.inspection, unseen=unseen)


def _check_networks(transparent: Mapping[str, int], engine: "Engine") -> None:
    known = engine.policy.networks
    for network in transparent:
        if network not in known:
            raise CannotStart(
                f"proxy.transparent.{network}: no such network in the policy; available: {', '.join(known)}"
            )


def _ask_url(settings: Settings) -> "AskUrl | None":
    from schoolgate.ask_links import ask_url

    try:
        return ask_url(settings)
    except (OSError, ValueError) as error:
        raise CannotStart(f"state: {error}") from error


def _lookup(around: Surroundings) -> "Resolve | None":
    """Return how the proxy looks names up: as the sinkhole does, or by the system where no upstream is set."""
    from schoolgate.lookup import UpstreamLookup
    from schoolgate.metrics_dns import UpstreamMetrics
    from schoolgate_dns.upstream import Upstreams

    counters = UpstreamMetrics(around.metrics.registry)
    if not around.settings.dns.upstreams:
        return None
    config = dns_config(around.settings)
    upstreams = Upstreams(config, counters)
    counters.watch(upstreams.working)
    return UpstreamLookup(upstreams, config.own_zones)


def build_rpz(around: Surroundings) -> Server:
    """Put the server of response policy zones together."""
    from schoolgate.metrics_rpz import RpzMetrics
    from schoolgate.rpz.build import ListNames, missing, rpz_config
    from schoolgate.rpz.keyfile import BadKeyFile
    from schoolgate_dns.rpz.server import RpzServer

    settings = around.settings
    if not settings.rpz.secondaries:
        raise CannotStart("rpz.secondaries: nobody may have the zones; name a resolver and its key")
    try:
        config = rpz_config(settings)
    except BadKeyFile as error:
        raise CannotStart(f"rpz.secondaries: {error}") from error
    for line in missing(around.store.engine.policy, settings):
        _log.warning("rpz.incomplete", what=line)
    for name, one in settings.rpz.secondaries.items():
        if one.unsigned:
            _log.warning("rpz.unsigned", secondary=name, effect="known by its address alone")
    counters = RpzMetrics(around.metrics.registry)
    names = ListNames(around.store.path.parent, settings)
    try:
        server = RpzServer(config, around.store, names, around.recorder, counters, around.clock)
    except OSError as error:
        raise CannotStart(f"state: {error.filename}: {(error.strerror or str(error)).lower()}") from error
    counters.watch(lambda: server.notifier.behind)
    return _Rpz(server)


def build_portal(around: Surroundings) -> Server:
    """Put the portal together; the block page is the proxy's. Its process also keeps the lists fresh."""
    from schoolgate.ask_links import portal_url
    from schoolgate.box.enrolled import is_enrolled
    from schoolgate.instruments import PartInstruments
    from schoolgate.jobs import JobRunner
    from schoolgate.list_refresh import ListRefresher, fetcher_of
    from schoolgate.metrics_box import box_metrics
    from schoolgate.metrics_portal import PortalMetrics
    from schoolgate.metrics_probe import ProbeMetrics
    from schoolgate_exceptions.ports import PortalConfig
    from schoolgate_exceptions.server import PortalServer

    if is_enrolled(around.settings.state):  # both would read the events of the other parts
        raise CannotStart(_UNDER_A_CENTRE)
    settings = around.settings.portal
    config = PortalConfig(
        settings.listen, around.settings.portal_host, settings.listen_tls, portal_url(around.settings)
    )
    metrics = PortalMetrics(around.metrics.registry, around.store, around.clock)
    box_metrics(around.metrics.registry, around.settings.state)
    service = _service(around)
    sign_on = _sign_on(around.settings, service)
    server = PortalServer(
        config,
        around.store,
        around.recorder,
        metrics,
        around.clock,
        block_page(_ask_url(around.settings)),
        service,
        sign_on.providers,
        _certificate(around),
    )
    metrics.begin()
    service.log.attempted = metrics.attempt
    service.alerting.acknowledged = metrics.acknowledged
    service.sampling.instruments = PartInstruments(around.settings)
    events = _event_receiver(around, service)
    centre = _centre(around, service, events)
    lists = ListRefresher(fetcher_of(around.settings), around.store, around.recorder)
    jobs = JobRunner(service, metrics, ProbeMetrics(around.metrics.registry, around.store), around.recorder)
    return _Portal(server, service, jobs, around.settings, lists, events, sign_on, centre)


def _centre(around: Surroundings, service: "Service", events: "EventReceiver") -> "CentreListener | None":
    """Return what serves the boxes of other schools, None where this is no centre."""
    from schoolgate.centre.desk import Desk
    from schoolgate.centre.identity import load_identity
    from schoolgate.centre.listener import CentreListener
    from schoolgate.centre.parcel import Packer

    at, state = around.settings.centre.listen, around.settings.state
    if at is None:
        return None
    try:
        identity = load_identity(state)
        desk = Desk(service.boxes, Packer(around.store, state), identity, events, around.recorder)
        return CentreListener(at, desk.app, identity.context())
    except (OSError, ValueError) as error:
        raise CannotStart(f"centre: {error}") from error


def build_box(around: Surroundings) -> Server:
    """Put the part of a box together that speaks with its centre."""
    from schoolgate.box.build import build_agent

    try:
        return build_agent(around)
    except (OSError, ValueError) as error:
        raise CannotStart(f"box: {error}") from error


def _event_receiver(around: Surroundings, service: "Service") -> "EventReceiver":
    """Return what reads the events of all processes into the log of the portal."""
    from schoolgate.events.receiver import EventReceiver
    from schoolgate.events.sender import SOCKET
    from schoolgate.metrics_events import EventMetrics

    counters = EventMetrics(around.metrics, around.recorder)
    service.log.lost = counters.dropped
    return EventReceiver(around.settings.state / SOCKET, service.log, counters)


def _certificate(around: Surroundings) -> "PortalCertificate | None":
    """Return what the portal shows over TLS, None where it has no TLS."""
    from schoolgate.portal_tls import certificate_of

    try:
        return certificate_of(around.settings, around.store.engine.policy.school.name)
    except OSError as error:
        raise CannotStart(f"portal.certificate: {error}") from error


def _sign_on(settings: Settings, service: "Service") -> "SignOn":
    from schoolgate.sign_on import sign_on

    try:
        return sign_on(settings, service)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise CannotStart(f"sso.secret_file: {settings.sso.secret_file}: cannot be read: {reason}") from error
    except (ImportError, ValueError) as error:
        raise CannotStart(f"sso: {error}") from error


def _service(around: Surroundings) -> "Service":
    from schoolgate.request_queue import open_service
    from schoolgate_exceptions.errors import Unavailable

    try:
        return open_service(around.settings, around.store.path, around.store, around.clock)
    except Unavailable as error:
        raise CannotStart(f"database.url: {error}") from error
    except (OSError, ValueError) as error:
        raise CannotStart(f"state: {error}") from error


def block_page(ask_url: "AskUrl | None") -> "BlockPage":
    """Return the proxy's block page, for the portal; `ask_url` makes the link of its button."""
    from schoolgate_exceptions.ports import Page
    from schoolgate_proxy.blockpage import render

    def make(
        engine: "Engine", attempt: "Attempt", decision: "Decision", accept: str, dest: str, language: str
    ) -> Page:
        page = render(
            decision,
            engine.policy,
            now=attempt.at,
            opens_at=engine.opens_at(attempt),
            ask_url=ask_url(attempt, decision) if ask_url else None,
            accept=accept,
            sec_fetch_dest=dest,
            accept_language=language,
        )
        return Page(page.status, page.headers, page.body)

    return make


@dataclass(frozen=True, slots=True)
class _Dns:
    server: "DnsServer"

    async def start(self) -> None:
        await self.server.start()

    async def ended(self) -> None:
        await asyncio.Event().wait()  # datagram and stream servers of asyncio end only when closed

    async def stop(self) -> None:
        await self.server.stop()

    def listening(self) -> dict[str, str]:
        return _numbered("dns", [str(Endpoint(*at)) for at in self.server.addresses])


@dataclass(frozen=True, slots=True)
class _Rpz:
    server: "RpzServer"

    async def start(self) -> None:
        await self.server.start()

    async def ended(self) -> None:
        await asyncio.Event().wait()

    async def stop(self) -> None:
        await self.server.stop()

    def listening(self) -> dict[str, str]:
        return _numbered("rpz", [str(Endpoint(*at)) for at in self.server.addresses])


@dataclass(frozen=True, slots=True)
class _Proxy:
    server: "ProxyServer"

    async def start(self) -> None:
        await self.server.start()

    async def ended(self) -> None:
        await self.server.run()

    async def stop(self) -> None:
        await self.server.stop()

    def listening(self) -> dict[str, str]:
        found = self.server.addresses
        explicit = [str(Endpoint(*one.address)) for one in found if one.network is None]
        transparent = {f"proxy_{one.network}": str(Endpoint(*one.address)) for one in found if one.network}
        return {**_numbered("proxy", explicit), **transparent}


@dataclass(frozen=True, slots=True)
class _Portal:
    server: "PortalServer"
    service: "Service"
    jobs: "JobRunner"
    settings: Settings
    lists: "ListRefresher"
    events: "EventReceiver"
    sign_on: "SignOn"
    centre: "CentreListener | None" = None

    async def start(self) -> None:
        from schoolgate.ask_links import portal_url
        from schoolgate.request_queue import announce_first_account

        self.events.start()
        await self.server.start()
        if self.centre is not None:
            self.centre.start()
        base = portal_url(self.settings) or f"http://{Endpoint(*self.server.address)}"
        if path := announce_first_account(self.service, self.settings, base):
            _log.info("portal.no_account_yet", read=str(path))
        self.jobs.start()
        self.lists.start()

    async def ended(self) -> None:
        await self.server.run()

    async def stop(self) -> None:
        await self.jobs.stop()
        await self.lists.stop()
        if self.centre is not None:
            await self.centre.stop()
        await self.server.stop()
        await asyncio.to_thread(self.events.stop)
        self.sign_on.close()
        self.service.close()

    def listening(self) -> dict[str, str]:
        tls = self.server.tls_address
        more = {"portal_tls": str(Endpoint(*tls))} if tls else {}
        more |= {"centre": str(self.centre.address)} if self.centre else {}
        return {"portal": str(Endpoint(*self.server.address)), **more}


def _numbered(name: str, addresses: list[str]) -> dict[str, str]:
    return {f"{name}{number or ''}": at for number, at in enumerate(addresses)}


PARTS: dict[str, Part] = {
    part.name: part
    for part in (
        Part("dns", "dns.listen", build_dns),
        Part("proxy", "proxy.explicit", build_proxy, never_signed),
        Part("portal", "portal.listen", build_portal, keeps_history=True),
        Part("rpz", "rpz.listen", build_rpz),
        Part("box", "box", build_box),
    )
}
