"""One world whose relay is a program on the simulator's clock.

It is a world in virtual time as any, with its simulated API, Redis and network; only what workers do is done by copies of
the program, each of which runs when something happens to it, until it is idle (`stepped_program`). So the same seed gives
the same events in the same order, as far as the program does the same. What it does takes no virtual time.

Copies are started while time stands still, and what they then wait for, until all take webhooks, passes before the first
message. It is judged as a program is that is judged in real time: in whose handling a request or a text left the program is
not known, so of Redis nothing is judged.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit, urlunsplit

from relaysim.sim.doors import ApiAddress
from relaysim.sim.kernel import Host, current_context
from relaysim.sim.kernel.fence import outside
from relaysim.sim.outside import rest
from relaysim.sim.outside.lockstep_target import LockstepTarget
from relaysim.sim.outside.program_settings import ProgramSettings, filled
from relaysim.sim.outside.program_sockets import loopback_door
from relaysim.sim.outside.programs import TERM_SECONDS, Guard, ProgramStartError
from relaysim.sim.outside.provider_door import PROVIDER_PREFIX
from relaysim.sim.outside.readiness import START_SECONDS
from relaysim.sim.outside.redis_server import free_port
from relaysim.sim.outside.simulated_redis import KnownCommands
from relaysim.sim.outside.stepped_program import SteppedProgram
from relaysim.sim.providers import HttpRequest, NotSimulated
from relaysim.sim.redis import RedisAddress
from relaysim.sim.sockets import HttpRequest as ArrivedRequest
from relaysim.sim.sockets import HttpResponse as Answer
from relaysim.sim.sockets.http_server import HttpServer
from relaysim.sim.trace.schema import HostStop
from relaysim.sim.world.invariants import JudgeSettings
from relaysim.sim.world.judge.promises import Promises
from relaysim.sim.world.observe import observe
from relaysim.sim.world.provider_service import ProviderService
from relaysim.sim.world.quiescence import Quiescence
from relaysim.sim.world.settings import WorkerGroup, WorldSettings
from relaysim.sim.world.target import Life, SentMessage, Target
from relaysim.sim.world.workers import Worker
from relaysim.sim.world.world import World

_LOOK_SECONDS: Final = 1.0
_READY_SECONDS: Final = 0.25
_ENDED_SECONDS: Final = 0.1


class _Front:
    """What stands at the port that a copy knows as the API's: the API, with the provider's paths beside it."""

    def __init__(self, api: ApiAddress, provider: ProviderService) -> None:
        self._api = api
        self._provider = provider
        self._host = next(iter(provider.provider.sending_hosts), "provider.example.com")

    def answer(self, request: ArrivedRequest) -> Awaitable[Answer]:
        """Of whichever it is for."""
        if not request.target.startswith(f"{PROVIDER_PREFIX}/"):
            return self._api.answer(request)
        asked = replace(request, target=request.target.removeprefix(PROVIDER_PREFIX), host=self._host, port=443)
        headers = {**request.headers, "host": self._host}
        read = HttpRequest(asked.method, f"https://{self._host}{asked.target}", headers, asked.body)
        found = self._provider.provider.read(read)
        if isinstance(found, NotSimulated):
            return _refused(found.what)
        return self._provider.answer(asked)


async def _refused(what: str) -> Answer:
    return Answer(501, f"not simulated: {what}".encode(), {"content-type": "text/plain"})


class LockstepWorker(Worker):
    """A worker whose lives are lives of a program.

    Args:
        kernel, number, start_target: as of `Worker`.
        stepped: the copy.
    """

    __slots__ = ("stepped",)

    def __init__(
        self, kernel: Any, number: int, start_target: Callable[[Host], Target], stepped: SteppedProgram
    ) -> None:
        super().__init__(kernel, number, start_target)
        self.stepped = stepped

    def crash(self) -> None:
        """SIGKILL."""
        with outside():
            self.stepped.kill()
        super().crash()

    def stop(self, ended: Callable[[], object]) -> None:
        """SIGTERM; what is left after `TERM_SECONDS` virtual seconds is killed."""
        kernel, target = self._kernel, self.target
        assert isinstance(target, LockstepTarget)
        kernel.trace.add(self.name, HostStop())
        self.alive = False
        target.tell_to_end()
        until = kernel.now + TERM_SECONDS

        def look() -> None:
            if target.ended or kernel.now >= until:
                ended()
            else:
                kernel.at(_ENDED_SECONDS, look)

        kernel.at(_ENDED_SECONDS, look)


class LockstepWorld(World):
    """Lives once, in `Session.run`; then `observation` is there. `end_programs` must be called, whatever happened.

    Args:
        settings: as of a world outside; `provider` must be there.
        root_seed, seed: key all that is drawn, and the program's own random numbers.
        program: the relay.
        guard: ends what is started if this process does not.
        promises: what the relay promises.
    """

    knows_handlings: ClassVar[bool] = False

    def __init__(
        self,
        settings: WorldSettings,
        root_seed: int,
        seed: int,
        program: ProgramSettings,
        guard: Guard,
        promises: Promises | None = None,
    ) -> None:
        if settings.provider is None:
            raise ValueError("a program gets its messages by a provider's webhooks: name it")
        settings = settings.model_copy(update={"workers": (WorkerGroup(count=program.copies),)})
        super().__init__(settings, root_seed, seed, "sdk")
        self._root_seed = root_seed
        self._program = program
        self._guard = guard
        self._declared = Promises() if promises is None else promises
        self._begun = 0.0
        self._stepped: dict[str, SteppedProgram] = {}
        self._addresses: dict[str, str] = {}
        self._lives: dict[str, int] = {}
        self._redis_ports: set[int] = set()
        self._services: dict[str, Mapping[int, Any]] = {}

    # Copies

    def _make_worker(self, number: int, group: WorkerGroup) -> Worker:
        if not self._stepped:  # their first lives begin at the same instant: on a machine they take the time of one
            for each in range(1, self._program.copies + 1):
                self._make_copy(each)
        return LockstepWorker(self.kernel, number, partial(self._start_target, group), self._stepped[f"w{number}"])

    def _make_copy(self, number: int) -> None:
        name = f"w{number}"
        assert self.provider is not None
        with outside():
            doors = [loopback_door(), loopback_door()]
            api_port, redis_port = (each.getsockname()[1] for each in doors)
            api = f"http://127.0.0.1:{api_port}"
            base = urlsplit(self.backend.base_url)
            places = {
                "port": str(free_port()),
                "api": f"{api}{base.path}",
                "provider": f"{api}{PROVIDER_PREFIX}",
                "redis": f"redis://127.0.0.1:{redis_port}/0",
                "redis_host": "127.0.0.1",
                "redis_port": str(redis_port),
            }
            program = self._program.copy(number, places, self._guard)
            assert program is not None
            stepped = SteppedProgram(name, program, doors, self.kernel.start_seconds)
        self._stepped[name] = stepped
        self._addresses[name] = filled(self._program.webhook, places)
        self._redis_ports.add(redis_port)
        wire = self.backend.make_wire()
        self._services[name] = {
            api_port: HttpServer(_Front(ApiAddress(self.network, wire), self.provider)),
            redis_port: KnownCommands(RedisAddress(self.redis), self.kernel, name),
        }
        self._launch(name)

    def _is_away(self, port: int) -> bool:
        """Whether the service at this port takes no connections now: Redis, while it is gone."""
        outages = self.redis.outages
        return port in self._redis_ports and bool(outages) and outages[-1][1] == math.inf

    def _launch(self, name: str) -> None:
        """Begin the next life of a copy."""
        self._lives[name] = life = self._lives.get(name, 0) + 1
        with outside():
            for port in self._services[name]:
                self._stepped[name].let_connect(port, lets=not self._is_away(port))
            self._stepped[name].launch(self.kernel.now, f"{self._root_seed}/{self.seed}/{name}/{life}")

    def _start_target(self, group: WorkerGroup, host: Host, files_of: str | None = None) -> Target:
        name = host.name
        life = Life(host, None, None, self.channel.sender(host), {}, self.provider)
        target = LockstepTarget(
            life, self._declared, self._addresses[name], self._stepped[name], self._services[name], self._is_away
        )
        if not self._stepped[name].is_launched:
            self._launch(name)
        target.begin()
        return target

    def _let_workers_begin(self) -> None:
        """Let time pass until each copy takes webhooks.

        Raises:
            ProgramStartError: one has ended, or does not come to that.
        """
        waiting = list(self.workers)
        while waiting:
            waiting = [worker for worker in waiting if not self._is_ready(worker)]
            if not waiting:
                break
            if self.kernel.now >= START_SECONDS:
                address = self._addresses[waiting[0].name]
                ready = self._program.ready
                what = (
                    f"nothing listens at {address}" if ready is None else f"{ready} (`ready`) was not answered with 200"
                )
                raise ProgramStartError(
                    f"{what} {START_SECONDS:g} virtual s after the program was started; let it listen on the port in PORT"
                )
            self.kernel.advance_to(self.kernel.now + _READY_SECONDS)
        self._begun = self.kernel.now

    def _is_ready(self, worker: Worker) -> bool:
        target = worker.target
        assert isinstance(target, LockstepTarget)
        if target.ended:
            program = self._stepped[worker.name].program
            with outside():
                self._stepped[worker.name].until_gone()
            printed = " | ".join(program.last_lines(3)) or "it printed nothing"
            raise ProgramStartError(f"{program.command[0]} has ended with status {program.status}: {printed}")
        place = urlsplit(target.address)
        if place.port not in target.listens:
            return False
        if self._program.ready is None:
            return True
        url = urlunsplit((*place[:2], self._program.ready, "", ""))
        found: list[bool] = []
        worker.host.spawn(_look(target, HttpRequest("GET", url, {}, b""), found))
        self.kernel.advance_to(self.kernel.now + _READY_SECONDS)
        return bool(found) and found[0]

    def end_programs(self) -> None:
        """End what was started."""
        for stepped in self._stepped.values():
            stepped.close()

    # Life

    def post(self, message: SentMessage, worker: int | None, soon: float | None = None) -> None:
        """A customer has written."""
        if worker is not None:  # of a scenario that may have more workers than there are copies
            worker = (worker - 1) % len(self.workers) + 1
        super().post(message, worker, soon)

    def build(self) -> None:
        """As of any world; a scenario's seconds are counted from when the copies can take webhooks."""
        super().build()
        for plan in self.fault_plans.values():
            plan.begun = self._begun

    @property
    def _faults_stop_seconds(self) -> float:
        return self._begun + super()._faults_stop_seconds

    def run(self) -> None:
        """Live until the world has come to rest, see `rest`, or until its limit."""
        kernel, quiescence, ends = self.kernel, Quiescence(), rest.OpenEnds()
        limit = self._begun + self.settings.limit_seconds
        while kernel.now < limit:
            kernel.advance_to(min(limit, kernel.now + _LOOK_SECONDS))
            records = kernel.trace.records
            settle = rest.SILENT_SECONDS if ends.there_are(records) else rest.SETTLED_SECONDS
            busy = self._is_outstanding() or ends.are_awaited(kernel.now, 1.0)
            if not busy and kernel.now >= quiescence.since(records) + settle:
                break
        kernel.trace.close()
        kernel.report_unretrieved()

    # Verdict

    @property
    def judged_records(self) -> list[Any]:
        """The trace without Redis, of which nothing is judged."""
        return [each for each in self.kernel.trace.records if each.kind != "redis"]

    def observation(self) -> dict[str, Any]:
        """What was seen, see `relaysim.sim.world.observe`."""
        settings = self.settings
        return observe(
            self.judged_records,
            settings.relay,
            {customer.thread_id: customer.name for customer in self.customers},
            seed=self.seed,
            promises=JudgeSettings.of(settings, self._declared, self.backend.roles, gets_requests=True),
            raised=self.webhooks.raised,
            api_faults=bool(settings.faults),
            said_elsewhere=tuple(dict.fromkeys(self.network.others.said)),
        )


async def _look(target: LockstepTarget, request: HttpRequest, found: list[bool]) -> None:
    current_context.set("")
    with suppress(OSError, TimeoutError):
        found.append((await target.respond(request, _READY_SECONDS)).status == 200)
