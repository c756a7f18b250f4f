"""Runs, moved and stuck by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from relaysim.sim.backends.threads.control_models import RunEntry
from relaysim.sim.backends.threads.records import RunRecord
from relaysim.sim.backends.threads.service_with_lives import LivingThreads
from relaysim.sim.backends.threads.states import TERMINAL, TRANSITIONS, Status
from relaysim.sim.doors.server.control_errors import ControlError

CAUSE: Final = "control"
"""What the trace names as the cause of a move by hand."""


def moves_from(state: str) -> list[Status]:
    """The states that a run can go to from `state`."""
    return [move.target for move in TRANSITIONS if move.source == state]


def show_run(threads: LivingThreads, run: RunRecord, start_seconds: float) -> RunEntry:
    """A run as the control API shows it; `start_seconds` is the Unix time of virtual 0."""
    return RunEntry(
        id=run.id,
        thread_id=run.thread.id,
        state=run.status,
        # A time since 1970 resolves a quarter of a microsecond.
        created_virtual_seconds=round(run.created - start_seconds, 6),
        locks_thread=run.thread.active is run,
        stuck=not run.ended and threads.lives.is_stuck(run),
        moves=moves_from(run.status),
    )


def find_run(threads: LivingThreads, run_id: str) -> RunRecord:
    """A run of the present world.

    Raises:
        ControlError: there is none of that id.
    """
    run = threads.runs.get(run_id)
    if run is None:
        raise ControlError("not_found", f"there is no run {run_id!r}: GET /_relaysim/runs lists those that there are")
    return run


def move(threads: LivingThreads, run: RunRecord, state: Status) -> None:
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
        threads.submit_tool_outputs(run.thread.id, run.id, tool_outputs=outputs, cause=CAUSE)
    else:
        threads.advance(run.id, state, CAUSE)
        threads.lives.look_again(run.id)


def stick(threads: LivingThreads, run: RunRecord) -> None:
    """Let a run never finish by itself from now on.

    Raises:
        ControlError: it has finished.
    """
    if run.ended:
        message = f"{run.id} is {run.status}, which ended it: only a run that goes on can be stuck"
        raise ControlError("impossible", message)
    threads.lives.make_stuck(run.id)


def _no_such_move(run: RunRecord, state: Status, possible: Sequence[str]) -> str:
    if run.status in TERMINAL:
        return f"{run.id} is {run.status}, which ended it: nothing leads on from there"
    return f"no run goes from {run.status} to {state}: from {run.status} it can go to {', '.join(possible)}"
