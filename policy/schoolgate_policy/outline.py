"""Where everything stands in a YAML text, to the character, so that it can be changed without being written anew.

Positions are indexes into the text. A block collection ends where its last value ends, not at the next token, as
PyYAML's own marks would have it: comments after a list do not belong to it.
"""

import re
from bisect import bisect_left
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
)
from yaml.tokens import BlockEntryToken

from schoolgate_policy.yaml_text import KeyPath

BREAK = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")  # YAML 1.1 section 4.2, which is what PyYAML reads
_BLOCK_HEADER = re.compile(r"(?:[&!]\S*\s+)*[|>]([0-9+-]*)")


class Kind(StrEnum):
    """What a place holds."""

    SCALAR = "scalar"
    SEQUENCE = "sequence"
    MAPPING = "mapping"
    ALIAS = "alias"


@dataclass(slots=True, eq=False)
class Place:
    """A node of the text on `[start, end)`; `parts` are a list's items, or a mapping's keys and values in turn."""

    kind: Kind
    start: int
    end: int
    flow: bool = False
    anchor: str | None = None
    bare: bool = True  # neither anchor nor tag stands before it
    style: str = (
        ""  # of a scalar: a quotation mark, `|` or `>`, and `+` where blank lines after it are part of it
    )
    value: str = ""
    parts: list["Place"] = field(default_factory=list)

    def entry(self, key: str) -> tuple["Place", "Place"] | None:
        """Return the key and the value called `key` of a mapping."""
        if self.kind is not Kind.MAPPING:
            return None
        pairs = zip(self.parts[::2], self.parts[1::2], strict=True)
        return next((pair for pair in pairs if pair[0].value == key), None)

    @property
    def is_line(self) -> bool:
        """Whether this is a scalar that can be written anew on its line: no `|` or `>` text, no anchor, no tag."""
        return self.kind is Kind.SCALAR and self.bare and self.style[:1] not in {"|", ">"}

    @property
    def keeps_blank_lines(self) -> bool:
        """Whether this ends in a text that blank lines after it would become part of."""
        return self.parts[-1].keeps_blank_lines if self.parts else self.style.endswith("+")

    @property
    def is_null(self) -> bool:
        """Whether nothing is written here."""
        return self.kind is Kind.SCALAR and not self.style and self.value in {"", "~", "null", "Null", "NULL"}


@dataclass(slots=True)
class Outline:
    """A text and the places in it. `end` is where its document ends: at `...`, or where the text does."""

    text: str
    root: Place
    end: int
    dashes: list[int]
    aliased: frozenset[str]

    def find(self, path: KeyPath) -> list[Place]:
        """Return the places from the root down to `path`, as far as they exist."""
        chain = [self.root]
        for part in path:
            here = chain[-1]
            if isinstance(part, int):
                below = here.parts[part] if here.kind is Kind.SEQUENCE and part < len(here.parts) else None
            else:
                below = (here.entry(part) or (None, None))[1]
            if below is None:
                break
            chain.append(below)
        return chain

    def line_start(self, position: int) -> int:
        """Return where the line around a position starts."""
        while position > 0 and not BREAK.match(self.text, position - 1):
            position -= 1
        return position

    def line_after(self, position: int) -> int:
        """Return where the next line starts; a position that starts a line stays where it is."""
        if position > 0 and BREAK.match(self.text, position - 1):
            return position
        return self.next_line(position)

    def next_line(self, position: int) -> int:
        """Return where the line after the one around a position starts."""
        found = BREAK.search(self.text, position)
        return found.end() if found else len(self.text)

    def line_end(self, position: int) -> int:
        """Return where the line around a position ends, before its break."""
        found = BREAK.search(self.text, position)
        return found.start() if found else len(self.text)

    def break_before(self, position: int) -> int:
        """Return where the line break just before a position starts; the position itself where there is none."""
        if position > 1 and self.text[position - 2 : position] == "\r\n":
            return position - 2
        return position - 1 if position and BREAK.match(self.text, position - 1) else position

    def newline(self, position: int) -> str:
        """Return the line break in use before a position, or else anywhere, or else a plain one."""
        start = self.line_start(position)
        near = self.text[self.break_before(start) : start]
        found = BREAK.search(self.text)
        return near or (found[0] if found else "\n")

    def column(self, position: int) -> int:
        """Return how far a position is from the start of its line."""
        return position - self.line_start(position)

    def dash(self, item: Place) -> int:
        """Return where the dash of a block list's item stands."""
        return self.dashes[bisect_left(self.dashes, item.start) - 1]

    def item_start(self, item: Place) -> int:
        """Return where the first line of a block list's item starts."""
        return self.line_start(self.dash(item))

    def item_end(self, item: Place) -> int:
        """Return where the lines of a block list's item end, with the comments that are indented below it."""
        return self.after_comments(self.line_after(item.end), self.column(self.dash(item)))

    def after_comments(self, position: int, column: int) -> int:
        """Step over the comment lines that follow and are indented deeper than `column`."""
        while True:
            line = self.text[position : self.line_end(position)]
            comment = line.lstrip(" ")
            if not comment.startswith("#") or len(line) - len(comment) <= column:
                return position
            position = self.next_line(position)

    def is_blank(self, position: int) -> bool:
        """Whether a blank line starts here."""
        return position < len(self.text) and not self.text[position : self.line_end(position)].strip()


