"""A pupil tries forty ways round the filter: each is stopped and seen everywhere by its name; an honest hour is not."""

import json
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import netns_clients as client
import pytest
import yaml
from box_records import DSL, records
from clean_packets import SYSTEMS, packets
from netns_school import METRICS, ROOT, Box, Host, School, school_policy, wait_for
from school import PASSWORD
from watching import PROMETHEUS, panels, read
from ways_round import FOUR, TRIES, Try

from schoolgate_exceptions.roles import Actor, Role
from schoolgate_policy.technique_table import about, weight

pytestmark = [
    pytest.mark.netns,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not shutil.which("prometheus"), reason="Prometheus is not installed (prometheus)"),
]
WATCHED = {**METRICS, "firewall": 9156}
PROMETHEUS_AT = "127.0.0.1:9190"
CLEAN = ROOT / "tests/data/clean"
HONEST = "10.20.0.88"  # a laptop that nobody touches
LAST = "wireguard"  # what is tried when a limit is set
BUT_LAST = frozenset(one.technique for one in TRIES) - {LAST}
PATIENCE = 200  # attempts within a minute fold into one: some waits are for the next


def chosen(techniques: frozenset[str] | set[str]) -> list[Try]:
    """Return one way for each of these techniques that a pupil can try."""
    found: dict[str, Try] = {}
    for one in TRIES:
        if one.technique in techniques and "pupil" in one.roles and FOUR in one.families:
            found.setdefault(one.technique, one)
    return list(found.values())


@dataclass
class Story:
    """The school, and ways to look at what is known of it."""

    school: School
    box: Box
    since: float

    @property
    def pupil(self) -> Host:
        return self.school.pupil

    def metrics(self, part: str) -> str:
        return self.school.edge.do(client.page, f"http://127.0.0.1:{WATCHED[part]}/metrics")

    def counted(self) -> dict[str, float]:
        """Return the sightings of pupils by technique, as /metrics of all parts say."""
        found: dict[str, float] = {}
        line = r'^schoolgate_circumvention_attempts_total\{[^}]*network="pupils",technique="(\w+)"\} (\S+)$'
        for part in ("dns", "proxy", "firewall"):
            for technique, count in re.findall(line, self.metrics(part), re.MULTILINE):
                found[technique] = found.get(technique, 0) + float(count)
        return found

    def ask(self, expr: str) -> list[dict]:
        """Ask Prometheus."""
        query = urllib.parse.urlencode({"query": expr})
        text = self.school.edge.do(client.page, f"http://{PROMETHEUS_AT}/api/v1/query?{query}")
        return json.loads(text)["data"]["result"]

    def rows(self, query: str, *values: object) -> list[tuple]:
        """Look into the database of the portal."""
        url = f"file:{self.box.state / 'portal.db'}?mode=ro"
        with closing(sqlite3.connect(url, uri=True, timeout=20)) as connection:
            return connection.execute(query, values).fetchall()

    def stored(self) -> set[str]:
        """Return the techniques of the events since the story began."""
        begin = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(self.since))
        return {
            name
            for (name,) in self.rows("SELECT DISTINCT technique FROM events WHERE last_at >= ?", begin)
            if name
        }

    def reported(self) -> set[str]:
        """Return the ways that `schoolgate report` names for pupils, until today."""
        day = time.strftime("%Y-%m-%d", time.gmtime(self.since - 86_400)), time.strftime("%Y-%m-%d")
        command = ["report", "--from", day[0], "--to", day[1], "--format", "json"]
        files = ["--policy", str(self.box.policy), "--settings", str(self.box.settings)]
        done = subprocess.run(
            [sys.executable, "-m", "schoolgate", *command, *files],
            cwd=self.box.folder, capture_output=True, text=True, timeout=300, check=True,
        )  # fmt: skip
        (pupils,) = [one for one in json.loads(done.stdout)["streams"] if one["people"] == "pupil"]
        return {*pupils["ways"], *pupils["background_ways"]}

    def page(self, path: str) -> str:
        """Return a page of the portal as the safeguarding lead sees it."""
        return self.school.edge.do(_look, path)


def _look(path: str) -> str:
    own = {"Host": "filter.school.example"}
    with httpx.Client(base_url="http://127.0.0.1:8000", headers=own, timeout=30) as browser:
        token = re.search(r'name="_token" value="([0-9a-f]+)"', browser.get("/sign-in").text)
        assert token
        form = {"_token": token[1], "email": DSL, "password": PASSWORD}
        signed = browser.post("/sign-in", data=form, headers={"Origin": "http://filter.school.example"})
        assert signed.status_code == 303, signed.text
        return browser.get(path).text


