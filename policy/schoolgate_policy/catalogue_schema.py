"""The shape of the catalogue's data files: what a category file and the header may say, checked by pydantic.

Only the shape of one document; what holds between documents is checked where they are put together.
"""

from datetime import date
from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from schoolgate_policy.errors import InvalidHost
from schoolgate_policy.names import as_ip, canonical_host

FORMAT = 1  # of the files themselves; a newer one needs a newer Schoolgate

_WORD = r"^[a-z0-9]+(-[a-z0-9]+)*$"


def _domain(text: str) -> str:
    try:
        canonical = canonical_host(text)
    except InvalidHost as error:
        raise ValueError(str(error)) from error
    if canonical != text:
        raise ValueError(f"{text!r} is to be written {canonical!r}")
    if "." not in text or as_ip(text) is not None:
        raise ValueError(f"{text!r} is no domain name with at least two labels")
    return text


def _ordered(domains: tuple[str, ...]) -> tuple[str, ...]:
    for left, right in pairwise(domains):
        if left == right:
            raise ValueError(f"{right!r} stands here twice")
        if left > right:
            raise ValueError(f"not in alphabetical order: {right!r} belongs before {left!r}")
    return domains


Identifier = Annotated[str, StringConstraints(pattern=_WORD, max_length=40)]
Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Domains = Annotated[tuple[Annotated[str, AfterValidator(_domain)], ...], AfterValidator(_ordered)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AgeEntry(_Entry):
    """The lowest age a service admits. `checked` is the day on which the entry was last looked at."""

    years: int = Field(ge=0, le=21)
    source: Text
    checked: date


class ServiceEntry(_Entry):
    """One service of a category file."""

    title: Text
    domains: Domains = Field(min_length=1)
    shared_domains: Domains = ()
    frontends: Domains = ()
    min_age: AgeEntry | None = None
    notes: str = ""


class CategoryDocument(_Entry):
    """One category file: the category itself and the services in it."""

    category: Identifier
    title: Text
    about: Text
    parent: Identifier | None = None
    services: dict[Identifier, ServiceEntry] = Field(default_factory=dict)


class HeaderDocument(_Entry):
    """What the data is: the format it is written in, and its date as version (`2026-11-21`, a second one `.2`)."""

    format: int = Field(ge=1)
    version: str = Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(\.[0-9]{1,3})?$")
