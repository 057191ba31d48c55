"""How the box was: samples that are taken, bounded, purged and drawn, for who may see them."""

import re
from datetime import timedelta
from math import inf, nan

import pytest
from boxes import ToldBox
from instruments import ToldInstruments, an_ordinary_day
from live_portal import LivePortal
from school import MONDAY, School

from schoolgate_exceptions.papers.annex import READS_HEALTH
from schoolgate_exceptions.roles import Role
from schoolgate_exceptions.sampling import EVERY, GROWTHS, KEEP_SAMPLES, LEVELS, bounded
from schoolgate_exceptions.web.map import ROUTES
from schoolgate_exceptions.web.pictures import bands, lines

WELL = {"up": {"dns": 1, "proxy": 1}, "interval": {"seconds": 300}, "queries": {"NOERROR": 7}}
DAY = timedelta(days=1)


def test_a_sample_each_five_minutes(school: School) -> None:
    """The job takes one when it is due, by its instant in the database; without instruments none."""
    sampling = school.service.sampling
    assert sampling.take_due() == 0
    assert sampling.latest() is None
    sampling.instruments = ToldInstruments(WELL)
    assert [sampling.take_due(), sampling.take_due()] == [1, 0]
    school.clock.forward(minutes=4, seconds=59)
    assert {one.job: one.count for one in school.service.jobs.run_due()}["samples"] == 0
    school.clock.forward(seconds=1)
    assert {one.job: one.count for one in school.service.jobs.run_due()}["samples"] == 1
    found = sampling.between(MONDAY, MONDAY + DAY)
    assert [one.at for one in found] == [MONDAY, MONDAY + EVERY]
    assert found[0].readings == WELL
    assert found[0].grew
    assert sampling.latest() == found[1]
    again = school.build()
    again.sampling.instruments = ToldInstruments(WELL)
    assert again.sampling.take_due() == 0
    again.close()


def test_a_clock_that_went_back(school: School) -> None:
    """Samples go on when the clock is set back; what seemed to be later is dropped."""
    sampling = school.service.sampling
    sampling.instruments = ToldInstruments(WELL)
    sampling.take_due()
    school.clock.forward(hours=-3)
    assert sampling.take_due() == 1
    assert [one.at for one in sampling.between(MONDAY - DAY, MONDAY + DAY)] == [MONDAY - timedelta(hours=3)]


def test_what_may_be_kept() -> None:
    """Only known series, forty names of forty letters, finite numbers; growth of nothing is left out."""
    flood = {f"{n}{'x' * 60}": n for n in range(100)}
    kept = bounded({
        "up": {"dns": 1, "proxy": 0}, "queries": {"NOERROR": 3.00049, "SERVFAIL": 0}, "room": {"free": nan, "size": inf},
        "addresses": {"10.20.0.5": 1}, "memory": flood, "lost": {"log": 0},
    })  # fmt: skip
    assert kept.keys() == {"up", "queries", "memory"}
    assert kept["up"] == {"dns": 1, "proxy": 0}
    assert kept["queries"] == {"NOERROR": 3}
    assert len(kept["memory"]) == 40
    assert max(map(len, kept["memory"])) == 40
    assert not LEVELS & GROWTHS


def test_samples_are_purged_and_that_is_proved(school: School) -> None:
    """After thirty days a sample goes, whatever policy.yaml keeps counts for; the proof is with the others."""
    sampling = school.service.sampling
    sampling.instruments = ToldInstruments(WELL)
    sampling.take_due()
    school.clock.forward(days=1)
    sampling.take_due()
    school.clock.at = MONDAY + KEEP_SAMPLES + timedelta(hours=1)
    proof = {one.what: one for one in school.service.retention.look()}["samples"]
    assert (proof.left, proof.is_proved) == (2, False)
    proof = {one.what: one for one in school.service.retention.purge()}["samples"]
    assert (proof.removed, proof.left, proof.oldest, proof.is_proved) == (1, 1, MONDAY + DAY, True)


def test_lines_and_bands() -> None:
    """A line is broken where there is no number; a band is tall where something was not well."""
    drawn = str(lines("about", ["a", "b", "c", "d"], [[1, 2, None, 4], [None] * 4]))
    assert drawn.count("<polyline") == 1
    assert drawn.count("<circle") == 3
    assert "<polyline" not in str(lines("about", [], [[]]))
    states = str(bands("about", ["a", "b", "c", "d"], {"<dns>": [1, 0.5, 0, None]}))
    assert re.findall(r'height="(\d+)\.0"', states) == ["8", "20", "20"]
    assert "&lt;dns&gt;" in states


def rows(text: str, question: str) -> list[list[str]]:
    """Return the rows of the table below a question, without tags."""
    part = text.partition(f"<h3>{question}</h3>")[2].partition("</section>")[0]
    body = part.partition("<tbody>")[2].partition("</tbody>")[0]
    return [re.findall(r">([^<>]*)</t[hd]>", row) for row in body.split("</tr>") if row]


