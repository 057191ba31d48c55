"""Findings beside errors: each suspicious thing is found, at its place, and nothing else is."""

from datetime import date
from pathlib import Path

import pytest
from policies import CATALOGUE, HEAD, SHIPPED, lists

from schoolgate_policy.errors import Severity
from schoolgate_policy.lint import lint
from schoolgate_policy.load import check_policy, parse_policy
from schoolgate_policy.yaml_text import read_yaml

TODAY = date(2026, 11, 21)
REVIEW = "review: {approved_by: Governors, approved_on: 2026-09-01, due: 2027-09-01}\n"
LOCKED = "locked: {iwf: {file: iwf.txt}}\n"
USES = (
    "rules:\n  - {block: everything, for: room-5, during: [lunch, night], reason: exams}\n"
    "  - {block: facebook, for: staff, during: lessons, reason: no}\n"
)
QUIET = REVIEW + LOCKED + USES


def findings(body: str, head: str = HEAD, today: date = TODAY) -> list[str]:
    """Lint a policy of some lines; what `line:column: severity: …` says, one line each."""
    text = (head + body).encode()
    policy, issues = parse_policy(text, "policy.yaml", CATALOGUE, lists)
    assert policy is not None, "\n".join(map(str, issues))
    document, _ = read_yaml(text, "policy.yaml")
    assert document is not None
    return [str(issue) for issue in lint(policy, document, today)]


def only(found: list[str], words: str) -> str:
    """Return the one finding with these words."""
    (one,) = [line for line in found if words in line]
    return one


def test_a_sound_policy_has_no_findings() -> None:
    """Nothing is said about a policy that needs nothing said."""
    assert findings(QUIET) == []


def test_a_rule_behind_a_wider_one_can_never_match() -> None:
    """A service behind its category, for a narrower audience, at any time: the rule before it is named."""
    rules = (
        "  - {block: category:social-network, reason: a}\n"
        "  - {block: twitter, for: staff, during: lunch, reason: b}\n  - {allow: facebook.com, reason: c}\n"
    )
    found = findings(REVIEW + LOCKED + USES.replace("rules:\n", "rules:\n" + rules))
    shaded = [line for line in found if "never match" in line]
    assert len(shaded) == 3
    assert shaded[0] == (
        "policy.yaml:22:5: warning: rules[1]: this rule can never match: rules[0] (policy.yaml:21) decides before it, "
        "whoever asks and at any time"
    )


@pytest.mark.parametrize(
    "rules",
    [
        "  - {block: facebook, for: staff, during: lunch, reason: a}\n  - {block: facebook, for: staff, reason: b}\n",
        "  - {block: facebook, for: pupils, reason: a}\n  - {block: facebook, reason: b}\n",
        "  - {block: facebook, reason: a}\n  - {block: [facebook, twitter], reason: b}\n",
        "  - {block: facebook, reason: a}\n  - {block: category:social-network, reason: b}\n",
        "  - {allow: facebook.com/x, for: staff, reason: a}\n  - {block: facebook, for: staff, reason: b}\n",
        "  - {block: facebook.com/x, for: staff, reason: a}\n  - {allow: facebook.com, for: staff, reason: b}\n",
    ],
)
def test_a_partly_shaded_rule_is_fine(rules: str) -> None:
    """A rule that decides anything, for anybody, at any time is not remarked upon."""
    body = REVIEW + LOCKED + USES.replace("rules:\n", "rules:\n" + rules).replace("  - {block: facebook, for: staff, during: lessons, reason: no}\n", "  - {block: youtube, during: lessons, reason: no}\n")  # fmt: skip
    assert findings(body) == []


def test_rules_that_together_shade_another() -> None:
    """Two rules that split the day between them leave nothing for a third."""
    rules = (
        "  - {block: facebook, during: lunch, reason: a}\n  - {allow: facebook, during: not lunch, reason: b}\n"
        "  - {block: facebook, for: pupils, reason: c}\n"
    )
    line = only(findings(REVIEW + LOCKED + "rules:\n" + rules), "rules[2]")
    assert "rules[0] (policy.yaml:21), rules[1] (policy.yaml:22)" in line or "rules[1]" in line


