"""Reads the settings from `schoolgate.toml` and the environment, and says what is wrong with them, one line each."""

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from schoolgate.settings import Settings
from schoolgate_policy.errors import SchoolgateError

DEFAULT_FILE = Path("schoolgate.toml")
_PREFIX = "SCHOOLGATE_"
_NOT_SETTINGS = frozenset({"SCHOOLGATE_POLICY", "SCHOOLGATE_SETTINGS"})  # options of the command line


class SettingsError(SchoolgateError):
    """Settings that cannot be used; one line for each thing that is wrong."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


def load_settings(file: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings: defaults, then the file, then the environment.

    Without `file`, `schoolgate.toml` in the working folder is read if it exists. Relative paths in the file are
    relative to the file's folder.

    Raises:
        SettingsError: something is wrong, each in one line that begins with the file and the key.

    """
    source = file or DEFAULT_FILE
    document = _read(source) if file or source.exists() else {}
    for section, key in (
        (document, "state"),
        (document.get("proxy"), "upstream_ca"),
        (document.get("dns"), "upstream_ca"),
        (document.get("dns"), "cookie_secret"),
        (document.get("mail"), "password_file"),
        (document.get("portal"), "certificate"),
        (document.get("portal"), "key"),
        (document.get("sso"), "secret_file"),
    ):
        if isinstance(section, dict) and isinstance(section.get(key), str):
            section[key] = str(source.parent / section[key])
    _place_keys(document, source.parent)
    variables = _overlay(document, environ)
    try:
        return Settings.model_validate(document)
    except ValidationError as error:
        raise SettingsError([_line(issue, source, variables) for issue in error.errors()]) from None


def _place_keys(document: dict[str, Any], folder: Path) -> None:
    """Make the secondaries' key files relative to the settings' folder."""
    rpz = document.get("rpz")
    secondaries = rpz.get("secondaries") if isinstance(rpz, dict) else None
    for one in secondaries.values() if isinstance(secondaries, dict) else ():
        if isinstance(one, dict) and isinstance(one.get("key"), str):
            one["key"] = str(folder / one["key"])


def _read(source: Path) -> dict[str, Any]:
    try:
        with source.open("rb") as stream:
            return tomllib.load(stream)
    except OSError as error:
        raise SettingsError([f"{source}: cannot be read: {(error.strerror or str(error)).lower()}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError([f"{source}: {str(error)[:1].lower()}{str(error)[1:]}"]) from None


def _known_variables() -> dict[str, tuple[str, ...]]:
    known: dict[str, tuple[str, ...]] = {}
    for name, field in Settings.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            for key in section.model_fields:
                known[f"{_PREFIX}{name}_{key}".upper()] = (name, key)
        else:
            known[f"{_PREFIX}{name}".upper()] = (name,)
    return known


def _overlay(document: dict[str, Any], environ: Mapping[str, str]) -> dict[tuple[str, ...], str]:
    """Put the environment's settings over the document's; return which variable gave which key."""
    known = _known_variables()
    given: dict[tuple[str, ...], str] = {}
    for name in sorted(environ):
        if not name.startswith(_PREFIX) or name in _NOT_SETTINGS:
            continue
        if name not in known:
            raise SettingsError([f"{name}: no such setting; {_suggest(name, list(known))}"])
        *sections, key = path = known[name]
        place = document
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                break  # the file is wrong here, and validation says so
        else:
            place[key] = environ[name]
            given[path] = name
    return given


def _line(issue: Any, source: Path, variables: Mapping[tuple[str, ...], str]) -> str:
    path = tuple(str(part) for part in issue["loc"])
    variable = variables.get(path[:2]) or variables.get(path[:1])
    where = variable or f"{source}: {'.'.join(path)}".removesuffix(": ")
    message: str = issue["msg"].removeprefix("Value error, ")
    if issue["type"] == "extra_forbidden":
        message = f"no such setting; {_suggest(path[-1], _keys(path[:-1]))}"
    if issue["type"] == "too_short":
        message = "at least one is needed"
    return f"{where}: {message[:1].lower()}{message[1:]}"


def _keys(path: tuple[str, ...]) -> list[str]:
    section: Any = Settings
    for part in path:
        section = section.model_fields[part].annotation
    return list(section.model_fields)


def _suggest(name: str, available: list[str]) -> str:
    close = difflib.get_close_matches(name, available, n=1)
    hint = f"did you mean `{close[0]}`? " if close else ""
    return f"{hint}available: {', '.join(sorted(available))}"
