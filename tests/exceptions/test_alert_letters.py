"""Letters of alerts, through a real mail server: to whom they concern, one a burst, and on to the next in school hours."""

from datetime import timedelta

import pytest
from policies import local
from postman import Postman
from school import PUPIL, STAFF, School

from schoolgate_exceptions.roles import Role
from schoolgate_exceptions.school_hours import hours_between, is_in_hours
from schoolgate_policy.event import Event, Sighting

FRIDAY_AFTERNOON = local("2026-11-27T16:30")
DSL, HEAD, DEPUTY, OFFICER = (f"{name}@school.example" for name in ("dsl", "head", "deputy", "officer"))


def burst(school: School, address: str = PUPIL) -> list[Event]:
    """Enough attempts of one device for an alert."""
    at = school.clock.at.timestamp()
    return [
        Sighting(at + n, "proxy", "", address, "secret-host.example", name)
        for n, name in enumerate(("vpn", "doh", "web_proxy", "tor"))
    ]


def happen(school: School, *batches: list[Event]) -> None:
    """Have something seen, written and told of."""
    for batch in batches:
        school.service.log.take(batch)
    school.service.log.flush()
    school.service.jobs.run_due()


def received(postman: Postman) -> list[tuple[str, str]]:
    """Return who got what, and empty the post box."""
    found = [(str(one["To"]), str(one["Subject"])) for one in postman.letters]
    postman.letters.clear()
    return found


def waits(school: School, postman: Postman, **amount: float) -> list[str]:
    """Let time pass; return who was written to."""
    school.clock.forward(**amount)
    school.service.jobs.run_due()
    return [to for to, _ in received(postman)]


ATTEMPTS = "Attempts to get round the web filter"


def test_a_letter_goes_to_whom_it_concerns(posting: School, postman: Postman) -> None:
    """A pupil's burst to the DSL, a member of staff's to the head; one letter each, however long it lasts."""
    posting.person(DSL, Role.DSL)
    posting.person(HEAD, Role.HEAD)
    posting.person(OFFICER, Role.OFFICER)
    happen(posting, burst(posting))
    assert received(postman) == [(DSL, ATTEMPTS)]
    happen(posting, burst(posting, STAFF))
    assert received(postman) == [(HEAD, ATTEMPTS)]
    posting.clock.forward(minutes=2)
    happen(posting, burst(posting), burst(posting, STAFF))
    assert received(postman) == []


def test_no_letter_names_anybody(posting: School, postman: Postman) -> None:
    """Neither subject nor text has an address, a pseudonym or a host; the way to see more is to sign in."""
    posting.person(DSL, Role.DSL)
    happen(posting, burst(posting))
    (letter,) = postman.letters
    device = posting.service.devices.pseudonym(PUPIL)
    whole = letter.as_string() + "".join(
        part.get_content() for part in letter.walk() if not part.is_multipart()
    )
    for secret in (PUPIL, device, device[:6], device[:6].upper(), "secret-host", "10.20."):
        assert secret not in whole
    assert "http://portal.example/attempts" in whole
    assert "VPN" in whole


def test_who_acknowledges_in_time_hears_no_more(posting: School, postman: Postman) -> None:
    """An alert that somebody sees to goes no further."""
    dsl = posting.person(DSL, Role.DSL)
    posting.person(HEAD, Role.HEAD)
    happen(posting, burst(posting))
    received(postman)
    (alert,) = posting.service.alerting.listed(dsl, open_only=True)
    posting.service.alerting.acknowledge(dsl, alert.number, "spoken with the class teacher")
    assert waits(posting, postman, hours=5) == []


def test_it_goes_to_the_next_person_in_school_hours_only(posting: School, postman: Postman) -> None:
    """Half past four on a Friday: half an hour counts, the weekend does not; on Monday at half past eleven it is due."""
    posting.person(DSL, Role.DSL)
    posting.person(HEAD, Role.HEAD)
    posting.clock.at = FRIDAY_AFTERNOON
    happen(posting, burst(posting))
    assert received(postman) == [(DSL, ATTEMPTS)]
    assert waits(posting, postman, hours=6) == []  # Friday night
    posting.clock.at = local("2026-11-30T11:29")
    assert waits(posting, postman) == []
    assert waits(posting, postman, minutes=2) == [HEAD]
    assert waits(posting, postman, hours=5) == []  # told on once


