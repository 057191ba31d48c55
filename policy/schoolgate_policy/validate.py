"""Plain values → `PolicyFile`, gathering every problem in one pass.

pydantic reports all structural problems at once. What it refuses is then left out, so that the rest can be checked
for meaning too, and one run shows everything.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from schoolgate_policy.errors import PolicyIssue
from schoolgate_policy.fields import kind_of
from schoolgate_policy.schema import PolicyFile
from schoolgate_policy.yaml_text import Document, KeyPath

_COLLECTIONS = {
    "networks": 2, "devices": 2, "schedules": 2, "services": 2, "lists": 2, "calendars": 2, "states": 2, "locked": 2,
    "always_allow": 2, "never_inspect": 2, "rules": 2, "exceptions": 2, "calendar": 3,
}  # fmt: skip
_STAND_INS: dict[str, Any] = {"version": 1, "school": {"name": "?"}, "unknown_clients": "unknown"}
_MOST_NAMES_SHOWN = 30


@dataclass(slots=True)
class Parsed:
    """A policy file whose shape is right, as far as it is; `kept` maps the items of a list to their places in the file."""

    file: PolicyFile
    kept: dict[KeyPath, list[int]] = field(default_factory=dict)

    def place(self, *path: str | int) -> KeyPath:
        """Return where an item of `file` stands in the document."""
        here: KeyPath = ()
        for part in path:
            numbers = self.kept.get(here)
            here = (*here, numbers[part] if numbers is not None and isinstance(part, int) else part)
        return here


def validate(document: Document) -> tuple[Parsed | None, list[PolicyIssue]]:
    """Check the shape of a policy; None where too little is left to look at its meaning."""
    if not isinstance(document.value, dict):
        return None, [
            document.issue((), f"a policy is a list of keys and values, not {kind_of(document.value)}")
        ]
    try:
        return Parsed(PolicyFile.model_validate(document.value)), []
    except ValidationError as error:
        issues = [_issue(document, dict(detail)) for detail in error.errors(include_url=False)]
        bad = {_pruned_at(detail["loc"]) for detail in error.errors(include_url=False, include_context=False)}
    value, kept = _without(document.value, (), bad)
    for key, stand_in in _STAND_INS.items():
        value.setdefault(key, stand_in)
    try:
        return Parsed(PolicyFile.model_validate(value), kept), issues
    except ValidationError:
        return None, issues


def _pruned_at(path: tuple[int | str, ...]) -> KeyPath:
    """Find the smallest piece around a problem that the rest of the file can do without."""
    path = tuple(part for part in path if not str(part).startswith("["))
    return tuple(path[: _COLLECTIONS.get(str(path[0]), 1)]) if path else ()


def _without(value: Any, path: KeyPath, bad: set[KeyPath]) -> tuple[Any, dict[KeyPath, list[int]]]:
    kept: dict[KeyPath, list[int]] = {}
    if isinstance(value, dict):
        result: Any = {}
        for key, item in value.items():
            if (*path, key) not in bad:
                result[key], below = _without(item, (*path, key), bad)
                kept |= below
        return result, kept
    if isinstance(value, list):
        numbers = [number for number in range(len(value)) if (*path, number) not in bad]
        if len(numbers) < len(value):
            kept[path] = numbers
        return [value[number] for number in numbers], kept
    return value, kept


def _issue(document: Document, detail: dict[str, Any]) -> PolicyIssue:
    path: KeyPath = tuple(part for part in detail["loc"] if not str(part).startswith("["))
    kind, given = detail["type"], detail.get("input")
    at_key = kind == "extra_forbidden" or "[key]" in detail["loc"]
    return document.issue(path, _message(kind, given, path, detail), at_key=at_key)


def message_of(detail: dict[str, Any]) -> str:
    """Put what pydantic found into words for a person."""
    return _message(detail["type"], detail.get("input"), tuple(detail["loc"]), detail)


def _message(  # noqa: PLR0911 - one return a kind of mistake
    kind: str, given: Any, path: KeyPath, detail: dict[str, Any]
) -> str:
    match kind:
        case "missing":
            return "this key is missing"
        case "extra_forbidden":
            return f"unknown key `{path[-1]}`; {suggest(str(path[-1]), _keys_at(path[:-1]))}"
        case "enum" | "literal_error":
            allowed = [
                word.strip("'") for word in detail["ctx"]["expected"].replace(" or ", ", ").split(", ")
            ]
            if path == ("version",):
                return _version_message(given)
            return f"{kind_of(given)} is not possible here; {suggest(str(given), allowed)}"
        case "model_type" | "dict_type" | "model_attributes_type":
            return f"a group of keys is expected here, not {kind_of(given)}"
        case "list_type":
            return f"a list is expected here, not {kind_of(given)}"
        case "too_short":
            return "name at least one"
        case _:
            return str(detail["msg"])


def _version_message(given: Any) -> str:
    newest = PolicyFile.model_fields["version"].annotation.__args__[0]  # type: ignore[union-attr]  # a Literal
    if isinstance(given, int) and not isinstance(given, bool) and 0 <= given < newest:
        return f"version {given} of the policy language is an older one; `schoolgate policy migrate` brings it up to date"
    return f"version {given!s} of the policy language is not known; this program reads version {newest}"


def _keys_at(path: KeyPath) -> list[str]:
    """List the keys that the section at `path` knows."""
    model: Any = PolicyFile
    for part in path:
        fields = (
            {field.alias or name: field for name, field in model.model_fields.items()}
            if _is_model(model)
            else {}
        )
        model = _section_in(fields[part].annotation) if part in fields else model
    return [info.alias or name for name, info in model.model_fields.items()]


def _is_model(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, BaseModel)


def _section_in(annotation: Any) -> Any:
    """Find the section model inside `list[X]`, `dict[str, X]` or `X | None`."""
    if _is_model(annotation):
        return annotation
    for part in reversed(getattr(annotation, "__args__", ())):
        found = _section_in(part)
        if found is not None:
            return found
    return None


def suggest(given: str, available: Iterable[str]) -> str:
    """Say what is available, and what was probably meant; of very many names only the meant one."""
    names = sorted(available)
    close = get_close_matches(given.lower(), names, n=1, cutoff=0.7)
    meant = f"did you mean `{close[0]}`? " if close else ""
    if len(names) > _MOST_NAMES_SHOWN:
        return f"{meant}{len(names)} names are known"
    return f"{meant}available: {', '.join(names) or 'none'}"
