"""Take a picture of every page of the portal, on a telephone and on a desk, light and dark; `make screenshots`."""

import itertools
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from boxes import ToldBox
from live_portal import LivePortal
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright
from school import PASSWORD
from showcase import GOVERNOR, HEADTEACHER, LEAD, LOOPBACK, OFFICER, TEACHER, Showcase, open_showcase

from schoolgate_exceptions.model import AccessRequest
from schoolgate_exceptions.queue import Filter
from schoolgate_exceptions.roles import Role
from schoolgate_exceptions.workflow import State

SIZES = {"telephone": (390, 844), "desk": (1280, 860)}
CHROMIUM = "/usr/bin/chromium"
_numbers = itertools.count(1)  # of requests that are decided for a picture: none is asked for twice


def sign_in(page: Page, portal: LivePortal, email: str) -> None:
    """Sign a browser in, with the code of the authenticator app where one is asked for."""
    portal.school.clock.forward(seconds=30)
    page.goto(f"{portal.url}/sign-in")
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    if "/sign-in/code" in page.url:
        page.locator("#code").fill(portal.code())
        page.get_by_role("button", name="Go on").click()


def public_pages(show: Showcase) -> Iterator[tuple[str, str]]:
    """Yield the name and path of every page for everybody."""
    school = show.school
    about = school.link("khan.example", LOOPBACK)
    known = school.link("blocked.example", LOOPBACK)
    requests = by_host(show)
    yield "front", "/"
    yield "ask-1-for", f"/ask?about={about}"
    yield "ask-1-error", f"/ask?about={about}&asked=1&for-asked=1"
    yield "ask-2-until", f"/ask?about={about}&for=lesson"
    yield "ask-3-reason", f"/ask?about={about}&for=lesson&until=week"
    yield "ask-3-welsh", f"/ask?about={about}&for=lesson&until=week&lang=cy"
    yield "ask-which", "/ask?lang=en"
    yield "ask-already", f"/ask?about={known}"
    yield "ask-forged", "/ask?about=nonsense"
    yield "sent", f"/sent/{requests['blocked.example'].reference}"
    yield "standing-waiting", f"/requests/{requests['blocked.example'].reference}"
    yield "standing-applied", f"/requests/{requests['youtube.com'].reference}"
    yield "standing-question", f"/requests/{requests['films.twitter.com'].reference}"
    yield "standing-expired", f"/requests/{requests['maps.twitter.com'].reference}"
    yield "standing-refused", f"/requests/{_refused(show).reference}"
    yield "standing-find", "/requests"
    yield "report", "/report"
    yield "help", "/help"
    yield "certificate", "/certificate"
    yield "sign-in", "/sign-in"
    yield "set-up", "/set-up/whatever"
    yield "approve", link_of(show, requests["facebook.com"])
    yield "signed-out", "/signed-out"
    yield "invitation", "/invitation/whatever"
    yield "missing", "/nowhere"


def office_pages(show: Showcase) -> Iterator[tuple[str, str]]:
    """Yield the name and path of every page for who is signed in."""
    service = show.school.service
    requests = by_host(show)
    yield "home", "/home"
    yield "queue", "/queue"
    yield "case", f"/queue/{requests['blocked.example'].id}"
    yield "case-concern", f"/queue/{requests['instagram.com'].id}"
    yield "case-block", f"/queue/{requests['games.example'].id}"
    yield "policy", "/policy"
    yield "policy-edit", "/policy/edit"
    yield "policy-history", "/policy/history"
    yield "policy-version", f"/policy/history/{service.policy.history()[-1].version.short}"
    yield "explain", "/explain?url=instagram.com&from=pupils"
    yield "more", "/more"
    yield "services", "/services"
    yield "lists", "/lists"
    yield "register", "/register"
    yield "sanctions", "/sanctions"
    yield "states", "/states"
    yield "pause", "/sanctions/pause"
    yield "attempts", "/attempts"
    yield "attempts-pupils", "/attempts?days=1&network=pupils&lang=cy"
    yield "attempts-vpn", "/attempts?technique=vpn&days=7&lang=en"
    yield "activity", "/activity?lang=en"
    yield "asked", "/asked"
    yield "asked-year-welsh", "/asked?days=365&lang=cy"
    yield "asked-week", "/asked?days=7&lang=en"
    yield "health", "/health"
    yield "health-month-welsh", "/health?days=30&lang=cy"
    yield "checks", "/checks?lang=en"
    yield (
        "check",
        f"/checks/{service.probes.runs(show.school.clock.at - timedelta(days=9), show.school.clock.at)[1].id}",
    )
    yield "checks-welsh", "/checks?lang=cy"
    yield "paper-report", "/papers/report?from=2026-11-02&to=2026-11-23&lang=en"
    yield "paper-evidence", "/papers/evidence"
    yield "paper-limits", "/papers/limits"
    yield "paper-annex", "/papers/data-protection"
    yield "boxes", "/boxes"
    yield "people", "/people?lang=en"
    yield "person", "/people/2"
    yield "audit", "/audit?verify=1"
    yield "caps", "/lessons/caps"
    yield "account", "/account"
    yield "second-factor", "/account/second-factor"
    yield "official", "/official"
    yield "lessons", "/lessons"
    yield "my-requests", "/my-requests"


