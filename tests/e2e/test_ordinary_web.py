"""What is not blocked works, for everybody: a filter that breaks the web is switched off."""

import os
from functools import partial
from pathlib import Path

import netns_clients as client
import pytest
from netns_clients import request
from netns_school import Box, Host, School

pytestmark = pytest.mark.netns

THERE = {"IPv4": "45.60.9.9", "IPv6": "2a00:9:9::9"}
SITES = 200
BIG = int(os.environ.get("SCHOOLGATE_TEST_MB", "1024")) << 20  # a gigabyte takes some ten seconds


@pytest.fixture(params=["staff", "pupil", "guest"])
def anybody(request: pytest.FixtureRequest, school: School) -> Host:
    """A machine of each network in turn."""
    return school.hosts()[request.param]


@pytest.fixture(params=THERE.values(), ids=THERE)
def there(request: pytest.FixtureRequest) -> str:
    """An address of the internet, over IPv4, then over IPv6."""
    return request.param


def at(address: str) -> str:
    """Write an address as URLs do."""
    return f"[{address}]" if ":" in address else address


@pytest.fixture
def roots(school: School, box: Box, tmp_path: Path) -> str:
    """What a school's device trusts: the internet's certificates and the school's own."""
    file = tmp_path / "roots.pem"
    file.write_bytes((box.state / "ca.pem").read_bytes() + school.internet.roots.read_bytes())
    return str(file)


@pytest.mark.parametrize("role", ["pupil", "guest", "staff"])
def test_many_sites(school, box, roots, role):
    """Two hundred sites, half of them over IPv6, with certificates that hold."""
    names = [f"www.site{number}.example" for number in range(SITES)]
    there = [THERE["IPv6" if number % 2 else "IPv4"] for number in range(SITES)]
    jobs = [partial(client.fetch, at, name, roots) for at, name in zip(there, names, strict=True)]
    found = school.hosts()[role].do(client.crowd, jobs, 8)
    wrong = {
        name: reply
        for name, reply in zip(names, found, strict=True)
        if not isinstance(reply, bytes) or f"this is the real site: {name} ".encode() not in reply
    }
    assert wrong == {}


def test_by_name_as_a_browser_does(box, anybody):
    """Name looked up through the sinkhole, then the site, over both families."""
    for family in ("-4", "-6"):
        printed = anybody.run("curl", "-sk", family, "-m", "30", "https://news.example/")
        assert printed.startswith("this is the real site: news.example"), printed


@pytest.mark.timeout(1900)
@pytest.mark.parametrize(
    ("role", "family"), [("staff", "IPv4"), ("pupil", "IPv4"), ("pupil", "IPv6"), ("guest", "IPv6")]
)
def test_a_big_download(school, box, role, family):
    """A gigabyte arrives whole, opened or passed on."""
    host = at(THERE[family])
    printed = school.hosts()[role].run(
        "curl", "-sk", "-m", "1180", "--resolve", f"files.example:443:{host}", "-o", "/dev/null",
        "-w", "%{size_download} %{http_code}", f"https://files.example/big?octets={BIG}", seconds=1200,
    )  # fmt: skip
    assert printed == f"{BIG} 200"


def test_an_upload(box, anybody, there):
    """An upload arrives whole, with a length and chunked."""
    for chunked in ((), ("-H", "Transfer-Encoding: chunked")):
        printed = anybody.run(
            "curl", "-sk", "-m", "100", "--resolve", f"up.example:443:{at(there)}", "-H", "Expect:", *chunked,
            "-X", "POST", "--data-binary", "@-", "https://up.example/upload", stdin=bytes(5 << 20), seconds=110,
        )  # fmt: skip
        assert f"got {5 << 20} octets" in printed


def test_a_websocket(box, anybody, there):
    """A websocket opens, and messages go both ways."""
    assert anybody.do(client.echoed, there, "chat.example") == b"\x81\x04ping"


def test_server_sent_events(box, anybody, there):
    """Events arrive as they are sent, not when the response ends."""
    arrived = anybody.do(client.events, there, "live.example", 6)
    assert len(arrived) >= 6
    assert arrived[-1] - arrived[0] > 0.2  # one every tenth of a second, and not all at once


def test_http_2(school, box, there):
    """A browser on an inspected network speaks HTTP/2, and several requests share its connection."""
    urls = [f"https://two.example/{number}" for number in range(5)]
    printed = school.pupil.run(
        "curl", "-sk", "--http2", "-m", "60", "--resolve", f"two.example:443:{at(there)}",
        "-w", "v%{http_version} n%{num_connects}\n", *urls,
    )  # fmt: skip
    assert printed.count("this is the real site: two.example") == 5
    assert printed.count("v2 n0") == 4


def test_large_headers(box, anybody, there):
    """Cookies of 30 KB go through."""
    reply = anybody.do(partial(client.fetch, there, "login.example", None, "/", f"Cookie: {'a' * 30_000}"))
    assert b"this is the real site" in reply


@pytest.mark.parametrize("name", ["expired.example", "selfsigned.example"])
def test_bad_certificates_are_not_hidden(school, box, roots, leaks, name):
    """Where the connection is opened the box refuses and says so; elsewhere the device sees the bad one itself."""
    reply = school.pupil.do(client.fetch, "45.60.9.9", name, roots)
    assert reply.startswith(b"HTTP/1.1 502"), reply[:200]
    assert not any(one["kind"] == "request" for one in leaks())
    with pytest.raises(OSError, match="certificate verify failed"):
        school.guest.do(client.fetch, "45.60.9.9", name, roots)


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("connectivitycheck.gstatic.com", "/generate_204"),
        ("captive.apple.com", "/hotspot-detect.html"),
        ("www.msftconnecttest.com", "/connecttest.txt"),
        ("detectportal.firefox.com", "/success.txt"),
        ("download.windowsupdate.com", "/c/msdownload/update.cab"),
        ("deb.debian.org", "/debian/dists/stable/InRelease"),
    ],
)
def test_what_devices_ask_by_themselves(box, anybody, there, host, path):
    """Captive-portal probes and software updates over plain HTTP get the internet's own answer."""
    reply = anybody.do(client.exchange, there, 80, request(host, path))
    assert reply.startswith((b"HTTP/1.1 200", b"HTTP/1.1 204")), reply[:200]


def test_an_update_over_https_in_parts(box, anybody, there, roots):
    """An updater asks for a part of a file, over TLS; it gets the answer to just that, opened or passed on."""
    update = "/c/msdownload/update.cab"
    reply = anybody.do(
        client.fetch, there, "download.windowsupdate.com", roots, update, "Range: bytes=100-199"
    )
    assert reply.startswith(b"HTTP/1.1 206"), reply[:200]
    assert b"content-range: bytes 100-199/" in reply.lower()
    assert len(reply.partition(b"\r\n\r\n")[2]) == 100


def test_the_bank_is_reached_where_it_lives(school, box, leaks):
    """A site that is never opened is fetched from where we find it, not from where the client looked for it."""
    reply = school.pupil.do(client.fetch, "45.60.9.9", "bank.example", str(school.internet.roots))
    assert b"this is the real site: bank.example" in reply
    dialled = {one["target"] for one in leaks() if one["kind"] == "packet" and one["port"] == 443}
    assert dialled == {"45.60.77.7"}


def test_a_help_line_always_works(school, box):
    """Childline is reached by everybody."""
    for host in school.hosts().values():
        assert "this is the real site" in host.run("curl", "-sk", "-m", "30", "https://www.childline.org.uk/")
