"""The `check:` lines of the reference on enforcement that are more than one try: both ends looked at, both families.

What can be said in one line each stands in `test_techniques.py`; the bell in `test_time_edges.py`, dying parts in
`test_survival.py`, what must keep working in `test_ordinary_web.py`. Numbers such as A2.5 are those of the reference.
"""

import ssl
import time
from contextlib import suppress
from functools import partial

import netns_clients as client
import pytest
from netns_clients import request
from netns_school import Host

from schoolgate_policy.certificate_check import HOST

pytestmark = pytest.mark.netns

FAMILIES = {"IPv4": "45.60.9.9", "IPv6": "2a00:9:9::9"}
GREETING = b"this is the real site"
OK, BAD = "school.example", "facebook.com"


@pytest.fixture(params=FAMILIES.values(), ids=FAMILIES)
def there(request: pytest.FixtureRequest) -> str:
    """The address that a client dials whatever we tell it, over IPv4, then over IPv6."""
    return request.param


def dig(host: Host, there: str, *words: str) -> str:
    """Ask the sinkhole over the family of an address."""
    return host.run("dig", "+tries=2", "+time=20", f"@{host.gateway(there)}", *words)


def dialled(leaks, address: str) -> bool:
    """Whether anything has reached an address of the internet."""
    return any(one["kind"] == "packet" and one["target"] == address for one in leaks())


def asked(leaks, name: str) -> bool:
    """Whether a site has been asked for by a name, in TLS or in a request."""
    return any(name in f"{one.get('sni')} {one.get('host')}" for one in leaks() if one["kind"] != "dns")


def in_tls(host: Host, there: str, name: str, data: bytes) -> bytes:
    """Send something inside TLS; empty where the connection is refused."""
    with suppress(OSError):
        return host.do(client.tls, there, name, data)
    return b""


@pytest.mark.parametrize(
    "name",
    [
        "dns.google", "cloudflare-dns.com", "mozilla.cloudflare-dns.com", "chrome.cloudflare-dns.com", "dns.quad9.net",
        "doh.opendns.com", "dns.nextdns.io", "dns.adguard-dns.com", "doh.cleanbrowsing.org", "doh.dns.apple.com",
    ],
)  # fmt: skip
def test_a_known_resolver_by_name(box, person, leaks, there, name):
    """A1.2, A1.8: a provider of DNS over HTTPS does not exist by name, nor at an address one knows by heart."""
    for kind in ("A", "AAAA", "HTTPS"):
        assert "status: NXDOMAIN" in dig(person, there, name, kind)
    assert GREETING not in in_tls(person, there, name, request(name, "/dns-query?dns=AAAB"))
    assert leaks() == []


@pytest.mark.parametrize(
    "name", ["use-application-dns.net", "mask.icloud.com", "mask-h2.icloud.com", "wpad.lan"]
)
def test_names_that_switch_the_filter_off(box, person, there, leaks, name):
    """A1.7, A1.10, A3.11: for every type the canaries say no, at once."""
    for kind in ("A", "AAAA", "HTTPS"):
        assert "status: NXDOMAIN" in dig(person, there, name, kind)
    assert leaks() == []


def test_no_resolver_is_offered(school, box, person, there):
    """A1.6: a device that asks the network for an encrypted resolver gets an empty answer, made here."""
    school.internet.forget()
    printed = dig(person, there, "_dns.resolver.arpa", "SVCB")
    assert "status: NOERROR" in printed
    assert "ANSWER: 0, AUTHORITY: 1" in printed
    assert "resolver.arpa" not in str(school.internet.seen())


def test_a_resolver_inside_dnscrypt(box, person, leaks, there):
    """A1.9: on the web's port what is neither TLS nor HTTP is closed, and not a byte of it arrives."""
    person.do(partial(client.exchange, there, 443, b"q6fnvWj8" + bytes(range(200, 256)) * 4))
    assert leaks() == []


def test_spelling_of_a_name(box, person, there, leaks):
    """A1.12: upper and lower case are one name; the question comes back as it was asked."""
    printed = dig(person, there, "fAcEbOoK.CoM")
    assert ";fAcEbOoK.CoM." in printed
    assert "EDE: 15" in printed
    assert leaks() == []


