"""Papers in the portal: to read, to print, and to take along; each look and each file is a row of the audit."""

from dataclasses import dataclass, replace
from datetime import date

from schoolgate_exceptions.errors import InvalidInput
from schoolgate_exceptions.papers.desk import PAPER_FORMS, READS_EVIDENCE, REPORT_FORMS, Paper
from schoolgate_exceptions.papers.forms import ENDINGS, MEDIA_TYPES
from schoolgate_exceptions.papers.reports import READERS as READS_REPORTS
from schoolgate_exceptions.ports import Page
from schoolgate_exceptions.roles import Role
from schoolgate_exceptions.web.desk import Counter
from schoolgate_exceptions.web.forms import Form, parse_day
from schoolgate_exceptions.web.frame import raw
from schoolgate_exceptions.web.visit import Visit

_PAGE = "page"  # what the audit calls the form in which the portal shows a paper
_DAY = "write a day such as 2026-11-02"


@dataclass(frozen=True, slots=True)
class Shelf:
    """A paper: its address, by which the texts call it, who may read it (none named: all), and its forms."""

    path: str
    roles: tuple[Role, ...]
    forms: tuple[str, ...] = PAPER_FORMS


REPORT = Shelf("/papers/report", READS_REPORTS, REPORT_FORMS)
EVIDENCE = Shelf("/papers/evidence", READS_EVIDENCE)
LIMITS = Shelf("/papers/limits", ())
ANNEX = Shelf("/papers/data-protection", READS_EVIDENCE)
_SHELVES = (REPORT, EVIDENCE, LIMITS, ANNEX)


def report(counter: Counter, visit: Visit) -> Page:
    """Show the report on the days that were asked for."""
    return _report(counter, visit, visit.query)


def take_report(counter: Counter, visit: Visit) -> Page:
    """Hand the report over as a file."""
    return _report(counter, visit, visit.form)


def evidence(counter: Counter, visit: Visit) -> Page:
    """Show how each point of the standards stands, or hand that over."""
    form = _form(visit, EVIDENCE)
    return _answer(counter, visit, EVIDENCE, counter.service.papers.evidence(visit.actor, form), form)


def limits(counter: Counter, visit: Visit) -> Page:
    """Show what the filter cannot see, or hand that over."""
    return _answer(counter, visit, LIMITS, counter.service.papers.limits(), _form(visit, LIMITS))


def annex(counter: Counter, visit: Visit) -> Page:
    """Show the annex on data protection, or hand it over."""
    form = _form(visit, ANNEX)
    return _answer(counter, visit, ANNEX, counter.service.papers.annex(visit.actor, form), form)


def _report(counter: Counter, visit: Visit, said: Form) -> Page:
    papers, form = counter.service.papers, _form(visit, REPORT)
    try:
        first, last = _day(said, "from"), _day(said, "to")
        paper = papers.report(visit.actor, first, last, form)
    except InvalidInput as error:
        paper = papers.report(visit.actor, None, None, form)
        return _shown(counter, visit, REPORT, paper, said, dict(error.fields))
    return _answer(counter, visit, REPORT, paper, form, said)


def _answer(
    counter: Counter, visit: Visit, shelf: Shelf, paper: Paper, form: str, said: Form | None = None
) -> Page:
    if not visit.posts:
        return _shown(counter, visit, shelf, paper, said or visit.query, {})
    name = f"{shelf.path.rpartition('/')[2]}-{counter.service.office.today()}.{ENDINGS[form]}"
    more = ("Content-Disposition", f'attachment; filename="{name}"')
    return raw(200, MEDIA_TYPES[form], counter.service.papers.hand_over(paper, form), (more,))


def _shown(
    counter: Counter, visit: Visit, shelf: Shelf, paper: Paper, said: Form, errors: dict[str, str]
) -> Page:
    return counter.page(  # `english`: the papers themselves are in no other language
        visit, "office/paper.html.j2", 422 if errors else 200,
        title=paper.document.title, paper=paper.document, shelf=shelf, is_report=shelf is REPORT, said=said, errors=errors,
        shelves=[one for one in _SHELVES if not one.roles or visit.has(*one.roles)], periods=(), network="",
        english=replace(visit.t, language="en"),
    )  # fmt: skip


def _form(visit: Visit, shelf: Shelf) -> str:
    wanted = visit.form.one("form")
    return _PAGE if not visit.posts else wanted if wanted in shelf.forms else shelf.forms[0]


def _day(said: Form, name: str) -> date | None:
    text = said.one(name).strip()
    found = parse_day(text)
    if text and found is None:
        raise InvalidInput(**{name: _DAY})
    return found
