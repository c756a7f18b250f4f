"""The table of run states: complete, consistent, and what everything else reads."""

from __future__ import annotations

from typing import get_args

import pytest
from openai.types.beta.threads import run_status

from relaysim.sim.backends.state_table import Evidence, ImpossibleTransitionError, by_pair
from relaysim.sim.backends.threads import states
from relaysim.sim.backends.threads.operations import OPERATIONS
from relaysim.sim.backends.threads.states import (
    LOCKING,
    NO_RUN,
    RULE,
    RULES,
    STATES,
    TERMINAL,
    TRANSITIONS,
    Rule,
)


def test_the_states_are_the_sdks() -> None:
    names = {state.name for state in STATES}
    assert names == set(get_args(run_status.RunStatus)) == set(get_args(states.Status))


def test_terminal_states_lead_nowhere_and_do_not_lock() -> None:
    assert {"cancelled", "failed", "completed", "incomplete", "expired"} == TERMINAL
    assert not [row for row in TRANSITIONS if row.source in TERMINAL]
    assert not TERMINAL & LOCKING


def test_every_unfinished_state_locks_and_can_expire() -> None:
    unfinished = {state.name for state in STATES} - TERMINAL
    assert unfinished == LOCKING
    assert {row.source for row in TRANSITIONS if row.target == "expired"} == unfinished


def test_there_is_a_rule_for_every_request_in_every_state_and_for_nothing_else() -> None:
    states_ = {NO_RUN, *(state.name for state in STATES)}
    names = {operation.name for operation in OPERATIONS}
    assert set(RULE) == {(state, request) for state in states_ for request in names}
    assert {rule.request for rule in RULES} == names


def test_a_table_with_a_pair_missing_or_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no rule for .*'cancelling', 'x'"):
        by_pair((Rule("x", ("queued",), "accepted", Evidence.INFERRED),), states._EVERYWHERE)
    every = Rule("x", states._EVERYWHERE, "accepted", Evidence.INFERRED)
    with pytest.raises(ValueError, match="two rules for x in state queued"):
        by_pair((every, Rule("x", ("queued",), "refused", Evidence.INFERRED, "cannot_cancel")), states._EVERYWHERE)


def test_rules_and_moves_agree() -> None:
    moves = {(row.source, row.target, row.trigger) for row in TRANSITIONS}
    for rule in RULES:
        for state in rule.states:
            if rule.request == "runs.cancel":
                assert (rule.target == "cancelling") == ((state, "cancelling", "cancel") in moves)
            elif rule.request == "runs.submit_tool_outputs":
                assert (rule.target == "queued") == ((state, "queued", "tool outputs") in moves)
            elif rule.refusal is not None:
                assert state in LOCKING
        assert (rule.refusal is not None) == (rule.answer == "refused")


def test_locking_states_refuse_appends_and_runs() -> None:
    for request in ("messages.create", "runs.create"):
        assert {state for (state, name), rule in RULE.items() if name == request and rule.refusal} == LOCKING


def test_no_row_twice_and_every_state_reachable() -> None:
    moves = [(row.source, row.target) for row in TRANSITIONS]
    assert len(moves) == len(set(moves))
    reached: set[str | None] = {None}
    for _ in STATES:
        reached |= {row.target for row in TRANSITIONS if row.source in reached}
    assert reached == {None, *(state.name for state in STATES)}


@pytest.mark.parametrize("source", [None, *(state.name for state in STATES)])
@pytest.mark.parametrize("target", [state.name for state in STATES])
def test_check_move_accepts_the_table_and_nothing_else(source: str | None, target: str) -> None:
    if (source, target) in {(row.source, row.target) for row in TRANSITIONS}:
        states.check_move(source, target)
    else:
        with pytest.raises(ImpossibleTransitionError, match=f"to {target}"):
            states.check_move(source, target)


def test_the_diagram_shows_every_row() -> None:
    text = states.mermaid()
    for row in TRANSITIONS:
        if row.source is not None:
            assert any(
                row.source in line and f"> {row.target}" in line and row.trigger in line for line in text.splitlines()
            )


def test_the_diagram_marks_what_is_inferred() -> None:
    inferred = [row for row in TRANSITIONS if row.evidence is Evidence.INFERRED]
    assert states.mermaid().count(" ?\n") == len(inferred)
