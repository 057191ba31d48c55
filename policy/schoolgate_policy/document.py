"""Changes to the text of policy.yaml that leave everything else in it as it is. Bytes in, bytes out; no I/O.

A change is made by splices (see `splice.py`), then the result is read again and must say exactly what the old text
said plus the change; a text for which that fails is refused with what to paste by hand.

What cannot be told apart by its text is decided so: the only item of a block list leaves `[]`, and `[]` right after
its key becomes a block list again. A section that was added by `add_exception` goes with its last exception.
A last line without a line break gets one where something is added after it, and loses it again.
"""

import codecs
from copy import deepcopy

from schoolgate_policy import grant
from schoolgate_policy.errors import EditError, PolicyIssue
from schoolgate_policy.grant import NewException
from schoolgate_policy.outline import BREAK, Kind, Outline, Place, read_outline
from schoolgate_policy.quote import is_plain, quote
from schoolgate_policy.splice import (
    Splice,
    append_to_block,
    append_to_flow,
    delete_lines,
    empty_block,
    fill_block,
    insert_lines,
    item_lines,
    remove_from_block,
    remove_from_flow,
    separator,
    spliced,
)
from schoolgate_policy.yaml_text import Document, KeyPath, Value, dotted, read_yaml

_SECTION = "exceptions"
_NEW_SECTION = f"{_SECTION}:                         # approved requests are written here"
_USUAL_OFFSET = 2


def add_exception(data: bytes, new: NewException, file: str = "policy.yaml") -> bytes:
    """Add an exception after the last one.

    Raises:
        EditError: the text cannot take it without a change to something else; `snippet` is what to paste.

    """
    text = PolicyText(data, file, "\n".join(item_lines(new.lines(), _USUAL_OFFSET)))
    old = text.value.get(_SECTION)
    if any(_id(item) == new.id for item in old or ()):
        raise EditError(f"{file}: exceptions: `{new.id}` stands there already; each id stands once")
    expected = {**text.value, _SECTION: [*(old or ()), new.fields()]}
    return text.changed(_addition(text, new), expected)


def remove_exception(data: bytes, exception: str, file: str = "policy.yaml") -> bytes:
    """Take the exception of an id out.

    Raises:
        EditError: there is none, or the text cannot lose it without a change to something else.

    """
    text = PolicyText(data, file)
    number = _index(text, exception)
    expected = deepcopy(text.value)
    del expected[_SECTION][number]
    splices = _removal(text, number)
    if _whole_section(text, number):
        del expected[_SECTION]
    return text.changed(splices, expected)


def change_end(data: bytes, exception: str, until: str, file: str = "policy.yaml") -> bytes:
    """Let the exception of an id end at another day or instant.

    Raises:
        EditError: there is none, `until` is no day or instant, or its line cannot be changed alone.

    """
    until = grant.moment("until", until)
    text = PolicyText(data, file, f"    until: {quote(until)}")
    path: KeyPath = (_SECTION, _index(text, exception), "until")
    expected = deepcopy(text.value)
    expected[_SECTION][path[1]]["until"] = until
    place = text.place(path)
    if place is None or not place.is_line:
        raise text.refuse(f"{dotted(path)} is not written as a plain value")
    quoted = f"{place.style}{until}{place.style}" if place.style else quote(until)
    return text.changed([Splice(place.start, place.end, quoted)], expected)