def test_a_resolver_by_its_link_local_address(school, box, leaks):
    """Whoever asks from a link-local address is in no network of the policy: refused over UDP and TCP, never passed on."""
    printed = school.edge.run("ip", "-6", "-oneline", "address", "show", "dev", "vlan20", "scope", "link")
    local = printed.split("inet6 ")[1].partition("/")[0]
    for transport in ("+notcp", "+tcp"):
        said = school.pupil.run("dig", "+tries=2", "+time=20", transport, f"@{local}%eth0", OK)
        assert "status: REFUSED" in said, said
        assert "status: NOERROR" in dig(school.pupil, school.pupil.six, transport, OK)


def test_the_certificate_is_offered_and_its_check_works(school, box, there):
    """From every network the portal's page is reached by the box's address, and its question tells who trusts the school."""
    ours, theirs = str(box.state / "ca.pem"), str(school.internet.roots)
    for host in school.hosts().values():
        at = host.gateway(there)
        reply = host.do(client.exchange, at, 80, request(f"[{at}]" if ":" in at else at, "/certificate"))
        assert reply.startswith(b"HTTP/1.1 200"), reply[:200]
        assert HOST.encode() in reply
        assert host.do(client.fetch, there, HOST, ours).startswith(b"HTTP/1.1 200")
        with pytest.raises(ssl.SSLError):
            host.do(client.fetch, there, HOST, theirs)


def test_a_public_name_of_a_private_address(box, person, leaks, there):
    """A1.13: a name that points into the school is no way to the box's own pages."""
    assert "status: NOERROR" in dig(person, there, "rb.example")
    reply = person.do(client.exchange, there, 80, request("rb.example", "/metrics"))
    assert b"schoolgate_" not in reply
    assert not reply.startswith(b"HTTP/1.1 200")
    assert leaks() == []


def test_an_address_known_by_heart(box, person, leaks, there):
    """A1.14: an app that brings its addresses along is judged by the name it says."""
    reply = in_tls(person, there, BAD, request(BAD))
    assert reply.startswith(b"HTTP/1.1 403") or not reply
    reply = person.do(client.exchange, there, 80, request(BAD))
    assert reply.startswith(b"HTTP/1.1 403")
    assert leaks() == []


def test_keys_for_encrypted_hellos_are_not_handed_out(box, person, there):
    """A2.1, A3.1: service records lose `ech` and the offer of HTTP/3, and nothing else."""
    printed = dig(person, there, "ech.example", "HTTPS", "+short")
    assert "ech=" not in printed
    assert "h3" not in printed
    assert 'alpn="h2"' in printed


def test_the_outer_name_of_an_encrypted_hello(school, box, leaks, there):
    """A2.1: who says the public name of ECH gets a certificate of ours, whose trust ends ECH; no site is contacted."""
    ours = str(box.state / "ca.pem")
    assert "Perryfields" in school.pupil.do(client.handshake, there, "cloudflare-ech.com", ours)
    with suppress(OSError):
        school.guest.do(client.fetch, there, "cloudflare-ech.com")
    assert not dialled(leaks, there)


def test_an_allowed_name_at_another_address(box, person, leaks, there):
    """A2.3, A3.6, A3.7: where a name lives is what we find; an address that the client brings is never dialled."""
    for name in ("news.example", "www.q3xk7c2lmn5a.com"):
        reply = in_tls(person, there, name, request(name))
        assert reply == b"" or GREETING in reply
    assert not dialled(leaks, there)


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_fronting(school, box, leaks, there, version):
    """A2.4: a request for another name than the connection's is turned away, over HTTP/2 as well."""
    at = f"[{there}]" if ":" in there else there
    printed = school.pupil.run(
        "curl", "-sk", version, "-m", "60", "--resolve", f"{OK}:443:{at}", "-H", f"Host: {BAD}", "-w", " %{http_code}",
        f"https://{OK}/",
    )  # fmt: skip
    assert printed.rsplit(" ", 1)[-1] in {"403", "421"}
    assert not asked(leaks, BAD)


