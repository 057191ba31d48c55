"""Requests over time: what became of them as the tables tell it, and the page that draws it for who may see it."""

import re
from datetime import timedelta

import pytest
from live_portal import LivePortal
from school import MONDAY, School

from schoolgate_exceptions.courses import Course, Outcome
from schoolgate_exceptions.kinds import Kind
from schoolgate_exceptions.lessons import Caps
from schoolgate_exceptions.roles import Actor, Role
from schoolgate_exceptions.web.map import ROUTES
from schoolgate_exceptions.workflow import State
from schoolgate_policy.event import Sighting

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def a_week(school: School, officer: Actor, head: Actor) -> None:
    """Ask six times: agreed after 2 h, refused after 26 h, taken back, one at the officer's, one at the head's, a window."""
    service = school.service
    agreed = school.recommended(officer, "blocked.example")
    school.clock.forward(hours=2)
    service.approving.approve(head, agreed.id)
    refused = school.ask("other.example")
    back = school.ask("facebook.com", "10.20.0.9")
    service.asking.withdraw(back.reference, service.asking.asker("10.20.0.9"))
    school.clock.forward(hours=26)
    service.reviewing.refuse(officer, refused.id, "Not now")
    school.ask("twitter.com", "10.20.0.8")
    school.recommended(officer, "instagram.com")
    teacher = school.person("opener@school.example", Role.TEACHER)
    service.lessons.set_caps(officer, Caps(("youtube",), ("room-5",)))
    service.lessons.open(teacher, "youtube", ("room-5",), "A film")
    school.clock.forward(hours=1)


def test_what_became_of_requests(school: School, officer: Actor, head: Actor) -> None:
    """Each request has its states in order, how it ended and how long that took; a teacher's window is none of them."""
    a_week(school, officer, head)
    found = school.service.evidence.courses(MONDAY - DAY, MONDAY + 3 * DAY)
    assert [(one.outcome, one.took) for one in found] == [
        (Outcome.AGREED, 2 * HOUR),
        (Outcome.REFUSED, 26 * HOUR),
        (Outcome.WITHDRAWN, None),
        (None, None),
        (None, None),
    ]
    assert not any(one.kind is Kind.LESSON_WINDOW for one in found)
    later = school.service.evidence.courses(MONDAY + 20 * HOUR, MONDAY + 3 * DAY)
    assert len(later) == 3
    assert [one.waiting_at(school.clock.at) for one in later] == [None, State.SUBMITTED, State.RECOMMENDED]
    assert later[0].waiting_at(MONDAY + 20 * HOUR) is State.SUBMITTED
    assert later[1].waiting_at(MONDAY + 20 * HOUR) is None


def test_a_report_that_was_dealt_with_is_not_agreed() -> None:
    """What ends at once in `applied` was settled; what ends undecided has no duration; nothing waits before it is made."""
    settled = Course(Kind.REPORT, MONDAY, ((MONDAY, State.SUBMITTED), (MONDAY + HOUR, State.APPLIED)))
    assert (settled.outcome, settled.took) == (Outcome.SETTLED, HOUR)
    expired = Course(Kind.UNBLOCK, MONDAY, ((MONDAY, State.SUBMITTED), (MONDAY + HOUR, State.EXPIRED)))
    assert (expired.outcome, expired.took) == (Outcome.EXPIRED, None)
    assert expired.waiting_at(MONDAY) is None
    assert expired.waiting_at(MONDAY + HOUR) is State.SUBMITTED
    assert expired.waiting_at(MONDAY + 2 * HOUR) is None


def test_how_long_alerts_waited(school: School) -> None:
    """Each alert is told with the time until somebody saw to it, none where nobody has."""
    service, burst = school.service, ("vpn", "tor", "doh", "web_proxy", "dns_tunnel")
    at = MONDAY.timestamp()
    for number in (7, 8):
        service.log.take(
            [Sighting(at, "dns", "", f"10.20.0.{number}", "x.example", technique) for technique in burst]
        )
    service.log.flush()
    school.clock.forward(hours=3)
    lead = school.person("lead@school.example", Role.DSL)
    number = service.alerting.listed(lead, open_only=True)[0].number
    service.alerting.acknowledge(lead, number, "")
    waits = service.evidence.alert_waits(MONDAY - HOUR, MONDAY + HOUR)
    assert sorted(waits, key=str) == [3 * HOUR, None]
    assert service.evidence.alert_waits(MONDAY - HOUR, MONDAY + HOUR, network="staff") == []


def rows(text: str, question: str) -> list[list[str]]:
    """Return the rows of the table below a question, without tags."""
    part = text.partition(f"<h2>{question}</h2>")[2].partition("</section>")[0]
    body = part.partition("<tbody>")[2].partition("</tbody>")[0]
    return [re.findall(r">([^<>]*)</t[hd]>", row) for row in body.split("</tr>") if row]