@pytest.fixture(scope="module")
def story(school: School, box: Box, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """The product as installed, with the reader of the firewall, Prometheus, and somebody to sign in."""
    with ExitStack() as undo:
        service = records(box)
        undo.callback(service.close)
        undo.callback(box.rewrite, school_policy())
        undo.callback(_forgive, service)
        box.watch()
        undo.callback(_stop, _prometheus(school, tmp_path_factory.mktemp("prometheus")))
        made = Story(school, box, time.time())
        wait_for(lambda: _answers(made, "firewall"), PATIENCE)
        wait_for(lambda: _is_collecting(made), PATIENCE)
        school.pupil.run("ip", "address", "replace", f"{HONEST}/16", "dev", "eth0")
        undo.callback(school.pupil.run, "ip", "address", "del", f"{HONEST}/16", "dev", "eth0")
        yield made


def _prometheus(school: School, folder: Path) -> subprocess.Popen[bytes]:
    """Start Debian's Prometheus beside the product, with the rules that ship."""
    configuration = read(PROMETHEUS / "prometheus.yml")
    configuration["global"] = {"scrape_interval": "2s", "evaluation_interval": "2s"}
    del configuration["alerting"]
    for name in configuration["rule_files"]:
        shutil.copy(PROMETHEUS / name, folder)
    targets = [{"targets": [f"127.0.0.1:{port}"], "labels": {"part": part}} for part, port in WATCHED.items()]
    (folder / "targets.yml").write_text(yaml.safe_dump(targets))
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    command = [
        "prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={PROMETHEUS_AT}", "--log.level=warn",
    ]  # fmt: skip
    return school.edge.start(*command, log=folder / "log", cwd=folder)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    process.wait(30)


def _answers(story: Story, part: str) -> bool:
    try:
        return "schoolgate_build_info" in story.metrics(part)
    except OSError:
        return False


def _is_collecting(story: Story) -> bool:
    try:
        return bool(story.ask('count(up{job="schoolgate"} == 1) == 4'))
    except OSError:
        return False


def _forgive(service) -> None:
    """Lift what the story brought about: other tests have the same pupil."""
    officer = Actor(frozenset({Role.OFFICER}), name="the story")
    for one in service.sanctioning.listed(officer):
        service.sanctioning.lift(officer, one.number, "the story is over")


def _try_all(story: Story, tries: list[Try]) -> list[str]:
    """Try everything, some at a time; return what was not stopped."""

    def act(one: Try) -> str:
        return "" if one.act(story.pupil, FOUR) else one.name

    with ThreadPoolExecutor(4) as pool:
        return [name for name in pool.map(act, tries) if name]


def test_forty_techniques_are_stopped_and_seen(story: Story, leaks) -> None:
    """Each is stopped; /metrics, Prometheus, the stored events, the portal's page and the report know it by its own name."""
    tries = chosen(BUT_LAST)
    techniques = {one.technique for one in tries}
    assert len(techniques) >= 30
    before = story.counted()
    assert _try_all(story, tries) == []
    assert leaks() == []

    def risen() -> set[str]:
        now = story.counted()
        return {name for name in techniques if now.get(name, 0) > before.get(name, 0)}

    asked = (
        'sum by (technique) (increase(schoolgate_circumvention_attempts_total{network="pupils"}[30m])) > 0'
    )

    def collected() -> set[str]:
        return {row["metric"]["technique"] for row in story.ask(asked)}

    for known in (risen, story.stored, collected):
        _comes_to_know(known, techniques)
    page = story.page("/attempts?days=1&network=pupils")
    titles = {name: known.title["en"] for name in techniques if (known := about(name))}
    assert titles.keys() == techniques
    assert {name for name, title in titles.items() if _title(title) not in page} == set()
    told = story.reported()
    assert {name for name, title in titles.items() if title not in told} == set()


def test_the_panels_of_the_firewall_are_not_empty(story: Story) -> None:
    """Where the firewall runs, every panel that asks for it has an answer, whatever its description allows."""
    assert _try_all(story, chosen(frozenset({"ssh", "openvpn", "proxy_port"}))) == []
    asked = {
        panel["title"]: [
            target["expr"] for target in panel["targets"] if "schoolgate_firewall_" in target["expr"]
        ]
        for _, panel in panels()
    }
    asked = {title: exprs for title, exprs in asked.items() if exprs}
    assert len(asked) >= 2

    def empty() -> list[str]:
        words = {"$__range": "5m", "$__rate_interval": "5m", "$__interval": "5s", "$network": ".*"}
        found = []
        for title, exprs in asked.items():
            for expr in exprs:
                for word, meant in words.items():
                    expr = expr.replace(word, meant)  # noqa: PLW2901 - step by step
                found += [] if story.ask(expr) else [f"{title}: {expr}"]
        return found

    with suppress(AssertionError):
        wait_for(lambda: not empty(), PATIENCE)
    assert empty() == []


def _comes_to_know(known: Callable[[], set[str]], wanted: set[str]) -> None:
    """Wait until all techniques are known there; say which are not."""
    with suppress(AssertionError):
        wait_for(lambda: wanted <= known(), PATIENCE)
    assert wanted - known() == set()


def _title(text: str) -> str:
    return text.replace("&", "&amp;").replace("'", "&#39;")


def test_the_device_is_supervised_by_its_score(story: Story) -> None:
    """With twenty points in an hour its device comes under supervision: in the file, in DNS, in the proxy, on the page.

    The limit comes into force only now: a device under supervision could not have tried the rest.
    """
    address = story.pupil.four
    assert sum(weight(one.technique) for one in chosen(BUT_LAST)) >= 20
    assert _try_all(story, chosen(BUT_LAST)) == []  # the test before may have run in another process
    story.box.rewrite(school_policy().replace("supervise: off ", "supervise: 20 in 1 hour ", 1))

    def is_supervised() -> bool:
        file = story.box.state / "sanctions.json"
        return file.exists() and any(
            one["address"] == address for one in json.loads(file.read_text())["sanctions"]
        )

    assert _try_all(story, chosen({LAST})) == []
    wait_for(is_supervised, PATIENCE)
    wait_for(
        lambda: "EDE: 15" in story.pupil.run("dig", f"@{story.pupil.gateway4}", "news.example"), PATIENCE
    )
    # Each part reads the file by itself: the proxy may know it some moments after the sinkhole.
    wait_for(
        lambda: (
            b"Only some pages work on this device"
            in story.pupil.do(client.exchange, FOUR, 80, client.request("news.example"))
        ),
        PATIENCE,
    )
    reply = story.pupil.do(client.exchange, FOUR, 80, client.request("news.example"))
    assert reply.startswith(b"HTTP/1.1 403")
    assert b"Only some pages work on this device" in reply
    assert "under supervision" in story.page("/attempts?days=1")
    ((supervised,),) = story.rows("SELECT max(supervised) FROM alerts WHERE network = 'pupils'")
    assert supervised == 1
    letters = story.rows("SELECT letter, recipient FROM outbox WHERE letter = 'alert'")
    assert ("alert", DSL) in letters


def _send_clean(gateway: str) -> None:
    """Send the packets of clean devices, from the honest laptop's address; what becomes of them is the firewall's business."""
    where = {"box": gateway, "internet": "45.60.9.9", "everybody": "224.0.0.251"}
    for system in SYSTEMS:
        for one in packets(system):
            kind = socket.SOCK_STREAM if one.protocol == "tcp" else socket.SOCK_DGRAM
            with socket.socket(socket.AF_INET, kind) as made, suppress(OSError):
                made.bind((HONEST, 0))
                made.settimeout(5)
                made.connect((where[one.to], one.port))
                made.send(one.payload)


def test_an_honest_hour_shows_nothing(story: Story) -> None:
    """All that clean laptops and telephones ask and send in half an hour each, and what people read: no attempt, no point."""

    def score() -> tuple[float, list[tuple]]:
        asked = 'sum(schoolgate_circumvention_attempts_total{network="pupils",kind="attempt"})'
        return float(story.ask(asked)[0]["value"][1]), story.rows("SELECT number, points FROM alerts")

    # The honest laptop is an address of the machine that the test before has brought under supervision: that ends here,
    # since a machine is supervised whatever its address.
    story.box.rewrite(school_policy())
    with closing(records(story.box)) as service:
        _forgive(service)
    wait_for(
        lambda: "EDE: 15" not in story.pupil.run("dig", f"@{story.pupil.gateway4}", "news.example"), PATIENCE
    )
    time.sleep(62)  # what was tried before has been collected, and nothing folds into it any more
    before = score()
    began = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    asked = [
        f"{name} {kind}"
        for file in sorted(CLEAN.glob("*.txt"))
        for line in file.read_text().splitlines()
        if line and not line.startswith("#")
        for _, kinds, name in [line.split()]
        for kind in kinds.split(",")
    ]
    for start in range(0, len(asked), 50):
        words = " ".join(asked[start : start + 50]).split(" ")
        story.pupil.run(
            "dig", "-b", HONEST, f"@{story.pupil.gateway4}", "+tries=1", "+time=5", *words, seconds=600
        )
    story.pupil.do(_send_clean, story.pupil.gateway4)
    for name in ("news.example", "school.example"):
        printed = story.pupil.run("curl", "-sk", "-m", "30", "--interface", HONEST, f"https://{name}/")
        assert "real site" in printed
    time.sleep(8)  # longer than any collection, fold and write
    assert score() == before
    scored = "SELECT technique, points FROM events WHERE at >= ? AND points > 0"
    assert story.rows(scored, began) == []
    seen = story.rows("SELECT count(*) FROM events WHERE at >= ? AND technique != ''", began)
    assert seen != [(0,)]  # canaries and the like are counted, as what devices do by themselves
    known = {name for (name,) in story.rows("SELECT DISTINCT technique FROM events WHERE at >= ?", began)}
    assert {"private_dns", "quic", "stun", "ipsec", "other_port"} <= known
