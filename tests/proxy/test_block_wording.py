"""Who reads what on the block page: languages, age groups, and help instead of a rule."""

import re
from datetime import UTC, datetime
from itertools import product
from typing import Any, get_args

import pytest
from policies import lists
from reading import reading_age

from schoolgate_policy.catalogue_file import load_catalogue
from schoolgate_policy.decision import Attempt
from schoolgate_policy.engine import Engine
from schoolgate_policy.load import parse_policy
from schoolgate_proxy.blockpage import render, render_fault
from schoolgate_proxy.wording import LANGUAGES, Reader, opening_words, preferred, words_in

NOW = datetime(2026, 11, 23, 10, 15, tzinfo=UTC)
CHILD, OLDER, STAFF, WELSH = "127.0.20.5", "127.0.21.5", "127.0.10.5", "127.0.40.5"
POLICY = """
version: 1
school: {name: Ysgol Perryfields, bank_holidays: wales, contacts: {e_safety_officer: e@school.example}}
networks:
  staff:  {people: staff, addresses: [127.0.10.0/24], inspection: all, otherwise: allow}
  juniors: {people: pupil, addresses: [127.0.20.0/24], inspection: all, otherwise: allow, age: 9}
  seniors: {people: pupil, addresses: [127.0.21.0/24], inspection: all, otherwise: allow, age: 14}
  welsh: {people: pupil, addresses: [127.0.40.0/24], inspection: all, otherwise: allow, language: cy}
unknown_clients: juniors
support: {topics: [hurt.example, discord], text: Mrs Jones is in the Hub all day., welsh: Mae Mrs Jones yn yr Hwb drwy'r dydd.}
rules: [{block: [games.example, hurt.example, discord], reason: Not on this network}]
"""


@pytest.fixture(scope="module")
def engine() -> Engine:
    """An engine with networks of every kind of reader."""
    policy, issues = parse_policy(POLICY.encode(), "policy.yaml", load_catalogue(), lists)
    assert policy is not None, issues
    return Engine(policy)


def page(
    engine: Engine, address: str, host: str = "games.example", accept_language: str = "", **more: Any
) -> str:
    """Return the block page as text."""
    decision = engine.decide(Attempt(address, host, NOW))
    assert decision.blocked
    made = render(decision, engine.policy, now=NOW, accept_language=accept_language, **more)
    return made.body.decode().replace("&#39;", "'")


@pytest.mark.parametrize(
    ("address", "says"),
    [
        (CHILD, "games.example is not for school"),
        (OLDER, "games.example is not open at school"),
        (STAFF, "games.example is not open here"),
    ],
)
def test_each_age_reads_its_own_words(engine: Engine, address: str, says: str) -> None:
    """Young pupils, older pupils and adults are spoken to differently."""
    assert f"<h1>{says}</h1>" in page(engine, address)


def test_welsh_by_network_and_by_browser(engine: Engine) -> None:
    """A network's language goes before the browser's, and the browser's counts where no language is set."""
    for text in (
        page(engine, WELSH, accept_language="en-GB"),
        page(engine, CHILD, accept_language="cy-GB, en;q=0.8"),
    ):
        assert '<html lang="cy">' in text
        assert "Dydy games.example ddim ar gyfer yr ysgol" in text
        assert "Rheol yr ysgol" in text
    assert '<html lang="en-GB">' in page(engine, CHILD, accept_language="fr, en;q=0.5, cy;q=0.4")


@pytest.mark.parametrize(
    ("field", "language"),
    [
        ("", "en"), ("cy", "cy"), ("CY-gb;q=0.9,en;q=0.8", "cy"), ("en, cy", "en"), ("cy;q=0", "en"),
        ("*", "en"), ("de", "en"), (";;q=,\x00", "en"), ("cy;q=9", "en"), ("fr,cy;q=0.1", "cy"),
    ],
)  # fmt: skip
def test_the_browser_says_which_language(field: str, language: str) -> None:
    """The best liked language that we have; rubbish is English."""
    assert preferred(field) == language


