"""The moves a request can make: one table, pure. A move that is not in it does not exist.

A request that is open waits for somebody; one that is granted is, or will be, in policy.yaml; the rest is over.
"""

from dataclasses import dataclass
from enum import StrEnum

from schoolgate_exceptions.errors import WorkflowError
from schoolgate_exceptions.kinds import Kind
from schoolgate_exceptions.roles import Role


class State(StrEnum):
    """Where a request stands."""

    SUBMITTED = "submitted"
    UNDER_REVIEW = "under review"
    RECOMMENDED = "recommended"
    APPROVED = "approved"
    APPLIED = "applied"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    REVOKED = "revoked"

    @property
    def is_open(self) -> bool:
        """Whether somebody has still to decide."""
        return self in OPEN

    @property
    def is_granted(self) -> bool:
        """Whether the exception is, or is about to be, in the policy."""
        return self in GRANTED

    @property
    def is_over(self) -> bool:
        """Whether no move leads out of it."""
        return self not in OPEN | GRANTED


class Action(StrEnum):
    """What somebody does with a request."""

    JOIN = "ask as well"  # somebody else wants the same, in their own words
    TAKE = "take"  # the officer begins to look at it
    ASK_BACK = "ask back"  # the officer puts a question to who asked
    ANSWER = "answer"
    REFER = "send to the DSL"
    RECOMMEND = "recommend"
    RECONSIDER = "reconsider"  # back to the officer, by the head or by the officer
    REFUSE = "refuse"
    APPROVE = "approve"
    BLOCK_NOW = "block now"  # opens nothing, so the officer does it alone
    OPEN_WINDOW = "open a lesson window"  # within the caps the officer has set
    SETTLE = "settle"  # a report that was dealt with
    APPLY = "apply"
    WITHDRAW = "withdraw"
    EXPIRE = "expire"
    SHORTEN = "shorten"
    REVOKE = "revoke"


OPEN = frozenset({State.SUBMITTED, State.UNDER_REVIEW, State.RECOMMENDED})
REVIEWS = frozenset({Action.TAKE, Action.ASK_BACK, Action.REFER, Action.RECOMMEND, Action.RECONSIDER})
GRANTED = frozenset({State.APPROVED, State.APPLIED})


@dataclass(frozen=True, slots=True)
class Move:
    """One line of the table: from which states, to which, by whom; `kinds` empty is any kind."""

    action: Action
    sources: frozenset[State]
    target: State
    roles: frozenset[Role]
    kinds: frozenset[Kind] = frozenset()


def _move(
    action: Action, sources: set[State], target: State, *roles: Role, kinds: set[Kind] | None = None
) -> Move:
    return Move(action, frozenset(sources), target, frozenset(roles), frozenset(kinds or ()))


_FRESH = {State.SUBMITTED, State.UNDER_REVIEW}
_O, _H, _D = Role.OFFICER, Role.HEAD, Role.DEPUTY

MOVES: tuple[Move, ...] = (
    *(_move(Action.JOIN, {state}, state, Role.REQUESTER) for state in State if state in OPEN),
    _move(Action.TAKE, {State.SUBMITTED}, State.UNDER_REVIEW, _O, Role.DSL),
    _move(Action.ASK_BACK, _FRESH, State.UNDER_REVIEW, _O, Role.DSL),
    _move(Action.ANSWER, {State.UNDER_REVIEW}, State.UNDER_REVIEW, Role.REQUESTER),
    _move(Action.REFER, _FRESH, State.UNDER_REVIEW, _O),
    _move(
        Action.RECOMMEND, _FRESH, State.RECOMMENDED, _O, kinds={Kind.UNBLOCK, Kind.OFFICIAL_USE, Kind.BLOCK}
    ),
    _move(Action.RECONSIDER, {State.RECOMMENDED}, State.UNDER_REVIEW, _O, _H, _D),
    _move(Action.REFUSE, _FRESH, State.REFUSED, _O, Role.SYSTEM),
    _move(Action.REFUSE, {State.RECOMMENDED}, State.REFUSED, _H, _D),
    _move(Action.APPROVE, {State.RECOMMENDED}, State.APPROVED, _H, _D),
    _move(Action.BLOCK_NOW, _FRESH, State.APPROVED, _O, kinds={Kind.BLOCK, Kind.REPORT}),
    _move(
        Action.OPEN_WINDOW, {State.SUBMITTED}, State.APPROVED, Role.TEACHER, _O, kinds={Kind.LESSON_WINDOW}
    ),
    _move(Action.SETTLE, _FRESH, State.APPLIED, _O, Role.DSL, kinds={Kind.REPORT}),
    _move(Action.APPLY, {State.APPROVED}, State.APPLIED, Role.SYSTEM),
    _move(Action.WITHDRAW, set(OPEN), State.WITHDRAWN, Role.REQUESTER, _O),
    _move(Action.EXPIRE, set(OPEN | GRANTED), State.EXPIRED, Role.SYSTEM),
    _move(Action.SHORTEN, {State.APPROVED}, State.APPROVED, _O, _H, _D),
    _move(Action.SHORTEN, {State.APPLIED}, State.APPLIED, _O, _H, _D),
    _move(Action.REVOKE, set(GRANTED), State.REVOKED, _O, _H, _D),
    _move(Action.REVOKE, set(GRANTED), State.REVOKED, Role.TEACHER, kinds={Kind.LESSON_WINDOW}),
)


def next_state(state: State, action: Action, roles: frozenset[Role], kind: Kind) -> tuple[State, Role]:
    """Return where an action leads, and the role it is done in.

    Raises:
        WorkflowError: the table has no such move; names the state it is in and the one it would lead to.

    """
    lines = [move for move in MOVES if move.action is action and (not move.kinds or kind in move.kinds)]
    if not lines:
        raise WorkflowError(f"a request of the kind `{kind}` cannot be moved by `{action}`")
    possible = [move for move in lines if state in move.sources]
    if not possible:
        raise WorkflowError(f"a request that is `{state}` cannot become `{lines[0].target}`")
    for move in possible:
        acting = [role for role in Role if role in move.roles & roles]
        if acting:
            return move.target, acting[0]
    needed = ", ".join(role for role in Role if any(role in move.roles for move in possible))
    raise WorkflowError(f"from `{state}` to `{possible[0].target}` needs one of the roles: {needed}")


def actions_for(state: State, roles: frozenset[Role], kind: Kind) -> frozenset[Action]:
    """Return what somebody of some roles can do with a request."""
    return frozenset(
        move.action
        for move in MOVES
        if state in move.sources and move.roles & roles and (not move.kinds or kind in move.kinds)
    )
