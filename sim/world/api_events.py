"""Events of the simulated API on their way to workers: an endpoint of the relay's takes them, whichever worker is alive."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import copy_context

from relaysim.sim.backends.webhook_events import Attempt, EventSettings
from relaysim.sim.kernel import Kernel, SimulatorError, current_context, error_text
from relaysim.sim.providers import HttpRequest
from relaysim.sim.trace.schema import LogLine
from relaysim.sim.world.target import Target
from relaysim.sim.world.workers import Worker


class EventPost:
    """Carries attempts of one world. They are nobody's handling, as what a relay does beside its deliveries.

    Args:
        kernel: the world's.
        settings: where applications take events, and how long they have.
        workers: all workers, in their order; may grow.
    """

    def __init__(self, kernel: Kernel, settings: EventSettings, workers: Sequence[Worker]) -> None:
        self._kernel = kernel
        self._settings = settings
        self._workers = workers

    def post(self, attempt: Attempt) -> None:
        """Hand an attempt to a drawn worker that is alive; without one it fails."""
        kernel = self._kernel
        if kernel.trace.closed:
            return  # the world is over
        alive = [worker for worker in self._workers if worker.alive]
        if not alive:
            attempt.failed("nobody there")
            return
        drawn = kernel.draws.uniform(attempt.event.key, "event-worker", attempt.number)
        worker = alive[int(drawn * len(alive))]
        context = copy_context()
        context.run(current_context.set, "")
        worker.host.spawn(self._take(worker, worker.target, attempt), context=context)

    async def _take(self, worker: Worker, target: Target, attempt: Attempt) -> None:
        request = HttpRequest("POST", f"https://bot.example{self._settings.path}", attempt.headers, attempt.event.body)
        try:
            status = await target.take_event(request, self._settings.deadline_seconds)
        except SimulatorError as error:
            self._kernel.fail(error)
            return
        except Exception as error:
            text = f"taking an event of the API raised {type(error).__name__}: {error_text(error)}"
            self._kernel.trace.add(worker.name, LogLine(delivery="", level="ERROR", text=text))
            status = 500
        attempt.answered(status)
