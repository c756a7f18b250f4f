"""One world: workers with their target, customers, the simulated API and Redis, from one seed.

Longer than 400 lines because all parts of a world are put together here, in the order in which they need one another.
"""

from __future__ import annotations

import math
import os
from collections.abc import Generator
from functools import partial
from typing import Any, ClassVar, Final, Literal

import simpy

from relaysim.sim import redis
from relaysim.sim.backends import backend_named
from relaysim.sim.backends.other_endpoints.endpoints import OtherEndpoints
from relaysim.sim.backends.protocol import ServiceOptions
from relaysim.sim.backends.webhook_events import WebhookEvents
from relaysim.sim.doors import Network, make_client
from relaysim.sim.doors.sent_requests import SentRequests
from relaysim.sim.faults import FaultPlan, chosen
from relaysim.sim.kernel import (
    EPOCH_SECONDS,
    CancelledTask,
    ConditionedDraws,
    Draws,
    Host,
    Kernel,
    Recording,
    RecordingDraws,
    current_context,
    writable,
)
from relaysim.sim.process import WorkerProcesses, is_shared, libraries_in
from relaysim.sim.providers import Provider
from relaysim.sim.threads import Block
from relaysim.sim.trace.schema import LoopBlocked, Printed, TaskCancelled
from relaysim.sim.world.api_events import EventPost
from relaysim.sim.world.audit import NAME as AUDITOR
from relaysim.sim.world.audit import ledger_of
from relaysim.sim.world.customers import Customer
from relaysim.sim.world.explored_faults import explored
from relaysim.sim.world.factories import import_factory, module_of
from relaysim.sim.world.foreign_runs import start_foreign_runs
from relaysim.sim.world.handlers import sender_for_users
from relaysim.sim.world.host_faults import HostFaults
from relaysim.sim.world.interruptions import start_interruptions
from relaysim.sim.world.judge.promises import Promises
from relaysim.sim.world.judge.world_facts import NO_FACTS, WorldFacts
from relaysim.sim.world.logs import LINES_MAX
from relaysim.sim.world.own_clients import addresses_of, clients_of, connect_host, prepare_environment
from relaysim.sim.world.prepared import PreparedConversations
from relaysim.sim.world.provider_service import ProviderService
from relaysim.sim.world.quiescence import SETTLE_SECONDS, Quiescence
from relaysim.sim.world.schedule import ScheduledNetwork
from relaysim.sim.world.settings import WorkerGroup, WorldSettings
from relaysim.sim.world.simulated_channel import Channel
from relaysim.sim.world.target import Life, SentMessage, Target
from relaysim.sim.world.target_kinds import start_target
from relaysim.sim.world.unhandled_records import record_unhandled
from relaysim.sim.world.webhooks import Webhooks
from relaysim.sim.world.workers import Worker

Lane = Literal["sdk", "direct"]

_START_WITHIN_SECONDS: Final = 3600


def start_of(root_seed: int, seed: int) -> int:
    """What `time.time()` reads when the world of these seeds begins: a whole second between 12:00 and 13:00 UTC.

    Worlds do not all begin at the same second: where a relay's keys hold the minute or the hour, it must not always change
    at the same place of a scenario.
    """
    return EPOCH_SECONDS + int(Draws(root_seed, seed).uniform("world", "start") * _START_WITHIN_SECONDS)


