"""Runs, moved and stuck by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from relaysim.sim.backends.threads.records import RunRecord
from relaysim.sim.backends.threads.states import TERMINAL, TRANSITIONS, Status
from relaysim.sim.doors.server.control_errors import ControlError
from relaysim.sim.doors.simulation import SimulatedApi

CAUSE: Final = "control"
"""What the trace names as the cause of a move by hand."""


def moves_from(state: str) -> list[Status]:
    """The states that a run can go to from `state`."""
    return [move.target for move in TRANSITIONS if move.source == state]


def find_run(api: SimulatedApi, run_id: str) -> RunRecord:
    """A run of the present world.

    Raises:
        ControlError: there is none of that id.
    """
    run = api.service.runs.get(run_id)
    if run is None:
        raise ControlError("not_found", f"there is no run {run_id!r}: GET /_relaysim/runs lists those that there are")
    return run


def move(api: SimulatedApi, run: RunRecord, state: Status) -> None:
    """Move a run now, as the API itself would: its steps, messages, stream and lock follow.

    A run that waits for tool outputs goes on (`queued`) as if each of its calls had given an empty text.

    Raises:
        ControlError: the table of states does not hold that move.
    """
    possible = moves_from(run.status)
    if state not in possible:
        raise ControlError("impossible", _no_such_move(run, state, possible), possible=possible)
    if run.status == "requires_action" and state == "queued":
        asked = run.view["required_action"]["submit_tool_outputs"]["tool_calls"]
        outputs = [{"tool_call_id": call["id"], "output": ""} for call in asked]
        api.service.submit_tool_outputs(run.thread.id, run.id, tool_outputs=outputs, cause=CAUSE)
    else:
        api.service.advance(run.id, state, CAUSE)
        api.lives.look_again(run.id)


def stick(api: SimulatedApi, run: RunRecord) -> None:
    """Let a run never finish by itself from now on.

    Raises:
        ControlError: it has finished.
    """
    if run.ended:
        said = f"{run.id} is {run.status}, which ended it: only a run that goes on can be stuck"
        raise ControlError("impossible", said)
    api.lives.make_stuck(run.id)


def _no_such_move(run: RunRecord, state: Status, possible: Sequence[str]) -> str:
    if run.status in TERMINAL:
        return f"{run.id} is {run.status}, which ended it: nothing leads on from there"
    return f"no run goes from {run.status} to {state}: from {run.status} it can go to {', '.join(possible)}"