def test_always_allow_shades_rules_and_says_so() -> None:
    """What always works cannot be blocked; both places are told."""
    found = findings("always_allow: [facebook.com, fbcdn.net]\n" + QUIET)
    assert "rules[1] (policy.yaml:23) blocks `facebook`, but `always_allow` goes first" in only(
        found, "[0]: rules"
    )
    assert "always_allow" in only(found, "rules[1]: this rule can never match")


def test_a_rule_that_nobody_sees() -> None:
    """A network whose addresses all belong to narrower ones has nobody in it."""
    head = HEAD.replace("  guests:", "  empty: {people: guest, addresses: [10.30.0.0/15], otherwise: allow}\n  more: {people: guest, addresses: [10.31.0.0/16], otherwise: allow}\n  guests:")  # fmt: skip
    found = findings(QUIET + "  - {block: youtube, for: empty, reason: x}\n", head)
    assert "rules[2]: nobody is in what `for` names" in only(found, "never match")


def test_a_rule_whose_time_never_comes_again() -> None:
    """Single dates in the past never come again, in a schedule or in a rule."""
    body = QUIET + "  - {block: youtube, during: {on: 2026-01-05, at: 09:00-10:00}, reason: x}\n"
    assert "in force only during the times given, which never comes again" in only(findings(body), "rules[2]")


def test_exceptions_over_too_long_open_or_idle() -> None:
    """Each way in which an exception has gone wrong is found at the value that is wrong."""
    body = QUIET + (
        "limits: {longest_exception: 30 days}\nexceptions:\n"
        "  - {id: A, allow: facebook, for: staff, from: 2026-09-01, until: 2026-09-05, reason: r, approved_by: head}\n"
        "  - {id: B, allow: facebook, for: staff, from: 2026-11-01, until: 2027-03-01, reason: r, approved_by: head}\n"
        "  - {id: C, allow: fbcdn.net, for: staff, until: 2026-12-01, reason: r, approved_by: head}\n"
        "  - {id: D, allow: youtube, for: staff, from: 2026-11-01, until: 2026-11-30, reason: r, approved_by: head}\n"
        "  - {id: E, block: youtube, from: 2026-11-01, until: 2026-11-30, reason: r}\n"
    )
    found = findings(body)
    assert "exceptions[0].until: this exception ended on 2026-09-05" in only(found, "[0].until")
    assert "it runs for 121 days; `limits.longest_exception` is 30 days" in only(found, "[1].until")
    assert "without `from`" in only(found, "without `from`")
    assert "exceptions[2]: C changes nothing" in only(found, "C changes")
    assert "nothing says who approved E" in only(found, "approved E")
    assert any("D changes nothing" in line for line in found) is False
    assert len(found) == 5


def test_reviews() -> None:
    """A review that is missing, overdue, too far away or not yet approved."""
    assert "no `review:`" in only(findings(LOCKED + USES), "review")
    assert "due since 2027-09-01" in only(findings(QUIET, today=date(2027, 9, 2)), "due since")
    assert "more than a year" in only(findings(QUIET.replace("2027-09-01", "2028-09-01")), "year")
    assert "lies in the future" in only(findings(QUIET, today=date(2026, 8, 1)), "future")


def test_networks_and_devices() -> None:
    """Too few addresses, devices outside every network, no network for pupils, one profile for all."""
    head = HEAD.replace("10.30.0.0/16", "10.30.0.0/29").replace("[10.10.0.20]", "[192.0.2.7]")
    found = findings(QUIET, head)
    assert "networks.guests.addresses: only 8 addresses" in only(found, "only 8")
    assert "`192.0.2.7` is in no network; it is treated as one of pupils" in only(found, "192.0.2.7")
    assert "no network for pupil" in only(findings(QUIET, HEAD.replace("pupil,", "guest,")), "no network for")
    same = HEAD.replace("otherwise: block", "otherwise: allow")
    body = REVIEW + LOCKED + "rules:\n  - {block: facebook, during: [lessons, lunch, night], reason: no}\n"
    assert "all networks are treated the same" in only(findings(body, same), "the same")


