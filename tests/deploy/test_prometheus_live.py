"""Debian's Prometheus, with the rules that ship, collects from a running Schoolgate: every question gets an answer."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import panel_pictures
import pytest
import yaml
from dnslib import DNSRecord
from ports import free_port
from running import GUEST, PUPIL, ROOT, STAFF, InternetThread, Running, eventually
from watching import PROMETHEUS, alerts, panels, read, recorded, selectors

from schoolgate.demo.clients import Seen, ask_dns, fetch
from schoolgate.demo.internet import ADDRESS, Internet

pytestmark = [
    pytest.mark.skipif(not shutil.which("prometheus"), reason="Prometheus is not installed (prometheus)"),
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("prometheus"),
]
# What a well and lonely Schoolgate has nothing to say about; the panel's description says so, too.
QUIET = re.compile(r"Empty (when|where) ")
SILENT = ("schoolgate_firewall_", "schoolgate_list_")  # no firewall, no lists
GRAFANA_WORDS = {"$__range": "2m", "$__rate_interval": "20s", "$__interval": "5s", "$network": ".*"}


class Prometheus:
    """Prometheus as its package brings it, collecting every second from a Schoolgate."""

    def __init__(self, folder: Path, running: Running) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        configuration = read(PROMETHEUS / "prometheus.yml")
        configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        del configuration["alerting"]
        for name in configuration["rule_files"]:
            shutil.copy(PROMETHEUS / name, folder)
        self._quicken(folder)
        targets = [
            {"targets": [":".join(map(str, running.address(f"metrics_{part}")))], "labels": {"part": part}}
            for part in ("dns", "proxy", "portal")
        ]
        (folder / "targets.yml").write_text(yaml.safe_dump(targets))
        (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
        _remember(folder)
        self.log = (folder / "prometheus.log").open("wb")
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
             f"--web.listen-address={self.address}", "--log.level=warn"],
            stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL, cwd=folder,
        )  # fmt: skip

    @staticmethod
    def _quicken(folder: Path) -> None:
        """Take nothing away from the rules: only groups are evaluated as often as is collected."""
        for name in ("recording.yml", "alerts.yml"):
            assert "interval:" not in (folder / name).read_text()

    def ask(self, expr: str) -> list:
        """Return what an expression gives now."""
        data = urllib.parse.urlencode({"query": expr}).encode()
        return self._get("query", data)["result"]

    def ask_lately(self, expr: str, lasting: bool = True) -> list:
        """Return what an expression gives now, or each second of the last minute."""
        if not lasting:
            return self.ask(expr)
        now = time.time()
        words = {"query": expr, "start": now - 60, "end": now, "step": "2"}
        return self._get("query_range", urllib.parse.urlencode(words).encode())["result"]

    def _get(self, what: str, data: bytes | None = None) -> dict:
        try:
            with urllib.request.urlopen(f"http://{self.address}/api/v1/{what}", data, timeout=20) as response:
                return json.load(response)["data"]
        except urllib.error.HTTPError as error:
            if error.code == 503:  # it is still starting
                raise
            raise AssertionError(error.read().decode()) from None

    def rules(self) -> list[dict]:
        """Return every rule, with how it fared when it was last evaluated."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def answers(self, expr: str) -> bool:
        """Whether an expression gives something."""
        with contextlib.suppress(OSError):
            return bool(self.ask(expr))
        return False

    def stop(self) -> None:
        """Stop it and wait."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self.log.close()


def _remember(folder: Path) -> None:
    """Give Prometheus an hour's past in which a few attempts were seen: what is usual is reckoned from it."""
    now = int(time.time())
    name = "schoolgate_attempts"
    rows = [
        f'{name}_total{{job="schoolgate",part="portal",instance="before",kind="attempt",network="{network}",'
        f'technique="doh"}} {minute} {now - 3600 + 60 * minute}'
        for network in ("pupils", "staff", "guests")
        for minute in range(45)
    ]
    text = "\n".join([f"# TYPE {name} counter", *rows, "# EOF", ""])
    (folder / "past.txt").write_text(text)
    words = [
        "promtool",
        "tsdb",
        "create-blocks-from",
        "openmetrics",
        str(folder / "past.txt"),
        str(folder / "data"),
    ]
    subprocess.run(words, check=True, capture_output=True, timeout=60)


