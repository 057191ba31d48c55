"""Where papers are asked for: for whom, about which days, in which form."""

from schoolgate_exceptions.office import Office
from schoolgate_exceptions.papers import forms
from schoolgate_exceptions.papers.document import Document
from schoolgate_exceptions.papers.report import Report
from schoolgate_exceptions.papers.report_paper import paper as report_paper
from schoolgate_exceptions.papers.reports import Reports
from schoolgate_exceptions.papers.sheet import to_html
from schoolgate_exceptions.papers.text import to_text
from schoolgate_exceptions.web.words import Words

REPORT_FORMS = ("html", "pdf", "csv", "json", "text")
PAPER_FORMS = ("html", "pdf", "json", "text")


class Papers:
    """Hands papers out."""

    def __init__(self, office: Office, reports: Reports) -> None:
        self._office = office
        self.reports = reports

    def of_report(self, report: Report) -> Document:
        """Return a report as a paper."""
        return report_paper(report, self._office.zone)

    def report_in(self, report: Report, form: str) -> bytes:
        """Return a report in one of `REPORT_FORMS`."""
        match form:
            case "csv":
                return forms.to_csv(report).encode()
            case "json":
                return forms.to_json(report).encode()
        return self.paper_in(self.of_report(report), form)

    def paper_in(self, paper: Document, form: str) -> bytes:
        """Return a paper as `html`, `pdf` or `text`."""
        match form:
            case "html":
                return to_html(paper, Words("en", self._office.zone, self._office.now())).encode()
            case "pdf":
                from schoolgate_exceptions.papers.pdf import to_pdf  # noqa: PLC0415 - nobody else waits for it to load

                return to_pdf(paper)
        return to_text(paper).encode()
