"""Webhooks: what brings a customer's message to a worker, at least once.

The provider takes a delivery for acknowledged when the target's `deliver` has returned. One whose `deliver` raised, or
whose worker was dead or died meanwhile, is delivered again after `workload.redeliver_seconds`, to a worker that is alive,
and so on until one is acknowledged; without that setting it is not delivered again.

Where a scenario names a provider, that one says what is delivered again, when, and how often; and a delivery that is not
acknowledged by its deadline has failed, too. The worker goes on with it all the same, as it does in production, where a
handler does not notice that nobody waits for its response any more. With a provider that keeps order, a conversation's
messages are delivered in the order of writing, each after the one before was acknowledged or given up.

The trace tells of each delivery that was not acknowledged, `webhook.failed` with the delivery, its worker and the reason
(`worker dead`, `worker crashed`, `handle raised`, `acknowledgement lost`, `deadline missed`), and of what faults do:
`webhook.duplicate` and `webhook.late` with the delivery and the seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from typing import TYPE_CHECKING, Final, NamedTuple

from relaysim.sim.faults import AtOccasions, FaultPlan
from relaysim.sim.kernel import (
    Kernel,
    SimulatorError,
    chain_of_error,
    current_context,
    error_text,
    place_of_error,
    steps_of_error,
)
from relaysim.sim.providers import Attempt, Failure, HttpRequest, Provider
from relaysim.sim.trace.schema import (
    HandlingEnd,
    HandlingStart,
    LogLine,
    WebhookDuplicate,
    WebhookFailed,
    WebhookLate,
)
from relaysim.sim.world.obstacles import Raised
from relaysim.sim.world.target import NotAcknowledged, SentMessage, Target, outcome_name
from relaysim.sim.world.webhook_faults import WebhookFault
from relaysim.sim.world.workers import Worker

if TYPE_CHECKING:
    from relaysim.sim.world.settings import WorkerGroup, Workload

ENTITY: Final = "webhooks"

MORE_SECONDS: Final = 2.0
"""For how long a message waits for its conversation's next one, where a provider puts several into one request."""

_FAILURES: Final[Mapping[str, Failure]] = {
    "worker dead": "unreachable",
    "worker crashed": "broken",
    "handle raised": "status",
    "acknowledgement lost": "timeout",
    "deadline missed": "timeout",
}
"""What a provider sees of each reason why a delivery was not acknowledged."""


class Delivery(NamedTuple):
    """One delivery of a message.

    message  what is delivered
    number   counts the message's deliveries, from 1
    repeats  how many deliveries before it failed, of which it is the repeat
    failure  how the last of them failed
    """

    message: SentMessage
    number: int
    repeats: int = 0
    failure: Failure | None = None

    @property
    def name(self) -> str:
        """What the trace calls it."""
        return f"{self.message.id}#{self.number}"


