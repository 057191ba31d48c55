"""Every path through the portal, walked in a real browser on a telephone and at a desk."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from live_portal import LivePortal
from playwright.sync_api import expect
from school import PASSWORD, School
from showcase import HEADTEACHER, LEAD, LOOPBACK, OFFICER, TEACHER, Showcase

from schoolgate_exceptions import totp
from schoolgate_exceptions.model import AccessRequest

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("portal-browser"),
    pytest.mark.timeout(300),
    pytest.mark.parametrize("size", ["telephone", "desk"]),
]


def asked(show: Showcase, host: str) -> AccessRequest:
    """Return a request of the browser's own device, which has nothing else to wait for."""
    service, school = show.school.service, show.school
    for one in service.queue.listed(show.officer):
        if one.requester.device == service.asking.asker(LOOPBACK).device:
            service.reviewing.refuse(show.officer, one.id, "Not now")
    school.clock.forward(days=1.0001)  # a device may ask so often a day
    return school.ask(host, LOOPBACK, reason="For a lesson")


def case(page: Any, show: Showcase, request: AccessRequest) -> Any:
    page.goto(f"{show.portal.url}/queue/{request.id}")
    return page


def test_report_and_block(show: Showcase, opened: Any, size: str) -> None:
    """Somebody tells of a page; the officer adds it to what is blocked, at once and alone."""
    host = f"silly-{size}.example"
    asked(show, f"x-{size}.twitter.com")  # a new day
    pupil = opened(size)
    pupil.goto(show.portal.url)
    pupil.get_by_role("link", name="Tell us about a page").click()
    pupil.get_by_label("Which page is it?").fill(host)
    pupil.get_by_label("It is not good for school").check()
    pupil.get_by_role("button", name="Send").click()
    assert "If it is not good for school, we close it." in pupil.locator("main").inner_text()
    code = pupil.locator(".code").inner_text()
    officer = opened(size, OFFICER)
    officer.get_by_role("link", name="Requests").click()
    officer.locator("section", has_text=host).get_by_role("link").first.click()
    officer.get_by_role("button", name="Block it now").click()
    assert "in force within two seconds" in officer.get_by_role("status").inner_text()
    assert not show.school.is_open(host)
    pupil.goto(f"{show.portal.url}/requests/{code}")
    assert pupil.locator("h1").inner_text() == "It is closed now"


def test_official_use(show: Showcase, opened: Any, size: str) -> None:
    """A teacher asks for official use: what is missing is said, then it is sent and found again."""
    page = opened(size, TEACHER)
    page.get_by_role("link", name="More", exact=True).click()
    page.get_by_role("link", name="Ask for official use").click()
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("alert")).to_be_visible()
    for label in ("In a few words", "Objectives", "Intended outcomes", "Risk assessment"):
        page.get_by_label(label).fill("Parents hear of school news")
    page.get_by_label("Site or page").fill(f"instagram.com/{size}")
    page.get_by_label("Last day").fill("2026-12-17")
    page.get_by_label("Parents have been told").check()
    page.get_by_label("Consent is held").check()
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".code")).to_be_visible()
    page.goto(f"{show.portal.url}/my-requests")
    expect(page.get_by_role("link", name="instagram.com").first).to_be_visible()


def test_a_question_and_its_answer(show: Showcase, opened: Any, size: str) -> None:
    """The officer asks back, who asked answers from the page of the request, and takes it back in the end."""
    request = asked(show, f"q-{size}.twitter.com")
    officer = case(opened(size, OFFICER), show, request)
    officer.locator("summary", has_text="Ask back").click()
    officer.get_by_label("Your question").fill("Which lesson?")
    officer.get_by_role("button", name="Ask", exact=True).click()
    assert "Your question stands" in officer.get_by_role("status").inner_text()
    pupil = opened(size)
    pupil.goto(f"{show.portal.url}/requests/{request.reference}")
    assert "Which lesson?" in pupil.locator("main").inner_text()
    pupil.get_by_label("Your answer").fill("Art")
    pupil.get_by_role("button", name="Send").click()
    officer.reload()
    assert "“Art”" in officer.locator(".story").inner_text()
    pupil.get_by_role("button", name="Take it back").click()
    assert pupil.locator("h1").inner_text() == "You took it back"


