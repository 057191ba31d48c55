"""Reviewing: what the e-safety officer (and the DSL) does with a request before the headteacher sees it."""

from dataclasses import replace

from schoolgate_exceptions import repository
from schoolgate_exceptions.desk import Desk, Said
from schoolgate_exceptions.errors import InvalidInput, NotAllowed, NotGranted
from schoolgate_exceptions.granting import objections
from schoolgate_exceptions.kinds import Kind
from schoolgate_exceptions.mails import Letter
from schoolgate_exceptions.model import AccessRequest, Grant
from schoolgate_exceptions.plain_text import words
from schoolgate_exceptions.publisher import Publisher
from schoolgate_exceptions.queue import check_reader
from schoolgate_exceptions.roles import APPROVERS, Actor, Role
from schoolgate_exceptions.workflow import Action
from schoolgate_policy.decision import Verdict

MOST_NOTE = 1000
_MOST_REASON = 200


class Reviewing:
    """The officer's moves. `seen` is the version of the request the decision was made by; None: whatever it is now."""

    def __init__(self, desk: Desk, publisher: Publisher) -> None:
        self._desk = desk
        self._office = desk.office
        self._publisher = publisher

    def take(self, actor: Actor, name: str, seen: int | None = None) -> AccessRequest:
        """Begin to look at a request."""
        return self._move(actor, name, Action.TAKE, Said(), seen)

    def recommend(
        self, actor: Actor, name: str, grant: Grant, advice: str, seen: int | None = None
    ) -> AccessRequest:
        """Recommend a request to the headteacher, who gets a letter.

        Raises:
            NotGranted: it exceeds what the policy allows.
            WorkflowError: it is not in a state for that.
            InvalidInput: the advice or the reason is empty or too long.

        """
        said = Said(note=words("advice", advice, MOST_NOTE, least=1))
        with self._office.write() as connection:
            request = repository.get(connection, name)
            checked = self.checked(request, grant)
            moved = self._desk.move(
                connection,
                request,
                Action.RECOMMEND,
                actor,
                said,
                seen=seen,
                grant=checked,
                reviewer=actor.account,
                waiting_for_answer=False,
            )
            self._desk.tell(connection, Letter.APPROVAL, tuple(sorted(APPROVERS)), moved)
            repository.mark(connection, moved.number, reminded_at=self._office.now())
            return moved

    def refuse(
        self, actor: Actor, name: str, answer: str, note: str = "", seen: int | None = None
    ) -> AccessRequest:
        """Refuse a request; `answer` is shown to who asked, `note` to nobody else."""
        said = Said(words("note", note, MOST_NOTE), words("answer", answer, MOST_NOTE, least=1))
        with self._office.write() as connection:
            request = repository.get(connection, name)
            moved = self._desk.move(connection, request, Action.REFUSE, actor, said, seen=seen)
            self._desk.tell_asker(connection, Letter.REFUSED, moved)
            return moved

    def refuse_all(self, actor: Actor, names: tuple[str, ...], answer: str) -> list[AccessRequest]:
        """Refuse several at once, with one answer: all of them or, after an error, none."""
        said = Said(answer=words("answer", answer, MOST_NOTE, least=1))
        with self._office.write() as connection:
            moved = []
            for name in names:
                request = repository.get(connection, name)
                moved.append(self._desk.move(connection, request, Action.REFUSE, actor, said))
                self._desk.tell_asker(connection, Letter.REFUSED, moved[-1])
            return moved

    def ask_back(self, actor: Actor, name: str, question: str, seen: int | None = None) -> AccessRequest:
        """Put a question to who asked; it stands on the page of their request."""
        said = Said(answer=words("question", question, _MOST_REASON, least=1))
        with self._office.write() as connection:
            request = repository.get(connection, name)
            check_reader(actor, request)
            moved = self._desk.move(
                connection, request, Action.ASK_BACK, actor, said, seen=seen, waiting_for_answer=True
            )
            self._desk.tell_asker(connection, Letter.ASKED_BACK, moved)
            return moved

    def refer(self, actor: Actor, name: str, note: str = "", seen: int | None = None) -> AccessRequest:
        """Send a request on to the designated safeguarding lead, who gets a letter."""
        said = Said(note=words("note", note, MOST_NOTE))
        with self._office.write() as connection:
            request = repository.get(connection, name)
            moved = self._desk.move(connection, request, Action.REFER, actor, said, seen=seen, with_dsl=True)
            self._desk.tell(connection, Letter.REFERRED, (Role.DSL,), moved)
            return moved

    def reconsider(self, actor: Actor, name: str, note: str = "", seen: int | None = None) -> AccessRequest:
        """Take a recommendation back, or as head send it back to the officer."""
        return self._move(actor, name, Action.RECONSIDER, Said(note=words("note", note, MOST_NOTE)), seen)

    def block_now(
        self, actor: Actor, name: str, grant: Grant, note: str = "", seen: int | None = None
    ) -> AccessRequest:
        """Block what was reported; nothing opens by it, so the officer does it alone.

        Raises:
            NotGranted: the policy refuses it.

        """
        if grant.verdict is not Verdict.BLOCK:
            raise NotAllowed("to open something needs the headteacher")
        said = Said(note=words("note", note, MOST_NOTE))
        with self._office.write() as connection:
            request = repository.get(connection, name)
            checked = self.checked(request, grant)
            moved = self._desk.move(
                connection,
                request,
                Action.BLOCK_NOW,
                actor,
                said,
                seen=seen,
                grant=checked,
                reviewer=actor.account,
            )
        return self._publisher.reconcile(moved.number)

    def settle(
        self, actor: Actor, name: str, answer: str, note: str = "", seen: int | None = None
    ) -> AccessRequest:
        """Close a report that was dealt with, without a change of the policy."""
        said = Said(words("note", note, MOST_NOTE), words("answer", answer, MOST_NOTE))
        return self._move(actor, name, Action.SETTLE, said, seen)

    def checked(self, request: AccessRequest, grant: Grant) -> Grant:
        """Return a grant with a clean reason.

        Raises:
            NotGranted: something speaks so much against it that nobody may approve it.
            InvalidInput: the kind of request and the grant do not fit.

        """
        opens = grant.verdict is Verdict.ALLOW
        if opens is not request.kind.opens:
            raise InvalidInput(
                grant=f"a request of the kind `{request.kind}` cannot end in `{grant.verdict}`"
            )
        if not grant.targets:
            raise InvalidInput(targets="name what it is about")
        if grant.until is None and (opens or grant.rule is None):
            raise InvalidInput(until="say when it ends")
        reason = words("reason", grant.reason, _MOST_REASON, least=1)
        ends = grant.until.replace(microsecond=0) if grant.until else None  # the file knows seconds
        clean = replace(grant, reason=reason, until=ends)
        against = [
            one.message
            for one in objections(request, clean, self._office.engine, self._office.now())
            if one.blocks
        ]
        if request.kind is Kind.OFFICIAL_USE and request.official is None:
            against.append("official use needs objectives, outcomes and a risk assessment")
        if against:
            raise NotGranted(tuple(against))
        return clean

    def _move(self, actor: Actor, name: str, action: Action, said: Said, seen: int | None) -> AccessRequest:
        with self._office.write() as connection:
            request = repository.get(connection, name)
            check_reader(actor, request)
            return self._desk.move(connection, request, action, actor, said, seen=seen)
