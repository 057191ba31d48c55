"""The log of events: one event for one attempt, counted, scored, kept no longer than allowed, naming nobody."""

import itertools
import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa
from school import MONDAY, OTHER_PUPIL, PUPIL, STAFF, School

from schoolgate_exceptions.errors import InvalidInput, NotAllowed, NotFound, Unavailable
from schoolgate_exceptions.event_tables import alerts, event_devices, events, visit_counts
from schoolgate_exceptions.mails import Letter
from schoolgate_exceptions.roles import SYSTEM, Actor, Role
from schoolgate_exceptions.tables import outbox
from schoolgate_policy.event import Bell, Event, Fault, Sighting, Visit
from schoolgate_policy.technique import Technique
from schoolgate_policy.technique_table import weight

AT = MONDAY.timestamp()
HOUR = timedelta(hours=1)
SCORED = [one for one in Technique if weight(one)]


def visit(host: str = "www.instagram.com", address: str = PUPIL, after: float = 0, **more: object) -> Visit:
    """A blocked visit, some seconds after the start."""
    made = Visit(AT + after, "dns", "pupils", address, host, "block", "rule", "policy.yaml:20", "", "")
    return made._replace(**more)


def sighting(
    technique: str = "doh", address: str = PUPIL, after: float = 0, host: str = "dns.google"
) -> Sighting:
    """A way round the filter, some seconds after the start."""
    return Sighting(AT + after, "dns", "", address, host, technique)


def log(school: School, *batch: Event) -> list[dict]:
    """Take events, write them, return the rows."""
    school.service.log.take(batch)
    school.service.log.flush()
    return rows(school)


def rows(school: School) -> list[dict]:
    with school.service.office.read() as connection:
        query = sa.select(events).order_by(events.c.at, events.c.number)
        return [dict(row._mapping) for row in connection.execute(query)]


def letters(school: School) -> list[tuple[str, str]]:
    with school.service.office.read() as connection:
        query = sa.select(outbox.c.letter, outbox.c.recipient).order_by(outbox.c.number)
        return [(row.letter, row.recipient) for row in connection.execute(query)]


def alert_rows(school: School) -> list[dict]:
    with school.service.office.read() as connection:
        return [dict(row._mapping) for row in connection.execute(sa.select(alerts).order_by(alerts.c.number))]


def set_policy(school: School, line: str) -> None:
    """Add a line to the policy."""
    school.policy.write_text(school.policy.read_text() + line + "\n")


@pytest.fixture
def quick(tmp_path, sqlite_only: str) -> Iterator[School]:
    """A school on SQLite only, for what does not touch the database's own ways."""
    school = School(tmp_path, sqlite_only)
    yield school
    school.service.close()


def test_retries_of_one_visit_are_one_event(school: School) -> None:
    """Both address families, retries and subdomains of a site within a minute are one row with a count."""
    found = log(
        school, visit(), visit(after=1), visit("m.instagram.com", after=30, times=4), visit("x.com", after=2)
    )
    assert [(one["host"], one["times"]) for one in found] == [("www.instagram.com", 6), ("x.com", 1)]
    found = log(school, visit(after=50), visit(after=61))
    assert [one["times"] for one in found if "instagram" in one["host"]] == [7, 1]
    assert found[0]["last_at"] - found[0]["at"] == timedelta(seconds=50)


def test_prefetches_of_one_page_are_one_attempt(quick: School) -> None:
    """A page with links to many VPN services makes a browser look all of them up: one attempt, seen by both layers."""
    names = [f"vpn{n}.example" for n in range(10)]
    seen = [visit(name, after=n / 10, category="vpn") for n, name in enumerate(names)]
    seen_twice = [sighting("vpn", after=1 + n / 10, host=name) for n, name in enumerate(names)]
    (found,) = log(quick, *seen, *seen_twice)
    assert (found["technique"], found["points"], found["times"]) == ("vpn", 2, 20)
    assert (found["reason"], found["source"], found["category"]) == ("rule", "policy.yaml:20", "vpn")
    (counted,) = quick.service.evidence.attempts(MONDAY - HOUR, MONDAY + HOUR)
    assert (counted.key, counted.count, counted.sightings) == (("vpn",), 1, 10)


