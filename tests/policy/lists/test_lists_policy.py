"""What a policy says with lists: rules, categories, reasons, and the mistakes in it."""

from pathlib import Path

import pytest
from policies import CATALOGUE, HEAD, local

from schoolgate_policy.decision import Attempt, Decision
from schoolgate_policy.engine import Engine
from schoolgate_policy.errors import Severity
from schoolgate_policy.load import check_policy

LISTS = """\
lists:
  games: {file: games.txt, category: gambling, reason: this is a gambling site, licence: CC BY 4.0}
  doh: {file: doh.txt, category: doh}
limits: {never: [category:circumvention]}
rules:
  - {block: [facebook, category:gambling], for: pupils, reason: not at school}
  - {block: ["list:games"], for: staff, during: lessons, reason: not in lessons}
  - {block: category:circumvention, reason: no way round}
"""


def issues_of(folder: Path, body: str) -> list[str]:
    """Check a policy with two lists."""
    (folder / "games.txt").write_text("games.example\nfacebook.com\n")
    (folder / "doh.txt").write_text("doh.example\n")
    (folder / "policy.yaml").write_text(HEAD + body)
    _, issues = check_policy(folder / "policy.yaml", CATALOGUE)
    return [str(issue) for issue in issues if issue.severity is Severity.ERROR]


def ask(folder: Path, host: str, address: str = "10.20.0.5") -> Decision:
    """Ask that policy."""
    assert not issues_of(folder, LISTS)
    policy, _ = check_policy(folder / "policy.yaml", CATALOGUE)
    assert policy is not None
    engine = Engine(policy)
    attempt = Attempt(address, host, local("2026-11-23T10:15"))
    assert engine.decide(attempt).list == engine.explain(attempt).list
    return engine.explain(attempt)


def test_a_verdict_names_the_list_and_its_reason(tmp_path: Path) -> None:
    """The block page says why in the list's words; `explain` says on which list and by which rule."""
    decision = ask(tmp_path, "www.games.example")
    assert (decision.blocked, decision.list, decision.category) == (True, "games", "gambling")
    assert decision.message == "this is a gambling site"
    assert "(it is on list games: this is a gambling site)" in decision.considered[-1].because
    assert decision.source == "policy.yaml:23"


def test_a_name_that_the_rule_knows_by_itself_is_not_put_down_to_a_list(tmp_path: Path) -> None:
    """Facebook is blocked as Facebook, also if a list has it."""
    decision = ask(tmp_path, "facebook.com")
    assert (decision.list, decision.service, decision.message) == (None, "facebook", "not at school")


def test_a_rule_for_a_category_covers_its_lists(tmp_path: Path) -> None:
    """The list of a category counts for rules on the category, and on the categories above it."""
    decision = ask(tmp_path, "doh.example", "10.10.0.5")
    assert (decision.blocked, decision.list, decision.message) == (True, "doh", "no way round")
    staff = ask(tmp_path, "games.example", "10.10.0.5")
    assert (staff.blocked, staff.list, staff.rule) == (True, "games", 1)
    assert staff.valid_until == local("2026-11-23T10:30")


@pytest.mark.parametrize(
    "target", ["doh.example", "a.doh.example", "list:doh", "doh.example/page", "category:doh"]
)
def test_an_exception_cannot_open_what_a_list_keeps_closed_for_good(tmp_path: Path, target: str) -> None:
    """`limits.never` holds for names that only a list puts into the category."""
    exception = f"exceptions: [{{id: R1, allow: ['{target}'], for: staff, until: 2027-01-01, reason: x}}]\n"
    [issue] = issues_of(tmp_path, LISTS + exception)
    assert f"`{target}` may not be opened: `limits.never` names `category:circumvention`" in issue


MISTAKES = [
    ("lists: {a: {}}\n", "lists.a: needs `file` or `url`"),
    ("lists: {a: {file: games.txt, url: 'https://x.example/'}}\n", "needs one of `file` and `url`, not both"),
    ("lists: {a: {url: 'http://x.example/'}}\n", "lists.a.url: `http://x.example/` is no https URL"),
    ("lists: {a: {url: 'https://u:p@x.example/'}}\n", "policy.yaml is no place for secrets"),
    ("lists: {a: {url: 'https:///x'}}\n", "is no URL such as https://lists.example/hosts.txt"),
    ("lists: {a: {file: games.txt, refresh: 1 hour}}\n", "`refresh` has a place only beside `url`"),
    (
        "lists: {a: {url: 'https://x.example/', refresh: often}}\n",
        "`often` is no length of time such as 30 days",
    ),
    ("lists: {a: {file: games.txt, format: excel}}\n", "lists.a.format: "),
    ("lists: {a: {file: ../policy.yaml}}\n", "it lies outside the folder of the policy"),
    ("locked: {a: {file: games.txt, category: x}}\n", "locked.a.category: "),
]


@pytest.mark.parametrize(("body", "message"), MISTAKES, ids=[message for _, message in MISTAKES])
def test_mistakes_are_told_with_their_line(tmp_path: Path, body: str, message: str) -> None:
    """Each in one line with place and remedy."""
    (tmp_path / "home").mkdir()
    issues = issues_of(tmp_path / "home", body)
    assert len(issues) == 1
    assert message in issues[0]
    assert issues[0].startswith("policy.yaml:18:")
