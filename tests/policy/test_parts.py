"""`within` and `companions`: what is open only as a part of some page."""

from datetime import date

import pytest
from policies import HEAD, judge, local, policy_of, problems_of

from schoolgate_policy.decision import Attempt, Page
from schoolgate_policy.engine import Engine

VIDEO = """
rules:
  - {allow: youtube, within: [school.example, blog.example/our-class], for: [pupils, staff], reason: videos in lessons}
  - {block: [youtube, facebook, cdn.example], reason: not here}
"""
PAGE = """
rules: [{block: [facebook, cdn.example], reason: not here}]
exceptions:
  - {id: R1, allow: facebook.com/ourschool, companions: [static.cdn.example, facebook.com/ajax], for: [pupils],
     until: 2026-12-18, during: lessons, reason: x}
"""


def ask(
    body: str, url: str, page: str | None = None, at: str = "2026-11-23T10:15", address: str = "10.20.0.5"
) -> bool:
    """Whether a URL is open as a part of a page, decided and explained alike."""
    host, slash, path = url.partition("/")
    within = None
    if page is not None:
        page_host, page_slash, page_path = page.partition("/")
        within = Page(page_host, page_slash + page_path or "/")
    attempt = Attempt(address, host, local(at), slash + path if slash else None, within=within)
    engine = Engine(policy_of(body))
    decided = [engine.decide(attempt), engine.decide(attempt), engine.explain(attempt)]
    assert len({one.verdict for one in decided}) == 1
    return not decided[0].blocked


@pytest.mark.parametrize(
    ("page", "is_open"),
    [
        (None, False),
        ("school.example/", True),
        ("www.school.example/lesson", True),
        ("school.example.evil.example/", False),
        ("blog.example/our-class/monday", True),
        ("blog.example/", True),  # browsers tell other sites no more than this
        ("blog.example/another-class", False),
        ("www.youtube.com/embed/1", True),  # a part of the part
        ("facebook.com/", False),
    ],
)
def test_a_service_is_open_as_a_part_of_named_pages(page: str | None, is_open: bool) -> None:
    """A video plays in the school's page and nowhere else."""
    assert ask(VIDEO, "www.youtube.com/embed/1", page) is is_open


def test_the_name_is_open_so_that_the_request_can_be_judged() -> None:
    """DNS and TLS let the name through, and say that the page decides."""
    decision = judge(VIDEO, "www.youtube.com")
    assert (decision.blocked, decision.path_decides, decision.open_tls) == (False, True, True)
    assert judge(VIDEO, "www.youtube.com", path="/watch").blocked


def test_companions_are_open_with_their_page_only() -> None:
    """What an open page loads is open as its part, to those and at those times the exception names."""
    assert ask(PAGE, "facebook.com/ourschool/news")
    for part in ("a.static.cdn.example/x.js", "www.facebook.com/ajax/more"):
        assert ask(PAGE, part, "facebook.com/ourschool/news")
        assert ask(PAGE, part, "www.facebook.com/")
        assert ask(PAGE, part, "static.cdn.example/style.css")
        assert not ask(PAGE, part, "facebook.com/groups")
        assert not ask(PAGE, part, "other.example/")
        assert not ask(PAGE, part)
        assert not ask(PAGE, part, "facebook.com/ourschool", at="2026-11-23T10:40")
        assert not ask(PAGE, part, "facebook.com/ourschool", address="10.10.0.5")
    assert not ask(PAGE, "facebook.com/groups", "facebook.com/ourschool")
    assert not ask(PAGE, "cdn.example/x.js", "facebook.com/ourschool")


def test_verdicts_on_one_engine_are_kept_apart_by_page() -> None:
    """What is remembered for one page, or one spelling, is not given for another."""
    engine = Engine(policy_of(VIDEO))
    for host in ("www.youtube.com", "WWW.YouTube.com."):
        verdicts = [
            engine.decide(Attempt("10.20.0.5", host, local("2026-11-23T10:15"), "/x", within=page)).blocked
            for page in (None, Page("school.example"), None, Page("other.example"), Page("school.example"))
        ]
        assert verdicts == [True, False, True, True, False]


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("{block: facebook, within: school.example, reason: x}", "`within` and `companions` go with `allow`"),
        ("{allow: facebook, companions: cdn.example, for: staff, reason: x}", "`companions` go with a page"),
        ("{allow: facebook, within: category:video, for: staff, reason: x}", "neither a site nor a page"),
        ("{allow: facebook, within: school.example, reason: x}", "on guests only names are seen"),
        ("{allow: facebook.com/a, companions: co.uk, for: staff, reason: x}", "no single site"),
    ],
)
def test_mistakes_are_told(rule: str, says: str) -> None:
    """What cannot be enforced, or hardly is meant, is refused in words."""
    assert any(says in line for line in problems_of(f"{HEAD}rules: [{rule}]\n"))


def test_never_holds_for_companions() -> None:
    """What no exception may open, none may open as a companion."""
    body = "limits: {never: [facebook]}\nexceptions: [{id: R1, allow: a.example/b, companions: facebook.com, for: staff, until: 2026-12-18, reason: x}]\n"
    assert any("may not be opened" in line for line in problems_of(HEAD + body))


def test_lint_knows_that_the_rule_after_it_still_blocks() -> None:
    """A rule for parts of pages does not make the block behind it look useless."""
    policy = policy_of(VIDEO)
    findings = [issue for issue in lint_of(policy) if "rules" in issue]
    assert not findings


def lint_of(policy: object) -> list[str]:
    """Return the findings as text."""
    from schoolgate_policy.lint_reach import without_effect

    return [f"{path} {message}" for path, message, _ in without_effect(policy, date(2026, 11, 1))]  # type: ignore[arg-type]
