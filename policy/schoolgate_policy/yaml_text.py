"""YAML text → plain values, with the place of every key and value.

Strict: YAML 1.2 scalars (`12:10`, `on` and `NO` are text; dates stay text), a key stands once, no tags, one document.
Aliases are read, but a file may not grow by them beyond `_MOST_VALUES` values.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from schoolgate_policy.errors import PolicyIssue

type KeyPath = tuple[str | int, ...]
type Value = Any  # str, int, float, bool, None, list[Value] or dict[str, Value]

_MOST_BYTES = 8 * 1024 * 1024
_MOST_VALUES = 400_000
_MOST_DEPTH = 64

_TAGS: dict[str, Callable[[str], Value]] = {
    "tag:yaml.org,2002:null": lambda _: None,
    "tag:yaml.org,2002:bool": lambda text: text.lower() == "true",
    "tag:yaml.org,2002:int": lambda text: int(text, 0 if text[:2] in {"0x", "0o"} else 10),
    "tag:yaml.org,2002:float": float,
    "tag:yaml.org,2002:str": str,
}


_MAP, _SEQ = "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"


class _Loader(yaml.CSafeLoader):
    """PyYAML's composer over libyaml's parser, with the scalar table of the YAML 1.2 core schema (chapter 10.3.2)."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, Any]]] = {}  # noqa: RUF012 - PyYAML's own mechanism


def _add(kind: str, pattern: str, first: str) -> None:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{kind}", re.compile(rf"^(?:{pattern})$"), list(first))


_add("null", r"~|null|Null|NULL|", "~nN")
_Loader.yaml_implicit_resolvers.setdefault("", _Loader.yaml_implicit_resolvers["~"])
_add("bool", r"true|True|TRUE|false|False|FALSE", "tTfF")
_add("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789")
_add(
    "float",
    r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+",
    "-+.0123456789",
)


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a node starts; counts from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Document:
    """A file's plain value and the marks of everything in it; `keys` are the marks of the keys themselves."""

    file: str
    value: Value
    marks: dict[KeyPath, Mark]
    keys: dict[KeyPath, Mark]

    def issue(self, path: KeyPath, message: str, *, at_key: bool = False) -> PolicyIssue:
        """Make an issue about the value at `path`, or the nearest thing around it that the file has."""
        while path and isinstance(path[-1], int) and path not in self.marks:
            path = path[:-1]  # one item that stands for a list of one
        near = path
        while near and near not in self.marks:
            near = near[:-1]
        mark = (self.keys.get(path) if at_key else None) or self.marks.get(near) or Mark(1, 1)
        return PolicyIssue(self.file, mark.line, mark.column, dotted(path), message)

    def line(self, path: KeyPath) -> str:
        """Return `policy.yaml:41` for the value at `path`."""
        mark = self.keys.get(path) or self.marks[path]
        return f"{self.file}:{mark.line}"


