"""An allowed page is open for reading; what else may be sent to it, the policy says (enforcement A4.6)."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from schoolgate_policy.decision import Attempt
from schoolgate_policy.engine import Engine
from schoolgate_policy.errors import PolicyError
from schoolgate_policy.load import load_policy

AT = datetime(2026, 11, 23, 10, tzinfo=UTC)
POLICY = """
version: 1
school: {name: x}
networks: {pupils: {people: pupil, addresses: [10.20.0.0/16], inspection: all, otherwise: allow}}
unknown_clients: pupils
always_allow: [blocked.example/report]
rules:
  - {allow: [blocked.example/form], methods: [POST, PUT], reason: A form}
  - {allow: [blocked.example/page, other.example], reason: A page and a site}
  - {allow: [blocked.example/embed], within: [fine.example], reason: A part}
  - {block: [blocked.example, parts.example], reason: Not at school}
exceptions:
  - {id: A, allow: blocked.example/ours, companions: [parts.example], until: 2026-12-18, reason: Ours}
"""


def engine(folder: Path, text: str = POLICY) -> Engine:
    """Make an engine of a policy."""
    (folder / "policy.yaml").write_text(text)
    return Engine(load_policy(folder / "policy.yaml"))


def ask(path: str, method: str | None, host: str = "blocked.example") -> Attempt:
    """Return an attempt by a pupil."""
    return Attempt("10.20.0.5", host, AT, path, method=method)


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/ours/x", {"GET", "HEAD", "OPTIONS", None}),
        ("/page", {"GET", "HEAD", "OPTIONS", None}),
        ("/form", {"GET", "HEAD", "OPTIONS", "POST", "PUT", None}),
        ("/report", {"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", None}),
        ("/elsewhere", set()),
    ],
)
def test_a_page_takes_what_it_is_open_for(tmp_path: Path, path: str, methods: set[str | None]) -> None:
    """Reading is open; other methods only where the policy names them; asked twice, in any order, alike."""
    judge = engine(tmp_path)
    every: list[str | None] = ["GET", "POST", "HEAD", "PUT", "OPTIONS", "PATCH", "DELETE", None]
    for method in (*every, *reversed(every)):
        assert judge.decide(ask(path, method)).blocked is (method not in methods), method


def test_sites_and_parts_take_everything(tmp_path: Path) -> None:
    """Whole sites, the companions of a page and parts of other pages are not held to reading."""
    from schoolgate_policy.decision import Page

    judge = engine(tmp_path)
    assert not judge.decide(ask("/x", "POST", "other.example")).blocked
    part = replace(ask("/xhr", "POST", "parts.example"), within=Page("blocked.example", "/ours"))
    assert not judge.decide(part).blocked
    embedded = replace(ask("/embed", "POST"), within=Page("fine.example"))
    assert not judge.decide(embedded).blocked
    assert judge.decide(ask("/xhr", "POST", "parts.example")).blocked


def test_the_page_and_the_trail_say_why(tmp_path: Path) -> None:
    """Who sends something learns that the page is for reading, and the trail names the methods."""
    decision = engine(tmp_path).explain(ask("/ours", "POST"))
    assert decision.message == "this page is open for reading; nothing may be sent to it (POST)"
    assert decision.rule == 3
    [step] = [
        step for step in decision.considered if step.what == "exception A" and "asked for" in step.because
    ]
    assert not step.matched
    assert step.because == "allows blocked.example/ours to be asked for by GET, HEAD, OPTIONS, not by POST"


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("{allow: a.example, methods: POST, reason: x}", "`methods` go with a page"),
        ("{block: a.example/x, methods: POST, reason: x}", "`methods` go with a page"),
        ("{allow: a.example/x, methods: TRACE, reason: x}", "POST"),
    ],
)
def test_methods_without_a_page_are_refused(tmp_path: Path, rule: str, why: str) -> None:
    """`methods` stand beside an allowed page, and are those that browsers send."""
    with pytest.raises(PolicyError, match=why):
        engine(tmp_path, POLICY.partition("rules:")[0] + f"rules: [{rule}]")
