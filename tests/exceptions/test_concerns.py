"""What a safeguarding lead is told of: locked lists and subjects for help; once a day, in kind words, and nobody else."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from postman import Postman
from school import MONDAY, OTHER_PUPIL, PUPIL, STAFF, School

from schoolgate_exceptions.errors import NotAllowed
from schoolgate_exceptions.event_tables import alerts
from schoolgate_exceptions.roles import Actor, Role
from schoolgate_exceptions.watch.alerting import Alert
from schoolgate_policy.event import Sighting, Visit

DSL, HEAD, OFFICER = (f"{name}@school.example" for name in ("dsl", "head", "officer"))
KIND = "Somebody may need a kind word"


def visit(school: School, host: str, address: str = PUPIL, reason: str = "rule", after: float = 0) -> Visit:
    """A blocked visit; of what is locked no host is told."""
    at = school.clock.at.timestamp() + after
    network = "staff" if address == STAFF else "pupils"
    return Visit(at, "dns", network, address, host, "block", reason, "policy.yaml:20", "", "")


def happen(school: School, *batch: Visit | Sighting) -> None:
    school.service.log.take(batch)
    school.service.log.flush()
    school.service.jobs.run_due()


def received(postman: Postman) -> list[tuple[str, str]]:
    found = [(str(one["To"]), str(one["Subject"])) for one in postman.letters]
    postman.letters.clear()
    return found


@pytest.fixture
def caring(posting: School) -> School:
    """A school that offers help about two subjects, by a list and by a name."""
    (posting.folder / "harm.txt").write_text("harm.example\n")
    text = posting.policy.read_text().replace(
        "rules:\n", "rules:\n  - block: [list:harm, lonely.example]\n    reason: Help is near\n", 1
    )
    posting.policy.write_text(
        text + "lists:\n  harm: {file: harm.txt}\n"
        "support: {topics: [list:harm, lonely.example], text: Talk to Miss Evans}\n"
    )
    for email, role in ((DSL, Role.DSL), (HEAD, Role.HEAD), (OFFICER, Role.OFFICER)):
        posting.person(email, role)
    return posting


def someone(school: School, *roles: Role) -> Actor:
    return Actor(frozenset(roles), account=1, name="somebody")


def shown(school: School, *roles: Role) -> list[Alert]:
    return school.service.alerting.listed(someone(school, *roles), open_only=True)


@pytest.mark.parametrize(
    ("host", "reason", "kind"),
    [
        ("", "locked", "locked"),
        ("www.harm.example", "rule", "support"),
        ("lonely.example", "rule", "support"),
    ],
)
def test_the_lead_and_nobody_else_is_told(
    caring: School, postman: Postman, host: str, reason: str, kind: str
) -> None:
    """A blocked visit of either kind is one letter to the DSL; the head and the officer neither get nor see anything."""
    happen(caring, visit(caring, host, reason=reason))
    (letter,) = postman.letters
    text = letter.get_body(("plain",)).get_content()
    for word in ("device", "harm", "lonely", PUPIL, "round", "tried", "points"):
        assert word not in text
    assert "999" in text
    assert received(postman) == [(DSL, KIND)]
    assert [one.kind for one in shown(caring, Role.DSL)] == [kind]
    for role in (Role.HEAD, Role.OFFICER, Role.DEPUTY):
        assert shown(caring, role) == []
    (one,) = shown(caring, Role.DSL)
    with pytest.raises(NotAllowed):
        caring.service.alerting.acknowledge(someone(caring, Role.HEAD), one.number)


def test_once_for_a_device_and_day(caring: School, postman: Postman) -> None:
    """However often and of whatever kind, a device is told of once a day; another device, and tomorrow, are others."""
    happen(caring, visit(caring, "harm.example"))
    happen(caring, visit(caring, "lonely.example", after=100), visit(caring, "", reason="locked", after=200))
    assert received(postman) == [(DSL, KIND)]
    happen(caring, visit(caring, "harm.example", OTHER_PUPIL))
    assert received(postman) == [(DSL, KIND)]
    for one in shown(caring, Role.DSL):
        caring.service.alerting.acknowledge(someone(caring, Role.DSL), one.number)
    caring.clock.forward(days=1)
    happen(caring, visit(caring, "harm.example"))
    assert received(postman) == [(DSL, KIND)]


def test_other_blocks_concern_nobody(caring: School, postman: Postman) -> None:
    """A game, a page for help, and what the firewall refuses raise nothing; attempts do not count this as theirs."""
    happen(caring, visit(caring, "blocked.example"), visit(caring, "childline.org.uk")._replace(category="safeguarding"),
           Sighting(caring.clock.at.timestamp(), "firewall", "pupils", PUPIL, "", "quic"))  # fmt: skip
    assert received(postman) == []
    happen(caring, visit(caring, "harm.example"))
    assert caring.service.evidence.alerts(MONDAY - timedelta(1), MONDAY + timedelta(1)).raised == 0


def test_what_nobody_sees_to_is_told_the_lead_again(caring: School, postman: Postman) -> None:
    """After the time for alerts the lead gets the letter once more, and still nobody else does; seen is seen."""
    happen(caring, visit(caring, "harm.example"), visit(caring, "harm.example", OTHER_PUPIL))
    received(postman)
    lead = someone(caring, Role.DSL)
    caring.service.alerting.acknowledge(lead, shown(caring, Role.DSL)[0].number, "spoken with")
    caring.clock.forward(hours=5)
    caring.service.jobs.run_due()
    assert [to for to, subject in received(postman) if subject == KIND] == [DSL]
    assert len(shown(caring, Role.DSL)) == 1


def test_staff_too_is_for_the_lead(caring: School, postman: Postman) -> None:
    """Also of staff the lead alone is told; to look behind the pseudonym of a member of staff is for the head."""
    happen(caring, visit(caring, "", STAFF, reason="locked"))
    assert received(postman) == [(DSL, KIND)]
    (one,) = shown(caring, Role.DSL)
    assert one.is_staff
    with caring.service.office.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(alerts)).scalar() == 1
