"""A paper as one HTML file of its own, to be opened anywhere and printed on A4: nothing in it is loaded or run."""

from schoolgate_exceptions.papers.document import Document
from schoolgate_exceptions.web.frame import text
from schoolgate_exceptions.web.words import Words


def to_html(paper: Document, words: Words) -> str:
    """Return a paper as HTML."""
    return text("sheet.html.j2", {"paper": paper, "t": words, "errors": {}, "periods": (), "policy": None})
