"""The page of block lists: what each holds, how old it is, what is wrong with it, and never an entry of it."""

import pytest
from live_portal import LivePortal
from policies import HEAD
from school import RULES, School

from schoolgate_exceptions.roles import Role

LISTS = """
lists:
  adverts: {file: adverts.txt, format: hosts, licence: CC-BY-4.0, category: advertising}
  feeds: {url: "https://lists.example.org/feeds.txt?key=secret", refresh: 6 hours, reason: Not for school}
"""


@pytest.fixture
def shown(tmp_path, sqlite_only):
    """A portal whose policy has lists: one from a file with flaws, one that was never fetched, two locked."""
    rules = RULES.replace("locked:\n", "locked:\n  county: {file: county.txt}\n")

    (tmp_path / "policy.yaml").write_text(HEAD + LISTS + rules)
    (tmp_path / "locked.txt").write_text("locked.example\n")
    (tmp_path / "adverts.txt").write_text("0.0.0.0 ads.example\n0.0.0.0 more.ads.example\n0.0.0.0 co.uk\n")
    (tmp_path / "state").mkdir()
    school = School(tmp_path, sqlite_only)
    portal = LivePortal(school)
    yield portal
    portal.stop()
    school.service.close()


def test_every_list_is_told(shown):
    """Name, number of entries, age, source, licence and what could not be used stand on the page."""
    page = shown.signed_in("governor@school.example", Role.GOVERNOR).get("/lists")
    assert page.status_code == 200
    for words in (
        "adverts",
        "names: 2, pages: 0",
        "CC-BY-4.0",
        "adverts.txt",
        "1 too wide",
    ):
        assert words in page.text, words
    for words in ("feeds", "not fetched yet", "lists.example.org", "every 6 hours", "Not for school"):
        assert words in page.text, words


def test_nothing_that_is_secret(shown):
    """No entry of any list is shown, and of an address only its host, since the rest may hold a key."""
    page = shown.signed_in("officer@school.example", Role.OFFICER).get("/lists").text
    assert "ads.example" not in page
    assert "locked.example" not in page
    assert "secret" not in page
    assert "iwf" in page
    assert "locked" in page


def test_a_locked_list_without_entries(shown):
    """A locked list that nobody has supplied is red, with what to do."""
    page = shown.signed_in("officer@school.example", Role.OFFICER).get("/lists").text
    assert 'class="tag bad">not supplied' in page
    assert "county" in page
    assert "Ask the provider of the list for it" in page


def test_the_way_there(shown):
    """The page is found from `more` and from the services, and only by who is signed in."""
    officer = shown.signed_in("officer@school.example", Role.OFFICER)
    assert 'href="/lists"' in officer.get("/more").text
    assert 'href="/lists"' in officer.get("/services").text
    assert "Rhestrau" in officer.get("/lists", lang="cy").text
    assert shown.browser().get("/lists").url.path == "/sign-in"