def test_attempts_are_counted_folded(quick: School) -> None:
    """Whoever counts for Prometheus hears of an attempt once, however often and on whichever layer it was seen."""
    heard: list[tuple[str, str]] = []
    quick.service.log.attempted = lambda technique, network: heard.append((technique, network))
    names = [visit(f"vpn{n}.example", after=n, category="vpn") for n in range(10)]
    log(quick, *names, *(sighting("vpn", after=n) for n in range(10)), sighting("tor"), visit())
    assert heard == [("vpn", "pupils"), ("tor", "pupils")]


def test_rows_name_no_device(school: School) -> None:
    """A row holds a keyed pseudonym; the address stands nowhere in the database but sealed."""
    (found,) = log(school, visit())
    assert found["device"] == school.service.devices.pseudonym(PUPIL)
    assert len(found["device"]) == 32
    with school.service.office.read() as connection:
        everything = [
            str(row) for table in (events, event_devices) for row in connection.execute(sa.select(table))
        ]
    assert everything
    assert not any(PUPIL in one for one in everything)


def test_allowed_visits_are_counted_only(school: School) -> None:
    """Counts by hour always; a row of an allowed visit only where the policy says `record: everything`."""
    allowed = visit("news.example", verdict="allow", reason="otherwise", times=5)
    assert log(school, allowed, allowed) == []
    (counted,) = school.service.evidence.visits(MONDAY - HOUR, MONDAY + HOUR)
    assert (counted.key, counted.count) == (("allow",), 10)
    text = school.policy.read_text().replace("privacy: {", "privacy: {record: everything, ")
    school.policy.write_text(text)
    assert [one["host"] for one in log(school, allowed)] == ["news.example"]


def test_places_that_help_are_never_kept(quick: School) -> None:
    """Whoever looks for help leaves no row and no name of a service, whatever the policy says."""
    text = quick.policy.read_text().replace("privacy: {", "privacy: {record: everything, ")
    quick.policy.write_text(text)
    helping = visit("childline.org.uk", verdict="allow", service="childline", category="safeguarding")
    assert log(quick, helping) == []
    with quick.service.office.read() as connection:
        (row,) = connection.execute(sa.select(visit_counts))
    assert (row.service, row.category, row.times) == ("", "", 1)


def test_attribution_is_told(quick: School) -> None:
    """A machine the policy names is surer than an address, an address surer than one of no network."""
    found = log(
        quick, visit("a.example", "10.10.0.20"), visit("a.example", PUPIL), visit("a.example", "192.0.2.1")
    )
    assert [one["attribution"] for one in found] == ["named", "address", "unknown"]


def test_an_event_from_the_future_is_not_kept(quick: School) -> None:
    """A clock that is far ahead would move a device's score; what it says is counted as lost."""
    lost: list[int] = []
    quick.service.log.lost = lost.append
    assert log(quick, visit(after=3_600)) == []
    assert lost == [1]


def test_counts_add_up_over_batches(school: School) -> None:
    """What is counted is added to what is there, by the hour and for each label."""
    for _ in range(3):
        log(school, visit(times=2), visit(after=-3_600), Fault(AT, "dns", "upstream", "OSError"))
    evidence = school.service.evidence
    by_hour = evidence.visits(MONDAY - 2 * HOUR, MONDAY + HOUR, ("day", "hour", "people", "verdict"))
    assert [(one.key, one.count) for one in by_hour] == [
        (("2026-11-23", "10", "pupil", "block"), 6),
        (("2026-11-23", "09", "pupil", "block"), 3),
    ]
    assert evidence.visits(MONDAY - HOUR / 2, MONDAY + HOUR, (), verdict="block")[0].count == 6
    assert evidence.visits(MONDAY - HOUR, MONDAY + HOUR, (), verdict="allow") == []
    assert [(one.key, one.count) for one in evidence.faults(MONDAY - HOUR, MONDAY + HOUR)] == [
        (("upstream",), 3)
    ]
    with pytest.raises(ValueError, match="cannot count by `device`"):
        evidence.visits(MONDAY, MONDAY + HOUR, ("device",))


def test_bells_are_kept(quick: School) -> None:
    """When which policy came into force where can be shown."""
    log(quick, Bell(AT, "dns", "policy", "abc"), Bell(AT + 1, "proxy", "policy", "abc"))
    found = quick.service.evidence.policy_changes(MONDAY - HOUR, MONDAY + HOUR)
    assert [(point, name) for _, point, name in found] == [("dns", "abc"), ("proxy", "abc")]