def test_times() -> None:
    """Schedules that nothing uses or that are over, and a calendar that is over."""
    body = (
        REVIEW + LOCKED + "rules:\n  - {block: facebook, for: staff, during: [lessons, night], reason: no}\n"
    )
    assert "info: schedules.lunch: no rule and no exception uses" in only(findings(body), "lunch")
    found = findings(QUIET, today=date(2027, 8, 1))
    assert "calendar.terms: all terms are over" in only(found, "all terms")
    assert "schedules.lessons: this schedule is never in force again" in only(found, "schedules.lessons")


def test_lists_that_hold_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty locked list is not supplied; no locked list at all is worth knowing."""
    assert "info: no `locked:` lists" in only(findings(REVIEW + USES), "locked")
    (tmp_path / "empty.txt").write_text("# nothing\n")
    (tmp_path / "policy.yaml").write_text(HEAD + REVIEW + "locked: {iwf: {file: empty.txt}}\n" + USES)
    _, issues = check_policy(tmp_path / "policy.yaml", CATALOGUE, today=TODAY)
    assert "locked.iwf.file: not supplied: the list is empty" in only(
        [str(issue) for issue in issues], "locked"
    )


def test_lists_that_nothing_names(tmp_path: Path) -> None:
    """A list of a category that is spelt like no other has no effect, and neither has one that no rule names."""
    (tmp_path / "some.txt").write_text("some.example\n")
    body = (
        "lists:\n  misspelt: {file: some.txt, category: gamblng}\n  idle: {file: some.txt}\n"
        "  used: {file: some.txt}\n  below: {file: some.txt, category: doh}\n"
        "  reading: {file: some.txt}\nsupervised: [list:reading]\n"
    )
    rules = USES + "  - {block: [list:used, category:circumvention], reason: r}\n"
    (tmp_path / "policy.yaml").write_text(HEAD + REVIEW + LOCKED + body + rules)
    (tmp_path / "iwf.txt").write_text("locked.example\n")
    _, issues = check_policy(tmp_path / "policy.yaml", CATALOGUE, today=TODAY)
    found = [str(issue) for issue in issues]
    assert (
        "warning: lists.misspelt.category: nothing in this policy names `list:misspelt` or `category:gamblng`"
        in only(found, "misspelt")
    )
    assert "warning: lists.idle: nothing in this policy names `list:idle`" in only(found, "idle")
    assert not [
        line for line in found if "lists.used" in line or "lists.below" in line or "lists.reading" in line
    ]


def test_pages_that_cannot_be_seen() -> None:
    """A page of a site that is never decrypted cannot be judged."""
    body = (
        QUIET + "  - {block: barclays.co.uk/chat, for: staff, reason: x}\nnever_inspect: [category:banking]\n"
    )
    assert "is a page of a site that `never_inspect` names" in only(findings(body), "rules[2].block")


def test_findings_of_states_name_their_rule() -> None:
    """A rule of a state that an earlier one shades is found there."""
    body = "states:\n  incident:\n    about: x\n    rules:\n      - {block: everything, reason: a}\n      - {block: facebook, reason: b}\n"
    line = only(findings(QUIET + body), "states.incident.rules[1]")
    assert "can never match" in line


def test_the_shipped_policy_needs_no_change() -> None:
    """The shipped policy has no warnings on the day it was written for."""
    _, issues = check_policy(SHIPPED, today=TODAY)
    assert [str(issue) for issue in issues if issue.severity is not Severity.INFO] == []


def test_a_policy_of_thousands_of_rules_is_not_searched() -> None:
    """What would take minutes is left out, and that is said."""
    rules = "".join(f"  - {{block: site{number}.example, reason: r}}\n" for number in range(2001))
    assert "2003 rules and exceptions are too many" in only(findings(QUIET + rules), "too many")
