"""A device that nobody touches scores nothing: half an hour of its own questions, through the sinkhole to the log."""

import asyncio
import inspect
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
import sqlalchemy as sa
from dnslib import QTYPE, DNSRecord
from running import ROOT, InternetThread
from school import KEYS

from schoolgate.events.receiver import EventReceiver
from schoolgate.events.sender import SOCKET, EventSender
from schoolgate.metrics import Metrics
from schoolgate.metrics_dns import DnsMetrics
from schoolgate.metrics_events import EventMetrics
from schoolgate.record import MetricsRecorder
from schoolgate_dns.config import DnsConfig
from schoolgate_dns.ports import Transport
from schoolgate_dns.resolver import Asker
from schoolgate_dns.server import DnsServer
from schoolgate_exceptions.database import Database, sqlite_url
from schoolgate_exceptions.event_tables import alerts, events
from schoolgate_exceptions.service import Config, Service, build_service
from schoolgate_policy.engine import Engine
from schoolgate_policy.load import load_policy

CLEAN = ROOT / "tests" / "data" / "clean"
START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
QTYPES = {name: number for number, name in QTYPE.forward.items()} | {"HTTPS": 65, "SVCB": 64}
ADDRESS = "10.20.4.7"


class Clock:
    now = START

    def __call__(self):
        return self.now


class Source:
    def __init__(self):
        self.engine = Engine(load_policy(ROOT / "policy.yaml"))


def questions(file: Path):
    """Yield minute, type and name of every question."""
    for line in file.read_text().splitlines():
        if line and not line.startswith("#"):
            minute, types, name = line.split()
            for one in types.split(","):
                yield int(minute), one, name


def play(folder: Path, asked: list[tuple[int, str, str]]) -> Service:
    """Ask the sinkhole in the device's name; return the portal's side, with everything arrived."""
    clock, source = Clock(), Source()
    database = Database(sqlite_url(folder / "portal.db"))
    database.migrate()
    (folder / "state").mkdir()
    config = Config(folder / "policy.yaml", folder / "state", "http://portal.example")
    service = build_service(config, database, source, clock, KEYS)
    metrics = Metrics("dns")
    receiver = EventReceiver(folder / SOCKET, service.log, EventMetrics(metrics, MetricsRecorder(metrics)))
    receiver.start()
    sender = EventSender(folder / SOCKET, "dns", clock=lambda: clock.now.timestamp())  # noqa: PLW0108 - it moves
    sender.start()

    async def ask(upstream):
        settings = DnsConfig(upstreams=(upstream,), private_allowed=(ip_network("127.0.0.0/8"),))
        recorder = MetricsRecorder(metrics, sender)
        server = DnsServer(settings, source, recorder, DnsMetrics(metrics.registry), clock)
        for minute, qtype, name in asked:
            clock.now = START + timedelta(minutes=minute)
            query = DNSRecord.question(name, "A")
            query.q.qtype = QTYPES[qtype]
            asker = Asker(ADDRESS, ip_address("127.0.0.1"), Transport.UDP)
            reply = server._resolver.handle(bytes(query.pack()), asker)
            if inspect.isawaitable(reply):
                await reply
        await server.stop()

    with InternetThread() as internet:
        asyncio.run(ask(internet.resolver))
    clock.now = START + timedelta(minutes=31)
    sender.stop()
    receiver.stop()
    return service


@pytest.mark.parametrize("system", ["windows", "chromeos", "ios"])
def test_a_clean_device_scores_nothing(tmp_path, system):
    """Half an hour of start-up, sign-in, update and telemetry names is no attempt, and raises no alert."""
    asked = list(questions(CLEAN / f"{system}.txt"))
    assert len(asked) > 80
    assert asked[-1][0] >= 28
    service = play(tmp_path, asked)
    with service.office.read() as connection:
        seen = connection.execute(sa.select(events)).all()
        raised = connection.execute(sa.select(alerts)).all()
    service.close()
    assert [(one.technique, one.host) for one in seen if one.points] == []
    assert raised == []
    assert {one.technique for one in seen} & {
        "wpad",
        "ddr",
        "private_relay",
    }  # it was seen, and counted as what it is


def test_a_pupil_who_tries_is_seen_on_the_same_way(tmp_path):
    """The same path reports somebody who means it: VPN sites, hidden DNS, a web proxy, Tor."""
    names = ["nordvpn.com", "dns.google", "croxyproxy.com", "torproject.org", "nordvpn.com"]
    service = play(tmp_path, [(number, "A", name) for number, name in enumerate(names)])
    with service.office.read() as connection:
        seen = {
            row.technique: row for row in connection.execute(sa.select(events).where(events.c.points > 0))
        }
        (alert,) = connection.execute(sa.select(alerts)).all()
    service.close()
    assert set(seen) == {"vpn", "doh", "web_proxy", "tor"}
    assert all(row.reason == "rule" and row.source.startswith("policy.yaml:") for row in seen.values())
    assert alert.points >= 5
