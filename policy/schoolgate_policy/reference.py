"""Writes docs/policy.md and policy/policy.schema.json from the models: `python -m schoolgate_policy.reference`.

The words around the tables stand in docs/policy.frame.md. Lines of their own there are filled in:
`{{keys NAME}}` with a table of the keys of a model, `{{words NAME}}` with the words a choice knows,
`{{file PATH}}` with a file as it is. With `--check` nothing is written; exit code 1 says that something is stale.
"""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from schoolgate_policy.expectations import ExpectationFile
from schoolgate_policy.schema import json_schema

FRAME, REFERENCE, SCHEMA = (
    Path("docs/policy.frame.md"),
    Path("docs/policy.md"),
    Path("policy/policy.schema.json"),
)

_SLOT = re.compile(r"^\{\{(keys|words|file) (\S+)\}\}$", re.MULTILINE)
_NOTE = "<!-- Made from the models by `python -m schoolgate_policy.reference`; edit docs/policy.frame.md instead. -->"
_KINDS = {"string": "text", "integer": "number", "boolean": "yes or no", "object": "keys", "array": "list"}


def render_reference(frame: str, read: Callable[[str], str]) -> str:
    """Fill the frame in; `read` returns the text of a file, by its path from the root of the repository."""
    policy = json_schema()
    expectations = ExpectationFile.model_json_schema(by_alias=True)
    models = {
        **policy["$defs"],
        **expectations["$defs"],
        "PolicyFile": policy,
        "ExpectationFile": expectations,
    }

    def fill(match: re.Match[str]) -> str:
        kind, name = match.groups()
        match kind:
            case "keys":
                return _table(models[name], models)
            case "words":
                return ", ".join(f"`{word}`" for word in models[name]["enum"])
            case _:
                language = "yaml" if name.endswith("yaml") else "text"
                return f"```{language}\n{read(name).rstrip()}\n```"

    return f"{_NOTE}\n\n{_SLOT.sub(fill, frame)}"


def render_schema() -> str:
    """Write the JSON Schema of policy.yaml as it is committed."""
    return json.dumps(json_schema(), ensure_ascii=False, indent=2) + "\n"


type _Models = dict[str, dict[str, Any]]


def _table(model: dict[str, Any], models: _Models) -> str:
    needed = set(model.get("required", ()))
    rows = ["| key | is | says |", "| --- | --- | --- |"]
    for key, about in model["properties"].items():
        mark = " (needed)" if key in needed else ""
        says = about.get("description", "")
        default = about.get("default")
        if isinstance(default, str):
            says = f"{says}; default `{default}`"
        rows.append(f"| `{key}`{mark} | {_kind(about, models)} | {says} |")
    return "\n".join(rows)


def _kind(about: dict[str, Any], models: _Models) -> str:
    """Name what a key takes, as a person would."""
    options = [
        option for option in about.get("anyOf") or about.get("oneOf") or () if option.get("type") != "null"
    ]
    if options:
        return _any_of(options, models)
    if "$ref" in about:
        name = about["$ref"].rpartition("/")[2]
        return name.removesuffix("Section").lower() if name.endswith("Section") else _scalar(models[name])
    if about.get("type") == "array":
        return f"list of {_kind(about['items'], models)}"
    if "patternProperties" in about:
        (inner,) = about["patternProperties"].values()
        return f"names, each with {_kind(inner, models)}"
    return _scalar(about)


def _any_of(options: list[dict[str, Any]], models: _Models) -> str:
    """Name a choice; something or a list of it is one or more of it."""
    kinds = [_kind(option, models) for option in options]
    lists = {kind.removeprefix("list of ") for kind in kinds if kind.startswith("list of ")}
    said = [f"one or more of {kind}" if kind in lists else kind for kind in kinds]
    return " or ".join(dict.fromkeys(kind for kind in said if kind.removeprefix("list of ") not in lists))


def _scalar(about: dict[str, Any]) -> str:
    words = about.get("enum") or ([about["const"]] if "const" in about else [])
    if words:
        return " or ".join(f"`{word}`" for word in words)
    if about.get("examples"):
        return f"text such as {', '.join(f'`{word}`' for word in about['examples'])}"
    return "date" if about.get("format") == "date" else _KINDS[about.get("type", "object")]


def main(arguments: list[str]) -> int:
    """Write both files below the current folder, or with `--check` say which of them is stale."""
    frame = FRAME.read_text(encoding="utf-8")
    made = {
        REFERENCE: render_reference(frame, lambda name: Path(name).read_text(encoding="utf-8")),
        SCHEMA: render_schema(),
    }
    stale = [
        path for path, text in made.items() if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    if arguments == ["--check"]:
        sys.stderr.writelines(
            f"{path}: stale; run `python -m schoolgate_policy.reference`\n" for path in stale
        )
        return int(bool(stale))
    for path in stale:
        path.write_text(made[path], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
