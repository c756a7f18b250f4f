"""The lives of responses: one SimPy process per response moves it through its states, after delays drawn from a profile.

A response in the background is `queued` for `queue_seconds`, or for ever (`stuck_queued_probability`); one in the
foreground is in progress at once, and the same time is part of its work. It works for `run_seconds`, then completes
with a text or with function calls, fails or ends incomplete, as its reply says, or fails with `failure_probability`.
If somebody reads it as a stream its text is written in pieces, the first after `first_token_fraction` of its work. A
cancel, or the closing of the connection of a foreground call, takes `cancel_seconds`; with
`cancel_completes_probability` the response completes after all. A stuck one (`stuck_probability`) never finishes, and
its cancel takes `stuck_cancel_seconds`, or has no effect where the profile gives none. What has not ended after
`turn_limit_seconds` fails.

Draws are keyed by the conversation and the response's number in it, so two relays that create the same turns see them take
as long.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from typing import Any

import simpy

from relaysim.sim.backends.errors import too_many_tokens
from relaysim.sim.backends.pieces import timed_pieces
from relaysim.sim.backends.protocol import DEFAULT_OPTIONS
from relaysim.sim.backends.rate_limits import RateLimits
from relaysim.sim.backends.replies import Failure, Incomplete, Nothing, Reply, Several, Text, ToolCalls, ending_of
from relaysim.sim.backends.responses import response_errors
from relaysim.sim.backends.responses.operations import OPERATIONS, TURN_STARTS
from relaysim.sim.backends.responses.profile import ResponsesProfile
from relaysim.sim.backends.responses.records import ResponseRecord
from relaysim.sim.backends.responses.service import ResponsesService
from relaysim.sim.backends.responses.states import TERMINAL, Status
from relaysim.sim.backends.responses.writing import Writer
from relaysim.sim.kernel import Kernel, ticks

LEFT = "left"
"""The cause of what happens because a client has closed its connection."""

_END_OF_TURN: dict[type, Status] = {
    Text: "completed",
    Nothing: "completed",
    ToolCalls: "completed",
    Failure: "failed",
    Incomplete: "incomplete",
}


class ResponseLives:
    """Gives every response of a service a life of its own, and the service the limits and switches of the profile.

    Args:
        kernel: the world's clock and draws.
        service: whose responses; its `now` must advance with the kernel's.
        profile: how long everything takes.
        announce: told of the end of each response in the background, as of `ServiceOptions`.
    """

    def __init__(
        self,
        kernel: Kernel,
        service: ResponsesService,
        profile: ResponsesProfile,
        announce: Callable[[str, str, str], None] = DEFAULT_OPTIONS.announce,
    ) -> None:
        self._kernel = kernel
        self._announce = announce
        self._service = service
        self._profile = profile
        self._writer = Writer(service)
        self._processes: dict[str, simpy.Process] = {}
        self._made_stuck: set[str] = set()
        service.on_state = self._on_state
        service.on_left = self._on_left
        service.limits = RateLimits.from_profile(profile, service.now, OPERATIONS, TURN_STARTS)
        service.lock = profile.lock
        service.abandoned_stream, service.abandoned_call = profile.abandoned_stream, profile.abandoned_call
        service.unfinished_keeps, service.items_while_locked = profile.unfinished_keeps, profile.items_while_locked

    def make_stuck(self, record: ResponseRecord) -> None:
        """Let this response never finish by itself from now on, whatever it draws."""
        self._made_stuck.add(record.id)

    def is_stuck(self, record: ResponseRecord) -> bool:
        """Whether this response never finishes by itself; known from its draws alone, unless it was made so."""
        probability = self._profile.stuck_probability
        return record.id in self._made_stuck or (
            probability > 0 and self._kernel.draws.rare(record.key, "stuck", 0) < probability
        )

    def _on_state(self, record: ResponseRecord, state: Status, cause: str) -> None:
        if state == "queued":
            self._processes[record.id] = self._kernel.env.process(self._live(record))
            if not record.background and record.after is None:
                self._service.move(record, "in_progress", "time")
                record.events.add("response.in_progress", response=record.shown())
        elif state == "cancelling":
            self._look_again(record)
        elif state in TERMINAL:
            waiting = [each for each in record.conversation.active if each.after is record]
            for each in waiting:
                each.after = None
                self._look_again(each)

    def _look_again(self, record: ResponseRecord) -> None:
        process = self._processes.get(record.id)
        if process is not None and process.is_alive and process is not self._kernel.env.active_process:
            process.interrupt()

    def _on_left(self, record: ResponseRecord) -> None:
        """The client of a foreground response has gone, perhaps in code of its own: the service hears in a kernel event."""
        self._kernel.at(0.0, self._leave, record)

    def _leave(self, record: ResponseRecord) -> None:
        if record.ended:
            return
        streamed = record.pending is None
        record.left = streamed
        record.pending = None
        if (self._service.abandoned_stream if streamed else self._service.abandoned_call) == "cancels":
            if record.status == "queued":
                self._service.move(record, "in_progress", LEFT)
            if record.status == "in_progress":
                self._service.move(record, "cancelling", LEFT)

    def _live(self, record: ResponseRecord) -> Generator[simpy.Event, Any, None]:
        env, service = self._kernel.env, self._service
        limit = env.now + ticks(self._profile.turn_limit_seconds)
        stuck = self.is_stuck(record)
        extra = 0.0 if record.background or record.after is not None else self._queue_seconds(record)
        while not record.ended:
            status = record.status
            wait, target = self._next(record, status, stuck or record.id in self._made_stuck, extra)
            cause = "time"
            pieces: list[tuple[float, str]] = []
            if status == "in_progress" and target in ("completed", "incomplete") and record.events.are_wanted:
                plan = service.plan(record)
                if isinstance(plan, Text | Incomplete):
                    pieces = timed_pieces(plan.text, wait, self._profile.first_token_fraction)
            if wait >= limit - env.now:
                wait, target, cause = max(limit - env.now, 0.0), "failed", "expiry"
            try:
                begun = env.now
                for offset, piece in pieces:
                    if offset >= wait:
                        break
                    yield env.timeout(ticks(max(0.0, begun + offset - env.now)))
                    self._writer.write(record, piece)
                yield env.timeout(ticks(max(0.0, wait - (env.now - begun)) if pieces else wait))
            except simpy.Interrupt:
                continue
            if record.status != status:
                continue
            if target == "in_progress":
                service.move(record, target, cause)
                record.events.add("response.in_progress", response=record.shown())
            else:
                self._end(record, target, cause)
        self._processes.pop(record.id, None)
        self._made_stuck.discard(record.id)

    def _queue_seconds(self, record: ResponseRecord) -> float:
        return self._kernel.draws.seconds(self._profile.queue_seconds.sampler, record.key, "queue-seconds", 0)

    def _next(self, record: ResponseRecord, status: Status, stuck: bool, extra: float) -> tuple[float, Status]:
        """Seconds until the next move, and the move."""
        profile, draws, key = self._profile, self._kernel.draws, record.key
        if status == "queued":
            never = profile.stuck_queued_probability
            if record.after is not None or (never > 0 and draws.rare(key, "stuck-queued", 0) < never):
                return math.inf, "failed"
            return self._queue_seconds(record), "in_progress"
        if status == "in_progress":
            if stuck:
                return math.inf, "failed"
            seconds = extra + draws.seconds(profile.run_seconds.sampler, key, "run-seconds", 0)
            fails = profile.failure_probability
            if fails > 0 and draws.rare(key, "failure", 0) < fails:
                return seconds, "failed"
            return seconds, _END_OF_TURN[type(ending_of(self._shaped(record)))]
        target: Status = "cancelled"
        if stuck:
            if profile.stuck_cancel_seconds is None:
                return math.inf, "failed"
            return draws.seconds(profile.stuck_cancel_seconds.sampler, key, "stuck-cancel-seconds", 0), target
        completes = profile.cancel_completes_probability
        if (completes > 0 and draws.rare(key, "cancel-completes", 0) < completes) or (
            record.superseded and record.background
        ):
            # Only a text can still be there in time.
            target = "completed" if isinstance(ending_of(self._service.plan(record)), Text) else "cancelled"
        return draws.seconds(profile.cancel_seconds.sampler, key, "cancel-seconds", 0), target

    def _shaped(self, record: ResponseRecord) -> Reply:
        """What the model answers, with what the profile makes of it: refused for its rate, cut off, or in two messages."""
        profile, draws, key = self._profile, self._kernel.draws, record.key
        plan = self._service.plan(record)
        limited, filtered, several = (
            profile.rate_limited_probability,
            profile.filtered_probability,
            profile.several_probability,
        )
        if limited > 0 and draws.rare(key, "rate-limited", 0) < limited:
            record.plan = plan = Failure("rate_limit_exceeded", too_many_tokens().message)
        if isinstance(plan, Text) and filtered > 0 and draws.rare(key, "filtered", 0) < filtered:
            record.plan = plan = Incomplete(plan.text[: len(plan.text) // 2], "content_filter")
        streamed = record.events.are_wanted
        if isinstance(plan, Text) and several > 0 and not streamed and draws.rare(key, "several", 0) < several:
            before = Text(f"One thing before that: I have read all that you wrote, and this is answer {record.key}.")
            record.plan = plan = Several((before,), plan)
        return plan

    def _end(self, record: ResponseRecord, state: Status, cause: str) -> None:
        """The response ends now: its outputs, what its conversation keeps, its state, and what waits for it."""
        service = self._service
        if state == "failed":
            if record.plan is None or not isinstance(ending_of(record.plan), Failure):
                record.plan = Failure()
        elif state in ("completed", "incomplete"):
            service.plan(record)
        self._writer.finish(record, state)
        for item in record.outputs:
            if item.text:
                service.trace_message(record.conversation, item, record.id)
        record.view["status"] = state
        service.keep_outcome(record, record.id)
        service.move(record, state, cause)
        self._writer.tell_end(record)
        if record.background:
            self._announce(record.key, record.id, f"response.{state}")
        pending, record.pending = record.pending, None
        if pending is not None:
            superseded = record.superseded and state == "cancelled"
            pending.give(record.shown(), response_errors.superseded() if superseded else None)
        for waiting in record.cancels:
            if state == "cancelled":
                waiting.give(record.shown())
            else:
                waiting.give(None, response_errors.cannot_cancel(state))
        record.cancels.clear()
        if not record.stored:
            service.responses.pop(record.id, None)
