"""Reminders: on the next school morning, never at weekends and never in holidays."""

from datetime import datetime, time, timedelta

from sqlalchemy import Connection

from schoolgate_exceptions import repository
from schoolgate_exceptions.desk import Desk
from schoolgate_exceptions.mails import Letter, moment
from schoolgate_exceptions.people import read_setting, write_setting
from schoolgate_exceptions.queue import is_school_day
from schoolgate_exceptions.roles import APPROVERS, Role
from schoolgate_exceptions.tables import requests
from schoolgate_exceptions.workflow import State

_MORNING = time(7, 30)
_LAST = "officer reminded"


class Reminders:
    """Writes to those for whom something waits."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._office = desk.office

    def send_due(self) -> int:
        """Put the letters of this morning into the outbox; nothing where it is not a school morning, or was done."""
        morning = self._morning()
        if morning is None:
            return 0
        with self._office.write() as connection:
            return self._remind_approvers(connection, morning) + self._tell_officer(connection, morning)

    def _morning(self) -> datetime | None:
        """Return the instant at which this school day's reminders are due, once it has come."""
        local = self._office.now().astimezone(self._office.zone)
        due = datetime.combine(local.date(), _MORNING, self._office.zone)
        is_due = due <= local < due + timedelta(hours=10) and is_school_day(self._office.policy, local.date())
        return due if is_due else None

    def _remind_approvers(self, connection: Connection, morning: datetime) -> int:
        told = 0
        waiting = repository.select(
            connection,
            requests.c.state == State.RECOMMENDED,
            requests.c.reminded_at.is_(None) | (requests.c.reminded_at < morning),
        )
        for request in waiting:
            told += self._desk.tell(connection, Letter.REMINDER, tuple(sorted(APPROVERS)), request)
            repository.mark(connection, request.number, reminded_at=self._office.now())
        return told

    def _tell_officer(self, connection: Connection, morning: datetime) -> int:
        last = read_setting(connection, _LAST)
        if last is not None and datetime.fromisoformat(last) >= morning:
            return 0
        write_setting(connection, _LAST, self._office.now().isoformat())
        waiting = repository.in_states(connection, State.SUBMITTED, State.UNDER_REVIEW)
        if not waiting:
            return 0
        since = moment(waiting[0].created_at, self._office.zone)
        return self._desk.tell(
            connection, Letter.WAITING, (Role.OFFICER,), None, count=len(waiting), since=since
        )
