"""Take a picture of every page of the portal, on a telephone and on a desk, light and dark; `make screenshots`."""

import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from live_portal import LivePortal
from playwright.sync_api import Page, sync_playwright
from school import PASSWORD
from showcase import HEADTEACHER, LOOPBACK, OFFICER, TEACHER, Showcase, open_showcase

from schoolgate_exceptions.roles import Role

SIZES = {"telephone": (390, 844), "desk": (1280, 860)}
CHROMIUM = "/usr/bin/chromium"


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
    requests = {one.host: one for one in school.service.queue.listed(show.officer)}
    with school.service.office.write() as connection:
        request = requests["facebook.com"]
        account = next(one for one in school.service.accounts.listed() if one.email == HEADTEACHER)
        token = school.service.publisher._desk.tokens.issue(
            connection, request.number, account.number, Role.HEAD
        )
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
    yield "standing-find", "/requests"
    yield "report", "/report"
    yield "help", "/help"
    yield "certificate", "/certificate"
    yield "sign-in", "/sign-in"
    yield "set-up", "/set-up/whatever"
    yield "approve", f"/approve/{token}"
    yield "signed-out", "/signed-out"
    yield "invitation", "/invitation/whatever"
    yield "missing", "/nowhere"


def office_pages(show: Showcase) -> Iterator[tuple[str, str]]:
    """Yield the name and path of every page for who is signed in."""
    service = show.school.service
    requests = {one.host: one for one in service.queue.listed(show.officer)}
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
    yield "activity", "/activity?lang=en"
    yield "checks", "/checks"
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
        for who, paths in ((HEADTEACHER, {"case-head": "facebook.com"}), (TEACHER, {})):
            context = browser.new_context(viewport={"width": 390, "height": 844})
            page = context.new_page()
            sign_in(page, show.portal, who)
            take(
                page, show, "/lessons" if not paths else "/home", folder / f"home-{who.partition('.')[0]}.png"
            )
            requests = {one.host: one for one in show.school.service.queue.listed(show.officer)}
            for name, host in paths.items():
                take(page, show, f"/queue/{requests[host].id}", folder / f"{name}.png")
            context.close()
        browser.close()
        show.portal.stop()


def take(page: Page, show: Showcase, path: str, file: Path) -> None:
    """Open a page and take its picture, whole."""
    page.goto(show.portal.url + path)
    page.screenshot(path=file, full_page=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
