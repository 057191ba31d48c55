"""The page of limits follows the policy and what the proxy passes on."""

import json

import pytest
from school import School

from schoolgate_exceptions.papers import limitations


def text(school: School) -> str:
    papers = school.service.papers
    return " ".join(papers.hand_over(papers.limits(), "text").decode().split())


def test_it_says_what_no_filter_sees(school: School) -> None:
    """Mobile data, devices elsewhere, live content, monitoring."""
    found = text(school)
    for words in (
        "Mobile data:",
        "Off site:",
        "No live content analysis:",
        "this is filtering, not monitoring",
    ):
        assert words.lower() in found.lower()
    assert "Inspection `names`: nothing is opened" in found


def test_it_follows_the_policy(school: School) -> None:
    """Another level of inspection and another name that is never opened change the page at once."""
    before = text(school)
    assert "bank.example" not in before
    policy = school.policy.read_text().replace("inspection: all", "inspection: names")
    school.policy.write_text(policy + "never_inspect: [bank.example]\n")
    after = text(school)
    assert before.count("Inspection `names`") == 1
    assert after.count("Inspection `names`") == 2
    assert "Never opened on staff" in after
    assert "bank.example" in after


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            json.dumps({"version": 1, "passed": [{"network": "pupils", "host": "app.example"}] * 3}),
            "3 names of apps",
        ),
        ("{", "cannot be read"),
        (json.dumps({"version": 1, "passed": []}), ""),
    ],
)
def test_it_counts_what_is_passed_on_now(school: School, content: str, said: str) -> None:
    """Names of pinned apps are counted, not shown; a file that cannot be read is said to be one."""
    (school.folder / "state" / limitations.PINNED).write_text(content)
    found = text(school)
    assert said in found
    assert "app.example" not in found
