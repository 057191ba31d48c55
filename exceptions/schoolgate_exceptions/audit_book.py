"""The audit for those who may read it: look, verify, export."""

from collections.abc import Iterator

from schoolgate_exceptions.audit import Entry, Verified
from schoolgate_exceptions.desk import LOOK_EVERY
from schoolgate_exceptions.office import Office
from schoolgate_exceptions.roles import Actor, Role

READERS = (Role.OFFICER, Role.HEAD, Role.DPO, Role.GOVERNOR, Role.TECHNICIAN, Role.SYSTEM)


class AuditBook:
    """Reads the audit; each export is noted in it."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def newest(self, actor: Actor, most: int = 100, action: str = "") -> list[Entry]:
        """Return the newest rows first; of one action, or one group of actions such as `request`."""
        actor.require(*READERS)
        with self._office.read() as connection:
            return self._office.audit.newest(connection, most, action=action)

    def of(self, actor: Actor, subject: str) -> list[Entry]:
        """Return everything about one subject, oldest first: a request's id, an account's address.

        That somebody looked is a row itself.
        """
        actor.require(*READERS)
        with self._office.read() as connection:
            found = list(self._office.audit.entries(connection, subject=subject))
        if found:
            self.looked(actor, "audit.seen", subject)
        return found

    def looked(self, actor: Actor, action: str, subject: str) -> None:
        """Note that somebody has looked at what is kept about a subject; once an hour for each who does."""
        with self._office.write() as connection:
            self._office.note_once(connection, actor, action, subject, LOOK_EVERY, per_person=True)

    def verify(self) -> Verified:
        """Check every row.

        Raises:
            AuditBroken: a row was changed or is missing; names the first.

        """
        with self._office.read() as connection:
            return self._office.audit.verify(connection)

    def export(self, actor: Actor, after: int = 0) -> Iterator[Entry]:
        """Yield every row after a number, oldest first; that it was exported is a row itself."""
        actor.require(*READERS)
        with self._office.write() as connection:
            self._office.audit.add(connection, self._office.now(), actor, "audit.exported", after=after)
        with self._office.read() as connection:
            yield from self._office.audit.entries(connection, after=after)
