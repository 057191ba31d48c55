"""Without namespaces: a pupil tries thirty ways round the running filter; metrics, page and report name each of them."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path

import httpx
import pytest
from dnslib import DNSRecord
from loopback_ways import BY_NAME, BY_PACKET, BY_PROXY, Way, listed
from netns_clients import page as fetched
from ports import free_port
from running import PUPIL, InternetThread, Running, clean_environment, eventually, schoolgate
from school import PASSWORD

from schoolgate.request_queue import open_service
from schoolgate.settings_file import load_settings
from schoolgate_exceptions.accounts import Holding
from schoolgate_exceptions.roles import SYSTEM, Role
from schoolgate_policy.engine import Engine
from schoolgate_policy.load import load_policy
from schoolgate_policy.technique_table import about

pytestmark = pytest.mark.timeout(900)
PATIENCE = 60 + 5 * os.getloadavg()[0]
DSL = "dsl@school.example"
TECHNIQUES = {*(one.technique for one in (*BY_NAME, *BY_PROXY)), *BY_PACKET}
_NFT = '#!/bin/sh\ncat "$(dirname "$0")/table.json"\n'


@dataclass
class Watched:
    """The product, what reads its firewall, and ways to look at both."""

    running: Running
    nft: Path
    metrics_of_firewall: str

    def counted(self) -> set[str]:
        """Return the techniques that pupils were seen at, as /metrics of all parts say."""
        texts = [
            self.running.metrics("dns"),
            self.running.metrics("proxy"),
            fetched(self.metrics_of_firewall),
        ]
        line = r'^schoolgate_circumvention_attempts_total\{[^}]*network="pupils",technique="(\w+)"\} (\S+)$'
        return {
            name for text in texts for name, count in re.findall(line, text, re.MULTILINE) if float(count)
        }

    def refuse(self, table: str) -> None:
        """Have the firewall say something else, from one moment to the next."""
        fresh = self.nft / "table.fresh"
        fresh.write_text(table)
        fresh.replace(self.nft / "table.json")

    def page(self, path: str) -> str:
        """Return a page of the portal as the safeguarding lead sees it."""
        host, port = self.running.address("portal")
        own = f"http://{host}:{port}"
        with httpx.Client(base_url=own, timeout=PATIENCE) as browser:
            token = re.search(r'name="_token" value="([0-9a-f]+)"', browser.get("/sign-in").text)
            assert token
            form = {"_token": token[1], "email": DSL, "password": PASSWORD}
            assert browser.post("/sign-in", data=form, headers={"Origin": own}).status_code == 303
            return browser.get(path).text

    def reported(self) -> set[str]:
        """Return the ways that `schoolgate report` names for pupils."""
        day = datetime.now(UTC).date().isoformat()
        done = schoolgate("report", "--from", day, "--format", "json", cwd=self.running.folder)
        assert done.returncode == 0, done.stderr
        (pupils,) = [one for one in json.loads(done.stdout)["streams"] if one["people"] == "pupil"]
        return {*pupils["ways"], *pupils["background_ways"]}


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """`schoolgate run`, and the reader of the firewall's evidence with something in the place of nft."""
    with ExitStack() as undo:
        internet = undo.enter_context(InternetThread())
        port = free_port()
        (tmp_path / "schoolgate.toml").write_text(
            f'[portal]\nurl = "http://127.0.0.1:{port}"\n[interfaces]\npupils = "vlan20"\n'
        )
        running = Running(tmp_path, internet, SCHOOLGATE_PORTAL_LISTEN=f"127.0.0.1:{port}")
        undo.callback(running.stop)
        running.wait_ready()
        nft = tmp_path / "tools"
        nft.mkdir()
        (nft / "nft").write_text(_NFT)
        (nft / "nft").chmod(0o755)
        (nft / "table.json").write_text(listed(()))
        yield Watched(running, nft, _reader(undo, running, nft))


