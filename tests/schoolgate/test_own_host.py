"""The portal's own host, where everything else is shut: in DNS, through the proxy, in `explain`, on the running product."""

import html
import json
import re
import socket

import httpcore
import httpx
import pytest
from dnslib import DNSRecord
from ports import free_port
from running import GUEST, PUPIL, STAFF, Running, schoolgate

HOST = "filter.school.example"
POLICY = """\
version: 1
school: {name: Test School, timezone: Europe/London, bank_holidays: none}
networks:
  staff: {vlan: 10, people: staff, addresses: [127.0.10.0/24], inspection: needed, otherwise: block}
  pupils: {vlan: 20, people: pupil, addresses: [127.0.20.0/24], inspection: all, otherwise: block}
  guests: {vlan: 30, people: guest, addresses: [127.0.30.0/24], inspection: names, otherwise: block}
unknown_clients: pupils
rules:
  - {block: filter.school.example, reason: Not even this}
  - {block: everything, reason: Nothing today}
"""


@pytest.fixture(scope="module")
def shut(internet, tmp_path_factory):
    """A Schoolgate whose policy blocks everything, and whose portal has a name and a port."""
    folder = tmp_path_factory.mktemp("shut")
    port = free_port()
    (folder / "policy.yaml").write_text(POLICY)
    (folder / "schoolgate.toml").write_text(f'[portal]\nlisten = "127.0.0.1:{port}"\nurl = "http://{HOST}"\n')
    running = Running(folder, internet, SCHOOLGATE_PORTAL_LISTEN=f"127.0.0.1:{port}", SCHOOLGATE_INTERNAL="")
    try:
        yield running.wait_ready()
    finally:
        running.stop()


class From(httpcore.SyncBackend):
    """Connects from an address; httpx itself does not do so towards a proxy."""

    def __init__(self, source):
        self._source = source

    def connect_tcp(self, host, port, timeout=None, local_address=None, socket_options=None):
        return super().connect_tcp(host, port, timeout, self._source, socket_options)


def through(running, source):
    """Return a client of the explicit proxy at an address."""
    proxy = "http://{}:{}".format(*running.address("proxy"))
    transport = httpx.HTTPTransport(proxy=proxy)
    transport.close()
    transport._pool = httpcore.HTTPProxy(proxy, network_backend=From(source))
    return httpx.Client(transport=transport, timeout=30, trust_env=False)


def asked(running, source, name, kind="A"):
    """Return the response code and the addresses that DNS answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind((source, 0))
        client.settimeout(10)
        client.sendto(DNSRecord.question(name, kind).pack(), running.address("dns"))
        reply = DNSRecord.parse(client.recv(4096))
    return reply.header.rcode, [str(one.rdata) for one in reply.rr]


@pytest.mark.parametrize("source", [STAFF, PUPIL, GUEST])
def test_dns_leads_to_this_box(shut, internet, source):
    """The portal's name is this box's address on every network; nobody is asked for it, and no other type exists."""
    assert asked(shut, source, HOST) == (0, ["127.0.0.1"])
    assert asked(shut, source, HOST.upper()) == (0, ["127.0.0.1"])
    for kind in ("AAAA", "HTTPS", "MX"):
        assert asked(shut, source, HOST, kind) == (0, [])
    assert not [name for name in internet.asked if name.lower().startswith(HOST)]


@pytest.mark.parametrize("source", [STAFF, PUPIL, GUEST])
def test_the_ask_link_opens_through_the_proxy(shut, source):
    """The block page's link opens from the device that was blocked, and the portal knows which network that is."""
    with through(shut, source) as browser:
        blocked = browser.get("http://www.instagram.com/", headers={"Accept": "text/html"})
        assert blocked.status_code == 403
        link = html.unescape(re.search(r'href="(http://filter\.school\.example/ask[^"]+)"', blocked.text)[1])
        page = browser.get(link)
        assert page.status_code == 200
        assert "www.instagram.com" in page.text
        assert browser.get(f"http://{HOST}:80/").status_code == 200


def test_each_device_is_its_own_behind_the_proxy(shut):
    """Who asks is the device, not the proxy: another one cannot take the request back, whatever it writes into a header."""
    with through(shut, PUPIL) as mine, through(shut, "127.0.20.6") as other:
        link = re.search(
            r'href="(http://filter[^"]+)"',
            mine.get("http://www.bbc.co.uk/", headers={"Accept": "text/html"}).text,
        )
        form = html.unescape(link[1]) + "&for=lesson&until=day"
        token = re.search(r'name="_token" value="([0-9a-f]+)"', mine.get(form).text)[1]
        about = form.partition("about=")[2].partition("&")[0]
        fields = {"_token": token, "about": about, "for": "lesson", "until": "day", "reason": "News"}
        sent = mine.post(f"http://{HOST}/ask", data=fields, headers={"Origin": f"http://{HOST}"})
        assert sent.status_code == 303, sent.text
        code = sent.headers["Location"].rpartition("/")[2].partition("?")[0]
        standing = f"http://{HOST}/requests/{code}"
        take_back = 'name="withdraw"'
        assert take_back in mine.get(standing).text
        for headers in ({}, {"Forwarded": f"for={PUPIL}"}, {"X-Forwarded-For": PUPIL}):
            assert take_back not in other.get(standing, headers=headers).text


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1/", "http://localhost/", "http://other.school.example/", "http://10.10.0.1/"],
)
def test_nothing_else_of_the_box_opens(shut, url):
    """Only the portal's own name leads to this box: no other name, no address."""
    with through(shut, PUPIL) as browser:
        assert browser.get(url).status_code == 403


def test_no_other_port_of_the_box(shut):
    """The portal's name opens no other listener of this box."""
    with through(shut, PUPIL) as browser:
        for part in ("metrics_portal", "metrics_dns", "portal"):
            assert browser.get(f"http://{HOST}:{shut.address(part)[1]}/metrics").status_code in {400, 403}


def test_explain_says_so(shut):
    """`explain` gives the same verdict, and names the setting it comes from."""
    done = schoolgate("policy", "explain", f"http://{HOST}/ask", "--from", PUPIL, "--json", cwd=shut.folder)
    said = json.loads(done.stdout)
    assert (said["verdict"], said["reason"], said["source"]) == ("allow", "always_allow", "portal.url")
