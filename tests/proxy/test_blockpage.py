"""The block page: what it says to whom, in which form, and that it loads and reveals nothing."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from schoolgate_policy.decision import Attempt, Decision, Reason
from schoolgate_policy.engine import Engine
from schoolgate_policy.load import load_policy
from schoolgate_proxy.blockpage import BlockResponse, render, render_fault
from schoolgate_proxy.wording import opening_words

NOW = datetime(2026, 11, 23, 10, 15, tzinfo=UTC)
PUPIL, STAFF = "127.0.20.5", "127.0.10.5"
POLICY = """
version: 1
school: {name: "O'Neill <b>& Daughters</b>", timezone: Europe/London, bank_holidays: england,
  contacts: {e_safety_officer: esafety@school.example}}
networks:
  staff:  {people: staff, addresses: [127.0.10.0/24], inspection: all, otherwise: allow}
  pupils: {people: pupil, addresses: [127.0.20.0/24], inspection: all, otherwise: allow}
unknown_clients: pupils
rules: [{block: [instagram, blocked.example], reason: 'No "social" <media>'}]
"""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """An engine with one rule."""
    file = tmp_path_factory.mktemp("policy") / "policy.yaml"
    file.write_text(POLICY)
    return Engine(load_policy(file))


def _decide(engine: Engine, address: str = PUPIL, host: str = "www.instagram.com") -> Decision:
    return engine.decide(Attempt(address, host, NOW))


class _Text(HTMLParser):
    """Collects what is visible, and every reference to something else."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._hidden += tag in {"style", "title"}
        self.links += [value or "" for name, value in attrs if name in {"href", "src", "action", "data"}]

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in {"style", "title"}

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words.append(data.strip())


def _read(response: BlockResponse) -> _Text:
    parser = _Text()
    parser.feed(response.body.decode())
    return parser


def test_headers_keep_the_page_to_itself(engine: Engine) -> None:
    """The page is a 403 that nothing stores, that sends no referrer, and that may load nothing."""
    response = render(_decide(engine), engine.policy, now=NOW)
    headers = dict(response.headers)
    assert response.status == 403
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Content-Language"] == "en-GB"
    assert headers["Content-Length"] == str(len(response.body))
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


def test_page_is_self_contained(engine: Engine) -> None:
    """No script, no image, no form; the only references are those to ask somebody."""
    page = _read(
        render(_decide(engine), engine.policy, now=NOW, ask_url="https://portal.example/ask?r=1&x=2")
    )
    assert not {"script", "img", "link", "form", "iframe", "object"} & set(page.tags)
    assert page.links == ["https://portal.example/ask?r=1&x=2", "mailto:esafety@school.example"]


def test_everything_from_outside_is_escaped(engine: Engine) -> None:
    """Names, reasons and hosts never become markup."""
    decision = replace(_decide(engine), service=None, host='x"><script>alert(1)</script>')
    body = render(decision, engine.policy, now=NOW, ask_url='javascript:"<script>').body.decode()
    assert "<script" not in body
    assert "<b>&" not in body
    assert "&lt;media&gt;" in body
    assert 'href="javascript' not in body


def test_a_child_can_read_it(engine: Engine) -> None:
    """About forty words of our own, short sentences, no blame and no officialese."""
    page = _read(render(_decide(engine), engine.policy, now=NOW, ask_url="/ask"))
    text = " ".join(word for word in page.words if word)
    own = text.replace('No "social" <media>', "").partition("O'Neill")[0]
    assert len(own.split()) <= 40
    assert all(len(sentence.split()) <= 10 for sentence in re.split(r"[.!?]", own))
    assert not {"forbidden", "violation", "denied", "policy"} & set(own.lower().split())
    assert "You have not done anything wrong." in text


def test_grown_ups_are_told_whom_to_ask(engine: Engine) -> None:
    """Without a request form the page names the e-safety officer."""
    page = _read(render(_decide(engine, STAFF), engine.policy, now=NOW))
    assert "mailto:esafety@school.example" in page.links
    assert "Instagram is not open here" in page.words


def test_time_block_looks_different(engine: Engine) -> None:
    """A block that ends says when, and shows another picture."""
    closed = render(
        _decide(engine), engine.policy, now=NOW, opens_at=datetime(2026, 11, 23, 15, 30, tzinfo=UTC)
    )
    assert "You can use it from 15:30." in _read(closed).words
    assert b'<main class="time">' in closed.body
    assert b'<main class="content">' in render(_decide(engine), engine.policy, now=NOW).body


@pytest.mark.parametrize(
    ("opens_at", "words"),
    [
        ("2026-11-23T15:30Z", "from 15:30"),
        ("2026-11-24T08:30Z", "from tomorrow 08:30"),
        ("2026-11-27T08:30Z", "from Friday 08:30"),
        ("2026-11-30T08:30Z", "from Monday 30 November, 08:30"),
        ("2027-06-01T08:30Z", "from Tuesday 1 June, 09:30"),
    ],
)
def test_opening_is_told_as_people_do(opens_at: str, words: str) -> None:
    """The opening is said by the school's clock, and with as much of a date as it needs."""
    assert opening_words(NOW, datetime.fromisoformat(opens_at), "Europe/London") == words


@pytest.mark.parametrize(
    ("accept", "dest", "kind"),
    [
        ("", "", "page"),
        ("*/*", "", "page"),
        ("text/html,application/xhtml+xml", "document", "page"),
        ("*/*", "iframe", "page"),
        ("application/json", "empty", "problem"),
        ("application/json, text/plain, */*", "", "problem"),
        ("*/*", "empty", "empty"),
        ("image/avif,*/*", "image", "empty"),
        ("text/css", "style", "empty"),
        ("image/png", "", "empty"),
    ],
)
def test_body_suits_the_asker(engine: Engine, accept: str, dest: str, kind: str) -> None:
    """People get the page, programs a problem document, images and styles nothing; all get 403."""
    response = render(_decide(engine), engine.policy, now=NOW, accept=accept, sec_fetch_dest=dest)
    types = {"text/html; charset=utf-8": "page", "application/problem+json": "problem", None: "empty"}
    assert types[dict(response.headers).get("Content-Type")] == kind
    assert response.status == 403
    assert bool(response.body) is (kind != "empty")


def test_problem_document_tells_when_it_opens(engine: Engine) -> None:
    """A program reads host, reason and opening."""
    at = datetime(2026, 11, 23, 15, 30, tzinfo=UTC)
    response = render(_decide(engine), engine.policy, now=NOW, opens_at=at, accept="application/json")
    problem = json.loads(response.body)
    assert problem["status"] == 403
    assert problem["host"] == "www.instagram.com"
    assert problem["detail"] == 'No "social" <media>'
    assert problem["opens_at"] == "2026-11-23T15:30:00+00:00"


def test_illegal_content_offers_no_way_to_ask(engine: Engine) -> None:
    """What nobody can open is not offered for asking."""
    decision = replace(_decide(engine), reason=Reason.LOCKED)
    assert _read(render(decision, engine.policy, now=NOW, ask_url="/ask")).links == []


def test_failure_of_ours_is_503_and_blames_nobody(engine: Engine) -> None:
    """What could not be judged is a 503."""
    decision = replace(_decide(engine), reason=Reason.ERROR)
    assert render(decision, engine.policy, now=NOW).status == 503
    assert b"You have not done anything wrong" in render_fault("").body


def test_block_page_needs_no_proxy() -> None:
    """The portal can serve the page without importing mitmproxy."""
    source = Path(render.__code__.co_filename).read_text()
    assert "mitmproxy" not in source
