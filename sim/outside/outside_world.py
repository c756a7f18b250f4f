"""One world whose relay is a program: customers, webhooks, channel and simulated API on one clock, which follows real time.

It is made of the same parts as a world in virtual time, and leaves the same trace, so that the same judge reads it. What it
does not see is not in the trace: Redis, and in whose handling a request or a text left the program. Texts and requests are
joined by runs and words.
"""

from __future__ import annotations

import asyncio
import time
from asyncio import Future
from collections.abc import Generator, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import httpx2
import simpy

from relaysim.sim.doors.faults import ApiFaultPlan
from relaysim.sim.doors.server.listener import Listener
from relaysim.sim.doors.simulation import ApiSettings
from relaysim.sim.faults import FaultPlan
from relaysim.sim.kernel import Host
from relaysim.sim.outside import rest
from relaysim.sim.outside.outside_server import OutsideApi, OutsideServer
from relaysim.sim.outside.program_worker import ProgramTarget, ProgramWorker
from relaysim.sim.outside.programs import Guard, Program, ProgramStartError
from relaysim.sim.outside.provider_door import PROVIDER_PREFIX, ProviderDoor
from relaysim.sim.outside.redis_server import free_port, listens, redis_server
from relaysim.sim.providers import Done, HttpRequest, HttpResponse, NotSimulated, Text
from relaysim.sim.sockets import BrokenConnectionError
from relaysim.sim.world.customers import Customer
from relaysim.sim.world.host_faults import HostFaults
from relaysim.sim.world.invariants import JudgeSettings
from relaysim.sim.world.judge.promises import Promises
from relaysim.sim.world.observe import observe
from relaysim.sim.world.provider_service import ProviderService
from relaysim.sim.world.quiescence import Quiescence
from relaysim.sim.world.settings import WorkerGroup, WorldSettings
from relaysim.sim.world.simulated_channel import Channel
from relaysim.sim.world.target import Life, SentMessage, Target
from relaysim.sim.world.webhooks import Webhooks

_LOOK_SECONDS: Final = 0.2
_START_SECONDS: Final = 60.0
_READY_SECONDS: Final = 5.0


class ProgramSettings(NamedTuple):
    """How a relay's copies are started and reached.

    command      the program and its arguments; empty: it runs already
    copies       how many
    webhook      where a copy takes webhooks; `{port}` stands for its own port
    environment  variables for it; in their values `{port}`, `{api}`, `{provider}`, `{redis}` and `{redis_port}` stand for
                 addresses
    logs         folder of what the copies print, and of what Redis keeps
    folder       where the command runs; None: here
    ready        a path that a copy answers with 200 once it can take webhooks; None: it can as soon as it listens
    """

    command: tuple[str, ...]
    copies: int
    webhook: str
    environment: Mapping[str, str]
    logs: Path
    folder: Path | None = None
    ready: str | None = None


