"""Features of the policy language beyond rules: ages, safe search, calendars, inline times, states."""

import json
from pathlib import Path

import pytest
from policies import CATALOGUE, HEAD, judge, lists, local, policy_of, problems_of

from schoolgate_policy.decision import Attempt
from schoolgate_policy.engine import Engine
from schoolgate_policy.load import load_policy, parse_policy
from schoolgate_policy.model import SEARCH_ENGINES, Strength
from schoolgate_policy.names import canonical_host
from schoolgate_policy.safe_search import ENGINES, enforcement
from schoolgate_policy.switch import parse_state, render_state

AGED = HEAD.replace(
    "inspection: all, otherwise: allow", "inspection: all, otherwise: allow, age: 11"
).replace("room-5: [10.20.5.0/24]", "room-5: {addresses: [10.20.5.0/24], age: 16}")


def engine_of(head: str, body: str = "", state: str | None = None) -> Engine:
    """Build an engine on the shipped catalogue, which knows minimum ages."""
    from schoolgate_policy.catalogue_file import load_catalogue

    policy, issues = parse_policy((head + body).encode(), "policy.yaml", load_catalogue(), lists)
    assert policy is not None, issues
    return Engine(policy, (), state)


@pytest.mark.parametrize(
    ("address", "blocked"),
    [("10.20.0.5", True), ("10.20.5.1", False), ("10.10.0.5", False)],
    ids=["a pupil of 11", "a room for 16", "staff without an age"],
)
def test_minimum_ages_block_by_themselves(address: str, blocked: bool) -> None:
    """A service for older people is blocked where the network or the device says how old its users are."""
    decision = engine_of(AGED).explain(Attempt(address, "www.instagram.com", local("2026-11-23T10:15")))
    assert decision.blocked is blocked
    if blocked:
        assert decision.message == "this is for people who are 13 or older"
        assert (decision.source, decision.considered[-1].what) == ("policy.yaml:5", "min_age")


def test_an_exception_beats_a_minimum_age_and_a_rule_does_not() -> None:
    """What the headteacher has agreed opens; a rule that allows comes too late."""
    rule = "rules: [{allow: instagram, reason: x}]\n"
    granted = rule + "exceptions: [{id: R1, allow: instagram, for: pupils, until: 2026-12-18, reason: x}]\n"
    attempt = Attempt("10.20.0.5", "instagram.com", local("2026-11-23T10:15"))
    assert engine_of(AGED, rule).decide(attempt).blocked
    assert not engine_of(AGED, granted).decide(attempt).blocked


@pytest.mark.parametrize(
    ("age", "says"), [("0", "0 is no age"), ("100", "100 is no age"), ("ten", "a whole number")]
)
def test_ages_are_ages(age: str, says: str) -> None:
    """An age is a whole number of years of a person at school."""
    assert any(says in line for line in problems_of(AGED.replace("age: 11", f"age: {age}")))


def test_times_can_stand_in_the_rule() -> None:
    """`during` takes times as they are, beside names."""
    body = (
        'rules: [{block: facebook, during: [lunch, {days: mon, at: "15:15-16:00", in: term}], reason: x}]\n'
    )
    verdicts = {
        at: judge(body, "facebook.com", f"2026-11-{at}").verdict
        for at in ("23T15:20", "24T15:20", "24T12:30")
    }
    assert verdicts == {"23T15:20": "block", "24T15:20": "allow", "24T12:30": "block"}
    assert problems_of(HEAD + body.replace("15:15-16:00", "15:15-26:00"))[0].startswith(
        "policy.yaml:18:59: rules[0].during[1].at: `26:00` is no time of day"
    )


def test_not_lessons() -> None:
    """A negated schedule is in force whenever the schedule is not."""
    body = "rules: [{block: facebook, during: not lessons, reason: x}]\n"
    assert judge(body, "facebook.com", "2026-11-23T10:40").blocked
    assert not judge(body, "facebook.com", "2026-11-23T10:15").blocked
    assert judge(body, "facebook.com", "2026-11-22T10:15").blocked