@pytest.mark.parametrize("pieces", [(1,), (2,), (3,), (1, 1, 1)], ids=str)
def test_a_hello_in_pieces(school, box, leaks, there, pieces):
    """A2.5: however the ClientHello is cut, the name in it is judged."""
    assert school.pupil.do(partial(client.split_tls, there, BAD, *pieces)).startswith(b"HTTP/1.1 403")
    with pytest.raises(OSError, match=r"(?i)ssl|reset|closed|refused|alert"):
        school.guest.do(partial(client.split_tls, there, BAD, *pieces))
    assert leaks() == []


@pytest.mark.parametrize(
    ("pieces", "before"), [((1,), b""), ((2, 1), b""), ((1,), b"\r\n")], ids=["1", "2+1", "line"]
)
def test_a_request_in_pieces(box, person, leaks, there, pieces, before):
    """A2.5: a request line cut anywhere, or after an empty line, is judged as the request it is."""
    reply = person.do(partial(client.exchange, there, 80, before + request(BAD), pieces=pieces))
    assert reply.startswith((b"HTTP/1.1 403", b"HTTP/1.1 400")), reply[:100]
    assert leaks() == []


def test_a_device_without_the_certificate(school, box, counts, leaks, there):
    """A2.6: a device that does not trust us gets nothing where connections are opened, and that is counted."""
    before = counts("client_distrust", "pupils")
    with pytest.raises(ssl.SSLError):
        school.pupil.do(client.fetch, there, OK, str(school.internet.roots))
    assert counts.rises("client_distrust", "pupils", before)
    assert not asked(leaks, OK)


def test_nothing_offers_http_3(school, box, there):
    """A3.1: a response loses its offer of QUIC where it is opened."""
    reply = school.pupil.do(client.fetch, there, "news.example")
    assert GREETING in reply
    assert b"alt-svc" not in reply.lower()


@pytest.mark.parametrize(
    ("protocol4", "protocol6"), [(1, 58), (132, 132), (89, 89)], ids=["ping", "SCTP", "OSPF"]
)
def test_other_protocols(box, person, leaks, there, protocol4, protocol6):
    """A3.4: whatever is neither TCP nor UDP ends at the box, a tunnel in echo requests as well."""
    six = ":" in there
    echo = b"\x80\0\0\0\0\1\0\1tunnel" if six else b"\x08\0\xf7\xfd\0\1\0\1" + bytes(8)
    person.do(client.packet, there, protocol6 if six else protocol4, echo)
    assert leaks() == []


@pytest.mark.parametrize(
    "name",
    [
        "login.tailscale.com",
        "controlplane.tailscale.com",
        "engage.cloudflareclient.com",
        "www.torproject.org",
        "snowflake-broker.torproject.net",
        "bridges.torproject.org",
        "psiphon.ca",
    ],
)
def test_services_made_for_it(box, person, leaks, there, name):
    """A3.6 to A3.8: the names by which VPNs and Tor are set up lead nowhere."""
    assert "EDE: 15" in dig(person, there, name)
    assert GREETING not in in_tls(person, there, name, request(name))
    assert leaks() == []


def test_a_tunnel_of_any_connect(school, box, leaks, there):
    """A3.6: `CONNECT /CSCOSSLC/tunnel` inside TLS opens nothing."""
    data = b"CONNECT /CSCOSSLC/tunnel HTTP/1.1\r\nHost: school.example\r\n\r\n"
    assert not in_tls(school.pupil, there, OK, data).startswith(b"HTTP/1.1 200")
    assert not any(one["kind"] == "request" and one["method"] == "CONNECT" for one in leaks())


def test_trying_many_doors(school, box, leaks):
    """A3.8: a client that tries 120 addresses at once reaches none, and a member of staff notices nothing."""
    junk = [
        partial(client.exchange, f"45.60.100.{number}", 443, b"\x13junk" * 20) for number in range(1, 121)
    ]
    storm = school.pupil.pool.submit(client.crowd, junk, 120)
    assert GREETING in school.staff.do(client.fetch, "45.60.9.9", OK)
    assert len(storm.result(180)) == 120
    assert not any(one["kind"] == "packet" and one["target"].startswith("45.60.100.") for one in leaks())


