"""One world: workers with their relay, customers, the simulated API and Redis, from one seed."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from contextvars import copy_context
from typing import Any, Literal, NamedTuple

import sim.redis
from sim.kernel import EPOCH_SECONDS, Fence, Host, Kernel, current_context
from sim.openai import Network, NotInDirectLaneError, RunLives, ThreadsService, keyed_retry_jitter, make_client
from sim.openai import warm_up as warm_up_openai
from sim.world.customers import Customer, SentMessage
from sim.world.factories import resolve
from sim.world.logs import LogCapture
from sim.world.observe import observe
from sim.world.schedule import ScheduledNetwork
from sim.world.settings import WorkerGroup, WorldSettings

Lane = Literal["sdk", "direct"]
PlainRecord = tuple[float, str, str, tuple[Any, ...]]

_COLLECT_EVERY = 200
_UNCOLLECTED_MAX = 200_000
"""Garbage is collected after so many worlds, or once so many objects are there that it has not looked at."""


class Worker(NamedTuple):
    """One worker process: its host, and the relay that runs on it."""

    name: str
    host: Host
    relay: Any


class Result(NamedTuple):
    """What one replication leaves behind: plain data."""

    observation: dict[str, Any]
    fingerprint: str
    records: list[PlainRecord] | None


class World:
    """Builds everything at virtual time 0; `run` lets it live.

    Args:
        settings: what it is made of.
        root_seed: the scenario's root seed.
        seed: the replication's seed.
        lane: `sdk` for the real OpenAI SDK and redis client, `direct` for the same relay without their code.
    """

    def __init__(self, settings: WorldSettings, root_seed: int, seed: int, lane: Lane) -> None:
        self.settings = settings
        self.seed = seed
        self.lane: Lane = lane
        self.kernel = Kernel(root_seed, seed)
        self._handled: set[str] = set()

    def build(self) -> None:
        """Make the service, the workers and the customers; the fence must be attached to this kernel."""
        settings, kernel, profile = self.settings, self.kernel, self.settings.profile
        self.service = ThreadsService(kernel.draws, lambda: EPOCH_SECONDS + kernel.now, kernel.trace)
        self.lives = RunLives(kernel, self.service, profile)
        network_class = ScheduledNetwork if settings.schedule else Network
        self.network = network_class(kernel, self.service, profile, settings.faults)
        self.redis = sim.redis.RedisLink(
            kernel,
            profile.redis_seconds.sampler,
            pause_probability=profile.redis_pause_probability,
            pause=None if profile.redis_pause_seconds is None else profile.redis_pause_seconds.sampler,
            is_handled=self._handled.__contains__,
        )
        self.workers: list[Worker] = []
        factory = resolve(settings.relay.factory)
        for group in settings.workers:
            for _ in range(group.count):
                self.workers.append(self._make_worker(factory, group))
        self._group_ranges = _group_ranges(settings.workers)

        self.customers = [
            Customer(self, number, self.service.create_thread()["id"])
            for number in range(1, settings.workload.conversations + 1)
        ]
        self._by_conversation = {customer.name: customer for customer in self.customers}
        offset = self._leave_initial_runs()
        self._start_customers(offset)

    def _make_worker(self, factory: Callable[..., Any], group: WorkerGroup) -> Worker:
        kernel, settings = self.kernel, self.settings
        host = kernel.host(f"w{len(self.workers) + 1}")
        openai_client = make_client(kernel, host, self.network, self.lane)
        redis_client = sim.redis.make_client(host, self.redis, self.lane)
        relay_settings = {**settings.relay.settings, **group.settings}
        relay = factory(openai_client, redis_client, self._sender(host), **relay_settings)
        return Worker(host.name, host, relay)

    def _sender(self, host: Host) -> Callable[[str, str], Any]:
        kernel = self.kernel
        seconds = self.settings.profile.send_seconds.sampler

        async def send(conversation: str, text: str) -> None:
            """Send a text to the customer of this conversation; returns once the channel has taken it."""
            kernel.trace.add(host.name, "send", current_context.get(), conversation, text)
            duration = seconds(kernel.draws.uniform(host.name, f"send {conversation}"))
            customer = self._by_conversation.get(conversation)
            if customer is not None:
                kernel.at(0.5 * duration, customer.receive, text)
            await _sleep(kernel, host, duration)

        return send

    def _leave_initial_runs(self) -> float:
        """Start the runs that are there before the first message; returns when customers may begin."""
        runs = self.settings.workload.initial_runs
        if not runs:
            return 0.0
        oldest = max(run.age_seconds for run in runs)
        for number, run in enumerate(runs, 1):
            thread_id = self.customers[run.conversation - 1].thread_id
            self.kernel.at(oldest - run.age_seconds, self._leave_run, thread_id, number)
        return oldest

    def _leave_run(self, thread_id: str, number: int) -> None:
        cause = f"before#{number}"
        self.service.create_message(thread_id, role="user", content="A question from before", cause=cause)
        run = self.service.create_run(thread_id, assistant_id="asst_relaysim", cause=cause)
        self.lives.make_stuck(run["id"])

    def _start_customers(self, offset: float) -> None:
        workload, process = self.settings.workload, self.kernel.env.process
        for number, scripted in enumerate(workload.messages, 1):
            process(self.customers[scripted.conversation - 1].follow_script(number, scripted, offset))
        if workload.bursts is not None:
            for customer in self.customers:
                process(customer.write_bursts(workload.bursts, offset))
        if isinstance(self.network, ScheduledNetwork):
            self._constrain(self.network)

    def _constrain(self, network: ScheduledNetwork) -> None:
        # The n-th message of a conversation's script has the n-th id there, in the order of the list.
        counts: dict[int, int] = {}
        deliveries = []
        for scripted in self.settings.workload.messages:
            counts[scripted.conversation] = counts.get(scripted.conversation, 0) + 1
            deliveries.append(f"c{scripted.conversation}.m{counts[scripted.conversation]}#1")
        network.constrain(
            [
                (
                    (deliveries[hold.hold.message - 1], hold.hold.operation),
                    (deliveries[hold.until.message - 1], hold.until.operation),
                    hold.at_most_seconds,
                )
                for hold in self.settings.schedule
            ]
        )

    # Webhooks

    def post_webhook(self, message: SentMessage, worker: int | None) -> None:
        """A customer's message sets off: at least one delivery, to the given worker or a drawn one."""
        kernel, workload = self.kernel, self.settings.workload
        uniform = kernel.draws.uniform
        delay = self.settings.profile.webhook_seconds.sample(uniform(message.id, "webhook", 0))
        kernel.at(delay, self._deliver, message, worker, 1)
        if workload.duplicate_probability and uniform(message.id, "duplicate", 0) < workload.duplicate_probability:
            later = workload.redelivery_seconds.sample(uniform(message.id, "redelivery", 0))
            kernel.at(delay + later, self._deliver, message, None, 2)

    def _deliver(self, message: SentMessage, number: int | None, delivery_number: int) -> None:
        if self.kernel.trace.closed:
            return  # the world is over
        if number is None:
            number = self._draw_worker(self.kernel.draws.uniform(message.id, "worker", delivery_number))
        worker = self.workers[number - 1]
        delivery = f"{message.id}#{delivery_number}"
        context = copy_context()
        context.run(current_context.set, delivery)
        worker.host.spawn(self._handle(worker, message, delivery, delivery_number), context=context)

    def _draw_worker(self, u: float) -> int:
        for low, high, first, count in self._group_ranges:
            if u < high:
                return first + min(int((u - low) / (high - low) * count), count - 1)
        _, _, first, count = self._group_ranges[-1]
        return first + count - 1

    async def _handle(self, worker: Worker, message: SentMessage, delivery: str, delivery_number: int) -> None:
        trace = self.kernel.trace
        trace.add(worker.name, "handling.start", delivery, message.id, delivery_number)
        self._handled.add(delivery)
        outcome = error_class = None
        try:
            outcome = _outcome_of(await worker.relay.handle(message))
        except NotInDirectLaneError as error:
            # Not the relay's mistake: it must not be judged in a lane that lacks what it calls.
            self.kernel.fail(error)
        except Exception as error:
            # A relay that raises has failed this message; what became of it is judged like any other ending.
            error_class = type(error).__name__
            trace.add(worker.name, "log", delivery, "ERROR", f"handle raised {error_class}: {error}")
        finally:
            self._handled.discard(delivery)
            trace.add(worker.name, "handling.end", delivery, outcome, error_class)

    # Running

    def run(self) -> None:
        """Live until nothing is left to do, or the time limit."""
        self.kernel.run(until=self.settings.limit_seconds)

    def close(self) -> None:
        """Clear up; call it once, whatever happened."""
        try:
            self.kernel.close()
        finally:
            self.redis.close()

    def threads(self) -> dict[str, str]:
        """The conversation of each thread that the world provided."""
        return {customer.thread_id: customer.name for customer in self.customers}


