"""The tools a technician uses get what they should: dig and kdig against the real sockets."""

import shutil
import subprocess

import pytest

needs_dig = pytest.mark.skipif(not shutil.which("dig"), reason="dig (bind9-dnsutils) is not installed")
needs_kdig = pytest.mark.skipif(not shutil.which("kdig"), reason="kdig (knot-dnsutils) is not installed")


def run(rig, tool: str, *arguments: str, source: str = "127.0.20.5") -> str:
    address, port = rig.address
    command = [tool, f"@{address}", "-p", str(port), "-b", source, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout


@pytest.fixture
def school(rig):
    rig.engine.block("instagram.com")
    rig.upstream.add("childline.example", "A", "childline.example. 300 A 198.51.100.7")
    rig.upstream.add("childline.example", "AAAA", "childline.example. 300 AAAA 2001:db8::7")
    rig.upstream.add("big.example", "TXT", *(f'big.example. 300 TXT "{str(n) * 200}"' for n in range(10)))
    return rig


@needs_dig
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["www.instagram.com"], ["EDE: 15 (Blocked): (pupils, policy.yaml:41: Not in lessons)", "127.0.0.1"]),
        (["www.instagram.com", "HTTPS"], ["status: NOERROR", "ANSWER: 0", "SOA", "EDE: 15 (Blocked)"]),
        (["childline.example", "+short"], ["198.51.100.7"]),
        (["childline.example", "+tcp", "+short"], ["198.51.100.7"]),
        (["childline.example", "+opcode=update"], ["NOTIMP"]),
        (["version.bind", "CH", "TXT"], ["REFUSED"]),
        (["childline.example", "+norecurse"], ["REFUSED"]),
        (["childline.example", "+edns=1", "+noednsnegotiation"], ["BADVERS"]),
        (["childline.example", "+ednsopt=100:ff"], ["NOERROR", "198.51.100.7"]),
        (["childline.example", "+subnet=10.20.0.0/16", "+short"], ["198.51.100.7"]),
        (["childline.example", "ANY", "+notcp"], ["HINFO", "RFC8482"]),
        (["big.example", "TXT", "+bufsize=512", "+ignore"], ["tc", "ANSWER: 0"]),
        (["big.example", "TXT", "+bufsize=512"], ["ANSWER: 10"]),
        (["use-application-dns.net"], ["NXDOMAIN"]),
        (["_dns.resolver.arpa", "TYPE64"], ["NOERROR", "ANSWER: 0", "SOA"]),
        (["-x", "10.1.2.3"], ["NXDOMAIN"]),
    ],
)
def test_dig(school, arguments, expected):
    """What dig prints, line by line of the table of required behaviour."""
    printed = run(school, "dig", *arguments)
    for text in expected:
        assert text in printed


@needs_dig
def test_dig_finds_nothing_odd(school):
    """No warning about what we send: malformed, extra bytes, id mismatch, recursion not available."""
    for name in ("www.instagram.com", "childline.example", "nope.example", "localhost"):
        assert ";; Warning" not in run(school, "dig", name)
        assert "WARNING" not in run(school, "dig", name, "+dnssec", source="127.0.30.5")


@needs_kdig
def test_kdig_keeps_a_connection_open(school):
    """Two queries on one TCP connection."""
    printed = run(school, "kdig", "+tcp", "+keepopen", "childline.example", "A", "childline.example", "AAAA")
    assert "198.51.100.7" in printed
    assert "2001:db8::7" in printed
