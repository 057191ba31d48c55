"""The seams between the core and the world: what enforcement points are handed by whoever composes them."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from schoolgate_policy.decision import Attempt, Decision
from schoolgate_policy.engine import Engine

type Clock = Callable[[], datetime]  # the present instant, aware, in UTC


class PolicySource(Protocol):
    """Whoever holds the policy in force."""

    @property
    def engine(self) -> Engine:
        """The engine of the policy in force; another object after each reload, so ask each time."""
        ...


class Recorder(Protocol):
    """Takes note of what was decided; must return at once and never raise."""

    def decision(self, attempt: Attempt, decision: Decision) -> None:
        """Record one verdict that was acted upon."""
        ...

    def technique(self, technique: str, network: str, address: str, host: str) -> None:
        """Record that a known way round the filter was seen (`doh`, `ip_literal` …: a closed set)."""
        ...

    def fault(self, area: str, error: Exception) -> None:
        """Record a failure of ours that ended in a block: `area` is a closed set (`dns`, `proxy`, `upstream` …)."""
        ...