def tell(live: LivePortal, *readings: dict[str, dict[str, float]]) -> None:
    """Have a sample each half hour, the last one now."""
    told = ToldInstruments()
    live.school.service.sampling.instruments = told
    live.school.clock.forward(minutes=-30 * len(readings))
    for one in readings:
        live.school.clock.forward(minutes=30)
        told.readings = one
        assert live.school.service.sampling.take_due()


def test_the_page_tells_what_the_samples_say(live: LivePortal) -> None:
    """Readiness, counts and levels stand in the tables by the hours of the school's day."""
    down = {
        "up": {"dns": 1, "proxy": 0}, "interval": {"seconds": 300}, "queries": {"NOERROR": 5, "SERVFAIL": 2},
        "cache": {"hit": 3, "miss": 1}, "answer_times": {"0.005": 4, "0.1": 9, "+Inf": 10}, "cpu": {"dns": 150},
        "memory": {"dns": 5e7}, "room": {"free": 3e9, "size": 4e9}, "clock": {"synchronised": 0, "error": 0.25},
        "upstreams": {"1": 1, "2": 0}, "jobs_failed": {"mail": 2}, "turned_away": {"late": 3},
        "policy": {"current": 0, "versions": 2}, "certificates": {"authority": (MONDAY + 9 * DAY).timestamp()},
    }  # fmt: skip
    tell(live, WELL, {"up": {"dns": 1, "proxy": 1}}, down)
    text = live.signed_in("technician@school.example", Role.TECHNICIAN).get("/health").text
    assert rows(text, "Were all parts ready?") == [
        ["DNS", "100.0%", "0 min"],
        ["Proxy", "66.7%", "5 min"],
    ]
    assert rows(text, "How many questions were answered, and how?") == [
        ["09:00", "7", "0", "7"],
        ["10:00", "5", "2", "7"],
    ]
    assert rows(text, "How often was the answer known already?") == [["10:00", "75%"]]
    assert rows(text, "How quickly do name servers answer us?") == [["10:00", "100 ms", "100 ms"]]
    assert rows(text, "How busy is a processor with each part?") == [["09:00", "0%"], ["10:00", "50%"]]
    assert rows(text, "How much room is left for records?") == [["10:00", "75%"]]
    assert rows(text, "By how much may the clock be wrong?") == [["10:00", "250 ms"]]
    assert rows(text, "Which name servers work?")[1] == ["Name server 2", "0.0%", "5 min"]
    assert rows(text, "Which jobs of the clock fail?") == [["Sending letters", "2"]]
    assert rows(text, "Which connections are turned away?") == [["nothing came", "3"]]
    facts = re.findall(r"<dt>([^<]*)</dt><dd>([^<]*)</dd>", text)
    assert ("policy.yaml is in force as it stands", "No") in facts
    assert ("Policies in force (one is right)", "2") in facts
    assert ("Room left for records", "75%") in facts
    assert ("The school&#39;s authority is valid until", "2 December 2026") in facts


def test_who_may_see_health(live: LivePortal) -> None:
    """Who may see the checks of the filter may see this; others are refused."""
    assert set(next(one for one in ROUTES if one.path == "/health").roles) == set(READS_HEALTH)
    for role in (Role.GOVERNOR, Role.DSL, Role.TEACHER, Role.DPO):
        browser = live.signed_in(f"{role[:3]}@school.example", role)
        allowed = role in READS_HEALTH
        assert browser.get("/health").status_code == (200 if allowed else 403), role
        assert ('href="/health"' in browser.get("/more").text) is allowed
    assert live.browser().get("/health").url.path == "/sign-in"


def test_nothing_was_noted_yet(live: LivePortal) -> None:
    """Before the first sample the page says so, tells what can be asked now, and draws nothing."""
    live.school.service.papers.box = ToldBox({"proxy": "it does not answer"})
    text = live.signed_in("officer@school.example", Role.OFFICER).get("/health").text
    assert "Nothing has been noted yet" in text
    assert "<dt>Parts</dt><dd>Proxy</dd>" in text
    assert '<svg class="chart"' not in text


@pytest.mark.parametrize(("query", "places"), [("days=1", 21), ("days=7", 9), ("days=30", 3), ("days=x", 21)])
def test_any_time_may_be_asked_for(live: LivePortal, query: str, places: int) -> None:
    """A day is told by hours, a week by quarters of days, a month by days; each picture has its table."""
    an_ordinary_day(live.school)
    text = live.signed_in("officer@school.example", Role.OFFICER).get(f"/health?{query}").text
    asked = rows(text, "How many questions were answered, and how?")
    assert len(asked) == (11 if places == 21 else places)
    assert text.count('<svg class="chart"') == text.count('<table class="numbers"') > 18


def test_it_speaks_welsh(live: LivePortal) -> None:
    """In Welsh the questions and names are Welsh."""
    an_ordinary_day(live.school)
    text = live.signed_in("officer@school.example", Role.OFFICER).get("/health", lang="cy").text
    assert "A oedd pob rhan yn barod?" in text
    assert "wedi&#39;i ailgyfeirio" in text
