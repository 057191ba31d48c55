"""The path of a request: ask, review, approve, apply, end, as the service does it."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from policies import local
from school import GUEST, OTHER_PUPIL, PUPIL, STAFF

from schoolgate_exceptions.errors import NotAllowed, NotGranted, WorkflowError
from schoolgate_exceptions.kinds import Breadth
from schoolgate_exceptions.roles import SYSTEM, Role
from schoolgate_exceptions.workflow import Action, State


def test_from_block_page_to_policy_and_out_again(school, officer, head):
    """Asked, recommended, approved: open on that network only; shut again at `until` to the second; all told."""
    request = school.ask()
    assert request.state is State.SUBMITTED
    assert request.id == "REQ-2026-0001"
    case = school.service.queue.case(officer, request.id)
    assert [scope.breadth for scope in case.scopes] == [Breadth.HOST]
    assert case.grant.whom == ("pupils",)
    assert any(line.startswith("+") and "REQ-2026-0001" in line for line in case.preview.diff)
    until = local("2026-11-27T15:15")
    recommended = school.service.reviewing.recommend(
        officer, request.id, replace(case.grant, until=until), "Fine for Year 5", request.version
    )
    assert recommended.state is State.RECOMMENDED
    assert not school.is_open("blocked.example")
    applied = school.service.approving.approve(head, request.id, "yes")
    assert (applied.state, applied.publication.problem) == (State.APPLIED, "")
    assert school.is_open("www.blocked.example")
    assert not school.is_open("blocked.example", STAFF)
    assert not school.is_open("blocked.example", GUEST)
    assert school.added() == [
        "exceptions:",
        "  - id: REQ-2026-0001",
        "    allow: [blocked.example]",
        "    for: [pupils]",
        "    from: 2026-11-23",
        '    until: "2026-11-27 15:15"',
        "    reason: For a lesson",
        "    reviewed_by: e-safety officer",
        "    approved_by: headteacher",
    ]
    school.clock.at = until - timedelta(seconds=1)
    assert school.is_open("blocked.example")
    assert school.service.ending.expire_due() == 0
    school.clock.at = until
    assert not school.is_open("blocked.example")
    assert school.service.ending.expire_due() == 1
    assert school.service.publisher.tidy(school.clock.at) == 1
    assert school.policy.read_bytes() == school.original
    case = school.service.queue.case(officer, request.id)
    assert [step.action for step in case.story] == [
        None, Action.RECOMMEND, Action.APPROVE, Action.APPLY, Action.EXPIRE,
    ]  # fmt: skip
    assert case.request.state is State.EXPIRED
    lapsed = school.service.register.lapsed(head)
    assert [(one.id, one.why, one.ended_at) for one in lapsed] == [("REQ-2026-0001", "expired", until)]
    assert "allow: [blocked.example]" in lapsed[0].lines
    actions = [row.action for row in school.service.audit.of(officer, request.id)]
    assert actions == [
        "request.submitted", "request.recommend", "request.approve", "request.apply", "request.expire",
    ]  # fmt: skip
    assert school.service.audit.verify().rows >= len(actions)
    assert school.service.asking.standing(request.reference, school.service.asking.asker(PUPIL)).mine


def test_whoever_reviewed_cannot_approve(school, officer):
    """One account with both roles is refused; with a waiver by somebody else it is allowed, and recorded by name."""
    both = school.person("both@school.example", Role.OFFICER, Role.HEAD)
    request = school.recommended(both)
    with pytest.raises(NotAllowed, match="reviewed"):
        school.service.approving.approve(both, request.id)
    with pytest.raises(NotAllowed, match="themselves"):
        school.service.people.waive(both, "both@school.example", "nobody else")
    governor = school.person("governor@school.example", Role.GOVERNOR)
    school.service.people.waive(governor, "both@school.example", "The head is the e-safety officer here")
    applied = school.service.approving.approve(both, request.id)
    assert applied.state is State.APPLIED
    assert applied.waiver == "Both: The head is the e-safety officer here"


def test_a_deputy_decides_within_dates(school, officer):
    """A deputy's role counts on its days only."""
    deputy = school.person("deputy@school.example", Role.DEPUTY, last=date(2026, 11, 24))
    request = school.recommended(officer)
    school.clock.forward(days=2)
    late = [one for one in school.service.accounts.listed() if one.email.startswith("deputy")][0]
    with pytest.raises(NotAllowed, match="headteacher"):
        school.service.approving.approve(late.actor(school.service.office.today()), request.id)
    school.clock.forward(days=-2)
    assert school.service.approving.approve(deputy, request.id).state is State.APPLIED
    assert "    approved_by: deputy" in school.added()


