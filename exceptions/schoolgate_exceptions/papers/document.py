"""A paper as plain values: sections of sentences, lists and figures. What it looks like is for `sheet`, `pdf` and `text`."""

from dataclasses import dataclass

from markupsafe import Markup


@dataclass(frozen=True, slots=True)
class Figure:
    """A question, a picture that answers it, and the same numbers as a table; `series` are (name, colour).

    The first column of a row is its name. Without rows there was nothing to count.
    """

    question: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    picture: Markup | None = None
    series: tuple[tuple[str, str], ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """Something with a name, a word for its state (`tone`: good, warn, bad or none), and lines about it."""

    title: str
    lines: tuple[str, ...] = ()
    tag: str = ""
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a paper; `new_page` puts it onto a fresh sheet."""

    heading: str
    paragraphs: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    items: tuple[Item, ...] = ()
    figures: tuple[Figure, ...] = ()
    new_page: bool = False


@dataclass(frozen=True, slots=True)
class Document:
    """A whole paper; `made` says when and from which policy."""

    title: str
    school: str
    lead: str
    made: str
    sections: tuple[Section, ...]
