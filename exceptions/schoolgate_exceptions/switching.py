"""Switching one of the policy's states on, such as an incident; `state.json` tells dns and proxy."""

from dataclasses import dataclass

from schoolgate_exceptions.control_files import write_whole
from schoolgate_exceptions.errors import NotFound
from schoolgate_exceptions.office import Office
from schoolgate_exceptions.roles import Actor, Role
from schoolgate_exceptions.tables import write_instant
from schoolgate_policy.switch import FILE, render_state


@dataclass(frozen=True, slots=True)
class Switch:
    """A state that can be switched on."""

    id: str
    about: str
    active: bool


class Switching:
    """Switches states on and off."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def listed(self) -> list[Switch]:
        """Return the policy's states, and which of them is on."""
        active = self._office.engine.state
        return [Switch(one.id, one.about, one.id == active) for one in self._office.policy.states.values()]

    def switch(self, actor: Actor, state: str | None) -> None:
        """Switch a state on, or with None off what is on; in force within two seconds.

        Raises:
            NotFound: the policy has no such state.
            OSError: the state folder cannot be written; everything is as it was.

        """
        role = actor.require(Role.HEAD, Role.DEPUTY, Role.OFFICER)
        known = self._office.policy.states
        if state is not None and state not in known:
            raise NotFound(f"there is no state `{state}`; available: {', '.join(known) or 'none'}")
        with self._office.write() as connection:
            now = self._office.now()
            self._office.audit.add(
                connection, now, actor, "state.switched", state or "", before=self._office.engine.state
            )
            write_whole(self._office.state / FILE, render_state(state, write_instant(now), str(role)))
