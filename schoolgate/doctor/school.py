"""What the school keeps up to date: the policy, its review, its lists, its certificate."""

from collections.abc import Iterator
from datetime import timedelta

from schoolgate.ca_report import describe
from schoolgate.doctor.finding import Finding, Subject, Weight
from schoolgate_policy.errors import Severity
from schoolgate_policy.lists.spec import Standing

_ROOT_NOTICE, _INTERMEDIATE_NOTICE = timedelta(days=90), timedelta(days=30)
_MISSED = 3  # refreshes of a list that may fail before it counts as stale


def policy(at: Subject) -> Iterator[Finding]:
    """Find what is wrong in policy.yaml."""
    for issue in at.issues:
        if issue.severity is not Severity.INFO:
            weight = Weight.ERROR if issue.severity is Severity.ERROR else Weight.WARNING
            yield Finding("policy", weight, str(issue), "schoolgate policy check, and mend the line")


def review(at: Subject) -> Iterator[Finding]:
    """Find a policy whose review is overdue."""
    due = at.policy.review.due if at.policy and at.policy.review else None
    if due is not None and due < at.now.date():
        what = f"the policy was due for review on {due}"
        yield Finding(
            "review", Weight.WARNING, what, "let it be approved anew, and set `review:` in policy.yaml"
        )


def lists(at: Subject) -> Iterator[Finding]:
    """Find lists that are not what their source brings, or have not been fetched for long."""
    for status in at.policy.list_status if at.policy else ():
        name, refresh = status.spec.name, status.spec.refresh
        if status.standing in {Standing.KEPT, Standing.NOT_FETCHED}:
            why = f": {status.refused}" if status.refused else ""
            do = f"schoolgate policy lists --refresh; to use a shrunken list: --accept {name}"
            yield Finding("lists", Weight.WARNING, f"{name}: {status.standing.value}{why}", do)
        elif status.spec.url and status.dated and at.now - status.dated > _MISSED * refresh:
            what = f"{name}: last confirmed on {status.dated:%Y-%m-%d}"
            yield Finding("lists", Weight.WARNING, what, "schoolgate policy lists --refresh")


def certificate(at: Subject) -> Iterator[Finding]:
    """Find a certificate authority that is missing or near its end."""
    report = describe(at.settings.state)
    if not report.roots:
        what = "there is no certificate authority, so no page can be shown on HTTPS"
        yield Finding("certificate", Weight.ERROR, what, "schoolgate ca init, or start the proxy once")
        return
    root, ends = report.roots[0], report.intermediate_ends
    if root.ends - at.now < _ROOT_NOTICE:
        weight = Weight.ERROR if root.ends <= at.now else Weight.WARNING
        do = "schoolgate ca rotate, then hand the new certificate to all devices"
        yield Finding("certificate", weight, f"the root ends on {root.ends:%Y-%m-%d}", do)
    if ends is not None and ends - at.now < _INTERMEDIATE_NOTICE and ends < root.ends:
        weight = Weight.ERROR if ends <= at.now else Weight.WARNING
        do = "schoolgate ca rotate --intermediate, then restart the proxy"
        if report.root_key == "away":
            do = f"schoolgate ca online FILE, then {do}"
        yield Finding("certificate", weight, f"the intermediate ends on {ends:%Y-%m-%d}", do)