def test_i_need_it_too(show: Showcase, opened: Any, size: str) -> None:
    """Who wants what somebody asked for already says so with one button, and is counted."""
    host = f"too-{size}.twitter.com"
    asked(show, f"y-{size}.twitter.com")
    first = show.school.ask(host, "10.20.0.31", reason="History")
    pupil = opened(size)
    pupil.goto(f"{show.portal.url}/ask?about={show.school.link(host, LOOPBACK)}")
    assert pupil.locator("h1").inner_text() == "Somebody asked already"
    pupil.get_by_role("button", name="I need it too").click()
    assert pupil.url.partition("?")[0].endswith(f"/requests/{first.reference}")
    assert show.school.service.queue.case(show.officer, first.id).request.askers == 2


def test_refuse_and_send_on(show: Showcase, opened: Any, size: str) -> None:
    """A request is sent on to the safeguarding lead, who finds it, and is refused with an answer."""
    request = asked(show, f"r-{size}.twitter.com")
    officer = case(opened(size, OFFICER), show, request)
    officer.locator("summary", has_text="Send to the safeguarding lead").click()
    officer.get_by_label("Note to the safeguarding lead").fill("Please look")
    officer.get_by_role("button", name="Send", exact=True).click()
    assert "safeguarding lead" in officer.get_by_role("status").inner_text()
    lead = case(opened(size, LEAD), show, request)
    assert "Please look" in lead.locator(".story").inner_text()
    officer.locator("summary", has_text="Refuse").click()
    officer.get_by_label("Answer to who asked").fill("Ask me at lunch")
    officer.get_by_role("button", name="Refuse").click()
    assert "Who asked sees your answer" in officer.get_by_role("status").inner_text()
    pupil = opened(size)
    pupil.goto(f"{show.portal.url}/requests/{request.reference}")
    assert "Ask me at lunch" in pupil.locator("main").inner_text()


def test_shorten_and_revoke(show: Showcase, opened: Any, size: str) -> None:
    """The head makes an exception end earlier, then at once."""
    request = asked(show, f"s-{size}.twitter.com")
    service = show.school.service
    grant = service.queue.case(show.officer, request.id).grant
    service.reviewing.recommend(show.officer, request.id, grant, "Fine")
    service.approving.approve(show.head, request.id)
    day = (show.school.clock.at.date()).isoformat()
    page = case(opened(size, HEADTEACHER), show, request)
    page.get_by_label("Last day, if not at once").fill(day)
    page.get_by_role("button", name="End it earlier").click()
    assert "It ends earlier now" in page.locator("main").inner_text()
    assert show.school.is_open(request.host)
    page.get_by_label("Why", exact=True).fill("Not needed any more")
    page.get_by_role("button", name="End it now").click()
    assert "Ended" in page.get_by_role("status").inner_text()
    assert not show.school.is_open(request.host)


def test_policy(show: Showcase, opened: Any, size: str) -> None:
    """The officer edits the policy: a mistake is told with its line, what is right is saved, and the old one comes back."""
    page = opened(size, OFFICER)
    page.get_by_role("link", name="Policy", exact=True).click()
    before = show.school.policy.read_bytes()
    page.get_by_role("link", name="Edit").click()
    area = page.locator("#text")
    text = area.input_value()
    area.fill(text.replace("block: [youtube]", "block: [youtoob]", 1))
    page.get_by_role("button", name="Check").click()
    assert re.search(r"policy.yaml:\d+:\d+", page.get_by_role("alert").inner_text())
    page.locator("#text").fill(text.replace("No videos", f"No videos on a {size}", 1))
    page.get_by_label("Why you change it").fill("Clearer words")
    page.get_by_role("button", name="Save").click()
    assert "Saved" in page.get_by_role("status").inner_text()
    assert f"No videos on a {size}" in show.school.policy.read_text()
    page.get_by_role("link", name="Versions").click()
    page.locator("tbody a").nth(1).click()
    page.get_by_role("button", name="Bring this version back").click()
    assert "The version is back" in page.get_by_role("status").inner_text()
    assert show.school.policy.read_bytes() == before