def add_target(data: bytes, rule: int, target: str, file: str = "policy.yaml") -> bytes:
    """Add a target to what the rule of an index (from 0) blocks or allows.

    Raises:
        EditError: there is no such rule, it names the target already, or its list cannot be changed alone.

    """
    text = PolicyText(data, file, f"rules[{rule}]: {quote(target)}")
    rules = text.value.get("rules")
    if not isinstance(rules, list) or not 0 <= rule < len(rules) or not isinstance(rules[rule], dict):
        raise EditError(f"{file}: rules: there is no rule {rule}; rules are counted from 0")
    verb = "block" if "block" in rules[rule] else "allow"
    path: KeyPath = ("rules", rule, verb)
    new = grant.target(dotted(path), target)
    old = rules[rule].get(verb)
    names = [old] if isinstance(old, str) else list(old or ())
    if new in names:
        raise EditError(f"{text.where(path)}: {dotted(path)}: `{new}` stands there already")
    expected = deepcopy(text.value)
    expected["rules"][rule][verb] = [*names, new]
    return text.changed(_target_splices(text, path, new), expected)


def _target_splices(text: "PolicyText", path: KeyPath, new: str) -> list[Splice]:
    place = text.place(path)
    if place is not None and place.kind is Kind.SEQUENCE:
        if place.flow:
            return append_to_flow(text.outline, place, quote(new))
        return append_to_block(text.outline, place, [quote(new)])
    if place is None or not place.is_line:
        raise text.refuse(f"{dotted(path)} is neither a list nor a plain value")
    written = text.outline.text[place.start : place.end]
    if not is_plain(written) and (not place.style or BREAK.search(written)):
        written = quote(place.value)
    return [Splice(place.start, place.end, f"[{written}, {quote(new)}]")]


def _addition(text: "PolicyText", new: NewException) -> list[Splice]:
    outline = text.outline
    entry = outline.root.entry(_SECTION)
    if entry is None:
        return [_new_section(text, new)]
    key, value = entry
    text.place((_SECTION,))
    if value.is_null or _is_plain_empty(outline, value):
        if outline.root.flow or not value.bare:
            raise text.refuse("nothing is written in `exceptions`")
        return fill_block(outline, key, value, new.lines(), _list_offset(outline))
    if value.kind is not Kind.SEQUENCE:
        raise text.refuse("`exceptions` is not a list")
    if value.flow:
        return append_to_flow(outline, value, new.inline())
    return append_to_block(outline, value, new.lines())


def _new_section(text: "PolicyText", new: NewException) -> Splice:
    outline = text.outline
    if outline.root.flow or not outline.root.parts:
        raise text.refuse("there is no `exceptions:` and no line to put it on; write `exceptions: []` first")
    column = outline.column(outline.root.parts[0].start)
    at = outline.line_start(outline.end) if outline.end < len(outline.text) else outline.end
    lines = [
        " " * column + _NEW_SECTION,
        *item_lines(new.lines(), column + _list_offset(outline)),
    ]
    return insert_lines(outline, at, separator(outline, outline.root, at) + lines)


def _removal(text: "PolicyText", number: int) -> list[Splice]:
    outline = text.outline
    entry = outline.root.entry(_SECTION)
    value = text.place((_SECTION,))
    if entry is None or value is None or value.kind is not Kind.SEQUENCE:
        raise text.refuse("`exceptions` is not a list")
    if value.flow:
        return remove_from_flow(outline, value, number)
    if len(value.parts) > 1:
        return remove_from_block(outline, value, number)
    if _whole_section(text, number):
        return [_section_lines(outline, entry[0], value)]
    splices = empty_block(outline, entry[0], value)
    if splices is None:
        raise text.refuse("`exceptions:` is not on one line")
    return splices


def _whole_section(text: "PolicyText", number: int) -> bool:
    """Whether the exception is the only one of a section that was added with it, at the end of the file."""
    outline = text.outline
    entry = outline.root.entry(_SECTION)
    if number or entry is None or entry[1].flow or len(entry[1].parts) != 1:
        return False
    key, value = entry
    end = outline.item_end(value.parts[0])
    line = outline.text[key.start : outline.line_end(key.start)]
    return line == _NEW_SECTION and (end == len(outline.text) or end == outline.line_start(outline.end))


