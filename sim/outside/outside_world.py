"""One world whose relay is a program: customers, webhooks, channel and simulated API on one clock, which follows real time.

It is made of the same parts as a world in virtual time, and leaves the same trace, so that the same judge reads it. What it
does not see is not in the trace: Redis, and in whose handling a request or a text left the program. Texts and requests are
joined by runs and words.
"""

from __future__ import annotations

import asyncio
import time
from asyncio import Future
from collections.abc import Generator, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import httpx2
import simpy

from relaysim.sim.doors.faults import ApiFaultPlan
from relaysim.sim.doors.server.listener import Listener
from relaysim.sim.doors.simulation import ApiSettings
from relaysim.sim.faults import FaultPlan
from relaysim.sim.faults.worker_events import OF_REDIS, Event
from relaysim.sim.kernel import Host
from relaysim.sim.outside import rest
from relaysim.sim.outside.outside_server import OutsideApi, OutsideServer
from relaysim.sim.outside.program_settings import ProgramSettings, filled
from relaysim.sim.outside.program_worker import ProgramTarget, ProgramWorker
from relaysim.sim.outside.programs import Guard
from relaysim.sim.outside.provider_door import PROVIDER_PREFIX, ProviderDoor
from relaysim.sim.outside.readiness import until_ready, verify
from relaysim.sim.outside.redis_proxy import RedisProxy
from relaysim.sim.outside.redis_server import WorldRedis, free_port
from relaysim.sim.outside.shared_customers import with_customers_after
from relaysim.sim.providers import Done, HttpRequest, HttpResponse, NotSimulated, Text
from relaysim.sim.sockets import BrokenConnectionError
from relaysim.sim.world.customers import Customer
from relaysim.sim.world.host_faults import HostFaults
from relaysim.sim.world.invariants import JudgeSettings
from relaysim.sim.world.judge.promises import Promises
from relaysim.sim.world.observe import observe
from relaysim.sim.world.prepared import PreparedConversations
from relaysim.sim.world.provider_service import ProviderService
from relaysim.sim.world.quiescence import Quiescence
from relaysim.sim.world.settings import WorkerGroup, WorldSettings
from relaysim.sim.world.simulated_channel import Channel
from relaysim.sim.world.target import Life, NobodyListens, SentMessage, Target
from relaysim.sim.world.webhooks import Webhooks

_LOOK_SECONDS: Final = 0.2