def test_a_burst_alerts_once(school: School) -> None:
    """Five points in ten minutes: one alert, one letter, however long the burst lasts; a later burst is another."""
    ways = itertools.cycle(["doh", "vpn", "web_proxy"])
    log(school, *(sighting(next(ways), after=n) for n in range(2)))
    assert alert_rows(school) == []
    log(school, *(sighting(next(ways), after=n) for n in range(2, 40)))
    (alert,) = alert_rows(school)
    assert (alert["points"], alert["people"], alert["network"]) == (5, "pupil", "pupils")
    assert alert["techniques"] == {"doh": 1, "vpn": 1, "web_proxy": 1}
    school.clock.forward(minutes=3)
    log(school, *(sighting(next(ways), after=180 + n) for n in range(20)))
    assert len(alert_rows(school)) == 1
    assert letters(school) == [(Letter.ALERT, "contact-dsl@school.example")]
    school.clock.forward(minutes=20)
    log(school)
    assert alert_rows(school)[0]["ended_at"] is not None
    log(school, *(sighting(next(ways), after=1_400 + n) for n in range(9)))
    assert len(alert_rows(school)) == 2


def test_background_noise_scores_nothing(quick: School) -> None:
    """What devices do by themselves is counted, and no alert comes of any amount of it."""
    noise = [one for one in Technique if not weight(one)]
    for minute in range(30):
        quick.clock.forward(minutes=1)
        log(quick, *(sighting(one, after=60 * minute) for one in noise))
    assert alert_rows(quick) == []
    assert sum(one["points"] for one in rows(quick)) == 0


def test_each_technique_is_told_apart(quick: School) -> None:
    """Every way in the table becomes an attempt of its own name."""
    found = log(quick, *(sighting(one, after=n / 10) for n, one in enumerate(Technique)))
    assert {one["technique"] for one in found} == set(Technique)
    assert len(found) == len(Technique)


def test_staff_are_the_heads_business(school: School) -> None:
    """An alert about staff goes to the headteacher, and a safeguarding lead does not see it."""
    log(school, *(sighting(one, STAFF, after=n) for n, one in enumerate(SCORED[:8])))
    assert letters(school) == [(Letter.ALERT, "contact-head@school.example")]
    dsl, head = school.person("dsl@school.example", Role.DSL), school.person("head@school.example", Role.HEAD)
    assert school.service.alerting.listed(dsl) == []
    (one,) = school.service.alerting.listed(head)
    with pytest.raises(NotAllowed):
        school.service.alerting.acknowledge(dsl, one.number)
    with pytest.raises(NotAllowed):
        school.service.watched.file(dsl, one.device, "just curious", MONDAY - HOUR, MONDAY + HOUR)
    assert school.service.watched.devices(dsl, MONDAY - HOUR, MONDAY + HOUR) == []


def test_an_alert_nobody_sees_goes_on(school: School) -> None:
    """After four hours somebody else is told, once; an alert that was acknowledged goes no further."""
    log(school, *(sighting(one, after=n) for n, one in enumerate(SCORED[:8])))
    log(school, *(sighting(one, OTHER_PUPIL, after=n) for n, one in enumerate(SCORED[:8])))
    dsl = school.person("dsl@school.example", Role.DSL)
    first = school.service.alerting.listed(dsl)[-1]
    waited: list[float] = []
    school.service.alerting.acknowledged = waited.append
    done = school.service.alerting.acknowledge(dsl, first.number, "spoken with the class teacher")
    assert (done.acknowledged_by, done.note) == (dsl.account, "spoken with the class teacher")
    assert waited == [0.0]
    assert school.service.alerting.escalate_due() == 0
    school.clock.forward(hours=4, minutes=1)
    assert school.service.alerting.escalate_due() == 1
    assert school.service.alerting.escalate_due() == 0
    assert letters(school)[-1] == (Letter.ALERT_AGAIN, "contact-head@school.example")
    facts = school.service.evidence.alerts(MONDAY - HOUR, MONDAY + HOUR)
    assert (facts.raised, facts.acknowledged, facts.escalated) == (2, 1, 1)
    with school.service.office.read() as connection:
        actions = [one.action for one in school.service.office.audit.entries(connection)]
    assert actions.count("alert.raised") == 2
    assert "alert.acknowledged" in actions


