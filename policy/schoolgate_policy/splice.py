"""Adding to and taking from the lists of a YAML text by small splices: every other character stays what it is."""

import re
from dataclasses import dataclass

from schoolgate_policy.outline import BREAK, Outline, Place

_COLON = re.compile(r"[ \t]*:")
_GAP = re.compile(r"-( +)\S")


@dataclass(frozen=True, slots=True)
class Splice:
    """Put `text` in the place of what is on `[start, end)`."""

    start: int
    end: int
    text: str = ""


def spliced(text: str, splices: list[Splice]) -> str:
    """Apply splices that do not overlap; of two at one place the first comes first."""
    pieces, at = [], 0
    for splice in sorted(splices, key=lambda splice: (splice.start, splice.end)):
        pieces += [text[at : splice.start], splice.text]
        at = splice.end
    return "".join([*pieces, text[at:]])


def insert_lines(outline: Outline, at: int, lines: list[str]) -> Splice:
    """Insert whole lines at the start of a line, or at the end of a text whose last line has no break."""
    newline = outline.newline(at)
    if at > 0 and not BREAK.match(outline.text, at - 1):
        return Splice(at, at, newline + newline.join(lines))
    return Splice(at, at, newline.join(lines) + newline)


def delete_lines(outline: Outline, start: int, end: int) -> Splice:
    """Delete whole lines; where the last has no break, the text before keeps none either, unless it ends blank."""
    if end == len(outline.text) and not BREAK.match(outline.text, end - 1):
        before = outline.break_before(start)
        start = start if before and BREAK.match(outline.text, before - 1) else before
    return Splice(start, end)


def item_lines(lines: list[str], column: int, gap: int = 2) -> list[str]:
    """Indent the lines of an item and put a dash before the first."""
    first, *rest = lines
    indent = " " * (column + gap)
    return [" " * column + "-".ljust(gap) + first, *(indent + line for line in rest)]


def separator(outline: Outline, before: Place, at: int) -> list[str]:
    """Return the blank line that sets apart what comes at a position, or none where it would become part of a text."""
    return [] if before.keeps_blank_lines and outline.line_after(before.end) == at else [""]


def append_to_block(outline: Outline, items: Place, lines: list[str]) -> list[Splice]:
    """Add an item after the last of a block list, indented and set apart as the last one is."""
    last = items.parts[-1]
    dash = outline.dash(last)
    found = _GAP.match(outline.text, dash)
    gap = len(found[1]) + 1 if found else 2
    new = item_lines(lines, outline.column(dash), gap)
    if len(items.parts) > 1 and outline.is_blank(outline.item_end(items.parts[-2])):
        new[:0] = separator(outline, last, outline.item_end(last))
    return [insert_lines(outline, outline.item_end(last), new)]


def remove_from_block(outline: Outline, items: Place, number: int) -> list[Splice]:
    """Take an item, not the only one, out of a block list, and the blank line that sets it apart."""
    item = items.parts[number]
    start, end = outline.item_start(item), outline.item_end(item)
    if number:
        before = outline.line_start(outline.break_before(start))
        if (
            before >= outline.item_end(items.parts[number - 1])
            and outline.is_blank(before)
            and before < start
        ):
            start = before
        if not separator(outline, items.parts[number - 1], start):  # or the text before would take them in
            while outline.is_blank(end):
                end = outline.next_line(end)
    elif outline.is_blank(end):
        end = outline.next_line(end)
    return [delete_lines(outline, start, end)]


def fill_block(outline: Outline, key: Place, value: Place, lines: list[str], offset: int) -> list[Splice]:
    """Put the first item below a key that has `[]` or nothing; `offset` is how far lists are indented here."""
    column = outline.column(key.start)
    space = outline.text[value.start - 1 : value.start] == " "
    written = [] if value.start == value.end else [Splice(value.start - space, value.end)]
    at = outline.after_comments(outline.line_after(value.end), column)
    return [*written, insert_lines(outline, at, item_lines(lines, column + offset))]


def empty_block(outline: Outline, key: Place, items: Place) -> list[Splice] | None:
    """Take the only item out of a block list: `[]` is left, or None where there is no colon to put it behind."""
    colon = _COLON.match(outline.text, key.end)
    if colon is None:
        return None
    item = items.parts[0]
    return [
        Splice(colon.end(), colon.end(), " []"),
        delete_lines(outline, outline.item_start(item), outline.item_end(item)),
    ]


def append_to_flow(outline: Outline, items: Place, text: str) -> list[Splice]:
    """Add an item to `[…]`, on a line of its own where the last one has such a line."""
    if not items.parts:
        inside = outline.text.index("[", items.start) + 1
        return [Splice(inside, inside, text)]
    last = items.parts[-1]
    if not _starts_line(outline, last):
        return [Splice(last.end, last.end, f", {text}")]
    start = outline.line_start(last.start)
    new_line = outline.newline(last.start) + outline.text[start : last.start] + text
    comma = comma_after(outline, last.end)
    end = outline.line_end(last.end if comma is None else comma)
    if end >= items.end:
        return [Splice(last.end, last.end, f",{new_line}")]
    if comma is None:
        return [Splice(last.end, last.end, ","), Splice(end, end, new_line)]
    return [Splice(end, end, f"{new_line},")]


def remove_from_flow(outline: Outline, items: Place, number: int) -> list[Splice]:
    """Take an item and its comma out of `[…]`; comments around it stay, but for one on its own line."""
    item = items.parts[number]
    comma = comma_after(outline, item.end)
    end = item.end if comma is None else comma + 1
    if len(items.parts) == 1:
        return [Splice(item.start, end)]
    if _starts_line(outline, item) and outline.line_end(end) < items.end and _ends_line(outline, end):
        start = outline.break_before(outline.line_start(item.start))
        lines = Splice(start, outline.line_end(end))
        return [lines] if comma is not None else [lines, *_without_comma(outline, items, number)]
    if number == len(items.parts) - 1:
        before = items.parts[number - 1].end
        if "#" not in outline.text[before : item.start]:
            return [Splice(before, item.end)]
        return [Splice(item.start, item.end), *([] if comma else _without_comma(outline, items, number))]
    after = items.parts[number + 1].start
    return [Splice(item.start, end if "#" in outline.text[end:after] else after)]


def _without_comma(outline: Outline, items: Place, number: int) -> list[Splice]:
    comma = comma_after(outline, items.parts[number - 1].end)
    return [] if comma is None else [Splice(comma, comma + 1)]


def comma_after(outline: Outline, position: int) -> int | None:
    """Return where the comma after an item stands, if there is one; comments in between are stepped over."""
    text = outline.text
    while position < len(text):
        if text[position] == "#":
            position = outline.line_end(position)
        elif text[position] == ",":
            return position
        elif text[position].isspace() or BREAK.match(text, position):
            position += 1
        else:
            return None
    return None


def _starts_line(outline: Outline, item: Place) -> bool:
    return not outline.text[outline.line_start(item.start) : item.start].strip()


def _ends_line(outline: Outline, end: int) -> bool:
    rest = outline.text[end : outline.line_end(end)].strip()
    return not rest or rest.startswith("#")
