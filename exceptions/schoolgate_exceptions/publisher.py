"""Makes policy.yaml say what was decided: an approved request stands in it, a revoked one does not.

What the file should say is read from the database, the file is changed by splices that leave every other byte, and
afterwards the database is looked at again: if somebody decided otherwise meanwhile, the file follows. Doing it twice
does no harm, so whatever was interrupted is simply done again. A file that cannot be written loses nothing: the
request stays approved, with the lines to paste, and is tried again.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from schoolgate_exceptions import repository
from schoolgate_exceptions.desk import Desk
from schoolgate_exceptions.granting import exception_of, write_end
from schoolgate_exceptions.kinds import Kind
from schoolgate_exceptions.mails import Letter
from schoolgate_exceptions.model import AccessRequest, Publication
from schoolgate_exceptions.roles import SYSTEM, Role
from schoolgate_exceptions.tables import lapsed, requests
from schoolgate_exceptions.workflow import GRANTED, Action, State
from schoolgate_policy.document import PolicyText, add_exception, add_target, change_end, remove_exception
from schoolgate_policy.errors import EditError, HistoryError, PolicyConflict, PolicyError, PolicyUnwritable
from schoolgate_policy.grant import NewException
from schoolgate_policy.history import line_changes
from schoolgate_policy.write import Author, Written, edit_policy

_ROUNDS = 5  # how often somebody may decide otherwise while the file is being written
_PATIENCE_S = 5.0
_INDENT = 2


@dataclass(frozen=True, slots=True)
class _Wish:
    """What the file should say of one request: `new` is None where it should say nothing."""

    request: AccessRequest
    new: NewException | None


class Publisher:
    """Brings policy.yaml and the database together."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._office = desk.office

    def reconcile(self, number: int) -> AccessRequest:
        """Make the file say what was decided on a request, and return the request as it is then.

        Raises:
            Unavailable: the database cannot be used; what was written to the file is noted next time.

        """
        for _ in range(_ROUNDS):
            with self._office.read() as connection:
                request = repository.by_number(connection, number)
            problem, lines = self._write(request)
            with self._office.write() as connection:
                now_is = repository.by_number(connection, number)
                if (now_is.state, now_is.grant) != (request.state, request.grant):
                    continue  # somebody decided otherwise meanwhile
                return self._note(connection, now_is, problem, lines)
        return now_is

    def pending(self) -> list[int]:
        """Return the requests whose file is not known to say what was decided."""
        with self._office.read() as connection:
            unwritten = sa.and_(requests.c.state == State.APPROVED)
            unremoved = sa.and_(
                requests.c.state == State.REVOKED,
                requests.c.written_at.is_not(None),
                requests.c.removed_at.is_(None),
            )
            late = sa.and_(requests.c.state == State.APPLIED, requests.c.problem != "")
            query = sa.select(requests.c.number).where(sa.or_(unwritten, unremoved, late))
            return list(connection.execute(query).scalars())

    def lines(self, request: AccessRequest, approved_by: Role = Role.HEAD) -> str:
        """Return the lines that are, or would be, pasted below `exceptions:` by hand.

        Raises:
            EditError: the grant is not what the policy language allows.

        """
        if request.grant is None:
            return ""
        if request.grant.rule is not None:
            return "\n".join(f"rules[{request.grant.rule}]: {target}" for target in request.grant.targets)
        first, *rest = exception_of(request, request.grant, self._office.zone, approved_by).lines()
        return "\n".join([f"{' ' * _INDENT}- {first}", *(f"{' ' * (_INDENT + 2)}{line}" for line in rest)])

    def tidy(self, now: datetime) -> int:
        """Move the exceptions that have ended from the file into the register; return how many.

        Raises:
            PolicyUnwritable, PolicyConflict, EditError, PolicyError: the file stays as it was.

        """
        policy = self._office.policy
        over = {one.id: one.ends for one in policy.exceptions if one.ends <= now}
        if not over:
            return 0
        self._register(over, now)

        def take_out(data: bytes) -> bytes:
            for name in over:
                if find(data, name) is not None:
                    data = remove_exception(data, name)
            return data

        count = len(over)
        self._edit(take_out, "schoolgate", f"{count} exception{'s'[: count != 1]} ended")
        with self._office.write() as connection:
            self._office.audit.add(connection, now, SYSTEM, "policy.tidied", details_ids=sorted(over))
            for name in over:
                connection.execute(
                    requests.update()
                    .where(requests.c.id == name, requests.c.removed_at.is_(None))
                    .values(removed_at=now)
                )
        return count

    def approved_by(self, connection: Connection, request: AccessRequest) -> Role:
        """Return the role in which a request was granted."""
        granting = {Action.APPROVE, Action.OPEN_WINDOW, Action.BLOCK_NOW}
        taken = [
            step.role for step in repository.story(connection, request.number) if step.action in granting
        ]
        return taken[-1] if taken else Role.HEAD

    def _register(self, over: dict[str, datetime], now: datetime) -> None:
        data = self._office.policy_file.read_bytes()
        with self._office.write() as connection:
            for name, ended in over.items():
                lines = _lines_of(data, name)
                known = sa.select(lapsed.c.number).where(lapsed.c.id == name, lapsed.c.ended_at == ended)
                if lines and connection.execute(known).one_or_none() is None:
                    _enter(connection, name, lines, ended, now, "expired")

    def _write(self, request: AccessRequest) -> tuple[str, str]:
        """Change the file; return what went wrong and the lines that say what it should."""
        removed: list[str] = []
        lines = ""
        try:
            with self._office.read() as connection:
                role = self.approved_by(connection, request)
            lines = self.lines(request, role)
            wish = self._wish(request, role)

            def edit(data: bytes) -> bytes:
                new = _edited(data, wish, self._office.zone)
                removed[:] = line_changes(data, new)[1]
                return new

            self._edit(edit, str(role), f"{request.id} {request.state}")
        except (PolicyUnwritable, EditError) as error:
            return str(error), error.snippet or lines
        except (PolicyError, PolicyConflict, HistoryError, OSError) as error:
            return str(error).splitlines()[0] if str(error) else type(error).__name__, lines
        if wish.new is None and removed and request.state is State.REVOKED:
            self._remember(request, "\n".join(removed))
        return "", lines

    def _wish(self, request: AccessRequest, role: Role) -> _Wish:
        grant = request.grant
        alive = grant is not None and (grant.until is None or grant.until > self._office.now())
        if grant is None or grant.rule is not None or request.state not in GRANTED or not alive:
            return _Wish(request, None)
        return _Wish(request, exception_of(request, grant, self._office.zone, role))

    def _edit(self, edit: Any, who: str, why: str) -> Written:
        return edit_policy(
            self._office.policy_file,
            edit,
            author=Author(who, why, self._office.now()),
            state=self._office.state,
            catalogue=None,
            patience=_PATIENCE_S,
        )

    def _remember(self, request: AccessRequest, lines: str) -> None:
        now = self._office.now()
        with self._office.write() as connection:
            _enter(connection, request.id, lines, now, now, "revoked")

    def _note(
        self, connection: Connection, request: AccessRequest, problem: str, lines: str
    ) -> AccessRequest:
        """Write down what became of the file."""
        now, before = self._office.now(), request.publication
        if problem:
            done = Publication(before.written_at, before.removed_at, problem, lines)
            if before.problem != problem[:500]:
                self._office.audit.add(
                    connection, now, SYSTEM, "policy.not-written", request.id, problem=problem
                )
                if not before.problem:
                    roles = (Role.OFFICER, Role.TECHNICIAN)
                    self._desk.tell(connection, Letter.NOT_WRITTEN, roles, request)
            return self._publish(connection, request, done)
        gone = request.state not in GRANTED
        done = Publication(
            before.written_at or (None if gone else now), now if gone and before.written_at else None
        )
        if request.state is State.APPROVED and self._is_alive(request):
            self._desk.tell_asker(connection, Letter.GRANTED, request)
            return self._desk.move(connection, request, Action.APPLY, SYSTEM, publication=done)
        return self._publish(connection, request, done)

    def _is_alive(self, request: AccessRequest) -> bool:
        until = request.grant.until if request.grant else None
        return until is None or until > self._office.now()

    def _publish(self, connection: Connection, request: AccessRequest, done: Publication) -> AccessRequest:
        repository.mark(
            connection,
            request.number,
            written_at=done.written_at,
            removed_at=done.removed_at,
            problem=done.problem[:500],
            paste=done.paste,
        )
        return replace(request, publication=done)


