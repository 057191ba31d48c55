"""Findings beside errors: what a policy says that is allowed, but hardly meant. Pure: `today` is an argument."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import MINYEAR, UTC, date, datetime, time, timedelta
from difflib import get_close_matches

from schoolgate_policy.clients import Client
from schoolgate_policy.compile import compile_policy
from schoolgate_policy.decision import Verdict
from schoolgate_policy.errors import PolicyIssue, Severity
from schoolgate_policy.lint_reach import without_effect
from schoolgate_policy.model import People, Policy, PolicyException, Rule, Target, TargetKind
from schoolgate_policy.reach import reaches
from schoolgate_policy.schedule import Calendar, Schedule, When
from schoolgate_policy.yaml_text import Document, KeyPath

_FEWEST_PEOPLE = 10  # below this, a count of a network says something about a child
_REVIEW_EVERY = timedelta(days=366)  # Keeping Children Safe in Education: at least once every academic year

type Finding = tuple[KeyPath, str, Severity]


def lint(policy: Policy, document: Document, today: date) -> list[PolicyIssue]:
    """Look a policy without errors over; `document` is the file it was built from, for the places of the findings.

    Findings come in the order of the file, each with severity warning (worth a change) or info (worth knowing).
    """
    findings = [
        *_review(policy, today),
        *_networks(policy),
        *_devices(policy),
        *_calendars(policy, today),
        *_schedules(policy, today),
        *_locked(policy),
        *_unused_lists(policy),
        *_always_allowed(policy),
        *_unseen_pages(policy),
        *(finding for exception in policy.exceptions for finding in _exception(policy, exception, today)),
        *without_effect(policy, today),
    ]
    issues = [
        replace(document.issue(path, message), severity=severity) for path, message, severity in findings
    ]
    return sorted(issues, key=lambda issue: (issue.line, issue.column))


def _review(policy: Policy, today: date) -> Iterator[Finding]:
    review = policy.review
    if review is None:
        yield (), "no `review:` says who approved this policy and when it is due again", Severity.WARNING
        return
    if review.due < today:
        yield ("review", "due"), f"the review has been due since {review.due}", Severity.WARNING
    if review.approved_on > today:
        yield ("review", "approved_on"), "the approval lies in the future", Severity.WARNING
    if review.due - review.approved_on > _REVIEW_EVERY:
        message = "the review is due more than a year after the approval; the standards ask for one each year"
        yield ("review", "due"), message, Severity.WARNING


def _networks(policy: Policy) -> Iterator[Finding]:
    for network in policy.networks.values():
        size = sum(part.num_addresses for part in network.addresses)
        if size < _FEWEST_PEOPLE:
            message = f"only {size} addresses: figures about so few can tell on single people"
            yield ("networks", network.id, "addresses"), message, Severity.WARNING
    people = {network.people for network in policy.networks.values()}
    if not {People.STAFF, People.PUPIL} <= people:
        missing = ", ".join(sorted({"staff", "pupil"} - people))
        message = (
            f"no network for {missing}: the standards ask for a profile each for staff and pupils at least"
        )
        yield ("networks",), message, Severity.WARNING
    elif _one_profile(policy):
        message = (
            "all networks are treated the same: the standards ask for different rules for staff and pupils"
        )
        yield ("networks",), message, Severity.WARNING


def _one_profile(policy: Policy) -> bool:
    """Whether no rule and no default tells one network from another."""
    compiled = compile_policy(replace(policy, exceptions=()))
    profiles = [compiled.profile(Client("", name), None) for name in policy.networks]
    return len({(profile.mask, profile.network.otherwise) for profile in profiles}) == 1


def _devices(policy: Policy) -> Iterator[Finding]:
    ranges = [part for network in policy.networks.values() for part in network.addresses]
    for device in policy.devices.values():
        for number, address in enumerate(device.addresses):
            around = (part for part in ranges if part.version == address.version)
            if not any(address.subnet_of(part) for part in around):  # type: ignore[arg-type]  # versions are equal
                said = str(address.network_address if address.num_addresses == 1 else address)
                message = f"`{said}` is in no network; it is treated as one of {policy.unknown_clients}"
                yield ("devices", device.id, number), message, Severity.WARNING


def _calendars(policy: Policy, today: date) -> Iterator[Finding]:
    calendars: dict[KeyPath, Calendar] = {("calendar",): policy.calendar}
    calendars.update({("calendars", name): calendar for name, calendar in policy.calendars.items()})
    for path, calendar in calendars.items():
        if calendar.terms and max(term.last for term in calendar.terms) < today:
            message = "all terms are over: nothing that runs `in: term` will be in force again"
            yield (*path, "terms"), message, Severity.WARNING


def _schedules(policy: Policy, today: date) -> Iterator[Finding]:
    used = {id(schedule) for schedule in _used_schedules(policy)}
    morning = datetime.combine(today, time(), policy.calendar.zone).astimezone(UTC)
    for name, schedule in policy.schedules.items():
        if id(schedule) not in used:
            yield ("schedules", name), "no rule and no exception uses this schedule", Severity.INFO
        elif not schedule.is_active(morning) and schedule.next_change(morning) is None:
            yield ("schedules", name), "this schedule is never in force again", Severity.WARNING


def _used_schedules(policy: Policy) -> Iterator[Schedule]:
    during: list[When] = [rule.during for rule in policy.rules]
    during += [exception.during for exception in policy.exceptions]
    during += [rule.during for state in policy.states.values() for rule in state.rules]
    for when in during:
        for schedule, _ in when.parts:
            yield schedule


def _locked(policy: Policy) -> Iterator[Finding]:
    if not policy.locked:
        message = (
            "no `locked:` lists: the lists of illegal content (IWF, police) are not supplied to this filter"
        )
        yield (), message, Severity.INFO


def _unused_lists(policy: Policy) -> Iterator[Finding]:
    """Find lists that nothing speaks of: above all those whose category is spelt like no other."""
    named = {(target.kind, target.value) for target in _targets(policy)}
    categories = policy.catalogue.categories
    for status in policy.list_status:
        spec = status.spec
        if spec.locked or (TargetKind.LIST, spec.name) in named:
            continue
        if spec.category is None:
            yield ("lists", spec.name), f"nothing in this policy names `list:{spec.name}`", Severity.WARNING
            continue
        above = categories[spec.category].parent
        if not named & {(TargetKind.CATEGORY, spec.category), (TargetKind.CATEGORY, above)}:
            near = get_close_matches(
                spec.category, [name for name in categories if name != spec.category], n=1
            )
            meant = f"; did you mean `{near[0]}`?" if near else ""
            message = f"nothing in this policy names `list:{spec.name}` or `category:{spec.category}`{meant}"
            yield ("lists", spec.name, "category"), message, Severity.WARNING


def _targets(policy: Policy) -> Iterator[Target]:
    for ruling in (*policy.rules, *(rule for state in policy.states.values() for rule in state.rules)):
        yield from ruling.targets
    for exception in policy.exceptions:
        yield from exception.targets
    yield from (target for target, _ in policy.always_allow)
    yield from (*policy.never_inspect, *policy.supervised)


def _always_allowed(policy: Policy) -> Iterator[Finding]:
    for number, (target, _) in enumerate(policy.always_allow):
        for rule in policy.rules:
            blocked = next((part for part in _blocked_by_name(rule) if _reaches(policy, part, target)), None)
            if blocked is not None:
                message = (
                    f"rules[{rule.index}] ({rule.source}) blocks `{blocked}`, but `always_allow` goes first"
                )
                yield ("always_allow", number), message, Severity.INFO


def _blocked_by_name(rule: Rule) -> Iterator[Target]:
    if rule.verdict is Verdict.BLOCK:
        yield from (target for target in rule.targets if target.kind is not TargetKind.EVERYTHING)


def _reaches(policy: Policy, one: Target, other: Target) -> bool:
    return reaches(one, other, policy.catalogue)


def _unseen_pages(policy: Policy) -> Iterator[Finding]:
    compiled = compile_policy(policy)
    for key, rulings in (("rules", policy.rules), ("exceptions", policy.exceptions)):
        for ruling in rulings:
            for number, target in enumerate(ruling.targets):
                if target.kind is not TargetKind.URL:
                    continue
                if compiled.index.look_up(target.value, None).sure & compiled.never_inspect_mask:
                    message = (
                        f"`{target}` is a page of a site that `never_inspect` names: its pages cannot be seen"
                    )
                    yield (key, ruling.index, str(ruling.verdict), number), message, Severity.WARNING


def _exception(policy: Policy, exception: PolicyException, today: date) -> Iterator[Finding]:
    path = ("exceptions", exception.index)
    morning = datetime.combine(today, time(), policy.calendar.zone)
    if exception.ends <= morning:
        last = (exception.ends - timedelta(seconds=1)).astimezone(policy.calendar.zone).date()
        yield (*path, "until"), f"this exception ended on {last}; it can go", Severity.WARNING
        return
    if not exception.approved_by:
        yield (
            path,
            f"nothing says who approved {exception.id}; `approved_by:` is the place",
            Severity.WARNING,
        )
    limit = policy.limits.longest_exception
    if limit is None:
        return
    if exception.starts.year == MINYEAR:
        message = "without `from` nobody can tell how long it runs, and `limits.longest_exception` is set"
        yield path, message, Severity.WARNING
    elif exception.ends - exception.starts > limit:
        days = (exception.ends - exception.starts).days
        message = f"it runs for {days} days; `limits.longest_exception` is {limit.days} days"
        yield (*path, "until"), message, Severity.WARNING
