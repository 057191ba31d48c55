"""The report: its figures against a seeded database, who gets which stream, its forms, and that it names nobody."""

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

import pypdf
import pytest
from school import GUEST, MONDAY, PUPIL, STAFF, School

from schoolgate_exceptions.errors import InvalidInput, NotAllowed
from schoolgate_exceptions.papers.checks import Check, NoChecks
from schoolgate_exceptions.papers.desk import REPORT_FORMS
from schoolgate_exceptions.papers.report import Report, Stream
from schoolgate_exceptions.papers.report_paper import NO_CHECK
from schoolgate_exceptions.papers.reports import Reports
from schoolgate_exceptions.probe_record import Finding, Group, Kind, ProbeRun, Result, outcome_of, pieces
from schoolgate_exceptions.roles import SYSTEM, Actor, Role
from schoolgate_policy.event import Sighting, Visit
from schoolgate_policy.model import People
from schoolgate_policy.technique_table import about

FIRST, LAST = date(2026, 11, 9), date(2026, 11, 23)
AT = MONDAY.timestamp()


def visits(network: str, address: str, category: str, times: int, ago: timedelta = timedelta(0)) -> Visit:
    """So many blocked visits."""
    host = f"www.{category or 'other'}.example"
    return Visit(
        AT - ago.total_seconds(),
        "dns",
        network,
        address,
        host,
        "block",
        "rule",
        "policy.yaml:20",
        "",
        category,
        times,
    )


def tried(address: str, technique: str, count: int, ago: timedelta = timedelta(0)) -> list[Sighting]:
    """So many attempts, far enough apart to be one each."""
    first = AT - ago.total_seconds() - count * 700
    return [
        Sighting(first + n * 700, "dns", "", address, f"{technique}{n}.example", technique)
        for n in range(count)
    ]


@pytest.fixture
def seeded(school: School) -> School:
    """A school with known counts; staff and pupils differ, and something lies before the period."""
    log = school.service.log
    log.take([
        visits("pupils", PUPIL, "social-network", 40), visits("pupils", "10.20.0.9", "video", 12, timedelta(days=8)),
        visits("pupils", PUPIL, "banking", 3), visits("pupils", PUPIL, "", 2),
        visits("staff", STAFF, "video", 9), visits("guests", GUEST, "video", 2),
        visits("pupils", PUPIL, "social-network", 500, timedelta(days=60)),
        Visit(AT, "dns", "pupils", "", "", "allow", "otherwise", "", "", "", 1_000),
    ])  # fmt: skip
    log.take(
        tried(PUPIL, "vpn", 7) + tried(PUPIL, "tor", 2) + tried(STAFF, "vpn", 1) + tried(PUPIL, "wpad", 6)
    )
    log.flush()
    return school


def make(school: School, actor: Actor = SYSTEM, last: date = LAST) -> Report:
    reports = Reports(school.service.office, school.service.evidence, school.service.policy)
    return reports.make(actor, reports.period(FIRST, last), NoChecks(), "json")


def handed(school: School, form: str) -> bytes:
    papers = school.service.papers
    return papers.hand_over(papers.report(SYSTEM, FIRST, LAST, form), form)


def stream(report: Report, people: People) -> Stream:
    return next(one for one in report.streams if one.people is people)


def test_the_figures_are_those_of_the_database(seeded: School) -> None:
    """Blocks by kind, attempts by way and weeks are what was put in; small ones are put together; streams are apart."""
    pupils, staff, guests = (stream(make(seeded), one) for one in (People.PUPIL, People.STAFF, People.GUEST))
    assert pupils.blocked.rows == (("social-network", 40), ("video", 12))
    assert (pupils.blocked.rest, pupils.blocked.rest_of, pupils.blocked.total) == (5, 2, 57)
    assert pupils.blocked_where.rows == (("pupils", 57),)
    assert pupils.visits == 1_057
    assert dict(pupils.blocked_weeks) == {"9 Nov": 0, "16 Nov": None, "23 Nov": 45} | dict(
        pupils.blocked_weeks
    )
    assert sum(count or 0 for _, count in pupils.blocked_weeks) == 57
    assert pupils.attempts.total == 9
    assert pupils.attempts.rest == 9, "two by themselves would be small, so seven go with them"
    assert pupils.background == 6
    assert staff.blocked.rows == (("video", 9),)
    assert staff.attempts.total is None
    assert guests.blocked.total is None


