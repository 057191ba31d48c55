"""However much happens, metrics stay few and name nobody: a million decisions, and real questions of many clients."""

import logging
import random
import re
import socket

import pytest
import structlog
from dnslib import DNSRecord
from prometheus_client.parser import text_string_to_metric_families
from running import GUEST, PUPIL, ROOT, STAFF, Running, eventually

from schoolgate.demo.clients import Seen, ask_dns
from schoolgate.metrics import Metrics
from schoolgate.metrics_dns import DnsMetrics, UpstreamMetrics
from schoolgate.metrics_policy import PolicyMetrics
from schoolgate.metrics_proxy import ProxyMetrics
from schoolgate.metrics_reference import POLICY, by_part, count_series
from schoolgate.part import utc_now
from schoolgate.policy_events import PolicyEvents
from schoolgate.record import MetricsRecorder
from schoolgate_policy.decision import Attempt, Point
from schoolgate_policy.store import PolicyStore
from schoolgate_policy.technique import Technique

MOST_SERIES = 2_000
CLIENTS, HOSTS, DECISIONS = 2_000, 50_000, 1_000_000
NAMES_SOMETHING = re.compile(
    r"\.|:(?!police|iwf)|@|/"
)  # no address, host, mail or path is without one of these
VERSIONED = {"schoolgate_build_info", "python_info"}


@pytest.fixture
def quiet():
    """Log as the product does: access lines are for the debug level, and are not even made."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    yield
    structlog.reset_defaults()


def labels_of(families):
    return {
        (family.name, label, value)
        for family in families
        for sample in family.samples
        for label, value in sample.labels.items()
        if family.name not in VERSIONED and sample.name not in VERSIONED and label != "le"
    }


def clients() -> list[str]:
    third = CLIENTS // 3
    return [f"10.{net}.{n // 250}.{n % 250 + 1}" for net in (10, 20, 30) for n in range(third + 1)][:CLIENTS]


def hosts(engine) -> list[str]:
    """Names that nobody knows, among them one in ten that the policy blocks."""
    services = [domain for one in engine.policy.catalogue.services.values() for domain in one.domains]
    return [
        f"h{n}.{services[n % len(services)]}" if n % 10 == 0 else f"www.site{n}.example{n % 997}.org"
        for n in range(HOSTS)
    ]


@pytest.mark.timeout(600)
def test_a_million_decisions_leave_few_series(quiet, tmp_path):
    """2,000 clients, 50,000 hosts, 1,000,000 decisions, every technique: under 2,000 series, none naming any of them."""
    totals, said = 0, set()
    everyone = clients()
    for part, point in (("dns", Point.DNS), ("proxy", Point.PROXY)):
        metrics = Metrics(part)
        store = PolicyStore(ROOT / POLICY, None, PolicyEvents(metrics))
        PolicyMetrics(metrics.registry, store, utc_now)
        recorder, engine, now = MetricsRecorder(metrics), store.engine, utc_now()
        if part == "dns":
            DnsMetrics(metrics.registry)
        else:
            UpstreamMetrics(metrics.registry)
            proxy = ProxyMetrics(metrics.registry)
        every = [
            (attempt := Attempt(everyone[n % CLIENTS], host, now, None, point), engine.decide(attempt))
            for n, host in enumerate(hosts(engine))
        ]
        for _ in range(DECISIONS // 2 // HOSTS):
            for attempt, decision in every:
                recorder.decision(attempt, decision)
        for technique in Technique:
            for attempt, decision in every[:300]:
                recorder.technique(technique, decision.network, attempt.address, attempt.host)
        if part == "proxy":
            for _, decision in every[:300]:
                proxy.connection_passed(decision.network, 1, 1, 1.0)
        counted = sum(
            sample.value
            for family in metrics.registry.collect()
            for sample in family.samples
            if sample.name == "schoolgate_decisions_total"
        )
        assert counted == DECISIONS // 2
        totals += count_series(metrics.registry)
        said |= labels_of(metrics.registry.collect())
    assert totals < MOST_SERIES
    assert not [one for one in said if NAMES_SOMETHING.search(one[2])]
    assert not {value for _, _, value in said} & {*everyone, *hosts(engine)}


def scrape(running: Running) -> dict[str, list]:
    return {
        part: list(text_string_to_metric_families(running.metrics(part)))
        for part in ("dns", "proxy", "portal")
    }


def shout(running: Running, address: str, names: list[str]) -> None:
    """Ask for all of these names without waiting between them, then wait for as many answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(30)
        sock.bind((address, 0))
        for start in range(0, len(names), 20):
            some = names[start : start + 20]
            for name in some:
                sock.sendto(DNSRecord.question(name).pack(), running.address("dns"))
            for _ in some:
                sock.recv(4096)


@pytest.mark.timeout(300)
def test_real_questions_leave_few_series(running):
    """Questions of 120 clients for 2,400 names over real sockets, through DNS and proxy: few series, and nobody in them."""
    rng = random.Random(7)
    asked, sources = [], [f"127.0.{net}.{n}" for net in (10, 20, 30) for n in range(2, 42)]
    for number, source in enumerate(sources):
        names = [
            f"q{number}-{n}.{rng.choice(('instagram.com', 'site.example', 'tor.example'))}" for n in range(20)
        ]
        shout(running, source, names)
        asked += names
    for source in (PUPIL, STAFF, GUEST):
        with socket.create_connection(
            running.address("proxy"), source_address=(source, 0), timeout=20
        ) as sock:
            sock.sendall(b"GET http://www.facebook.com/ HTTP/1.1\r\nHost: www.facebook.com\r\n\r\n")
            assert sock.recv(4096).startswith(b"HTTP/1.1 4")
    eventually(lambda: sum_of(scrape(running)["dns"], "schoolgate_decisions_total") >= len(asked), 20)
    seen = scrape(running)
    assert sum_of(seen["proxy"], "schoolgate_blocks_total") >= 3
    assert sum(len(family.samples) for families in seen.values() for family in families) < MOST_SERIES
    said = {label for families in seen.values() for label in labels_of(families)}
    assert not [one for one in said if NAMES_SOMETHING.search(one[2])]
    assert not {value for _, _, value in said} & {*asked, *sources}


def sum_of(families, name: str) -> float:
    return sum(s.value for family in families for s in family.samples if s.name == name)


def test_every_metric_of_the_product_is_documented(running):
    """What the parts serve is what docs/metrics.md says, part by part: a new metric is missing there until it is added."""
    assert ask_dns(running.address("dns"), PUPIL, "childline.org.uk") is Seen.ALLOW
    written = {where: {one.name for one in metrics} for where, metrics in by_part(ROOT / POLICY).items()}
    for part, families in scrape(running).items():
        served = {
            f"{one.name}_total" if one.type == "counter" else one.name
            for one in families
            if one.name.startswith("schoolgate_")
        }
        # What the kernel does not tell is announced without a value, as is what has not happened yet.
        assert served == written["common"] | written[part]
