"""The block page in a real browser, through the real proxy."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.browser
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Debian's Chromium, driven by Playwright."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("Chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=FLAGS, proxy={"server": "http://per-context"}
        )
        yield browser
        browser.close()


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