class OutsideWorld:
    """Lives once, in `run`.

    Args:
        settings: as of a world in virtual time; `provider` must be there.
        root_seed, seed: key what customers write, and when, and what the API does.
        program: the relay.
        promises: what the relay promises.
        guard: ends what is started if this process does not.
        speed: virtual seconds per real second. The program's own waits stay real, so another one than 1 is another program.

    Attributes:
        is_ending: it is clearing up, and is to be left alone.
    """

    def __init__(
        self,
        settings: WorldSettings,
        root_seed: int,
        seed: int,
        program: ProgramSettings,
        guard: Guard,
        promises: Promises | None = None,
        speed: float = 1.0,
    ) -> None:
        if settings.provider is None:
            raise ValueError("a program gets its messages by a provider's webhooks: name it")
        self.settings = settings
        self.seed = seed
        self._program = program
        self._guard = guard
        self._promises = Promises() if promises is None else promises
        self._messages: list[SentMessage] = []
        self._writing: list[simpy.Process] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._unanswered: set[asyncio.Future[HttpResponse | None]] = set()
        api_settings = ApiSettings(
            api=settings.api,
            faults=settings.faults,
            replies=settings.replies,
            other_endpoints=settings.other_endpoints,
            seed=seed,
            assistants="any",
            threads_max=1_000_000,
        )
        self._provider = with_customers_after(settings.provider, program.others)
        self._age_seconds = max((run.age_seconds for run in settings.workload.initial_runs), default=0.0)
        start_seconds = float(int(time.time() - self._age_seconds))
        self.server = OutsideServer(
            api_settings,
            speed,
            start_seconds,
            make_api=partial(OutsideApi, settings.profile, root_seed, program.others),
        )
        self.kernel = self.server.api.kernel
        self.kernel.start_seconds = int(self.server.api.start_seconds)
        self.workers: list[ProgramWorker] = []
        self._customer_of: dict[str, Customer] = {}
        self.is_ending = False

    # What customers need of a world

    def post(self, message: SentMessage, worker: int | None, soon: float | None = None) -> None:
        """A customer has written."""
        self._messages.append(message)
        message.number = len(self._messages)
        if worker is not None:  # of a scenario that may have more workers than there are copies
            worker = (worker - 1) % len(self.workers) + 1
        self._webhooks.post(message, worker, soon)

    def start_writing(self, process: Generator[simpy.Event, Any, None]) -> None:
        """A customer will write."""
        self._writing.append(self.kernel.env.process(process))

    # Life

    async def run(self) -> dict[str, Any]:
        """Start the copies, let customers write, wait until nothing happens any more, and judge.

        Returns:
            The observation, see `relaysim.sim.world.observe`.

        Raises:
            ProgramStartError: the program does not start, or does not answer at its webhook's address.
        """
        async with AsyncExitStack() as stack:
            try:
                return await self._live(stack)
            finally:
                self.is_ending = True

    async def _live(self, stack: AsyncExitStack) -> dict[str, Any]:
        client = await stack.enter_async_context(httpx2.AsyncClient(trust_env=False, timeout=None))
        self._client, self._loop = client, asyncio.get_running_loop()
        ports = [self._program.api_port, *[0] * (self._program.copies - 1)]
        listeners = [Listener(self.server, port=port) for port in ports]
        for listener in listeners:
            await listener.start()
            stack.push_async_callback(listener.stop)
        self.server.know_clients({each.port: f"w{number}" for number, each in enumerate(listeners, 1)})
        with self.server.present():
            self._prepare()
        self.server.advance(self._age_seconds)
        redis = await self._start_redis(stack)
        with self.server.present():
            self._build(listeners, redis)
        stack.callback(self._end_programs)
        await until_ready(self.workers, self._program.ready, client)
        if self._program.verifies:
            await verify(self.workers, self._provider, client)
        with self.server.present():
            self._begin()
        await self._until_rest()
        with self.server.present():
            self.kernel.trace.close()
            return self._judge()

    async def _start_redis(self, stack: AsyncExitStack) -> WorldRedis | None:
        faults, program = self.settings.redis_faults, self._program
        self._proxy: RedisProxy | None = None
        if not program.command:
            return None  # it has its own
        loses = any(fault.lost_seconds is not None for fault in faults)
        redis = WorldRedis(program.logs / "redis", self._guard, loses=loses, own=program.redis)
        stack.callback(redis.close)
        await redis.start()
        if faults or any(fault.on is not None for fault in self.settings.host_faults):
            pacer = self.server.pacer
            self._proxy = RedisProxy(self.kernel, faults, redis, self.server.present, pacer.sleep, self._note_command)
            stack.push_async_callback(self._proxy.close)
        return redis

    def _note_command(self, worker: str, command: str) -> None:
        self._host_faults.note(Event(worker, f"{OF_REDIS}:{command}"))

    def _build(self, listeners: Sequence[Listener], redis: WorldRedis | None) -> None:
        settings, kernel, profile = self.settings, self.kernel, self.settings.profile
        provider = self._provider
        self._webhooks = Webhooks(
            kernel,
            settings.workload,
            profile.webhook_seconds.sampler,
            settings.webhook_faults,
            [WorkerGroup(count=self._program.copies)],
            self.workers,
            provider,
        )
        self._channel = Channel(kernel, profile.send_seconds.sampler, settings.send_faults, self._customer_of)
        self._service = ProviderService(provider, kernel, self._channel, self._webhooks.notify)
        self.server.door = ProviderDoor(provider, self._answer_provider, self.server.client_of, self.server.pacer)
        for number, listener in enumerate(listeners, 1):
            name = f"w{number}"
            places = {
                "port": str(free_port()),
                "api": listener.base_url,
                "provider": f"{listener.url}{PROVIDER_PREFIX}",
                **({} if redis is None else redis.place.named(None if self._proxy is None else self._proxy.open(name))),
            }
            program = self._program.copy(number, places, self._guard)
            address = filled(self._program.webhook, places)
            self.workers.append(ProgramWorker(kernel, number, partial(self._start_target, address), program))
        by_name = {worker.name: worker for worker in self.workers}
        assert isinstance(self.server.api, OutsideApi)
        self.server.api.is_alive = lambda client: client not in by_name or not by_name[client].host.crashed
        for worker in self.workers:
            worker.start()
        self._host_faults = HostFaults(
            kernel, settings.host_faults, self.workers, self._faults_stop_seconds, self._webhooks.worker_died
        )

    def _start_target(self, address: str, host: Host) -> Target:
        life = Life(host, None, None, self._channel.sender(host), {}, self._service)
        return ProgramTarget(life, self._promises, address, partial(self._ask, address))

    def _prepare(self) -> None:
        """Open the customers' threads, with what somebody has left there."""
        service, workload = self.server.api.service, self.settings.workload
        for number in range(1, workload.conversations + 1):
            customer = Customer(self, number, service.open_conversation())
            self._customer_of[customer.name] = customer
        prepared = {customer.name: customer.thread_id for customer in self._customer_of.values()}
        service.prepared = PreparedConversations(self.kernel.trace.records, prepared, lambda delivery: None).choose
        for number, run in enumerate(workload.initial_runs, 1):
            thread_id = self._customer_of[f"c{run.conversation}"].thread_id
            self.kernel.at(self._age_seconds - run.age_seconds, service.leave_turn, thread_id, f"before#{number}")

    def _begin(self) -> None:
        """Let customers write, and faults strike, from now on."""
        settings = self.settings
        # Copies take a while to start: a scenario's seconds are counted from here.
        begun = self._begun = self.kernel.now
        for number, scripted in enumerate(settings.workload.messages, 1):
            customer = self._customer_of[f"c{scripted.conversation}"]
            self.start_writing(customer.follow_script(number, scripted, 0.0))
        if settings.workload.bursts is not None:
            for customer in self._customer_of.values():
                self.start_writing(customer.write_bursts(settings.workload.bursts, 0.0))
        for plan in self._fault_plans.values():
            plan.begun = begun
        self._host_faults.stop_seconds += begun
        self._host_faults.start()
        if self._proxy is not None:
            self._proxy.begin()
        if settings.liveness is not None:
            self.kernel.at(settings.liveness.faults_stop_seconds, self._stop_faults)

    @property
    def _faults_stop_seconds(self) -> float:
        liveness = self.settings.liveness
        return self.settings.limit_seconds if liveness is None else liveness.faults_stop_seconds

    def _stop_faults(self) -> None:
        """From now on nothing goes wrong, and whatever was out of order is in order."""
        for plan in self._fault_plans.values():
            plan.stopped = True
        if self._proxy is not None:
            self._proxy.stop_faults()
        self._host_faults.stop()

    async def _until_rest(self) -> None:
        """Wait until nothing has happened for a while: a short one where everything that began has ended, else one for which
        a program may wait before it goes on, in real time."""
        quiescence, ends = Quiescence(), rest.OpenEnds()
        speed = self.server.pacer.speed
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            if self._proxy is not None:
                self._proxy.check()
            with self.server.present() as api:
                now, records = api.kernel.now, self.kernel.trace.records
                self._writing = [each for each in self._writing if each.is_alive]
                busy = bool(self._writing) or self._webhooks.outstanding > 0 or self._host_faults.awaited
                settle = rest.SILENT_SECONDS if ends.there_are(records) else rest.SETTLED_SECONDS
                busy = busy or ends.are_awaited(now, speed) or (self._proxy is not None and self._proxy.is_away)
                since = quiescence.since(records)
                if now >= self._begun + self.settings.limit_seconds or (not busy and now >= since + settle * speed):
                    return

    def _end_programs(self) -> None:
        for task in self._tasks:
            task.cancel()
        for answered in list(self._unanswered):  # of copies that were killed as they asked
            answered.set_result(None)
        for worker in self.workers:
            if worker.program is not None:
                worker.program.end()

    # HTTP

    def _ask(self, address: str, request: HttpRequest, patience: float, future: Future[HttpResponse]) -> None:
        task = self._loop.create_task(self._asked(address, request, patience, future))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _asked(self, address: str, request: HttpRequest, patience: float, future: Future[HttpResponse]) -> None:
        error: Exception | None = None
        response: HttpResponse | None = None
        url = urlunsplit((*urlsplit(address)[:2], *urlsplit(request.url)[2:]))
        headers = {name: value for name, value in request.headers.items() if name != "host"}
        try:
            async with asyncio.timeout(patience / self.server.pacer.speed):
                got = await self._client.request(request.method, url, headers=headers, content=request.body)
            response = HttpResponse(got.status_code, dict(got.headers), got.content)
        except httpx2.ConnectError:
            error = NobodyListens(f"{request.method} {url}: nobody listens")
        except httpx2.HTTPError as raised:
            error = ConnectionError(f"{request.method} {url}: {type(raised).__name__}")
        except TimeoutError:
            error = TimeoutError(f"{request.method} {url}: no answer within {patience:g} s")
        with self.server.present():
            self.kernel.at(0.0, _settle, future, response, error)

    async def _answer_provider(self, request: HttpRequest, worker: str) -> HttpResponse | None:
        """Answer what a program asks of the provider."""
        asked = self._service.provider.read(request)
        if isinstance(asked, NotSimulated):
            return HttpResponse(501, {"content-type": "text/plain"}, f"not simulated: {asked.what}".encode())
        host = next((each.host for each in self.workers if each.name == worker), self.workers[0].host)
        answered: asyncio.Future[HttpResponse | None] = self._loop.create_future()
        self._unanswered.add(answered)
        answered.add_done_callback(self._unanswered.discard)
        with self.server.present():
            host.spawn(self._respond(asked, host, answered))
            self.kernel.at(0.0, _nothing)
        return await answered

    async def _respond(self, asked: Text | Done, host: Host, answered: asyncio.Future[HttpResponse | None]) -> None:
        response = None
        with suppress(BrokenConnectionError):
            response = await self._service.respond(asked, host)
        if not answered.done():
            answered.set_result(response)

    # Verdict

    @property
    def fault_hits(self) -> dict[str, list[int]]:
        """How often each fault has hit, by the list that it stands in; lists without faults are left out."""
        return {name: list(plan.fired) for name, plan in self._fault_plans.items() if plan.fired}

    @property
    def _fault_plans(self) -> dict[str, FaultPlan[Any] | ApiFaultPlan]:
        plans: dict[str, FaultPlan[Any] | ApiFaultPlan] = {
            "faults": self.server.api.faults,
            "host_faults": self._host_faults.plan,
            "webhook_faults": self._webhooks.faults,
            "send_faults": self._channel.faults,
        }
        if self._proxy is not None:
            plans["redis_faults"] = self._proxy.faults
        return plans

    def _judge(self) -> dict[str, Any]:
        api, settings = self.server.api, self.settings
        return observe(
            self.kernel.trace.records,
            settings.relay,
            {customer.thread_id: customer.name for customer in self._customer_of.values()},
            seed=self.seed,
            promises=JudgeSettings.of(settings, self._promises, api.backend.roles, gets_requests=True),
            raised=self._webhooks.raised,
            api_faults=bool(settings.faults),
            said_elsewhere=tuple(dict.fromkeys(api.others.said)),
        )


def _settle(future: Future[HttpResponse], response: HttpResponse | None, error: Exception | None) -> None:
    loop: Any = future.get_loop()
    if future.done() or loop.is_closed() or getattr(loop, "crashed", False):
        return
    if error is not None:
        future.set_exception(error)
    else:
        assert response is not None
        future.set_result(response)


def _nothing() -> None:
    pass
