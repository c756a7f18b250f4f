"""A host whose clock is wrong: it reads another time of day, and nothing else of it changes."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import Iterator
from time import time as bound_early
from typing import Any

import pytest

from relaysim.sim.kernel import EPOCH_SECONDS, Fence, Host, Kernel


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    with Fence() as fence:
        made = Kernel(5, 6)
        fence.attach(made)
        yield made
        fence.attach(None)


def clocks() -> dict[str, Any]:
    return {
        "time": time.time(),
        "bound early": bound_early(),
        "nanoseconds": time.time_ns(),
        "datetime": datetime.datetime.now(datetime.UTC).isoformat(),
        "text": time.strftime("%H:%M:%S"),
        "monotonic": time.monotonic(),
        "perf_counter": time.perf_counter(),
        "loop": asyncio.get_running_loop().time(),
    }


def read_on(host: Host) -> dict[str, Any]:
    """The clocks of a host after 2 s of virtual time."""

    async def run() -> dict[str, Any]:
        await asyncio.sleep(2)
        return clocks()

    task = host.spawn(run())
    host.kernel.run()
    return task.result()


@pytest.mark.parametrize(
    ("skew", "text", "moment"),
    [
        (0.0, "12:00:02", "2025-11-04T12:00:02+00:00"),
        (3600.0, "13:00:02", "2025-11-04T13:00:02+00:00"),
        (-2.5, "11:59:59", "2025-11-04T11:59:59.500000+00:00"),
    ],
)
def test_the_time_of_day_is_shifted_and_monotonic_clocks_are_not(
    kernel: Kernel, skew: float, text: str, moment: str
) -> None:
    host = kernel.host("w")
    host.skew_seconds = skew
    assert read_on(host) == {
        "time": EPOCH_SECONDS + 2 + skew,
        "bound early": EPOCH_SECONDS + 2 + skew,
        "nanoseconds": round((EPOCH_SECONDS + 2 + skew) * 1e9),
        "datetime": moment,
        "text": text,
        "monotonic": 2.0,
        "perf_counter": 2.0,
        "loop": 2.0,
    }


def test_only_the_host_itself_reads_it(kernel: Kernel) -> None:
    wrong, right = kernel.host("wrong"), kernel.host("right")
    wrong.skew_seconds = 60.0
    seen: dict[str, float] = {}
    for host in (wrong, right):
        host.loop.call_later(1, lambda name=host.name: seen.__setitem__(name, time.time()))
    kernel.at(1, lambda: seen.__setitem__("kernel", time.time()))
    kernel.run()
    assert seen == {"kernel": EPOCH_SECONDS + 1, "wrong": EPOCH_SECONDS + 61, "right": EPOCH_SECONDS + 1}


def test_it_may_change_while_the_host_runs_and_timers_do_not_notice(kernel: Kernel) -> None:
    host = kernel.host("w")
    seen: list[tuple[float, float]] = []

    async def work() -> None:
        for _ in range(3):
            await asyncio.sleep(1)
            seen.append((kernel.now, time.time() - EPOCH_SECONDS))

    host.spawn(work())
    kernel.at(1.5, setattr, host, "skew_seconds", -30.0)
    kernel.at(2.5, setattr, host, "skew_seconds", 0.0)
    kernel.run()
    assert seen == [(1.0, 1.0), (2.0, -28.0), (3.0, 3.0)]
