"""The shipped policy and the example policies: sound, and doing what their expectation files say."""

from datetime import date
from pathlib import Path

import pytest
from policies import SHIPPED

from schoolgate_policy.errors import Severity
from schoolgate_policy.expectations import parse_expectations
from schoolgate_policy.load import check_policy, load_policy

EXAMPLES = SHIPPED.parent / "policy" / "examples"
POLICIES = sorted(path for path in EXAMPLES.glob("*.yaml") if not path.name.endswith(".test.yaml"))
EXPECTATIONS = [SHIPPED.with_name("policy.test.yaml"), *sorted(EXAMPLES.glob("*.test.yaml"))]


def test_each_school_policy_has_an_example_with_expectations() -> None:
    """Five school policies, each said as a policy, each with its expectation file."""
    assert len(POLICIES) == 5
    assert {path.name.replace(".test.yaml", ".yaml") for path in EXPECTATIONS[1:]} == {
        p.name for p in POLICIES
    }


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_an_example_is_sound(path: Path) -> None:
    """Nothing in an example is an error or hardly meant, but for the list that only a provider can supply."""
    policy, issues = check_policy(path, today=date(2026, 11, 21))
    assert policy is not None
    found = [str(issue) for issue in issues if issue.severity is not Severity.INFO]
    assert [line for line in found if "locked.police.file: not supplied" not in line] == []


@pytest.mark.parametrize("path", EXPECTATIONS, ids=lambda path: path.stem)
def test_what_is_expected_comes_out(path: Path) -> None:
    """Every expectation of every shipped file holds."""
    expectations, issues = parse_expectations(path.read_bytes(), path.name)
    assert expectations is not None, issues
    policy = load_policy(path.parent / str(expectations.policy))
    cases, issues = expectations.cases(policy)
    assert issues == []
    failed = [(result.where, result.case.who, result.case.what, result.failures) for result in expectations.run(policy, cases) if result.failures]  # fmt: skip
    assert failed == []
    assert len(cases) > 100
