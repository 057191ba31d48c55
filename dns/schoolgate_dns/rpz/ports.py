"""What the server of zones wants counted; every label is a closed set."""

from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

type Seconds = Callable[[], float]  # since 1970: the time that signatures carry


class Transfer(StrEnum):
    """What was given to a secondary."""

    SERIAL = "serial"  # it asked whether there is anything new, or there was nothing
    CHANGES = "changes"  # IXFR
    WHOLE = "whole"  # AXFR


class Refused(StrEnum):
    """Why a request was turned away."""

    UNSIGNED = "unsigned"
    BAD_KEY = "bad_key"
    BAD_SIGNATURE = "bad_signature"
    BAD_TIME = "bad_time"
    MALFORMED = "malformed"
    NO_SUCH_ZONE = "no_such_zone"
    NOT_SERVED = "not_served"  # another type or operation than zones are kept with
    BUSY = "busy"


class RpzCounters(Protocol):
    """Counts what becomes of requests; every method must return at once and never raise."""

    def gave(self, what: Transfer) -> None:
        """Count one request that was answered."""
        ...

    def refused(self, why: Refused) -> None:
        """Count one request that was not."""
        ...

    def notified(self, *, heard: bool) -> None:
        """Count one notice of a change, and whether the secondary said that it heard it."""
        ...

    def published(self, zones: int, seconds: float) -> None:
        """Note that so many zones changed, and how long it took to work them out."""
        ...
