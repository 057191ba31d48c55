"""DNS, proxy and `explain` give the same verdict: the product's central promise."""

import asyncio
import inspect
import itertools
import logging
import ssl
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
import structlog
from cases import cases
from dnslib import EDNS0, QTYPE, DNSRecord
from mitmproxy.test import tflow, tutils
from running import ROOT

from schoolgate.demo.clients import ask_dns, fetch
from schoolgate.demo.internet import ADDRESS, Internet
from schoolgate.metrics import Metrics
from schoolgate.metrics_dns import DnsMetrics
from schoolgate.metrics_proxy import ProxyMetrics
from schoolgate.record import MetricsRecorder
from schoolgate_dns.config import DnsConfig
from schoolgate_dns.ports import Transport
from schoolgate_dns.resolver import Asker
from schoolgate_dns.server import DnsServer
from schoolgate_dns.special_names import special_name
from schoolgate_policy.decision import Attempt
from schoolgate_policy.engine import Engine
from schoolgate_policy.load import load_policy
from schoolgate_proxy.config import ProxyConfig
from schoolgate_proxy.connections import Connection, Connections
from schoolgate_proxy.handling import Arrival, Handling, handling_of
from schoolgate_proxy.judge import Judge
from schoolgate_proxy.requests import Requests
from schoolgate_proxy.server import ProxyServer
from schoolgate_proxy.upstream import Upstream

LOOPBACK = (ip_network("127.0.0.0/8"),)
IN_PROCESS, OVER_SOCKETS = 10_000, 300


@pytest.fixture(autouse=True)
def _quiet():
    """Without the access line of each case."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    yield
    structlog.reset_defaults()


class Clock:
    now = datetime(2026, 11, 23, 10, 15, tzinfo=UTC)

    def __call__(self):
        return self.now


class Source:
    def __init__(self, engine):
        self.engine = engine


@pytest.fixture(scope="module")
def engine():
    return Engine(load_policy(ROOT / "policy.yaml"))


def wanted(engine, count, seed):
    """Return cases, without the names that DNS answers itself whatever the policy says (canaries and the like)."""
    drawn = cases(engine.policy, 2 * count, seed)
    judged = (case for case in drawn if special_name(case.host.lower(), 1, frozenset()) is None)
    return list(itertools.islice(judged, count))


async def dns_verdict(resolver, case):
    query = DNSRecord.question(case.host, "A")
    query.add_ar(EDNS0(udp_len=1232))
    asker = Asker(case.address, ip_address("127.0.0.1"), Transport.UDP)
    reply = resolver.handle(bytes(query.pack()), asker)
    if inspect.isawaitable(reply):
        reply = await reply
    answer = DNSRecord.parse(reply)
    if any(record.rtype == QTYPE.A and str(record.rdata) == ADDRESS for record in answer.rr):
        return "allow"
    codes = [o.data[:2] for r in answer.ar if r.rtype == QTYPE.OPT for o in r.rdata if o.code == 15]
    return "block" if b"\x00\x0f" in codes else f"rcode {answer.header.rcode} {codes}"


async def proxy_verdict(requests, judge, case):
    """Go the way of a TLS connection: its name is judged, and where it is opened, the request inside."""
    arrival = Arrival(case.address)
    name = judge.decide(judge.attempt(arrival, case.host))
    handling = handling_of(name)
    if handling is not Handling.INSPECT:
        return "block" if handling is Handling.REFUSE else "allow"
    host = case.host.lower()
    flow = tflow.tflow(
        req=tutils.treq(
            method=b"GET", scheme=b"https", host=host, port=443, authority=b"", path=b"/",
            headers=((b"host", host.encode()), (b"accept", b"text/html")),
        )
    )  # fmt: skip
    flow.client_conn.timestamp_tls_setup = 1.0
    flow.client_conn.tls = True
    connection = Connection(arrival, "explicit", lambda: None, connect_name=host, tls_name=host)
    await requests.head(flow, connection)
    if flow.response is None:
        assert (host, 443) in connection.approved
        return "allow"
    assert not connection.approved
    return "block" if flow.response.status_code == 403 else f"status {flow.response.status_code}"


def test_the_same_verdict_in_ten_thousand_cases(engine, tmp_path):
    """For 10,000 clients, hosts and minutes the resolver, the proxy's hooks and `explain` agree."""

    async def judge_all():
        clock, internet, metrics = Clock(), Internet(), Metrics("test")
        source, recorder = Source(engine), MetricsRecorder(metrics)
        await internet.start()
        config = DnsConfig(
            upstreams=(internet.resolver,),
            private_allowed=LOOPBACK,
            answer_unknown=True,
            queries_per_second=0,
            same_answers_per_second=0,
            tunnel_names=0,
        )
        server = DnsServer(config, source, recorder, DnsMetrics(metrics.registry), clock)
        judge = Judge(source, recorder, clock)
        proxy = ProxyConfig(tmp_path, allowed_upstream=LOOPBACK, resolve=internet.resolve)
        upstream = Upstream(proxy.resolve, proxy.allowed_upstream, list)
        counters = ProxyMetrics(metrics.registry)
        requests = Requests(proxy, judge, counters, upstream, Connections())
        differing, seen = [], Counter()
        try:
            for case in wanted(engine, IN_PROCESS, seed=2026):
                clock.now = case.at
                name = engine.explain(Attempt(case.address, case.host, case.at)).verdict.value
                page = engine.explain(Attempt(case.address, case.host, case.at, "/")).verdict.value
                dns = await dns_verdict(server._resolver, case)
                proxied = await proxy_verdict(requests, judge, case)
                seen[name] += 1
                if (dns, proxied) != (name, page):
                    differing.append((case, dns, proxied, name, page))
        finally:
            await server.stop()
            await internet.stop()
        return differing, seen

    differing, seen = asyncio.run(judge_all())
    assert not differing, differing[:5]
    assert sum(seen.values()) == IN_PROCESS
    assert min(seen["allow"], seen["block"]) > 2_000, seen


