"""Pages are in Welsh for who reads Welsh: no template has words of its own, and every page is shown in both languages."""

import contextlib
import html
import re
import sqlite3
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pytest
import screenshots
from httpx import Response
from live_portal import Browser, LivePortal
from school import PASSWORD, PUPIL
from showcase import OFFICER, Showcase

from schoolgate_exceptions.roles import Role
from schoolgate_policy.event import Visit

TEMPLATES = files("schoolgate_exceptions") / "templates"
VOID = {"input", "meta", "br", "link"}  # elements without an end
NAMES = {
    "aria",
    "describedby",
    "invalid",
    "true",
    "kind",
    "policy",
    "yaml",
    "exceptions",
    "childline",
    "ceop",
    "org",
    "uk",
    "English",
    "Cymraeg",
    "SHA",
}


def named() -> list[str]:
    """Return every template, by its path below the folder."""
    found = [str(path).partition("templates/")[2] for path in TEMPLATES.glob("**/*.j2")]
    return sorted(found)


def own_words(text: str) -> set[str]:
    """Return the words that stand in a template itself: between tags, in labels, and in quotes with a space."""
    text = re.sub(r"\{#.*?#\}|<style.*?</style>", " ", text, flags=re.DOTALL)
    code = re.findall(r"\{[{%].*?[%}]\}", text, flags=re.DOTALL)
    quoted = [one for part in code for one in re.findall(r'"([^"<>]*)"', part)]
    spoken = {
        one for one in quoted if re.search(r"[a-z] [a-z]", one) and not one.startswith(("button", "card"))
    }
    plain = re.sub(r"\{[{%].*?[%}]\}", " ", text, flags=re.DOTALL)
    labels = re.findall(r'(?:aria-label|data-label|placeholder|title|alt)="([^"]*)"', plain)
    between = re.sub(r"<[^>]*>|&\w+;", " ", plain)
    words = {one for one in re.findall(r"[A-Za-z]{2,}", " ".join([between, *labels])) if one not in NAMES}
    return words | {
        one for one in spoken if not re.fullmatch(r"[a-z-]+( [a-z-]+){0,2}", one) or " " not in one
    }


@pytest.mark.parametrize("name", named())
def test_templates_have_no_words_of_their_own(name):
    """What people read comes from the text files, which a test holds complete in both languages."""
    assert not own_words((TEMPLATES / name).read_text("utf-8"))


@pytest.mark.parametrize("name", named())
def test_words_are_only_shown(name):
    """A text is never an attribute's name or value by which forms are read, nor compared with anything."""
    text = (TEMPLATES / name).read_text("utf-8")
    assert not re.findall(r"[=!]= ?t\(", text)
    assert not re.findall(r'\w=t\("', re.sub(r"\{[{%].*?[%}]\}", " ", text, flags=re.DOTALL))


