"""The pages in a real browser: the main way at two sizes, and what keyboards, zoom, contrast and checkers make of them."""

import io
import re
import unicodedata
from typing import Any

import axe
import pypdf
import pytest
import screenshots
from playwright.sync_api import expect
from showcase import HEADTEACHER, LOOPBACK, OFFICER, Showcase

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("portal-browser"), pytest.mark.timeout(300)]
SIZES = ("telephone", "desk")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scripts", [True, False])
def test_from_the_block_page_to_an_open_page(show: Showcase, opened: Any, size: str, scripts: bool) -> None:
    """Ask, review, approve, and the page of the request says yes: by hand, at both sizes, also without scripts."""
    host = f"{size}{int(scripts)}.instagram.com"
    pupil = opened(size, java_script_enabled=scripts)
    pupil.goto(f"{show.portal.url}/ask?about={show.school.link(host, LOOPBACK)}")
    pupil.get_by_label("A lesson").check()
    pupil.get_by_role("button", name="Next").click()
    pupil.get_by_label("This week").check()
    pupil.get_by_role("button", name="Next").click()
    pupil.get_by_label("Which lesson is it for?").fill("Art")
    pupil.get_by_role("button", name="Send").click()
    code = pupil.locator(".code").inner_text()
    officer = opened(size, OFFICER, java_script_enabled=scripts)
    officer.get_by_role("link", name="Requests").click()
    officer.locator("section", has_text=host).get_by_role("link").first.click()
    officer.get_by_label("Your advice to the headteacher").fill("A gallery. Fine for a week.")
    officer.get_by_role("button", name="Recommend").click()
    assert "gets a letter" in officer.get_by_role("status").inner_text()
    head = opened("telephone", HEADTEACHER, java_script_enabled=scripts)
    head.goto(officer.url.partition("?")[0])
    expect(head.get_by_text("A gallery. Fine for a week.").first).to_be_visible()
    head.get_by_role("button", name="Approve", exact=True).click()
    assert "opens within two seconds" in head.get_by_role("status").inner_text()
    assert show.school.is_open(host)
    pupil.goto(f"{show.portal.url}/requests/{code}")
    assert pupil.locator("h1").inner_text() == "The answer is yes"


