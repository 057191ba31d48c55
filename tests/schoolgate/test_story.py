"""The whole story in a browser, on the running product: blocked, asked, reviewed, approved on a telephone, open, shut."""

import os
import re
import shutil
import socket
import threading
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy

import pytest
from aiosmtpd.controller import Controller
from dnslib import DNSRecord
from ports import free_port
from running import GUEST, PUPIL, STAFF, InternetThread, Running, eventually

from schoolgate.demo.internet import GREETING, Internet
from schoolgate.request_queue import open_service
from schoolgate.settings_file import load_settings
from schoolgate_exceptions import totp
from schoolgate_exceptions.accounts import Holding
from schoolgate_exceptions.people import write_setting
from schoolgate_exceptions.roles import SYSTEM, Role
from schoolgate_policy.store import PolicyStore

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
SITE, PORTAL = "www.instagram.com", "filter.school.example"
KEY, PASSWORD = bytes(range(20)), "three random words"
TELEPHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 860}
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
]
AT_ADDRESS = f"127.0.98.{1 + os.getpid() % 250}"


class Device:
    """A device of the school: what a browser sends to its port comes to the proxy from the device's address."""

    def __init__(self, address, proxy):
        self._address, self._proxy = address, proxy
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = self._door.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()

    def _serve(self):
        while True:
            try:
                here, _ = self._door.accept()
            except OSError:
                return
            try:
                there = socket.create_connection(self._proxy, 10, (self._address, 0))
            except OSError:
                here.close()
                continue
            there.settimeout(None)
            left = threading.Semaphore(0)
            for one, other in ((here, there), (there, here)):
                threading.Thread(target=self._copy, args=(one, other, left), daemon=True).start()
            threading.Thread(target=self._end, args=(here, there, left), daemon=True).start()

    @staticmethod
    def _copy(one, other, left):
        try:
            while data := one.recv(65_536):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            for each in (one, other):
                try:
                    each.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue
        finally:
            left.release()

    @staticmethod
    def _end(here, there, left):
        left.acquire()
        left.acquire()
        here.close()
        there.close()


class Postman:
    """The school's mail host."""

    def __init__(self):
        self.letters = []

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802 - aiosmtpd's name
        """Take a letter."""
        self.letters.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 OK"

    def newest(self, words):
        """Return the text of the newest letter with some words in it, or nothing."""
        texts = [one.get_body(("plain",)).get_content() for one in self.letters]
        return next((text for text in reversed(texts) if words in text), "")


class Quiet:
    def policy_loaded(self, *_):
        """Hear nothing."""

    def policy_rejected(self, *_, kept):
        """Hear nothing."""


@pytest.fixture
def box(tmp_path):
    """A running Schoolgate with a mail host and an internet whose sites listen on the usual ports."""
    with ExitStack() as stack:
        try:
            internet = stack.enter_context(InternetThread(Internet(AT_ADDRESS, web_ports=True)))
        except PermissionError:
            pytest.skip("ports 80 and 443 may not be listened on here")
        postman = Postman()
        mail = Controller(postman, hostname="127.0.0.1", port=free_port())
        mail.start()
        stack.callback(mail.stop)
        (tmp_path / "schoolgate.toml").write_text(
            f'[portal]\nurl = "http://{PORTAL}"\n'
            f'[mail]\nhost = "127.0.0.1"\nport = {mail.port}\ntls = "none"\nsender = "filter@school.example"\n'
        )
        running = Running(
            tmp_path,
            internet,
            SCHOOLGATE_PORTAL_LISTEN=f"127.0.0.1:{free_port()}",
            SCHOOLGATE_PROXY_UPSTREAM_CA=str(internet.roots),
        )
        stack.callback(running.stop)
        running.wait_ready()
        yield running, postman


@pytest.fixture
def people(box):
    """The request queue beside the running portal, an officer's cookie, and a headteacher with a mailbox."""
    running, _ = box
    settings = load_settings(running.folder / "schoolgate.toml", {"SCHOOLGATE_STATE": str(running.state)})
    store = PolicyStore(running.policy, running.state, Quiet())
    service = open_service(settings, running.policy, store, lambda: datetime.now(UTC))
    for email, name, role in (
        ("sam@school.example", "Sam Okafor", Role.OFFICER),
        ("ruth@school.example", "Ruth Evans", Role.HEAD),
    ):
        service.accounts.add(SYSTEM, email, name, [Holding(role)], password=PASSWORD)
    signed = service.signing_in.by_password("sam@school.example", PASSWORD, "127.0.10.20")
    service.sessions.enrol(signed.session, KEY, totp.code_at(KEY, totp.step_of(datetime.now(UTC))))
    yield service, signed.cookie
    service.close()


@pytest.fixture
def browse(box):
    """Opens a browser on a device at an address."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("Chromium is not installed")
    from playwright.sync_api import sync_playwright

    running, _ = box
    with sync_playwright() as playwright, ExitStack() as stack:
        chromium = playwright.chromium.launch(
            executable_path=path, args=FLAGS, proxy={"server": "http://per-context"}
        )
        stack.callback(chromium.close)

        def make(address, size, cookie=""):
            device = Device(address, running.address("proxy"))
            stack.callback(device.close)
            context = chromium.new_context(
                proxy={"server": f"http://127.0.0.1:{device.port}"}, ignore_https_errors=True, viewport=size
            )
            if cookie:
                context.add_cookies([{"name": "sg-session", "value": cookie, "url": f"http://{PORTAL}"}])
            page = context.new_page()
            page.set_default_timeout(60_000)
            return page

        yield make


def is_open(page):
    """Whether the site itself answers in a browser; a connection that a change of the policy ends answers nothing."""
    from playwright.sync_api import Error

    try:
        page.goto(f"https://{SITE}/p/gallery")
    except Error as error:
        if "ERR_EMPTY_RESPONSE" not in error.message:
            raise
        return False
    return GREETING in page.content()


def dns(running, address):
    """Whether DNS leads a device to the site itself."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind((address, 0))
        client.settimeout(10)
        client.sendto(DNSRecord.question(SITE).pack(), running.address("dns"))
        return AT_ADDRESS in [str(one.rdata) for one in DNSRecord.parse(client.recv(4096)).rr]


