"""Ways round the filter by DNS, one test for each line of the list of techniques (A1.1 to A1.16).

The sinkhole's share of each: where the rest is the proxy's (A1.3, A1.4) or the firewall's (A1.1, A1.5, A1.14) the
test says what DNS contributes. Clients are dig and kdig, the policy is real, and what must not happen behind the
sinkhole is looked for there: `upstream.asked`.
"""

import re
import secrets
import socket
import struct

import pytest

BAD = "facebook.com"
NETWORKS = ("127.0.10.5", "127.0.20.5", "127.0.30.5")


def techniques(rig) -> set[str]:
    return {seen[0] for seen in rig.recorder.techniques}


def test_a1_1_foreign_dns(make_school, dns):
    """Whatever address of ours a redirected question arrives at answers for it, over UDP and TCP."""
    rig = make_school(listen=(("0.0.0.0", 0),))
    for address in ("127.8.8.8", "127.1.1.1"):
        for transport in ("+notcp", "+tcp"):
            printed = dns.run(rig, "dig", f"@{address}", BAD, "+short", transport)
            assert printed.strip() == address
    assert rig.upstream.asked == []


@pytest.mark.parametrize("source", NETWORKS)
@pytest.mark.parametrize(
    "name",
    ["dns.google", "cloudflare-dns.com", "mozilla.cloudflare-dns.com", "dns.quad9.net", "doh.opendns.com",
     "dns.nextdns.io", "abc123.dns.nextdns.io", "dns.adguard-dns.com", "doh.cleanbrowsing.org", "doh.dns.apple.com"],
)  # fmt: skip
def test_a1_2_doh_by_name(school, dns, name, source):
    """The names browsers start DoH from do not exist on any network, EDE 15 says why, and it is noted."""
    for qtype in ("A", "HTTPS"):
        printed = dns.run(school, "dig", name, qtype, source=source)
        assert "status: NXDOMAIN" in printed
        assert "EDE: 15 (Blocked)" in printed
    assert techniques(school) <= {"doh"}
    assert techniques(school)
    assert school.upstream.asked == []


def service(priority: int, *params: tuple[int, bytes]) -> bytes:
    packed = b"".join(struct.pack("!HH", key, len(value)) + value for key, value in params)
    return struct.pack("!H", priority) + b"\0" + packed


def serve(rig, rdata: bytes, rtype: int = 65) -> None:
    """Make the upstream answer everything with one record."""

    def script(request, _):
        head = bytearray(bytes(request.reply(ra=1, aa=0).pack()))
        head[6:8] = b"\0\1"
        return bytes(head) + b"\xc0\x0c" + struct.pack("!HHIH", rtype, 1, 300, len(rdata)) + rdata

    rig.upstream.script = script


def test_a1_3_doh_unknown_endpoint(school, dns):
    """DNS does not point to one: `dohpath` is taken out of service records, `_dns.` names are empty."""
    serve(school, service(1, (1, b"\2h2"), (7, b"/q{?dns}")))
    printed = dns.run(school, "dig", "school.example", "HTTPS")
    assert 'alpn="h2"' in printed
    assert not re.search(r"dohpath|key7", printed)
    printed = dns.run(school, "dig", "_dns.school.example", "SVCB")
    assert "status: NOERROR" in printed
    assert "ANSWER: 0" in printed


@pytest.mark.parametrize("spelling", ["1.1.1.1", "0x01010101", "16843009", "1.65793", "0x1.1.257"])
def test_a1_4_ip_literal(school, dns, spelling):
    """An address asked for as a name is judged as that address, in every spelling that software accepts."""
    assert "EDE: 15 (Blocked)" in dns.run(school, "dig", spelling)
    assert school.upstream.asked == []


