"""The probe against the running product: green when all is well, red in one run when a promise is broken."""

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path

import pytest
from running import ROOT, InternetThread, Running, clean_environment, eventually, schoolgate

from schoolgate.probe.addresses import local_addresses, own_addresses, sources
from schoolgate.probe.packets import TRIED
from schoolgate_policy.load import load_policy

pytestmark = [pytest.mark.timeout(400), pytest.mark.xdist_group("probe")]
SHIPPED = ROOT / "policy.yaml"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """The product with the shipped policy."""
    with InternetThread() as internet:
        made = Running(tmp_path_factory.mktemp("run"), internet)
        try:
            yield made.wait_ready()
        finally:
            made.stop()


def probe(running: Running, *options: str, **points: str) -> tuple[int, dict]:
    """Run a probe of the product; return its exit code and what it found."""
    at = {name: ":".join(map(str, running.address(name))) for name in ("dns", "proxy")} | points
    done = subprocess.run(
        [sys.executable, "-m", "schoolgate", "probe", "--json", "--dns", at["dns"], "--proxy", at["proxy"], *options],
        cwd=running.folder, env=clean_environment(), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def broken(found: dict) -> set[tuple[str, str, str]]:
    """Return what was not as promised: network, point, what."""
    return {
        (group["network"], group["point"], one["what"])
        for group in found["groups"]
        for one in group["others"]
        if one["result"] == "broken"
    }


def rows(running: Running, query: str) -> list[tuple]:
    with sqlite3.connect(f"file:{running.state / 'portal.db'}?mode=ro", uri=True) as connection:
        found = connection.execute(query).fetchall()
    connection.close()
    return found


def test_a_well_filter_is_green_and_the_record_is_kept(running):
    """Everything from all three networks is as promised; who, when, where and what are in the database."""
    code, found = probe(running, "--by", "A technician")
    assert (code, found["outcome"], broken(found)) == (0, "passed", set())
    assert found["reached"] == ["staff", "pupils", "guests"]
    kept = {
        (group["network"], group["kind"], group["point"]): len(group["kept"]) for group in found["groups"]
    }
    for network in found["reached"]:
        assert kept[network, "services", "dns"] > 400
        assert kept[network, "circumvention", "proxy"] > 100
        assert kept[network, "open", "dns"] > 40
    firewall = [group for group in found["groups"] if group["point"] == "firewall"]
    assert {one["result"] for group in firewall for one in group["others"]} == {"unreached"}
    assert all(len(group["others"]) == len(TRIED) and not group["kept"] for group in firewall)
    ((who, machine, vantage, outcome),) = rows(
        running, f"SELECT who, machine, vantage, outcome FROM probe_runs WHERE id = '{found['id']}'"
    )
    assert (who, vantage, outcome) == ("A technician", "box", "passed")
    assert machine


def test_what_the_probe_tries_is_nobodys_attempt(running):
    """No event, no device, no alert and no count of attempts comes of it."""
    probe(running, "--network", "pupils")
    eventually(lambda: "schoolgate_probe_sightings_total 0.0" not in running.metrics("dns"))
    assert rows(running, "SELECT count(*) FROM events") == [(0,)]
    assert rows(running, "SELECT count(*) FROM alerts") == [(0,)]
    for part in ("dns", "proxy"):
        counted = [
            line
            for line in running.metrics(part).splitlines()
            if line.startswith("schoolgate_circumvention_attempts_total")
        ]
        assert counted
        assert all(line.endswith(" 0.0") for line in counted)


def test_an_exception_is_no_fault(running):
    """What the head has approved is open, and the probe expects just that."""
    text = running.policy.read_text()
    granted = """exceptions:
  - id: REQ-2026-0099
    allow: [instagram]
    for: [pupils]
    from: 2020-01-01
    until: 2040-12-18
    reason: Photography club
    reviewed_by: e-safety officer
    approved_by: headteacher
"""
    try:
        running.policy.write_text(text.replace("exceptions:\n", granted, 1).replace("90 days", "9999 days"))
        code, found = probe(running, "--network", "pupils")
        assert (code, broken(found)) == (0, set())
        services = next(
            group for group in found["groups"] if (group["kind"], group["point"]) == ("services", "proxy")
        )
        assert "instagram.com" not in services["kept"]
    finally:
        running.policy.write_text(text)


def test_a_policy_without_a_promise_is_red(running):
    """Opening a VPN and blocking a helpline is in force at once, and the next probe says so: promises beat policy."""
    text = running.policy.read_text()
    opened = text.replace(
        "\nrules:\n",
        "\nrules:\n  - {allow: [nordvpn], reason: x}\n  - {block: [samaritans.org], reason: x}\n",
        1,
    ).replace("  - category:safeguarding             #", "  #", 1)
    assert opened != text
    try:
        running.policy.write_text(opened)
        code, found = probe(running, "--network", "pupils")
        assert code == 1
        seen = broken(found)
        assert {("pupils", "dns", "nordvpn.com"), ("pupils", "proxy", "nordvpn.com")} <= seen
        assert {("pupils", "dns", "samaritans.org"), ("pupils", "proxy", "samaritans.org")} <= seen
    finally:
        running.policy.write_text(text)


def test_a_sabotaged_part_is_red_in_one_run(running, tmp_path):
    """A sinkhole and a proxy that run by another policy than the school's: each service that they open is named."""
    other = tmp_path / "other.yaml"
    text = SHIPPED.read_text()
    other.write_text(
        text.replace("\nrules:\n", "\nrules:\n  - {allow: [instagram, category:doh], reason: sabotage}\n", 1)
    )
    with ExitStack() as undo:
        internet = undo.enter_context(InternetThread())
        folder = tmp_path / "sabotaged"
        folder.mkdir()
        shutil.copy(other, folder / "policy.yaml")
        sabotaged = Running(folder, internet)
        undo.callback(sabotaged.stop)
        sabotaged.wait_ready()
        at = {name: ":".join(map(str, sabotaged.address(name))) for name in ("dns", "proxy")}
        code, found = probe(running, "--network", "guests", **at)
    seen = broken(found)
    assert code == 1
    for point in ("dns", "proxy"):
        opened = {what.removesuffix(" over TLS") for _, where, what in seen if where == point}
        assert {"instagram.com", "quad9.net"} <= opened
    assert not any("facebook" in what for _, _, what in seen)
    ((outcome,),) = rows(running, f"SELECT outcome FROM probe_runs WHERE id = '{found['id']}'")
    assert outcome == "failed"


def test_nothing_listens_is_no_pass(tmp_path):
    """Where no filter runs nothing is as promised: exit 2, each network `unreached`, one line that says why."""
    shutil.copy(SHIPPED, tmp_path / "policy.yaml")
    done = schoolgate(
        "probe", "--network", "pupils", "--dns", "127.0.0.1:9", "--proxy", "127.0.0.1:9", "--no-record", "--json",
        cwd=tmp_path,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert (done.returncode, found["reached"]) == (2, [])
    assert {one["result"] for group in found["groups"] for one in group["others"]} == {"unreached"}
    assert not any(group["kept"] for group in found["groups"])


def test_what_cannot_be_run_is_said(tmp_path):
    """A policy with mistakes, a network that is none and a bad address: one line each, exit 2."""
    done = schoolgate("probe", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    shutil.copy(SHIPPED, tmp_path / "policy.yaml")
    for options, said in (
        (("--network", "pupil"), "`pupil` is no network of the policy; available: staff, pupils, guests"),
        (("--dns", "here"), "--dns: `here` is not ADDRESS:PORT"),
    ):
        done = schoolgate("probe", *options, cwd=tmp_path)
        assert done.returncode == 2
        assert said in done.stderr
        assert done.stderr.count("\n") == 1


def test_a_record_that_is_not_kept_is_said(running, tmp_path):
    """Without a portal the result is shown, and exit 2 says that there is no evidence of it."""
    state = tmp_path / "elsewhere"
    state.mkdir()
    done = schoolgate(
        "probe", "--network", "guests", "--state", str(state), "--policy", str(running.policy),
        "--dns", ":".join(map(str, running.address("dns"))), "--proxy", ":".join(map(str, running.address("proxy"))),
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2, done.stdout
    assert "the portal does not take the record" in done.stderr


def test_each_network_is_spoken_for_by_an_address_of_its_own(tmp_path: Path):
    """A box by its own address there; a trial by loopback, never as a named device; else it says why not."""
    policy = load_policy(SHIPPED)
    trial = {one.network: one.address for one in sources(policy, is_box=False, local=())}
    assert trial == {"staff": "127.0.10.254", "pupils": "127.0.20.254", "guests": "127.0.30.254"}
    box = sources(
        policy, is_box=True, local=(ip_address("fd00:20::1"), ip_address("10.20.0.1"), ip_address("8.8.4.4"))
    )
    assert [one.address for one in box] == ["", "10.20.0.1", ""]
    assert box[0].why == "this box has no address in it"
    assert own_addresses(policy, is_box=False) >= {"127.0.20.254"}


def test_the_kernel_tells_addresses(tmp_path: Path):
    """Local addresses of both families are read, broadcast and network addresses are not."""
    four, six = tmp_path / "four", tmp_path / "six"
    four.write_text(
        "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.20.0.0\n        /16 link UNICAST\n     |-- 10.20.0.1\n"
        "        /32 host LOCAL\n     |-- 127.0.0.1\n        /32 host LOCAL\n     |-- 10.20.255.255\n        /32 link BROADCAST\n"
    )
    six.write_text(
        "00000000000000000000000000000001 01 80 10 80       lo\nfd000020000000000000000000000001 02 40 00 80   vlan20\n"
        "fe80000000000000000000000000abcd 02 40 20 80   vlan20\n"
    )
    assert local_addresses(four, six) == {ip_address("10.20.0.1"), ip_address("fd00:20::1")}
    assert local_addresses(tmp_path / "none", tmp_path / "none") == frozenset()