class Headings(HTMLParser):
    """Reads headings, labels and buttons out of a page, but for those that are marked as English."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.language = ""
        self._in = 0
        self._english: list[str] = []  # the elements that are open, from the marked one

    def handle_starttag(self, tag, attributes):
        """Note where words begin."""
        if tag == "html":
            self.language = dict(attributes)["lang"]
        elif tag not in VOID and (self._english or dict(attributes).get("lang") == "en"):
            self._english.append(tag)
        self._in += tag in {"h1", "h2", "label", "button", "legend", "th", "dt", "summary"}

    def handle_endtag(self, tag):
        """Note where they end."""
        if self._english and tag not in VOID:
            self._english.pop()
        self._in -= tag in {"h1", "h2", "label", "button", "legend", "th", "dt", "summary"}

    def handle_data(self, data):
        """Keep the words."""
        if self._in and data.strip() and not self._english:
            self.found.append(data.strip())


def test_every_page_in_welsh(show: Showcase):
    """Every page of the officer is there in Welsh, and its headings, labels and buttons are not the English ones."""
    portal = show.portal
    portal.school.clock.forward(seconds=30)
    officer = portal.browser()
    officer.submit("/sign-in", email=OFFICER, password=PASSWORD)
    officer.submit("/sign-in/code", code=portal.code())
    same = {"DNS", "Pupils", "Staff", "E-mail"}
    left = []
    for name, path in screenshots.office_pages(show):
        plain = re.sub(r"[?&]lang=..", "", path)
        pages = {}
        for language in ("en", "cy"):
            page = officer.get(f"{plain}{'&' if '?' in plain else '?'}lang={language}")
            assert page.status_code == 200, name
            pages[language] = Headings()
            pages[language].feed(page.text)
        assert pages["cy"].language == "cy"
        heads = {one for one in pages["en"].found if re.search(r"[a-z]{3} [a-z]{3}", one)} - same
        left += [f"{name}: {one}" for one in heads & set(pages["cy"].found)]
    data = show.school.policy.read_text()
    assert not [one for one in left if one.partition(": ")[2] not in data]


@pytest.fixture
def welsh(live: LivePortal) -> Browser:
    """Return the officer, who reads Welsh."""
    browser = live.signed_in("officer@school.example", Role.OFFICER, Role.TECHNICIAN)
    assert browser.get("/home", lang="cy").headers["Content-Language"] == "cy"
    return browser


def said(page: Response) -> str:
    """Return a page as it is read."""
    return html.unescape(page.text)


def test_the_office_leads_to_the_other_language(live: LivePortal) -> None:
    """Who is signed in goes from English to Welsh and back by a link on every page, which keeps what was asked for."""
    teacher = live.signed_in("teacher@school.example", Role.TEACHER)
    page = teacher.get("/services", q="insta", lang="en")
    assert 'href="/services?q=insta&amp;lang=cy" hreflang="cy" lang="cy">Cymraeg</a>' in page.text
    assert "Gwasanaethau" in teacher.get("/services?q=insta&lang=cy").text
    assert "Gwasanaethau" in teacher.get("/services").text


def test_the_account_in_welsh(welsh: Browser) -> None:
    """A wrong password, a short one and a wrong code of one's own account are told in Welsh."""
    wrong = welsh.post("/account", old="wrong wrong wrong", password="four new random words")
    assert "Mae'r cyfrinair presennol yn anghywir" in said(wrong)
    assert "Gwall:" in said(wrong)
    assert "nod neu fwy" in said(welsh.post("/account", old=PASSWORD, password="short"))
    page = welsh.get("/account/second-factor")
    key = re.search(r'name="key" value="([A-Z2-7]+)"', page.text)[1]
    assert "Nid yw'r cod hwn yn gywir" in said(welsh.post("/account/second-factor", key=key, code="000000"))


def test_people_in_welsh(live: LivePortal, welsh: Browser) -> None:
    """Invitations, roles that cannot be, days that are none and waivers without a reason are told in Welsh."""
    assert "Ysgrifennwch gyfeiriad" in said(welsh.post("/people", name="A", email="nobody", roles="teacher"))
    page = welsh.post("/people", name="A", email="a@school.example", roles="teacher", language="cy")
    assert "Gwahoddiad i a@school.example" in said(page)
    number = max(one.number for one in live.school.service.accounts.listed())
    page = welsh.post(f"/people/{number}", do="roles", roles="deputy", **{"deputy-last": "soon"})
    assert "Ysgrifennwch ddiwrnodau fel 2026-12-18" in said(page)
    assert "Mae angen diwrnod olaf ar ddirprwy" in said(
        welsh.post(f"/people/{number}", do="roles", roles="deputy")
    )
    assert "Nid oes gan A y ddwy rôl" in said(
        welsh.post(f"/people/{number}", do="waive", reason="Neb arall yma")
    )
    assert "Wedi'i wneud." in said(welsh.post(f"/people/{number}", do="sessions"))


