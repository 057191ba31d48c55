"""The order of judgement, from the empty policy upwards."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policies import judge, local, policy_of

from schoolgate_policy.decision import Attempt, Reason, Verdict
from schoolgate_policy.engine import Engine
from schoolgate_policy.fields import parse_target
from schoolgate_policy.model import Sanction

BLOCK_FACEBOOK = "rules:\n  - {block: facebook, reason: no facebook}\n"
SCHOOL = """\
always_allow: [nspcc.org.uk, facebook.com/nspcc]
locked: {iwf: {file: iwf.txt}}
lists: {games: {file: games.txt}}
rules:
  - {block: [facebook, twitter], reason: not accessible}
  - {block: [category:social-network, "list:games"], for: pupils, reason: pupils may not}
  - {block: [category:video], for: staff, during: lessons, reason: not in lessons}
  - {allow: [example.org/safe], for: pupils, reason: the safe part}
  - {block: [example.org], for: pupils, reason: the rest}
  - {block: [example.net/chat], for: [pupils, staff], reason: no chat}
  - {block: [everything], for: room-5, during: not lunch, reason: exam room}
exceptions:
  - {id: R1, allow: facebook.com/ourschool, for: office-pc, from: 2026-11-23, until: 2026-12-18, during: lunch, reason: news}
  - {id: R2, allow: twitter, for: staff, from: 2026-11-24 09:00, until: 2026-11-24 10:00, reason: trial}
  - {id: R3, block: video.twitter.com, for: staff, from: 2026-11-01, until: 2026-12-18, reason: not the videos}
