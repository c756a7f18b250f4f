"""SimPy processes and asyncio tasks share one clock and one order."""

from __future__ import annotations

import asyncio
import contextvars
import subprocess
import sys
from collections.abc import Generator
from typing import Any, NamedTuple

import cpython_asyncio
import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

from relaysim.sim.kernel import (
    TICK,
    Kernel,
    LeavesSimulationError,
    StuckSimulationError,
    current_host,
    kind_of,
    record_kind,
    ticks,
)
from relaysim.sim.kernel.loop import REFUSED_METHODS


@record_kind("went.by")
class WentBy(NamedTuple):
    what: str


@given(st.floats(0, 1e6))
def test_delays_are_rounded_up_to_ticks(seconds: float) -> None:
    rounded = ticks(seconds)
    assert seconds <= rounded <= seconds + TICK
    assert (rounded / TICK).is_integer()


@pytest.mark.parametrize("seconds", [-1.0, float("inf"), float("nan")])
def test_an_impossible_delay_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="finite number of seconds"):
        ticks(seconds)


@given(st.lists(st.floats(0, 10), min_size=1, max_size=20))
def test_sums_of_delays_are_exact(delays: list[float]) -> None:
    kernel = Kernel()
    ends: list[float] = []

    async def sleeper() -> None:
        for delay in delays:
            await asyncio.sleep(delay)
        ends.append(asyncio.get_running_loop().time())

    kernel.host("w").spawn(sleeper())
    kernel.run()
    assert ends == [sum(ticks(delay) for delay in delays)]


def test_tasks_and_processes_alternate_on_one_clock() -> None:
    kernel = Kernel()
    seen: list[tuple[float, str]] = []

    def process() -> Generator[simpy.Event, Any, None]:
        for _ in range(3):
            yield kernel.env.timeout(1)
            seen.append((kernel.now, "process"))

    async def task() -> None:
        for _ in range(3):
            await asyncio.sleep(0.75)
            seen.append((kernel.now, "task"))

    kernel.env.process(process())
    kernel.host("w").spawn(task())
    kernel.run()
    assert seen == [
        (0.75, "task"),
        (1.0, "process"),
        (1.5, "task"),
        (2.0, "process"),
        (2.25, "task"),
        (3.0, "process"),
    ]


def test_at_one_instant_kernel_events_come_first_then_hosts_in_their_order() -> None:
    kernel = Kernel()
    seen: list[str] = []
    first, second = kernel.host("first"), kernel.host("second")

    async def say(name: str) -> None:
        await asyncio.sleep(1)
        seen.append(name)
        await asyncio.sleep(0)
        seen.append(name + " again")

    second.spawn(say("second"))
    first.spawn(say("first"))
    kernel.at(1, seen.append, "kernel")
    kernel.run()
    assert seen == ["kernel", "first", "first again", "second", "second again"]


def test_callbacks_run_first_in_first_out_and_timers_in_the_order_set() -> None:
    kernel = Kernel()
    loop = kernel.host("w").loop
    seen: list[int] = []
    for number in range(3):
        loop.call_later(1, seen.append, 10 + number)
        loop.call_soon(seen.append, number)
    cancelled = loop.call_soon(seen.append, 99)
    cancelled.cancel()
    late = loop.call_later(0.5, seen.append, 98)
    late.cancel()
    kernel.run()
    assert seen == [0, 1, 2, 10, 11, 12]
    assert cancelled.cancelled()
    assert late.cancelled()


@pytest.mark.parametrize("later", [0.0, 0.3], ids=["at the same instant", "after a pause"])
def test_timers_that_are_due_fire_before_a_task_that_one_of_them_wakes(later: float) -> None:
    """Of nested timeouts that have both run out only the outer one raises, as CPython's `test_nested_timeouts` has it."""
    kernel = Kernel()
    host = kernel.host("w")
    seen: list[str] = []

    async def inner(deadline: float) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                await asyncio.sleep(10)
        except TimeoutError:
            seen.append("the inner timeout raised")
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def outer() -> None:
        try:
            async with asyncio.timeout_at(1.0 + later):
                await inner(1.0)
        except TimeoutError:
            seen.append(f"{kernel.now:g} s")

    host.spawn(outer())
    kernel.at(0.9, host.pause, 0.6 if later else 0.0)
    kernel.run()
    assert seen == ["cancelled", "1.5 s" if later else "1 s"]


