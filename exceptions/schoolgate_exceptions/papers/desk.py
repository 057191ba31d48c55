"""Where papers are asked for: for whom, about which days, in which form. Each that is handed out is noted in the audit."""

from dataclasses import dataclass
from datetime import date

from schoolgate_exceptions.office import Office
from schoolgate_exceptions.papers import annex, forms, limitations, saying, standards
from schoolgate_exceptions.papers.box import Box, UnknownBox
from schoolgate_exceptions.papers.checks import Checks, NoChecks
from schoolgate_exceptions.papers.document import Document
from schoolgate_exceptions.papers.facts import FactFinder
from schoolgate_exceptions.papers.report_paper import paper as report_paper
from schoolgate_exceptions.papers.reports import ABOUT, Reports
from schoolgate_exceptions.papers.reports import READERS as READS_REPORTS
from schoolgate_exceptions.papers.sheet import to_html
from schoolgate_exceptions.papers.text import to_text
from schoolgate_exceptions.roles import Actor, Role
from schoolgate_exceptions.web.words import Words

REPORT_FORMS = ("html", "pdf", "csv", "json", "text")
PAPER_FORMS = ("html", "pdf", "json", "text")
READS_EVIDENCE = (*READS_REPORTS, Role.DPO, Role.TECHNICIAN)


@dataclass(frozen=True, slots=True)
class Paper:
    """A paper, and what it was made of for programs; `table` is its numbers as CSV where it has some."""

    document: Document
    values: str
    table: str = ""


class Papers:
    """Hands papers out. `box` and `checks` are what the portal's surroundings know."""

    def __init__(self, office: Office, reports: Reports, finder: FactFinder) -> None:
        self._office = office
        self._reports = reports
        self._finder = finder
        self.box: Box = UnknownBox()
        self.checks: Checks = NoChecks()

    def report(
        self, actor: Actor, first: date | None, last: date | None, form: str, about: str = "both"
    ) -> Paper:
        """Return the report on some days, about `pupils` (and visitors), `staff` or `both`.

        Raises:
            NotAllowed: somebody may not read reports.
            InvalidInput: the days are the wrong way round.

        """
        made = self._reports.make(actor, self._reports.period(first, last), self.checks, form, ABOUT[about])
        limits = limitations.section(self._office.policy, self._office.state)
        document = report_paper(made, self._office.zone, limits)
        return Paper(document, forms.to_json(made), forms.to_csv(made))

    def evidence(self, actor: Actor, form: str) -> Paper:
        """Return how each point of the standards stands; raises NotAllowed."""
        actor.require(*READS_EVIDENCE)
        facts = self._finder.look(self.box, self.checks)
        points = standards.judge(facts)
        self._note(actor, "evidence.made", form)
        return Paper(standards.paper(points, facts), forms.to_json(points))

    def limits(self) -> Paper:
        """Return what the filter cannot see; everybody may know."""
        office = self._office
        document = limitations.paper(
            office.policy, office.state, f"Made on {saying.moment(office.now(), office.zone)}."
        )
        return Paper(document, forms.to_json(document))

    def annex(self, actor: Actor, form: str) -> Paper:
        """Return the annex on data protection; raises NotAllowed."""
        actor.require(*READS_EVIDENCE)
        office, proof = self._office, self._finder.deletions()
        made = annex.annex(office.policy, office.limits, office.now(), self.box.connected(), *proof)
        self._note(actor, "annex.made", form)
        return Paper(annex.paper(made, office.zone), forms.to_json(made))

    def hand_over(self, paper: Paper, form: str) -> bytes:
        """Return a paper as `html`, `pdf`, `text`, `json` or `csv`."""
        match form:
            case "json":
                return paper.values.encode()
            case "csv":
                return paper.table.encode()
            case "html":
                return to_html(paper.document, Words("en", self._office.zone, self._office.now())).encode()
            case "pdf":
                from schoolgate_exceptions.papers.pdf import to_pdf  # noqa: PLC0415 - nobody else waits for it to load

                return to_pdf(paper.document)
        return to_text(paper.document).encode()

    def _note(self, actor: Actor, action: str, form: str) -> None:
        office = self._office
        with office.write() as connection:
            role = actor.require(*READS_EVIDENCE)
            version = office.policy.version
            office.audit.add(connection, office.now(), actor, action, version, role=role, form=form)