def test_schools_of_a_trust_have_their_own_terms() -> None:
    """A schedule may follow another calendar, with other bank holidays."""
    body = (
        "calendars: {north: {bank_holidays: scotland, terms: [{name: winter, from: 2026-10-20, to: 2026-12-22}]}}\n"
        "rules: [{block: facebook, during: [north-lessons], for: staff, reason: x}]\n"
    )
    head = HEAD + '  north-lessons: {days: mon-fri, at: "09:00-15:00", in: term, calendar: north}\n'
    policy = policy_of(body, head)

    def blocked(at: str) -> bool:
        return Engine(policy).decide(Attempt("10.10.0.5", "facebook.com", local(at))).blocked

    assert blocked("2026-10-27T10:00")  # half term in the south
    assert blocked("2026-12-21T10:00")
    assert not blocked("2026-11-30T10:00")  # Saint Andrew's Day
    assert "unknown calendar `nort`; did you mean `north`?" in "".join(
        problems_of(head.replace("calendar: north", "calendar: nort") + body)
    )


INCIDENT = """\
rules:
  - {allow: [facebook], for: [office-pc], reason: the office posts}
  - {block: [category:social-network], reason: usual}
exceptions:
  - {id: R1, allow: twitter, for: staff, until: 2026-12-18, reason: trial}
states:
  incident:
    about: In an incident only the office speaks
    rules:
      - {allow: [facebook], for: [office-pc], reason: the office speaks}
      - {block: [category:social-network], reason: only the office speaks today}
"""


def test_a_state_goes_before_exceptions() -> None:
    """Switched on, `incident` leaves social media to the named device only; switched off, nothing is left of it."""
    at = local("2026-11-23T10:15")
    calm, incident = Engine(policy_of(INCIDENT)), Engine(policy_of(INCIDENT), (), "incident")
    staff, office = Attempt("10.10.0.5", "x.com", at), Attempt("10.10.0.20", "facebook.com", at)
    assert calm.decide(staff).exception == "R1"
    decision = incident.explain(staff)
    assert (decision.message, decision.source) == ("only the office speaks today", "policy.yaml:28")
    assert decision.considered[-1].what == "states.incident.rules[1]"
    assert not incident.decide(office).blocked
    assert Engine(policy_of(INCIDENT), (), "forgotten").state is None


def test_the_switch_is_read_strictly() -> None:
    """The state file names a state of the policy, or none."""
    from schoolgate_policy.errors import PolicyError

    policy = policy_of(INCIDENT)
    assert parse_state(render_state("incident", "2026-11-23T10:00Z", "headteacher"), policy) == "incident"
    assert parse_state(render_state(None, "2026-11-23T10:00Z", "headteacher"), policy) is None
    with pytest.raises(
        PolicyError, match=r"state\.json: active: unknown state `incidnt`; did you mean `incident`"
    ):
        parse_state(json.dumps({"active": "incidnt"}).encode(), policy)
    with pytest.raises(PolicyError, match=r"state\.json"):
        parse_state(b"{", policy)


def test_safe_search_by_network() -> None:
    """`strict` for all, or a strength for each engine; other names are left alone."""
    head = HEAD.replace("inspection: all,", "inspection: all, safe_search: strict,").replace(
        "inspection: needed,", "inspection: needed, safe_search: {youtube: moderate},"
    )
    policy = policy_of("", head)
    pupils, staff = policy.networks["pupils"].safe_search, policy.networks["staff"].safe_search
    assert set(pupils) == set(SEARCH_ENGINES)
    assert dict(staff) == {"youtube": Strength.MODERATE}

    def alias(wanted: object, host: str) -> str | None:
        found = enforcement(wanted, host)  # type: ignore[arg-type]
        return found.alias if found else None

    assert alias(pupils, "www.google.co.uk") == "forcesafesearch.google.com"
    assert alias(pupils, "www.bing.com") == "strict.bing.com"
    assert alias(pupils, "duckduckgo.com") == "safe.duckduckgo.com"
    assert alias(pupils, "www.youtube.com") == "restrict.youtube.com"
    assert alias(staff, "www.youtube.com") == "restrictmoderate.youtube.com"
    assert alias(staff, "www.google.com") is None
    assert alias(pupils, "classroom.google.com") is None
    assert alias(policy.networks["guests"].safe_search, "www.google.com") is None
    assert "did you mean `moderate`?" in "".join(problems_of(head.replace("moderate}", "moderat}")))