def test_what_timers_of_one_instant_wake_runs_to_its_end_one_after_the_other() -> None:
    """Else who is first would depend on how many steps each takes, which differs between versions of Python."""
    kernel = Kernel()
    loop = kernel.host("w").loop
    seen: list[str] = []

    async def walk(name: str, steps: int) -> None:
        for _ in range(steps):
            await asyncio.sleep(0)
        seen.append(name)

    def begin(name: str, steps: int) -> None:
        seen.append(f"timer of {name}")
        loop.create_task(walk(name, steps))

    loop.call_later(1, begin, "a long walk", 9)
    kernel.at(1, loop.call_soon, seen.append, "an answer")
    loop.call_later(1, begin, "a short walk", 0)
    loop.call_later(2, seen.append, "a later timer")
    kernel.run()
    assert seen == [
        *("timer of a long walk", "timer of a short walk", "a long walk", "a short walk"),
        *("an answer", "a later timer"),
    ]


def test_a_timer_that_never_comes_is_one_as_in_asyncio() -> None:
    kernel = Kernel()
    seen: list[object] = []

    async def work() -> None:
        loop = asyncio.get_running_loop()
        loop.call_at(float("inf"), seen.append, "at infinity")
        seen.append(await asyncio.wait_for(asyncio.sleep(1, "slept"), float("inf")))
        await asyncio.sleep(float("inf"))

    kernel.host("w").spawn(work())
    kernel.run()
    assert (seen, kernel.now) == (["slept"], 1.0)
    kernel.close()


