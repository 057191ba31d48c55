"""Pages of figures alone: how requests are answered."""

from schoolgate_exceptions.ports import Page
from schoolgate_exceptions.web.asked_figures import PERIODS as ASKED_PERIODS
from schoolgate_exceptions.web.asked_figures import AskedFigures
from schoolgate_exceptions.web.desk import Counter
from schoolgate_exceptions.web.figures import window
from schoolgate_exceptions.web.home import READS_ASKED
from schoolgate_exceptions.web.visit import Visit

ASKED_READERS = READS_ASKED


def asked(counter: Counter, visit: Visit) -> Page:
    """Show how many asked, how they were answered, who waits now, and how long it takes."""
    seen, overview = window(counter, visit, ASKED_PERIODS, usual=30), counter.service.overviews.now()
    draw = AskedFigures(counter, visit, seen)
    figures = [
        draw.waiting(), draw.asked(), draw.decided(), draw.outcomes(), draw.took(), draw.queue(), draw.oldest(),
    ]  # fmt: skip
    return counter.page(
        visit,
        "office/asked.html.j2",
        figures=figures,
        seen=seen,
        periods=ASKED_PERIODS,
        waiting=sum(overview.waiting.values()),
        oldest=overview.oldest.created_at if overview.oldest else None,
        unwritten=len(overview.with_problems),
        letters=overview.letters_waiting,
    )
