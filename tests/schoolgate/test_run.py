"""`schoolgate run` as a person uses it: real processes, real sockets, the policy edited while it runs."""

import http.client
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys

import pytest
from ports import free_port
from running import (
    FREE_PORTS,
    GUEST,
    OFFICE,
    PUPIL,
    ROOT,
    STAFF,
    Running,
    alive,
    clean_environment,
    eventually,
    schoolgate,
)

from schoolgate.demo.clients import Seen, ask_dns


def metric(text: str, line: str) -> float:
    return next((float(row.split()[-1]) for row in text.splitlines() if row.startswith(line)), 0.0)


def fetch(running: Running, source: str, host: str) -> http.client.HTTPResponse:
    trust = ssl.create_default_context(cafile=str(running.state / "ca.pem"))
    connection = http.client.HTTPSConnection(
        *running.address("proxy"), source_address=(source, 0), context=trust, timeout=10
    )
    connection.set_tunnel(host, 443)
    connection.request("GET", "/", headers={"Accept": "text/html"})
    response = connection.getresponse()
    response.body = response.read().decode()
    connection.close()
    return response


def test_dns_blocks_and_forwards(running, internet):
    """A blocked name is answered here and never asked upstream; an allowed one is forwarded."""
    assert ask_dns(running.address("dns"), PUPIL, "www.instagram.com") is Seen.BLOCK
    assert ask_dns(running.address("dns"), PUPIL, "childline.org.uk") is Seen.ALLOW
    asked = " ".join(internet.asked).lower()
    assert "childline" in asked
    assert "instagram" not in asked


@pytest.mark.skipif(not shutil.which("dig"), reason="dig is not installed")
def test_dig_names_the_rule(running):
    """The command that `run` prints shows the block, with the rule in the extended error."""
    command = next(line for line in running.out.read_text().splitlines() if "dig " in line).split()
    seen = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    assert "EDE: 15 (Blocked)" in seen
    assert "policy.yaml:" in seen


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_curl_shows_the_page(running):
    """The command that `run` prints gets 403 and the school's page over HTTPS, with the school's certificate."""
    command = next(line for line in running.out.read_text().splitlines() if "curl " in line).split()
    shown = subprocess.run(
        [*command, "-s", "-w", "%{http_code}"],
        cwd=running.folder,
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    ).stdout
    assert shown.endswith("403")
    assert "Perryfields Primary PRU" in shown


def test_the_explain_command_works_as_printed(running):
    """The third command that `run` prints explains the block and exits with 1."""
    line = next(line for line in running.out.read_text().splitlines() if "policy explain" in line)
    arguments = line[line.index("policy explain") :].split()
    done = schoolgate(*arguments, cwd=running.folder)
    assert done.returncode == 1
    assert done.stdout.startswith("BLOCKED  www.instagram.com/")


@pytest.mark.parametrize("source", [PUPIL, STAFF, OFFICE])
def test_proxy_shows_the_block_page(running, source):
    """Where TLS is opened, a blocked site shows the page, not to be stored."""
    response = fetch(running, source, "www.facebook.com")
    assert response.status == 403
    assert response.headers["Cache-Control"] == "no-store"
    assert "Facebook" in response.body


def test_guests_get_no_decrypted_page(running):
    """On a network whose inspection is `names` nothing is decrypted: a blocked site is refused."""
    with pytest.raises((ssl.SSLError, OSError)):
        fetch(running, GUEST, "www.tiktok.com")


def test_portal_shows_home_and_block_page(running):
    """The portal answers under its own address with the home page, under a blocked name with why it is blocked."""
    connection = http.client.HTTPConnection(*running.address("portal"), source_address=(PUPIL, 0), timeout=5)
    connection.request("GET", "/")
    home = connection.getresponse()
    assert home.status == 200
    text = home.read().decode()
    assert "web filter" in text
    # The parts of a test tell how they are at ports that only they know: nobody may say that they work.
    assert "The filter is working" not in text
    connection.request("GET", "/reels", headers={"Host": "www.instagram.com", "Accept": "text/html"})
    page = connection.getresponse()
    assert page.status == 403
    assert "Instagram" in page.read().decode()
    connection.close()


@pytest.mark.parametrize("part", ["dns", "proxy", "portal"])
def test_each_part_tells_how_it_is(running, part):
    """Every part serves metrics, liveness and readiness."""
    assert running.health(part, "livez") == "ok\n"
    assert running.health(part, "readyz") == "listening: ok\n"
    metrics = running.metrics(part)
    assert f'schoolgate_build_info{{component="{part}"' in metrics
    assert "schoolgate_policy_current 1.0" in metrics