def all_pages(show: Showcase) -> list[tuple[str, str, str]]:
    return [
        *(("", name, path) for name, path in screenshots.public_pages(show)),
        *((OFFICER, name, path) for name, path in screenshots.office_pages(show)),
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_no_accessibility_violation(show: Showcase, opened: Any, size: str, scheme: str) -> None:
    """The checker finds nothing against WCAG 2.2 AA on any page, in light and dark."""
    pages = {who: opened(size, who, color_scheme=scheme) for who in ("", OFFICER)}
    found = []
    for who, name, path in all_pages(show):
        pages[who].goto(show.portal.url + path)
        found += [f"{name}: {line}" for line in axe.violations(pages[who])]
    assert not found, "\n".join(found)


def test_no_violation_for_other_roles_and_after_buttons(show: Showcase, opened: Any) -> None:
    """Nor on what other roles see, on the page of a device, on forms that came back, and on pages of what failed."""
    pages: dict[str, Any] = {}
    found, statuses = [], {}
    walks = [
        *((who, name, lambda page, path=path: page.goto(show.portal.url + path))
          for who, name, path in screenshots.role_pages(show)),
        *screenshots.walked_pages(show),
    ]  # fmt: skip
    for who, name, walk in walks:
        if who not in pages:
            pages[who] = opened("telephone", who)
            pages[who].on("response", lambda got: statuses.update({got.request.frame.page: got.status}))
        walk(pages[who])
        if name.rpartition("-")[2].isdecimal():
            assert statuses[pages[who]] == int(name.rpartition("-")[2]), name
        found += [f"{name}: {line}" for line in axe.violations(pages[who])]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("language", ["en", "cy"])
def test_nothing_is_wider_than_the_screen(show: Showcase, opened: Any, language: str) -> None:
    """At 320 pixels, which is 1280 at 400 per cent (WCAG 1.4.10), no page scrolls sideways, and nothing complains."""
    complaints: list[str] = []
    for who in ("", OFFICER):
        page = opened("desk", who, viewport={"width": 320, "height": 256})
        page.on("console", lambda message: complaints.append(f"{message.page.url}: {message.text}"))
        for owner, name, path in all_pages(show):
            if owner == who:
                plain = re.sub(r"[?&]lang=..", "", path)
                page.goto(f"{show.portal.url}{plain}{'&' if '?' in plain else '?'}lang={language}")
                wide = page.evaluate("document.documentElement.scrollWidth")
                assert wide <= 320, f"{name} is {wide} wide"
    assert not [one for one in complaints if "status of 4" not in one]


@pytest.mark.parametrize("who", ["", OFFICER])
def test_targets_are_large(show: Showcase, opened: Any, who: str) -> None:
    """Whatever pupils press, and every button, is 44 pixels high or more, all else 24 (WCAG 2.5.8), but links in text."""
    least = 24 if who else 44
    page = opened("telephone", who)
    small = []
    for owner, name, path in all_pages(show):
        if owner == who:
            page.goto(show.portal.url + path)
            found = page.evaluate(
                """least => [...document.querySelectorAll('a, button, input:not([type=hidden]), select, textarea, summary')]
                .map(e => [e.closest('label.option') || e, e])
                .filter(([b, e]) => !(e.tagName == 'A' && e.closest('p, dd, li, td, th, .foot span')) && !e.classList.contains('skip'))
                .map(([b, e]) => [b.getBoundingClientRect(), e])
                .filter(([r, e]) => r.height && r.height < (e.matches('.button, .nav a') ? 44 : least))
                .map(([r, e]) => `${Math.round(r.height)} ${e.outerHTML.slice(0, 90)}`)""",
                least,
            )
            small += [f"{name}: {one}" for one in found]
    assert not small, "\n".join(small)


def test_by_keyboard_alone(show: Showcase, opened: Any) -> None:
    """Tab, space and return are enough to ask; the first stop skips to the page; what has the focus can be seen."""
    page = opened()
    page.goto(f"{show.portal.url}/ask?about={show.school.link('keys.instagram.com', LOOPBACK)}")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate("document.activeElement.getBoundingClientRect().top") >= 0
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert page.evaluate("document.activeElement.value") == "lesson"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineWidth") == "3px"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**for=homework**")
    tab_to(page, "input[name=until]")
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    page.wait_for_url("**until=day**")
    tab_to(page, "#reason")
    page.keyboard.type("Maths")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/sent/**")


def tab_to(page: Any, selector: str) -> None:
    """Press Tab until something has the focus."""
    for _ in range(120):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement?.matches(selector)", selector):
            return
    raise AssertionError(f"Tab never reaches {selector}")


def test_review_and_approval_by_keyboard_alone(show: Showcase, opened: Any) -> None:
    """The officer reviews and the head approves with Tab, space, return and typing; the page opens."""
    request = show.school.ask("typed.instagram.com", "10.20.0.44", reason="Art")
    officer = opened("desk", OFFICER)
    officer.goto(f"{show.portal.url}/home")
    tab_to(officer, ".nav a[href='/queue']")
    officer.keyboard.press("Enter")
    officer.wait_for_url("**/queue")
    tab_to(officer, f"a[href='/queue/{request.id}']")
    officer.keyboard.press("Enter")
    officer.wait_for_url(f"**/queue/{request.id}")
    tab_to(officer, "#advice")
    officer.keyboard.type("A gallery. Fine for a week.")
    tab_to(officer, "button[value=recommend]")
    officer.keyboard.press("Enter")
    officer.wait_for_url("**done=recommended")
    head = opened("desk", HEADTEACHER)
    head.goto(f"{show.portal.url}/queue/{request.id}")
    tab_to(head, "button[value=approve]")
    head.keyboard.press("Space")
    head.wait_for_url("**done=approved")
    assert show.school.is_open("typed.instagram.com")


def test_every_control_can_be_reached_by_keyboard(show: Showcase, opened: Any) -> None:
    """On the officer's case page Tab reaches every control that can be seen, and nothing keeps the focus."""
    page = opened("desk", OFFICER)
    path = next(path for name, path in screenshots.office_pages(show) if name == "case")
    page.goto(show.portal.url + path)
    wanted = page.evaluate(
        """[...document.querySelectorAll('a, button, input:not([type=hidden]), textarea, summary')]
        .filter(e => e.checkVisibility()).filter(e => e.type != 'radio' || e.checked).length"""
    )
    for _ in range(wanted + 40):
        page.keyboard.press("Tab")
        page.evaluate("document.activeElement.dataset.seen = '1'")
    missed = page.evaluate(
        """[...document.querySelectorAll('a, button, input:not([type=hidden]), textarea, summary')]
        .filter(e => e.checkVisibility()).filter(e => e.type != 'radio' || e.checked)
        .filter(e => !e.dataset.seen).map(e => e.outerHTML.slice(0, 80))"""
    )
    assert not missed