def test_the_whole_story(box, people, browse):
    """Blocked as a pupil, asked, reviewed, approved by letter on a telephone, open for pupils alone, shut at the end; on record."""
    running, postman = box
    service, cookie = people
    before = running.policy.read_bytes()
    slow = max(
        1.0, os.getloadavg()[0] / (os.cpu_count() or 1)
    )  # two seconds on a machine that has nothing else to do

    pupil, staff, guest = browse(PUPIL, DESK), browse(STAFF, DESK), browse(GUEST, DESK)
    assert not is_open(pupil)
    pupil.get_by_role("link", name=re.compile("[Aa]sk")).first.click()
    pupil.wait_for_url(f"http://{PORTAL}/ask?**")
    pupil.get_by_label("A lesson").check()
    pupil.get_by_role("button", name="Next").click()
    pupil.get_by_label("This week").check()
    pupil.get_by_role("button", name="Next").click()
    pupil.get_by_label("Which lesson is it for?").fill("Art: a gallery")
    pupil.get_by_role("button", name="Send").click()
    pupil.wait_for_url("**/sent/**")
    code = pupil.locator(".code").inner_text()

    officer = browse("127.0.10.20", DESK, cookie)
    officer.goto(f"http://{PORTAL}/queue")
    officer.locator("section", has_text=SITE).get_by_role("link").first.click()
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=60 + min(int(15 * slow), 120))
    there = until.astimezone(service.office.zone)
    officer.get_by_label("Last day").fill(f"{there:%Y-%m-%d}")
    officer.get_by_label("Time on that day").evaluate(
        "(e, at) => { e.step = 1; e.value = at }", f"{there:%H:%M:%S}"
    )
    officer.get_by_label("Your advice to the headteacher").fill("The gallery for Year 5. Fine.")
    officer.get_by_role("button", name="Recommend").click()
    assert "gets a letter" in officer.get_by_role("status").inner_text()

    eventually(lambda: postman.newest("/approve/"), 60)
    letter = postman.newest("/approve/")
    assert SITE in letter
    head = browse(STAFF, TELEPHONE)
    head.goto(re.search(r"http://\S+/approve/\S+", letter)[0])
    assert running.policy.read_bytes() == before
    head.locator("#code-part button").click()
    eventually(lambda: postman.newest("Your code is "), 60)
    head.locator("#code").fill(postman.newest("Your code is ").partition("Your code is ")[2][:6])
    assert not dns(running, PUPIL)
    head.get_by_role("button", name="Approve", exact=True).click()
    approved = time.monotonic()
    assert head.get_by_role("heading", level=1).inner_text() == "Approved"
    eventually(lambda: dns(running, PUPIL), 2 * slow)
    eventually(lambda: is_open(pupil), 2 * slow)
    assert time.monotonic() - approved < 4 * slow

    assert not dns(running, STAFF)
    assert not dns(running, GUEST)
    assert not is_open(staff)
    assert "real site" not in guest_sees(guest)
    old, new = before.decode().splitlines(), running.policy.read_text().splitlines()
    first = next(at for at, line in enumerate(new) if at == len(old) or line != old[at])
    added = new[first : first + len(new) - len(old)]
    assert old[:first] + added + old[first:] == new
    assert re.fullmatch(r"  - id: REQ-\d{4}-\d{4}", added[0])
    assert any("pupils" in line for line in added)
    pupil.goto(f"http://{PORTAL}/requests/{code}")
    assert pupil.locator("h1").inner_text() == "The answer is yes"

    eventually(lambda: not dns(running, PUPIL), 120 + 40 * slow)
    assert timedelta(0) <= datetime.now(UTC) - until < timedelta(seconds=2 * slow)
    eventually(lambda: not is_open(pupil), 2 * slow)
    number = added[0].partition(": ")[2]
    officer.goto(f"http://{PORTAL}/queue/{number}")
    eventually(lambda: officer.reload() and "expire" in officer.locator(".story").inner_text().lower(), 60)
    told = officer.locator(".story").inner_text()
    assert "Sam Okafor" in told
    assert "Ruth Evans" in told

    with service.office.write() as connection:
        write_setting(connection, "last tidy", "2000-01-01")  # the day is over
    eventually(lambda: running.policy.read_bytes() == before, 60)
    officer.goto(f"http://{PORTAL}/register")
    assert number in officer.content()
    officer.goto(f"http://{PORTAL}/audit?verify=1")
    for action in ("request.submitted", "request.recommend", "request.approve", "request.expire"):
        assert action in officer.content()
    service.audit.verify()


def guest_sees(page):
    """Return what somebody on the guests' network gets, where no page can be shown."""
    from playwright.sync_api import Error

    try:
        page.goto(f"https://{SITE}/p/gallery")
    except Error as error:
        return str(error)
    return page.content()