def test_every_table_adds_up(seeded: School) -> None:
    """In every stream each way of counting the blocks comes to the same total, and so do the attempts."""
    for one in make(seeded).streams:
        assert one.blocked.total == one.blocked_where.total
        assert one.attempts.total == one.attempts_where.total
        for weeks, found in ((one.blocked_weeks, one.blocked), (one.attempts_weeks, one.attempts)):
            if all(count is not None for _, count in weeks):
                assert sum(count for _, count in weeks) == found.total


def test_requests_and_how_long_they_took(school: School) -> None:
    """What became of requests, and the median and longest wait, once five were decided."""
    officer, head = (
        school.person(f"{name}@school.example", role)
        for name, role in (("o", Role.OFFICER), ("h", Role.HEAD))
    )
    assert stream(make(school), People.PUPIL).requests.by_outcome.is_nothing
    for number in range(6):
        request = school.ask(
            "blocked.example" if number else "other.example", f"10.20.0.{number + 20}", reason=f"No {number}"
        )
        grant = school.service.queue.case(officer, request.id).grant
        school.clock.forward(hours=number + 1)
        if number % 2:
            school.service.reviewing.refuse(officer, request.id, "Not for school")
        else:
            school.service.reviewing.recommend(
                officer, request.id, replace(grant, until=school.clock.at + timedelta(days=1)), "Fine"
            )
            school.service.approving.approve(head, request.id)
    found = stream(make(school, last=date(2026, 11, 25)), People.PUPIL).requests
    assert found.by_outcome.total == 6
    assert found.by_kind.rows == (("To open a page", 6),)
    assert (found.median_seconds, found.longest_seconds) == (3.5 * 3600, 6 * 3600)
    assert found.within_a_day == 1


@pytest.mark.parametrize(
    ("role", "staff"),
    [(Role.DSL, False), (Role.HEAD, True), (Role.OFFICER, True), (Role.GOVERNOR, True)],
)
def test_two_streams_two_rights(seeded: School, role: Role, staff: bool) -> None:
    """The safeguarding lead reads of pupils and visitors; of staff the head, the officer and the governors read."""
    report = make(seeded, seeded.person("somebody@school.example", role))
    assert {one.people for one in report.streams} == set(People) - ({People.STAFF} if not staff else set())
    with seeded.service.office.read() as connection:
        newest = seeded.service.office.audit.newest(connection, 1)[0]
    assert (newest.action, newest.subject, newest.role) == ("report.made", "2026-11-09/2026-11-23", role)


@pytest.mark.parametrize("role", [Role.TEACHER, Role.TECHNICIAN, Role.DPO])
def test_others_get_none(seeded: School, role: Role) -> None:
    """Who may not read reports gets none, and nothing is noted."""
    with pytest.raises(NotAllowed):
        make(seeded, seeded.person("somebody@school.example", role))


def test_a_period_that_ends_before_it_begins(seeded: School) -> None:
    """It is refused with the field that is wrong."""
    with pytest.raises(InvalidInput) as caught:
        seeded.service.papers.report(SYSTEM, LAST, FIRST, "text")
    assert list(caught.value.fields) == ["to"]


def texts(school: School) -> Sequence[str]:
    return [*(handed(school, form).decode() for form in REPORT_FORMS if form != "pdf"), pdf_text(school)]


def pdf_text(school: School) -> str:
    return "\n".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(handed(school, "pdf"))).pages)


