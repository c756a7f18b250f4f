"""The Threads API as a backend: everything else of this package, put together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

import openai

from relaysim.sim.backends.profile import Profile
from relaysim.sim.backends.protocol import DEFAULT_OPTIONS, Request, ServiceOptions, TraceSink
from relaysim.sim.backends.threads.direct import AsyncBeta
from relaysim.sim.backends.threads.idle import IdleThreads
from relaysim.sim.backends.threads.life import RunLives
from relaysim.sim.backends.threads.operations import OPERATIONS, ROLES
from relaysim.sim.backends.threads.service_with_lives import BoundedThreads, LivingThreads
from relaysim.sim.backends.threads.wire import ThreadsWire
from relaysim.sim.backends.wire import Wire
from relaysim.sim.doors.transport import BASE_URL, openai_client
from relaysim.sim.kernel import Kernel


class ThreadsBackend:
    """OpenAI Threads (Assistants v2), as `relaysim.sim.backends.protocol.Backend`."""

    name = "threads"
    title = "Threads API"
    base_url = BASE_URL
    operations = OPERATIONS
    profile = Profile
    roles = ROLES
    has_assistants = True
    has_events = False
    control: str | None = "relaysim.sim.backends.threads.control:add_routes"

    def start(
        self,
        kernel: Kernel,
        profile: Profile,
        *,
        now: Callable[[], float],
        trace: TraceSink,
        options: ServiceOptions = DEFAULT_OPTIONS,
    ) -> LivingThreads:
        """As `Backend.start`."""
        kept_max = options.conversations_max
        made = LivingThreads if kept_max is None else BoundedThreads
        service = made(self, kernel.draws, now, trace, replier=options.replier, assistants=options.assistants)
        if isinstance(service, BoundedThreads) and kept_max is not None:
            service.idle = IdleThreads(service, kept_max)
        service.lives = RunLives(kernel, service, profile)
        return service

    def make_wire(
        self, *, keys: Iterable[str] | None = None, poll_after_ms: int | None = None, pretty: bool = False
    ) -> Wire:
        """As `Backend.make_wire`."""
        return ThreadsWire(keys=keys, poll_after_ms=poll_after_ms, pretty=pretty)

    def sdk_client(self, transport: Any) -> openai.AsyncOpenAI:
        """As `Backend.sdk_client`: `openai.AsyncOpenAI`."""
        return openai_client(transport)

    def direct_client(self, request: Request) -> Mapping[str, Any]:
        """As `Backend.direct_client`: `beta.threads`."""
        return {"beta": AsyncBeta(request)}

    async def warm_up(self, client: Any) -> None:
        """As `Backend.warm_up`."""
        threads = client.beta.threads
        await threads.create()
        await threads.retrieve("thread_1")
        await threads.messages.create("thread_1", role="user", content="x")
        await threads.messages.list("thread_1")
        await threads.messages.retrieve("msg_1", thread_id="thread_1")
        await threads.runs.create("thread_1", assistant_id="asst_1")
        await threads.runs.retrieve("run_1", thread_id="thread_1")
        await threads.runs.list("thread_1")
        await threads.runs.cancel("run_1", thread_id="thread_1")
        with suppress(openai.NotFoundError):
            await threads.retrieve("refused")


THREADS: Final = ThreadsBackend()
