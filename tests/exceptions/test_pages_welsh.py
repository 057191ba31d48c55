"""Pages are in Welsh for who reads Welsh: no template has words of its own, and every page is shown in both languages."""

import re
from html.parser import HTMLParser
from importlib.resources import files

import pytest
import screenshots
from school import PASSWORD
from showcase import OFFICER, Showcase

TEMPLATES = files("schoolgate_exceptions") / "templates"
# Not yet moved into the text files: what technicians and governors read, in English only.
ENGLISH = {
    "office/audit.html.j2",
    "office/boxes.html.j2",
    "office/paper.html.j2",
    "people/invited.html.j2",
    "people/people.html.j2",
    "people/person.html.j2",
    "policy/edit.html.j2",
    "policy/history.html.j2",
    "policy/show.html.j2",
    "policy/version.html.j2",
    "account/account.html.j2",
    "account/second-factor.html.j2",
}
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


@pytest.mark.parametrize("name", [one for one in named() if one not in ENGLISH])
def test_templates_have_no_words_of_their_own(name):
    """What people read comes from the text files, which a test holds complete in both languages."""
    assert not own_words((TEMPLATES / name).read_text("utf-8"))


def test_the_list_of_english_templates_is_true():
    """No template stays on the list once its words were moved."""
    assert not {one for one in ENGLISH if not own_words((TEMPLATES / one).read_text("utf-8"))}


class Headings(HTMLParser):
    """Reads headings, labels and buttons out of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.language = ""
        self._in = 0

    def handle_starttag(self, tag, attributes):
        """Note where words begin."""
        if tag == "html":
            self.language = dict(attributes)["lang"]
        self._in += tag in {"h1", "h2", "label", "button", "legend", "th", "dt", "summary"}

    def handle_endtag(self, tag):
        """Note where they end."""
        self._in -= tag in {"h1", "h2", "label", "button", "legend", "th", "dt", "summary"}

    def handle_data(self, data):
        """Keep the words."""
        if self._in and data.strip():
            self.found.append(data.strip())


def test_every_page_in_welsh(show: Showcase):
    """Every page of the officer is there in Welsh, and its headings, labels and buttons are not the English ones."""
    portal = show.portal
    portal.school.clock.forward(seconds=30)
    officer = portal.browser()
    officer.submit("/sign-in", email=OFFICER, password=PASSWORD)
    officer.submit("/sign-in/code", code=portal.code())
    english_only = ("policy", "people", "person", "audit", "boxes", "account", "second-factor", "paper")
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
        if not name.startswith(english_only):
            heads = {one for one in pages["en"].found if re.search(r"[a-z]{3} [a-z]{3}", one)} - same
            left += [f"{name}: {one}" for one in heads & set(pages["cy"].found)]
    data = show.school.policy.read_text()
    assert not [one for one in left if one.partition(": ")[2] not in data]