def test_the_policy_in_welsh(live: LivePortal, welsh: Browser) -> None:
    """Findings are marked as English, a file that changed meanwhile and a version that is none are told in Welsh."""
    text = live.school.policy.read_text()
    version = re.search(r'name="version" value="(\w+)"', welsh.get("/policy/edit").text)[1]
    wrong = text.replace("block: [youtube]", "block: [yuotube]")
    page = welsh.post("/policy/edit", text=wrong, version=version, why="", do="check")
    assert "Canfyddiadau: 1" in said(page)
    assert "Yn Saesneg y mae negeseuon y gwirydd." in said(page)
    assert re.search(r'<ul lang="en"><li>policy.yaml:\d+', page.text)
    assert "Nid oes dim o'i le arno." in said(
        welsh.post("/policy/edit", text=text, version=version, why="", do="check")
    )
    live.school.policy.write_text(text + "# by hand\n")
    page = welsh.post("/policy/edit", text=text + "# mine\n", version=version, why="", do="save")
    assert page.status_code == 409
    assert (
        f"Mae policy.yaml wedi newid ers fersiwn {version[:12]}; ni ysgrifennwyd dim. Mae eich geiriau"
        in said(page)
    )
    version = re.search(r'name="version" value="(\w+)"', page.text)[1]
    page = welsh.post("/policy/edit", text=text + "# mine\n", version=version, why="", do="save")
    assert "Wedi'i gadw. Mae mewn grym o fewn dwy eiliad." in said(page)
    assert "swyddog e-ddiogelwch" in said(welsh.get("/policy/history"))
    assert "Golygwyd yn y porth (swyddog e-ddiogelwch" in said(
        welsh.get(f"/policy/history/{live.school.service.policy.history()[0].version.short}")
    )
    assert "Nid oes fersiwn “abcdefabcdef”" in said(welsh.get("/policy/history/abcdefabcdef"))


def test_the_audit_in_welsh(live: LivePortal, welsh: Browser, tmp_path: Path) -> None:
    """The audit is Welsh around its data, which is marked as English; a changed row is told in Welsh."""
    page = welsh.get("/audit", verify="1")
    assert re.search(r"Mae'r \d+ rhes i gyd fel y'u hysgrifennwyd.", said(page))
    assert "Yn Saesneg y mae enwau'r gweithredoedd a'u manylion." in said(page)
    assert '<span lang="en">account.made</span>' in page.text
    with contextlib.closing(sqlite3.connect(tmp_path / "portal.db")) as database, database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {name}")
        database.execute("UPDATE audit SET body = replace(body, 'a', 'b') WHERE number = 1")
    assert "Newidiwyd rhes 1 o'r archwiliad." in said(welsh.get("/audit", verify="1"))


def test_papers_in_a_welsh_frame(live: LivePortal, welsh: Browser) -> None:
    """What stands around a paper is Welsh, its own words are marked as English, and days that are none are told."""
    log = live.school.service.log
    at, words = live.school.clock.at.timestamp(), ("www.instagram.com", "block", "rule", "policy.yaml:20")
    log.take([Visit(at, "dns", "pupils", PUPIL, *words, "instagram", "social-network", 41)])
    log.flush()
    page = welsh.get("/papers/report", **{"from": "2026-11-02", "to": "2026-11-23"})
    assert "Yn Saesneg y mae'r papur ei hun." in said(page)
    assert '<div lang="en"><h1>Web filter report' in page.text
    assert " – the numbers" in page.text
    assert "y rhifau" not in page.text
    page = welsh.get("/papers/report", **{"from": "2026-11-23", "to": "2026-11-02"})
    assert page.status_code == 422
    assert "Mae'r cyfnod yn dod i ben ar 2026-11-02, cyn iddo ddechrau ar 2026-11-23" in said(page)
    assert "Ysgrifennwch ddiwrnod fel 2026-11-02" in said(welsh.get("/papers/report", **{"from": "soon"}))


def test_what_is_not_there_in_welsh(live: LivePortal, welsh: Browser) -> None:
    """A check and an account that there is none of, and a hold without a reason, are told in Welsh."""
    for path, words in (
        ("/checks/nothing", "Nid oes gwiriad o'r fath"),
        ("/people/999", "Nid oes cyfrif o'r fath"),
    ):
        page = welsh.get(path)
        assert page.status_code == 404
        assert words in said(page)
    lead = live.signed_in("dsl@school.example", Role.DSL)
    lead.get("/help", lang="cy")
    page = lead.post("/holds", page="/account", id="REQ-2026-0001", reason="")
    assert "Dywedwch pam na ddylid ei ddileu" in said(page)