"""


def test_nothing_said_is_the_networks_otherwise() -> None:
    """Without rules every network does what its `otherwise` says."""
    allowed, blocked = judge("", "facebook.com"), judge("", "facebook.com", address="10.30.0.1")
    assert (allowed.verdict, allowed.reason) == (Verdict.ALLOW, Reason.OTHERWISE)
    assert (blocked.verdict, blocked.reason) == (Verdict.BLOCK, Reason.OTHERWISE)
    assert blocked.source == "policy.yaml:6"
    assert allowed.service == "facebook"


def test_a_rule_blocks_with_its_words_and_its_line() -> None:
    """The verdict carries rule, reason, source, service and category."""
    decision = judge(BLOCK_FACEBOOK, "m.facebook.com")
    assert (decision.verdict, decision.reason, decision.rule) == (Verdict.BLOCK, Reason.RULE, 0)
    assert decision.message == "no facebook"
    assert decision.source == "policy.yaml:19"
    assert (decision.service, decision.category, decision.network) == ("facebook", "social-network", "pupils")
    assert decision.valid_until is None


@pytest.mark.parametrize(
    ("host", "verdict"),
    [
        ("facebook.com", "block"),
        ("FACEBOOK.com.", "block"),
        ("a.b.facebook.com", "block"),
        ("notfacebook.com", "allow"),
        ("facebook.com.evil.example", "allow"),
        ("facebook.co", "allow"),
        ("ｆacebook.com", "block"),
        ("acebook.com", "allow"),
    ],
)
def test_names_match_on_label_boundaries(host: str, verdict: str) -> None:
    """A name covers all below it and nothing that merely looks alike."""
    assert judge(BLOCK_FACEBOOK, host).verdict == verdict


@pytest.mark.parametrize("host", ["", "face book.com", "facebook.com:443", "a..b", "1.2.3.4.5"])
def test_what_is_no_host_is_blocked(host: str) -> None:
    """The core never falls open: what cannot be judged is blocked."""
    decision = judge("", host)
    assert (decision.verdict, decision.reason) == (Verdict.BLOCK, Reason.ERROR)


STAFF, PUPIL, OFFICE, ROOM = "10.10.0.5", "10.20.0.5", "10.10.0.20", "10.20.5.1"


@pytest.mark.parametrize(
    ("host", "address", "at", "verdict", "reason"),
    [
        ("locked.example", STAFF, "2026-11-23T10:15", "block", "locked"),
        ("nspcc.org.uk", ROOM, "2026-11-23T10:15", "allow", "always_allow"),
        ("twitter.com", STAFF, "2026-11-24T08:59", "block", "rule"),
        ("twitter.com", STAFF, "2026-11-24T09:00", "allow", "exception"),
        ("video.twitter.com", STAFF, "2026-11-24T09:00", "block", "exception"),
        ("twitter.com", STAFF, "2026-11-24T10:00", "block", "rule"),
        ("twitter.com", PUPIL, "2026-11-24T09:00", "block", "rule"),
        ("youtube.com", STAFF, "2026-11-23T10:29", "block", "rule"),
        ("youtube.com", STAFF, "2026-11-23T10:30", "allow", "otherwise"),
        ("youtube.com", PUPIL, "2026-11-23T10:15", "allow", "otherwise"),
        ("play.example", PUPIL, "2026-11-23T10:15", "block", "rule"),
        ("sub.play.example", PUPIL, "2026-11-23T10:15", "block", "rule"),
        ("anything.example", ROOM, "2026-11-23T10:15", "block", "rule"),
        ("anything.example", ROOM, "2026-11-23T12:15", "allow", "otherwise"),
        ("dns.google", PUPIL, "2026-11-23T12:15", "allow", "otherwise"),
    ],
)
def test_the_order_of_judgement(host: str, address: str, at: str, verdict: str, reason: str) -> None:
    """Locked, always allowed, exception, rule, otherwise: the first that speaks decides."""
    decision = judge(SCHOOL, host, at, address)
    assert (decision.verdict, decision.reason) == (verdict, reason)


def test_valid_until_is_the_bell() -> None:
    """A verdict lasts until a schedule that it hangs on rings."""
    assert judge(SCHOOL, "youtube.com", address=STAFF).valid_until == local("2026-11-23T10:30")
    assert judge(SCHOOL, "youtube.com", "2026-11-23T10:30", STAFF).valid_until == local("2026-11-23T10:50")
    assert judge(SCHOOL, "twitter.com", "2026-11-24T08:59", STAFF).valid_until == local("2026-11-24T09:00")
    assert judge(SCHOOL, "twitter.com", "2026-11-24T09:30", STAFF).valid_until == local("2026-11-24T10:00")
    assert judge(SCHOOL, "bbc.co.uk").valid_until is None


@pytest.mark.parametrize(
    ("address", "at", "path", "verdict", "reason"),
    [
        (OFFICE, "2026-11-23T12:10", "/ourschool", "allow", "exception"),
        (OFFICE, "2026-11-23T12:10", "/ourschool/news?x=1", "allow", "exception"),
        (OFFICE, "2026-11-23T12:10", "/", "block", "rule"),
        (OFFICE, "2026-11-23T12:10", "/ourschoolx", "block", "rule"),
        (OFFICE, "2026-11-23T12:10", "/ourschool/../groups", "block", "rule"),
        (OFFICE, "2026-11-23T12:10", "/groups/../ourschool", "block", "rule"),
        (OFFICE, "2026-11-23T12:10", "/ourschool/%2e%2e/groups", "block", "rule"),
        (OFFICE, "2026-11-23T12:10", "/ourschool%2f..%2fgroups", "block", "rule"),
        (OFFICE, "2026-11-23T12:10", "/%ff", "block", "rule"),
        (OFFICE, "2026-11-23T13:10", "/ourschool", "block", "rule"),
        (OFFICE, "2026-11-22T12:15", "/ourschool", "block", "rule"),
        (STAFF, "2026-11-23T12:10", "/ourschool", "block", "rule"),
        (STAFF, "2026-11-23T12:10", "/nspcc/help", "allow", "always_allow"),
    ],
)
def test_a_page_exception_opens_that_page_only(
    address: str, at: str, path: str, verdict: str, reason: str
) -> None:
    """Tricks with the path, another hour, another device: the exception speaks of none of them."""
    decision = judge(SCHOOL, "www.facebook.com", at, address, path)
    assert (decision.verdict, decision.reason) == (verdict, reason)


def test_a_name_with_an_open_page_lets_the_connection_through() -> None:
    """DNS and TLS see no path: they let the connection come about, marked so that the page is judged."""
    decision = judge(SCHOOL, "facebook.com", "2026-11-23T12:15", OFFICE)
    assert (decision.verdict, decision.exception) == (Verdict.ALLOW, None)  # always_allow names a page, too
    assert decision.path_decides
    assert decision.open_tls
    closed = judge(BLOCK_FACEBOOK, "facebook.com", "2026-11-23T12:15", OFFICE)
    assert not closed.path_decides


def test_a_blocked_page_does_not_block_its_site() -> None:
    """A block of one page leaves the name allowed, marked for inspection."""
    name, page, other = (
        judge(SCHOOL, "example.net", address=STAFF, path=path) for path in (None, "/chat/1", "/x")
    )
    assert (name.verdict, name.path_decides, name.open_tls) == (Verdict.ALLOW, True, True)
    assert page.verdict is Verdict.BLOCK
    assert other.verdict is Verdict.ALLOW
    trick = judge(SCHOOL, "example.net", address=STAFF, path="/x/../chat/1")
    assert trick.verdict is Verdict.BLOCK


def test_an_open_page_in_a_blocked_site() -> None:
    """`allow` before `block` opens part of a site; the name follows the part."""
    name, safe, rest = (judge(SCHOOL, "example.org", path=path) for path in (None, "/safe/a", "/other"))
    assert [decision.verdict for decision in (name, safe, rest)] == ["allow", "allow", "block"]
    assert name.path_decides


def test_how_much_is_opened() -> None:
    """`names` opens nothing, `needed` what is blocked or judged by page, `all` everything but `never_inspect`."""
    body = BLOCK_FACEBOOK + "never_inspect: [category:banking]\n"

    def opened(host: str, address: str) -> bool:
        return judge(body, host, address=address).open_tls

    assert [opened("facebook.com", who) for who in ("10.30.0.1", STAFF, PUPIL)] == [False, True, True]
    assert [opened("bbc.co.uk", who) for who in ("10.30.0.1", STAFF, PUPIL)] == [False, False, True]
    assert [opened("www.barclays.co.uk", who) for who in ("10.30.0.1", STAFF, PUPIL)] == [False, False, False]


def test_a_category_covers_the_categories_below_it() -> None:
    """`category:circumvention` names DoH servers, too."""
    assert judge("rules: [{block: category:circumvention, reason: no}]\n", "dns.google").blocked
    assert not judge("rules: [{block: category:video, reason: no}]\n", "dns.google").blocked


def test_sanctions_leave_only_what_must_work() -> None:
    """A sanctioned device reaches `always_allow` and its supervised list, until the sanction ends."""
    sanction = Sanction(PUPIL, local("2026-11-25T00:00"), "supervised only", (parse_target("bbc.co.uk"),))

    def verdict(host: str, at: str = "2026-11-23T10:15", address: str = PUPIL) -> tuple[str, str]:
        decision = judge(SCHOOL, host, at, address, sanctions=(sanction,))
        return decision.verdict, decision.reason

    assert verdict("wikipedia.org") == ("block", "sanction")
    assert verdict("www.bbc.co.uk") == ("allow", "sanction")
    assert verdict("nspcc.org.uk") == ("allow", "always_allow")
    assert verdict("locked.example") == ("block", "locked")
    assert verdict("wikipedia.org", "2026-11-25T00:00") == ("allow", "otherwise")
    assert verdict("wikipedia.org", address="10.20.0.6") == ("allow", "otherwise")
    decision = judge(SCHOOL, "wikipedia.org", address=PUPIL, sanctions=(sanction,))
    assert decision.valid_until == local("2026-11-25T00:00")


def test_opens_at_looks_over_several_edges() -> None:
    """The block page can say when: past the break that another rule covers, over the weekend, or never."""
    engine = Engine(policy_of(SCHOOL))

    def opens(host: str, at: str, address: str = STAFF, path: str = "/") -> datetime | None:
        return engine.opens_at(Attempt(address, host, local(at), path))

    assert opens("youtube.com", "2026-11-23T10:15") == local("2026-11-23T10:30")
    assert opens("anything.example", "2026-11-20T14:00", ROOM) == local("2026-11-23T12:10")
    assert opens("facebook.com", "2026-11-23T10:15", PUPIL) is None
    assert opens("facebook.com", "2026-11-23T10:15", OFFICE, "/ourschool/x") == local("2026-11-23T12:10")
    assert opens("twitter.com", "2026-11-23T10:15") == local("2026-11-24T09:00")
    assert opens("twitter.com", "2026-11-25T10:15") is None


def test_explain_tells_why_each_rule_did_not_match() -> None:
    """The trail names every rule up to the one that decided, with its line."""
    decision = judge(SCHOOL, "youtube.com", "2026-11-23T10:40", STAFF)
    trail = {step.what: step.because for step in decision.considered}
    assert trail["rules[0]"] == "speaks of facebook, twitter, not of this"
    assert trail["rules[1]"] == "for pupils, not for staff"
    assert trail["rules[2]"].startswith("only during lessons; next change at 2026-11-23T10:50")
    assert list(trail)[0] == "locked"
    assert decision.considered[-1].what == "otherwise"
    assert all(step.source.startswith("policy.yaml:") for step in decision.considered if "rules" in step.what)


def test_a_remembered_decision_ends_when_it_should() -> None:
    """The memory of `decide` gives the same as a fresh judgement on both sides of an edge, in any order."""
    engine = Engine(policy_of(SCHOOL))
    for at in (
        "2026-11-23T10:29:59",
        "2026-11-23T10:30",
        "2026-11-23T10:15",
        "2026-11-23T10:49:59",
        "2026-11-23T10:50",
    ):
        attempt = Attempt(STAFF, "youtube.com", local(at))
        assert engine.decide(attempt).verdict is Engine(policy_of(SCHOOL)).decide(attempt).verdict


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A million random names do not fill the engine."""
    monkeypatch.setattr("schoolgate_policy.engine._MOST_DECISIONS", 50)
    monkeypatch.setattr("schoolgate_policy.engine._MOST_ADDRESSES", 50)
    engine = Engine(policy_of(SCHOOL))
    for number in range(500):
        engine.decide(Attempt(f"10.20.7.{number % 250}", f"host{number}.example", local("2026-11-23T10:15")))
    assert len(engine._by_address) <= 50
    assert all(len(profile.decisions) <= 50 for profile in engine._profiles.values())