def test_a_score_supervises_by_itself(school: School) -> None:
    """Where the policy says so a pupil's device comes under supervision; a device of staff never does."""
    set_policy(school, "circumvention: {supervise: 12 in 1 hour, supervise_for: 2 days}")
    for address in (PUPIL, STAFF):
        log(school, *(sighting(one, address, after=n) for n, one in enumerate(SCORED)))
    written = json.loads((school.folder / "state" / "sanctions.json").read_text())["sanctions"]
    assert [one["address"] for one in written] == [PUPIL]
    assert written[0]["until"] == (MONDAY + timedelta(days=2)).isoformat()
    assert [one["supervised"] for one in alert_rows(school)] == [True, False]
    facts = school.service.evidence.sanctions(MONDAY - HOUR, MONDAY + HOUR)
    assert (facts.imposed, facts.by_score) == (1, 1)


def test_a_restart_loses_neither_score_nor_alert(school: School) -> None:
    """Another process takes up the scores and the open alerts where the one before left off."""
    log(school, sighting("doh"), sighting("vpn", after=1))
    school.service.close()
    school.service = school.build()
    log(school, sighting("web_proxy", after=2))
    assert len(alert_rows(school)) == 1
    school.service.close()
    school.service = school.build()
    log(school, *(sighting(one, after=3 + n) for n, one in enumerate(SCORED)))
    assert len(alert_rows(school)) == 1
    assert len({one["number"] for one in rows(school)}) == len(rows(school))


def test_looking_behind_a_pseudonym_needs_a_role_and_a_reason(school: School) -> None:
    """The address of a device is shown to those who may, with a reason, and the audit tells of it."""
    (found,) = log(school, sighting("tor"))
    dsl = school.person("dsl@school.example", Role.DSL)
    with pytest.raises(InvalidInput):
        school.service.watched.file(dsl, found["device"], "", MONDAY - HOUR, MONDAY + HOUR)
    governor = school.person("governor@school.example", Role.GOVERNOR)
    with pytest.raises(NotAllowed):
        school.service.watched.file(governor, found["device"], "to know", MONDAY - HOUR, MONDAY + HOUR)
    seen = school.service.watched.file(dsl, found["device"], "case 12", MONDAY - HOUR, MONDAY + HOUR)
    assert (seen.address, seen.network, seen.seen[0].technique) == (PUPIL, "pupils", "tor")
    with school.service.office.read() as connection:
        (entry,) = school.service.office.audit.entries(connection, subject=found["device"])
    assert (entry.action, entry.role, entry.details) == ("device.identified", "dsl", {"reason": "case 12"})
    with pytest.raises(NotFound):
        school.service.watched.file(dsl, "0" * 32, "case 12", MONDAY - HOUR, MONDAY + HOUR)


def test_events_are_purged_and_a_hold_keeps_a_case(school: School) -> None:
    """After their period rows and sealed addresses are gone, which is proved; a held device's stay until released."""
    log(school, sighting("tor"), sighting("tor", OTHER_PUPIL), visit("x.example"))
    dsl, held = school.person("dsl@school.example", Role.DSL), school.service.devices.pseudonym(OTHER_PUPIL)
    school.service.devices.hold(dsl, held, "police case 7")
    school.clock.forward(days=31)
    proof = {one.what: one for one in school.service.retention.purge()}
    assert all(one.is_proved for one in proof.values())
    assert (proof["events"].removed, proof["events"].left, proof["events"].held) == (2, 1, 1)
    assert (proof["devices"].removed, proof["devices"].left) == (1, 1)
    assert [one["device"] for one in rows(school)] == [held]
    assert school.service.evidence.attempts(MONDAY - HOUR, MONDAY + HOUR)[0].count == 2
    school.service.devices.release(dsl, held, "closed")
    proof = {one.what: one for one in school.service.retention.purge()}
    assert (proof["events"].left, proof["devices"].left) == (0, 0)
    school.clock.forward(days=2 * 366)
    school.service.retention.purge()
    assert school.service.evidence.attempts(MONDAY - HOUR, MONDAY + HOUR) == []


def test_a_locked_database_loses_nothing(tmp_path, sqlite_only: str) -> None:
    """What could not be written is written the next time."""
    school = School(tmp_path, sqlite_only, busy_ms=50)
    school.service.log.take([sighting("tor"), sighting("vpn", after=1)])
    with school.service.office.write(), pytest.raises(Unavailable):
        school.service.log.flush()
    school.service.log.take([sighting("tor", after=2)])
    school.service.log.flush()
    assert [(one["technique"], one["times"]) for one in rows(school)] == [("tor", 2), ("vpn", 1)]
    assert len(alert_rows(school)) == 1
    school.service.close()


