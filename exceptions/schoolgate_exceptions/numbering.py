"""The two names of a request: `REQ-2026-0012` for the policy and those who decide, `K7-4QX` for who asked."""

from datetime import datetime

from sqlalchemy import Connection

from schoolgate_exceptions import repository
from schoolgate_exceptions.office import Office
from schoolgate_exceptions.references import short_reference

_REFERENCES = 28**5


class Numbering:
    """Gives names, in the transaction that uses them."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def new_id(self, connection: Connection, now: datetime) -> str:
        """Return the next number of the year that neither the database nor policy.yaml has."""
        start = f"REQ-{now.astimezone(self._office.zone).year}-"
        written = [
            one.id.removeprefix(start) for one in self._office.policy.exceptions if one.id.startswith(start)
        ]
        taken = [int(number) for number in written if number.isdecimal()]
        return f"{start}{max([repository.newest_number(connection, start), *taken]) + 1:04}"

    def new_reference(self, connection: Connection) -> str:
        """Return a short reference that nobody has."""
        while True:
            reference = short_reference(self._office.random.below(_REFERENCES))
            if not repository.has_reference(connection, reference):
                return reference