def read_outline(text: str) -> Outline:
    """Find every place in one YAML document that the strict loader has read already."""
    builder = _Builder(text)
    end = len(text)
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, DocumentEndEvent) and event.explicit:
            end = _index(event.start_mark)
        builder.take(event)
    dashes = [
        _index(token.start_mark)
        for token in yaml.scan(text, Loader=yaml.CSafeLoader)
        if isinstance(token, BlockEntryToken)
    ]
    return Outline(text, builder.roots[0], end, dashes, frozenset(builder.aliased))


class _Builder:
    def __init__(self, text: str) -> None:
        self.text = text
        self.aliased: set[str] = set()
        self.roots: list[Place] = []
        self._open: list[Place] = []

    def take(self, event: yaml.Event) -> None:
        if isinstance(event, NodeEvent):
            place = self._place(event)
            (self._open[-1].parts if self._open else self.roots).append(place)
            if isinstance(event, CollectionStartEvent):
                self._open.append(place)
        elif isinstance(event, CollectionEndEvent):
            place = self._open.pop()
            place.end = _index(event.end_mark) if place.flow or not place.parts else place.parts[-1].end

    def _place(self, event: NodeEvent) -> Place:
        start, end = _index(event.start_mark), _index(event.end_mark)
        match event:
            case AliasEvent():
                self.aliased.add(str(event.anchor))
                return Place(Kind.ALIAS, start, end, anchor=event.anchor, bare=False)
            case ScalarEvent():
                return self._scalar(event, start, end)
            case _:
                kind = Kind.MAPPING if isinstance(event, MappingStartEvent) else Kind.SEQUENCE
                flow = bool(getattr(event, "flow_style", False))
                return Place(kind, start, end, flow, event.anchor, _is_bare(event))

    def _scalar(self, event: ScalarEvent, start: int, end: int) -> Place:
        style = event.style or ""
        if style in {"|", ">"}:
            header = _BLOCK_HEADER.match(self.text, start)
            if header and "+" in header[1]:
                style += "+"
            else:
                end = start + len(self.text[start:end].rstrip())
        elif start == end and self._open and self._open[-1].parts:
            before = self._open[-1].parts[-1].end
            if BREAK.search(self.text, before, start):  # nothing is written; the mark is that of what follows
                start = end = before
        return Place(
            Kind.SCALAR,
            start,
            end,
            anchor=event.anchor,
            bare=_is_bare(event),
            style=style,
            value=event.value,
        )


def _index(mark: Any) -> int:
    """Return where a mark is; libyaml sets one on everything, though its types do not say so."""
    return int(mark.index)


def _is_bare(event: NodeEvent) -> bool:
    return event.anchor is None and getattr(event, "tag", None) is None
