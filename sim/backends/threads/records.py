"""What a simulated service stores: threads with their messages and runs, and the objects that the API shows of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from relaysim.sim.backends.json_values import Object
from relaysim.sim.backends.replies import Reply
from relaysim.sim.backends.streaming import EventStream
from relaysim.sim.backends.threads.states import TERMINAL, Status


class RunRecord:
    """One run in the store.

    Attributes:
        view: the API object, kept up to date.
        thread: its thread.
        ordinal: the run's number in its thread, from 0.
        key: names this run in keyed draws.
        created: when, in the service's exact time.
        deleted: its thread is gone; nothing moves it any more.
        steps: its steps' API objects, oldest first.
        plan: the reply of the present turn, once it is known.
        tool_outputs: what its tool calls gave: `id`, `name`, `arguments`, `output`.
        stream: where its events go; None: nobody listens.
        message: the assistant message that is being written; None: none is.
        prompt_tokens, completion_tokens: used so far.
        changes: how often its state has changed.
        stale_view, stale_since: the run before its last change, and when that was, for reads that lag (unproven, off).
    """

    __slots__ = (
        "changes",
        "completion_tokens",
        "created",
        "deleted",
        "id",
        "key",
        "message",
        "ordinal",
        "plan",
        "prompt_tokens",
        "stale_since",
        "stale_view",
        "steps",
        "stream",
        "thread",
        "tool_outputs",
        "view",
    )

    def __init__(self, thread: ThreadRecord, run_id: str, ordinal: int, created: float, view: Object) -> None:
        self.thread = thread
        self.id = run_id
        self.ordinal = ordinal
        self.key = f"{thread.id}/run/{ordinal}"
        self.created = created
        self.view = view
        self.deleted = False
        self.steps: list[Object] = []
        self.plan: Reply | None = None
        self.tool_outputs: Sequence[dict[str, str]] = ()
        self.stream: EventStream | None = None
        self.message: Object | None = None
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.changes = 0
        self.stale_view: Object | None = None
        self.stale_since = 0.0

    @property
    def status(self) -> Status:
        """Its state."""
        status: Status = self.view["status"]
        return status

    @property
    def ended(self) -> bool:
        """Whether it is in a terminal state."""
        return self.view["status"] in TERMINAL


class ThreadRecord:
    """One thread in the store.

    Attributes:
        view: the API object.
        made: its number among the service's threads, from 1, in the order of their creation.
        messages: API objects, oldest first.
        messages_made: how many there have ever been.
        runs: oldest first.
        active: the run that locks it, if one does.
        locked_until: until when a run that has ended still locks it, in the service's exact time (unproven, off).
        turns: how many turns of assistants were delivered.
    """

    __slots__ = ("active", "id", "locked_until", "made", "messages", "messages_made", "runs", "turns", "view")

    def __init__(self, thread_id: str, view: Object, made: int) -> None:
        self.id = thread_id
        self.view = view
        self.made = made
        self.messages: list[Object] = []
        self.messages_made = 0
        self.runs: list[RunRecord] = []
        self.active: RunRecord | None = None
        self.locked_until = 0.0
        self.turns = 0


def step_view(run: RunRecord, step_id: str, kind: str, details: Any, created_at: int) -> Object:
    """The API object of a step that has just begun."""
    return {
        "id": step_id,
        "object": "thread.run.step",
        "created_at": created_at,
        "assistant_id": run.view["assistant_id"],
        "thread_id": run.thread.id,
        "run_id": run.id,
        "type": kind,
        "status": "in_progress",
        "step_details": {"type": kind, kind: details},
        "last_error": None,
        "expired_at": None,
        "cancelled_at": None,
        "failed_at": None,
        "completed_at": None,
        "metadata": {},
        "usage": None,
    }
