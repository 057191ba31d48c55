"""What the policy says of a list, and what became of it. Pure values."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol


class Format(StrEnum):
    """The formats in which lists are published."""

    HOSTS = "hosts"  # an address and the names that are to have it
    DOMAINS = "domains"  # one name a line
    ADBLOCK = "adblock"  # ||name^
    DNSMASQ = "dnsmasq"  # address=/name/
    RPZ = "rpz"  # a DNS response policy zone
    UT1 = "ut1"  # a folder or tar with files named `domains` and `urls`


class Standing(StrEnum):
    """What a list is good for at present; a closed set, safe as a metric label."""

    IN_USE = "in use"
    KEPT = "old copy in use"  # what it brings now was refused, or is gone
    NOT_FETCHED = "not fetched yet"
    NOT_SUPPLIED = "not supplied"  # a locked list without entries: nobody has given the school one


@dataclass(frozen=True, slots=True)
class ListSpec:
    """A list as policy.yaml names it. `file` is relative to the folder of the policy."""

    name: str
    locked: bool = False
    file: str | None = None
    url: str | None = None
    format: Format | None = None
    category: str | None = None
    reason: str | None = None
    licence: str | None = None
    refresh: timedelta = timedelta(days=1)

    @property
    def key(self) -> str:
        """The name that no other list of the policy has, also as a file name."""
        return f"{'locked' if self.locked else 'lists'}-{self.name}"


@dataclass(frozen=True, slots=True)
class Counts:
    """What was found in a list. Duplicates count once, except in `lines`."""

    format: str
    names: int = 0
    pages: int = 0
    lines: int = 0
    exceptions: int = 0  # entries that take a name out again; they are never followed
    unused: int = 0  # entries that say more, or less, than that a host is listed
    too_wide: int = 0  # public suffixes such as co.uk, which would cover half the web
    unreadable: int = 0
    first_unreadable: int = 0  # line number, from 1
    single_labels: bool = False  # whether some name has one label only, as `onion`


@dataclass(frozen=True, slots=True)
class ListStatus:
    """What is known of a list, for people and metrics; it never holds an entry."""

    spec: ListSpec
    standing: Standing
    counts: Counts | None = None
    digest: str = ""  # SHA-256 of the source, first 12 hexadecimal digits
    dated: datetime | None = None  # when its content was last changed, or last confirmed by its publisher
    refused: str = ""  # why what it brings now is not used

    @property
    def names(self) -> int:
        """How many hosts and pages are listed."""
        return self.counts.names + self.counts.pages if self.counts else 0


class HostSet(Protocol):
    """A named set of hosts too large for the policy itself: a block list."""

    def covers(self, host: str) -> bool:
        """Whether the canonical host, or any name above it, is listed."""
        ...

    def __len__(self) -> int: ...


class PageSet(Protocol):
    """A set of pages: host and path prefix."""

    def below(self, host: str) -> bool:
        """Whether some page of the canonical host, or of a name above it, is listed."""
        ...

    def covers(self, host: str, path: str) -> bool:
        """Whether a raw path of the host is a listed page, lies below one, or cannot be told from one."""
        ...

    def __len__(self) -> int: ...


@dataclass(frozen=True, slots=True)
class ListContent:
    """A list ready to be judged by."""

    hosts: HostSet
    status: ListStatus
    pages: PageSet | None = None
    warnings: tuple[str, ...] = ()


class ListRefused(ValueError):  # noqa: N818 - reads as what it is where it is raised and caught
    """A list that cannot be used; the text is one line that names no entry of a locked list."""
