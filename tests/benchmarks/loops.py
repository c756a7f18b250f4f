"""The bare loops: timers and ready steps, on the kernel and on stock asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from relaysim.sim.kernel import Kernel

TIMERS = 20_000
TASKS = 100
STEPS_PER_TASK = 200


def _on_asyncio(make: Callable[[], Coroutine[Any, Any, int]]) -> int:
    return asyncio.run(make())


def _on_kernel(make: Callable[[], Coroutine[Any, Any, int]]) -> int:
    kernel = Kernel()
    task = kernel.host("w1").spawn(make())
    kernel.run()
    done = task.result()
    kernel.close()
    return done


async def _timers() -> int:
    """Timers due in a scattered order within 20 ms; waiting for them costs no CPU time."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    left = TIMERS

    def fire() -> None:
        nonlocal left
        left -= 1
        if not left:
            done.set_result(None)

    for number in range(TIMERS):
        loop.call_later((number * 7919 % TIMERS) * 1e-6, fire)
    await done
    return TIMERS


async def _steps() -> int:
    """A hundred tasks that always have a next step ready."""

    async def walk() -> None:
        for _ in range(STEPS_PER_TASK):
            await asyncio.sleep(0)

    await asyncio.gather(*(walk() for _ in range(TASKS)))
    return TASKS * STEPS_PER_TASK


LOOPS: dict[str, Callable[[], int]] = {
    "timers, kernel": lambda: _on_kernel(_timers),
    "timers, asyncio": lambda: _on_asyncio(_timers),
    "ready steps, kernel": lambda: _on_kernel(_steps),
    "ready steps, asyncio": lambda: _on_asyncio(_steps),
}
