"""YAML documents as plain text values, with the line of each: what the catalogue's checks point at.

Composes nodes and reads them directly, which is faster than constructing objects, keeps every scalar as the text
that was written, and refuses what a catalogue has no use for: duplicate keys, anchors, tags of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import yaml
from pydantic import ValidationError

from schoolgate_policy.catalogue_schema import AgeEntry, CategoryDocument, HeaderDocument, ServiceEntry
from schoolgate_policy.errors import PolicyIssue

type Loc = tuple[str | int, ...]

_MAX_DEPTH = 12  # a category file has six levels
_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # without libyaml: the same, ten times slower
_KEYS = sorted(
    {
        key
        for model in (AgeEntry, CategoryDocument, HeaderDocument, ServiceEntry)
        for key in model.model_fields
    }
)


class TreeError(Exception):
    """A document whose form cannot be accepted, with the place."""

    def __init__(self, issue: PolicyIssue) -> None:
        super().__init__(str(issue))
        self.issue = issue


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document: its plain data, and the way back from a value to its line."""

    name: str
    root: yaml.Node
    data: Any

    @property
    def keys(self) -> frozenset[str]:
        """The keys at the top; none where the document is no mapping."""
        return frozenset(self.data) if isinstance(self.data, dict) else frozenset()

    def issue(self, loc: Loc, message: str) -> PolicyIssue:
        """Say that something is wrong with the value at `loc`."""
        mark = _locate(self.root, loc).start_mark
        path = ".".join(str(part) for part in loc)
        return PolicyIssue(self.name, mark.line + 1, mark.column + 1, path, message)

    def where(self, loc: Loc) -> str:
        """Return `file:line` of the value at `loc`."""
        return f"{self.name}:{_locate(self.root, loc).start_mark.line + 1}"

    def issues(self, error: ValidationError) -> Iterator[PolicyIssue]:
        """Translate everything that pydantic found."""
        for detail in error.errors(include_url=False):
            loc = tuple(part for part in detail["loc"] if part != "[key]")
            yield self.issue(loc, _message(detail["type"], detail["msg"], loc))


def _message(kind: str, text: str, loc: Loc) -> str:
    if kind == "extra_forbidden":
        near = get_close_matches(str(loc[-1]), _KEYS, 1)
        return "unknown key" + (f"; did you mean {near[0]!r}?" if near else "")
    text = text.removeprefix("Value error, ")
    return text[:1].lower() + text[1:]


def read_documents(name: str, text: str) -> Iterator[Document]:
    """Yield every YAML document of a text, in order.

    Raises:
        TreeError: a duplicate key, an alias, a key that is no text, or nesting beyond reason.
        yaml.YAMLError: the text is no YAML.

    """
    try:
        for root in yaml.compose_all(text, Loader=_LOADER):
            yield Document(name, root, _plain(name, root, set(), 0))
    except RecursionError:
        raise TreeError(PolicyIssue(name, 0, 0, "", "nested too deeply")) from None


def _plain(name: str, node: yaml.Node, seen: set[int], depth: int) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    if id(node) in seen:
        raise _wrong(name, node, "an alias (`*name`) cannot be used here")
    seen.add(id(node))
    if depth > _MAX_DEPTH:
        raise _wrong(name, node, "nested too deeply")
    if isinstance(node, yaml.SequenceNode):
        return [_plain(name, item, seen, depth + 1) for item in node.value]
    result: dict[str, Any] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _wrong(name, key, "a key has to be plain text")
        if key.value in result:
            raise _wrong(name, key, f"the key {key.value!r} stands here twice")
        result[key.value] = _plain(name, value, seen, depth + 1)
    return result


def _wrong(name: str, node: yaml.Node, message: str) -> TreeError:
    mark = node.start_mark
    return TreeError(PolicyIssue(name, mark.line + 1, mark.column + 1, "", message))


def _locate(node: yaml.Node, loc: Loc) -> yaml.Node:
    """Find the node of a value, or the nearest one above it; for an entry of a mapping, its key."""
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == part), None)
            if found is None:
                return node
            node = found[0] if part == loc[-1] and not isinstance(found[1], yaml.ScalarNode) else found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
    return node