HOSTS = st.sampled_from(
    ["facebook.com", "www.twitter.com", "video.twitter.com", "youtube.com", "games.example", "example.org",
     "example.net", "nspcc.org.uk", "locked.example", "bbc.co.uk", "10.0.0.1"]
)  # fmt: skip
CLIENTS = st.sampled_from([STAFF, PUPIL, OFFICE, ROOM, "10.30.0.1", "fd00:10::9", "192.0.2.1"])
PATHS = st.sampled_from([None, "/", "/ourschool", "/chat", "/safe/x", "/a/../ourschool"])
INSTANTS = st.integers(0, 40 * 24 * 60).map(
    lambda minutes: datetime(2026, 11, 20, tzinfo=UTC) + timedelta(minutes=minutes)
)
ENGINE = Engine(policy_of(SCHOOL))


@settings(max_examples=300)
@given(CLIENTS, HOSTS, PATHS, INSTANTS, st.floats(0, 0.999))
def test_a_verdict_is_constant_until_it_ends(
    address: str, host: str, path: str | None, at: datetime, fraction: float
) -> None:
    """The same attempt gets the same verdict on `[at, valid_until)`, by the same rule."""
    attempt = Attempt(address, host, at, path)
    decision = ENGINE.decide(attempt)
    end = decision.valid_until or at + timedelta(days=60)
    later = Engine(policy_of(SCHOOL)).decide(replace(attempt, at=at + (end - at) * fraction))
    assert (later.verdict, later.rule, later.exception) == (
        decision.verdict,
        decision.rule,
        decision.exception,
    )
    if decision.valid_until is not None:
        assert decision.valid_until > at


