"""Questions as people type them, and answers in words."""

from datetime import UTC, datetime

import pytest
from running import ROOT

from schoolgate.explain import InvalidQuestion, as_mapping, as_text, explain, parse_question
from schoolgate_policy.engine import Engine
from schoolgate_policy.load import load_policy


@pytest.fixture(scope="module")
def engine():
    return Engine(load_policy(ROOT / "policy.yaml"))


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("example.org", "example.org", None),
        ("example.org:8443", "example.org", None),
        ("example.org/a/b?c=d", "example.org", "/a/b?c=d"),
        ("https://example.org", "example.org", "/"),
        ("HTTPS://Example.org/", "example.org", "/"),
        ("http://user:word@example.org/x#y", "example.org", "/x"),
        ("::1", "::1", None),
        ("2001:db8::1", "2001:db8::1", None),
        ("https://[2001:db8::1]/", "2001:db8::1", "/"),
        ("192.0.2.1", "192.0.2.1", None),
        ("bücher.example", "bücher.example", None),
    ],
)
def test_hosts_and_urls(engine, url, host, path):
    """A bare host asks about the name, anything with a path about that page."""
    attempt = parse_question(url, "127.0.20.5", "", engine.policy)
    assert (attempt.host, attempt.path) == (host, path)


def test_addresses_in_any_spelling(engine):
    """An IPv4 address inside IPv6 is the IPv4 address."""
    assert parse_question("x.org", "::ffff:127.0.20.5", "", engine.policy).address == "127.0.20.5"


def test_now_is_the_default(engine):
    """Without an instant the question is about now."""
    before = datetime.now(UTC)
    assert before <= parse_question("x.org", "127.0.0.1", "", engine.policy).at <= datetime.now(UTC)


@pytest.mark.parametrize(
    "at", ["2026-11-23", "2026-11-23T10:15", "2026-11-23 10:15:30", "2026-11-23T10:15+01:00"]
)
def test_instants_in_iso_form(engine, at):
    """Dates and instants of ISO 8601 are understood."""
    assert parse_question("x.org", "127.0.0.1", at, engine.policy).at.tzinfo is UTC


@pytest.mark.parametrize(
    ("url", "address", "at", "words"),
    [
        ("facebook.com/perryfieldspru", "127.0.10.20", "2026-11-23T12:30", ["ALLOWED", "office-pc", "exception REQ-2026-0012"]),
        ("facebook.com", "127.0.10.20", "2026-11-23T12:30", ["ALLOWED", "some page below this host is judged otherwise"]),
        ("childline.org.uk", "127.0.20.5", "2026-11-23T12:30", ["ALLOWED", "always allow"]),
        ("example.org", "127.0.30.5", "2026-11-23T12:30", ["ALLOWED", "otherwise", "until   the policy changes"]),
        ("exa mple..org", "127.0.20.5", "2026-11-23T12:30", ["BLOCKED", "cannot be judged"]),
    ],
)  # fmt: skip
def test_answers_in_words(engine, url, address, at, words):
    """The text says verdict, cause, and how long it holds."""
    attempt = parse_question(url, address, at, engine.policy)
    text = as_text(attempt, engine.explain(attempt), engine.policy, None)
    for word in words:
        assert word in text


@pytest.mark.parametrize("url", ["", "https://", "/path", "http://[::1", "https://x:99999/"])
def test_what_is_no_question(engine, url):
    """What names no host is refused."""
    with pytest.raises(InvalidQuestion):
        parse_question(url, "127.0.20.5", "", engine.policy)


def test_a_url_inside_a_url_is_explained(engine):
    """What an address asks a web proxy to show is judged and told, with the site that shows it."""
    asked = "https://harmless.example/browse?u=https%3A%2F%2Fwww.instagram.com%2F"
    attempt = parse_question(asked, "127.0.20.5", "2026-11-23T10:15", engine.policy)
    judged, decision = explain(engine, attempt)
    assert decision.blocked
    assert (judged.host, decision.host) == ("www.instagram.com", "www.instagram.com")
    assert (
        decision.considered[0].because
        == "harmless.example itself is allowed, and shows www.instagram.com (web_proxy)"
    )


def test_what_the_proxy_adds_is_explained(tmp_path):
    """Header fields and parameters that the proxy sets stand in the answer."""
    text = (
        (ROOT / "policy.yaml")
        .read_text()
        .replace(
            "inspection: all\n",
            "inspection: all\n    safe_search: strict\n    accounts: {google: school.example}\n",
        )
    )
    (tmp_path / "policy.yaml").write_text(text)
    engine = Engine(load_policy(tmp_path / "policy.yaml"))
    attempt = parse_question("https://www.google.com/search?q=x", "127.0.20.5", "", engine.policy)
    decision = engine.explain(attempt)
    assert as_mapping(decision, engine.policy)["adds"] == {
        "X-GoogApps-Allowed-Domains": "school.example",
        "safe": "active",
    }
    assert "adds    safe: active" in as_text(attempt, decision, engine.policy, None)


def test_a_part_of_a_page_is_explained(tmp_path):
    """`--within` asks about a part of a page, and the trail says what it is open within."""
    rule = "rules:\n  - {allow: youtube, within: perryfields.example, for: [staff, pupils], reason: films}\n"
    text = (ROOT / "policy.yaml").read_text().replace("rules:\n", rule, 1)
    (tmp_path / "policy.yaml").write_text(text)
    engine = Engine(load_policy(tmp_path / "policy.yaml"))

    def asked(within: str):
        question = (
            "https://www.youtube.com/embed/1",
            "127.0.20.5",
            "2026-11-23T10:15",
            engine.policy,
            within,
        )
        return explain(engine, parse_question(*question))[1]

    assert asked("https://perryfields.example/lesson").rule == 0
    other = asked("https://games.example/")
    assert other.rule != 0
    assert any(
        "speaks of youtube as a part of perryfields.example" in step.because for step in other.considered
    )
