"""The lives of runs: one SimPy process per run moves it through its states, after delays drawn from a profile.

A life is queued for `queue_seconds` and in progress for `run_seconds`. Then it does what the turn's reply is: it
completes with a text, asks for tool calls, fails or ends incomplete; or it fails with `failure_probability`, and with
`rate_limited_probability` for the model's own limit, whatever the reply is. If somebody reads the run as a stream, its text
is written in pieces, the first after `first_token_fraction` of `run_seconds`. A cancel interrupts it: after
`cancel_seconds` the run is cancelled, or, with `cancel_completes_probability`, completes after all (inferred: the
documentation only says that cancellation is not guaranteed; off unless a profile says otherwise). A stuck run
(`stuck_probability`) starts but never finishes, and its cancel takes effect after `stuck_cancel_seconds`, or never
where the profile gives none. Whatever a run waits for, it expires at its `expires_at`, 600 s after its creation, and
the thread is free again. A run that waits for tool outputs waits until they come or it expires.

Draws are keyed by the run's thread and number, so two relays that create the same runs see them take as long.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Any, Final

import simpy

from relaysim.sim.backends.errors import too_many_tokens
from relaysim.sim.backends.pieces import ending_text, timed_pieces
from relaysim.sim.backends.profile import Profile
from relaysim.sim.backends.rate_limits import RateLimits
from relaysim.sim.backends.replies import Failure, Incomplete, Nothing, Text, ToolCalls, ending_of
from relaysim.sim.backends.threads.operations import OPERATIONS, RUN_CREATIONS
from relaysim.sim.backends.threads.quirks import Quirks
from relaysim.sim.backends.threads.records import RunRecord
from relaysim.sim.backends.threads.service import ThreadsService
from relaysim.sim.backends.threads.states import TERMINAL, Status
from relaysim.sim.kernel import Kernel, ticks

RATE_LIMITED: Final = Failure("rate_limit_exceeded", too_many_tokens().message)
"""What a run says that met the model's limit of tokens (captured as an answer's error, relied on as a run's)."""

_END_OF_TURN: dict[type, Status] = {
    Text: "completed",
    Nothing: "completed",
    ToolCalls: "requires_action",
    Failure: "failed",
    Incomplete: "incomplete",
}