@pytest.mark.parametrize("who", ["", OFFICER])
def test_forced_colours(show: Showcase, opened: Any, who: str) -> None:
    """With colours forced by the reader every button and choice still has a border to be seen by."""
    page = opened("telephone", who, forced_colors="active")
    bare = []
    for owner, name, path in all_pages(show):
        if owner == who:
            page.goto(show.portal.url + path)
            bare += [f"{name}: {one}" for one in bare_in(page)]
    assert not bare, "\n".join(bare)


def bare_in(page: Any) -> list[str]:
    """Return what has no border."""
    return page.evaluate(
        """[...document.querySelectorAll('.button, .option, .tag, .note, input:not([type=hidden]):not([type=radio]):not([type=checkbox])')]
        .filter(e => parseFloat(getComputedStyle(e).borderTopWidth) < 1).map(e => e.outerHTML.slice(0, 80))"""
    )


def test_errors_are_told_and_found(show: Showcase, opened: Any) -> None:
    """The error summary's link leads to the field, whose description is the same words."""
    page = opened()
    page.goto(f"{show.portal.url}/report")
    page.get_by_role("button", name="Send").click()
    assert page.title().startswith("Error:")
    page.get_by_role("alert").get_by_role("link").first.click()
    assert page.evaluate("location.hash") == "#host"
    described = page.locator("#host").get_attribute("aria-describedby").split()
    assert "host-error" in described
    assert page.locator("#host").get_attribute("aria-invalid") == "true"


def test_the_decision_is_two_equal_buttons(show: Showcase, opened: Any) -> None:
    """On a telephone the two buttons of the head's page have the same size, colours and border."""
    page = opened("telephone")
    page.goto(show.portal.url + dict(screenshots.public_pages(show))["approve"])
    looks = page.evaluate(
        """[...document.querySelectorAll('.equal .button')].map(e => {
        const r = e.getBoundingClientRect(), s = getComputedStyle(e);
        return [r.width, r.height, s.color, s.backgroundColor, s.borderTopColor, s.fontWeight].join()})"""
    )
    assert len(looks) == 2
    assert looks[0] == looks[1]


def test_on_paper(show: Showcase, opened: Any) -> None:
    """Printed, a case has its facts and its story, and no navigation."""
    page = opened("desk", OFFICER)
    page.goto(show.portal.url + dict(screenshots.office_pages(show))["case"])
    page.emulate_media(media="print")
    expect(page.locator(".nav")).not_to_be_visible()
    expect(page.get_by_text("What was asked")).to_be_visible()


def test_the_report_is_printed_on_a4(show: Showcase, opened: Any) -> None:
    """On paper the report has its page in plain English on the first sheet and no buttons; the PDF has the same numbers."""
    page = opened("desk", OFFICER)
    page.goto(show.portal.url + dict(screenshots.office_pages(show))["paper-report"])
    printed = pypdf.PdfReader(io.BytesIO(page.pdf(prefer_css_page_size=True)))
    assert {tuple(round(float(side) / 5) for side in sheet.mediabox[2:]) for sheet in printed.pages} == {
        (119, 168)
    }
    sheets = [words_of(sheet) for sheet in printed.pages]
    assert "Is it working, and is it looked after?" in sheets[0]
    assert "figures" not in sheets[0]
    for button in ("Take it along", "Show these days", "Sign out", "Data protection"):
        assert not any(button in sheet for sheet in sheets)
    with page.expect_download() as waiting:
        page.get_by_role("button", name="PDF").click()
    taken = words_of(pypdf.PdfReader(waiting.value.path()).pages[0])
    sentence = re.search(r"blocked [\d,]+ requests out of [\d,]+", sheets[0])
    assert sentence
    assert sentence[0] in taken


@pytest.mark.parametrize("name", ["attempts", "activity", "asked", "health"])
def test_pictures_and_numbers_on_paper(show: Showcase, opened: Any, name: str) -> None:
    """Printed, the pages of figures have every question with its numbers, what is folded away too, and no buttons."""
    page = opened("desk", OFFICER)
    page.goto(show.portal.url + dict(screenshots.office_pages(show))[name])
    questions = [" ".join(one.split()) for one in page.locator(".figure :is(h2, h3)").all_text_contents()]
    printed = pypdf.PdfReader(io.BytesIO(page.pdf(prefer_css_page_size=True)))
    text = " ".join(words_of(sheet) for sheet in printed.pages)
    assert len(questions) > 3
    for question in questions:
        assert question in text
    for button in ("Sign out", "Last 7 days", "Every network", "I see to it", "Show the device"):
        assert button not in text
    assert "Why do you need to know?" not in text


def words_of(sheet: Any) -> str:
    """Return what stands on a sheet, with its ligatures taken apart."""
    return unicodedata.normalize("NFKC", " ".join(sheet.extract_text().split()))