def test_no_metric_names_a_person(running):
    """Metrics carry neither the addresses nor the hosts of what was asked."""
    ask_dns(running.address("dns"), PUPIL, "www.tiktok.com")
    fetch(running, PUPIL, "www.facebook.com")
    for part in ("dns", "proxy", "portal"):
        metrics = running.metrics(part)
        assert PUPIL not in metrics
        assert "facebook" not in metrics
        assert "tiktok" not in metrics


def test_logs_name_nobody(running):
    """At the usual level, no log line names a client or a host that was asked for."""
    ask_dns(running.address("dns"), PUPIL, "www.tiktok.com")
    fetch(running, PUPIL, "www.facebook.com")
    log = running.log.read_text()
    assert PUPIL not in log
    assert "facebook" not in log


def test_an_edit_is_in_force_within_a_second(fresh):
    """Editing policy.yaml changes the answers of DNS and proxy by itself (in 0.4 s; a busy machine gets three)."""
    dns = fresh.address("dns")
    assert ask_dns(dns, PUPIL, "www.bbc.co.uk") is Seen.ALLOW
    text = fresh.policy.read_text()
    fresh.policy.write_text(
        text.replace("rules:\n", "rules:\n  - {block: bbc.co.uk, reason: Not today}\n", 1)
    )
    eventually(lambda: ask_dns(dns, PUPIL, "www.bbc.co.uk") is Seen.BLOCK, 3)
    eventually(lambda: fetch(fresh, PUPIL, "www.bbc.co.uk").status == 403, 3)
    eventually(lambda: len(list((fresh.state / "history" / "versions").iterdir())) == 2, 3)


def test_a_broken_edit_changes_nothing_but_a_log_line_and_a_metric(fresh):
    """A file that cannot be used leaves the old policy in force, and is told with line and column."""
    dns = fresh.address("dns")
    good = fresh.policy.read_text()
    fresh.policy.write_text(good.replace("rules:\n", "rulez:\n", 1))
    eventually(lambda: "schoolgate_policy_current 0.0" in fresh.metrics("dns"), 3)
    for part in ("dns", "proxy", "portal"):
        eventually(lambda part=part: "schoolgate_policy_current 0.0" in fresh.metrics(part), 3)
        assert metric(fresh.metrics(part), 'schoolgate_policy_reloads_total{result="rejected"}') == 1
    assert ask_dns(dns, PUPIL, "www.instagram.com") is Seen.BLOCK
    assert ask_dns(dns, PUPIL, "childline.org.uk") is Seen.ALLOW
    line = good[: good.index("rules:\n")].count("\n") + 1
    eventually(lambda: f"policy.yaml:{line}:1: " in fresh.log.read_text(), 3)
    fresh.policy.write_text(good)
    eventually(lambda: "schoolgate_policy_current 1.0" in fresh.metrics("dns"), 3)


def test_sighup_reloads_every_part(fresh):
    """SIGHUP to the parent makes every part read the policy again."""
    before = {part: metric(fresh.metrics(part), "schoolgate_policy_reloads_total") for part in fresh.pids()}
    fresh.process.send_signal(signal.SIGHUP)
    for part, count in before.items():
        eventually(
            lambda part=part, count=count: (
                metric(fresh.metrics(part), "schoolgate_policy_reloads_total") > count
            ),
            5,
        )
    assert fresh.process.poll() is None


def test_a_killed_part_comes_back(internet, tmp_path):
    """A part that dies is started again on its port, and the others never stop."""
    port = free_port()
    running = Running(tmp_path, internet, SCHOOLGATE_DNS_LISTEN=f"127.0.0.1:{port}").wait_ready()
    try:
        before = running.pids()
        assert set(before) == {"dns", "proxy", "portal"}
        os.kill(before["dns"], signal.SIGKILL)
        eventually(lambda: running.pids().get("dns", before["dns"]) != before["dns"])
        eventually(lambda: ask_dns(("127.0.0.1", port), PUPIL, "www.instagram.com") is Seen.BLOCK)
        after = running.pids()
        assert after["proxy"] == before["proxy"]
        assert after["portal"] == before["portal"]
        assert "run.part_ended" in running.log.read_text()
    finally:
        running.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stops_cleanly(fresh, number):
    """Asked to stop, it stops all parts in good time, and exits with 0."""
    pids = fresh.pids()
    assert fresh.stop(number) == 0
    assert not any(alive(pid) for pid in pids.values())


