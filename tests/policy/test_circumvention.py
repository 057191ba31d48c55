"""What the policy says about attempts to get round the filter, and about devices under supervision."""

from datetime import UTC, datetime, timedelta

import pytest
from policies import CATALOGUE, HEAD, judge, local, policy_of, problems_of

from schoolgate_policy.decision import Attempt, Reason, Verdict
from schoolgate_policy.engine import Engine
from schoolgate_policy.fields import parse_target
from schoolgate_policy.model import Circumvention, Recorded, Sanction, Threshold
from schoolgate_policy.sanctions import parse_sanctions

UNTIL = local("2026-12-01T00:00")
RULE = "supervised: [barclays, maths.example]\nrules: []\n"


def test_defaults_tell_somebody_and_sanction_nobody() -> None:
    """A policy that says nothing alerts at 5 points in ten minutes, and supervises no device by itself."""
    assert policy_of("rules: []\n").circumvention == Circumvention(
        Threshold(5, timedelta(minutes=10)), None, timedelta(days=7), timedelta(hours=4)
    )
    assert policy_of("rules: []\n").privacy.record is Recorded.BLOCKED


def test_thresholds_are_read() -> None:
    """Points and a length of time, or `off`."""
    text = "circumvention: {alert: off, supervise: 20 in 1 hour, supervise_for: 2 days}\nrules: []\n"
    found = policy_of(text).circumvention
    assert (found.alert, found.supervise) == (None, Threshold(20, timedelta(hours=1)))
    assert found.supervise_for == timedelta(days=2)
    assert str(found.supervise) == "20 in 1 hour"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("alert: often", "`often` is no threshold such as 5 in 10 minutes, or `off`"),
        ("alert: 0 in 10 minutes", "`0 in 10 minutes` is no threshold"),
        ("alert: 5 in ten minutes", "`ten minutes` is no length of time"),
        ("supervise: 5 in 2 days", "`2 days` is too long to watch a device for; at most 1 day"),
        ("supervise: 3 in 1 hour", "`3 in 1 hour` is reached before `alert`, 5 in 10 minutes"),
        ("supervised: x", "unknown key `supervised`"),
    ],
)
def test_mistakes_are_told_plainly(line: str, message: str) -> None:
    """Each mistake has its line, and says what is allowed instead."""
    (problem,) = problems_of(f"{HEAD}circumvention:\n  {line}\nrules: []\n")
    assert message in problem
    assert problem.startswith(f"policy.yaml:{len(HEAD.splitlines()) + 2}:")


def test_supervision_is_no_way_to_open_everything() -> None:
    """`supervised` names sites; everything would be none."""
    (problem,) = problems_of(f"{HEAD}supervised: [everything]\nrules: []\n")
    assert "`everything` would be no supervision" in problem


def test_a_supervised_device_reaches_what_the_policy_lists() -> None:
    """The policy's list, the sanction's own list and `always_allow`; nothing else, whatever the rules say."""
    own = (parse_target("twitter"),)
    sanction = (Sanction("10.20.0.5", UNTIL, "Close supervision", own),)
    body = "always_allow: [help.example]\n" + RULE
    for host in ("barclays.co.uk", "www.maths.example", "x.com", "help.example"):
        assert judge(body, host, sanctions=sanction).verdict is Verdict.ALLOW, host
    found = judge(body, "news.example", sanctions=sanction)
    assert (found.verdict, found.reason, found.valid_until) == (Verdict.BLOCK, Reason.SANCTION, UNTIL)
    assert judge(body, "news.example", address="10.20.0.6", sanctions=sanction).verdict is Verdict.ALLOW


def test_a_lifted_sanction_comes_back_by_itself() -> None:
    """A sanction that begins later leaves the device alone until then, and no verdict outlives that instant."""
    starts = local("2026-11-23T10:30")
    engine = Engine(policy_of(RULE), (Sanction("10.20.0.5", UNTIL, "Supervised", (), starts),))
    before = engine.explain(Attempt("10.20.0.5", "news.example", local("2026-11-23T10:15")))
    assert (before.verdict, before.valid_until) == (Verdict.ALLOW, starts)
    assert any(step.what == "sanction" and "lifted until" in step.because for step in before.considered)
    after = engine.decide(Attempt("10.20.0.5", "news.example", starts))
    assert (after.verdict, after.reason) == (Verdict.BLOCK, Reason.SANCTION)
    assert engine.decide(Attempt("10.20.0.5", "news.example", UNTIL)).verdict is Verdict.ALLOW


def test_the_file_of_sanctions_holds_the_beginning() -> None:
    """`from` is read from sanctions.json; an instant in any zone becomes UTC."""
    text = (
        b'{"sanctions": [{"address": "10.20.0.5", "from": "2026-11-23T10:30:00+01:00", '
        b'"until": "2026-12-01T00:00:00Z", "reason": "x"}]}'
    )
    (found,) = parse_sanctions(text, "sanctions.json", CATALOGUE)
    assert found.starts == datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
