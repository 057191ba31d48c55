"""Approving: the headteacher or a deputy decides, signed in or by a link and a code; never who reviewed it."""

from dataclasses import dataclass, replace
from datetime import timedelta

from sqlalchemy import Connection

from schoolgate_exceptions import repository
from schoolgate_exceptions.desk import Desk, Said, is_personal
from schoolgate_exceptions.errors import InvalidToken, NotAllowed
from schoolgate_exceptions.mails import Letter
from schoolgate_exceptions.model import AccessRequest
from schoolgate_exceptions.outbox import Recipient
from schoolgate_exceptions.people import People
from schoolgate_exceptions.plain_text import words
from schoolgate_exceptions.publisher import Publisher
from schoolgate_exceptions.queue import Case, Queue
from schoolgate_exceptions.reviewing import MOST_NOTE, Reviewing
from schoolgate_exceptions.roles import APPROVERS, Actor
from schoolgate_exceptions.tokens import Token
from schoolgate_exceptions.workflow import Action, State

_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class LinkedCase:
    """What a link shows: the case, and for whom the link is."""

    case: Case
    actor: Actor


class Approving:
    """The headteacher's moves."""

    def __init__(
        self, desk: Desk, people: People, queue: Queue, reviewing: Reviewing, publisher: Publisher
    ) -> None:
        self._desk = desk
        self._office = desk.office
        self._people = people
        self._queue = queue
        self._reviewing = reviewing
        self._publisher = publisher

    def waiting(self, actor: Actor) -> list[AccessRequest]:
        """Return what waits for a decision of the head, oldest first."""
        actor.require(*sorted(APPROVERS))
        with self._office.read() as connection:
            return repository.in_states(connection, State.RECOMMENDED)

    def approve(self, actor: Actor, name: str, note: str = "", seen: int | None = None) -> AccessRequest:
        """Approve a request and write it into policy.yaml.

        What is returned is `applied`, or `approved` with `publication.problem` where the file could not be written.

        Raises:
            NotAllowed: the same person reviewed it, and no waiver for that person is on record.
            NotGranted: since it was recommended the policy changed so that it may not be approved any more.
            WorkflowError: somebody else was faster, or it has expired.

        """
        with self._office.write() as connection:
            request = repository.get(connection, name)
            moved = self._approve(connection, request, actor, note, seen)
        return self._publisher.reconcile(moved.number)

    def refuse(
        self, actor: Actor, name: str, answer: str, note: str = "", seen: int | None = None
    ) -> AccessRequest:
        """Do not approve a request."""
        actor.require(*sorted(APPROVERS))
        return self._reviewing.refuse(actor, name, answer, note, seen)

    def open_link(self, token: str) -> LinkedCase:
        """Show what a link is about; changes nothing, however often it is opened. A look at what is personal is noted.

        Raises:
            InvalidToken: forged, used, too old, or not of somebody who may approve today.

        """
        with self._office.read() as connection:
            found = self._desk.tokens.find(connection, token)
            actor = self._actor(connection, found)
            request = repository.by_number(connection, found.request)
            story = repository.story(connection, request.number)
        if is_personal(request):
            with self._office.write() as connection:
                self._desk.note_look(connection, actor, request, via="link")
        return LinkedCase(self._queue.build_case(actor, request, story), actor)

    def note_refused(self, actor: Actor, why: str) -> None:
        """Note that somebody came with a link that is forged, used or too old; once an hour for each device."""
        subject = f"account {actor.account}" if actor.account is not None else actor.device
        with self._office.write() as connection:
            self._office.note_once(connection, actor, "approval.refused", subject, _HOUR, why=why)

    def send_code(self, token: str) -> None:
        """Send a one-time code to the owner of a link.

        Raises:
            InvalidToken: the link is not valid.
            TooMany: enough codes were sent for this link.

        """
        with self._office.write() as connection:
            found = self._desk.tokens.find(connection, token)
            self._actor(connection, found)
            self._desk.tokens.count_code(connection, found)
            account = self._desk.accounts.get(connection, found.account)
            recipient = Recipient(account.email, account.language, account.number)
            self._desk.outbox.post(connection, Letter.CODE, recipient, found.request, token_key=found.key)

    def decide_by_link(
        self,
        token: str,
        *,
        approve: bool,
        code: str = "",
        actor: Actor | None = None,
        text: str = "",
        seen: int | None = None,
    ) -> AccessRequest:
        """Decide by a link, with a code or as somebody who is signed in; the link is used up by that.

        `text` is a note to an approval, the answer to who asked in a refusal.

        Raises:
            InvalidToken: the link or the code is not valid; a wrong code is counted.
            NotAllowed, NotGranted, WorkflowError: as for `approve`.

        """
        who = self._identify(token, code, actor)
        with self._office.write() as connection:
            found = self._desk.tokens.find(connection, token)
            request = repository.by_number(connection, found.request)
            self._desk.tokens.use(connection, found)
            if approve:
                moved = self._approve(connection, request, who, text, seen)
            else:
                said = Said(answer=words("answer", text, MOST_NOTE, least=1))
                moved = self._desk.move(connection, request, Action.REFUSE, who, said, seen=seen)
                self._desk.tell_asker(connection, Letter.REFUSED, moved)
        return self._publisher.reconcile(moved.number) if approve else moved

    def _identify(self, token: str, code: str, actor: Actor | None) -> Actor:
        """Return who decides: the owner of the link, shown by a session of theirs or by a code."""
        with self._office.write() as connection:
            found = self._desk.tokens.find(connection, token)
            owner = self._actor(connection, found)
            if actor is not None and actor.account == owner.account and actor.has(*APPROVERS):
                return actor
            right = bool(code) and self._desk.tokens.check_code(connection, found, code)
            if not right:
                self._office.audit.add(
                    connection, self._office.now(), replace(owner, roles=frozenset()), "approval.wrong-code"
                )
        if not right:
            raise InvalidToken(
                "this code is not right; type it as it stands in the letter, or ask for a new one"
            )
        return owner

    def _actor(self, connection: Connection, token: Token) -> Actor:
        """Return the owner of a link, who must still have the role it was made for."""
        account = self._desk.accounts.get(connection, token.account)
        actor = account.actor(self._office.today())
        if token.role not in actor.roles:
            raise InvalidToken("this link is not valid any more; sign in to see what waits for you")
        return replace(actor, roles=frozenset({token.role}))

    def _approve(
        self, connection: Connection, request: AccessRequest, actor: Actor, note: str, seen: int | None
    ) -> AccessRequest:
        said = Said(note=words("note", note, MOST_NOTE))
        waiver = ""
        if request.state is State.RECOMMENDED:
            actor.require(*sorted(APPROVERS))
            reviewers = repository.reviewers(connection, request.number) | {request.reviewer}
            if None in reviewers or actor.account in reviewers:
                waiver = self._waiver(connection, actor)
            if request.grant is None:
                raise NotAllowed("nothing was recommended")
            now = self._office.now()
            start = now.astimezone(self._office.zone).replace(hour=0, minute=0, second=0, microsecond=0)
            grant = replace(request.grant, starts=request.grant.starts or start)
            request = replace(request, grant=self._reviewing.checked(request, grant))
        return self._desk.move(
            connection, request, Action.APPROVE, actor, said, seen=seen, approver=actor.account, waiver=waiver
        )

    def _waiver(self, connection: Connection, actor: Actor) -> str:
        waiver = self._people.waiver(connection, actor.account)
        if waiver is None:
            raise NotAllowed(
                "whoever reviewed a request cannot approve it; the head or another deputy has to"
            )
        return f"{actor.name}: {waiver.reason}"
