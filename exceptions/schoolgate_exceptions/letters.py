"""From a letter that is due to what it says: looks the request up, and makes the link when it is sent."""

import sqlalchemy as sa
from sqlalchemy import Connection

from schoolgate_exceptions import repository
from schoolgate_exceptions.desk import Desk
from schoolgate_exceptions.errors import NotFound
from schoolgate_exceptions.event_tables import alerts
from schoolgate_exceptions.links import link
from schoolgate_exceptions.mails import Letter, Mail, compose, count_of_devices, moment, words
from schoolgate_exceptions.model import AccessRequest
from schoolgate_exceptions.outbox import Due
from schoolgate_exceptions.people import People
from schoolgate_exceptions.roles import APPROVERS, Role
from schoolgate_exceptions.tokens import Token
from schoolgate_exceptions.workflow import State
from schoolgate_policy.decision import Verdict
from schoolgate_policy.technique_table import about

_TO_APPROVE = frozenset({Letter.APPROVAL, Letter.REMINDER})
_ALERTS = frozenset({Letter.ALERT, Letter.ALERT_AGAIN, Letter.SUPERVISED, Letter.CONCERN})
_TO_ASKER = frozenset({Letter.GRANTED, Letter.REFUSED, Letter.ASKED_BACK, Letter.REVOKED})


class Letters:
    """Writes the letters that the outbox sends."""

    def __init__(self, desk: Desk, people: People) -> None:
        self._desk = desk
        self._people = people
        self._office = desk.office

    def render(self, connection: Connection, due: Due) -> Mail | None:
        """Return what a letter says, None where what it was about is over."""
        if due.letter is Letter.WAITING:
            return self._compose(due, link=self._url("queue"), **due.values)
        if due.letter is Letter.CODE:
            return self._code(connection, due)
        if due.letter in _ALERTS:
            return self._alert(connection, due)
        if due.request is None:
            return None
        request = repository.by_number(connection, due.request)
        if due.letter in _TO_APPROVE:
            return self._approval(connection, due, request)
        return self._about(connection, due, request)

    def _alert(self, connection: Connection, due: Due) -> Mail | None:
        """Tell of a burst of attempts: the network and the ways, never the device; nothing once it was seen.

        Of what only a safeguarding lead is told, the letter does not even say the subject.
        """
        query = sa.select(alerts).where(alerts.c.number == due.values["alert"])
        row = connection.execute(query).one_or_none()
        if row is None or (row.acknowledged_at is not None and due.letter is not Letter.SUPERVISED):
            return None
        titles = [
            known.title.get(due.recipient.language, known.title["en"]) if (known := about(name)) else name
            for name in row.techniques
        ]
        rows = [
            ("network", row.network),
            ("when", moment(row.at, self._office.zone)),
            ("tried", ", ".join(titles)),
            ("points", "" if row.kind else str(row.points)),
            ("done", words(due.recipient.language)["supervised"] if row.supervised else ""),
        ]
        return self._compose(due, rows, link=self._url("attempts"))

    def _about(self, connection: Connection, due: Due, request: AccessRequest) -> Mail | None:
        if due.letter in _TO_ASKER:
            there = self._url("standing", reference=request.reference)
            return self._compose(due, self._asker_rows(connection, request), link=there)
        if due.letter is Letter.NOT_WRITTEN and not request.publication.problem:
            return None
        return self._compose(due, self._rows(connection, due, request), link=self._url("case", id=request.id))

    def _approval(self, connection: Connection, due: Due, request: AccessRequest) -> Mail | None:
        if request.state is not State.RECOMMENDED:
            return None
        there = self._url("queue")
        if due.recipient.account is not None:
            try:
                account = self._desk.accounts.get(connection, due.recipient.account)
            except NotFound:
                return None
            held = sorted(account.roles(self._office.today()) & APPROVERS)
            reviewed = repository.reviewers(connection, request.number) | {request.reviewer}
            if not held or (
                account.number in reviewed and self._people.waiver(connection, account.number) is None
            ):
                return None
            token = self._desk.tokens.issue(connection, request.number, account.number, held[-1])
            there = self._url("approve", token=token)
        return self._compose(due, self._rows(connection, due, request), link=there)

    def _code(self, connection: Connection, due: Due) -> Mail | None:
        if due.recipient.account is None or due.request is None:
            return None
        held = min(APPROVERS)
        token = Token(due.values["token_key"], due.request, due.recipient.account, held)
        return self._compose(due, code=self._desk.tokens.new_code(connection, token))

    def _rows(self, connection: Connection, due: Due, request: AccessRequest) -> list[tuple[str, str]]:
        language, grant, official = due.recipient.language, request.grant, request.official
        story = repository.story(connection, request.number)
        notes = [step.note for step in story if step.note and step.role is not Role.REQUESTER]
        rows = [
            ("host", request.host),
            ("network", request.requester.network),
            ("askers", count_of_devices(language, request.askers)),
            ("purpose", str(request.purpose)),
            ("reason", request.reason),
            ("advice", notes[-1] if notes else ""),
        ]
        if official is not None:
            rows += [
                ("objectives", official.objectives),
                ("outcomes", official.outcomes),
                ("risk_assessment", official.risk_assessment),
            ]
        if grant is not None:
            rows += [
                ("opens" if grant.verdict is Verdict.ALLOW else "blocks", ", ".join(grant.targets)),
                ("whom", ", ".join(grant.whom)),
                ("during", ", ".join(grant.during)),
                ("until", moment(grant.until, self._office.zone) if grant.until else ""),
            ]
        done = request.publication
        return [*rows, ("problem", done.problem), ("paste", done.paste), ("reference", request.id)]

    def _asker_rows(self, connection: Connection, request: AccessRequest) -> list[tuple[str, str]]:
        answers = [step.answer for step in repository.story(connection, request.number) if step.answer]
        ends = request.grant.until if request.grant and request.state.is_granted else None
        return [
            ("host", request.host),
            ("answer", answers[-1] if answers else ""),
            ("until", moment(ends, self._office.zone) if ends else ""),
            ("reference", request.reference),
        ]

    def _compose(
        self, due: Due, rows: list[tuple[str, str]] | None = None, *, link: str = "", **values: object
    ) -> Mail:
        school = self._office.policy.school.name
        return compose(due.letter, due.recipient.language, school, rows=rows or (), link=link, **values)

    def _url(self, page: str, **parts: str) -> str:
        return link(self._office.url, page, **parts)
