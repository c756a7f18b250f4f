"""What a test does and reads of simulated Threads only: runs made stuck, threads with their messages and runs."""

from __future__ import annotations

import copy
from operator import itemgetter
from typing import Any

from relaysim.sim.backends.json_values import Object
from relaysim.sim.backends.replies import text_of
from relaysim.sim.backends.threads.records import RunRecord, ThreadRecord
from relaysim.sim.backends.threads.service_with_lives import LivingThreads, threads_of
from relaysim.sim.backends.threads.states import Status
from relaysim.sim.doors.api_handle import ApiHandle
from relaysim.sim.doors.simulation import SimulatedApi


class ThreadsHandle(ApiHandle):
    """A simulated Threads API in a test's hands. A base class, before the one that says what requests come by."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._runs_to_stick: list[str | None] = []
        super().__init__(*arguments, **options)

    def _on_new_world(self) -> None:
        self._runs_to_stick.clear()

    def make_next_run_stuck(self, thread_id: str | None = None) -> None:
        """Let the next run that is created (on this thread, or on any) never finish by itself: only expiry ends it.

        Its cancel takes effect after the profile's `stuck_cancel_seconds`, or never. Call it twice for two runs.
        """

        def register(api: SimulatedApi) -> None:
            self._runs_to_stick.append(thread_id)
            threads = threads_of(api)
            before = threads.on_state
            if not isinstance(before, _StuckRunMaker):
                threads.on_state = _StuckRunMaker(threads, self._runs_to_stick)

        self._apply(register)

    @property
    def threads(self) -> list[Object]:
        """The threads by their `created_at`, as the API shows them; on a socket, those of one second by their last use."""

        def read(api: SimulatedApi) -> list[Object]:
            views = [copy.deepcopy(thread.view) for thread in threads_of(api).threads.values()]
            return sorted(views, key=itemgetter("created_at"))

        return self._apply(read)

    def messages(self, thread_id: str) -> list[Object]:
        """A thread's messages, oldest first, as the API shows them.

        Raises:
            LookupError: there is no such thread; so do the methods below.
        """
        return self._apply(lambda api: copy.deepcopy(_thread(api, thread_id).messages))

    def transcript(self, thread_id: str) -> list[tuple[str, str]]:
        """Role and text of a thread's messages, oldest first."""
        return [(message["role"], text_of(message)) for message in self.messages(thread_id)]

    def runs(self, thread_id: str) -> list[Object]:
        """A thread's runs, oldest first, as the API shows them."""
        return self._apply(lambda api: [copy.deepcopy(run.view) for run in _thread(api, thread_id).runs])


class _StuckRunMaker:
    """A listener to transitions that makes pending runs stuck as they are created; calls the listener before it."""

    def __init__(self, threads: LivingThreads, pending: list[str | None]) -> None:
        self._threads = threads
        self._pending = pending
        self._before = threads.on_state

    def __call__(self, run: RunRecord, state: Status, cause: str) -> None:
        if self._before is not None:
            self._before(run, state, cause)
        # A run is queued again after its tool outputs; a new one has not started yet.
        if state == "queued" and run.view["started_at"] is None:
            for position, thread_id in enumerate(self._pending):
                if thread_id in (None, run.thread.id):
                    del self._pending[position]
                    self._threads.lives.make_stuck(run.id)
                    break


def _thread(api: SimulatedApi, thread_id: str) -> ThreadRecord:
    threads = threads_of(api).threads
    thread = threads.get(thread_id)
    if thread is None:
        known = ", ".join(threads) or "none"
        raise LookupError(f"there is no thread {thread_id!r}; the simulated API has: {known}")
    return thread
