"""The life of one part: what keeps it from starting, and what happens when it ends by itself."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from dataclasses import dataclass, field

import pytest
from running import FREE_PORTS, ROOT, clean_environment, eventually

from schoolgate.health import HealthServer
from schoolgate.part import CannotStart, Ended, Part, serve
from schoolgate.settings_file import load_settings


class Quiet:
    dropped = 3


@dataclass
class Fake:
    """A part whose behaviour is set."""

    start_error: Exception | None = None
    ends: bool = False
    hangs: bool = False
    around: object = None
    announced: bool = False
    log: list[str] = field(default_factory=list)

    async def start(self):
        self.log.append("start")
        if self.start_error:
            raise self.start_error

    async def ended(self):
        if not self.ends:
            await asyncio.Event().wait()

    async def stop(self):
        self.log.append("stop")
        if self.hangs:
            await asyncio.Event().wait()

    def listening(self):
        self.announced = True
        return {"dns": "127.0.0.1:1"}

    def build(self, around):
        self.around = around
        return self


@pytest.fixture
def settings(tmp_path):
    shutil.copy(ROOT / "policy.yaml", tmp_path)
    return load_settings(None, {**FREE_PORTS, "SCHOOLGATE_STATE": str(tmp_path / "state")})


def live(fake, settings, during=None):
    """Run a part until `during`, called when it is ready, has ended."""

    async def run():
        policy = settings.state.parent / "policy.yaml"
        task = asyncio.create_task(serve(Part("dns", "dns.listen", fake.build), settings, policy, Quiet()))
        if during is not None:
            await asyncio.to_thread(eventually, lambda: fake.announced or task.done())
            await during()
        await task

    asyncio.run(run())


async def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def test_it_runs_until_asked_to_stop(settings):
    """SIGTERM ends a part after everything was stopped."""
    fake = Fake()
    live(fake, settings, terminate)
    assert fake.log == ["start", "stop"]
    assert (settings.state / "last-good" / "policy.yaml").exists()


def test_dropped_log_lines_are_counted(settings):
    """How many log lines were lost is a metric."""
    fake = Fake()
    live(fake, settings, terminate)
    assert fake.around.metrics.registry.get_sample_value("schoolgate_log_lines_dropped_total") == 3


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            OSError(98, "cannot listen on 127.0.0.1:53: address already in use"),
            (
                "dns.listen: cannot listen on 127.0.0.1:53: address already in use; "
                "set another in schoolgate.toml or with SCHOOLGATE_DNS_LISTEN"
            ),
        ),
        (PermissionError(13, "Permission denied", "/var/lib/ca"), "/var/lib/ca: permission denied"),
        (ValueError("extra.pem: no certificates"), "dns.listen: extra.pem: no certificates"),
    ],
)
def test_what_keeps_it_from_starting_is_one_line(settings, error, line):
    """Whatever the system refuses is said with the setting or the file that it is about."""
    with pytest.raises(CannotStart) as caught:
        live(Fake(start_error=error), settings)
    assert str(caught.value) == line


def test_a_state_folder_that_cannot_be(settings):
    """A state folder in the place of a file is one line."""
    blocked = settings.state.parent / "policy.yaml" / "state"
    with pytest.raises(CannotStart, match=r"^state: .*policy.yaml/state: not a directory$"):
        asyncio.run(
            serve(
                Part("dns", "dns.listen", Fake().build),
                settings.model_copy(update={"state": blocked}),
                settings.state.parent / "policy.yaml",
                Quiet(),
            )
        )


def test_a_part_that_ends_by_itself_is_a_failure(settings):
    """A server that ends without being asked ends the process, so that it is started again."""
    fake = Fake(ends=True)
    with pytest.raises(Ended, match="dns ended by itself"):
        live(fake, settings)
    assert fake.log == ["start", "stop"]


def test_stopping_takes_no_longer_than_it_may(settings, monkeypatch):
    """A server that does not stop is given up after a while."""
    monkeypatch.setattr("schoolgate.part._STOP_SECONDS", 0.1)
    live(Fake(hangs=True), settings, terminate)


def test_a_fault_in_watching_is_counted_and_watching_goes_on(settings, monkeypatch):
    """When following the policy fails, that is a fault, the policy stays, and watching is taken up again."""
    calls = []

    async def watch(self, stop):
        calls.append(1)
        raise OSError("no more watches")

    monkeypatch.setattr("schoolgate_policy.store.PolicyStore.watch", watch)
    fake = Fake()

    async def wait():
        await asyncio.to_thread(eventually, lambda: len(calls) >= 2)
        await terminate()

    live(fake, settings, wait)
    value = fake.around.metrics.registry.get_sample_value("schoolgate_faults_total", {"area": "policy"})
    assert value == len(calls)


def test_a_network_that_is_none_is_one_line(tmp_path):
    """A redirect port for a network that the policy does not have is refused with what there is."""
    shutil.copy(ROOT / "policy.yaml", tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "schoolgate", "proxy"], cwd=tmp_path, capture_output=True, text=True, check=False,
        env=clean_environment(**FREE_PORTS, SCHOOLGATE_PROXY_TRANSPARENT="pupil=0"),
    )  # fmt: skip
    assert done.returncode == 2
    assert (
        "proxy.transparent.pupil: no such network in the policy; available: staff, pupils, guests"
        in done.stderr
    )


def test_health_is_served_beside_the_part(settings, monkeypatch):
    """While a part runs, its health can be asked."""
    seen = []

    original = HealthServer.start

    async def start(self, host, port):
        await original(self, host, port)
        seen.append(self.address)

    monkeypatch.setattr(HealthServer, "start", start)

    async def ask():
        page = await asyncio.to_thread(urllib.request.urlopen, f"http://{seen[0]}/readyz", None, 5)
        assert page.read() == b"listening: ok\n"
        page.close()
        await terminate()

    live(Fake(), settings, ask)


def test_a_box_under_a_centre_has_no_portal(tmp_path):
    """Its portal is the centre's: started by mistake it says so in one line, and takes no events from the box's agent."""
    shutil.copy(ROOT / "policy.yaml", tmp_path)
    (tmp_path / "state/box").mkdir(parents=True)
    (tmp_path / "state/box/centre.json").write_text("{}")
    done = subprocess.run(
        [sys.executable, "-m", "schoolgate", "portal"],
        cwd=tmp_path, env=clean_environment(**FREE_PORTS), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "box: this box is under a centre" in done.stderr
    assert not (tmp_path / "state/events.sock").exists()