def find(data: bytes, name: str) -> dict[str, Any] | None:
    """Return what a policy's text says of the exception of an id.

    Raises:
        EditError: the text cannot be read.

    """
    items = PolicyText(data, "policy.yaml").value.get("exceptions")
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and item.get("id") == name:
            return item
    return None


def _edited(data: bytes, wish: _Wish, zone: Any) -> bytes:
    request, grant = wish.request, wish.request.grant
    if grant is not None and grant.rule is not None:
        return _with_rule(data, wish)
    there = find(data, request.id)
    if wish.new is None:
        gone = there is not None and request.state is State.REVOKED
        return remove_exception(data, request.id) if gone else data
    if there is None:
        return add_exception(data, wish.new)
    if grant is not None and grant.until is not None and there.get("until") != write_end(grant.until, zone):
        return change_end(data, request.id, write_end(grant.until, zone))
    return data


def _with_rule(data: bytes, wish: _Wish) -> bytes:
    grant = wish.request.grant
    assert grant is not None  # noqa: S101 - the caller looked
    assert grant.rule is not None  # noqa: S101
    named = [target for target in grant.targets if target in _targets(data, grant.rule)]
    if wish.request.state in GRANTED:
        for target in grant.targets:
            if target not in named:
                data = add_target(data, grant.rule, target)
        return data
    if named:
        targets = ", ".join(named)
        raise EditError(
            f"policy.yaml: rules[{grant.rule}]: take {targets} out by hand", f"rules[{grant.rule}]: {targets}"
        )
    return data


def _targets(data: bytes, rule: int) -> list[str]:
    rules = PolicyText(data, "policy.yaml").value.get("rules")
    here = rules[rule] if isinstance(rules, list) and 0 <= rule < len(rules) else None
    names = here.get("block") if isinstance(here, dict) else None
    return [names] if isinstance(names, str) else [str(name) for name in names or ()]


def _lines_of(data: bytes, name: str) -> str:
    try:
        if find(data, name) is None:
            return ""
        return "\n".join(line_changes(data, remove_exception(data, name))[1])
    except EditError:
        return ""


def _enter(connection: Connection, name: str, lines: str, ended: datetime, now: datetime, why: str) -> None:
    connection.execute(lapsed.insert().values(id=name, lines=lines, ended_at=ended, removed_at=now, why=why))


def ends_soon(request: AccessRequest, now: datetime, ahead: timedelta) -> bool:
    """Whether an exception is about to end: within `ahead`, or within half its time where it lasts no longer than that."""
    grant = request.grant
    if grant is None or grant.until is None or request.kind is Kind.LESSON_WINDOW:
        return False
    begun = max(grant.starts or request.changed_at, request.publication.written_at or request.changed_at)
    lasts = grant.until - begun
    return now < grant.until <= now + (ahead if lasts > ahead else lasts / 2)
