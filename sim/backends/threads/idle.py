"""Threads that are forgotten, so that memory does not grow with the number of requests: those idle for longest."""

from __future__ import annotations

from collections import OrderedDict

from relaysim.sim.backends.threads.records import ThreadRecord
from relaysim.sim.backends.threads.service import ThreadsService


class IdleThreads:
    """Keeps the threads of a service in the order of their last use, and at most so many; of assistants as many, too.

    Args:
        service: one without threads.
        threads_max: how many are kept. Those whose run is active stay in any case.
    """

    def __init__(self, service: ThreadsService, threads_max: int) -> None:
        self._service = service
        self._threads_max = threads_max
        # The service itself only looks threads up.
        self._threads: OrderedDict[str, ThreadRecord] = OrderedDict()
        service.threads = self._threads
        service.assistants.kept_max = threads_max

    def note_use(self, thread_id: str | None) -> None:
        """A request has been processed; `thread_id` is the thread that it named."""
        threads = self._threads
        if thread_id is not None and thread_id in threads:
            threads.move_to_end(thread_id)
        if len(threads) > self._threads_max:
            self._forget_idle(len(threads) - self._threads_max)

    def _forget_idle(self, excess: int) -> None:
        threads = self._threads
        # A thread whose run is active is in use, however long ago it was asked for: it goes to the end of the line.
        for _ in range(min(len(threads), excess + 8)):
            thread_id, thread = next(iter(threads.items()))
            if thread.active is not None:
                threads.move_to_end(thread_id)
                continue
            self._service.forget_thread(thread_id)
            excess -= 1
            if excess == 0:
                return