def _section_lines(outline: Outline, key: Place, value: Place) -> Splice:
    start = outline.line_start(key.start)
    parts = outline.root.parts
    number = parts.index(key)
    before = outline.line_start(outline.break_before(start))
    if (
        number
        and before >= outline.line_after(parts[number - 1].end)
        and before < start
        and outline.is_blank(before)
    ):
        start = before
    return delete_lines(outline, start, outline.item_end(value.parts[0]))


def _is_plain_empty(outline: Outline, value: Place) -> bool:
    """Whether a value is `[]`, one space after its key."""
    written = outline.text[max(value.start - 2, 0) : value.end]
    return value.kind is Kind.SEQUENCE and not outline.root.flow and written == ": []"


def _id(item: Value) -> str | None:
    """Return the id of an exception as the policy language reads it."""
    name = item.get("id") if isinstance(item, dict) else None
    return " ".join(name.split()) if isinstance(name, str) else None


def _list_offset(outline: Outline) -> int:
    """Return how far the block lists of this text are indented below their keys."""
    parts = outline.root.parts
    for key, value in zip(parts[::2], parts[1::2], strict=True):
        if value.kind is Kind.SEQUENCE and not value.flow:
            return outline.column(outline.dash(value.parts[0])) - outline.column(key.start)
    return _USUAL_OFFSET


def _index(text: "PolicyText", exception: str) -> int:
    items = text.value.get(_SECTION)
    ids = [_id(item) for item in items or ()]
    if exception not in ids:
        known = ", ".join(name for name in ids if name) or "none"
        raise EditError(f"{text.file}: exceptions: there is no `{exception}`; available: {known}")
    return ids.index(exception)


def _read(data: bytes, file: str) -> tuple[Document | None, list[PolicyIssue]]:
    """Read a text as if its last line had a line break, on which the value of a `|` text depends."""
    return read_yaml(data if data.endswith((b"\n", b"\r")) else data + b"\n", file)


class PolicyText:
    """A policy's text, what it says, and where; makes the checked result of a change."""

    def __init__(self, data: bytes, file: str, snippet: str = "") -> None:
        self.file = file
        self.snippet = snippet
        self._mark = codecs.BOM_UTF8 if data.startswith(codecs.BOM_UTF8) else b""
        document, issues = _read(data, file)
        if document is None or issues:
            raise EditError(f"{issues[0]}", snippet)
        if not isinstance(document.value, dict):
            raise EditError(f"{file}: a policy is a list of keys and values", snippet)
        self.value: dict[str, Value] = document.value
        self._document = document
        text = data.removeprefix(self._mark).decode()
        if text.startswith("\ufeff"):
            raise EditError(f"{file}: the file starts with two byte order marks; leave out one", snippet)
        self.outline = read_outline(text)

    def where(self, path: KeyPath) -> str:
        """Return `policy.yaml:41` for the value at a path."""
        return self._document.line(path)

    def refuse(self, reason: str) -> EditError:
        """Make the error for a change that only a person can make."""
        return EditError(f"{self.file}: {reason}; change it by hand", self.snippet)

    def place(self, path: KeyPath) -> Place | None:
        """Return the place of a value that may be changed without changing another one."""
        chain = self.outline.find(path)
        for depth, place in enumerate(chain):
            name = dotted(path[:depth])
            if place.kind is Kind.ALIAS:
                raise self.refuse(f"`{name}` is written as `*{place.anchor}`, a copy of something else")
            if place.anchor in self.outline.aliased:
                raise self.refuse(f"`{name}` is used elsewhere too, as `*{place.anchor}`")
        return chain[-1] if len(chain) == len(path) + 1 else None

    def changed(self, splices: list[Splice], expected: Value) -> bytes:
        """Apply a change, and see that the result says what it should and nothing else."""
        result = self._mark + spliced(self.outline.text, splices).encode()
        document, issues = _read(result, self.file)
        if document is None or issues or document.value != expected:
            raise self.refuse("the way this is written cannot be changed without changing something else")
        return result