def _reader(undo: ExitStack, running: Running, tools: Path) -> str:
    """Start what reads the firewall, as its unit does; return where its metrics are."""
    at = f"127.0.0.1:{free_port()}"
    more = {"PATH": f"{tools}:{os.environ['PATH']}", "SCHOOLGATE_METRICS_FIREWALL": at}
    with (running.folder / "reader").open("wb") as log:
        reader = subprocess.Popen(
            [sys.executable, "-m", "schoolgate", "firewall", "evidence", "--follow", "0.5"],
            cwd=running.folder, env={**clean_environment(), **more}, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    undo.callback(reader.wait, 60)
    undo.callback(reader.send_signal, signal.SIGTERM)

    def answers() -> bool:
        try:
            return "schoolgate_firewall_loaded 1.0" in fetched(f"http://{at}/metrics")
        except OSError:
            return False

    eventually(answers, PATIENCE)
    return f"http://{at}/metrics"


class _Source:
    def __init__(self, policy: Path) -> None:
        self.engine = Engine(load_policy(policy))


def _add_lead(running: Running) -> None:
    settings = load_settings(running.folder / "schoolgate.toml", {"SCHOOLGATE_STATE": str(running.state)})
    service = open_service(settings, running.policy, _Source(running.policy), lambda: datetime.now(UTC))
    with closing(service):
        service.accounts.add(SYSTEM, DSL, "A lead", [Holding(Role.DSL)], password=PASSWORD)


def _stopped(ways: list[Way], at: tuple[str, int]) -> list[str]:
    """Try everything; return what was not stopped."""
    return [one.technique for one in ways if not one.act(at)]


def _knows(known: Callable[[], set[str]], wanted: set[str]) -> None:
    until = time.monotonic() + PATIENCE
    while (missing := wanted - known()) and time.monotonic() < until:
        time.sleep(0.5)
    assert missing == set()


def test_thirty_techniques_are_stopped_and_seen(watched: Watched) -> None:
    """Each is stopped where it can be tried; metrics, the portal's page and the report know it by its own name; then the
    device is supervised, since its score says so: in DNS and in the proxy."""
    running = watched.running
    assert len({one.technique for one in (*BY_NAME, *BY_PROXY)}) >= 15
    assert len(TECHNIQUES) >= 30
    assert _stopped(BY_NAME, running.address("dns")) == []
    assert _stopped(BY_PROXY, running.address("proxy")) == []
    watched.refuse(listed(BY_PACKET))
    _knows(watched.counted, TECHNIQUES)
    _add_lead(running)
    titles = {name: known.title["en"] for name in TECHNIQUES if (known := about(name))}
    assert titles.keys() == TECHNIQUES

    def shown() -> set[str]:
        page = watched.page("/attempts?days=1&network=pupils")
        return {name for name, title in titles.items() if escape(title).replace("&#x27;", "&#39;") in page}

    _knows(shown, TECHNIQUES)
    assert set(titles.values()) - watched.reported() == set()
    assert "fan_out" in watched.counted(), "so many ways at once are what Psiphon does"

    text = running.policy.read_text()
    running.policy.write_text(text.replace("supervise: off ", "supervise: 20 in 1 hour ", 1))

    def is_supervised() -> bool:
        file = running.state / "sanctions.json"
        watched.refuse(listed(["openvpn"], packets=1_000 + int(time.monotonic() * 10)))
        return file.exists() and PUPIL in file.read_text()

    eventually(is_supervised, 60 + PATIENCE)  # an attempt goes on for a minute
    eventually(lambda: _is_held(running), PATIENCE)


def _is_held(running: Running) -> bool:
    """Whether DNS and the proxy hold the device to what is for supervised ones."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind((PUPIL, 0))
        client.settimeout(10)
        client.sendto(DNSRecord.question("news.example").pack(), running.address("dns"))
        blocked = "127.0.99." not in str(DNSRecord.parse(client.recv(4096)))
    with socket.create_connection(running.address("proxy"), 20, (PUPIL, 0)) as made:
        made.sendall(b"GET http://news.example/ HTTP/1.1\r\nHost: news.example\r\nConnection: close\r\n\r\n")
        made.settimeout(20)
        page = b""
        while part := made.recv(65536):
            page += part
    return blocked and page.startswith(b"HTTP/1.1 403") and b"Only some pages work on this device" in page
