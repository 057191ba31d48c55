"""Nobody both reviews and approves one request, whatever they did with it in between."""

from email.message import EmailMessage

import pytest

from schoolgate_exceptions.errors import NotAllowed
from schoolgate_exceptions.roles import Actor, Role
from schoolgate_exceptions.workflow import State

BOTH = (Role.OFFICER, Role.HEAD)


def text_of(letter: EmailMessage) -> str:
    """Return the plain text of a letter."""
    part = letter.get_body(("plain",))
    assert part is not None
    return part.get_content()


def _recommend(school, actor: Actor, name: str) -> None:
    grant = school.service.queue.case(actor, name).grant
    school.service.reviewing.recommend(actor, name, grant, "fine")


@pytest.mark.parametrize("step", ["take", "ask back", "refer", "recommend", "reconsider"])
def test_any_step_of_the_review_counts(school, officer, step):
    """One account does a part of the review, another one recommends: the first cannot approve; a third can."""
    both = school.person("both@school.example", *BOTH)
    name, reviewing = school.ask().id, school.service.reviewing
    match step:
        case "take":
            reviewing.take(both, name)
        case "ask back":
            reviewing.ask_back(both, name, "Which lesson?")
        case "refer":
            reviewing.refer(both, name)
        case "recommend":
            _recommend(school, both, name)
            reviewing.reconsider(officer, name)
        case "reconsider":
            _recommend(school, officer, name)
            reviewing.reconsider(both, name)
    _recommend(school, officer, name)
    with pytest.raises(NotAllowed, match="reviewed"):
        school.service.approving.approve(both, name)
    head = school.person("head@school.example", Role.HEAD)
    assert school.service.approving.approve(head, name).state is State.APPLIED


def test_a_head_may_send_back_and_then_approve(school, officer, head):
    """To send a recommendation back is a part of the decision: it keeps no head from approving the next one."""
    name = school.ask().id
    _recommend(school, officer, name)
    school.service.reviewing.reconsider(head, name, "too long")
    _recommend(school, officer, name)
    assert school.service.approving.approve(head, name).state is State.APPLIED


def test_who_reviews_with_a_waiver_gets_the_letters(posting, postman):
    """One person in both roles gets no letter to approve by, and with a waiver on record gets it with a link that works."""
    both = posting.person("both@school.example", *BOTH)
    governor = posting.person("governor@school.example", Role.GOVERNOR)
    _recommend(posting, both, posting.ask().id)
    posting.service.jobs.run_due()
    assert not any("/approve/" in text_of(one) for one in postman.letters)
    posting.service.people.waive(governor, "both@school.example", "Nobody else is here")
    name = posting.ask("other.example").id
    _recommend(posting, both, name)
    posting.service.jobs.run_due()
    text = next(text_of(one) for one in postman.letters if "/approve/" in text_of(one))
    token = text.partition("/approve/")[2].split()[0]
    done = posting.service.approving.decide_by_link(token, approve=True, actor=both)
    assert done.waiver == "Both: Nobody else is here"
