"""Runs of somebody else on conversations' threads: a colleague's console, a nightly job, a system with the same key."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

import simpy

from relaysim.sim.backends.protocol import Service
from relaysim.sim.kernel import Kernel, ticks
from relaysim.sim.kernel.distributions import Exponential


def start_foreign_runs(
    kernel: Kernel, service: Service, threads: Sequence[str], per_minute: float, until: Callable[[], float]
) -> None:
    """Let somebody start runs on these threads, each so often, until an instant in virtual seconds.

    A thread on which a run is active already gets none, as the API would say; one that is gone neither.
    """
    pause = Exponential(kind="exponential", mean=60.0 / per_minute)

    def on_thread(number: int, thread: str) -> Generator[simpy.Event, Any, None]:
        count = 0
        while True:
            yield kernel.env.timeout(ticks(pause.sample(kernel.draws.uniform(f"elsewhere {number}", "pause", count))))
            if kernel.now >= until():
                return
            service.start_elsewhere(thread, f"elsewhere#{number}.{count}")
            count += 1

    for number, thread in enumerate(threads, 1):
        kernel.env.process(on_thread(number, thread))
