"""YAML documents as plain text values, with the line of each: what the catalogue's checks point at.

Reads the parser's events with a stack of its own: libyaml composes trees by recursion, and ends the process on a
hundred thousand brackets. Every scalar stays the text that was written, and what a catalogue has no use for is
refused: duplicate keys, aliases, keys that are no text, nesting beyond reason.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import yaml
from pydantic import ValidationError

from schoolgate_policy.catalogue_schema import AgeEntry, CategoryDocument, HeaderDocument, ServiceEntry
from schoolgate_policy.errors import PolicyIssue

type Loc = tuple[str | int, ...]
type Mark = tuple[int, int]  # line and column from 1

_MAX_DEPTH = 12  # a category file has six levels
_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # without libyaml: the same, ten times slower
_KEYS = sorted(
    {
        key
        for model in (AgeEntry, CategoryDocument, HeaderDocument, ServiceEntry)
        for key in model.model_fields
    }
)
_MESSAGES = {
    "missing": "this key is missing",
    "model_type": "keys and values are expected here",
    "dict_type": "keys and values are expected here",
    "tuple_type": "a list is expected here",
    "string_type": "text is expected here",
    "int_parsing": "a whole number is expected here",
    "date_from_datetime_parsing": "a date such as 2026-11-21 is expected here",
    "string_too_short": "this is empty",
    "too_short": "the list is empty; name at least one",
    "string_pattern_mismatch": "not the form that is expected here",
}


class TreeError(Exception):
    """A document whose form cannot be accepted, with the place."""

    def __init__(self, issue: PolicyIssue) -> None:
        super().__init__(str(issue))
        self.issue = issue


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document: its plain data, and the line and column of every value in it."""

    name: str
    data: Any
    marks: dict[Loc, Mark]

    @property
    def keys(self) -> frozenset[str]:
        """The keys at the top; none where the document is no mapping."""
        return frozenset(self.data) if isinstance(self.data, dict) else frozenset()

    def issue(self, loc: Loc, message: str) -> PolicyIssue:
        """Say that something is wrong with the value at `loc`."""
        line, column = self._mark(loc)
        return PolicyIssue(self.name, line, column, ".".join(str(part) for part in loc), message)

    def where(self, loc: Loc) -> str:
        """Return `file:line` of the value at `loc`."""
        return f"{self.name}:{self._mark(loc)[0]}"

    def issues(self, error: ValidationError) -> Iterator[PolicyIssue]:
        """Translate everything that pydantic found."""
        for detail in error.errors(include_url=False):
            loc = tuple(part for part in detail["loc"] if part != "[key]")
            yield self.issue(loc, _message(detail["type"], detail["msg"], loc))

    def _mark(self, loc: Loc) -> Mark:
        """Find the place of a value, or of the nearest one above it."""
        while loc and loc not in self.marks:
            loc = loc[:-1]
        return self.marks.get(loc, (1, 1))


def _message(kind: str, text: str, loc: Loc) -> str:
    if kind == "extra_forbidden":
        near = get_close_matches(str(loc[-1]), _KEYS, 1)
        return "unknown key" + (f"; did you mean {near[0]!r}?" if near else "")
    if kind in _MESSAGES:
        return _MESSAGES[kind]
    text = text.removeprefix("Value error, ")
    return text[:1].lower() + text[1:]


def read_documents(name: str, text: str) -> Iterator[Document]:
    """Yield every YAML document of a text, in order.

    Raises:
        TreeError: a duplicate key, an alias, a key that is no text, or nesting beyond reason.
        yaml.YAMLError: the text is no YAML.

    """
    builder = _Builder(name)
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.DocumentEndEvent):
            yield Document(name, builder.root, builder.marks)
            builder = _Builder(name)
        elif isinstance(event, yaml.NodeEvent | yaml.CollectionEndEvent):
            builder.feed(event)


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not come yet; `key` waits for its value."""

    loc: Loc
    value: dict[str, Any] | list[Any]
    key: str | None = None


@dataclass(slots=True)
class _Builder:
    """One document in the making."""

    name: str
    root: Any = None
    marks: dict[Loc, Mark] = field(default_factory=dict)
    _open: list[_Open] = field(default_factory=list)

    def feed(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.ScalarEvent):
            if self._wants_key():
                self._take_key(event)
            else:
                self._put(str(event.value), event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._open.pop()
        elif isinstance(event, yaml.AliasEvent):
            raise self._wrong(event, "an alias (`*name`) cannot be used here")
        elif self._wants_key():
            raise self._wrong(event, "a key has to be plain text")
        elif len(self._open) >= _MAX_DEPTH:
            raise self._wrong(event, "nested too deeply")
        else:
            value: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
            self._open.append(_Open(self._put(value, event), value))

    def _wants_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1].value, dict) and self._open[-1].key is None

    def _take_key(self, event: yaml.ScalarEvent) -> None:
        mapping = self._open[-1]
        key = str(event.value)
        if key in mapping.value:
            raise self._wrong(event, f"the key {key!r} stands here twice")
        mapping.key = key
        self.marks[(*mapping.loc, key)] = _mark(event)

    def _put(self, value: Any, event: yaml.Event) -> Loc:
        """Put a value where it belongs and return its place; a list or mapping is found by its key's line."""
        if not self._open:
            self.root = value
            self.marks[()] = _mark(event)
            return ()
        parent = self._open[-1]
        if isinstance(parent.value, list):
            loc: Loc = (*parent.loc, len(parent.value))
            self.marks[loc] = _mark(event)
            parent.value.append(value)
            return loc
        key = parent.key or ""
        loc = (*parent.loc, key)
        if isinstance(value, str):
            self.marks[loc] = _mark(event)
        parent.value[key] = value
        parent.key = None
        return loc

    def _wrong(self, event: yaml.Event, message: str) -> TreeError:
        return TreeError(PolicyIssue(self.name, *_mark(event), "", message))


def _mark(event: yaml.Event) -> Mark:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)