def role_pages(show: Showcase) -> Iterator[tuple[str, str, str]]:
    """Yield who, the name and the path of pages that look otherwise to other roles."""
    requests = by_host(show)
    yield TEACHER, "home-teacher", "/home"
    yield TEACHER, "lessons-teacher", "/lessons"
    yield TEACHER, "more-teacher", "/more"
    yield TEACHER, "queue-teacher-403", "/queue"
    yield HEADTEACHER, "home-head", "/home"
    yield HEADTEACHER, "case-head", f"/queue/{requests['facebook.com'].id}"
    yield HEADTEACHER, "case-head-open", f"/queue/{requests['youtube.com'].id}"
    yield HEADTEACHER, "attempts-head", "/attempts"
    yield LEAD, "home-dsl", "/home"
    yield LEAD, "case-dsl", f"/queue/{requests['instagram.com'].id}"
    yield LEAD, "attempts-dsl", "/attempts"
    yield LEAD, "holds", "/holds"
    yield GOVERNOR, "home-governor", "/home"
    yield GOVERNOR, "more-governor", "/more"


type Walk = Callable[[Page], None]


def walked_pages(show: Showcase) -> Iterator[tuple[str, str, Walk]]:
    """Yield who, the name and the way to pages that only a pressed button leads to; the last ones change something."""
    url, service = show.portal.url, show.school.service
    requests = by_host(show)

    def device(page: Page) -> None:
        page.goto(f"{url}/attempts")
        page.locator("#devices summary").first.click()
        page.locator("#reason").fill("Lessons are disturbed")
        page.locator("#devices form").first.get_by_role("button").click()

    def no_advice(page: Page) -> None:
        page.goto(f"{url}/queue/{requests['twitter.com'].id}")
        page.get_by_role("button", name="Recommend").click()

    def no_field(path: str, button: str) -> Walk:
        def walk(page: Page) -> None:
            page.goto(url + path)
            page.get_by_role("button", name=button).click()

        return walk

    def part_down(page: Page) -> None:
        service.papers.box = ToldBox({"proxy": "nothing answers at 127.0.0.1:9154: connection refused"})
        page.goto(f"{url}/home")
        service.papers.box = ToldBox()

    def too_many(page: Page) -> None:
        page.goto(f"{url}/report")
        page.get_by_label("Which page is it?").fill("one.more.example")
        page.get_by_label("It is not good for school").check()
        limits = service.office.limits
        object.__setattr__(service.office, "limits", replace(limits, device_day=0, device_urgent=0))
        page.get_by_role("button", name="Send").click()
        object.__setattr__(service.office, "limits", limits)

    def busy(page: Page) -> None:
        page.goto(f"{url}/report")
        page.get_by_label("Which page is it?").fill("one.more.example")
        page.get_by_label("It is not good for school").check()
        with service.office.write():  # as another process would that takes too long
            page.get_by_role("button", name="Send").click()

    def too_late(page: Page) -> None:
        late = show.school.ask("late.twitter.com", LOOPBACK, reason="A film")
        page.goto(f"{url}/requests/{late.reference}")
        service.reviewing.refuse(show.officer, late.id, "Not this one")
        page.get_by_role("button", name="Take it back").click()

    def decided(button: str) -> Walk:
        def walk(page: Page) -> None:
            number = next(_numbers)
            asked = show.school.ask(f"sea{number}.twitter.com", f"10.20.9.{number}", reason="A film")
            grant = service.queue.case(show.officer, asked.id).grant
            service.reviewing.recommend(show.officer, asked.id, grant, "One film, one week.")
            page.goto(url + link_of(show, asked))
            page.get_by_label("Note or answer").fill("Please show it once, to the whole class")
            page.get_by_role("button", name=button, exact=True).click()

        return walk

    yield LEAD, "device-dsl", device
    yield OFFICER, "device", device
    yield OFFICER, "home-part-down", part_down
    yield OFFICER, "case-422", no_advice
    yield OFFICER, "sanctions-422", no_field("/sanctions", "Impose it")
    yield OFFICER, "people-422", no_field("/people", "Add")
    yield TEACHER, "official-422", no_field("/official", "Send")
    yield "", "report-429", too_many
    yield "", "report-503", busy
    yield "", "standing-409", too_late
    yield HEADTEACHER, "approve-done", decided("Approve")
    yield HEADTEACHER, "approve-refused", decided("Do not approve")