class World:
    """Builds everything at virtual time 0; `run` lets it live.

    Args:
        settings: what it is made of.
        root_seed: the scenario's root seed.
        seed: the replication's seed.
        lane: `sdk` for the real OpenAI SDK and redis client, `direct` for the same relay without their code.
        recording: takes down what is decided.
        sent: takes down what requests to the API carry.

    Attributes:
        backend: the simulated API.
        promises: what the relay declares.
        ledger: what the relay says became of each message, once the world has been run; None: it keeps no ledger.
        facts: what the judge is told besides, likewise.
    """

    knows_handlings: ClassVar[bool] = True
    """Whether it is known in which handling a request or a command was sent."""

    def __init__(
        self,
        settings: WorldSettings,
        root_seed: int,
        seed: int,
        lane: Lane,
        recording: Recording | None = None,
        sent: SentRequests | None = None,
    ) -> None:
        self.backend = backend_named(settings.api)
        self.seed = seed
        self.lane: Lane = lane
        self._sent = sent
        strata = settings.strata
        self._conditioned = ConditionedDraws(root_seed, seed) if strata is not None and strata.enabled else None
        draws: Draws | None = self._conditioned
        if settings.strategy != "independent":
            settings, draws = explored(settings, root_seed, seed)
        elif settings.tape is not None:
            draws = settings.tape.draws(root_seed)
        if recording is not None:
            draws = RecordingDraws(Draws(root_seed, seed) if draws is None else draws, recording)
        self.settings = settings
        # A taped world begins when the world began that it was found in.
        started = start_of(root_seed, seed if settings.tape is None else settings.tape.seed)
        self.kernel = Kernel(root_seed, seed, draws, started)
        record_unhandled(self.kernel, lambda delivery, error: self.webhooks.note_raised(delivery, error, in_task=True))
        if recording is not None:
            recording.clock = lambda: self.kernel.now
        self.facts = NO_FACTS
        self.ledger: dict[str, str | None] | None = None
        self.processes: WorkerProcesses | None = None
        self.workers: list[Worker] = []
        self.customers: list[Customer] = []
        self.messages: list[SentMessage] = []
        self._writing: list[simpy.Process] = []
        self._lines_left = LINES_MAX

    def build(self) -> None:
        """Make the service, the workers and the customers; the fence must be attached to this kernel."""
        settings, kernel, profile = self.settings, self.kernel, self.settings.profile
        options = ServiceOptions(settings.replies.replier())
        self.events: WebhookEvents | None = None
        if settings.events is not None:
            post = EventPost(kernel, settings.events, self.workers).post
            self.events = WebhookEvents(kernel, lambda: kernel.unix_now, kernel.trace, settings.events, post)
            options = options._replace(announce=self.events.announce)
        self.service = self.backend.start(
            kernel,
            profile,
            now=lambda: kernel.unix_now,
            trace=kernel.trace,
            options=options,
        )
        threads = [self.service.open_conversation() for _ in range(settings.workload.conversations)]
        if self._conditioned is not None and settings.strata is not None:
            settings.strata.condition(self._conditioned, self.seed, profile, threads)
        network_class = ScheduledNetwork if settings.schedule else Network
        others = OtherEndpoints(kernel, profile, self.service.now, settings.other_endpoints)
        self.network = network_class(kernel, self.service, profile, self._chosen("faults"), others)
        self.network.sent = self._sent
        self.webhooks = Webhooks(
            kernel,
            settings.workload,
            profile.webhook_seconds.sampler,
            self._chosen("webhook_faults"),
            settings.workers,
            self.workers,
            settings.provider,
        )
        self.redis = redis.RedisLink(
            kernel,
            profile.redis_seconds.sampler,
            pause_probability=profile.redis_pause_probability,
            pause=None if profile.redis_pause_seconds is None else profile.redis_pause_seconds.sampler,
            is_handled=self.webhooks.handled.__contains__,
            faults=self._chosen("redis_faults"),
            cluster=settings.redis.cluster,
            watches_locks=self.knows_handlings,
        )
        self._customer_of: dict[str, Customer] = {}
        self.channel = Channel(kernel, profile.send_seconds.sampler, self._chosen("send_faults"), self._customer_of)
        self.provider = None if settings.provider is None else self._provider_service(settings.provider)
        if not is_shared(module_of(settings.relay.factory)):
            folder = settings.relay.libraries
            libraries = None if folder is None else libraries_in(folder)
            self.processes = WorkerProcesses(
                module_of(settings.relay.factory),
                self._record_blocked,
                libraries,
                self._record_printed,
                self._record_cancelled,
            )
            self.addresses = addresses_of(self.network, self.redis, settings.variables)
            if self.provider is not None:
                self.provider.register(self.addresses)
        for group in settings.workers:
            for _ in range(group.count):
                made = self._make_worker(len(self.workers) + 1, group)
                made.start()
                self.workers.append(made)  # only now, since one that an interrupt kept from its start has no host
        self._let_workers_begin()
        first = self.workers[0]
        self._watch_promises(first.host.call(lambda: first.target.promises))
        self.host_faults = HostFaults(
            kernel, self._chosen("host_faults"), self.workers, self._faults_stop_seconds, self.webhooks.worker_died
        )
        self.host_faults.start()
        self.fault_plans: dict[str, FaultPlan[Any]] = {
            "faults": self.network.faults,
            "host_faults": self.host_faults.plan,
            "redis_faults": self.redis.faults,
            "webhook_faults": self.webhooks.faults,
            "send_faults": self.channel.faults,
        }
        if settings.liveness is not None:
            kernel.at(settings.liveness.faults_stop_seconds, self._stop_faults)

        for number, thread in enumerate(threads, 1):
            customer = Customer(self, number, thread)
            self.customers.append(customer)
            self._customer_of[customer.name] = customer
        prepared = {customer.name: customer.thread_id for customer in self.customers}
        self._prepared = PreparedConversations(kernel.trace.records, prepared, self._owner_of)
        self.service.prepared = self._prepared.choose
        offset = self._leave_initial_runs()
        if settings.workload.foreign_runs_per_minute:
            per_minute = settings.workload.foreign_runs_per_minute
            start_foreign_runs(kernel, self.service, threads, per_minute, lambda: self._writes_until)
        self._start_customers(offset)
        if settings.workload.interrupts_probability:
            lease_key = None if self.promises.lease is None else self.promises.lease.key
            likely = settings.workload.interrupts_probability
            start_interruptions(kernel, likely, lease_key, self._writes_until, self._write_soon)

    def _make_worker(self, number: int, group: WorkerGroup) -> Worker:
        return Worker(self.kernel, number, partial(self._start_target, group))

    def _let_workers_begin(self) -> None:
        """Let what workers do before anybody writes to them take its time; code that is loaded here takes none."""

    def _provider_service(self, provider: Provider) -> ProviderService:
        return ProviderService(provider, self.kernel, self.channel, self.webhooks.notify)

    def _chosen(self, name: str) -> tuple[Any, ...]:
        return chosen(getattr(self.settings, name), name, self.settings.swarm, self.kernel.draws.uniform)

    @property
    def _faults_stop_seconds(self) -> float:
        liveness = self.settings.liveness
        return self.settings.limit_seconds if liveness is None else liveness.faults_stop_seconds

    def _watch_promises(self, promises: Promises) -> None:
        """Let Redis and the trace show what the relay's promises are judged by."""
        self.promises = promises
        lease = promises.lease
        if lease is not None:
            self.redis.watch_leases(lease.key)
            if lease.epoch_metadata is not None:
                self.service.traced_metadata = frozenset({lease.epoch_metadata})

    def _start_target(self, group: WorkerGroup, host: Host, files_of: str | None = None) -> Target:
        client = make_client(self.kernel, host, self.network, self.lane)
        if self.settings.events is not None:
            client.webhook_secret = self.settings.events.secret
        redis_client = redis.make_client(host, self.redis, self.lane)
        relay_settings = {**self.settings.relay.settings, **group.settings}
        sender = self.channel.sender(host)
        send = sender if self.processes is None else sender_for_users(sender)
        life = Life(host, client, redis_client, send, relay_settings, self.provider, group.threads)
        name = self.settings.relay.factory

        def start() -> Target:
            if self.processes is not None:
                prepare_environment()
                os.environ.update(self.settings.variables)
            return start_target(name, import_factory(name), life)

        if self.processes is not None and self.processes.libraries is not None:
            own = partial(clients_of, self.processes.libraries, self.backend.base_url, client, redis_client)
            life = life._replace(own_clients=own)

        if self.processes is None:
            return host.call(start)
        connect_host(host, self.addresses)
        return self.processes.begin(host.name, files_of).start(host, start)

    @property
    def _writes_until(self) -> float:
        """Until when customers, and others, begin something of their own accord."""
        bursts = self.settings.workload.bursts
        return self._faults_stop_seconds if bursts is None else min(bursts.duration_seconds, self._faults_stop_seconds)

    def _write_soon(self, conversation: str, seconds: float) -> None:
        self._customer_of[conversation].write(soon=seconds)

    def _owner_of(self, delivery: str) -> str | None:
        """Whose message this is a delivery of."""
        message_id = delivery.rpartition("#")[0]
        return next((each.conversation for each in self.messages if each.id == message_id), None)

    def _leave_initial_runs(self) -> float:
        """Start the runs that are there before the first message; returns when customers may begin."""
        runs = self.settings.workload.initial_runs
        if not runs:
            return 0.0
        oldest = max(run.age_seconds for run in runs)
        for number, run in enumerate(runs, 1):
            thread_id = self.customers[run.conversation - 1].thread_id
            self.kernel.at(oldest - run.age_seconds, self.service.leave_turn, thread_id, f"before#{number}")
        return oldest

    def _start_customers(self, offset: float) -> None:
        workload = self.settings.workload
        for number, scripted in enumerate(workload.messages, 1):
            self.start_writing(self.customers[scripted.conversation - 1].follow_script(number, scripted, offset))
        if workload.bursts is not None:
            for customer in self.customers:
                self.start_writing(customer.write_bursts(workload.bursts, offset))
        if isinstance(self.network, ScheduledNetwork):
            self.network.constrain_messages(self.settings.schedule, workload.messages, self.settings.names)

    def _record_blocked(self, worker: str, block: Block) -> None:
        record = LoopBlocked(delivery=block.delivery, seconds=block.seconds, place=block.place, is_over=block.is_over)
        self.kernel.trace.add(worker, record)

    def _record_cancelled(self, worker: str, task: CancelledTask) -> None:
        self.kernel.trace.add(
            worker,
            TaskCancelled(delivery=task.delivery, by=task.by, place=task.place, by_place=task.by_place),
        )

    def _record_printed(self, worker: str, stream: str, line: str) -> None:
        self._lines_left -= 1
        if self._lines_left >= 0:
            text = (
                writable(line) if self._lines_left else f"(after {LINES_MAX:,} lines, no more of this world are kept)"
            )
            self.kernel.trace.add(worker, Printed(delivery=current_context.get(), stream=stream, text=text))

    # What customers do

    def start_writing(self, process: Generator[simpy.Event, Any, None]) -> None:
        """Start a process of a customer who will write: the world is not at rest until it has ended."""
        self._writing.append(self.kernel.env.process(process))

    def post(self, message: SentMessage, worker: int | None, soon: float | None = None) -> None:
        """A customer has written: a webhook sets off, to the given worker or a drawn one; see `Webhooks.post`."""
        self.messages.append(message)
        message.number = len(self.messages)
        self.webhooks.post(message, worker, soon)

    # Running

    def run(self) -> None:
        """Live until nothing is left to do, until rest, or until the time limit; then ask for the ledger."""
        limit = self.settings.limit_seconds
        if self.settings.liveness is None and not any(worker.target.serves for worker in self.workers):
            self.kernel.run(until=limit)
        else:
            self._run_until_rest(limit)
        if self.processes is not None:
            self.processes.tell_still_blocked()
        self.kernel.report_unretrieved()
        if any(worker.target.keeps_ledger for worker in self.workers):
            self.ledger = self._read_ledger()
        written = {each.id: each.text for each in self.messages} if self.promises.forgets_texts else {}
        kept = self.redis.keys_that_hold(written)
        told = self.channel.refusals_told
        self.facts = WorldFacts(self.network.asked_seconds, told, kept, self.service.cut_off_reasons())

    def _run_until_rest(self, limit: float) -> None:
        """Live until nothing has happened for a while that counts, see `relaysim.sim.world.quiescence`.

        A target that serves looks around for ever, so its world never runs out of events.
        """
        kernel, liveness = self.kernel, self.settings.liveness
        settle = SETTLE_SECONDS if liveness is None else liveness.settle_seconds
        calm = 0.0 if liveness is None else liveness.faults_stop_seconds
        quiescence = Quiescence()
        until = min(limit, calm + settle)
        while True:
            kernel.run(until=until)
            since = max(calm, quiescence.since(kernel.trace.records))
            if until >= limit or not kernel.env.peek() < math.inf:
                return
            if until < since + settle:
                until = min(limit, since + settle)
            elif self._is_outstanding():
                until = min(limit, until + settle)
            else:
                return

    def _is_outstanding(self) -> bool:
        self._writing = [process for process in self._writing if process.is_alive]
        outages = self.redis.outages
        redis_is_away = bool(outages) and outages[-1][1] == math.inf
        events = 0 if self.events is None else self.events.outstanding
        return (
            bool(self._writing) or self.webhooks.outstanding + events > 0 or self.host_faults.awaited or redis_is_away
        )

    def _stop_faults(self) -> None:
        """From now on nothing goes wrong, and whatever was out of order is in order."""
        for plan in self.fault_plans.values():
            plan.stopped = True
        self.redis.stop_faults()
        self.host_faults.stop()

    def _read_ledger(self) -> dict[str, str | None]:
        kernel = self.kernel
        kernel.trace.close()
        self._stop_faults()
        for worker in self.workers:
            worker.host.crash()
        host = kernel.host(AUDITOR)
        # It looks where the first worker kept its files.
        target = self._start_target(self.settings.workers[0], host, self.workers[0].name)
        return ledger_of(kernel, host, target, self.messages)

    @property
    def fault_hits(self) -> dict[str, list[int]]:
        """How often each fault has hit, by the list that it stands in; lists without faults are left out."""
        fired = {name: plan.fired for name, plan in self.fault_plans.items()}
        if self._conditioned is not None:
            # A draw that nobody ever asks for divides nothing: to be told, as a fault is that never fired.
            fired["strata"] = [self._conditioned.hits]
        return {name: list(hits) for name, hits in fired.items() if hits}

    def close(self) -> None:
        """Clear up; call it once, whatever happened."""
        try:
            if self.processes is not None:
                self.kernel.trace.close()
                self.processes.end_threads()
            self.kernel.close()
        finally:
            self.redis.close()

    def threads(self) -> dict[str, str]:
        """The conversation of each thread that the world provided. Whose one is that the relay was given when it opened a
        conversation by itself shows in what is written there, as of any that it makes."""
        given = self._prepared.given
        return {customer.thread_id: customer.name for customer in self.customers if customer.thread_id not in given}
