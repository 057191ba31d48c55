"""The end of what was granted: at its time by itself, earlier by officer or head, and said beforehand."""

from dataclasses import replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from schoolgate_exceptions import repository
from schoolgate_exceptions.desk import Desk, Said
from schoolgate_exceptions.errors import InvalidInput, NotAllowed
from schoolgate_exceptions.kinds import Kind
from schoolgate_exceptions.mails import Letter
from schoolgate_exceptions.model import AccessRequest
from schoolgate_exceptions.plain_text import words
from schoolgate_exceptions.publisher import Publisher, ends_soon
from schoolgate_exceptions.reviewing import MOST_NOTE
from schoolgate_exceptions.roles import SYSTEM, Actor, Role
from schoolgate_exceptions.tables import requests
from schoolgate_exceptions.workflow import GRANTED, OPEN, Action, State

_AHEAD = timedelta(days=3)


class Ending:
    """Ends and shortens what was granted."""

    def __init__(self, desk: Desk, publisher: Publisher) -> None:
        self._desk = desk
        self._office = desk.office
        self._publisher = publisher

    def revoke(self, actor: Actor, name: str, note: str, seen: int | None = None) -> AccessRequest:
        """End an exception at once; what is returned says whether the file could be changed."""
        said = Said(note=words("note", note, MOST_NOTE, least=1))
        with self._office.write() as connection:
            request = repository.get(connection, name)
            teacher_only = not actor.has(Role.OFFICER, Role.HEAD, Role.DEPUTY)
            if teacher_only and request.requester.account != actor.account:
                raise NotAllowed("this window was opened by somebody else")
            moved = self._desk.move(connection, request, Action.REVOKE, actor, said, seen=seen)
            self._desk.tell_asker(connection, Letter.REVOKED, moved)
        return self._publisher.reconcile(moved.number)

    def shorten(
        self, actor: Actor, name: str, until: datetime, note: str = "", seen: int | None = None
    ) -> AccessRequest:
        """Let an exception end earlier; to make it longer is to ask again.

        Raises:
            InvalidInput: the new end is not between now and the present one.

        """
        said = Said(note=words("note", note, MOST_NOTE))
        until = until.replace(microsecond=0)  # the file knows seconds
        with self._office.write() as connection:
            request = repository.get(connection, name)
            grant = request.grant
            now = self._office.now()
            if grant is None or (grant.until is not None and until >= grant.until):
                raise InvalidInput(until="choose an earlier end than now; to make it longer, ask again")
            if until <= now:
                raise InvalidInput(until="this time has passed; end it at once instead")
            moved = self._desk.move(
                connection, request, Action.SHORTEN, actor, said, seen=seen, grant=replace(grant, until=until)
            )
        return self._publisher.reconcile(moved.number)

    def expire_due(self) -> int:
        """Expire what has ended and what nobody decided in time; return how many. Each is a step of its own."""
        with self._office.read() as connection:
            now = self._office.now()
            decided = {
                *GRANTED,
                State.RECOMMENDED,
            }  # what was recommended for a time that is over cannot be had
            over = sa.and_(requests.c.state.in_(decided), requests.c.grant_until <= now)
            late = sa.and_(
                requests.c.state.in_(OPEN),
                sa.or_(
                    requests.c.wanted_until <= now,
                    requests.c.created_at <= now - self._office.limits.undecided,
                ),
            )
            due = list(connection.execute(sa.select(requests.c.number).where(sa.or_(over, late))).scalars())
        return sum(self._expire(number) for number in due)

    def tell_of_ends(self) -> int:
        """Write to the officer and to who asked before an exception ends, once for each: three days before.

        Of one that lasts three days or less they hear when half its time is over.
        """
        told = 0
        with self._office.write() as connection:
            now = self._office.now()
            for request in repository.select(
                connection,
                requests.c.state.in_(GRANTED),
                requests.c.ending_told_at.is_(None),
                requests.c.grant_until <= now + _AHEAD,
                requests.c.kind != Kind.LESSON_WINDOW,
            ):
                if ends_soon(request, now, _AHEAD):
                    self._desk.tell(connection, Letter.ENDING, (Role.OFFICER,), request)
                    self._desk.tell_asker(connection, Letter.ENDING, request)
                    repository.mark(connection, request.number, ending_told_at=now)
                    told += 1
        return told

    def ending_soon(self, ahead: timedelta = timedelta(days=7)) -> list[AccessRequest]:
        """Return the exceptions that end within some time, the next first."""
        now = self._office.now()
        with self._office.read() as connection:
            found = repository.select(
                connection, requests.c.state.in_(GRANTED), requests.c.grant_until <= now + ahead
            )
        live = [one for one in found if one.grant and one.grant.until and one.kind is not Kind.LESSON_WINDOW]
        return sorted(live, key=lambda one: one.grant.until if one.grant and one.grant.until else now)

    def _expire(self, number: int) -> bool:
        """Expire one request unless somebody decided otherwise meanwhile."""
        with self._office.write() as connection:
            request, now = repository.by_number(connection, number), self._office.now()
            if request.state.is_over:
                return False
            if not _is_over(request, now, self._office.limits.undecided):
                return False
            self._desk.move(connection, request, Action.EXPIRE, SYSTEM)
            return True


def _is_over(request: AccessRequest, now: datetime, undecided: timedelta) -> bool:
    """Whether what was granted or recommended has ended, or nobody has decided in time."""
    ends = request.grant.until if request.grant and request.state is not State.UNDER_REVIEW else None
    if ends is not None and ends <= now:
        return True
    return request.state.is_open and repository.lapse_before(request, undecided) <= now