@pytest.fixture
def busy(live: LivePortal) -> LivePortal:
    """A portal with a few requests behind it."""
    school = live.school
    officer = school.person("first@school.example", Role.OFFICER)
    a_week(school, officer, school.person("decides@school.example", Role.HEAD))
    return live


def test_the_page_tells_what_the_tables_say(busy: LivePortal) -> None:
    """Asked, decided, waiting and durations stand in the tables; each has its picture beside it."""
    text = busy.signed_in("head@school.example", Role.HEAD).get("/asked", days="7").text
    assert rows(text, "How were requests answered in all?") == [
        ["agreed", "1", "2 h 0 min", "2 h 0 min"],
        ["refused", "1", "26 h 0 min", "26 h 0 min"],
        ["taken back", "1", "0 min", "0 min"],
    ]
    asked = rows(text, "When was something asked for?")
    assert [row for row in asked if row[-1] != "0"] == [["2026-11-23", "3", "3"], ["2026-11-24", "2", "2"]]
    assert len(asked) == 7
    decided = rows(text, "When was it answered, and how?")
    assert [row for row in decided if row[-1] != "0"] == [
        ["2026-11-23", "1", "0", "1", "2"],
        ["2026-11-24", "0", "1", "0", "1"],
    ]
    waiting = rows(text, "How long have those who wait now been waiting?")
    assert waiting[0] == ["since today", "1", "1", "2"]
    assert [row[-1] for row in waiting[1:]] == ["0"] * 4
    assert rows(text, "How many were waiting at the end of each day or week?")[-1] == [
        "2026-11-24",
        "1",
        "1",
        "2",
    ]
    assert rows(text, "How long had the oldest been waiting?")[0][:2] == ["2026-11-23", "1"]
    assert rows(text, "How long did it take until somebody decided?")[-1][0] == "2026-11-24"
    assert text.count('<svg class="chart"') == text.count('<table class="numbers"') == 7


def test_who_may_see_requests_in_numbers(busy: LivePortal) -> None:
    """Who reads the queue and governors; nobody is named, and no site."""
    allowed = {Role.OFFICER, Role.HEAD, Role.DEPUTY, Role.DSL, Role.GOVERNOR}
    route = next(one for one in ROUTES if one.path == "/asked")
    assert set(route.roles) == allowed
    for role in (Role.GOVERNOR, Role.DSL, Role.TEACHER, Role.TECHNICIAN, Role.DPO):
        page = busy.signed_in(f"{role[:3]}@school.example", role).get("/asked")
        assert page.status_code == (200 if role in allowed else 403), role
        for private in ("example", "facebook", "Volcanoes", "10.20.", "REQ-"):
            main = page.text.partition("<main")[2].partition("</main>")[0]
            assert private not in main, private
    assert busy.browser().get("/asked").url.path == "/sign-in"


def test_it_leads_there(busy: LivePortal) -> None:
    """The page stands among the others for who may read it."""
    assert 'href="/asked"' in busy.signed_in("gov@school.example", Role.GOVERNOR).get("/more").text
    assert 'href="/asked"' not in busy.signed_in("tea@school.example", Role.TEACHER).get("/more").text


def test_nothing_was_asked_yet(live: LivePortal) -> None:
    """Before the first request each question says that there was nothing, and nothing is drawn."""
    text = live.signed_in("officer@school.example", Role.OFFICER).get("/asked").text
    assert text.count("Nothing in this time.") == 7
    assert '<svg class="chart"' not in text


@pytest.mark.parametrize("query", ["days=90", "days=365", "days=1", "days=x", "days=9999999999"])
def test_any_time_may_be_asked_for(busy: LivePortal, query: str) -> None:
    """A long time is told by weeks from Monday; what is no time of the page is a month."""
    text = busy.signed_in("officer@school.example", Role.OFFICER).get(f"/asked?{query}").text
    asked = rows(text, "When was something asked for?")
    by_week = query in {"days=90", "days=365"}
    assert asked[-1] == (["2026-11-23", "5", "5"] if by_week else ["2026-11-24", "2", "2"])
    assert len(asked) == {"days=90": 14, "days=365": 53}.get(query, 30)


def test_it_speaks_welsh(busy: LivePortal) -> None:
    """In Welsh the questions and the durations are Welsh."""
    text = busy.signed_in("officer@school.example", Role.OFFICER).get("/asked", lang="cy").text
    assert "Faint o amser a gymerodd nes i rywun benderfynu?" in text
    assert "26 awr 0 mun" in text
