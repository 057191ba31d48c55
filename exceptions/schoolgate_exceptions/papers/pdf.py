"""A paper as PDF on A4: text that can be read and searched, pictures as lines, the page's number on each sheet."""

import io
import unicodedata
from collections.abc import Iterator
from functools import cache
from html import escape
from pathlib import Path

from reportlab.lib.colors import HexColor
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    Flowable,
    KeepTogether,
    PageBreak,
    Paragraph,
    SimpleDocTemplate,
    Spacer,
    Table,
    TableStyle,
)

from schoolgate_exceptions.papers.document import Document, Figure, Item, Section
from schoolgate_exceptions.papers.drawing import draw

_DEJAVU = Path(
    "/usr/share/fonts/truetype/dejavu"
)  # has every letter; else reportlab's own Vera, without ŵ and ŷ
_FONT, _STRONG = "paper", "paper-strong"
_MARGIN = 16 * mm
_PAD = 6  # what reportlab leaves free around the text of a sheet
_WIDE = A4[0] - 2 * _MARGIN
_INK, _SOFT, _LINE = HexColor("#1b2a3d"), HexColor("#4a5b70"), HexColor("#d5e0ec")
_TONES = {"good": HexColor("#1c6a45"), "warn": HexColor("#7a4b00"), "bad": HexColor("#a1271d"), "": _SOFT}
_TEXT = ParagraphStyle("text", fontName=_FONT, fontSize=9.5, leading=13.5, textColor=_INK, spaceAfter=4)
_SMALL = ParagraphStyle("small", _TEXT, fontSize=8, leading=11, textColor=_SOFT)
_CELL = ParagraphStyle("cell", _TEXT, fontSize=8, leading=10, spaceAfter=0)
_COUNT = ParagraphStyle("count", _CELL, alignment=TA_RIGHT)
_TITLE = ParagraphStyle("title", _TEXT, fontName=_STRONG, fontSize=19, leading=24, spaceAfter=2)
_HEADING = ParagraphStyle(
    "heading", _TEXT, fontName=_STRONG, fontSize=12.5, leading=17, spaceBefore=9, keepWithNext=1
)
_NAME = ParagraphStyle("name", _TEXT, fontName=_STRONG, spaceAfter=1)


def to_pdf(paper: Document) -> bytes:
    """Return a paper as the bytes of a PDF."""
    _fonts()
    file = io.BytesIO()
    made = SimpleDocTemplate(
        file, pagesize=A4, leftMargin=_MARGIN - _PAD, rightMargin=_MARGIN - _PAD, topMargin=_MARGIN, bottomMargin=_MARGIN + 4 * mm,
        title=f"{paper.title}: {paper.school}", author=paper.school, subject=paper.lead, creator="Schoolgate", lang="en-GB",
    )  # fmt: skip
    story: list[Flowable] = [
        _words(paper.title, _TITLE), _words(f"{paper.school}: {paper.lead}", _TEXT), _words(paper.made, _SMALL),
    ]  # fmt: skip
    for section in paper.sections:
        story += _section(section)

    def number(canvas: Canvas, at: SimpleDocTemplate) -> None:
        canvas.setFont(_FONT, 8)
        canvas.setFillColor(_SOFT)
        canvas.drawString(_MARGIN, 10 * mm, _drawable(f"{paper.school}: {paper.title}, {paper.lead}"))
        canvas.drawRightString(A4[0] - _MARGIN, 10 * mm, f"{at.page}")

    made.build(story, onFirstPage=number, onLaterPages=number)
    return file.getvalue()


def _section(one: Section) -> Iterator[Flowable]:
    if one.new_page:
        yield PageBreak()
    yield _words(one.heading, _HEADING)
    for text in one.paragraphs:
        yield _words(text, _TEXT)
    for text in one.points:
        yield Paragraph(
            escape(_drawable(text)), ParagraphStyle("point", _TEXT, leftIndent=10, bulletIndent=0), "•"
        )
    for item in one.items:
        yield _item(item)
    for figure in one.figures:
        yield KeepTogether(list(_figure(figure)))


def _item(one: Item) -> Flowable:
    tag = (
        f' <font color="{_TONES[one.tone].hexval().replace("0x", "#")}">[{escape(_drawable(one.tag))}]</font>'
        if one.tag
        else ""
    )
    head = Paragraph(escape(_drawable(one.title)) + tag, _NAME)
    return KeepTogether([head, *(_words(line, _SMALL) for line in one.lines), Spacer(0, 3)])


def _figure(one: Figure) -> Iterator[Flowable]:
    yield _words(one.question, _NAME)
    if not one.rows:
        yield _words("Nothing in this time.", _SMALL)
        return
    if one.picture:
        half = _WIDE * 0.55
        picture = draw(one.picture, half - 12, _FONT, _STRONG)
        both = Table([[picture, _table(one, _WIDE - half)]], colWidths=[half, _WIDE - half])
        both.setStyle(TableStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0),
                                  ("RIGHTPADDING", (0, 0), (-1, -1), 0)]))  # fmt: skip
        yield both
    else:
        yield _table(one, _WIDE)
    if one.note:
        yield _words(one.note, _SMALL)
    yield Spacer(0, 6)


def _table(one: Figure, width: float) -> Table:
    rows = [
        [_words(cell, _COUNT if column else _CELL) for column, cell in enumerate(row)]
        for row in (one.head, *one.rows)
    ]
    first = width * 0.68 if len(one.head) == 2 else width / len(one.head)
    others = (width - first) / max(len(one.head) - 1, 1)
    table = Table(rows, colWidths=[first, *[others] * (len(one.head) - 1)], repeatRows=1)
    table.setStyle(TableStyle([("LINEBELOW", (0, 0), (-1, -1), 0.4, _LINE), ("TOPPADDING", (0, 0), (-1, -1), 1.5),
                               ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5), ("VALIGN", (0, 0), (-1, -1), "TOP")]))  # fmt: skip
    return table


def _words(text: str, style: ParagraphStyle) -> Paragraph:
    return Paragraph(escape(_drawable(text)), style)


def _drawable(text: str) -> str:
    """Return a text in letters that the font has: those it has not lose their accents, or become a question mark."""
    known = _fonts()
    return "".join(
        one
        if ord(one) in known
        else unicodedata.normalize("NFKD", one).encode("ascii", "ignore").decode() or "?"
        for one in text
    )


@cache
def _fonts() -> frozenset[int]:
    """Register the fonts; return the code points that both have."""
    usual, strong = _DEJAVU / "DejaVuSans.ttf", _DEJAVU / "DejaVuSans-Bold.ttf"
    files = (
        ("Vera.ttf", "VeraBd.ttf") if not (usual.exists() and strong.exists()) else (str(usual), str(strong))
    )
    fonts = [TTFont(name, file) for name, file in zip((_FONT, _STRONG), files, strict=True)]
    for font in fonts:
        pdfmetrics.registerFont(font)
    return frozenset.intersection(*(frozenset(font.face.charToGlyph) for font in fonts))
