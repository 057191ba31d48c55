"""The evidence against the standards: every point is judged, and none is met where its proof is missing."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from school import MONDAY, School

from schoolgate_exceptions.errors import NotAllowed
from schoolgate_exceptions.papers import judging_dfe, judging_uksic, risks, standards
from schoolgate_exceptions.papers.box import FirewallState, PartState, UnknownBox
from schoolgate_exceptions.papers.checks import Check, NoChecks
from schoolgate_exceptions.papers.desk import PAPER_FORMS
from schoolgate_exceptions.papers.facts import FactFinder, Facts
from schoolgate_exceptions.papers.standards import asked
from schoolgate_exceptions.papers.standing import Stands
from schoolgate_exceptions.roles import SYSTEM, Role
from schoolgate_policy.catalogue_installed import load_catalogue
from schoolgate_policy.engine import Engine
from schoolgate_policy.lists.spec import Counts, ListSpec, ListStatus, Standing
from schoolgate_policy.model import Review, Support, Target, TargetKind

# What hangs on the lists of illegal images and of terrorist content.
ON_IMAGES = {"iwf-member", "iwf-list", "cannot-be-switched-off", "illegal-always-on"}
ON_TERROR = {"terrorist-list", "prevent-duty", "cannot-be-switched-off", "illegal-always-on"}


def finder(school: School) -> FactFinder:
    one = school.service
    return FactFinder(one.office, one.evidence, one.retention, one.accounts, one.policy, one.outbox)


@pytest.fixture
def quick(tmp_path, sqlite_only: str) -> Iterator[School]:
    """A school on SQLite."""
    school = School(tmp_path, sqlite_only)
    yield school
    school.service.close()


@pytest.fixture
def facts(quick: School) -> Facts:
    """What is found in a school where nothing was set up."""
    return finder(quick).look(UnknownBox(), NoChecks())


def stands(facts: Facts) -> dict[str, Stands]:
    return {one.id: one.stands for one in standards.judge(facts)}


def with_lists(facts: Facts, *lists: ListStatus) -> Facts:
    return replace(facts, engine=Engine(replace(facts.policy, list_status=lists)))


def status(
    name: str, names: int = 1_000, standing: Standing = Standing.IN_USE, age: float = 1, *, url: bool = True
) -> ListStatus:
    spec = ListSpec(
        name, locked=True, url="https://lists.example/x" if url else None, file=None if url else "x.txt"
    )
    dated = MONDAY.astimezone(UTC) - timedelta(hours=age)
    return ListStatus(spec, standing, Counts("domains", names) if names else None, "0" * 12, dated)


def test_every_point_is_judged_by_a_function_of_its_name(facts: Facts) -> None:
    """The table and the functions say the same points; each has proof, and what is not met says what to do."""
    for table, module in (("uksic", judging_uksic), ("dfe", judging_dfe)):
        points = {one.id.replace("-", "_") for one in asked() if one.table == table}
        judges = {
            name
            for name, one in vars(module).items()
            if callable(one)
            and getattr(one, "__module__", "") == module.__name__
            and not name.startswith("_")
        }
        assert points == judges
    assert len(asked()) == 50
    for one in standards.judge(facts):
        assert one.proof, one.id
        assert all(line and not line.endswith(".") for line in one.proof), one.id
        assert bool(one.do) is (one.stands is Stands.NOT_MET), one.id


def test_every_category_has_its_areas_of_risk(facts: Facts) -> None:
    """Each category of the catalogue is sorted by the four areas of KCSIE; the proof names what is ruled for each area."""
    assert set(risks.by_category()) == set(load_catalogue().categories)
    assert {area for areas in risks.by_category().values() for area in areas} == set(risks.AREAS)
    found = risks.ruled(facts)
    judged = judging_dfe.four_risks(facts)
    assert [line.partition(":")[0] for line in judged.proof] == list(risks.AREAS)
    assert judged.stands is Stands.NOT_MET
    assert set(found) == set(risks.AREAS)


def test_self_harm_is_met_only_where_somebody_hears_of_it(quick: School, facts: Facts) -> None:
    """Help on the block page is half of it: without a lead and a mail host nobody would be told."""
    topics = Support((Target(TargetKind.SERVICE, "instagram"),), "Talk to us")
    ready = replace(facts, engine=Engine(replace(facts.policy, support=topics)), roles={Role.DSL: 1})
    assert judging_dfe.self_harm(replace(ready, sends_letters=False)).stands is Stands.NOT_MET
    assert judging_dfe.self_harm(replace(ready, sends_letters=True)).stands is Stands.MET


def test_nothing_hangs_on_a_school_where_nothing_was_set_up(facts: Facts) -> None:
    """Without accounts, firewall, checks and lists the points that need them are not met."""
    found = stands(facts)
    for point in ("network-level", "checks", "where-to-check", "roles", "acting-on-reports", "yearly-review", "circumvention",
                  "record-fields", "understandable-reports", "apps", "safe-search", "self-harm", *ON_TERROR):  # fmt: skip
        assert found[point] is Stands.NOT_MET, point


@settings(max_examples=60, deadline=None)
@given(
    images=st.sampled_from(["none", "empty", "stale", "kept", "not fetched", "old file", "short", "good"]),
    terror=st.sampled_from(["none", "empty", "stale", "kept", "not fetched", "old file", "short", "good"]),
)
def test_never_met_where_a_locked_list_is_empty_or_stale(images: str, terror: str) -> None:
    """Whatever is wrong with a list of illegal content, no point that hangs on it is met; with both good ones they are."""
    made = []
    for name, how in (("iwf", images), ("police", terror)):
        match how:
            case "empty":
                made.append(status(name, 0, Standing.NOT_SUPPLIED))
            case "stale":
                made.append(status(name, age=24 * 4))
            case "kept":
                made.append(status(name, standing=Standing.KEPT))
            case "not fetched":
                made.append(status(name, standing=Standing.NOT_FETCHED))
            case "old file":
                made.append(status(name, age=24 * 8, url=False))
            case "short":
                made.append(status(name, 99))
            case "good":
                made.append(status(name))
    seen = with_lists(_FACTS[0], *made)
    found = {one.id: one.judge(seen).stands for one in asked() if one.id in ON_IMAGES | ON_TERROR}
    if images != "good":
        assert not {found[one] for one in ON_IMAGES} & {Stands.MET}
        assert found["iwf-member"] is Stands.NOT_MET
    if terror != "good":
        assert not {found[one] for one in ON_TERROR} & {Stands.MET}
    if images == terror == "good":
        assert {found[one] for one in (ON_IMAGES | ON_TERROR) - {"iwf-member"}} == {Stands.MET}
        assert found["iwf-member"] is Stands.NOT_OURS


_FACTS: list[Facts] = []


@pytest.fixture(autouse=True)
def _remembered(facts: Facts) -> Iterator[None]:
    """Hold the facts for the property, which hypothesis may not ask a fixture for."""
    _FACTS[:] = [facts]
    yield
    _FACTS.clear()


def test_another_empty_locked_list_spoils_the_lock(facts: Facts) -> None:
    """A third locked slot that is empty is enough for `cannot be switched off` not to be met."""
    good = with_lists(facts, status("iwf"), status("police"))
    assert stands(good)["cannot-be-switched-off"] is Stands.MET
    assert (
        stands(with_lists(facts, *good.policy.list_status, status("more", 0)))["cannot-be-switched-off"]
        is Stands.NOT_MET
    )


def test_entries_of_locked_lists_are_never_shown(quick: School) -> None:
    """No form of the evidence has an entry of a locked list."""
    for form in PAPER_FORMS:
        papers = quick.service.papers
        assert b"locked.example" not in papers.hand_over(papers.evidence(SYSTEM, form), form)


def test_the_network_level_needs_interfaces_and_a_firewall(facts: Facts) -> None:
    """All networks and a loaded firewall are needed; an unknown device has to count as a pupil."""
    whole = replace(facts, interfaces=frozenset(facts.policy.networks), firewall=FirewallState(True, 12))
    assert stands(whole)["network-level"] is stands(whole)["all-users"] is Stands.MET
    for less in (
        replace(whole, interfaces=frozenset({"pupils"})),
        replace(whole, firewall=FirewallState(False, problem="no")),
    ):
        assert stands(less)["network-level"] is stands(less)["all-users"] is Stands.NOT_MET
    staff = replace(whole, engine=Engine(replace(whole.policy, unknown_clients="staff")))
    assert stands(staff)["all-users"] is Stands.NOT_MET


def test_checks_are_fresh_good_and_from_everywhere(facts: Facts) -> None:
    """A check of a week ago proves nothing, a broken one neither; each network has to be looked at."""

    def at(
        days: float,
        kept: int = 10,
        broken: int = 0,
        networks: tuple[str, ...] = ("staff", "pupils", "guests"),
    ) -> Facts:
        return replace(facts, checks=(Check(MONDAY - timedelta(days=days), networks, kept, broken),))

    assert stands(at(1))["checks"] is stands(at(1))["where-to-check"] is Stands.MET
    assert stands(at(8))["checks"] is Stands.NOT_MET
    assert stands(at(1, broken=1))["checks"] is Stands.NOT_MET
    assert stands(at(1, kept=0))["checks"] is Stands.NOT_MET
    assert stands(at(1, networks=("pupils",)))["where-to-check"] is Stands.NOT_MET


@pytest.mark.parametrize(
    ("approved", "due", "met"),
    [("2026-09-01", "2027-09-01", True), ("2025-09-01", "2027-09-01", False), ("2026-01-01", "2026-11-22", False),
     ("2027-01-01", "2027-09-01", False)],
)  # fmt: skip
def test_the_review(facts: Facts, approved: str, due: str, met: bool) -> None:
    """Approved within a year, not in the future, and not overdue."""
    review = Review("Governors", date.fromisoformat(approved), date.fromisoformat(due))
    judged = stands(replace(facts, engine=Engine(replace(facts.policy, review=review))))
    assert (judged["yearly-review"] is Stands.MET) is met


def test_a_changed_audit_is_found(quick: School) -> None:
    """Where a row of the audit was changed, the record of decisions is not met, and the evidence says which row."""
    quick.person("somebody@school.example", Role.TEACHER)
    with quick.service.office.write() as connection:
        connection.exec_driver_sql("DROP TRIGGER IF EXISTS audit_keeps_rows")
        for name in (
            connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            .scalars()
            .all()
        ):
            connection.exec_driver_sql(f'DROP TRIGGER "{name}"')
        connection.exec_driver_sql("UPDATE audit SET body = '{}' WHERE number = 1")
    found = next(
        one
        for one in standards.judge(finder(quick).look(UnknownBox(), NoChecks()))
        if one.id == "record-of-decisions"
    )
    assert found.stands is Stands.NOT_MET
    assert "row 1 of the audit was changed" in found.proof


def test_a_school_that_has_everything(quick: School) -> None:
    """With accounts, a firewall, checks, a report and certificates the points are met by what was found, not by promise."""
    roles = (Role.OFFICER, Role.HEAD, Role.DSL, Role.GOVERNOR, Role.TECHNICIAN)
    for number, role in enumerate(roles):
        quick.person(f"p{number}@school.example", role)
    quick.service.papers.report(SYSTEM, None, None, "text")
    found = finder(quick).look(UnknownBox(), NoChecks())
    whole = replace(
        found,
        interfaces=frozenset(found.policy.networks), firewall=FirewallState(True), parts=(PartState("dns"), PartState("proxy")),
        checks=(Check(found.now, ("staff", "pupils", "guests"), 9, 0),), sends_letters=True,
    )  # fmt: skip
    judged = stands(whole)
    for point in ("roles", "control", "reporting-mechanism", "understandable-reports", "filtering-policy", "record-of-decisions",
                  "acting-on-reports", "network-level", "checks", "no-blanket-profile"):  # fmt: skip
        assert judged[point] is Stands.MET, point
    assert judged["apps"] is Stands.NOT_MET, "there is no certificate"
    waiting = replace(whole, alerts_waiting=found.now - timedelta(hours=5))
    assert stands(waiting)["acting-on-reports"] is Stands.NOT_MET


def test_who_may_see_it_and_its_forms(school: School) -> None:
    """Governors and the DPO may, teachers may not; JSON has a line for each point; it is noted in the audit."""
    papers = school.service.papers
    with pytest.raises(NotAllowed):
        papers.evidence(school.person("t@school.example", Role.TEACHER), "json")
    dpo = school.person("d@school.example", Role.DPO)
    read = json.loads(papers.hand_over(papers.evidence(dpo, "json"), "json"))
    assert len(read) == len(asked())
    assert {one["stands"] for one in read} <= {"met", "not met", "not ours"}
    with school.service.office.read() as connection:
        newest = school.service.office.audit.newest(connection, 1)[0]
    assert (newest.action, newest.role, newest.details) == ("evidence.made", Role.DPO, {"form": "json"})