def test_a_proxy_of_ones_own(box, person, leaks):
    """A3.11: neither the box nor a machine of the internet is a proxy that a browser could be told to use."""
    for address, port in ((person.gateway4, 8080), ("45.60.9.9", 3128), ("2a00:9:9::9", 8080)):
        with pytest.raises(ConnectionRefusedError):
            person.do(client.connect, address, port)
    assert leaks() == []


@pytest.mark.parametrize(
    "url",
    [
        "www-facebook-com.translate.goog/?_x_tr_sl=auto",
        "web.archive.org/web/2024/https://facebook.com/",
        "proxy.example/browse?u=https%253A%252F%252Ffacebook.com",
    ],
)
def test_shown_by_somebody_else(school, box, leaks, there, url):
    """A4.1: a translator, an archive and a web proxy are judged as if the site they show had been asked for."""
    name, _, path = url.partition("/")
    reply = in_tls(school.pupil, there, name, request(name, f"/{path}"))
    assert reply.startswith(b"HTTP/1.1 403"), reply[:100]
    assert not any(one["kind"] == "request" for one in leaks())


def test_a_request_inside_a_request(school, box, leaks, person, there):
    """A4.3: two lengths in one request are refused; the second request that hides behind it is never sent."""
    hidden = request(BAD, "/hidden")
    data = f"POST / HTTP/1.1\r\nHost: {OK}\r\nContent-Length: {len(hidden) + 5}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    replies = [person.do(client.exchange, there, 80, data.encode() + hidden)]
    if person is school.pupil:  # whose connections are opened
        replies.append(in_tls(person, there, OK, data.encode() + hidden))
    assert not any(GREETING in reply for reply in replies)
    assert not any("/hidden" in str(one) for one in leaks())


@pytest.mark.parametrize(
    "host",
    [
        "FACEBOOK.COM", "facebook.com.", "facebook.com.:443", "WwW.FaceBook.com", "facebook\u3002com", "\uff46acebook.com",
        "facebook%2ecom", "0x7f.1", "2130706433", "127.1", "facebook.com:99999", "school.example@facebook.com", "",
    ],
)  # fmt: skip
def test_spellings_of_a_host(box, person, leaks, there, host):
    """A4.4, A4.5: however a blocked name or an address is spelled, it is refused; what only looks alike is not."""
    data = f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    reply = person.do(client.exchange, there, 80, data)
    assert reply.startswith((b"HTTP/1.1 403", b"HTTP/1.1 400")), reply[:100]
    assert leaks() == []


def test_a_name_that_only_looks_blocked(box, person, there):
    """A4.4: `notfacebook.example` is somebody else."""
    assert GREETING in person.do(client.exchange, there, 80, request("notfacebook.example"))


@pytest.mark.parametrize(
    ("path", "opens"),
    [
        ("/ourschool", True), ("/ourschool/x", True), ("/ourschoolx", False), ("/ourschool/../groups", False),
        ("/ourschool/%2e%2e/groups", False), ("/ourschool/%252e%252e/groups", False), ("/ourschool%2f..%2fgroups", False),
        ("/ourschool\\..\\groups", False), ("//ourschool/../groups", False), ("/groups?x=/ourschool", False),
        ("/ourschool;/../groups", False), ("/groups", False),
    ],
)  # fmt: skip
def test_one_page_of_a_site(school, box, leaks, path, opens):
    """A4.6: where one page is open, no spelling of a path leads to another."""
    name = "paths.example"
    reply = in_tls(school.pupil, "45.60.9.9", name, request(name, path))
    assert (GREETING in reply) is opens, reply[:100]
    assert opens or not any(one["kind"] == "request" for one in leaks())


def test_the_box_itself(school, box, person, leaks):
    """A4.8: pages that mitmproxy would add do not exist, and knocking at the proxy's port costs it nothing."""
    assert GREETING in person.do(client.exchange, "45.60.9.9", 80, request("mitm.it"))
    pid = box.pids()["proxy"]
    before = len(list(_open_files(pid)))
    for _ in range(50):
        with pytest.raises(ConnectionRefusedError):
            person.do(client.connect, person.gateway4, 8420)
    until = time.monotonic() + 60
    while len(list(_open_files(pid))) > before + 10:
        assert time.monotonic() < until
        time.sleep(0.2)


def _open_files(pid: int):
    from pathlib import Path

    return Path(f"/proc/{pid}/fd").iterdir()
