"""The table of moves."""

import itertools

import pytest

from schoolgate_exceptions.errors import WorkflowError
from schoolgate_exceptions.kinds import Kind
from schoolgate_exceptions.roles import Role
from schoolgate_exceptions.workflow import MOVES, Action, State, actions_for, next_state


def test_every_move_is_in_the_table_or_refused_by_name():
    """For each state, action, role and kind: a line of the table, or an error that names the states."""
    for state, action, role, kind in itertools.product(State, Action, Role, Kind):
        lines = [
            move for move in MOVES
            if move.action is action and state in move.sources and role in move.roles
            and (not move.kinds or kind in move.kinds)
        ]  # fmt: skip
        if lines:
            assert next_state(state, action, frozenset({role}), kind) == (lines[0].target, role)
            assert action in actions_for(state, frozenset({role}), kind)
        else:
            with pytest.raises(WorkflowError, match=f"`{state}`|`{kind}`"):
                next_state(state, action, frozenset({role}), kind)
            assert action not in actions_for(state, frozenset({role}), kind)


def test_what_is_over_stays_over():
    """No move leads out of refused, withdrawn, expired and revoked; every other state has a way to its end."""
    for state in State:
        leads = {move.target for move in MOVES if state in move.sources}
        assert bool(leads) is not state.is_over
        if not state.is_over:
            assert State.EXPIRED in leads


def test_nothing_opens_without_the_head():
    """What opens something becomes approved by head or deputy only; a lesson window by a teacher, within caps."""
    for kind in (Kind.UNBLOCK, Kind.OFFICIAL_USE):
        granting = {role for move in MOVES if move.target is State.APPROVED and State.APPROVED not in move.sources
                    and (not move.kinds or kind in move.kinds) for role in move.roles}  # fmt: skip
        assert granting == {Role.HEAD, Role.DEPUTY}


def test_an_illegal_move_names_both_states():
    """The error says where the request is and where it cannot go."""
    with pytest.raises(WorkflowError, match="`submitted` cannot become `approved`"):
        next_state(State.SUBMITTED, Action.APPROVE, frozenset({Role.HEAD}), Kind.UNBLOCK)
    with pytest.raises(
        WorkflowError, match="from `recommended` to `approved` needs one of the roles: headteacher"
    ):
        next_state(State.RECOMMENDED, Action.APPROVE, frozenset({Role.OFFICER}), Kind.UNBLOCK)
