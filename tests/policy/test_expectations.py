"""Expectation files: read strictly, run by the engine, and failing in words a headteacher can read."""

import pytest
from policies import local, policy_of

from schoolgate_policy.expectations import Result, parse_expectations

POLICY = policy_of(
    "rules:\n  - {block: facebook, for: [pupils, office-pc], during: lessons, reason: no facebook in lessons}\n"
    "exceptions:\n  - {id: R1, allow: facebook.com/ours, for: office-pc, until: 2026-12-18, reason: news}\n"
    "states:\n  incident: {about: x, rules: [{block: twitter, reason: quiet}]}\n"
)
HEAD = "moments: {in a lesson: 2026-11-23 10:15, at lunch: 2026-11-23 12:30}\nexpectations:\n"


def run(body: str) -> list[Result]:
    """Run some expectations; the file must have no problems."""
    expectations, issues = parse_expectations((HEAD + body).encode(), "policy.test.yaml")
    assert expectations is not None, issues
    cases, more = expectations.cases(POLICY)
    assert more == []
    return list(expectations.run(POLICY, cases))


def problems(text: str) -> list[str]:
    """Return everything that is wrong with an expectation file."""
    expectations, issues = parse_expectations(text.encode(), "policy.test.yaml")
    if expectations is not None:
        issues = expectations.cases(POLICY)[1]
    return [str(issue) for issue in issues]


def test_every_combination_is_tried() -> None:
    """Each of `who`, `what` and `when` may be a list; a service stands for all its domains."""
    results = run("  - {who: [pupils, 10.20.0.9], what: facebook, when: in a lesson, expect: block}\n")
    assert [(r.case.who, r.case.attempt.host) for r in results] == [
        ("pupils", "facebook.com"),
        ("pupils", "fbcdn.net"),
        ("10.20.0.9", "facebook.com"),
        ("10.20.0.9", "fbcdn.net"),
    ]
    assert all(not r.failures for r in results)
    assert results[0].case.attempt.at == local("2026-11-23T10:15")


@pytest.mark.parametrize(
    "line",
    [
        "who: pupils, what: facebook.com, when: at lunch, expect: allow, reason: otherwise",
        "who: pupils, what: facebook.com, when: 2026-11-23 10:15, expect: block, rule: 0, until: 2026-11-23 10:30",
        "who: office-pc, what: https://facebook.com/ours?x=1, when: in a lesson, expect: allow, exception: R1",
        "who: office-pc, what: facebook.com/theirs, when: in a lesson, expect: block",
        "who: staff, what: facebook, when: 2026-11-23T10:15Z, expect: allow",
        "who: staff, what: twitter, when: in a lesson, expect: block, state: incident, because: only named devices",
        "who: 192.0.2.1, what: facebook.com, when: in a lesson, expect: block",
    ],
)
def test_what_holds_passes(line: str) -> None:
    """Networks, devices, addresses; services, hosts, pages and URLs; moments and instants; every detail."""
    assert [result.failures for result in run(f"  - {{{line}}}\n") if result.failures] == []


def test_a_network_is_not_one_of_its_devices() -> None:
    """`staff` is tried from an address that no device of the staff has."""
    (result,) = run("  - {who: staff, what: facebook.com, when: in a lesson, expect: allow}\n")
    assert result.decision.device is None
    assert not result.failures


def test_a_failure_says_where_what_and_why() -> None:
    """The line in the expectation file, what came out instead, and what decided."""
    (result,) = run("  - {who: pupils, what: facebook.com, when: in a lesson, expect: allow, rule: 3, exception: R1, until: 2026-12-01 10:00, reason: exception}\n")  # fmt: skip
    assert result.where == "policy.test.yaml:3"
    assert result.failures == (
        "verdict allow is expected, block comes out",
        "reason exception is expected, rule comes out",
        "rule 3 is expected, 0 comes out",
        "exception R1 is expected, none comes out",
        "until 2026-12-01 10:00:00 is expected, 2026-11-23T10:30+00:00 comes out",
    )
    assert result.because == "rules[0] (policy.yaml:19): blocks facebook, during lessons"


def test_all_problems_are_told_at_once() -> None:
    """Names that mean nothing are found in one pass, each at its place, with what there is."""
    found = problems(
        HEAD
        + "  - {who: pupil, what: facebok, when: in the morning, expect: block}\n"
        + "  - {who: staff, what: 'a b.com', when: 2026-11-23, expect: allow, state: panic}\n"
    )
    assert [line.partition(": ")[0] for line in found] == [f"policy.test.yaml:{place}" for place in ("3:11", "3:24", "3:39", "4:24", "4:41", "4:75")]  # fmt: skip
    assert "did you mean `pupils`?" in found[0]
    assert "no host and no known service; did you mean `facebook`?" in found[1]
    assert "unknown moment `in the morning`; available: at lunch, in a lesson" in found[2]
    assert "`2026-11-23` is a day" in found[4]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the file is empty"),
        ("expectations: []\n", "the list is empty"),
        ("expectations:\n  - {who: a, what: b.c, when: x}\n", "expectations[0].expect: this key is missing"),
        ("expectations:\n  - {who: a, what: b.c, when: x, expect: deny}\n", "available: allow, block"),
        ("expectations:\n  - {who: a, what: b.c, when: x, expect: block, becuase: y}\n", "did you mean `because`?"),
        ("expectation: 1\n", "did you mean `expectations`?"),
        ("- 1\n", "a group of keys is expected here, not a list"),
        ("expectations: {\n", "not readable as YAML"),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_their_place(text: str, words: str) -> None:
    """An expectation file is read as strictly as a policy."""
    assert any(words in line for line in problems(text)), problems(text)
