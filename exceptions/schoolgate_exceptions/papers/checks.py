"""Checks of the filter as papers speak of them; who makes and keeps them is handed in."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Check:
    """One look at whether the filter does what was promised, from some networks; it names nobody."""

    at: datetime
    networks: tuple[str, ...]  # from which something could be tried
    kept: int  # as promised
    broken: int
    unknown: int = 0  # no answer that tells, or not to be tried from there

    @property
    def is_good(self) -> bool:
        """Whether something was tried, and nothing was otherwise than promised."""
        return self.kept > 0 and self.broken == 0


class Checks(Protocol):
    """The checks that were made."""

    def between(self, since: datetime, until: datetime) -> Sequence[Check]:
        """Return the checks of `[since, until)`, newest first."""
        ...


class NoChecks:
    """Where nothing keeps checks, none was made."""

    def between(self, since: datetime, until: datetime) -> Sequence[Check]:  # noqa: ARG002 - the protocol's
        """Return nothing."""
        return ()
