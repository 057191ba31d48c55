"""The block page in a real browser, through the real proxy."""

from typing import Any

import pytest

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(("width", "scheme"), [(320, "light"), (390, "dark"), (1280, "light")])
def test_page_fits_and_loads_nothing(internet: Any, chromium: Any, width: int, scheme: str) -> None:
    """The page of a blocked site fits the screen, breaks no rule of its own, and fetches nothing else."""
    context = chromium.new_context(
        proxy={"server": f"http://127.0.0.1:{internet.port}"},
        ignore_https_errors=True,
        viewport={"width": width, "height": 700},
        color_scheme=scheme,
    )
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    response = page.goto("https://www.instagram.com/reels")
    assert response.status == 403
    assert page.locator("h1").inner_text() == "Instagram is not for school"
    assert page.locator("html").get_attribute("lang") == "en-GB"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert (
        page.evaluate(
            "performance.getEntriesByType('resource').filter(r => !r.name.includes('favicon')).length"
        )
        == 0
    )
    assert (
        page.evaluate("getComputedStyle(document.querySelector('main')).borderRadius") != "0px"
    )  # style admitted
    assert [text for text in complaints if "403" not in text] == []
    context.close()
    assert not [seen for seen in internet.origin.seen if "instagram" in seen.host]


SITE = {
    "social.example/ourschool": (
        "text/html",
        b"""<!doctype html><title>ours</title><link rel=stylesheet href=https://static.cdn.example/style.css>
        <script src=https://static.cdn.example/app.js></script><img src=https://tracker.example/t.png>
        <a href=/groups>groups</a>""",
    ),
    "social.example/groups": ("text/html", b"<!doctype html><title>groups</title>"),
    "static.cdn.example/style.css": (
        "text/css",
        b"body{color:rgb(1,2,3);background:url(/deep.png)}",
    ),
    "static.cdn.example/deep.png": ("image/png", b"not really"),
    "static.cdn.example/app.js": (
        "text/javascript",
        b"fetch('https://static.cdn.example/data').then(r => r.text()).then(t => document.title = t)",
    ),
    "static.cdn.example/data": ("text/plain", b"all there"),
    "tracker.example/t.png": ("image/png", b"x"),
}


def test_only_the_open_page_and_its_companions_load(internet: Any, chromium: Any) -> None:
    """In a browser the excepted page works with what it loads, and the rest of the site and of the companion is shut."""
    internet.use_policy(
        """rules: [{block: [social.example, cdn.example, tracker.example], reason: not here}]
exceptions:
  - {id: R1, allow: social.example/ourschool, companions: [static.cdn.example], for: [pupils],
     until: 2026-12-18, reason: the school's page}"""
    )
    for where, (kind, body) in SITE.items():
        internet.origin.replies[where] = (kind, body, True)
    context = chromium.new_context(
        proxy={"server": f"http://127.0.0.1:{internet.port}"}, ignore_https_errors=True
    )
    page = context.new_page()
    statuses: list[tuple[str, int]] = []
    page.on("response", lambda one: statuses.append((one.url.removeprefix("https://"), one.status)))
    assert page.goto("https://social.example/ourschool").status == 200
    page.wait_for_function("document.title === 'all there'")
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(1, 2, 3)"
    page.get_by_text("groups").click()
    page.wait_for_url("**/groups")
    assert "is not for school" in page.locator("h1").inner_text()
    assert page.goto("https://static.cdn.example/app.js").status == 403
    context.close()
    opened = {url for url, status in statuses if status == 200}
    assert opened == {where for where in SITE if where.startswith(("static", "social.example/ours"))}
    assert not [
        seen for seen in internet.origin.seen if seen.host == "tracker.example" or "groups" in seen.path
    ]
