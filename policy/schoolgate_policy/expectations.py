"""Expectation files: what a policy is meant to do, in YAML that a headteacher can read, run like unit tests.

    policy: policy.yaml                      # from the folder of this file
    moments: {in a lesson: 2026-11-23 10:15}
    expectations:
      - {who: pupils, what: instagram, when: in a lesson, expect: block, because: no social media in lessons}

`who`, `what` and `when` may be lists; each combination is tried.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, ValidationError

from schoolgate_policy.cells import Group, groups_of
from schoolgate_policy.decision import Attempt, Decision, Reason, Verdict
from schoolgate_policy.engine import Engine
from schoolgate_policy.errors import InvalidHost, PolicyIssue
from schoolgate_policy.fields import Moment, NotEmpty, OneOrMore, Words, parse_moment, problem
from schoolgate_policy.fields import When as MomentField
from schoolgate_policy.model import Policy
from schoolgate_policy.names import canonical_host, parse_address
from schoolgate_policy.schema import Section
from schoolgate_policy.validate import message_of, suggest
from schoolgate_policy.yaml_text import Document, KeyPath, read_yaml

_Some = Annotated[list[Words], OneOrMore, NotEmpty]


class ExpectationSection(Section):
    """One thing that is expected of the policy."""

    who: _Some = Field(description="Networks, devices, or addresses")
    what: _Some = Field(description="Services of the catalogue, host names, or URLs")
    when: _Some = Field(description="Instants such as 2026-11-23 10:15, or names of `moments`")
    expect: Verdict = Field(description="What has to happen")
    because: Words | None = Field(None, description="Why, for whoever reads this later")
    reason: Reason | None = Field(None, description="Which step of the order of judgement has to decide")
    rule: int | None = Field(None, description="Which rule has to decide, counted from 0", ge=0)
    exception: Words | None = Field(None, description="Which exception has to decide")
    until: MomentField | None = Field(None, description="The first instant at which it may be otherwise")
    state: Words | None = Field(None, description="The state of the school that is switched on")


class ExpectationFile(Section):
    """An expectation file."""

    policy: Words | None = Field(None, description="The policy file, from the folder of this file")
    moments: dict[str, MomentField] = Field(default_factory=dict, description="Instants with a name")
    expectations: Annotated[list[ExpectationSection], NotEmpty] = Field(description="What is tried, in order")


@dataclass(frozen=True, slots=True)
class Case:
    """One combination of who, what and when, and what has to come out."""

    attempt: Attempt
    who: str
    what: str
    when: str
    state: str | None
    expected: ExpectationSection
    place: KeyPath


@dataclass(frozen=True, slots=True)
class Result:
    """What came out of one case; `failures` are the ways in which it is not what was expected."""

    case: Case
    decision: Decision
    failures: tuple[str, ...]
    where: str  # `policy.test.yaml:12`

    @property
    def because(self) -> str:
        """What decided, in the words of the trail."""
        step = self.decision.considered[-1]
        source = f" ({step.source})" if step.source else ""
        return f"{step.what}{source}: {step.because}"


class Expectations:
    """A parsed expectation file."""

    def __init__(self, document: Document, file: ExpectationFile) -> None:
        self.document = document
        self.policy = file.policy
        self._file = file

    def cases(self, policy: Policy) -> tuple[list[Case], list[PolicyIssue]]:
        """Work out every combination for a policy; with an issue for each name that means nothing in it."""
        maker = _Maker(self.document, self._file, policy)
        cases = list(maker.cases())
        return cases, sorted(maker.issues, key=lambda issue: (issue.line, issue.column))

    def run(self, policy: Policy, cases: list[Case]) -> Iterator[Result]:
        """Judge every case by the engine that judges everything else."""
        engines = {state: Engine(policy, (), state) for state in {case.state for case in cases}}
        for case in cases:
            decision = engines[case.state].explain(case.attempt)
            failures = tuple(_failures(case.expected, decision, policy))
            yield Result(case, decision, failures, self.document.line(case.place))


def parse_expectations(data: bytes, file: str) -> tuple[Expectations | None, list[PolicyIssue]]:
    """Read an expectation file; every problem at once, each with its place."""
    document, issues = read_yaml(data, file)
    if document is None or issues:
        return None, issues
    try:
        return Expectations(document, ExpectationFile.model_validate(document.value)), []
    except ValidationError as error:
        return None, [_issue(document, dict(detail)) for detail in error.errors(include_url=False)]


def _issue(document: Document, detail: dict[str, Any]) -> PolicyIssue:
    path: KeyPath = detail["loc"]
    model: type[BaseModel] = ExpectationSection if path[:1] == ("expectations",) else ExpectationFile
    if detail["type"] == "extra_forbidden":
        message = f"unknown key `{path[-1]}`; {suggest(str(path[-1]), model.model_fields)}"
        return document.issue(path, message, at_key=True)
    return document.issue(path, message_of(detail))


class _Maker:
    """Makes the cases of a file for one policy."""

    def __init__(self, document: Document, file: ExpectationFile, policy: Policy) -> None:
        self.issues: list[PolicyIssue] = []
        self._document = document
        self._file = file
        self._policy = policy
        self._groups = groups_of((policy,))

    def cases(self) -> Iterator[Case]:
        for number, expected in enumerate(self._file.expectations):
            place: KeyPath = ("expectations", number)
            if expected.state is not None and expected.state not in self._policy.states:
                self._report((*place, "state"), "state", expected.state, self._policy.states)
            whom = self._each(place, "who", expected.who, self._address)
            what = self._each(place, "what", expected.what, self._targets)
            when = self._each(place, "when", expected.when, self._instant)
            for who, address in whom:
                for name, hosts in what:
                    for host, path in hosts:
                        for time, at in when:
                            attempt = Attempt(address, host, at, path)
                            said = name if name == host else f"{name} ({host})" if path is None else name
                            yield Case(attempt, who, said, time, expected.state, expected, place)

    def _each(self, place: KeyPath, key: str, names: list[str], find: Any) -> list[tuple[str, Any]]:
        found = []
        for number, name in enumerate(names):
            try:
                found.append((name, find(name)))
            except ValueError as error:
                self.issues.append(self._document.issue((*place, key, number), str(error)))
        return found

    def _report(self, place: KeyPath, kind: str, name: str, known: Any) -> None:
        self.issues.append(self._document.issue(place, f"unknown {kind} `{name}`; {suggest(name, known)}"))

    def _address(self, name: str) -> str:
        """Find an address that stands for a network or device, in no narrower one where that can be."""
        policy = self._policy
        if name in policy.networks or name in policy.devices:
            holders = [group for group in self._groups if _is_in(group, name)]
            if not holders:
                raise ValueError(f"`{name}` has no address of its own")
            return min(holders, key=lambda group: len(group.clients[0].devices)).address
        try:
            return str(parse_address(name))
        except ValueError:
            known = [*policy.networks, *policy.devices]
            raise ValueError(f"unknown network or device `{name}`; {suggest(name, known)}") from None

    def _targets(self, name: str) -> list[tuple[str, str | None]]:
        """Read a service id (each of its domains is tried), a host, `host/path`, or a URL."""
        service = self._policy.catalogue.services.get(name)
        if service is not None:
            return [(domain, None) for domain in service.domains]
        if "." not in name and ":" not in name:
            known = self._policy.catalogue.services
            raise ValueError(f"`{name}` is no host and no known service; {suggest(name, known)}")
        if "://" in name:
            parts = urlsplit(name)
            host, path = parts.hostname or "", f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
            return [(self._host(host), path)]
        host, slash, rest = name.partition("/")
        return [(self._host(host), slash + rest if slash else None)]

    def _host(self, text: str) -> str:
        try:
            return canonical_host(text)
        except InvalidHost as error:
            raise ValueError(str(error)) from None

    def _instant(self, name: str) -> datetime:
        moment = self._file.moments.get(name)
        if moment is None:
            if not name[:1].isdigit():
                raise ValueError(f"unknown moment `{name}`; {suggest(name, self._file.moments)}")
            moment = parse_moment(name)
        return _utc(moment, self._policy)


def _is_in(group: Group, name: str) -> bool:
    client = group.clients[0]
    return name in client.devices or (client.network == name and client.known)


def _utc(moment: Moment, policy: Policy) -> datetime:
    value = moment.value
    if not isinstance(value, datetime):
        raise problem(f"`{value}` is a day; an instant such as {value} 10:15 is needed here")
    return (value if value.tzinfo else value.replace(tzinfo=policy.calendar.zone)).astimezone(UTC)


def _failures(expected: ExpectationSection, decision: Decision, policy: Policy) -> Iterator[str]:
    wanted = [
        ("verdict", expected.expect.value, decision.verdict.value),
        ("reason", expected.reason and expected.reason.value, decision.reason.value),
        ("rule", expected.rule, decision.rule),
        ("exception", expected.exception, decision.exception),
    ]
    for what, meant, got in wanted:
        if meant is not None and meant != got:
            yield f"{what} {meant} is expected, {'none' if got is None else got} comes out"
    if expected.until is not None:
        until = decision.valid_until
        if until != _utc(expected.until, policy):
            said = until.astimezone(policy.calendar.zone).isoformat(timespec="minutes") if until else "never"
            yield f"until {expected.until.value} is expected, {said} comes out"
