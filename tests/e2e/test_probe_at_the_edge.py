"""The probe where it is meant to run: on a box between VLANs, and on a machine within one."""

import json
import sys

import pytest
from netns_school import Box, Host, School

from schoolgate.probe.packets import TRIED

pytestmark = [pytest.mark.netns, pytest.mark.timeout(600)]


def probe(host: Host, box: Box, *options: str) -> dict:
    """Run a probe on a machine; return what it found, with its exit code."""
    command = (sys.executable, "-m", "schoolgate", "probe", "--json", *box.options, *options)
    printed = host.run("sh", "-c", '"$@" 2>/dev/null; echo "$?"', "sh", *command, seconds=500)
    body, _, code = printed.rstrip().rpartition("\n")
    return {**json.loads(body), "code": int(code)}


def found(run: dict, result: str, point: str) -> set[str]:
    """Return what came to a result at an enforcement point."""
    groups = [one for one in run["groups"] if one["point"] == point]
    if result == "kept":
        return {name for one in groups for name in one["kept"]}
    return {one["what"] for group in groups for one in group["others"] if one["result"] == result}


def test_from_the_box_itself(school: School, box: Box) -> None:
    """It speaks for a network by its own address there; what only the firewall sees is out of its reach, not passed."""
    run = probe(school.edge, box, "--network", "pupils")
    assert (run["code"], run["vantage"], run["reached"]) == (0, "box", ["pupils"])
    assert found(run, "broken", "dns") | found(run, "broken", "proxy") == set()
    assert {"filter-check.schoolgate.internal", "nordvpn.com"} <= found(run, "kept", "proxy")
    assert found(run, "unreached", "firewall") == set(TRIED)
    assert found(run, "kept", "firewall") == set()


def test_from_a_machine_within_the_network(school: School, box: Box, leaks) -> None:
    """There the whole way is tried: through the firewall and the transparent proxy; nothing of it gets out."""
    run = probe(school.guest, box, "--inside", "--dns", f"{school.guest.gateway4}:53")
    assert (run["code"], run["vantage"], run["reached"]) == (0, "inside", ["guests"])
    assert found(run, "kept", "firewall") == set(TRIED)
    assert {"filter-check.schoolgate.internal", "nordvpn.com"} <= found(run, "kept", "proxy")
    away = {event["target"] for event in leaks() if event["kind"] == "packet"}
    assert not away & {"8.8.8.8", "9.9.9.9", "94.140.14.14", "140.82.121.4", "2001:4860:4860::8888"}