def test_safe_search_data_is_clean() -> None:
    """Every name is canonical, stands once, and every strength asks for something."""
    hosts = [host for engine in ENGINES for host in engine.hosts]
    assert len(set(hosts)) == len(hosts)
    assert all(canonical_host(host) == host for host in hosts)
    assert {engine.id for engine in ENGINES} == set(SEARCH_ENGINES)
    assert all(Strength.STRICT in engine.strengths for engine in ENGINES)
    assert all(
        canonical_host(way.alias) == way.alias and (way.query or way.headers)
        for engine in ENGINES
        for way in engine.strengths.values()
    )


def test_own_and_trimmed_services() -> None:
    """A school may add a service, and add or take away domains of a shipped one."""
    body = (
        "services:\n"
        "  ourchat: {title: Our chat, category: social-network, domains: chat.example}\n"
        "  facebook: {domains: [fb.example], without: fbcdn.net}\n"
        "rules: [{block: [category:social-network], reason: x}]\n"
    )
    assert judge(body, "www.chat.example").service == "ourchat"
    assert judge(body, "fb.example").service == "facebook"
    assert not judge(body, "static.fbcdn.net").blocked
    assert judge("rules: [{block: facebook, reason: x}]\n", "static.fbcdn.net").blocked
    assert "ourchat" not in CATALOGUE.services


def test_the_shipped_policy_is_without_fault() -> None:
    """policy.yaml loads, and says what the school's own policy says."""
    policy = load_policy(Path(__file__).parents[2] / "policy.yaml")
    assert policy.school.name == "Perryfields Primary PRU"
    engine = Engine(policy)

    def verdict(host: str, address: str, at: str = "2026-11-23T10:15", path: str | None = None) -> str:
        return engine.decide(Attempt(address, host, local(at), path)).verdict

    for host in ("twitter.com", "x.com", "facebook.com", "instagram.com"):
        assert {verdict(host, f"127.0.{vlan}.5", "2026-11-21T20:00") for vlan in (10, 20, 30)} == {"block"}
    assert verdict("tiktok.com", "127.0.20.5", "2026-11-21T20:00") == "block"
    assert verdict("tiktok.com", "127.0.10.5", "2026-11-23T10:15") == "block"
    assert verdict("tiktok.com", "127.0.10.5", "2026-11-23T10:35") == "allow"
    assert verdict("youtube.com", "127.0.10.5") == "block"
    assert verdict("dns.google", "127.0.10.5", "2026-11-21T20:00") == "block"
    assert verdict("childline.org.uk", "127.0.20.5") == "allow"
    assert verdict("facebook.com", "127.0.10.20", "2026-11-23T12:30", "/perryfieldspru") == "allow"
    assert verdict("facebook.com", "127.0.10.20", "2026-11-23T12:30", "/") == "block"
    assert verdict("facebook.com", "127.0.10.20", "2026-11-23T10:30", "/perryfieldspru") == "block"


def test_a_school_may_correct_a_minimum_age() -> None:
    """Ages move: policy.yaml can say what the catalogue does not know yet."""
    attempt = Attempt("10.20.0.5", "instagram.com", local("2026-11-23T10:15"))
    assert engine_of(AGED).decide(attempt).blocked
    assert not engine_of(AGED, "services: {instagram: {min_age: 10}}\n").decide(attempt).blocked
    later = engine_of(AGED, "services: {instagram: {min_age: 16}}\n").decide(attempt)
    assert later.message == "this is for people who are 16 or older"
