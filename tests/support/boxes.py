"""The box around a portal, as a test wants it: what its parts and its firewall say."""

import threading
from dataclasses import dataclass, field

from schoolgate_exceptions.papers.box import Connected, FirewallState, PartState

WELL = ("dns", "proxy", "portal")


@dataclass
class ToldBox:
    """A box whose parts say what they are told to say; with `hangs` set they say it once that is set free."""

    problems: dict[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = WELL
    wall: FirewallState | None = None
    hangs: threading.Event | None = None

    def parts(self) -> list[PartState]:
        """Return the parts with their problems."""
        if self.hangs is not None:
            self.hangs.wait(30)
        return [PartState(name, self.problems.get(name, "")) for name in self.names]

    def interfaces(self) -> list[str]:
        """Return a network where there is a firewall."""
        return [] if self.wall is None else ["pupils"]

    def firewall(self) -> FirewallState:
        """Return how it is."""
        return self.wall or FirewallState(loaded=False, problem="there is none")

    def connected(self) -> list[Connected]:
        """Return nothing."""
        return []
