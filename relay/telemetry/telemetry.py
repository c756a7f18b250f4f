"""`Telemetry`: what happened, told once to the metrics and to the log.

Each method is named after a fact and is called when it has become one. Conversations and message ids are given as they
are: metrics leave them out, and events hold a pseudonym and a digest instead.
"""

import copy
import threading
import traceback
from typing import Any, Final, Literal, Self

from prometheus_client import REGISTRY, CollectorRegistry

from relaysim.relay.messages import Outcome
from relaysim.relay.telemetry.events import Level, emit
from relaysim.relay.telemetry.metrics import Metrics

Cause = Literal["own", "foreign", "orphan", "stuck", "unknown"]

_ATTEMPT_MAX: Final = 10


class Telemetry:
    """Counts and logs what the relay does. One object serves a whole process; every method is safe in any thread.

    registry  where the metrics are registered; None: a registry of its own, read through `registry`. Two objects cannot
              share one registry: the second raises `ValueError`
    events    whether what happens is also logged as an event (see `relaysim.relay.telemetry.events`)
    """

    def __init__(self, registry: CollectorRegistry | None = None, *, events: bool = True) -> None:
        self.registry: Final = CollectorRegistry() if registry is None else registry
        self._metrics = Metrics(self.registry)
        self._events = events

    def quiet(self) -> Self:
        """The same metrics, without events."""
        other = copy.copy(self)
        other._events = False
        return other

    # Messages

    def accepted(self, conversation: str, message_id: str | None = None) -> None:
        """A message was taken in, for the first time."""
        self._metrics.accepted.inc()
        self._log("accepted", "info", conversation, message_id=message_id)

    def duplicate(self, conversation: str, message_id: str | None = None) -> None:
        """A message was delivered again, and is not taken in again."""
        self._metrics.duplicates.inc()
        self._log("duplicate", "info", conversation, message_id=message_id)

    def outcome(self, conversation: str, outcome: Outcome, seconds: float, messages: int = 1) -> None:
        """So many messages ended like this, the oldest so many seconds after its acceptance."""
        self._metrics.outcomes[outcome.value].inc(messages)
        series = self._metrics.outcome_seconds[outcome.value]
        for _ in range(messages):
            series.observe(seconds)
        self._log("outcome", "info", conversation, outcome=outcome.value, seconds=_shown(seconds), messages=messages)

    def inbox_full(self, conversation: str, message_id: str | None = None) -> None:
        """A message was not taken in, since too many of its conversation wait already."""
        self._metrics.inboxes_full.inc()
        self._log("inbox_full", "error", conversation, message_id=message_id)

    # Leases

    def lease_taken(self, conversation: str, epoch: int, how: Literal["accept", "sweep"]) -> None:
        """This worker holds the conversation now: with a message it accepted, or because the sweeper found it."""
        self._metrics.leases_taken[how].inc()
        self._log("lease_taken", "info", conversation, epoch=epoch, how=how)

    def lease_lost(self, conversation: str, epoch: int, reason: str) -> None:
        """This worker found that it holds the conversation no more, for a reason like "taken by another worker"."""
        self._metrics.leases_lost[reason.replace(" ", "_")].inc()
        self._log("lease_lost", "warning", conversation, epoch=epoch, reason=reason)

    def released(self, conversation: str, epoch: int) -> None:
        """All is done, and the conversation is anybody's."""
        self._metrics.leases_released.inc()
        self._log("released", "info", conversation, epoch=epoch)

    def fence_rejected(self, conversation: str, step: str) -> None:
        """A step was refused, or left out, because the lease was another's by then."""
        self._metrics.fence_rejections[step].inc()
        self._log("fence_rejected", "warning", conversation, step=step)

    # Runs

    def run_created(self, conversation: str, run_id: str, epoch: int | None, messages: int = 1) -> None:
        """A run was created for so many messages; `epoch` is None where there is no lease with one."""
        self._metrics.runs_created.inc()
        self._metrics.run_messages.observe(messages)
        self._log("run_created", "info", conversation, run=run_id, epoch=epoch, messages=messages)

    def run_ended(self, conversation: str, run_id: str, status: str, seconds: float) -> None:
        """A run was seen to have ended, so many seconds after its creation."""
        self._metrics.runs_ended[status].inc()
        self._metrics.run_seconds.observe(seconds)
        level: Level = "info" if status == "completed" else "warning"
        self._log("run_ended", level, conversation, run=run_id, status=status, seconds=_shown(seconds))

    def run_adopted(self, conversation: str, run_id: str) -> None:
        """A run that another worker created for this conversation's messages is waited for as if it were ours."""
        self._metrics.runs_adopted.inc()
        self._log("run_adopted", "info", conversation, run=run_id)

    def thread_moved(self, conversation: str, old_thread: str, new_thread: str) -> None:
        """The conversation goes on in a new thread, since a run holds the old one and does not end."""
        self._metrics.threads_moved.inc()
        self._log("thread_moved", "warning", conversation, thread=old_thread, new_thread=new_thread)

    def lost_reply(
        self,
        conversation: str,
        run_id: str | None = None,
        reason: Literal["given_up", "not_found", "refused"] = "refused",
    ) -> None:
        """A reply will not reach its customer: its run is waited for no more, its text was not found, or was refused."""
        self._metrics.replies_lost[reason].inc()
        self._log("lost_reply", "error", conversation, run=run_id, reason=reason)

    # Conflicts

    def conflict(self, conversation: str, cause: Cause, run_id: str | None = None) -> None:
        """A request was refused because a run is active: ours, another's, an orphan, a stuck one, or nobody knows."""
        self._metrics.conflicts[cause].inc()
        self._log("conflict", "warning", conversation, cause=cause, run=run_id)

    def recovered(self, attempt: int, seconds: float, conversation: str | None = None) -> None:
        """After conflicts the `attempt`-th attempt succeeded; the waits before it took so many seconds in all."""
        self._metrics.recovered[str(attempt) if attempt < _ATTEMPT_MAX else f"{_ATTEMPT_MAX}+"].inc()
        self._metrics.conflict_wait_seconds["recovered"].observe(seconds)
        self._log("recovered", "info", conversation, attempt=attempt, seconds=_shown(seconds))

    def gave_up(self, attempts: int, seconds: float, conversation: str | None = None) -> None:
        """So many attempts all met a conflict, and no more follow; the waits took so many seconds in all."""
        self._metrics.gave_up.inc()
        self._metrics.conflict_wait_seconds["gave_up"].observe(seconds)
        self._log("gave_up", "error", conversation, attempts=attempts, seconds=_shown(seconds))

    def cancel(self, conversation: str, run_id: str, whose: str, takeover: bool = False) -> None:
        """The cancel of a run was requested; `takeover`: its messages had been taken over before."""
        self._metrics.cancels[whose, "yes" if takeover else "no"].inc()
        self._log("cancel", "info", conversation, run=run_id, whose=whose, takeover=takeover)

    # Sending

    def send_unknown(self, conversation: str) -> None:
        """A text was sent, and whether it arrived cannot be known."""
        self._metrics.sends_unknown.inc()
        self._log("send_unknown", "error", conversation)

    # Failures and repetitions

    def drain_failed(self, conversation: str, error: BaseException) -> None:
        """A worker dropped a conversation because of a bug; its lease will run out and a sweep will find it.

        The event names the relay's own lines on the way to the error, outermost first, and not the error's text, which
        may quote what was sent.
        """
        self._metrics.drain_failures.inc()
        if self._events:
            self._log("drain_failed", "error", conversation, error=type(error).__name__, where=_own_lines(error))

    def retry(self, operation: str, reason: str, wait_seconds: float) -> None:
        """A request will be repeated after this wait."""
        self._metrics.retries[operation, reason].inc()
        self._metrics.retry_wait_seconds.observe(wait_seconds)
        self._log("retry", "info", None, operation=operation, reason=reason, wait_seconds=_shown(wait_seconds))

    def budget(self, tokens: float) -> None:
        """So many repetitions are left in the retry budget. Changes too often for an event."""
        self._metrics.budget_tokens.set(tokens)

    def budget_exhausted(self, operation: str) -> None:
        """A request would have been repeated, had the retry budget allowed it."""
        self._metrics.budget_exhausted[operation].inc()
        self._log("budget_exhausted", "warning", None, operation=operation)

    def redis_unavailable(self, step: str, reason: str, remedy: str = "") -> None:
        """A step of the ledger got no answer from Redis in time, or an error; see `relaysim.relay.drain.store_failures`."""
        self._metrics.redis_unavailable[step].inc()
        self._metrics.redis_failures[reason].inc()
        self._log("redis_unavailable", "warning", None, step=step, reason=reason, remedy=remedy)

    def redis_evicts(self, policy: str | None, refused: bool) -> None:
        """The server evicts keys by this policy once its memory is full (None: no more). Are messages refused for it?"""
        self._metrics.redis_evicts.set(int(policy is not None))
        level: Level = "info" if policy is None else "error" if refused else "warning"
        self._log("redis_evicts", level, None, policy=policy, refused=refused)

    def api_error(self, operation: str, description: str) -> None:
        """A request failed, not by a conflict; the description is that of `relaysim.relay.threads_api.describe`."""
        self._metrics.api_errors[operation, description.partition(" ")[0]].inc()
        self._log("api_error", "warning", None, operation=operation, error=description)

    # The sweeper

    def sweep(self, found: int, rescued: int) -> None:
        """The sweeper looked: so many conversations had no holder, so many of them it took up. No event without one."""
        self._metrics.sweeps.inc()
        if found:
            self._metrics.sweep_found.inc(found)
            self._metrics.sweep_rescued.inc(rescued)
            self._log("sweep", "warning", None, found=found, rescued=rescued)

    def sweep_failed(self, error: BaseException, in_a_row: int) -> None:
        """A sweep met a bug, so many sweeps in a row by now; the next comes all the same, later each time."""
        self._metrics.sweep_failures.inc()
        if self._events:
            name, where = type(error).__name__, _own_lines(error)
            self._log("sweep_failed", "error", None, error=name, where=where, in_a_row=in_a_row)

    def sweeping(self, is_sweeping: bool) -> None:
        """This worker begins to sweep, or has ended. No event: it is as old as the process."""
        self._metrics.sweeping.set(int(is_sweeping))

    def inbox_depth(self, conversations: int) -> None:
        """So many conversations wait for an outcome, on all workers together. Changes too often for an event."""
        self._metrics.inbox_conversations.set(conversations)

    def _log(self, name: str, level: Level, conversation: str | None, **fields: Any) -> None:
        if self._events:
            emit(name, level, conversation=conversation, **fields)


def _own_lines(error: BaseException) -> list[str]:
    """The relay's own lines on the way to an error, outermost first."""
    lines = [(frame.f_globals.get("__name__", ""), line) for frame, line in traceback.walk_tb(error.__traceback__)]
    return [f"{module}:{line}" for module, line in lines if module.startswith("relaysim.relay.")]


def _shown(seconds: float) -> float:
    """To the millisecond: what follows would be noise to a reader."""
    return round(seconds, 3)


_default: Telemetry | None = None
_default_lock: Final = threading.Lock()


def default() -> Telemetry:
    """The process's own telemetry, on `prometheus_client.REGISTRY`; made when it is first asked for."""
    global _default
    with _default_lock:
        if _default is None:
            _default = Telemetry(REGISTRY)
        return _default