def test_lessons_and_caps(show: Showcase, opened: Any, size: str) -> None:
    """The officer says what teachers may open; a teacher opens it for a room until the bell, and ends it."""
    officer = opened(size, OFFICER)
    officer.goto(f"{show.portal.url}/lessons/caps")
    officer.get_by_label("Sites and services").fill("youtube\nother.example\nblocked.example")
    officer.get_by_role("button", name="Save").click()
    assert "Saved" in officer.get_by_role("status").inner_text()
    teacher = opened(size, TEACHER)
    teacher.get_by_role("link", name="Lessons").click()
    teacher.get_by_label("blocked.example").check()
    teacher.get_by_label("room-5").check()
    teacher.get_by_label("What for").fill("Volcanoes")
    teacher.get_by_role("button", name="Open it").click()
    assert "closes by itself" in teacher.get_by_role("status").inner_text()
    assert show.school.is_open("blocked.example", "10.20.5.9")
    teacher.get_by_role("button", name=re.compile("End it now.*blocked.example")).click()
    assert "Ended" in teacher.get_by_role("status").inner_text()
    assert not show.school.is_open("blocked.example", "10.20.5.9")


def test_register_and_sanctions(show: Showcase, opened: Any, size: str) -> None:
    """An official account is entered; a device is restricted until a day, and let go."""
    page = opened(size, OFFICER)
    page.goto(f"{show.portal.url}/register")
    page.locator("summary", has_text="Enter an account").click()
    for label, text in (
        ("Platform", "Mastodon"),
        ("Account", f"@school-{size}"),
        ("Who may post", "Sam Okafor"),
    ):
        page.get_by_label(label, exact=True).fill(text)
    page.locator("#administrator").fill("Sam Okafor")
    page.locator("#opened").fill("2026-11-02")
    page.get_by_role("button", name="Enter it").click()
    expect(page.get_by_text(f"@school-{size}")).to_be_visible()
    page.goto(f"{show.portal.url}/sanctions")
    address = "10.20.4.31" if size == "desk" else "10.20.4.32"
    page.get_by_label("Address of the device").fill(address)
    page.get_by_label("Last day").fill("2026-12-17")
    page.get_by_label("Why").fill("Went round the filter")
    page.get_by_role("button", name="Impose it").click()
    assert "Imposed" in page.get_by_role("status").inner_text()
    page.get_by_role("button", name=re.compile(f"Lift it.*{address}")).click()
    assert "Lifted" in page.get_by_role("status").inner_text()


def test_people(show: Showcase, opened: Any, size: str) -> None:
    """Somebody is added, opens the invitation, chooses a password, and is in."""
    officer = opened(size, OFFICER)
    officer.goto(f"{show.portal.url}/people")
    officer.get_by_label("Name", exact=True).fill("Nia Price")
    officer.get_by_label("E-mail").fill(f"nia.{size}@school.example")
    officer.get_by_label("teacher", exact=True).check()
    officer.get_by_role("button", name="Add").click()
    link = re.search(r"/invitation/[\w.-]+", officer.locator("main").inner_text())
    assert link
    nia = opened(size)
    nia.goto(show.portal.url + link[0])
    nia.get_by_label("Choose a password").fill("short")
    nia.get_by_role("button", name="Save and sign in").click()
    expect(nia.get_by_role("alert")).to_be_visible()
    nia.get_by_label("Choose a password").fill("seven quiet otters")
    nia.get_by_role("button", name="Save and sign in").click()
    nia.get_by_role("link", name="Lessons").click()
    assert nia.locator("h1").inner_text() == "Open something for a lesson"


@pytest.fixture
def empty(tmp_path: Any, sqlite_only: str) -> Iterator[LivePortal]:
    """A portal that nobody has an account of yet."""
    school = School(tmp_path, sqlite_only)
    portal = LivePortal(school)
    yield portal
    portal.stop()
    school.service.close()


def test_the_first_account(empty: LivePortal, opened: Any, size: str, show: Showcase) -> None:
    """From the link of the first start to an account with an authenticator app, by the key that is typed by hand."""
    token = empty.school.service.accounts.first_invitation()
    page = opened(size)
    page.goto(f"{empty.url}/set-up/{token}")
    page.get_by_label("Your name").fill("Sam Okafor")
    page.get_by_label("Your e-mail address at school").fill("sam@school.example")
    page.get_by_label("Choose a password").fill(PASSWORD)
    page.get_by_role("button", name="Make my account").click()
    page.locator("summary", has_text="Type the key by hand").click()
    import base64

    key = base64.b32decode(re.sub(r"\s", "", page.locator("details code").inner_text()))
    page.locator("#code").fill("000000")
    page.get_by_role("button", name="Check and keep").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.locator("#code").fill(totp.code_at(key, totp.step_of(empty.school.clock.at)))
    page.get_by_role("button", name="Check and keep").click()
    page.goto(f"{empty.url}/queue")
    assert page.locator("h1").inner_text() == "Requests"