@pytest.mark.parametrize(
    ("address", "helpline"), [(CHILD, "0800 1111"), (OLDER, "0800 1111"), (STAFF, "116 123")]
)
@pytest.mark.parametrize("host", ["hurt.example", "www.hurt.example", "discord.com"])
def test_who_may_need_help_is_offered_it(engine: Engine, address: str, helpline: str, host: str) -> None:
    """A welfare subject shows a helpline and the school's own words, and neither the rule nor the site."""
    text = page(engine, address, host)
    assert helpline in text
    assert "Mrs Jones is in the Hub all day." in text
    assert '<main class="support">' in text
    assert "Not on this network" not in text
    assert host not in text
    welsh = page(engine, address, host, "cy")
    assert "Mae Mrs Jones yn yr Hwb drwy'r dydd." in welsh


def test_opening_is_told_in_welsh() -> None:
    """Times, weekdays and dates are said in Welsh."""
    said = [opening_words(NOW, datetime(2026, month, day, 15, 30, tzinfo=UTC), "Europe/London", "cy")
            for month, day in ((11, 23), (11, 24), (11, 27), (12, 7))]  # fmt: skip
    assert said == [
        "o 15:30 ymlaen", "o 15:30 yfory ymlaen", "o 15:30 ddydd Gwener ymlaen", "o 15:30 ddydd Llun 7 Rhagfyr ymlaen",
    ]  # fmt: skip


@pytest.mark.parametrize(("language", "reader"), list(product(LANGUAGES, get_args(Reader.__value__))))
def test_words_are_short(language: str, reader: Reader) -> None:
    """Pupils read sentences of twelve words at most, adults of sixteen; nothing sounds like an accusation."""
    words = words_in(language).reader(reader)
    texts = [words.calm, words.ask, words.ask_label, words.time.title, words.time.lead, words.content.title,
             words.content.lead, words.support.title, words.support.lead, words.support.calm, words.support.helpline]  # fmt: skip
    longest = max(len(part.split()) for text in texts for part in re.split(r"[.!?:]", text))
    assert longest <= (16 if reader == "adult" else 12)
    assert not {"forbidden", "violation", "denied", "policy", "offence"} & set(
        " ".join(texts).lower().split()
    )


def test_pages_of_a_failure_follow_the_browser() -> None:
    """The page of a failure of ours is in the reader's language too."""
    assert b"hidlydd yr ysgol" in render_fault("", accept_language="cy").body


@pytest.mark.parametrize("dest", ["iframe", "script", "image", "style", "font"])
def test_parts_of_pages_get_little(engine: Engine, dest: str) -> None:
    """A frame gets the page, which loads nothing; scripts, pictures and styles get an empty body."""
    body = page(engine, CHILD, sec_fetch_dest=dest, accept="*/*")
    assert bool(body) is (dest == "iframe")


def test_time_blocks_look_different_in_every_language(engine: Engine) -> None:
    """A block that ends shows the clock and says when, to every reader."""
    for address, language in product((CHILD, OLDER, STAFF), LANGUAGES):
        opens = datetime(2026, 11, 23, 15, 30, tzinfo=UTC)
        text = page(engine, address, accept_language=language, opens_at=opens)
        assert '<main class="time">' in text
        assert "15:30" in text
        assert '<main class="content">' in page(engine, address, accept_language=language)


@pytest.mark.parametrize(("address", "age"), [(CHILD, 7), (OLDER, 9)])
def test_pupils_can_read_the_block_page(engine: Engine, address: str, age: int) -> None:
    """What the page itself says to the youngest can be read at seven, to older pupils at nine; a rule's reason is the school's."""
    text = page(engine, address).replace("Not on this network", "")
    text = re.sub(
        r"<style.*?</style>|<title.*?</title>|<svg.*?</svg>|<details.*?</details>", "", text, flags=re.DOTALL
    )
    main = re.search(r"<main.*?</main>", text, re.DOTALL)
    assert main is not None
    spoken = re.findall(r"<(?:h1|p)\b[^>]*>(.*?)</(?:h1|p)>", main[0], re.DOTALL)
    words = [re.sub(r"<[^>]+>", " ", one) for one in spoken]
    assert reading_age(words) < age