def test_times_are_listed_for_a_picture(quick: School) -> None:
    """Attempts come as they happened, of one technique or network where it is asked for."""
    log(quick, sighting("tor"), sighting("vpn", OTHER_PUPIL, after=1), sighting("doh", STAFF, after=2))
    officer: Actor = quick.person("officer@school.example", Role.OFFICER)
    look = quick.service.watched
    assert [one.technique for one in look.times(officer, MONDAY - HOUR, MONDAY + HOUR)] == [
        "tor",
        "vpn",
        "doh",
    ]
    assert len(look.times(officer, MONDAY - HOUR, MONDAY + HOUR, network="pupils")) == 2
    (one,) = look.devices(officer, MONDAY - HOUR, MONDAY + HOUR, technique="vpn")
    assert (one.attempts, one.points, one.techniques) == (1, 2, ("vpn",))
    assert quick.service.retention.purge(SYSTEM)


def test_a_hold_is_for_those_who_may_see_the_device(school: School) -> None:
    """The DSL neither holds nor releases a device of staff, nobody does without a reason or for what does not exist."""
    log(school, sighting("tor"), sighting("tor", STAFF))
    dsl, head = school.person("dsl@school.example", Role.DSL), school.person("head@school.example", Role.HEAD)
    devices = school.service.devices
    staff, pupil = devices.pseudonym(STAFF), devices.pseudonym(PUPIL)
    devices.hold(head, staff, "a case of staff")
    for act in (devices.hold, devices.release):
        with pytest.raises(NotAllowed):
            act(dsl, staff, "curious")
        with pytest.raises(InvalidInput):
            act(head, staff, " ")
        with pytest.raises(NotFound):
            act(head, "0" * 32, "no such thing")
        with pytest.raises(NotAllowed):
            act(school.person(f"{act.__name__}@school.example", Role.GOVERNOR), pupil, "curious")
    with school.service.office.read() as connection:
        assert devices.held(connection) == {staff}
    devices.release(head, staff, "closed")
    with school.service.office.read() as connection:
        assert devices.held(connection) == frozenset()


def test_an_alert_keeps_an_address_only_while_nobody_has_looked(school: School) -> None:
    """Annex, purge and proof say the same: an address goes with its events unless an alert waits or a hold keeps it."""
    for address in (PUPIL, OTHER_PUPIL, "10.20.0.7"):
        log(school, *(sighting(one, address, after=n) for n, one in enumerate(SCORED[:8])))
    dsl = school.person("dsl@school.example", Role.DSL)
    seen, unseen, held = (school.service.devices.pseudonym(one) for one in (PUPIL, OTHER_PUPIL, "10.20.0.7"))
    for one in school.service.alerting.listed(dsl):
        if one.device != unseen:
            school.service.alerting.acknowledge(dsl, one.number)
    school.service.devices.hold(dsl, held, "police case 7")
    school.clock.forward(days=31)
    proof = {one.what: one for one in school.service.retention.purge()}
    assert all(one.is_proved for one in proof.values())
    with school.service.office.read() as connection:
        left = set(connection.execute(sa.select(event_devices.c.device)).scalars())
    assert left == {unseen, held}
    assert len(alert_rows(school)) == 3
    with pytest.raises(NotFound):
        school.service.watched.file(dsl, seen, "case 12", MONDAY - HOUR, MONDAY + HOUR)
    for one in school.service.alerting.listed(dsl, open_only=True):
        school.service.alerting.acknowledge(dsl, one.number)
    assert {one.what: one for one in school.service.retention.look()}["devices"].is_proved is False
    school.service.retention.purge()
    assert {one.what: one for one in school.service.retention.look()}["devices"].is_proved
    text = school.service.papers.hand_over(school.service.papers.annex(SYSTEM, "text"), "text").decode()
    assert "30 days after it was last seen; longer while nobody has looked at an alert of it" in text


def test_a_sanction_lifted_by_hand_stays_lifted_after_a_restart(school: School) -> None:
    """Another process knows who was supervised for this burst, so one more attempt brings no sanction back."""
    set_policy(school, "circumvention: {supervise: 12 in 1 hour, supervise_for: 2 days}")
    officer = school.person("officer@school.example", Role.OFFICER)
    log(school, *(sighting(one, after=n) for n, one in enumerate(SCORED)))
    (imposed,) = school.service.sanctioning.listed(officer)
    school.service.sanctioning.lift(officer, imposed.number, "a misunderstanding")
    school.service.close()
    school.service = school.build()
    log(school, sighting(SCORED[0], after=200), sighting(SCORED[1], after=260))
    assert school.service.sanctioning.listed(officer) == []
