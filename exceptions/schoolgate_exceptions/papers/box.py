"""What papers ask of the box around the portal: its parts, its firewall, and whom it speaks with. Handed in."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class PartState:
    """A part of the product; `problem` is empty where it says that it is ready."""

    name: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class FirewallState:
    """The firewall as its reader tells; `refused` is how many packets it refused since it was loaded."""

    loaded: bool
    refused: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Connected:
    """Something outside this box that the school has connected to it, and what goes there."""

    what: str
    where: str
    gets: str


class Box(Protocol):
    """The box as it is now; every method may take a second and never raises."""

    def parts(self) -> Sequence[PartState]:
        """Return every part that should run."""
        ...

    def interfaces(self) -> Sequence[str]:
        """Return the networks that have an interface, so that their traffic comes through here."""
        ...

    def firewall(self) -> FirewallState:
        """Return how the firewall is."""
        ...

    def connected(self) -> Sequence[Connected]:
        """Return what outside it speaks with."""
        ...


class UnknownBox:
    """Where nothing can be asked of the box, nothing is proved by it."""

    def parts(self) -> Sequence[PartState]:
        """Return nothing."""
        return ()

    def interfaces(self) -> Sequence[str]:
        """Return nothing."""
        return ()

    def firewall(self) -> FirewallState:
        """Return that it could not be asked."""
        return FirewallState(loaded=False, problem="it could not be asked")

    def connected(self) -> Sequence[Connected]:
        """Return nothing."""
        return ()
