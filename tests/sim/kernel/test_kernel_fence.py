"""Whatever would leave the simulation is virtual, or raises where it is called; outside it everything is real."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import os
import platform
import random
import secrets
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic as bound_early
from typing import Any

import pytest
from _pytest import timing

from relaysim.sim.kernel import EPOCH_SECONDS, Fence, Kernel, LeavesSimulationError


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    with Fence() as fence:
        made = Kernel(5, 6)
        fence.attach(made)
        yield made
        fence.attach(None)


def inside(kernel: Kernel, function: Callable[[], Any], host: str = "w", at: float = 2.5) -> Any:
    """What `function` returns on a host at a virtual time."""

    async def run() -> Any:
        await asyncio.sleep(at)
        return function()

    task = kernel.host(host).spawn(run())
    kernel.run()
    return task.result()


CLOCKS: list[tuple[Callable[[], Any], Any]] = [
    (lambda: time.time(), EPOCH_SECONDS + 2.5),
    (lambda: time.time_ns(), EPOCH_SECONDS * 10**9 + 2_500_000_000),
    (lambda: time.monotonic(), 2.5),
    (lambda: time.monotonic_ns(), 2_500_000_000),
    (lambda: time.perf_counter(), 2.5),
    (lambda: bound_early(), 2.5),
    (lambda: datetime.datetime.now().isoformat(), "2025-11-04T12:00:02.500000"),
    (lambda: datetime.datetime.now(datetime.UTC).isoformat(), "2025-11-04T12:00:02.500000+00:00"),
    (lambda: datetime.date.today().isoformat(), "2025-11-04"),
    (lambda: time.strftime("%H:%M:%S"), "12:00:02"),
    (lambda: asyncio.get_running_loop().time(), 2.5),
    (
        lambda: (time.process_time(), time.process_time_ns(), time.thread_time(), time.thread_time_ns()),
        (0.0, 0, 0.0, 0),
    ),
    (lambda: time.clock_gettime(time.CLOCK_MONOTONIC), 2.5),
    (lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME), 2_500_000_000),
    (lambda: time.clock_gettime(time.CLOCK_REALTIME) - EPOCH_SECONDS, 2.5),
    (lambda: time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID), 0.0),
    (lambda: os.times(), os.times_result((0.0, 0.0, 0.0, 0.0, 2.5))),
]


@pytest.mark.parametrize(("read", "expected"), CLOCKS)
def test_clocks_are_virtual(kernel: Kernel, read: Callable[[], Any], expected: Any) -> None:
    assert inside(kernel, read) == expected


def test_what_a_test_takes_is_measured_in_real_time(kernel: Kernel) -> None:
    """What tests/conftest.py sees to: pytest reads its clock while a fixture has a kernel attached."""
    assert time.perf_counter() == kernel.now == 0.0
    assert timing.Instant().perf_count > 0.0


ENTROPY: list[Callable[[], Any]] = [
    lambda: random.random(),
    lambda: random.randint(1, 10**9),
    lambda: random.Random().random(),
    lambda: random.SystemRandom().random(),
    lambda: os.urandom(9),
    lambda: os.getrandom(9),
    lambda: secrets.token_hex(8),
    lambda: str(uuid.uuid4()),
    lambda: str(uuid.uuid1()),
]


@pytest.mark.parametrize("draw", ENTROPY)
def test_entropy_is_keyed_by_the_world_and_the_host(draw: Callable[[], Any]) -> None:
    def world(replication: int, host: str) -> Any:
        with Fence() as fence:
            kernel = Kernel(1, replication)
            fence.attach(kernel)
            return inside(kernel, draw, host)

    assert world(1, "w") == world(1, "w")
    assert world(1, "w") != world(2, "w")
    assert world(1, "w") != world(1, "v")


def test_a_uuid1_in_one_world_moves_none_in_the_next() -> None:
    with Fence() as fence:

        def world() -> Any:
            kernel = Kernel(1, 1)
            fence.attach(kernel)
            return inside(kernel, lambda: [uuid.uuid1() for _ in range(3)])

        assert world() == world()
        fence.attach(None)


def test_a_process_has_a_number_and_a_machines_name_of_its_own() -> None:
    """A lock's token is often made of them: two workers with the same one would free each other's locks."""

    def names() -> tuple[Any, ...]:
        return os.getpid(), os.getppid(), socket.gethostname(), platform.node(), os.uname().nodename

    def world() -> list[Any]:
        with Fence() as fence:
            kernel = Kernel(1, 1)
            fence.attach(kernel)
            return [inside(kernel, names, host) for host in ("w1", "w2", "w1")]

    assert world() == world() == [(101, 1, *3 * ["w1"]), (102, 1, *3 * ["w2"]), (103, 1, *3 * ["w1"])]
    assert os.getpid() == int(Path("/proc/self").resolve().name)


WAYS_OUT: list[Callable[[], Any]] = [
    lambda: socket.socket(),
    lambda: socket.getaddrinfo("localhost", 80),
    lambda: threading.Thread(target=print).start(),
    lambda: subprocess.Popen(["true"]),
    lambda: os.system("true"),
    lambda: os.fork(),
    lambda: time.sleep(0.001),
]


@pytest.mark.parametrize("way_out", WAYS_OUT)
def test_ways_out_raise_at_the_call_site(kernel: Kernel, way_out: Callable[[], Any]) -> None:
    with pytest.raises(LeavesSimulationError, match="would leave the simulation"):
        inside(kernel, way_out)


def test_a_library_s_function_as_an_executor_s_job_is_refused_in_the_line_that_gave_it(kernel: Kernel) -> None:
    async def work() -> None:
        await asyncio.to_thread(time.sleep, 1)

    kernel.host("w").spawn(work())
    with pytest.raises(LeavesSimulationError) as raised:
        kernel.run()
    place, _, said = str(raised.value).partition(": ")
    assert place.endswith(f"test_kernel_fence.py:{work.__code__.co_firstlineno + 1}")
    assert said.startswith("time.sleep, which blocks the whole loop, would leave the simulation")


def test_a_way_out_is_never_silent_even_where_its_error_is_swallowed(kernel: Kernel) -> None:
    def swallow() -> None:
        with contextlib.suppress(Exception):
            socket.socket()

    with pytest.raises(LeavesSimulationError):
        inside(kernel, swallow)


def test_outside_a_world_everything_is_real_and_comes_back() -> None:
    state = random.getstate()
    real = (time.time, time.monotonic, random.random, os.urandom, random.Random.seed, uuid.__dict__["_node"])
    before = time.monotonic()
    with Fence() as fence:
        assert before <= time.monotonic() < before + 60
        assert abs(time.time() - datetime.datetime.now().timestamp()) < 60
        fence.attach(Kernel())
        assert time.monotonic() == 0.0
        random.random()
        seen: list[float] = []
        fence.attach(None)
        thread = threading.Thread(target=lambda: seen.append(time.monotonic()))
        thread.start()
        thread.join()
        assert seen[0] >= before
    assert (time.time, time.monotonic, random.random, os.urandom, random.Random.seed, uuid.__dict__["_node"]) == real
    assert random.getstate() == state


def test_other_threads_keep_real_time_while_a_world_runs() -> None:
    go, done = threading.Event(), threading.Event()
    seen: list[tuple[float, float]] = []

    def watch() -> None:
        go.wait(60)
        seen.append((time.time(), time.monotonic()))
        done.set()

    thread = threading.Thread(target=watch)
    thread.start()
    before = (time.time(), time.monotonic())
    with Fence() as fence:
        fence.attach(Kernel())
        go.set()
        done.wait(60)
        fence.attach(None)
    thread.join()
    assert before[0] <= seen[0][0] < before[0] + 60
    assert before[1] <= seen[0][1] < before[1] + 60


def test_attaching_outside_a_fence_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="inside `with Fence"):
        Fence().attach(Kernel())


def test_a_nested_fence_leaves_attached_what_was_attached_before_it() -> None:
    real = time.time()
    with Fence():
        with Fence() as inner:
            inner.attach(Kernel())
            assert time.time() == EPOCH_SECONDS
        assert time.time() >= real
