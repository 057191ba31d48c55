"""A paper as plain text, for a terminal or a letter."""

import textwrap
from collections.abc import Iterator

from schoolgate_exceptions.papers.document import Document, Figure, Section

_WIDE = 100


def to_text(paper: Document) -> str:
    """Return a paper as lines of at most a hundred letters; tables may be wider."""
    lines = [f"{paper.title}: {paper.school}", paper.lead, *textwrap.wrap(paper.made, _WIDE)]
    for section in paper.sections:
        lines += ["", section.heading, "-" * len(section.heading), *_section(section)]
    return "\n".join(lines) + "\n"


def _section(one: Section) -> Iterator[str]:
    for text in one.paragraphs:
        yield from textwrap.wrap(text, _WIDE)
    for text in one.points:
        yield from textwrap.wrap(text, _WIDE, initial_indent="- ", subsequent_indent="  ")
    for item in one.items:
        yield from textwrap.wrap(
            f"{f'[{item.tag}] ' if item.tag else ''}{item.title}", _WIDE, subsequent_indent="    "
        )
        for line in item.lines:
            yield from textwrap.wrap(line, _WIDE, initial_indent="    ", subsequent_indent="    ")
    for figure in one.figures:
        yield from _figure(figure)


def _figure(one: Figure) -> Iterator[str]:
    yield one.question
    table = (one.head, *one.rows) if one.rows else ()
    widths = [max(len(row[column]) for row in table) for column in range(len(one.head))] if table else []
    for row in table:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    if not table:
        yield "  nothing in this time"
    if one.note:
        yield f"  {one.note}"
