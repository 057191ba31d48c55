"""Reads `embedded.yaml`: which services carry the address of another site, where, and what web proxies look like."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from schoolgate_policy.errors import PolicyError
from schoolgate_policy.names import canonical_host, suffixes
from schoolgate_policy.yaml_text import read_yaml

WHOLE = "?"  # as a parameter: the whole query


def _pattern(text: str) -> str:
    re.compile(text)
    return text


def _host(text: str) -> str:
    if canonical_host(text) != text:
        raise ValueError(f"{text!r} is to be written {canonical_host(text)!r}")
    return text


Pattern = Annotated[str, AfterValidator(_pattern)]
Hosts = Annotated[tuple[Annotated[str, AfterValidator(_host)], ...], Field(min_length=1)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CarrierEntry(_Entry):
    """A service that carries an address."""

    hosts: Hosts
    host: Literal["hyphens"] | None = None
    path: tuple[Pattern, ...] = ()
    query: tuple[str, ...] = ()
    query_pattern: Mapping[str, Pattern] = Field(default_factory=dict)


class AnywhereEntry(_Entry):
    """What is looked for at every host."""

    query: tuple[str, ...]


class ProgramEntry(_Entry):
    """A program that makes a web proxy of the site it runs on. All of `query` must be there, beside one of `paths`."""

    service: str
    title: str
    paths: tuple[Pattern, ...] = ()
    websocket: tuple[Pattern, ...] = ()
    query: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    scripts: tuple[str, ...] = ()
    pages: tuple[Pattern, ...] = ()


class EmbeddedFile(_Entry):
    """The whole file."""

    services: tuple[CarrierEntry, ...]
    redirectors: tuple[CarrierEntry, ...]
    anywhere: AnywhereEntry
    program_signs: tuple[str, ...]
    programs: tuple[ProgramEntry, ...]


@dataclass(frozen=True, slots=True)
class Carrier:
    """A service that carries an address, ready to be looked into.

    `paths` hold the address; `only_at`, where there are any, say on which paths the query does.
    """

    redirects: bool
    hyphens: bool
    names: tuple[str, ...]
    paths: tuple[re.Pattern[str], ...]
    only_at: tuple[re.Pattern[str], ...]
    query: frozenset[str]
    query_patterns: Mapping[str, re.Pattern[str]]


@dataclass(frozen=True, slots=True)
class Program:
    """A rewriting web proxy; `query` are the parameters that must all be there beside the path."""

    service: str
    title: str
    paths: re.Pattern[str] | None
    websocket: re.Pattern[str] | None
    query: frozenset[str]
    headers: frozenset[str]
    scripts: tuple[bytes, ...]
    pages: re.Pattern[bytes] | None


@dataclass(frozen=True, slots=True)
class Knowledge:
    """All that is known of embedded addresses."""

    carriers: Mapping[str, tuple[Carrier, ...]]  # by host
    anywhere: frozenset[str]
    programs: tuple[Program, ...]
    signs: re.Pattern[str]  # found in whatever a program is told by
    headers: frozenset[str]  # of any program

    def carriers_of(self, host: str) -> tuple[Carrier, ...]:
        """Return the services a canonical host belongs to."""
        return tuple(carrier for name in suffixes(host) for carrier in self.carriers.get(name, ()))


@cache
def knowledge() -> Knowledge:
    """Return what ships.

    Raises:
        PolicyError, ValueError: the data that ships is broken.

    """
    document, issues = read_yaml((files(__package__) / "embedded.yaml").read_bytes(), "embedded.yaml")
    if document is None or issues:
        raise PolicyError(tuple(issues))
    file = EmbeddedFile.model_validate(document.value)
    carriers: dict[str, tuple[Carrier, ...]] = {}
    for redirects, entries in ((False, file.services), (True, file.redirectors)):
        for entry in entries:
            carrier = _carrier(entry, redirects=redirects)
            for host in entry.hosts:
                carriers[host] = (*carriers.get(host, ()), carrier)
    programs = tuple(_program(entry) for entry in file.programs)
    headers = frozenset(name for program in programs for name in program.headers)
    signs = re.compile("|".join(re.escape(sign) for sign in file.program_signs))
    return Knowledge(carriers, frozenset(file.anywhere.query), programs, signs, headers)


def _carrier(entry: CarrierEntry, *, redirects: bool) -> Carrier:
    patterns = [re.compile(text) for text in entry.path]
    return Carrier(
        redirects=redirects,
        hyphens=entry.host == "hyphens",
        names=entry.hosts,
        paths=tuple(pattern for pattern in patterns if "target" in pattern.groupindex),
        only_at=tuple(pattern for pattern in patterns if "target" not in pattern.groupindex),
        query=frozenset(entry.query),
        query_patterns={name: re.compile(text) for name, text in entry.query_pattern.items()},
    )


def _program(entry: ProgramEntry) -> Program:
    return Program(
        service=entry.service,
        title=entry.title,
        paths=_any_of(entry.paths),
        websocket=_any_of(entry.websocket),
        query=frozenset(entry.query),
        headers=frozenset(entry.headers),
        scripts=tuple(text.encode() for text in entry.scripts),
        pages=re.compile("|".join(entry.pages).encode(), re.IGNORECASE) if entry.pages else None,
    )


def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str] | None:
    return re.compile("|".join(f"(?:{text})" for text in patterns)) if patterns else None