class RunLives:
    """Gives every run of a service a life of its own, and the service the limits and quirks of the profile.

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
        service.limits = RateLimits.from_profile(profile, service.now, OPERATIONS, RUN_CREATIONS)
        service.quirks = Quirks.from_profile(profile, kernel.draws)

    def make_stuck(self, run_id: str) -> None:
        """Let this run never finish by itself from now on, whatever it draws.

        Raises:
            KeyError: no such run.
        """
        status = self._service.runs[run_id].status
        if status not in TERMINAL:
            self._made_stuck.add(run_id)
        if status in ("in_progress", "cancelling"):
            self.look_again(run_id)

    def look_again(self, run_id: str) -> None:
        """Let the run's life act on its present state now, not when what it waits for in an earlier one is over.

        Whoever moves a run by `service.advance` calls it then. Not for use inside a SimPy process of this class.
        """
        process = self._processes.get(run_id)
        if process is not None and process.is_alive:
            process.interrupt()

    def is_stuck(self, run: RunRecord) -> bool:
        """Whether this run never finishes by itself; known from its draws alone, unless it was made so."""
        if run.id in self._made_stuck:
            return True
        probability = self._profile.stuck_probability
        return probability > 0 and self._kernel.draws.rare(run.key, "stuck", 0) < probability

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
        self.look_again(run.id)

    def _live(self, run: RunRecord) -> Generator[simpy.Event, Any, None]:
        service = self._service
        env = self._kernel.env
        visits: dict[str, int] = {}
        # The service publishes whole seconds; it keeps its word to the tick.
        expires_at: float = run.view["expires_at"]
        drawn_stuck = self.is_stuck(run)
        while not run.deleted:
            status = run.status
            if status in TERMINAL:
                break
            stuck = drawn_stuck or run.id in self._made_stuck
            visit = visits.get(status, 0)
            visits[status] = visit + 1
            wait, target = self._next(run, status, visit, stuck)
            remaining = expires_at - service.now()
            cause = "time"
            pieces: list[tuple[float, str]] = []
            if run.stream is not None and target in ("completed", "incomplete") and status == "in_progress":
                pieces = self._pieces(run, wait)
            if wait >= remaining:
                wait, target, cause = max(remaining, 0.0), "expired", "expiry"
            try:
                begun = env.now
                for offset, piece in pieces:
                    if offset >= wait:
                        break
                    yield env.timeout(ticks(max(0.0, begun + offset - env.now)))
                    if run.deleted:
                        break
                    service.write_before(run.id)
                    service.write(run.id, piece)
                yield env.timeout(ticks(max(0.0, wait - (env.now - begun)) if pieces else wait))
            except simpy.Interrupt:
                continue
            if not run.deleted and run.status == status:
                if target == "completed" and self._writes_several(run):
                    service.say(
                        run.id, f"One thing before that: I have read all that you wrote, and this is answer {run.key}."
                    )
                limited = target == "failed" and status == "in_progress" and self._is_rate_limited(run, visit)
                service.advance(run.id, target, cause, failure=RATE_LIMITED if limited else None)
        self._processes.pop(run.id, None)
        self._made_stuck.discard(run.id)

    def _writes_several(self, run: RunRecord) -> bool:
        several = self._profile.several_probability
        return several > 0 and run.stream is None and self._kernel.draws.rare(run.key, "several", 0) < several

    def _pieces(self, run: RunRecord, seconds: float) -> list[tuple[float, str]]:
        """The turn's text in pieces of whole words, each with its delay from the beginning of the turn."""
        return timed_pieces(ending_text(self._service.plan(run.id)), seconds, self._profile.first_token_fraction)

    def _is_rate_limited(self, run: RunRecord, visit: int) -> bool:
        share = self._profile.rate_limited_probability
        return share > 0 and self._kernel.draws.rare(run.key, "rate-limited", visit) < share

    def _next(self, run: RunRecord, status: Status, visit: int, stuck: bool) -> tuple[float, Status]:
        """Seconds until the next move, and the move."""
        profile, draws, key = self._profile, self._kernel.draws, run.key
        if status == "queued":
            return draws.seconds(profile.queue_seconds.sampler, key, "queue-seconds", visit), "in_progress"
        if status == "in_progress":
            if stuck:
                return math.inf, "expired"
            seconds = draws.seconds(profile.run_seconds.sampler, key, "run-seconds", visit)
            fails = profile.failure_probability
            if fails > 0 and draws.rare(key, "failure", visit) < fails:
                return seconds, "failed"
            if self._is_rate_limited(run, visit):
                return seconds, "failed"
            filtered = profile.filtered_probability
            if filtered > 0 and draws.rare(key, "filtered", visit) < filtered:
                self._service.cut_off(run.id, "content_filter")
            return seconds, _END_OF_TURN[type(ending_of(self._service.plan(run.id)))]
        if status == "requires_action":
            return math.inf, "expired"
        target: Status = "cancelled"
        if stuck:
            if profile.stuck_cancel_seconds is None:
                return math.inf, "expired"
            return draws.seconds(profile.stuck_cancel_seconds.sampler, key, "stuck-cancel-seconds", 0), target
        completes = profile.cancel_completes_probability
        if completes > 0 and draws.rare(key, "cancel-completes", 0) < completes:
            # Only a text can still be there in time.
            target = "completed" if isinstance(ending_of(self._service.plan(run.id)), Text | Nothing) else "cancelled"
        return draws.seconds(profile.cancel_seconds.sampler, key, "cancel-seconds", 0), target