async def _sleep(kernel: Kernel, host: Host, seconds: float) -> None:
    future = host.loop.create_future()
    kernel.at(seconds, _wake, future)
    await future


def _wake(future: Any) -> None:
    if not future.done():
        future.set_result(None)


def _outcome_of(result: Any) -> str | None:
    outcome = getattr(result, "outcome", result)
    value = getattr(outcome, "value", outcome)
    return value if isinstance(value, str) else None


def _group_ranges(groups: tuple[WorkerGroup, ...]) -> list[tuple[float, float, int, int]]:
    """(low, high, first worker, workers) of each group on the unit interval."""
    total = sum(group.count for group in groups)
    ranges = []
    low, first = 0.0, 1
    for group in groups:
        high = low + (group.count / total if group.share is None else group.share)
        ranges.append((low, high, first, group.count))
        low, first = high, first + group.count
    return ranges


_warm = False


def warm_up() -> None:
    """Import and run once what libraries do only at first use: the first world must be like every other."""
    global _warm
    if not _warm:
        _warm = True
        warm_up_openai()
        sim.redis.warm_up()


class Session:
    """Everything that is installed around worlds: fence, log capture, keyed SDK jitter, quiet deprecations.

    Hold one over a batch of worlds; installing costs some milliseconds. While it is held, garbage is collected between
    worlds only: a finalizer that ran at an arbitrary point could reach a result, and the collector would look through
    every world that has just been built (an eighth of the time in lane `sdk`).
    """

    _current: Session | None = None

    def __init__(self) -> None:
        self.fence = Fence()
        self.logs = LogCapture()
        self._stack = ExitStack()
        self._worlds = 0

    def __enter__(self) -> Session:
        if Session._current is not None:
            return Session._current
        warm_up()
        stack = self._stack
        try:
            stack.enter_context(warnings.catch_warnings())
            # Each call under client.beta.threads says that the Assistants API is deprecated; here that is known.
            warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"^(?!__main__)")
            stack.enter_context(self.fence)
            stack.enter_context(self.logs)
            stack.enter_context(keyed_retry_jitter())
        except BaseException:
            stack.close()
            raise
        Session._current = self
        # What is loaded now stays; collections between worlds need not look through it again.
        gc.collect()
        gc.freeze()
        stack.callback(gc.unfreeze)
        if gc.isenabled():
            gc.disable()
            stack.callback(gc.enable)
        return self

    def __exit__(self, *exc_info: object) -> None:
        if Session._current is self:
            Session._current = None
            self._stack.close()

    def run(self, world: World) -> None:
        """Build, run and close one world."""
        self.fence.attach(world.kernel)
        self.logs.attach(world.kernel.trace)
        try:
            world.build()
            try:
                world.run()
            finally:
                world.close()
        finally:
            self.logs.attach(None)
            self.fence.attach(None)
            self._worlds += 1
            if self._worlds % _COLLECT_EVERY == 0 or gc.get_count()[0] > _UNCOLLECTED_MAX:
                gc.collect()


def run_world(
    settings: WorldSettings, *, root_seed: int, seed: int, lane: Lane = "sdk", keep_trace: bool = False
) -> Result:
    """Run one replication.

    Args:
        settings: the world without its seed.
        root_seed: the scenario's root seed.
        seed: the replication's seed.
        lane: `sdk` or `direct`.
        keep_trace: also return the records.

    Raises:
        FactoryError: if the relay's factory cannot be used.
        LeavesSimulationError: if the relay tries to reach the world outside.
        StuckSimulationError: if the relay loops without letting time pass.
    """
    world = World(settings, root_seed, seed, lane)
    if Session._current is not None:  # making another one would cost as much as a host
        Session._current.run(world)
    else:
        with Session() as session:
            session.run(world)
    trace = world.kernel.trace
    fingerprint = trace.fingerprint()
    observation = observe(trace.records, settings.relay, world.threads(), seed=seed, fingerprint=fingerprint)
    observation["fault_hits"] = world.network.faults.fired
    records = [tuple(record) for record in trace.records] if keep_trace else None
    return Result(observation, fingerprint, records)  # type: ignore[arg-type]