@pytest.mark.soak
@pytest.mark.parametrize("module", cpython_asyncio.MODULES)
def test_cpythons_own_tests_pass_on_the_loop(module: str) -> None:
    pytest.importorskip("test.test_asyncio", reason="this Python came without its own tests")
    done = subprocess.run(
        [sys.executable, cpython_asyncio.__file__, module], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_context_variables_and_the_running_host_follow_the_task() -> None:
    kernel = Kernel()
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")
    seen: list[tuple[str, str]] = []

    async def work(value: str) -> None:
        variable.set(value)
        await asyncio.wait_for(asyncio.sleep(1), 5)
        host = current_host()
        assert host is not None
        seen.append((host.name, variable.get()))

    kernel.host("a").spawn(work("one"))
    kernel.host("b").spawn(work("two"))
    kernel.run()
    assert seen == [("a", "one"), ("b", "two")]
    assert current_host() is None


def test_timeouts_gathering_and_executors_work_in_virtual_time() -> None:
    kernel = Kernel()
    seen: list[object] = []

    async def work() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await asyncio.sleep(60)
        seen.append(kernel.now)
        seen.extend(await asyncio.gather(asyncio.sleep(1, "a"), asyncio.sleep(2, "b")))
        seen.append(await asyncio.to_thread(lambda: "inline"))
        queue: asyncio.Queue[int] = asyncio.Queue()
        asyncio.get_running_loop().call_later(1, queue.put_nowait, 5)
        seen.append(await queue.get())
        seen.append(kernel.now)

    task = kernel.host("w").spawn(work())
    kernel.run()
    task.result()
    assert seen == [0.5, "a", "b", "inline", 5, 3.5]


def test_a_loop_in_which_no_time_passes_is_named() -> None:
    kernel = Kernel()

    async def spin() -> None:
        while True:
            await asyncio.sleep(0)

    kernel.host("spinner").spawn(spin())
    with pytest.raises(StuckSimulationError, match="host spinner ran"):
        kernel.run()
    kernel.close()


def test_an_error_that_nobody_receives_ends_the_run() -> None:
    kernel = Kernel()

    class OddError(Exception):
        def __init__(self, one: str, two: str) -> None:
            super().__init__(one)

    def process() -> Generator[simpy.Event, Any, None]:
        yield kernel.env.timeout(1)
        raise OddError("one", "two")

    kernel.env.process(process())
    with pytest.raises(OddError, match="one"):
        kernel.run()

    other = Kernel()
    other.host("w").loop.call_soon(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        other.run()


@pytest.mark.parametrize("name", REFUSED_METHODS)
def test_ways_out_of_the_loop_are_refused(name: str) -> None:
    loop = Kernel().host("w").loop
    with pytest.raises(LeavesSimulationError, match=f"loop.{name} would leave the simulation"):
        getattr(loop, name)()


def test_every_method_of_an_event_loop_is_simulated_or_refused() -> None:
    """Nothing falls through to the base class, whose errors would not say why."""
    loop = Kernel().host("w").loop
    public = {name for name in vars(asyncio.AbstractEventLoop) if not name.startswith("_")}
    missing = {name for name in public if name not in vars(type(loop))}
    assert missing == set()


def test_closing_a_world_ends_what_is_unfinished_without_a_trace() -> None:
    kernel = Kernel()
    ended: list[str] = []

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            kernel.trace.add("w", WentBy("late"))
            ended.append("cleaned up")

    kernel.host("w").spawn(forever())
    kernel.run()
    kernel.close()
    assert ended == ["cleaned up"]
    assert kernel.trace.records == []


def test_the_fingerprint_orders_entities_at_one_instant_and_nothing_else() -> None:
    def world(*events: tuple[float, str, str]) -> str:
        kernel = Kernel()
        for at, entity, kind in events:
            kernel.at(at, kernel.trace.add, entity, WentBy(kind))
        kernel.run()
        return kernel.trace.fingerprint()

    base = world((1, "a", "x"), (1, "b", "y"))
    assert world((1, "b", "y"), (1, "a", "x")) == base
    assert world((1, "a", "x"), (2, "b", "y")) != base
    assert world((1, "a", "x"), (1, "a", "y")) != world((1, "a", "y"), (1, "a", "x"))


def test_the_fingerprint_digests_values_and_kinds_and_not_the_names_of_fields() -> None:
    @record_kind("went.by")
    class Renamed(NamedTuple):
        otherwise: str

    @record_kind("went.away")
    class OtherKind(NamedTuple):
        what: str

    def fingerprint(event: tuple[Any, ...]) -> str:
        kernel = Kernel()
        kernel.trace.add("w", event)
        return kernel.trace.fingerprint()

    assert fingerprint(Renamed("x")) == fingerprint(WentBy("x"))
    assert fingerprint(OtherKind("x")) != fingerprint(WentBy("x"))


def test_the_fingerprint_takes_of_a_kind_what_that_says() -> None:
    @record_kind("weighed", digested=lambda event: (event[0],))
    class Weighed(NamedTuple):
        what: str
        grams: int

    def fingerprint(event: tuple[Any, ...]) -> str:
        kernel = Kernel()
        kernel.trace.add("w", event)
        assert kernel.trace.records[0].fields == event
        return kernel.trace.fingerprint()

    assert fingerprint(Weighed("x", 1)) == fingerprint(Weighed("x", 2))
    assert fingerprint(Weighed("x", 1)) != fingerprint(Weighed("y", 1))


def test_an_event_is_recorded_under_the_kind_of_its_class_and_needs_one() -> None:
    kernel = Kernel()
    kernel.trace.add("w", WentBy("x"))
    (record,) = kernel.trace.records
    assert (record.kind, record.fields) == ("went.by", WentBy("x"))
    assert kind_of(WentBy) == "went.by"
    with pytest.raises(TypeError, match="tuple is no kind of event"):
        kernel.trace.add("w", ("x",))
    with pytest.raises(TypeError, match="str is no kind of event"):
        kind_of(str)


def test_closing_a_world_with_nothing_due_still_runs_what_it_cancels() -> None:
    kernel = Kernel()
    host = kernel.host("w1")
    cleared: list[str] = []

    async def wait_for_ever() -> None:
        try:
            await host.loop.create_future()
        finally:
            cleared.append("cleared")

    host.spawn(wait_for_ever())
    kernel.run()
    assert not kernel.env._queue
    kernel.close()
    assert cleared == ["cleared"]