class OutsideWorld:
    """Lives once, in `run`.

    Args:
        settings: as of a world in virtual time; `provider` must be there.
        root_seed, seed: key what customers write, and when, and what the API does.
        program: the relay.
        promises: what the relay promises.
        speed: virtual seconds per real second. The program's own waits stay real, so another one than 1 is another program.
    """

    def __init__(
        self,
        settings: WorldSettings,
        root_seed: int,
        seed: int,
        program: ProgramSettings,
        promises: Promises | None = None,
        speed: float = 1.0,
    ) -> None:
        if settings.provider is None:
            raise ValueError("a program gets its messages by a provider's webhooks: name it")
        self.settings = settings
        self.seed = seed
        self._program = program
        self._promises = Promises() if promises is None else promises
        self._messages: list[SentMessage] = []
        self._writing: list[simpy.Process] = []
        self._tasks: set[asyncio.Task[None]] = set()
        api_settings = ApiSettings(
            api=settings.api,
            faults=settings.faults,
            replies=settings.replies,
            other_endpoints=settings.other_endpoints,
            seed=seed,
            assistants="any",
            threads_max=1_000_000,
        )
        self.server = OutsideServer(
            api_settings, speed, float(int(time.time())), make_api=partial(OutsideApi, settings.profile)
        )
        self.kernel = self.server.api.kernel
        self.kernel.start_seconds = int(self.server.api.start_seconds)
        self.workers: list[ProgramWorker] = []
        self._customer_of: dict[str, Customer] = {}

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
            client = await stack.enter_async_context(httpx2.AsyncClient(trust_env=False, timeout=None))
            self._client, self._loop = client, asyncio.get_running_loop()
            listeners = [Listener(self.server) for _ in range(self._program.copies)]
            for listener in listeners:
                await listener.start()
                stack.push_async_callback(listener.stop)
            self.server.know_clients({each.port: f"w{number}" for number, each in enumerate(listeners, 1)})
            guard = stack.enter_context(Guard())
            redis_port = await stack.enter_async_context(redis_server(self._program.logs / "redis", guard))
            with self.server.present():
                self._build(listeners, guard, redis_port)
            stack.callback(self._end_programs)
            await self._until_they_answer()
            with self.server.present():
                self._begin()
            await self._until_rest()
            with self.server.present():
                self.kernel.trace.close()
                return self._judge()

    def _build(self, listeners: Sequence[Listener], guard: Guard, redis_port: int) -> None:
        settings, kernel, profile = self.settings, self.kernel, self.settings.profile
        provider = settings.provider
        assert provider is not None
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
        self.server.door = ProviderDoor(provider, self._answer_provider, self.server.client_of)
        for number, listener in enumerate(listeners, 1):
            port = free_port()
            program = None
            if self._program.command:
                places = {
                    "port": str(port),
                    "api": listener.base_url,
                    "provider": f"{listener.url}{PROVIDER_PREFIX}",
                    "redis": f"redis://127.0.0.1:{redis_port}/0",
                    "redis_port": str(redis_port),
                }
                environment = {name: _filled(value, places) for name, value in self._program.environment.items()}
                program = Program(
                    self._program.command,
                    environment,
                    self._program.logs / f"w{number}.log",
                    guard,
                    self._program.folder,
                )
            address = _filled(self._program.webhook, {"port": str(port)})
            self.workers.append(ProgramWorker(kernel, number, partial(self._start_target, address), program))
        for worker in self.workers:
            worker.start()
        self._host_faults = HostFaults(
            kernel, settings.host_faults, self.workers, settings.limit_seconds, self._webhooks.worker_died
        )

    def _start_target(self, address: str, host: Host) -> Target:
        life = Life(host, None, None, self._channel.sender(host), {}, self._service)
        return ProgramTarget(life, self._promises, address, partial(self._ask, address))

    def _begin(self) -> None:
        """Let customers write, and faults strike, from now on."""
        settings = self.settings
        threads = [self.server.api.service.open_conversation() for _ in range(settings.workload.conversations)]
        for number, thread in enumerate(threads, 1):
            customer = Customer(self, number, thread)
            self._customer_of[customer.name] = customer
        begun = self.kernel.now
        for number, scripted in enumerate(settings.workload.messages, 1):
            customer = self._customer_of[f"c{scripted.conversation}"]
            self.start_writing(customer.follow_script(number, scripted, 0.0))
        if settings.workload.bursts is not None:
            for customer in self._customer_of.values():
                self.start_writing(customer.write_bursts(settings.workload.bursts, begun))
        self._host_faults.start()

    async def _until_they_answer(self) -> None:
        """Wait until each copy takes connections."""
        for worker in self.workers:
            target = worker.target
            assert isinstance(target, ProgramTarget)
            until = self._loop.time() + _START_SECONDS
            parts = urlsplit(target.address)
            while not await self._is_ready(parts.hostname or "", parts.port or 80):
                if worker.program is not None and not worker.program.is_running:
                    raise ProgramStartError(_ended(worker.program))
                if self._loop.time() > until:
                    raise ProgramStartError(self._not_ready(target.address, parts.netloc))
                await asyncio.sleep(0.05)

    def _not_ready(self, address: str, place: str) -> str:
        when = f"{_START_SECONDS:g} s after the program was started"
        if self._program.ready is not None:
            return f"http://{place}{self._program.ready} (`ready`) was not answered with 200 {when}"
        remedy = "let it listen on the port in PORT, or say where it listens with --webhook"
        return f"nothing listens at {address} {when}; {remedy}"

    async def _is_ready(self, host: str, port: int) -> bool:
        ready = self._program.ready
        if ready is None:
            return await listens(host, port)
        try:
            answer = await self._client.get(f"http://{host}:{port}{ready}", timeout=_READY_SECONDS)
        except httpx2.HTTPError:
            return False
        return answer.status_code == 200

    async def _until_rest(self) -> None:
        """Wait until nothing has happened for a while: a short one where everything that began has ended, else one for which
        a program may wait before it goes on."""
        quiescence, ends = Quiescence(), rest.OpenEnds()
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            with self.server.present() as api:
                now, records = api.kernel.now, self.kernel.trace.records
                self._writing = [each for each in self._writing if each.is_alive]
                busy = bool(self._writing) or self._webhooks.outstanding > 0 or self._host_faults.awaited
                settle = rest.SILENT_SECONDS if ends.there_are(records) else rest.SETTLED_SECONDS
                busy = busy or ends.are_awaited(now)
                since = quiescence.since(records)
                if now >= self.settings.limit_seconds or (not busy and now >= since + settle):
                    return

    def _end_programs(self) -> None:
        for task in self._tasks:
            task.cancel()
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
        plans: dict[str, FaultPlan[Any] | ApiFaultPlan] = {
            "faults": self.server.api.faults,
            "host_faults": self._host_faults.plan,
            "webhook_faults": self._webhooks.faults,
            "send_faults": self._channel.faults,
        }
        return {name: list(plan.fired) for name, plan in plans.items() if plan.fired}

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


def _filled(text: str, places: Mapping[str, str]) -> str:
    for name, value in places.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _ended(program: Program) -> str:
    printed = " | ".join(program.last_lines(3)) or "it printed nothing"
    return f"{program.command[0]} has ended with status {program.status}: {printed}"


def _nothing() -> None:
    pass