def by_host(show: Showcase) -> dict[str, AccessRequest]:
    """Return the newest request about each host, whatever became of it."""
    wanted = Filter(states=frozenset(State))
    found = show.school.service.queue.listed(show.officer, wanted)
    return {one.host: one for one in sorted(found, key=lambda one: one.created_at)}


def link_of(show: Showcase, request: AccessRequest) -> str:
    """Return the path of a fresh link to a case, as the headteacher's letter has it."""
    service = show.school.service
    head = next(one for one in service.accounts.listed() if one.email == HEADTEACHER)
    with service.office.write() as connection:
        token = service.publisher._desk.tokens.issue(connection, request.number, head.number, Role.HEAD)
    return f"/approve/{token}"


def _refused(show: Showcase) -> AccessRequest:
    listed = show.school.service.queue.listed(show.officer, Filter(states=frozenset({State.REFUSED})))
    return next(one for one in listed if one.host == "facebook.com")


def main(folder: Path, only: str = "") -> None:
    """Take the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        show = open_showcase(Path(temporary))
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for size, (width, height) in SIZES.items():
            for scheme in ("light", "dark"):
                for who, pages in (("", public_pages), (OFFICER, office_pages)):
                    context = browser.new_context(
                        viewport={"width": width, "height": height},
                        color_scheme=scheme,
                        java_script_enabled=False,
                    )
                    page = context.new_page()
                    if who:
                        sign_in(page, show.portal, who)
                    for name, path in pages(show):
                        if only in name:
                            take(page, show, path, folder / f"{name}-{size}-{scheme}.png")
                    context.close()
        for size, (width, height) in SIZES.items():
            take_others(browser, show, folder, only, size, {"width": width, "height": height})
        browser.close()
        show.portal.stop()


def take_others(
    browser: Browser, show: Showcase, folder: Path, only: str, size: str, viewport: ViewportSize
) -> None:
    """Take the pictures of other roles' pages, and of those that a pressed button leads to."""
    pages: dict[str, Page] = {}

    def page_of(who: str) -> Page:
        if who not in pages:
            pages[who] = browser.new_context(viewport=viewport).new_page()
            if who:
                sign_in(pages[who], show.portal, who)
        return pages[who]

    for who, name, path in role_pages(show):
        if only in name:
            take(page_of(who), show, path, folder / f"{name}-{size}.png")
    for who, name, walk in walked_pages(show):
        if only in name:
            walk(page_of(who))
            page_of(who).screenshot(path=folder / f"{name}-{size}.png", full_page=True)
    for page in pages.values():
        page.context.close()


def take(page: Page, show: Showcase, path: str, file: Path) -> None:
    """Open a page and take its picture, whole."""
    page.goto(show.portal.url + path)
    page.screenshot(path=file, full_page=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
