"""A1.1 with a real firewall: a pupil's machine asks resolvers of the internet, and the sinkhole answers."""

import os
import shutil
import subprocess
from contextlib import suppress

import pytest

pytestmark = pytest.mark.netns

ADDRESSES = {"edge": ("10.20.0.1/24", "2a00:20::1/64"), "pupil": ("10.20.0.5/24", "2a00:20::5/64")}
RULES = """
table inet schoolgate_test {{
  chain dns {{
    type nat hook prerouting priority dstnat
    iifname "vlan20" udp dport 53 redirect to :{port}
    iifname "vlan20" tcp dport 53 redirect to :{port}
  }}
}}
"""


def run(*command: str, stdin: str = "") -> None:
    subprocess.run(command, check=True, input=stdin, text=True, capture_output=True)


def make(edge: str, pupil: str) -> None:
    for name in (edge, pupil):
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "set", "lo", "up")
    run("ip", "-n", edge, "link", "add", "vlan20", "type", "veth", "peer", "name", "eth0", "netns", pupil)
    for name, device, kind in ((edge, "vlan20", "edge"), (pupil, "eth0", "pupil")):
        run("ip", "-n", name, "link", "set", device, "up")
        for address in ADDRESSES[kind]:
            run(
                "ip",
                "-n",
                name,
                "address",
                "add",
                address,
                "dev",
                device,
                *(["nodad"] if ":" in address else []),
            )
    run("ip", "-n", pupil, "route", "add", "default", "via", "10.20.0.1")
    run("ip", "-n", pupil, "-6", "route", "add", "default", "via", "2a00:20::1")


@pytest.fixture
def namespaces():
    if os.geteuid() != 0 or not all(shutil.which(tool) for tool in ("ip", "nft")):
        pytest.skip("network namespaces need root, ip and nft")
    names = f"sg-dnsedge-{os.getpid()}", f"sg-dnspupil-{os.getpid()}"
    try:
        make(*names)
        yield names
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces here: {error.stderr.strip()}")
    finally:
        for name in names:
            with suppress(subprocess.CalledProcessError):
                run("ip", "netns", "del", name)


def test_a1_1_foreign_dns_redirected(namespaces, make_school, dns):
    """Questions to 8.8.8.8 and its IPv6 twin, over UDP and TCP, get the sinkhole's answer from that very address."""
    edge, pupil = namespaces
    rig = make_school(namespace=edge, listen=(("0.0.0.0", 0),))
    six = make_school(namespace=edge, listen=(("::", rig.address[1]),))
    run("ip", "netns", "exec", edge, "nft", "-f", "-", stdin=RULES.format(port=rig.address[1]))
    for server, page, qtype in (
        ("8.8.8.8", "10.20.0.1", "A"),
        ("2001:4860:4860::8888", "2a00:20::1", "AAAA"),
    ):
        for transport in ("+notcp", "+tcp"):
            blocked = dns.run(rig, "dig", f"@{server}", "facebook.com", qtype, transport, namespace=pupil)
            assert f"{page}" in blocked
            assert "EDE: 15 (Blocked): (pupils" in blocked
            assert "Warning" not in blocked  # an answer from another address would be one
            allowed = dns.run(
                rig, "dig", f"@{server}", "school.example", "+short", transport, namespace=pupil
            )
            assert allowed.strip() == "198.51.100.7"
    assert len(rig.upstream.asked) + len(six.upstream.asked) == 2


def test_strangers_are_refused(namespaces, make_school, dns):
    """Over a real interface, an address in no network of the policy is REFUSED."""
    edge, pupil = namespaces
    rig = make_school(namespace=edge, listen=(("0.0.0.0", 0),))
    run("ip", "netns", "exec", edge, "nft", "-f", "-", stdin=RULES.format(port=rig.address[1]))
    run("ip", "-n", pupil, "address", "add", "203.0.113.5/32", "dev", "eth0")
    run("ip", "-n", edge, "route", "add", "203.0.113.5", "dev", "vlan20")
    assert "status: NOERROR" in dns.run(rig, "dig", "@10.20.0.1", "school.example", namespace=pupil)
    printed = dns.run(rig, "dig", "@10.20.0.1", "-b", "203.0.113.5", "school.example", namespace=pupil)
    assert "status: REFUSED" in printed