class Webhooks:
    """All deliveries of one world.

    Args:
        kernel: the world's.
        workload: how webhooks are duplicated and repeated.
        seconds: turns a uniform into the seconds of a delivery.
        faults: of this world's webhooks.
        groups: the workers' groups, with their shares.
        workers: all workers, in their order.
        provider: says when a delivery has failed, and when it comes again; None: the workload does.

    Attributes:
        faults: the plan of them.
        handled: the deliveries that are being handled.
        raised: the exceptions that ended handlings, or tasks that were started in them.
        outstanding: deliveries that are on their way, being handled, or to be repeated.
    """

    def __init__(
        self,
        kernel: Kernel,
        workload: Workload,
        seconds: Callable[[float], float],
        faults: Sequence[WebhookFault],
        groups: Sequence[WorkerGroup],
        workers: Sequence[Worker],
        provider: Provider | None = None,
    ) -> None:
        self.faults = FaultPlan(faults)
        self.handled: set[str] = set()
        self.raised: list[Raised] = []
        self.outstanding = 0
        self._kernel = kernel
        self._workload = workload
        self._seconds = seconds
        self._workers = workers
        self._ranges = group_ranges(groups)
        self._numbers: dict[str, int] = {}
        self._under_way: dict[str, dict[str, Delivery]] = {}
        self._provider = provider
        self._overdue: set[str] = set()  # handled still, though the provider has given them up
        self._queues: dict[str, deque[str]] = {}  # per conversation, where order is kept: messages without an end yet
        self._collected: dict[str, Delivery] = {}  # per conversation, one that waits for the next message
        self._waiting: dict[str, list[tuple[Delivery, int | None, bool]]] = {}  # deliveries that wait for their turn

    def post(self, message: SentMessage, worker: int | None, soon: float | None = None) -> None:
        """A customer's message sets off: at least one delivery, to the given worker or a drawn one, which arrives after
        `soon` seconds or, if that is None, as the profile has it."""
        workload, draws = self._workload, self._kernel.draws
        if self._provider is not None and self._provider.in_order:
            self._queues.setdefault(message.conversation, deque()).append(message.id)
        delay = draws.seconds(self._seconds, message.id, "webhook", 0) if soon is None else soon
        self._dispatch(message, delay, worker)
        if workload.duplicate_probability and draws.rare(message.id, "duplicate", 0) < workload.duplicate_probability:
            later = workload.redelivery_seconds.sample(draws.uniform(message.id, "redelivery", 0))
            self._dispatch(message, delay + later, None)
        for position, when in self.faults.watching("duplicate"):
            if self._hits(position, when, message, 1):
                later = self._fault_seconds(position, message, 1)
                delivery = self._dispatch(message, delay + later, None)
                self._kernel.trace.add(ENTITY, WebhookDuplicate(delivery=delivery, seconds=later))

    def note_raised(self, delivery: str, error: BaseException, *, in_task: bool = False) -> None:
        """An exception has ended a handling, or a task that was started in it."""
        self.raised.append(Raised.by(delivery, error, in_task=in_task))

    def notify(self, request: HttpRequest) -> None:
        """What the provider tells of a text goes to a worker that is alive, once; if nobody is, it is gone."""
        kernel = self._kernel
        alive = [worker for worker in self._workers if worker.alive]
        if not alive or kernel.trace.closed:
            return
        worker = alive[int(kernel.draws.uniform(ENTITY, "notification") * len(alive))]
        context = copy_context()
        context.run(current_context.set, "")
        worker.host.spawn(self._notify(worker, worker.target, request), context=context)

    async def _notify(self, worker: Worker, target: Target, request: HttpRequest) -> None:
        try:
            await target.notify(request)
        except SimulatorError as error:
            self._kernel.fail(error)
        except Exception as error:
            text = f"a notification of the provider's raised {type(error).__name__}: {error_text(error)}"
            self._kernel.trace.add(worker.name, LogLine(delivery="", level="ERROR", text=text))

    def worker_died(self, worker: Worker) -> None:
        """What it was handling is not acknowledged."""
        for name, delivery in self._under_way.pop(worker.name, {}).items():
            self.handled.discard(name)
            if not self._was_overdue(delivery):
                self._failed(delivery, worker, "worker crashed")

    def _hits(self, position: int, when: AtOccasions, message: SentMessage, number: int) -> bool:
        rare = self._kernel.draws.rare
        return self.faults.hits(
            position, when, self._kernel.now, lambda place, _: rare(message.id, f"webhook fault-{place}", number)
        )

    def _fault_seconds(self, position: int, message: SentMessage, number: int) -> float:
        return self.faults.faults[position].seconds.sample(
            self._kernel.draws.uniform(message.id, f"webhook fault-{position} seconds", number)
        )

    def _dispatch(
        self, message: SentMessage, delay: float, worker: int | None, *, after: Delivery | None = None, reason: str = ""
    ) -> str:
        """Let a delivery set off, which arrives after so many seconds; `after` is the failed one that it repeats."""
        number = self._numbers[message.id] = self._numbers.get(message.id, 0) + 1
        delivery = Delivery(message, number)
        if after is not None:
            delivery = Delivery(message, number, after.repeats + 1, _FAILURES[reason])
        for position, when in self.faults.watching("late"):
            if self._hits(position, when, message, number):
                later = self._fault_seconds(position, message, number)
                delay += later
                self._kernel.trace.add(ENTITY, WebhookLate(delivery=delivery.name, seconds=later))
        self.outstanding += 1
        self._kernel.at(delay, self._deliver, delivery, worker, after is not None)
        return delivery.name

    def _deliver(self, delivery: Delivery, given: int | None, again: bool) -> None:
        if self._kernel.trace.closed:
            return  # the world is over
        message = delivery.message
        if self._must_wait(message):
            self._waiting.setdefault(message.id, []).append((delivery, given, again))
            return
        first = self._collected.pop(message.conversation, None)
        if first is not None:
            self._hand_over([first, delivery], given, again)
        elif self._waits_for_more(delivery, again):
            self._collected[message.conversation] = delivery
            self._kernel.at(MORE_SECONDS, self._end_of_waiting, delivery, given)
        else:
            self._hand_over([delivery], given, again)

    def _waits_for_more(self, delivery: Delivery, again: bool) -> bool:
        if self._provider is None or again or delivery.number > 1 or not self._workers[0].target.gets_requests:
            return False
        return self._provider.waits_for_more(self._kernel.draws.rare(delivery.message.id, "several", 0))

    def _end_of_waiting(self, delivery: Delivery, given: int | None) -> None:
        if self._collected.get(delivery.message.conversation) is delivery and not self._kernel.trace.closed:
            del self._collected[delivery.message.conversation]
            self._hand_over([delivery], given, again=False)

    def _hand_over(self, deliveries: Sequence[Delivery], given: int | None, again: bool) -> None:
        """Let a worker handle what comes in one request."""
        message, number = deliveries[0].message, deliveries[0].number
        if given is None:
            given = self._draw_worker(self._kernel.draws.uniform(message.id, "worker", number))
        worker = self._workers[given - 1]
        if again and not worker.alive:
            # Repetitions go where somebody is known to be; if nobody is, this one fails like the first.
            after = (*self._workers[given:], *self._workers[: given - 1])
            worker = next((each for each in after if each.alive), worker)
        if not worker.alive:
            for each in deliveries:
                self._failed(each, worker, "worker dead")
            return
        context = copy_context()
        context.run(current_context.set, deliveries[0].name)
        self._under_way.setdefault(worker.name, {}).update({each.name: each for each in deliveries})
        worker.host.spawn(self._handle(worker, worker.target, deliveries), context=context)
        if self._provider is not None:
            for each in deliveries:
                self._kernel.at(self._provider.deadline_seconds, self._end_of_deadline, worker, each)

    def _end_of_deadline(self, worker: Worker, delivery: Delivery) -> None:
        if delivery.name in self._under_way.get(worker.name, {}) and not self._kernel.trace.closed:
            self._overdue.add(delivery.name)
            self.outstanding += 1  # until its handling ends
            self._failed(delivery, worker, "deadline missed")

    def _was_overdue(self, delivery: Delivery) -> bool:
        """Whether the handling that has ended was of a delivery that the provider had given up."""
        if delivery.name not in self._overdue:
            return False
        self._overdue.remove(delivery.name)
        self.outstanding -= 1
        return True

    def _must_wait(self, message: SentMessage) -> bool:
        queue = self._queues.get(message.conversation)
        return bool(queue) and queue is not None and queue[0] != message.id and message.id in queue

    def _settled(self, message: SentMessage) -> None:
        """The provider is done with a message: the conversation's next one may come."""
        queue = self._queues.get(message.conversation)
        if not queue or queue[0] != message.id:
            return
        queue.popleft()
        for waiting in self._waiting.pop(queue[0], ()) if queue else ():
            self._deliver(*waiting)

    def _draw_worker(self, u: float) -> int:
        for low, high, first, count in self._ranges:
            if u < high:
                return first + min(int((u - low) / (high - low) * count), count - 1)
        _, _, first, count = self._ranges[-1]
        return first + count - 1

    async def _handle(self, worker: Worker, target: Target, deliveries: Sequence[Delivery]) -> None:
        trace, first = self._kernel.trace, deliveries[0]
        delivery = first.name
        for each in deliveries:
            started = HandlingStart(delivery=each.name, message_id=each.message.id, delivery_number=each.number)
            trace.add(worker.name, started)
            self.handled.add(each.name)
        outcome = error_class = None
        said, where = "", ""
        steps: tuple[str, ...] = ()
        chain: tuple[str, ...] = ()
        is_final = False
        attempt = Attempt(first.repeats, first.failure, self._kernel.unix_now)
        try:
            further = [each.message for each in deliveries[1:]]
            outcome = outcome_name(await target.deliver(first.message, attempt, further))
        except SimulatorError as error:
            # Not the relay's mistake: it must not be judged where it cannot run as it does in production.
            self._kernel.fail(error)
        except BaseException as error:
            if trace.closed or isinstance(error, SystemExit | KeyboardInterrupt):
                raise
            # A relay that raises has failed this message; what became of it is judged like any other ending. A task that
            # cancels itself raises, too.
            error_class = type(error).__name__
            is_final = isinstance(error, NotAcknowledged) and error.is_final
            self.note_raised(delivery, error)
            said, where, steps = error_text(error), place_of_error(error), steps_of_error(error)
            chain = chain_of_error(error)
            text = f"handle raised {error_class}: {said}"
            trace.add(worker.name, LogLine(delivery=delivery, level="ERROR", text=text))
        finally:
            for each in deliveries:
                self.handled.discard(each.name)
                ended = HandlingEnd(
                    delivery=each.name,
                    outcome=outcome,
                    error_class=error_class,
                    text=said,
                    place=where,
                    traceback=steps,
                    chain=chain,
                )
                trace.add(worker.name, ended)
                self._returned(worker, each, error_class, is_final)

    def _returned(self, worker: Worker, delivery: Delivery, error_class: str | None, is_final: bool) -> None:
        self._under_way.get(worker.name, {}).pop(delivery.name, None)
        if self._kernel.trace.closed or self._was_overdue(delivery):
            return
        if error_class is not None:
            self._failed(delivery, worker, "handle raised", is_final=is_final)
            return
        message, number = delivery.message, delivery.number
        for position, when in self.faults.watching("lost_ack"):
            if self._hits(position, when, message, number):
                seconds = self._fault_seconds(position, message, number)
                self._failed(delivery, worker, "acknowledgement lost", seconds)
                return
        self.outstanding -= 1
        self._settled(message)

    def _failed(
        self, delivery: Delivery, worker: Worker, reason: str, seconds: float | None = None, *, is_final: bool = False
    ) -> None:
        """A delivery was not acknowledged: it comes again after `seconds`, or as the provider or the workload says."""
        self.outstanding -= 1
        message = delivery.message
        if seconds is None and not is_final:
            seconds = self._repeated_after(delivery, reason)
        if seconds is not None or reason != "handle raised":
            failed = WebhookFailed(delivery=delivery.name, worker=worker.name, reason=reason)
            self._kernel.trace.add(ENTITY, failed)
        if seconds is None:
            self._settled(message)
        else:
            self._dispatch(message, seconds, None, after=delivery, reason=reason)

    def _repeated_after(self, delivery: Delivery, reason: str) -> float | None:
        again = self._workload.redeliver_seconds
        if self._provider is None and again is None:
            return None
        u = self._kernel.draws.uniform(delivery.message.id, "redeliver", delivery.number)
        if self._provider is not None:
            return self._provider.repeats(_FAILURES[reason], delivery.repeats, u)
        return None if again is None else again.sample(u)


def group_ranges(groups: Sequence[WorkerGroup]) -> list[tuple[float, float, int, int]]:
    """(low, high, first worker, workers) of each group on the unit interval."""
    total = sum(group.count for group in groups)
    ranges = []
    low, first = 0.0, 1
    for group in groups:
        high = low + (group.count / total if group.share is None else group.share)
        ranges.append((low, high, first, group.count))
        low, first = high, first + group.count
    return ranges