def test_it_names_nobody(seeded: School) -> None:
    """No form of the report has an address, a pseudonym, a host, a device's name or an account."""
    officer, head = (
        seeded.person("olga@school.example", Role.OFFICER),
        seeded.person("hank@school.example", Role.HEAD),
    )
    request = seeded.ask("blocked.example", "10.10.0.20", "staff", reason="For Liam")
    grant = seeded.service.queue.case(officer, request.id).grant
    seeded.service.reviewing.recommend(officer, request.id, replace(grant, whom=("office-pc",)), "Fine")
    seeded.service.approving.approve(head, request.id)
    pseudonym = seeded.service.devices.pseudonym(PUPIL)
    banned = (
        "10.20.0",
        "10.10.0",
        "office-pc",
        "Liam",
        "Olga",
        "Hank",
        "@",
        pseudonym[:6],
        ".example",
        "blocked.example",
    )
    for text in texts(seeded):
        body = re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)
        assert not [one for one in banned if one in body]
    assert "a site open for 1 device" in pdf_text(seeded)


def test_the_pdf_is_read_back(seeded: School) -> None:
    """The first sheet is the page in plain English, the figures begin on the second; letters, title and language are right."""
    seeded.policy.write_text(seeded.policy.read_text().replace("Test School", "Ysgol Tŷ Gwyn & <Sons>"))
    read = pypdf.PdfReader(io.BytesIO(handed(seeded, "pdf")))
    first = read.pages[0].extract_text()
    for heading in ("Pupils", "Staff", "Visitors", "Is it working, and is it looked after?"):
        assert heading in first
    assert "figures" not in first
    assert "Pupils: the figures" in read.pages[1].extract_text()
    assert "The filter blocked 57 requests out of 1,057." in first
    assert "& <Sons>" in first
    assert read.metadata.title.startswith("Web filter report: Ysgol")
    assert read.trailer["/Root"]["/Lang"] == "en-GB"
    assert tuple(map(round, read.pages[0].mediabox[2:])) == (595, 842)


def test_the_csv_and_the_json(seeded: School) -> None:
    """A line for each count, with the words for small ones; JSON has the same, and no spreadsheet takes a cell for a formula."""
    lines = list(csv.reader(io.StringIO(handed(seeded, "csv").decode())))
    assert lines[0] == ["people", "figure", "name", "count"]
    assert ["pupil", "blocked by kind of site", "all", "57"] in lines
    assert ["guest", "blocked by kind of site", "all", "fewer than 5"] in lines
    assert not [cell for line in lines for cell in line if cell[:1] in "=+-@" and cell]
    read = json.loads(handed(seeded, "json"))
    assert read["streams"][0]["blocked"]["rows"][0] == ["social-network", 40]
    assert read["period"]["first"] == "2026-11-09"


def test_a_way_seen_once_is_named_without_a_count(seeded: School) -> None:
    """Each way that was seen has its title in every form, however rare; nothing says how often, and streams stay apart."""
    pupils, staff = (stream(make(seeded), one) for one in (People.PUPIL, People.STAFF))
    tor, vpn = (about(name).title["en"] for name in ("tor", "vpn"))
    assert pupils.ways == tuple(sorted((tor, vpn)))
    assert staff.ways == (vpn,)
    assert pupils.background_ways == (about("wpad").title["en"],)
    for text in texts(seeded):
        assert tor in text
    lines = list(csv.reader(io.StringIO(handed(seeded, "csv").decode())))
    assert ["pupil", "way seen", tor, "seen"] in lines
    assert not [line for line in lines if tor in line and line[3].isdigit()]


def test_one_stream_alone(seeded: School) -> None:
    """A report may be about pupils (with visitors) or staff alone; a safeguarding lead gets none about staff."""
    papers = seeded.service.papers

    def streams(about: str) -> set[str]:
        made = papers.report(SYSTEM, FIRST, LAST, "json", about)
        return {one["people"] for one in json.loads(papers.hand_over(made, "json"))["streams"]}

    assert streams("pupils") == {"pupil", "guest"}
    assert streams("staff") == {"staff"}
    assert streams("both") == {"pupil", "guest", "staff"}
    with pytest.raises(NotAllowed):
        papers.report(seeded.person("lead@school.example", Role.DSL), FIRST, LAST, "json", "staff")