def test_parts_end_with_a_killed_parent(fresh):
    """When the parent is killed, nothing is left running."""
    pids = fresh.pids()
    fresh.process.kill()
    fresh.process.wait(5)
    eventually(lambda: not any(alive(pid) for pid in pids.values()), 10)


def test_stop_while_starting(internet, tmp_path):
    """Asked to stop before it is ready, it stops all the same."""
    running = Running(tmp_path, internet)
    eventually(lambda: len(running.pids()) == 3)
    pids = running.pids()
    assert running.stop() in {0, -signal.SIGTERM}
    eventually(lambda: not any(alive(pid) for pid in pids.values()), 10)


@pytest.mark.parametrize(
    ("setting", "variable"),
    [
        ("dns.listen", "SCHOOLGATE_DNS_LISTEN"),
        ("proxy.explicit", "SCHOOLGATE_PROXY_EXPLICIT"),
        ("portal.listen", "SCHOOLGATE_PORTAL_LISTEN"),
        ("metrics.proxy", "SCHOOLGATE_METRICS_PROXY"),
    ],
)
def test_a_taken_port_is_one_line(internet, tmp_path, setting, variable):
    """A port that is taken is said in one line with the setting, exit code 2, and nothing is left running."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        running = Running(tmp_path, internet, **{variable: f"127.0.0.1:{port}"})
        assert running.process.wait(20) == 2
    lines = running.log.read_text().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"{setting}: cannot listen on 127.0.0.1:{port}: address already in use")
    assert variable in lines[0]
    assert running.out.read_text() == ""


def test_one_part_alone_says_the_same(internet, tmp_path):
    """A part that is started alone says in one line which port is taken."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        running = Running(
            tmp_path, internet, command=("proxy",), SCHOOLGATE_PROXY_EXPLICIT=f"127.0.0.1:{port}"
        )
        assert running.process.wait(20) == 2
    spoken = [line for line in running.log.read_text().splitlines() if not line.startswith("{")]
    assert len(spoken) == 1
    assert spoken[0].startswith("proxy.explicit: cannot listen on")


def test_a_broken_policy_is_refused_once(internet, tmp_path):
    """Without a good policy nothing starts, and each mistake is said once."""
    (tmp_path / "policy.yaml").write_text("version: 1\nschol: {}\n")
    running = Running(tmp_path, internet)
    assert running.process.wait(20) == 2
    lines = running.log.read_text().splitlines()
    assert lines
    assert len(lines) == len(set(lines))
    assert all(line.startswith("policy.yaml") for line in lines)


def test_the_last_good_policy_is_used_at_the_next_start(internet, tmp_path):
    """A start with a broken file judges by the last good one, and says so."""
    first = Running(tmp_path, internet).wait_ready()
    first.stop()
    (tmp_path / "policy.yaml").write_text("version: 1\n")
    second = Running(tmp_path, internet).wait_ready()
    try:
        assert ask_dns(second.address("dns"), PUPIL, "www.instagram.com") is Seen.BLOCK
        assert "schoolgate_policy_current 0.0" in second.metrics("dns")
    finally:
        second.stop()


@pytest.mark.parametrize("stderr", ["full", "closed"])
def test_a_full_disk_for_logs_stops_nothing(internet, tmp_path, stderr):
    """When no log line can be written, the filter filters on."""
    shutil.copy(ROOT / "policy.yaml", tmp_path)
    host, port = internet.resolver
    environ = clean_environment(
        **FREE_PORTS, SCHOOLGATE_DNS_UPSTREAMS=f"{host}:{port}", SCHOOLGATE_LOG_LEVEL="debug"
    )
    sink = "2>/dev/full" if stderr == "full" else "2>&-"
    out = tmp_path / "out"
    process = subprocess.Popen(
        f"exec {sys.executable} -m schoolgate run {sink} >{out}", shell=True, cwd=tmp_path, env=environ
    )
    try:
        eventually(lambda: out.exists() and "Ctrl-C" in out.read_text(), 30)
        at = next(line.split()[1] for line in out.read_text().splitlines() if line.startswith("  dns "))
        server = (at.rpartition(":")[0], int(at.rpartition(":")[2]))
        for _ in range(20):
            assert ask_dns(server, PUPIL, "www.instagram.com") is Seen.BLOCK
            assert ask_dns(server, PUPIL, "childline.org.uk") is Seen.ALLOW
    finally:
        process.terminate()
        assert process.wait(20) == 0
