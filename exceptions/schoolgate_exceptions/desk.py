"""Where requests are moved: checks the move, writes it down in the request, its story and the audit, all in one."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from schoolgate_exceptions import repository
from schoolgate_exceptions.accounts import Account, Accounts
from schoolgate_exceptions.errors import WorkflowError
from schoolgate_exceptions.mails import Letter
from schoolgate_exceptions.model import AccessRequest, Step
from schoolgate_exceptions.office import Office
from schoolgate_exceptions.outbox import Outbox, Recipient
from schoolgate_exceptions.roles import Actor, Role
from schoolgate_exceptions.tokens import Tokens
from schoolgate_exceptions.workflow import Action, State, next_state

_CONTACTS = {Role.OFFICER: "e_safety_officer", Role.HEAD: "headteacher", Role.DSL: "dsl"}


@dataclass(frozen=True, slots=True)
class Said:
    """What somebody adds to a step: `note` for those who decide, `answer` for who asked."""

    note: str = ""
    answer: str = ""


NOTHING = Said()
LOOK_EVERY = timedelta(hours=1)  # a look at the same thing by the same person is noted this often


class Desk:
    """Moves requests and tells those who should know; every method works in its caller's transaction."""

    def __init__(self, office: Office, accounts: Accounts, outbox: Outbox, tokens: Tokens) -> None:
        self.office = office
        self.accounts = accounts
        self.outbox = outbox
        self.tokens = tokens

    def move(
        self,
        connection: Connection,
        request: AccessRequest,
        action: Action,
        actor: Actor,
        said: Said = NOTHING,
        *,
        seen: int | None = None,
        **changes: Any,
    ) -> AccessRequest:
        """Take one step; `seen` is the version somebody decided by, `changes` are further fields of the request.

        Raises:
            WorkflowError: there is no such move, or the request changed since it was seen.

        """
        if seen is not None and seen != request.version:
            raise WorkflowError(
                f"somebody else was faster: the request is `{request.state}` now; look at it again"
            )
        target, role = next_state(request.state, action, actor.roles, request.kind)
        now = self.office.now()
        moved = repository.save(connection, replace(request, state=target, **changes), now)
        step = Step(
            now, action, request.state, target, role, actor.account, actor.name, said.note, said.answer
        )
        repository.add_step(connection, request.number, step)
        if request.state is State.RECOMMENDED and target is not State.RECOMMENDED:
            self.tokens.end_all(connection, request.number)
        self.office.audit.add(
            connection,
            now,
            actor,
            f"request.{action.name.lower().replace('_', '-')}",
            request.id,
            role=role,
            source=request.state,
            target=target,
            host=request.host,
            note=said.note,
            answer=said.answer,
        )
        return moved

    def join(
        self, connection: Connection, request: AccessRequest, actor: Actor, text: str, *, worrying: bool
    ) -> AccessRequest:
        """Keep what somebody says who asks for the same; what the officer has seen so far stays decidable.

        The words are purged with the case, so the audit, which is kept for longer, does not repeat them.
        """
        target, role = next_state(request.state, Action.JOIN, actor.roles, request.kind)
        now = self.office.now()
        step = Step(now, Action.JOIN, request.state, target, role, actor.account, actor.name, text)
        repository.add_step(connection, request.number, step)
        marked = replace(request, safeguarding=request.safeguarding or worrying)
        if marked != request:
            repository.mark(connection, request.number, safeguarding=True)
        self.office.audit.add(
            connection,
            now,
            actor,
            "request.joined",
            request.id,
            role=role,
            host=request.host,
            safeguarding=worrying,
        )
        if worrying:
            self.tell(connection, Letter.SAFEGUARDING, (Role.DSL,), marked)
        return marked

    def tell(
        self,
        connection: Connection,
        letter: Letter,
        roles: tuple[Role, ...],
        request: AccessRequest | None,
        **values: Any,
    ) -> int:
        """Write to everybody with one of some roles, or to the policy's contacts where no account has them."""
        number = request.number if request else None
        found = self.recipients(connection, *roles)
        for recipient in found:
            self.outbox.post(connection, letter, recipient, number, **values)
        return len(found)

    def recipients(self, connection: Connection, *roles: Role) -> tuple[Recipient, ...]:
        """Return everybody with one of some roles, or the policy's contacts where no account has them."""
        holders = self.accounts.holders(connection, *roles)
        if holders:
            return tuple(recipient_of(account) for account in holders)
        contacts = self.office.policy.school.contacts
        named = {contacts[key] for role in roles if (key := _CONTACTS.get(role, "")) in contacts}
        return tuple(Recipient(address) for address in sorted(named) if "@" in address)

    def tell_asker(self, connection: Connection, letter: Letter, request: AccessRequest) -> None:
        """Write to everybody who asked with an account; a question goes to the first, who alone can answer it."""
        asked = {request.requester.account} - {None}
        if letter is not Letter.ASKED_BACK:
            asked |= repository.asker_accounts(connection, request.number)
        for number in sorted(one for one in asked if one is not None):
            account = self.accounts.get(connection, number)
            if account.closed_at is None:
                self.outbox.post(connection, letter, recipient_of(account), request.number)

    def note_look(self, connection: Connection, actor: Actor, request: AccessRequest, **details: Any) -> None:
        """Note that somebody looks at a request that is about a person; once an hour for each who does."""
        if is_personal(request):
            self.office.note_once(
                connection, actor, "request.seen", request.id, LOOK_EVERY, per_person=True, **details
            )


def is_personal(request: AccessRequest) -> bool:
    """Whether a request names somebody, or holds words that may be a reason for concern."""
    return bool(request.requester.name) or request.safeguarding or request.with_dsl


def recipient_of(account: Account) -> Recipient:
    """Return an account as the recipient of a letter."""
    return Recipient(account.email, account.language, account.number)
