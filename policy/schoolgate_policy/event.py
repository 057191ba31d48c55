"""What enforcement points tell the portal of: typed, flat, and small enough to be sent by the thousand.

No event holds a path or a search term. `at` is in seconds since 1970, UTC. Texts are empty where there is none.
"""

from typing import NamedTuple


class Visit(NamedTuple):
    """A verdict that was acted upon, `times` times; without address and host where it is only to be counted."""

    at: float
    point: str
    network: str
    address: str
    host: str
    verdict: str
    reason: str
    source: str
    service: str
    category: str
    times: int = 1


class Sighting(NamedTuple):
    """A known way round the filter was seen."""

    at: float
    point: str
    network: str  # empty: to be found by the address
    address: str
    host: str
    technique: str
    times: int = 1


class Bell(NamedTuple):
    """Something came into force at an enforcement point: `policy` and its version."""

    at: float
    point: str
    what: str
    name: str


class Fault(NamedTuple):
    """A failure of ours that ended in a block: its area and the kind of error."""

    at: float
    point: str
    area: str
    error: str
    times: int = 1


class Probed(NamedTuple):
    """A piece of the record of one probe of the filter, as JSON; the last piece says how many there are."""

    at: float
    point: str  # `probe`
    run: str
    body: str
    times: int = 1


type Event = Visit | Sighting | Bell | Fault | Probed