@pytest.mark.parametrize(
    ("roles", "address", "first", "then"),
    [
        ({HEAD: Role.HEAD, DEPUTY: Role.DEPUTY}, PUPIL, HEAD, DEPUTY),
        ({DSL: Role.DSL, DEPUTY: Role.DEPUTY}, PUPIL, DSL, "contact-head@school.example"),
        ({DEPUTY: Role.DEPUTY, OFFICER: Role.OFFICER}, STAFF, "contact-head@school.example", DEPUTY),
        ({HEAD: Role.HEAD, OFFICER: Role.OFFICER}, STAFF, HEAD, OFFICER),
        ({DSL: Role.DSL}, STAFF, "contact-head@school.example", "contact-head@school.example"),
    ],
)
def test_somebody_is_always_told(
    posting: School, postman: Postman, roles: dict, address: str, first: str, then: str
) -> None:
    """Where a role has nobody, the next in the chain is told; never the DSL of staff, and never nobody."""
    for email, role in roles.items():
        posting.person(email, role)
    if HEAD in roles and DSL not in roles:
        posting.policy.write_text(posting.policy.read_text().replace(", dsl: contact-dsl@school.example", ""))
    happen(posting, burst(posting, address))
    assert [to for to, _ in received(postman)] == [first]
    assert waits(posting, postman, hours=5) == [then]


def test_one_person_in_two_roles_is_not_told_on_to_herself(posting: School, postman: Postman) -> None:
    """Where the head is the DSL, the next person is the deputy."""
    posting.person(HEAD, Role.HEAD, Role.DSL)
    posting.person(DEPUTY, Role.DEPUTY)
    happen(posting, burst(posting))
    assert [to for to, _ in received(postman)] == [HEAD]
    assert waits(posting, postman, hours=5) == [DEPUTY]


def test_the_time_is_the_policys(posting: School, postman: Postman) -> None:
    """`escalate_after` of policy.yaml, counted in school hours."""
    posting.person(DSL, Role.DSL)
    posting.person(HEAD, Role.HEAD)
    posting.policy.write_text(posting.policy.read_text() + "circumvention: {escalate_after: 1 hour}\n")
    happen(posting, burst(posting))
    received(postman)
    assert waits(posting, postman, minutes=59) == []
    assert waits(posting, postman, minutes=2) == [HEAD]


def test_school_hours(sqlite_only: str, tmp_path) -> None:
    """Eight to five on days on which the school is open; half-open at both ends, through both clock changes."""
    school = School(tmp_path, sqlite_only)
    policy = school.service.office.policy
    school.service.close()
    assert hours_between(policy, local("2026-11-23T07:00"), local("2026-11-23T18:00")) == timedelta(hours=9)
    assert hours_between(policy, local("2026-11-27T16:00"), local("2026-11-30T09:00")) == timedelta(hours=2)
    assert hours_between(policy, local("2026-10-23T16:00"), local("2026-11-02T09:00")) == timedelta(
        hours=2
    )  # half term
    assert hours_between(policy, local("2026-11-23T10:00"), local("2026-11-23T10:00")) == timedelta()
    assert is_in_hours(policy, local("2026-11-23T08:00"))
    assert not is_in_hours(policy, local("2026-11-23T17:00"))
    assert not is_in_hours(policy, local("2026-11-22T10:00"))


RESTRICTED = "A device is under supervision now"


def test_supervision_is_told_to_the_same_people(posting: School, postman: Postman) -> None:
    """Where a burst goes on until its device is restricted, whoever was told of the burst is told of that, once."""
    posting.policy.write_text(
        posting.policy.read_text() + "circumvention: {supervise: 20 in 1 hour, supervise_for: 2 days}\n"
    )
    dsl = posting.person(DSL, Role.DSL)
    posting.person(HEAD, Role.HEAD)
    happen(posting, burst(posting))
    assert received(postman) == [(DSL, ATTEMPTS)]
    for _ in range(8):
        posting.clock.forward(minutes=2)
        happen(posting, burst(posting))
    assert received(postman) == [(DSL, RESTRICTED)]
    assert posting.service.alerting.listed(dsl)[0].supervised


def test_one_letter_where_both_come_at_once(posting: School, postman: Postman) -> None:
    """A burst that is restricted before its letter went out is one letter, which says so."""
    posting.policy.write_text(
        posting.policy.read_text() + "circumvention: {supervise: 6 in 1 hour, supervise_for: 2 days}\n"
    )
    posting.person(DSL, Role.DSL)
    happen(posting, burst(posting))
    (letter,) = postman.letters
    part = letter.get_body(("plain",))
    assert part is not None
    assert "closely supervised pupil" in part.get_content()
