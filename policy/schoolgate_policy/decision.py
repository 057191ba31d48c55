"""What is judged and what comes out: `Attempt` goes into the engine, `Decision` comes out of it."""

from dataclasses import dataclass, field, fields, make_dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """The outcome of a judgement."""

    ALLOW = "allow"
    BLOCK = "block"


class Reason(StrEnum):
    """Which step of the order of judgement gave the verdict; a closed set, safe as a metric label."""

    LOCKED = "locked"
    ALWAYS_ALLOW = "always_allow"
    SANCTION = "sanction"
    EXCEPTION = "exception"
    RULE = "rule"
    OTHERWISE = "otherwise"
    ERROR = "error"


class Point(StrEnum):
    """Where an attempt was seen: the enforcement point, or a question about one."""

    DNS = "dns"
    PROXY = "proxy"
    EXPLAIN = "explain"


# RFC 9110 9.2.1 (safe methods): what asks for something and changes nothing. TRACE and CONNECT are never forwarded.
READING = frozenset({"GET", "HEAD", "OPTIONS"})
SENDING = ("POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True, slots=True)
class Page:
    """The page that something is wanted for as a part; `path` is `/` too where only the page's host is known."""

    host: str  # canonical
    path: str = "/"  # raw


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is judged: somebody at `address` wants `host` (and `path`, where it is known) at `at`.

    `address` is the client's IP address as text. `host` is a host name or IP literal in any spelling;
    the engine brings it into its canonical form. `path` is None where only the name is known (DNS question,
    TLS server name), else the raw URL path. `at` is an aware datetime; UTC is the fast case. `shows` is the id of a
    service of the catalogue that the site shows itself to be, whatever its name: a web proxy told by its files.
    `within` is the page that wants this as a part (a picture, a frame); None where it is asked for by itself.
    `method` is the request's, None where there is no request yet: then it is taken to be one that reads.
    """

    address: str
    host: str
    at: datetime
    path: str | None = None
    point: Point = Point.EXPLAIN
    shows: str | None = None
    within: Page | None = None
    method: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One thing the engine looked at on its way to a verdict."""

    what: str  # `always_allow`, `exceptions[0] REQ-2026-0012`, `rules[2]`, `otherwise` …
    source: str  # `policy.yaml:41`, or empty where it stands in no file
    matched: bool
    because: str


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict and what caused it.

    The same attempt gets the same verdict on `[at, valid_until)`; `valid_until` None means until the policy
    changes. Instants are UTC. `considered` is filled only where it was asked for (`Engine.explain`).
    """

    verdict: Verdict
    reason: Reason
    message: str  # why, in the policy's words, for the person who is blocked
    at: datetime
    valid_until: datetime | None
    host: str  # canonical; as it was received where it has no canonical form
    network: str
    device: str | None = None
    rule: int | None = None  # index in `rules`
    exception: str | None = None  # id in `exceptions`
    source: str | None = None  # `policy.yaml:41`
    service: str | None = None
    category: str | None = None
    list: str | None = None  # the name of the list that brought the verdict about; never a locked one
    # A page below this host may be judged otherwise than the host: the verdict holds for the name only.
    path_decides: bool = False
    # The connection to this host is decrypted (given the network's `inspection` and `never_inspect`).
    open_tls: bool = False
    considered: tuple[Step, ...] = field(default=())

    @property
    def blocked(self) -> bool:
        """Whether the verdict is a block."""
        return self.verdict is Verdict.BLOCK

    def about(self, host: str, at: datetime) -> "Decision":
        """Return the same decision about another host, asked for at another instant.

        A frozen object costs three times as much to fill as one that is frozen afterwards, and every name that is
        asked for the first time needs one.
        """
        made = _Draft(
            self.verdict, self.reason, self.message, at, self.valid_until, host, self.network, self.device, self.rule,
            self.exception, self.source, self.service, self.category, self.list, self.path_decides, self.open_tls, (),
        )  # fmt: skip
        made.__class__ = Decision
        decision: Decision = made
        return decision


_Draft: Any = make_dataclass("_Draft", [each.name for each in fields(Decision)], slots=True)