def test_a1_5_dot_and_doq(school, dns):
    """The sinkhole speaks no TLS and no QUIC, and says so by silence: nothing to upgrade to."""
    printed = dns.run(school, "kdig", "+tls", "+timeout=2", "+retry=0", BAD)
    assert "127.0.0.1" not in printed.partition("ANSWER")[2]
    with socket.create_connection(school.address, timeout=5) as sock:
        sock.sendall(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00")
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(100) == b""
    assert school.ask("localhost").header.rcode == 0


@pytest.mark.parametrize(
    ("name", "qtype"),
    [("_dns.resolver.arpa", "SVCB"), ("resolver.arpa", "RESINFO"), ("x.resolver.arpa", "A")],
)
def test_a1_6_ddr(school, dns, name, qtype):
    """Discovery ends here: NOERROR, no answer, an SOA record, no packet to upstream; counted as information."""
    printed = dns.run(school, "dig", name, {"RESINFO": "TYPE261"}.get(qtype, qtype))
    assert "status: NOERROR" in printed
    assert re.search(r"ANSWER: 0, AUTHORITY: 1", printed)
    assert "SOA" in printed
    assert techniques(school) == {"ddr"}
    assert school.upstream.asked == []


@pytest.mark.parametrize("source", NETWORKS)
@pytest.mark.parametrize("qtype", ["A", "AAAA", "HTTPS"])
def test_a1_7_firefox_canary(school, dns, qtype, source):
    """NXDOMAIN for every type tells Firefox that the network filters."""
    assert "status: NXDOMAIN" in dns.run(school, "dig", "use-application-dns.net", qtype, source=source)
    assert techniques(school) == {"doh_canary"}


def test_a1_8_chrome_auto_upgrade(school, dns):
    """The name Chrome would upgrade to does not exist."""
    assert "status: NXDOMAIN" in dns.run(school, "dig", "chrome.cloudflare-dns.com", "A")
    assert school.upstream.asked == []


def test_a1_9_dnscrypt(school, dns):
    """A provider's certificate cannot be had, whoever the provider."""
    assert "status: NXDOMAIN" in dns.run(school, "dig", "2.dnscrypt-cert.example.org", "TXT")
    assert techniques(school) == {"dnscrypt"}
    assert school.upstream.asked == []


def test_a1_10_private_relay(school, dns):
    """Six times NXDOMAIN, at once: a slow no makes devices wait; information, not an offence."""
    for name in ("mask.icloud.com", "mask-h2.icloud.com"):
        for qtype in ("A", "AAAA", "HTTPS"):
            printed = [dns.run(school, "dig", name, qtype) for _ in range(3)]
            assert all("status: NXDOMAIN" in one for one in printed)
            assert min(int(re.search(r"Query time: (\d+) msec", one)[1]) for one in printed) < 50
    assert techniques(school) == {"private_relay"}
    assert school.upstream.asked == []


def test_a1_11_cname_cloaking(school, dns):
    """An innocent alias to a blocked name is blocked like the name, and noted."""
    school.upstream.add(
        "innocent.example", "A", f"innocent.example. 300 CNAME {BAD}.", f"{BAD}. 300 A 198.51.100.66"
    )
    printed = dns.run(school, "dig", "innocent.example", "A")
    assert "EDE: 15 (Blocked)" in printed
    assert f"(alias of {BAD})" in printed
    assert "198.51.100.66" not in printed
    assert techniques(school) == {"cname_cloaking"}


def test_a1_12_case(school, dns):
    """Case is ignored in judging, kept in the echo, and random towards upstream."""
    printed = dns.run(school, "dig", "fAcEbOoK.CoM", "+noall", "+question", "+comments")
    assert "fAcEbOoK.CoM." in printed
    assert "EDE: 15 (Blocked)" in printed
    names = {asked for _ in range(8) for asked in asked_upstream(school, dns)}
    assert len(names) > 4


def asked_upstream(school, dns) -> list[str]:
    school.pass_time(400)
    dns.run(school, "dig", "school.example")
    return [name for _, name, _ in school.upstream.asked]


def test_a1_13_rebinding(school, dns):
    """Addresses of the inside are taken out of answers from the outside, in every form, and it is noted."""
    school.upstream.add("rb.example", "A", "rb.example. 300 A 127.0.0.1", "rb.example. 300 A 10.20.0.1")
    school.upstream.add(
        "rb.example", "AAAA", "rb.example. 300 AAAA ::1", "rb.example. 300 AAAA ::ffff:10.20.0.1"
    )
    for qtype in ("A", "AAAA"):
        assert dns.run(school, "dig", "rb.example", qtype, "+short") == ""
    assert techniques(school) == {"rebinding"}


def test_a1_14_hard_coded_addresses(school, dns):
    """Every address a client learns is one that was judged: service records carry none."""
    hints = service(1, (1, b"\2h2"), (4, bytes([198, 51, 100, 66])), (6, bytes(15) + b"\x42"))
    serve(school, hints)
    printed = dns.run(school, "dig", "school.example", "HTTPS")
    assert 'alpn="h2"' in printed
    assert "hint" not in printed
    assert "198.51.100.66" not in printed


def test_a1_15_dns_tunnelling(school, dns, tmp_path):
    """Four hundred made-up names of one domain: the later ones are REFUSED, and it is noted once."""
    school.upstream.script = lambda request, _: request.reply(ra=1).pack()
    batch = tmp_path / "names"
    batch.write_text("".join(f"{secrets.token_hex(20)}.t.example TXT +tries=1 +time=2\n" for _ in range(400)))
    printed = dns.run(school, "dig", "-f", str(batch))
    assert printed.count("status: NOERROR") == 200
    assert printed.count("status: REFUSED") == 200
    assert [seen[0] for seen in school.recorder.techniques] == ["dns_tunnel"]
    assert "status: REFUSED" in dns.run(school, "dig", "x.example", "NULL")


@pytest.mark.parametrize(
    "name",
    [
        b"\x0cfacebook.com\0",  # a dot inside a label
        b"\x0d.facebook.com\0",
        b"\4\xffbad\3com\0",  # a byte beyond ASCII
        b"\x3f" + b"a" * 63 + (b"\x3f" + b"b" * 63) * 3 + b"\0",  # 257 octets
        b"\xc0\x0c",  # a pointer to itself
        b"\x40aaaa\0",  # a reserved kind of label
    ],
)
def test_a1_16_odd_names(school, name):
    """Names made to be read differently by different readers are FORMERR, and noted."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.bind(("127.0.20.5", 0))
        sock.sendto(b"\0\1\1\0\0\1\0\0\0\0\0\0" + name + b"\0\1\0\1", school.address)
        assert sock.recv(512)[3] & 15 == 1
    assert techniques(school) == {"malformed_dns"}
    assert school.upstream.asked == []


def test_a1_16_trailing_dots_and_escapes(school, dns):
    """What dig sends for a final dot is the plain name; for an escaped dot it is an odd one."""
    assert "EDE: 15 (Blocked)" in dns.run(school, "dig", f"{BAD}.")
    assert "status: FORMERR" in dns.run(school, "dig", r"facebook\.com")


def test_wpad(school, dns):
    """A3.11: automatic proxy discovery finds nothing."""
    for name in ("wpad", "wpad.lan", "wpad.school.example"):
        assert "status: NXDOMAIN" in dns.run(school, "dig", name)
    assert techniques(school) == {"wpad"}
    assert school.upstream.asked == []