class Site:
    """Stands at port 443 of the stand-in internet, where it may: passes connections on to where its sites really are."""

    def __init__(self, internet: Internet) -> None:
        ((_, self._port),) = asyncio.run(internet.resolve("", 443))
        try:
            self._door = socket.create_server((ADDRESS, 443))
        except OSError:
            self._door = None
            return
        self._door.settimeout(0.2)
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def __bool__(self) -> bool:
        return self._door is not None

    def _run(self) -> None:
        while not self._ends.is_set():
            try:
                client, _ = self._door.accept()
            except TimeoutError:
                continue
            with client, socket.create_connection((ADDRESS, self._port), timeout=10) as site:
                client.settimeout(10)
                back = threading.Thread(target=_pump, args=(site, client))
                back.start()
                _pump(client, site)
                back.join(20)

    def close(self) -> None:
        if self._door is not None:
            self._ends.set()
            self._thread.join(30)
            self._door.close()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def say(at, source: str, text: bytes) -> bytes:
    """Send something to the proxy and return the beginning of its answer."""
    with socket.create_connection(at, source_address=(source, 0), timeout=20) as sock:
        sock.sendall(text)
        with contextlib.suppress(OSError):
            return sock.recv(4096)
    return b""


def traffic(running: Running, internet: Internet) -> None:
    """Do what a school does in a minute, and what its pupils try."""
    dns, proxy = running.address("dns"), running.address("proxy")
    for source in (PUPIL, STAFF, GUEST):
        assert ask_dns(dns, source, "childline.org.uk") is Seen.ALLOW
        assert ask_dns(dns, source, "www.facebook.com") is Seen.BLOCK
        assert ask_dns(dns, source, "dns.google") is Seen.BLOCK
        for name in ("use-application-dns.net", "wpad.school.example", "site.example", "site.example"):
            ask_dns(dns, source, name)
    with socket.create_connection(dns, source_address=(PUPIL, 0), timeout=10) as tcp:
        query = DNSRecord.question("bbc.co.uk").pack()
        tcp.sendall(len(query).to_bytes(2) + query)
        assert tcp.recv(4096)
    for request in (
        b"GET http://www.facebook.com/ HTTP/1.1\r\nHost: www.facebook.com\r\n\r\n",
        b"GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n",
        b"TRACE http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
        b"CONNECT a.example:22 HTTP/1.1\r\nHost: a.example:22\r\n\r\n",
        b"GET http://a.example/dns-query?dns=AAAB HTTP/1.1\r\nHost: a.example\r\nAccept: application/dns-message\r\n\r\n",
    ):
        assert say(proxy, PUPIL, request).startswith(b"HTTP/1.1 4")
    school = ssl.create_default_context(cafile=str(running.state / "ca.pem"))
    assert fetch(proxy, PUPIL, "www.facebook.com", "/", school) is Seen.BLOCK
    real = ssl.create_default_context(cafile=str(internet.roots))
    fetch(proxy, GUEST, "site.example", "/", real)
    running.process.send_signal(signal.SIGHUP)  # read the policy again
    portal = ":".join(map(str, running.address("portal")))
    urllib.request.urlopen(f"http://{portal}/", timeout=10).close()
    with contextlib.suppress(urllib.error.HTTPError):
        urllib.request.urlopen(f"http://{portal}/no-such-page", timeout=10)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A Schoolgate with traffic, and a Prometheus that has seen it."""
    with InternetThread() as internet, contextlib.ExitStack() as undo:
        site = Site(internet)
        undo.callback(site.close)
        running = Running(tmp_path_factory.mktemp("run"), internet)
        undo.callback(running.stop)
        running.wait_ready()
        prometheus = Prometheus(tmp_path_factory.mktemp("prometheus"), running)
        undo.callback(prometheus.stop)
        # Only what happens between two collections is seen as an increase.
        eventually(lambda: prometheus.answers('count(up{job="schoolgate"} == 1) == 3'), 60)
        for _ in range(3):
            traffic(running, internet)
            time.sleep(1.5)
        eventually(lambda: prometheus.answers("network:schoolgate_attempts:usual10m > 0"), 60)
        eventually(
            lambda: prometheus.answers(
                'increase(schoolgate_circumvention_attempts_total{part="proxy"}[2m]) > 0'
            ),
            60,
        )
        time.sleep(2.5)
        yield SimpleNamespace(prometheus=prometheus, running=running, site=site)


def test_every_rule_is_evaluated(watched):
    """Prometheus takes all rules and none fails; every recording rule gives something."""
    rules = {rule["name"]: rule for rule in watched.prometheus.rules()}
    assert set(rules) == {alert["alert"] for alert in alerts()} | set(recorded())
    assert {name: rule.get("lastError") for name, rule in rules.items() if rule["health"] != "ok"} == {}
    for name in recorded():
        assert watched.prometheus.ask(name), name


def test_every_alert_speaks_of_what_is_there(watched):
    """Each metric with each label that an alert asks for has values in the running product."""
    for alert in alerts():
        watched.prometheus.ask(alert["expr"])
        for selector in selectors(alert["expr"]):
            if not selector.startswith(SILENT):
                assert watched.prometheus.ask(selector), f"{alert['alert']}: {selector}"


def test_a_well_schoolgate_alerts_nobody(watched):
    """No alert fires or is about to while all is well."""
    about = {row["metric"]["alertname"] for row in watched.prometheus.ask("ALERTS")}
    # What the traffic does, and what is so on the machine that tests run on.
    expected = {"SchoolgateAttemptsSpike", "SchoolgateClockNotSet", "SchoolgateDiskFilling"}
    # Where nobody takes events in, they are lost in earnest.
    if not (watched.running.state / "events.sock").exists():
        expected.add("SchoolgateRecordsLost")
    assert about <= expected


def test_every_panel_has_an_answer(watched):
    """Each expression of each dashboard gives data, or its panel says that it is empty when all is well."""
    unanswered = []
    for board, panel in panels():
        for target in panel["targets"]:
            expr = target["expr"]
            for word, meant in GRAFANA_WORDS.items():
                expr = expr.replace(word, meant)
            found = watched.prometheus.ask(expr.replace("[20s]", "[2m]"))  # bars of past intervals count, too
            if found or QUIET.search(panel["description"]):
                continue
            if "_relayed_" in expr and not watched.site:
                continue  # nobody may stand at port 443 here, so nothing was relayed
            unanswered.append(f"{board}: {panel['title']}: {expr}")
    assert unanswered == []


def test_every_panel_is_drawn(watched, tmp_path):
    """A page for each dashboard, where `make panels` wants it: questions, series with a legend of their own, units."""
    folder = Path(os.environ.get("SCHOOLGATE_PANELS") or tmp_path)
    drawn = panel_pictures.write(watched.prometheus.ask_lately, folder)
    assert len(drawn) == len(list(panels()))
    for one in drawn:
        said = [each.legend for each in one.series]
        assert one.unit, one.title
        assert not [text for text in said if not text.strip() or "{" in text], one.title
        assert len(set(said)) == len(said), f"{one.title}: two series of one name: {said}"
    assert len(list(folder.glob("*.html"))) == len({one.board for one in drawn})


def test_prometheus_sees_every_technique_by_its_name(watched):
    """What was tried is there by technique, network and kind."""
    asked = 'sum by (technique, kind) (increase(schoolgate_circumvention_attempts_total{network="pupils"}[2m])) > 0'
    seen = {(row["metric"]["technique"], row["metric"]["kind"]) for row in watched.prometheus.ask(asked)}
    assert {
        ("doh", "attempt"), ("host_ambiguity", "attempt"), ("odd_method", "attempt"), ("proxy_protocol", "attempt"),
        ("doh_canary", "background"), ("wpad", "background"),
    } <= seen  # fmt: skip


def test_a_broken_policy_and_a_dead_part_are_noticed(watched):
    """A mistake in policy.yaml and a part that is killed show as pending alerts within seconds."""
    running, prometheus = watched.running, watched.prometheus
    good = running.policy.read_text()
    running.policy.write_text("version: 1\n")
    eventually(lambda: prometheus.answers('ALERTS{alertname="SchoolgateReloadFailed"}'), 30)
    running.policy.write_text(good)
    eventually(lambda: not prometheus.answers('ALERTS{alertname="SchoolgateReloadFailed"}'), 60)
    running.stop()
    eventually(lambda: prometheus.answers('count(ALERTS{alertname="SchoolgatePartDown"}) == 3'), 30)
    assert (ROOT / "policy.yaml").read_text() == good
