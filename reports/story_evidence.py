"""Lines for records that a story's cause is made of and that the story does not tell by itself, and for faults."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from relaysim.reports.story_facts import StoryFacts, exception_words
from relaysim.reports.story_lines import Line, Rank, own_first, quoted
from relaysim.sim.trace.chronicle import Chronicle
from relaysim.sim.trace.reader import TraceReader
from relaysim.sim.trace.schema import (
    HandlingEnd,
    HandlingStart,
    HostCrash,
    HostPause,
    HostSkew,
    HostSlow,
    HostStop,
    LeaseBack,
    LeaseGone,
    LeaseReleased,
    LeaseTaken,
    LockExpired,
    LockLost,
    MessageSent,
    RedisCommand,
    RedisFaultStruck,
    RequestSent,
    RequestServed,
    ResponseReceived,
    RunState,
    TaskCancelled,
    TextSent,
    UnhandledException,
    WebhookFailed,
)

_SERVER: Final = "redis"


class EvidenceLines(TraceReader):
    """Reads a trace for them.

    Args:
        chronicle: of the whole trace.
        conversation: the story's.
        wanted: places in the trace of which there is to be a line.
        tells_faults: whether to have lines also of what befell the conversation's workers, and Redis.

    Attributes:
        lines: one for each place that was wanted, and each fault.
        faults: the places of the faults.
    """

    def __init__(self, chronicle: Chronicle, conversation: str, wanted: Collection[int], *, tells_faults: bool) -> None:
        self.lines: list[Line] = []
        self.faults: set[int] = set()
        self._chronicle = chronicle
        self._facts = StoryFacts(chronicle)
        self._wanted = wanted
        handlings = [each for each in chronicle.handlings.values() if each.conversation == conversation]
        self._workers = {each.worker for each in handlings} if tells_faults else set()
        self._tells_faults = tells_faults
        # When each worker's last request of a kind was answered, or had failed.
        self._answered: dict[tuple[str, str, str | None, str | None], float] = {}

    def _who(self, delivery: str, worker: str) -> str:
        handling = self._chronicle.handlings.get(delivery)
        return worker if handling is None else f"{handling.worker} {handling.message_id}"

    def _tell(self, time: float, who: str, text: str, **facts: Any) -> Line | None:
        if self.index not in self._wanted:
            return None
        self.lines.append(Line(time, self.index, who, text, Rank.CAUSE, loud=True, **facts))
        return self.lines[-1]

    def _tell_fault(self, time: float, who: str, text: str) -> None:
        if self.index in self._wanted or (self._tells_faults and who in (_SERVER, *self._workers)):
            self.lines.append(Line(time, self.index, who, text, Rank.HOST, loud=True))
            self.faults.add(self.index)

    def on_message_sent(self, time: float, entity: str, event: MessageSent) -> None:
        self._tell(time, "customer", f"sends {event.message_id} {quoted(event.text)}", by_customer=True)

    def on_handling_start(self, time: float, entity: str, event: HandlingStart) -> None:
        text = f"takes {event.message_id}"
        if event.delivery_number > 1:
            text += f" again (delivery {event.delivery_number})"
        self._tell(time, self._who(event.delivery, entity), text, delivery=event.delivery)

    def on_handling_end(self, time: float, entity: str, event: HandlingEnd) -> None:
        message = event.delivery.rpartition("#")[0]
        said = f" with {event.error_class}{exception_words(event)}" if event.error_class else ""
        steps = own_first(event.traceback, event.place)
        self._tell(
            time,
            self._who(event.delivery, entity),
            f"has accepted {message}" if not said else f"ends {message}{said}",
            delivery=event.delivery,
            traceback=steps,
            chain=event.chain,
        )

    def on_webhook_failed(self, time: float, entity: str, event: WebhookFailed) -> None:
        self._tell(time, self._who(event.delivery, event.worker), f"was not acknowledged: {event.reason}")

    def on_served(self, time: float, entity: str, event: RequestServed) -> None:
        request = self._chronicle.requests.get(event.request_id)
        if request is None:
            return
        stored = self._facts.what_was_stored_by(request)
        what = f"{request.operation}{f' with {stored}' if stored else ''}{f' on {request.thread}' if request.thread else ''}"
        said = f"{event.status} {event.error_message or ''}".strip()
        sentence = f"calls {what}: {said}"
        self._tell(time, self._who(request.delivery, request.worker), sentence, delivery=request.delivery)

    def on_request(self, time: float, entity: str, event: RequestSent) -> None:
        request = self._chronicle.requests.get(event.request_id)
        if request is not None:
            before = self._answered.get((entity, request.operation, request.thread, request.run))
            waited = "" if before is None else f" again, {time - before:.3f} s after that"
            sentence = f"calls {request.operation}{f' on {request.thread}' if request.thread else ''}{waited}"
            self._tell(time, self._who(request.delivery, entity), sentence, delivery=request.delivery)

    def on_response(self, time: float, entity: str, event: ResponseReceived) -> None:
        request = self._chronicle.requests.get(event.request_id)
        if request is not None:
            self._answered[entity, request.operation, request.thread, request.run] = time
            landed = "" if request.served_at is None else ", which the server had carried out"
            sentence = f"gets no answer to {request.operation}{landed}: {event.failure or event.status}"
            self._tell(time, self._who(request.delivery, entity), sentence, delivery=request.delivery)

    def on_run_state(self, time: float, entity: str, event: RunState) -> None:
        self._tell(time, "api", f"{event.run_id} is {event.state}")

    def on_redis(self, time: float, entity: str, event: RedisCommand) -> None:
        if self.index in self._wanted:
            if self._chronicle.has_leases:
                sentence = f"calls {event.command} of {event.key}: {event.reply}"
            elif event.command.upper() == "SET":
                sentence = f"takes the lock {event.key}"
            else:
                sentence = f"calls {event.command} of the lock {event.key}"
            self._tell(time, self._who(event.delivery, entity), sentence, delivery=event.delivery)

    def on_lease_expired(self, time: float, entity: str, event: LockExpired) -> None:
        sentence = f"lock lost: {event.key} expired while {event.worker} went on"
        self._tell(time, self._who(event.delivery, event.worker), sentence, delivery=event.delivery)

    def on_lease_lost(self, time: float, entity: str, event: LockLost) -> None:
        sentence = f"lock lost: {event.key} went with the server's last writes while {event.worker} went on"
        self._tell(time, self._who(event.delivery, event.worker), sentence, delivery=event.delivery)

    def on_lease_taken(self, time: float, entity: str, event: LeaseTaken) -> None:
        self._tell(time, event.worker, f"takes the lease of {event.conversation}")

    def on_lease_released(self, time: float, entity: str, event: LeaseReleased) -> None:
        self._tell(time, event.worker, "releases the lease")

    def on_lease_gone(self, time: float, entity: str, event: LeaseGone) -> None:
        self._tell(time, event.worker, f"its lease is gone: {event.how}")

    def on_lease_back(self, time: float, entity: str, event: LeaseBack) -> None:
        self._tell(time, event.worker, "has a lease again that it had released")

    def on_send(self, time: float, entity: str, event: TextSent) -> None:
        sentence = f"sends {event.conversation} {quoted(event.text)}"
        self._tell(time, self._who(event.delivery, entity), sentence, delivery=event.delivery)

    def on_exception(self, time: float, entity: str, event: UnhandledException) -> None:
        sentence = f"{event.headline}: {quoted(event.text, 200)}"
        steps = own_first(event.traceback, event.place)
        self._tell(
            time,
            self._who(event.delivery, entity),
            sentence,
            delivery=event.delivery,
            traceback=steps,
            chain=event.chain,
        )

    def on_task_cancelled(self, time: float, entity: str, event: TaskCancelled) -> None:
        sentence = f"cancels the task of {event.delivery.rpartition('#')[0]} at {event.place} ({event.by_place})"
        self._tell(time, self._who(event.by, entity), sentence, delivery=event.by)

    # Faults

    def on_host_crash(self, time: float, entity: str, event: HostCrash) -> None:
        self._tell_fault(time, entity, "loses its power")

    def on_host_stop(self, time: float, entity: str, event: HostStop) -> None:
        self._tell_fault(time, entity, "is told to end")

    def on_host_pause(self, time: float, entity: str, event: HostPause) -> None:
        self._tell_fault(time, entity, f"stands still for {event.seconds:.3f} s")

    def on_host_slow(self, time: float, entity: str, event: HostSlow) -> None:
        self._tell_fault(time, entity, f"runs slow for {event.seconds:.3f} s")

    def on_host_skew(self, time: float, entity: str, event: HostSkew) -> None:
        self._tell_fault(time, entity, f"has its clock wrong by {event.seconds:.3f} s")

    def on_redis_fault(self, time: float, entity: str, event: RedisFaultStruck) -> None:
        what = f"{event.fault} of {event.command}" if event.command else event.fault
        if not event.key or self.index in self._wanted:
            self._tell_fault(time, _SERVER, what.replace("_", " "))
