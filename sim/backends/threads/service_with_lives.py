"""The service of one world, whose runs live by the kernel's clock: what a door knows as `Service`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from relaysim.sim.backends.calls import Answer, Call
from relaysim.sim.backends.protocol import Backend
from relaysim.sim.backends.threads.idle import IdleThreads
from relaysim.sim.backends.threads.life import RunLives
from relaysim.sim.backends.threads.operations import execute
from relaysim.sim.backends.threads.service import ThreadsService
from relaysim.sim.backends.threads.states import STATES
from relaysim.sim.doors.simulation import SimulatedApi
from relaysim.sim.trace.schema import ELSEWHERE

ASSISTANT: Final = "asst_relaysim"
"""Whose runs are those that are there before a world begins."""


class LivingThreads(ThreadsService):
    """The service of one world, with its runs' lives.

    Attributes:
        lives: as the name says.
    """

    lives: RunLives

    def __init__(self, backend: Backend, *service: Any, **options: Any) -> None:
        super().__init__(*service, **options)
        self.backend = backend

    execute = execute

    def find_conversation(self, call: Call) -> str | None:
        """As `Service.find_conversation`: what is about a thread names it."""
        return None

    def open_conversation(self) -> str:
        """As `Service.open_conversation`: a thread."""
        return str(self.create_thread()["id"])

    def leave_turn(self, conversation_id: str, cause: str) -> None:
        """As `Service.leave_turn`: a message, and a stuck run."""
        self.create_message(conversation_id, role="user", content="A question from before", cause=cause)
        run = self.create_run(conversation_id, assistant_id=ASSISTANT, cause=cause)
        self.lives.make_stuck(run["id"])

    def start_elsewhere(self, conversation_id: str, cause: str) -> None:
        """As `Service.start_elsewhere`: a run."""
        thread = self.threads.get(conversation_id)
        if thread is not None and thread.active is None:
            self.create_run(conversation_id, assistant_id=ASSISTANT, cause=cause)

    def lose_conversation(self, conversation_id: str) -> None:
        """As `Service.lose_conversation`: a thread that somebody deleted, or that expired."""
        if conversation_id in self.threads:
            self.delete_thread(conversation_id, cause=ELSEWHERE)

    def cut_off_reasons(self) -> Mapping[str, str]:
        """As `Service.cut_off_reasons`, of runs."""
        details = ((run.id, run.view.get("incomplete_details")) for run in self.runs.values())
        return {run_id: str(each["reason"]) for run_id, each in details if each}

    def counts(self) -> tuple[int, Mapping[str, int]]:
        """As `Service.counts`, of threads and runs."""
        found = Counter(run.status for run in self.runs.values())
        return len(self.threads), {state.name: found[state.name] for state in STATES}


class BoundedThreads(LivingThreads):
    """One that forgets threads, see `relaysim.sim.backends.threads.idle`."""

    idle: IdleThreads

    def execute(self, call: Call, cause: str = "") -> Answer:
        """As `Service.execute`."""
        answer = execute(self, call, cause)
        self.idle.note_use(call.thread_id)
        return answer


def threads_of(api: SimulatedApi) -> LivingThreads:
    """The service of an API that simulates Threads.

    Raises:
        TypeError: it simulates another one.
    """
    if not isinstance(api.service, LivingThreads):
        raise TypeError(f"this simulates the {api.backend.title}, which has no threads")
    return api.service
