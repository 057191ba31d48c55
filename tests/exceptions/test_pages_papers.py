"""Papers in the portal: who may read which, what is handed over, and that each is noted."""

import io
import json

import pypdf
import pytest
from live_portal import LivePortal
from school import PUPIL, STAFF

from schoolgate_exceptions.roles import Role
from schoolgate_policy.event import Visit

PATHS = ("/papers/report", "/papers/evidence", "/papers/limits", "/papers/data-protection")


@pytest.fixture
def busy(live: LivePortal) -> LivePortal:
    """A portal of a school with some blocks."""
    at = live.school.clock.at.timestamp()
    log = live.school.service.log
    for network, address, times in (("pupils", PUPIL, 41), ("staff", STAFF, 17)):
        log.take([Visit(at, "dns", network, address, "www.instagram.com", "block", "rule", "policy.yaml:20", "instagram", "social-network", times)])  # fmt: skip
    log.flush()
    return live


def noted(live: LivePortal, action: str) -> list:
    office = live.school.service.office
    with office.read() as connection:
        return [
            (one.who, one.role, one.details) for one in office.audit.newest(connection, 50, action=action)
        ]


def test_a_governor_reads_and_takes_the_report(busy: LivePortal) -> None:
    """The page has both streams, pictures with tables beside them and nobody's name; the files are the same report."""
    governor = busy.signed_in("governor@school.example", Role.GOVERNOR)
    page = governor.get("/papers/report", **{"from": "2026-11-02", "to": "2026-11-23"})
    assert page.status_code == 200
    assert "2 November 2026 to 23 November 2026" in page.text
    assert "The filter blocked 41 requests" in page.text
    assert "The filter blocked 17 requests" in page.text
    assert page.text.count('<svg class="chart"') > 1
    assert PUPIL not in page.text
    assert "What the filter cannot see" in page.text
    fields = {"from": "2026-11-02", "to": "2026-11-23"}
    made = governor.post("/papers/report", page="/papers/limits", form="pdf", **fields)
    assert made.headers["Content-Type"] == "application/pdf"
    assert made.headers["Content-Disposition"] == 'attachment; filename="report-2026-11-23.pdf"'
    assert "blocked 41 requests" in pypdf.PdfReader(io.BytesIO(made.content)).pages[0].extract_text()
    assert (
        "pupil,blocked by kind of site,social-network,41"
        in governor.post("/papers/report", page="/papers/limits", form="csv", **fields).text
    )
    assert (
        json.loads(governor.post("/papers/report", page="/papers/limits", form="json", **fields).text)[
            "streams"
        ][0]["blocked"]["total"]
        == 41
    )
    assert (
        "<title>Web filter report"
        in governor.post("/papers/report", page="/papers/limits", form="html", **fields).text
    )
    forms = [details["form"] for _, _, details in noted(busy, "report.made")]
    assert sorted(forms) == ["csv", "html", "json", "page", "pdf"]
    assert {who for who, _, _ in noted(busy, "report.made")} == {"governor@school.example"}


def test_the_lead_reads_of_pupils_only(busy: LivePortal) -> None:
    """A safeguarding lead who is not a head sees no stream of staff, on no page and in no file."""
    lead = busy.signed_in("dsl@school.example", Role.DSL)
    days = {"from": "2026-11-02", "to": "2026-11-23"}
    for text in (
        lead.get("/papers/report", **days).text,
        lead.post("/papers/report", form="json", **days).text,
    ):
        assert "41" in text
        assert "17 requests" not in text
    streams = json.loads(lead.post("/papers/report", form="json", **days).text)["streams"]
    assert [one["people"] for one in streams] == ["pupil", "guest"]


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (Role.TEACHER, {"/papers/limits"}),
        (Role.TECHNICIAN, {"/papers/limits", "/papers/evidence", "/papers/data-protection"}),
        (Role.DPO, {"/papers/limits", "/papers/evidence", "/papers/data-protection"}),
        (Role.HEAD, set(PATHS)),
    ],
)
def test_who_reads_what(busy: LivePortal, role: Role, allowed: set[str]) -> None:
    """Each page is shown or refused, to look at and to take along; a page leads only to what one may read."""
    somebody = busy.signed_in("somebody@school.example", role)
    for path in PATHS:
        wanted = 200 if path in allowed else 403
        assert somebody.get(path).status_code == wanted
        assert somebody.post(path, page="/papers/limits", form="json").status_code == wanted
    page = somebody.get("/papers/limits").text
    assert {path for path in PATHS if f'href="{path}"' in page} == allowed


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ({"from": "soon"}, "from"),
        ({"to": "2026-13-01"}, "to"),
        ({"from": "2026-11-23", "to": "2026-11-02"}, "to"),
    ],
)
def test_days_that_are_none(busy: LivePortal, query: dict[str, str], wrong: str) -> None:
    """What is wrong is said at the field, and the usual report is shown."""
    governor = busy.signed_in("governor@school.example", Role.GOVERNOR)
    page = governor.get("/papers/report", **query)
    assert page.status_code == 422
    assert f'href="#{wrong}"' in page.text


def test_a_form_that_there_is_none_of(busy: LivePortal) -> None:
    """An unknown form is the first one, never a fault."""
    governor = busy.signed_in("governor@school.example", Role.GOVERNOR)
    for path in PATHS:
        assert governor.post(path, form="../../etc").headers["Content-Type"].startswith("text/html")


def test_the_evidence_says_what_is_missing(busy: LivePortal) -> None:
    """Empty lists of illegal content are told, in words and not in colour alone; every paper can be taken as PDF."""
    busy.school.policy.write_text(busy.school.policy.read_text().replace("{file: locked.txt}", ""))
    governor = busy.signed_in("governor@school.example", Role.GOVERNOR)
    page = governor.get("/papers/evidence").text
    assert "nobody has supplied it" in page
    assert '<span class="tag bad">not met</span>' in page
    for path in PATHS[1:]:
        made = governor.post(path, page="/papers/limits", form="pdf")
        assert len(pypdf.PdfReader(io.BytesIO(made.content)).pages) > 1
    assert [details["form"] for _, _, details in noted(busy, "evidence.made")] == ["pdf", "page"]
    assert [details["form"] for _, _, details in noted(busy, "annex.made")] == ["pdf"]