def test_the_same_verdict_over_real_sockets(engine, tmp_path):
    """For some hundred cases, real DNS questions and real HTTPS requests agree with `explain`."""
    clock, metrics = Clock(), Metrics("test")
    source, recorder = Source(engine), MetricsRecorder(metrics)
    chosen = [c for c in wanted(engine, 3_000, seed=7) if c.address.startswith("127.")][:OVER_SOCKETS]

    async def judge_all():
        internet, loop = Internet(), asyncio.get_running_loop()
        await internet.start()
        dns_config = DnsConfig(
            listen=(("127.0.0.1", 0),), upstreams=(internet.resolver,), private_allowed=LOOPBACK
        )
        proxy_config = ProxyConfig(
            Path(tmp_path), explicit=(("127.0.0.1", 0),), upstream_ca=internet.roots,
            allowed_upstream=LOOPBACK, resolve=internet.resolve,
        )  # fmt: skip
        dns = DnsServer(dns_config, source, recorder, DnsMetrics(metrics.registry), clock)
        proxy = ProxyServer(proxy_config, source, recorder, ProxyMetrics(metrics.registry), clock)
        clock.now = chosen[0].at
        await dns.start()
        await proxy.start()
        trust = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        trust.load_verify_locations(internet.roots)
        differing = []
        with ThreadPoolExecutor(2) as pool:
            try:
                for case in chosen:
                    clock.now = case.at
                    host = case.host.lower()
                    seen = await asyncio.gather(
                        loop.run_in_executor(pool, ask_dns, dns.addresses[0], case.address, host),
                        loop.run_in_executor(
                            pool, fetch, proxy.addresses[0].address, case.address, host, "/", trust
                        ),
                    )
                    told = (
                        engine.explain(Attempt(case.address, host, case.at)).verdict.value,
                        engine.explain(Attempt(case.address, host, case.at, "/")).verdict.value,
                    )
                    if (seen[0].value, seen[1].value) != told:
                        differing.append((case, seen, told))
            finally:
                await proxy.stop()
                await dns.stop()
                await internet.stop()
        return differing

    differing = asyncio.run(judge_all())
    assert len(chosen) == OVER_SOCKETS
    assert not differing, differing[:5]
