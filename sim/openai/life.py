"""The lives of runs: one SimPy process per run moves it through its states, after delays drawn from a profile.

A life is queued for `queue_seconds`, in progress for `run_seconds`, and completes. A cancel interrupts it: after
`cancel_seconds` the run is cancelled, or, with `cancel_completes_probability`, completes after all (inferred: the
documentation only says that cancellation is not guaranteed; off unless a profile says otherwise). A stuck run
(`stuck_probability`) starts but never finishes, and its cancel takes effect after `stuck_cancel_seconds`, or never
where the profile gives none. Whatever a run waits for, it expires at its `expires_at`, 600 s after its creation, and
the thread is free again.

Draws are keyed by the run's thread and number, so two relays that create the same runs see them take as long.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Any

import simpy

from sim.kernel import Kernel, ticks
from sim.openai.profile import Profile
from sim.openai.service import RunRecord, ThreadsService
from sim.openai.states import TERMINAL, Status


class RunLives:
    """Gives every run of a service a life of its own.

    Attaches itself to `service.on_state`; whoever was there before is still called first.

    Args:
        kernel: the world's clock and draws.
        service: whose runs; its `now` must advance with the kernel's.
        profile: how long everything takes.
    """

    def __init__(self, kernel: Kernel, service: ThreadsService, profile: Profile) -> None:
        self._kernel = kernel
        self._service = service
        self._profile = profile
        self._processes: dict[str, simpy.Process] = {}
        self._made_stuck: set[str] = set()
        self._before = service.on_state
        service.on_state = self._on_state

    def make_stuck(self, run_id: str) -> None:
        """Let this run be stuck whatever it draws; call it at the instant of the run's creation."""
        self._made_stuck.add(run_id)

    def is_stuck(self, run: RunRecord) -> bool:
        """Whether this run never finishes by itself; known from its draws alone, unless it was made so."""
        if run.id in self._made_stuck:
            return True
        probability = self._profile.stuck_probability
        return probability > 0 and self._kernel.draws.uniform(run.key, "stuck", 0) < probability

    def _on_state(self, run: RunRecord, state: Status, cause: str) -> None:
        if self._before is not None:
            self._before(run, state, cause)
        if state == "queued":
            process = self._processes.get(run.id)
            if process is None:
                self._processes[run.id] = self._kernel.env.process(self._live(run))
                return
        elif state != "cancelling":
            return
        process = self._processes[run.id]
        if process.is_alive:
            process.interrupt()

    def _live(self, run: RunRecord) -> Generator[simpy.Event, Any, None]:
        service = self._service
        env = self._kernel.env
        visits: dict[str, int] = {}
        # The service publishes whole seconds; it keeps its word to the tick.
        expires_at: float = run.view["expires_at"]
        stuck = self.is_stuck(run)
        while not run.deleted:
            status = run.status
            if status in TERMINAL:
                break
            visit = visits.get(status, 0)
            visits[status] = visit + 1
            wait, target = self._next(run, status, visit, stuck)
            remaining = expires_at - service.now()
            cause = "time"
            if wait >= remaining:
                wait, target, cause = max(remaining, 0.0), "expired", "expiry"
            try:
                yield env.timeout(ticks(wait))
            except simpy.Interrupt:
                continue
            if not run.deleted and run.status == status:
                service.advance(run.id, target, cause)
        self._processes.pop(run.id, None)

    def _next(self, run: RunRecord, status: Status, visit: int, stuck: bool) -> tuple[float, Status]:
        """Seconds until the next move, and the move."""
        profile, uniform, key = self._profile, self._kernel.draws.uniform, run.key
        if status == "queued":
            return profile.queue_seconds.sample(uniform(key, "queue-seconds", visit)), "in_progress"
        if status == "in_progress":
            if stuck:
                return math.inf, "expired"
            return profile.run_seconds.sample(uniform(key, "run-seconds", visit)), "completed"
        if status == "requires_action":
            return math.inf, "expired"
        target: Status = "cancelled"
        if stuck:
            if profile.stuck_cancel_seconds is None:
                return math.inf, "expired"
            return profile.stuck_cancel_seconds.sample(uniform(key, "stuck-cancel-seconds", 0)), target
        completes = profile.cancel_completes_probability
        if completes > 0 and uniform(key, "cancel-completes", 0) < completes:
            target = "completed"
        return profile.cancel_seconds.sample(uniform(key, "cancel-seconds", 0)), target