@given(CLIENTS, HOSTS, PATHS, INSTANTS)
def test_explain_and_decide_agree(address: str, host: str, path: str | None, at: datetime) -> None:
    """The trail ends at what decided."""
    attempt = Attempt(address, host, at, path)
    decided, explained = ENGINE.decide(attempt), ENGINE.explain(attempt)
    assert replace(explained, considered=(), at=decided.at) == decided
    last = explained.considered[-1]
    assert last.matched
    if decided.rule is not None:
        assert last.what == f"rules[{decided.rule}]"
    if decided.exception is not None:
        assert last.what == f"exception {decided.exception}"
    assert all(not step.matched or step is last or "page" in step.because for step in explained.considered)


def test_a_shared_name_is_blocked_only_with_all_its_services() -> None:
    """What Facebook and Instagram share stays open while one of them is open; what one shares with strangers, too."""
    both = "rules: [{block: [facebook, instagram], reason: no}]\n"
    staff_may = "exceptions: [{id: R1, allow: instagram, for: staff, until: 2026-11-25, reason: x}]\n"
    assert judge(both, "static.meta.example").blocked
    assert not judge(BLOCK_FACEBOOK, "static.meta.example").blocked
    decision = judge(both + staff_may, "static.meta.example", address=STAFF)
    assert (decision.verdict, decision.service, decision.exception) == (Verdict.ALLOW, "instagram", "R1")
    assert decision.valid_until == local("2026-11-26T00:00")
    assert judge(both + staff_may, "static.meta.example", address=PUPIL).blocked
    assert not judge("rules: [{block: instagram, reason: no}]\n", "lone.example").blocked
    assert judge("rules: [{block: meta.example, reason: no}]\n", "meta.example").blocked


def test_front_ends_are_blocked_with_their_service_but_not_opened_with_it() -> None:
    """Another site that shows the same content goes with a block, never with a permission."""
    assert judge("rules: [{block: twitter, reason: no}]\n", "nitter.example").blocked
    body = "rules: [{block: twitter, reason: no}]\nexceptions: [{id: R1, allow: twitter, until: 2026-12-01, reason: x}]\n"
    assert not judge(body, "twitter.com").blocked
    assert judge(body, "nitter.example").blocked
