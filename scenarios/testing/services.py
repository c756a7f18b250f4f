"""The simulated Threads API, a simulated Redis and one clock for both: what the fixture `simulated_services` gives."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from operator import attrgetter
from types import TracebackType
from typing import Any, Self

import redis

from relaysim.sim.backends.threads.fixtures import InProcessOpenAI
from relaysim.sim.kernel import Host, Record
from relaysim.sim.kernel.trace import Trace
from relaysim.sim.redis import RedisLink, make_client, plain_client, warm_up


class SimulatedServices(InProcessOpenAI):
    """An `InProcessOpenAI` with a Redis beside it, both on the clock of `now`, `advance` and `time.sleep`.

        def test_the_lock_is_released(simulated_services):
            bot = Bot(simulated_services.client, simulated_services.redis)
            bot.answer("hello")
            assert simulated_services.redis.keys("lock:*") == []

    `run` gives a coroutine function that takes two arguments an `openai.AsyncOpenAI` and a `redis.asyncio.Redis`, both of
    its own worker. Commands take as long as the profile's `redis_seconds`; keys expire in virtual time. `trace` has the
    commands too.
    """

    def __enter__(self) -> Self:
        super().__enter__()
        warm_up()
        self._kernel.trace = Trace(self._kernel.env)  # the API keeps its own, and has closed this one
        profile = self._api.profile
        pause = profile.redis_pause_seconds
        self._link = RedisLink(
            self._kernel,
            profile.redis_seconds.sampler,
            pause_probability=profile.redis_pause_probability,
            pause=None if pause is None else pause.sampler,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            super().__exit__(kind, error, traceback)
        finally:
            self._link.close()

    @cached_property
    def redis(self) -> redis.Redis:
        """For plain code. It lets virtual time pass until its replies are there."""
        return plain_client(self._link, self._plain_host.name, self._wait_for, self._wait_until)

    @property
    def trace(self) -> list[Record]:
        """The domain events so far, the API's and those of Redis, in the order of their times."""
        return sorted([*super().trace, *self._kernel.trace.records], key=attrgetter("time"))

    def _made_for(self, host: Host) -> tuple[Callable[[], Any], ...]:
        return (*super()._made_for(host), lambda: make_client(host, self._link, "sdk"))

    def _wait_until(self, done: Callable[[], bool], seconds: float) -> None:
        """Let so many virtual seconds pass, fewer if it is so before, or if nothing is left that could make it so."""
        self._check_outside("a reply of Redis")
        limit = self._kernel.now + seconds
        self._advance_until(done, limit, stay=seconds < math.inf)
