"""The portal's own readings of the parts: from their metrics, restart by restart, with nothing that is about somebody."""

import threading
from pathlib import Path

import pytest
from ports import free_port
from told_parts import answering
from watching import metrics_of_ours

from schoolgate import instruments
from schoolgate.instruments import SOURCES, PartInstruments
from schoolgate.metrics_labels import LABELS
from schoolgate.metrics_reference import POLICY, by_part
from schoolgate.settings import DnsSettings, Endpoint, MetricsSettings, Settings
from schoolgate_exceptions.sampling import GROWTHS, INTERVAL, LEVELS

READY = (200, "ok")
DNS = """schoolgate_dns_queries_total{{transport="udp",rcode="NOERROR"}} {noerror}
schoolgate_dns_queries_total{{transport="tcp",rcode="NOERROR"}} 1
schoolgate_dns_upstream_working{{upstream="1"}} 1
schoolgate_policy_info{{version="{version}"}} 1
schoolgate_policy_current 1
process_resident_memory_bytes 1000
process_start_time_seconds 5
{more}"""
PORTAL = """schoolgate_policy_info{{version="b"}} 1
schoolgate_policy_current 0
schoolgate_clock_error_seconds NaN
schoolgate_portal_pages_total{{page="home",status="200"}} {home}
schoolgate_portal_pages_total{{page="home",status="503"}} 2
schoolgate_portal_jobs_total{{task="mail",result="done"}} 50
schoolgate_portal_jobs_total{{task="mail",result="failed"}} {failed}
"""


@pytest.fixture
def free() -> Endpoint:
    """An address where nothing answers."""
    return nobody()


def nobody() -> Endpoint:
    """Return an address where nothing answers."""
    return Endpoint("127.0.0.1", free_port())


def test_every_source_is_a_metric_of_ours() -> None:
    """What is read is what the parts serve, with a label that it has, into a series that is kept."""
    ours = metrics_of_ours()
    labels = {
        one.name: set(one.labels)
        for metrics in by_part(Path(__file__).parents[2] / POLICY).values()
        for one in metrics
    }
    for source in SOURCES:
        name = source.metric.removesuffix("_bucket")
        assert name in ours or name.startswith("process_"), name
        assert source.series in LEVELS | GROWTHS
        if source.by not in {"", instruments.PART, "le"}:
            assert source.by in labels[name], name
            assert source.by in LABELS
    assert {source.series for source in SOURCES} == (LEVELS | GROWTHS) - {INTERVAL, "up"}


def test_levels_and_growth(tmp_path: Path, free: Endpoint) -> None:
    """Levels are as they are, counts how they grew; a part that is away is not up, and what it had counted is not lost."""
    dns = {"/readyz": READY, "/metrics": (200, "")}
    portal = {"/readyz": (503, "jobs are late"), "/metrics": (200, PORTAL.format(home=1, failed=0))}

    def serve(noerror: int, version: str = "a", more: str = "") -> None:
        dns["/metrics"] = (200, DNS.format(noerror=noerror, version=version, more=more))

    serve(10)
    with answering(dns) as at_dns, answering(portal) as at_portal:
        metrics = MetricsSettings(dns=at_dns, proxy=free, portal=at_portal)
        read = PartInstruments(Settings(state=tmp_path, metrics=metrics)).read
        first = read()
        assert first["up"] == {"dns": 1, "proxy": 0, "portal": 0}
        assert first["policy"] == {"current": 0, "versions": 2}
        assert first["memory"] == {"dns": 1000}
        assert first["started"] == {"dns": 5}
        assert first["upstreams"] == {"1": 1}
        assert "clock" not in first
        assert INTERVAL not in first
        assert not GROWTHS & first.keys()
        serve(17, more='schoolgate_dns_dropped_messages_total{transport="udp"} 4')
        portal["/metrics"] = (200, PORTAL.format(home=4, failed=1))
        second = read()
        assert second["queries"] == {"NOERROR": 7}
        assert second["dns_refused"] == {"dropped": 4}
        assert second["pages"] == {"home": 3}
        assert second["errors"] == {"503": 0}
        assert second["jobs_failed"] == {"mail": 1}
        assert second[INTERVAL]["seconds"] > 0
        serve(3)  # it was started again
        assert read()["queries"] == {"NOERROR": 4}
        dns["/metrics"] = (500, "")
        assert "queries" not in read()
        serve(5)
        assert read()["queries"] == {"NOERROR": 2}


def test_workers_are_one_part(tmp_path: Path, free: Endpoint) -> None:
    """Of several workers each is followed for itself; the part is up where all are."""
    pages = {"/readyz": READY, "/metrics": (200, DNS.format(noerror=1, version="a", more=""))}
    with answering(pages) as at:
        metrics = MetricsSettings(dns=at, proxy=free, portal=nobody())
        read = PartInstruments(Settings(state=tmp_path, metrics=metrics, dns=DnsSettings(workers=2))).read
        found = read()
    assert found["up"] == {"dns": 0, "proxy": 0, "portal": 0}
    assert found["memory"] == {"dns": 1000}
    assert found["upstreams"] == {"1": 1}
    assert not [one for one in threading.enumerate() if one.name.startswith("ThreadPoolExecutor")]
