"""One centre on PostgreSQL and two boxes, in processes of their own, on loopback."""

import json
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import postgres
import pytest
import sqlalchemy as sa
from ports import free_port
from running import FREE_PORTS, PUPIL, ROOT, STAFF, clean_environment, eventually

from schoolgate.demo.clients import Seen, ask_dns
from schoolgate.request_queue import open_service
from schoolgate.settings import DatabaseSettings, Settings
from schoolgate_exceptions.accounts import Holding
from schoolgate_exceptions.event_tables import events
from schoolgate_exceptions.kinds import Kind, Purpose
from schoolgate_exceptions.model import Ask
from schoolgate_exceptions.references import Reference, References
from schoolgate_exceptions.roles import SYSTEM, Role
from schoolgate_policy.store import PolicyStore

pytestmark = [
    pytest.mark.timeout(1500),
    pytest.mark.skipif(bool(postgres.why_not()), reason=postgres.why_not() or "PostgreSQL is there"),
]
HOST = "www.instagram.com"
PATIENCE = 120.0  # the machine may be busy


def schoolgate(*words: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with more patience than for one alone."""
    return subprocess.run(
        [sys.executable, "-m", "schoolgate", *words], cwd=cwd, env=clean_environment(**environ),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=2 * PATIENCE, check=False,
    )  # fmt: skip


class _Quiet:
    def policy_loaded(self, *_: object) -> None: ...

    def policy_rejected(self, *_: object, kept: str | None) -> None: ...


class Process:
    """One part of a Schoolgate in a folder."""

    def __init__(self, folder: Path, *words: str, **environ: str) -> None:
        self.log = folder / f"{'-'.join(words)}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "schoolgate", *words], cwd=folder, stdin=subprocess.DEVNULL,
                env=clean_environment(**FREE_PORTS, **environ), stdout=log, stderr=log,
            )  # fmt: skip

    def started(self, name: str) -> dict[str, str]:
        """Wait until it has started, and return where it listens."""
        mark = f"{name}.started"
        eventually(lambda: mark in self.log.read_text() or self.process.poll() is not None, PATIENCE)
        line = next((one for one in self.log.read_text().splitlines() if mark in one), None)
        assert line is not None, self.log.read_text()
        return json.loads(line)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(60)


class Box:
    """A box: its sinkhole, and the part that speaks with the centre."""

    def __init__(self, folder: Path, upstream: str, address: str) -> None:
        folder.mkdir()
        self.folder, self.address = folder, address
        self._environ = {
            "SCHOOLGATE_DNS_UPSTREAMS": upstream,
            "SCHOOLGATE_BOX_POLL": "0.5",
            "SCHOOLGATE_METRICS_BOX": "127.0.0.1:0",
        }
        self.parts: list[Process] = []

    def start(self) -> None:
        agent = Process(self.folder, "box", "serve", **self._environ)
        self.parts.append(agent)
        self.metrics_at = agent.started("box")["metrics_box"]
        dns = Process(self.folder, "dns", **self._environ)
        self.parts.append(dns)
        host, _, port = dns.started("dns")["dns"].rpartition(":")
        self.dns = host, int(port)

    def asks(self, host: str) -> Seen:
        return ask_dns(self.dns, self.address, host)

    @property
    def policy(self) -> str:
        return (self.folder / "policy.yaml").read_text()

    @property
    def trouble(self) -> str:
        path = self.folder / "state/box/trouble.json"
        return path.read_text() if path.exists() else ""

    def metric(self, name: str) -> float:
        with urllib.request.urlopen(f"http://{self.metrics_at}/metrics", timeout=20) as response:
            text = response.read().decode()
        return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)[1])

    def stop(self) -> None:
        for part in self.parts:
            part.stop()


def approve(folder: Path, settings: Settings) -> str:
    """Ask for a host as a pupil, recommend, approve; return the request's id."""
    store = PolicyStore(folder / "policy.yaml", settings.state, _Quiet())
    service = open_service(settings, folder / "policy.yaml", store, lambda: datetime.now(UTC))
    try:
        today = service.office.today()
        officer, head = (
            service.accounts.add(SYSTEM, f"{name}@school.example", name.title(), [Holding(role)], password="three random words").actor(today)
            for name, role in (("officer", Role.OFFICER), ("head", Role.HEAD))
        )  # fmt: skip
        references = References(service.office.keys)
        reference = references.sign(
            Reference(
                HOST, "policy.yaml:21", "Blocked", "pupils", references.device(PUPIL), datetime.now(UTC)
            )
        )
        ask = Ask(Kind.UNBLOCK, Purpose.LESSON, "Art", None, "", reference)
        request = service.asking.submit(ask, service.asking.asker(PUPIL), PUPIL).request
        until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
        grant = replace(service.queue.case(officer, request.id).grant, targets=("instagram",), until=until)
        service.reviewing.recommend(officer, request.id, grant, "fine")
        service.approving.approve(head, request.id)
        return request.id
    finally:
        service.close()


def said(policy: str) -> list[str]:
    """Return what a policy says: its lines that are not empty."""
    return [line for line in policy.splitlines() if line.strip()]


def times(engine: sa.Engine, host: str) -> int:
    with engine.connect() as connection:
        return connection.execute(
            sa.select(sa.func.coalesce(sa.func.sum(events.c.times), 0)).where(events.c.host == host)
        ).scalar()


def test_a_centre_and_two_boxes(internet, tmp_path: Path) -> None:
    """Enrolled, each has its own part of the policy; an approval reaches one; without the centre both go on; nothing is lost or told twice; what is forged is refused."""
    centre = tmp_path / "centre"
    centre.mkdir()
    shutil.copy(ROOT / "policy.yaml", centre)
    upstream = "{}:{}".format(*internet.resolver)
    with postgres.running() as server:
        url = server.database()
        engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"))
        at = f"127.0.0.1:{free_port()}"
        environ = {"SCHOOLGATE_DATABASE_URL": url, "SCHOOLGATE_CENTRE_LISTEN": at}
        boxes = [Box(tmp_path / "north", upstream, PUPIL), Box(tmp_path / "south", upstream, STAFF)]
        north, south = boxes
        portal = Process(centre, "portal", **environ)
        try:
            assert portal.started("portal")["centre"] == at
            for box, networks in ((north, "pupils,guests"), (south, "staff")):
                made = schoolgate(
                    "box", "code", box.folder.name, "--networks", networks, cwd=centre, **environ
                )
                assert made.returncode == 0, made.stderr
                done = schoolgate("box", "enrol", made.stdout.strip(), cwd=box.folder)
                assert done.returncode == 0, done.stderr
                again = schoolgate("box", "enrol", made.stdout.strip(), cwd=box.folder)
                assert again.returncode == 2
                assert "used already" in again.stderr
                box.start()
            assert [box.asks(HOST) for box in boxes] == [Seen.BLOCK, Seen.BLOCK]
            before = said(south.policy)
            settings = Settings(state=centre / "state", database=DatabaseSettings(url=url))
            request = approve(centre, settings)
            eventually(lambda: north.asks(HOST) is Seen.ALLOW, PATIENCE)
            assert request in north.policy
            assert request not in south.policy
            assert south.asks(HOST) is Seen.BLOCK
            assert said(south.policy) == before, "empty lines alone, so that line numbers are the centre's"

            portal.stop(signal.SIGKILL)
            for _ in range(5):
                assert north.asks("www.facebook.com") is Seen.BLOCK
                assert south.asks("m.facebook.com") is Seen.BLOCK
            assert north.asks(HOST) is Seen.ALLOW
            eventually(
                lambda: "cannot be reached" in north.trouble and "cannot be reached" in south.trouble,
                PATIENCE,
            )
            assert north.metric('schoolgate_box_looks_total{look="away"}') >= 1
            eventually(lambda: north.metric("schoolgate_box_waiting_datagrams") >= 1, PATIENCE)

            key = centre / "state/centre/signing.pem"
            kept = key.read_bytes()
            key.unlink()  # whoever has the place of the centre, and not its key
            text = (centre / "policy.yaml").read_text()
            (centre / "policy.yaml").write_text(f"{text}\n# changed\n")
            portal = Process(centre, "portal", **environ)
            portal.started("portal")
            eventually(lambda: "not signed by the centre" in north.trouble, PATIENCE)
            assert "box.policy_refused" in north.parts[0].log.read_text()
            assert north.metric('schoolgate_box_looks_total{look="refused"}') >= 1
            assert "# changed" not in north.policy
            found = schoolgate("doctor", cwd=north.folder)
            assert "not signed by the centre" in found.stdout + found.stderr
            portal.stop()

            key.write_bytes(kept)
            portal = Process(centre, "portal", **environ)
            portal.started("portal")
            eventually(lambda: "# changed" in north.policy and "# changed" in south.policy, PATIENCE)
            eventually(lambda: not json.loads(north.trouble), PATIENCE)
            for host in ("www.facebook.com", "m.facebook.com"):
                eventually(lambda host=host: times(engine, host) >= 5, PATIENCE)
            eventually(lambda: north.metric("schoolgate_box_waiting_datagrams") == 0, PATIENCE)
            assert (times(engine, "www.facebook.com"), times(engine, "m.facebook.com")) == (5, 5)

            listed = json.loads(schoolgate("box", "list", "--json", cwd=centre, **environ).stdout)
            assert {one["name"]: one["state"] for one in listed} == {"north": "well", "south": "well"}
            assert schoolgate("box", "revoke", "south", cwd=centre, **environ).returncode == 0
            eventually(lambda: "this box was revoked" in south.trouble, PATIENCE)
            assert south.asks("m.facebook.com") is Seen.BLOCK
            assert not json.loads(north.trouble)
        finally:
            for box in boxes:
                box.stop()
            portal.stop()
            engine.dispose()