def test_the_csv_has_exceptions_checks_and_the_review(seeded: School) -> None:
    """What is open now, what every check found and when the policy is due are lines of the table, too."""
    officer, head = (seeded.person(f"{one.name}@school.example", one) for one in (Role.OFFICER, Role.HEAD))
    request = seeded.recommended(officer)
    seeded.service.approving.approve(head, request.id)
    seeded.service.papers.checks = Kept()
    lines = list(csv.reader(io.StringIO(handed(seeded, "csv").decode())))
    (granted,) = [line for line in lines if line[1] == "exception in force"]
    assert granted[0] == "pupil"
    assert granted[2].startswith(request.id)
    assert granted[3].startswith("until 2026-")
    assert [line[3] for line in lines if line[1] == "check: broken"] == ["0", "1"]
    assert [line[1] for line in lines].count("review due") == 1


class Kept:
    """Checks that were made."""

    def between(self, since, until):
        """Return two, one of them bad."""
        return [
            Check(MONDAY, ("pupils", "staff"), 300, 0),
            Check(MONDAY - timedelta(days=1), ("pupils",), 299, 1),
        ]


def test_checks_are_told_and_missing_ones_too(seeded: School) -> None:
    """Where none was made the report says so; where one failed it says that."""
    assert NO_CHECK in handed(seeded, "text").decode()
    seeded.service.papers.checks = Kept()
    text = handed(seeded, "text").decode()
    assert NO_CHECK not in text
    assert "2 checks of the filter were made; 1 found something that was not as promised." in text


def test_probes_are_the_checks(seeded: School) -> None:
    """A probe that was recorded is in the report, with the networks it reached, and without who ran it and where."""
    broken = Finding("doh.example", Result.BROKEN, "block", "open")
    away = Finding("QUIC", Result.UNREACHED)
    groups = (
        Group("pupils", Kind.SERVICES, "dns", ("a.example", "b.example"), (broken,)),
        Group("guests", Kind.CIRCUMVENTION, "firewall", (), (away,)),
    )
    run = ProbeRun("0" * 32, MONDAY, MONDAY, "liam", "box-7", "box", "0" * 12, groups, outcome_of(groups))
    seeded.service.log.take(pieces(run))
    seeded.service.log.flush()
    for text in (handed(seeded, "text").decode(), handed(seeded, "json").decode()):
        assert "liam" not in text
        assert "box-7" not in text
    text = handed(seeded, "text").decode()
    assert "1 check of the filter was made; 1 found something that was not as promised." in text
    assert "From pupils: 2 as promised, 1 not, 1 not to be told." in text


def test_what_is_not_known_is_said(school: School) -> None:
    """Without counts the report says that nothing was recorded, and never that all was well."""
    text = handed(school, "text").decode()
    assert "Nothing has been recorded yet." in text
    assert "not promised" not in text


def test_it_is_easy_to_read(seeded: School) -> None:
    """The page in plain English can be read by who is not an engineer: Flesch and Kincaid, below the age of fifteen."""
    paper = seeded.service.papers.report(SYSTEM, FIRST, LAST, "text").document
    lines = [text for one in paper.sections for text in one.paragraphs]
    sentences = [re.findall(r"[A-Za-z']+", one) for line in lines for one in re.split(r"(?<=[.:;])\s+", line)]
    words = [word for one in sentences for word in one]
    syllables = sum(max(len(re.findall(r"[aeiouy]+", word.lower())), 1) for word in words)
    assert 0.39 * len(words) / len(sentences) + 11.8 * syllables / len(words) - 15.59 + 5 < 15
