"""Webhooks: what brings a customer's message to a worker, at least once.

The provider takes a delivery for acknowledged when the target's `deliver` has returned. One whose `deliver` raised, or
whose worker was dead or died meanwhile, is delivered again after `workload.redeliver_seconds`, to a worker that is alive,
and so on until one is acknowledged; without that setting it is not delivered again.

The trace tells of each delivery that was not acknowledged, `webhook.failed` with the delivery, its worker and the reason
(`worker dead`, `worker crashed`, `handle raised`, `acknowledgement lost`), and of what faults do: `webhook.duplicate` and
`webhook.late` with the delivery and the seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import TYPE_CHECKING, Final

from relaysim.sim.faults import AtOccasions, FaultPlan
from relaysim.sim.kernel import Kernel, SimulatorError, current_context, error_text
from relaysim.sim.trace.schema import (
    HandlingEnd,
    HandlingStart,
    LogLine,
    WebhookDuplicate,
    WebhookFailed,
    WebhookLate,
)
from relaysim.sim.world.obstacles import Raised
from relaysim.sim.world.target import SentMessage, Target
from relaysim.sim.world.webhook_faults import WebhookFault
from relaysim.sim.world.workers import Worker

if TYPE_CHECKING:
    from relaysim.sim.world.settings import WorkerGroup, Workload

ENTITY: Final = "webhooks"


class Webhooks:
    """All deliveries of one world.

    Args:
        kernel: the world's.
        workload: how webhooks are duplicated and repeated.
        seconds: turns a uniform into the seconds of a delivery.
        faults: of this world's webhooks.
        groups: the workers' groups, with their shares.
        workers: all workers, in their order.

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
        self._under_way: dict[str, dict[str, tuple[SentMessage, int]]] = {}

    def post(self, message: SentMessage, worker: int | None) -> None:
        """A customer's message sets off: at least one delivery, to the given worker or a drawn one."""
        workload, draws = self._workload, self._kernel.draws
        delay = draws.seconds(self._seconds, message.id, "webhook", 0)
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

    def worker_died(self, worker: Worker) -> None:
        """What it was handling is not acknowledged."""
        for delivery, (message, number) in self._under_way.pop(worker.name, {}).items():
            self.handled.discard(delivery)
            self._failed(message, number, worker, "worker crashed")

    def _hits(self, position: int, when: AtOccasions, message: SentMessage, number: int) -> bool:
        rare = self._kernel.draws.rare
        return self.faults.hits(
            position, when, self._kernel.now, lambda place, _: rare(message.id, f"webhook fault-{place}", number)
        )

    def _fault_seconds(self, position: int, message: SentMessage, number: int) -> float:
        return self.faults.faults[position].seconds.sample(
            self._kernel.draws.uniform(message.id, f"webhook fault-{position} seconds", number)
        )

    def _dispatch(self, message: SentMessage, delay: float, worker: int | None, *, again: bool = False) -> str:
        number = self._numbers[message.id] = self._numbers.get(message.id, 0) + 1
        delivery = f"{message.id}#{number}"
        for position, when in self.faults.watching("late"):
            if self._hits(position, when, message, number):
                later = self._fault_seconds(position, message, number)
                delay += later
                self._kernel.trace.add(ENTITY, WebhookLate(delivery=delivery, seconds=later))
        self.outstanding += 1
        self._kernel.at(delay, self._deliver, message, worker, number, again)
        return delivery

    def _deliver(self, message: SentMessage, given: int | None, number: int, again: bool) -> None:
        if self._kernel.trace.closed:
            return  # the world is over
        if given is None:
            given = self._draw_worker(self._kernel.draws.uniform(message.id, "worker", number))
        worker = self._workers[given - 1]
        if again and not worker.alive:
            # Repetitions go where somebody is known to be; if nobody is, this one fails like the first.
            after = (*self._workers[given:], *self._workers[: given - 1])
            worker = next((each for each in after if each.alive), worker)
        if not worker.alive:
            self._failed(message, number, worker, "worker dead")
            return
        delivery = f"{message.id}#{number}"
        context = copy_context()
        context.run(current_context.set, delivery)
        self._under_way.setdefault(worker.name, {})[delivery] = (message, number)
        worker.host.spawn(self._handle(worker, worker.target, message, delivery, number), context=context)

    def _draw_worker(self, u: float) -> int:
        for low, high, first, count in self._ranges:
            if u < high:
                return first + min(int((u - low) / (high - low) * count), count - 1)
        _, _, first, count = self._ranges[-1]
        return first + count - 1

    async def _handle(self, worker: Worker, target: Target, message: SentMessage, delivery: str, number: int) -> None:
        trace = self._kernel.trace
        trace.add(worker.name, HandlingStart(delivery=delivery, message_id=message.id, delivery_number=number))
        self.handled.add(delivery)
        outcome = error_class = None
        try:
            outcome = await target.deliver(message)
        except SimulatorError as error:
            # Not the relay's mistake: it must not be judged where it cannot run as it does in production.
            self._kernel.fail(error)
        except BaseException as error:
            if trace.closed or isinstance(error, SystemExit | KeyboardInterrupt):
                raise
            # A relay that raises has failed this message; what became of it is judged like any other ending. A task that
            # cancels itself raises, too.
            error_class = type(error).__name__
            self.note_raised(delivery, error)
            text = f"handle raised {error_class}: {error_text(error)}"
            trace.add(worker.name, LogLine(delivery=delivery, level="ERROR", text=text))
        finally:
            self.handled.discard(delivery)
            trace.add(worker.name, HandlingEnd(delivery=delivery, outcome=outcome, error_class=error_class))
            self._returned(worker, message, delivery, number, error_class)

    def _returned(
        self, worker: Worker, message: SentMessage, delivery: str, number: int, error_class: str | None
    ) -> None:
        self._under_way.get(worker.name, {}).pop(delivery, None)
        if self._kernel.trace.closed:
            return
        if error_class is not None:
            self._failed(message, number, worker, "handle raised")
            return
        for position, when in self.faults.watching("lost_ack"):
            if self._hits(position, when, message, number):
                seconds = self._fault_seconds(position, message, number)
                self._failed(message, number, worker, "acknowledgement lost", seconds)
                return
        self.outstanding -= 1

    def _failed(
        self, message: SentMessage, number: int, worker: Worker, reason: str, seconds: float | None = None
    ) -> None:
        """A delivery was not acknowledged: it comes again after `seconds`, or as the workload says."""
        self.outstanding -= 1
        again = self._workload.redeliver_seconds
        if seconds is None and again is not None:
            seconds = again.sample(self._kernel.draws.uniform(message.id, "redeliver", number))
        if seconds is not None or reason != "handle raised":
            failed = WebhookFailed(delivery=f"{message.id}#{number}", worker=worker.name, reason=reason)
            self._kernel.trace.add(ENTITY, failed)
        if seconds is not None:
            self._dispatch(message, seconds, None, again=True)


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