def dotted(path: KeyPath) -> str:
    """Write a key path as people do: `rules[3].during`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


class _Unreadable(Exception):  # noqa: N818 - control flow within this file
    def __init__(self, issue: PolicyIssue) -> None:
        super().__init__()
        self.issue = issue


class _Reader:
    def __init__(self, file: str) -> None:
        self.file = file
        self.issues: list[PolicyIssue] = []
        self.marks: dict[KeyPath, Mark] = {}
        self.keys: dict[KeyPath, Mark] = {}
        self._left = _MOST_VALUES

    def read(self, node: Any, path: KeyPath = ()) -> Value:
        self.marks[path] = Mark(node.start_mark.line + 1, node.start_mark.column + 1)
        self._left -= 1
        if self._left < 0 or len(path) > _MOST_DEPTH:
            raise _Unreadable(
                self._issue(node, (), f"more than {_MOST_VALUES} values or {_MOST_DEPTH} levels")
            )
        match node:
            case MappingNode() if node.tag == _MAP:
                return self._mapping(node, path)
            case SequenceNode() if node.tag == _SEQ:
                return [self.read(item, (*path, number)) for number, item in enumerate(node.value)]
            case _:
                return self._scalar(node, path)

    def _mapping(self, node: MappingNode, path: KeyPath) -> dict[str, Value]:
        result: dict[str, Value] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                self.issues.append(self._issue(key_node, path, "a key must be one word or number"))
                continue
            key = key_node.value
            here = (*path, key)
            if key in result:
                first = self.keys[here].line
                self.issues.append(
                    self._issue(key_node, here, f"the key stands here a second time (first: line {first})")
                )
                continue
            self.keys[here] = Mark(key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            result[key] = self.read(value_node, here)
        return result

    def _scalar(self, node: Node, path: KeyPath) -> Value:
        convert = _TAGS.get(node.tag)
        if convert is None:
            self.issues.append(
                self._issue(node, path, f"the tag `{node.tag}` is not used here; write plain text")
            )
            return None
        try:
            return convert(node.value)
        except ValueError:
            self.issues.append(self._issue(node, path, f"`{node.value}` is not what its tag says"))
            return None

    def _issue(self, node: Node, path: KeyPath, message: str) -> PolicyIssue:
        return PolicyIssue(
            self.file, node.start_mark.line + 1, node.start_mark.column + 1, dotted(path), message
        )


def read_yaml(data: bytes, file: str) -> tuple[Document | None, list[PolicyIssue]]:
    """Parse one YAML document; problems come back as issues, with None where nothing could be read."""
    try:
        text = _decode(data, file)
        reader = _Reader(file)
        value = reader.read(_compose(text, file))
    except _Unreadable as error:
        return None, [error.issue]
    return Document(file, value, reader.marks, reader.keys), reader.issues


def _compose(text: str, file: str) -> Node:
    try:
        if _depth(text) > _MOST_DEPTH:
            raise _Unreadable(PolicyIssue(file, 1, 1, "", f"nested deeper than {_MOST_DEPTH} levels"))
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise _Unreadable(_syntax_issue(error, text, file)) from None
    if not isinstance(node, Node):
        raise _Unreadable(PolicyIssue(file, 1, 1, "", "the file is empty"))
    return node


def _depth(text: str) -> int:
    """Count the levels of a text up to the limit, because libyaml composes by recursion and ends the process."""
    depth = deepest = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            deepest = max(deepest, depth)
            if deepest > _MOST_DEPTH:
                break
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return deepest


def _decode(data: bytes, file: str) -> str:
    if len(data) > _MOST_BYTES:
        raise _Unreadable(
            PolicyIssue(file, 0, 0, "", f"the file has {len(data)} bytes; at most {_MOST_BYTES} are read")
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise _Unreadable(
            PolicyIssue(file, line, column, "", "this is not UTF-8 text; is it another kind of file?")
        ) from None


def _syntax_issue(error: yaml.YAMLError, text: str, file: str) -> PolicyIssue:
    """Turn the parser's complaint into one line for a person."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:  # a character that YAML does not allow
        position = getattr(error, "position", 0) or 0
        line = text.count("\n", 0, position) + 1
        return PolicyIssue(
            file, line, position - text.rfind("\n", 0, position), "", "a character YAML does not allow"
        )
    lines = text.splitlines()
    around = lines[mark.line] if mark.line < len(lines) else ""
    indent = around[: len(around) - len(around.lstrip())]
    problem = str(getattr(error, "problem", "") or error).splitlines()[0]
    if "\t" in indent:
        problem = "a tab cannot indent; use spaces"
    elif "expected a single document" in str(getattr(error, "context", "")):
        problem = "the file holds more than one document (`---`); one is read"
    elif "found undefined alias" in problem:
        problem = problem.replace("found undefined alias", "unknown alias")
    else:
        problem = f"not readable as YAML: {problem}"
    return PolicyIssue(file, mark.line + 1, mark.column + 1, "", problem)