def test_a_request_for_less_than_it_is(school, officer, head):
    """`limits` bind: too long, a never target, an unknown network, a page where only names are seen."""
    request = school.ask()
    grant = school.service.queue.case(officer, request.id).grant
    for change, words in (
        ({"until": school.clock.at + timedelta(days=91)}, "90 days"),
        ({"targets": ("dns.google",)}, "limits.never"),
        ({"whom": ("nobody",)}, "no network or device `nobody`"),
        ({"targets": ("blocked.example/page",), "whom": ("guests",)}, "names"),
        ({"during": ("teatime",)}, "no schedule `teatime`"),
        ({"targets": ("locked.example",)}, "never be opened"),
        ({"until": school.clock.at}, "passed"),
    ):
        with pytest.raises(NotGranted, match=words):
            school.service.reviewing.recommend(officer, request.id, replace(grant, **change), "x")
    assert school.service.queue.case(officer, request.id).request.state is State.SUBMITTED


def test_withdrawn_shortened_and_revoked(school, officer, head):
    """Who asked can withdraw, until it is decided; officer and head shorten and end at once, in the file too."""
    first = school.ask("other.example")
    with pytest.raises(NotAllowed):
        school.service.asking.withdraw(first.reference, school.service.asking.asker(OTHER_PUPIL))
    gone = school.service.asking.withdraw(first.reference.lower(), school.service.asking.asker(PUPIL))
    assert gone.state is State.WITHDRAWN
    request = school.recommended(officer)
    school.service.approving.approve(head, request.id)
    sooner = local("2026-11-24T12:00")
    assert school.service.ending.shorten(head, request.id, sooner).publication.problem == ""
    assert '    until: "2026-11-24 12:00"' in school.added()
    revoked = school.service.ending.revoke(officer, request.id, "not used well")
    assert revoked.state is State.REVOKED
    assert school.policy.read_bytes() == school.original
    assert school.service.register.lapsed(head)[0].why == "revoked"
    with pytest.raises(WorkflowError, match="`revoked` cannot become `revoked`"):
        school.service.ending.revoke(officer, request.id, "again")


def test_asked_already(school):
    """The same wish from the same network is one request; a second device counts, twice from one does not."""
    first = school.ask()
    again = school.ask()
    other = school.ask(address=OTHER_PUPIL)
    assert first.id == again.id == other.id
    assert (again.askers, other.askers) == (1, 2)
    assert school.ask(address=STAFF, network="staff").id != first.id


def test_nothing_decided_in_time(school, officer):
    """What nobody decided expires after thirty days, or at the end that was wished for; never earlier."""
    slow = school.ask()
    quick = school.ask("other.example", wanted_until=school.clock.at + timedelta(hours=1))
    school.clock.forward(minutes=59)
    assert school.service.ending.expire_due() == 0
    school.clock.forward(minutes=1)
    assert school.service.ending.expire_due() == 1
    assert school.service.queue.case(officer, quick.id).request.state is State.EXPIRED
    later = school.ask("third.example", address=OTHER_PUPIL)
    grant = replace(
        school.service.queue.case(officer, later.id).grant, until=school.clock.at + timedelta(days=2)
    )
    school.service.reviewing.recommend(officer, later.id, grant, "for two days")
    school.clock.forward(days=2)
    assert school.service.ending.expire_due() == 1
    assert school.service.queue.case(officer, later.id).request.state is State.EXPIRED
    school.clock.forward(days=28)
    assert school.service.ending.expire_due() == 1
    assert school.service.queue.case(officer, slow.id).request.state is State.EXPIRED
    assert SYSTEM.name == "schoolgate"
