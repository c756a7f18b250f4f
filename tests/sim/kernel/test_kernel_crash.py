"""A crash is a power cut: what a host was about to do never happens, not at the end of its world either."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import subprocess
import sys
import warnings
import weakref
from asyncio import AbstractEventLoop, Task
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from relaysim.sim.kernel import Fence, Host, Kernel, current_host, power_cut

Waits = Callable[[list[str]], Coroutine[Any, Any, None]]


async def for_ever() -> None:
    await asyncio.sleep(1e6)  # its timer is what holds the task


async def in_finally(ended: list[str]) -> None:
    try:
        await for_ever()
    finally:
        ended.append("finally")


async def in_except(ended: list[str]) -> None:
    try:
        await for_ever()
    except BaseException:
        ended.append("except")
        raise


async def while_handling_an_error(ended: list[str]) -> None:
    try:
        raise LookupError("lost")
    except LookupError:
        await in_finally(ended)


async def under_a_timeout(ended: list[str]) -> None:
    async with asyncio.timeout(60):
        await in_finally(ended)


async def in_wait_for(ended: list[str]) -> None:
    await asyncio.wait_for(in_finally(ended), 60)


async def in_a_task_group(ended: list[str]) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(in_finally(ended))
        group.create_task(in_except(ended))


async def in_an_anyio_scope(ended: list[str]) -> None:
    with anyio.CancelScope():
        await in_finally(ended)


async def under_a_shield(ended: list[str]) -> None:
    await asyncio.shield(in_finally(ended))


async def before_its_first_step(ended: list[str]) -> None:
    task = asyncio.create_task(in_finally(ended))
    host = current_host()
    assert host is not None
    host.crash()
    await task


@contextlib.contextmanager
def managed(ended: list[str]) -> Iterator[None]:
    try:
        yield
    finally:
        ended.append("context manager")


async def in_a_context_manager(ended: list[str]) -> None:
    with managed(ended):
        await for_ever()


async def in_an_exit_stack(ended: list[str]) -> None:
    with contextlib.ExitStack() as stack:
        stack.enter_context(managed(ended))
        await for_ever()


class Lease:
    """A context manager that keeps others."""

    def __init__(self, ended: list[str]) -> None:
        self._ended = ended
        self._held = contextlib.ExitStack()

    async def __aenter__(self) -> None:
        self._held.enter_context(managed(self._ended))

    async def __aexit__(self, *error: object) -> None:
        self._held.close()


async def in_a_lease(ended: list[str]) -> None:
    async with Lease(ended):
        await for_ever()


@contextlib.asynccontextmanager
async def managed_asynchronously(ended: list[str]) -> AsyncIterator[None]:
    try:
        yield
    finally:
        ended.append("asynchronous context manager")


async def in_an_asynchronous_context_manager(ended: list[str]) -> None:
    async with managed_asynchronously(ended):
        await for_ever()


async def numbers(ended: list[str]) -> AsyncIterator[int]:
    try:
        while True:
            yield 1
            await for_ever()
    finally:
        ended.append("asynchronous generator")


async def in_an_asynchronous_generator(ended: list[str]) -> None:
    async for _ in numbers(ended):
        pass


async def beside_an_asynchronous_generator(ended: list[str]) -> None:
    generator = numbers(ended)
    await anext(generator)
    await for_ever()


async def with_a_generator_in_a_list(ended: list[str]) -> None:
    def count() -> Iterator[int]:
        try:
            yield 1
        finally:
            ended.append("generator")

    generators = [count()]
    next(generators[0])
    await for_ever()


async def beside_a_coroutine_begun_by_hand(ended: list[str]) -> None:
    coroutine = in_finally(ended)
    coroutine.send(None)
    await for_ever()


WAITS: list[Waits] = [
    in_finally,
    in_except,
    while_handling_an_error,
    under_a_timeout,
    in_wait_for,
    in_a_task_group,
    in_an_anyio_scope,
    under_a_shield,
    before_its_first_step,
    in_a_context_manager,
    in_an_exit_stack,
    in_a_lease,
    in_an_asynchronous_context_manager,
    in_an_asynchronous_generator,
    beside_an_asynchronous_generator,
    with_a_generator_in_a_list,
    beside_a_coroutine_begun_by_hand,
]


LEFT_TO_ITSELF = beside_an_asynchronous_generator
"""An asynchronous generator that nobody closes has no loop to be closed on where its world has ended."""


def crashed_world(waits: Waits, ended: list[str]) -> Kernel:
    """A world whose host crashes while it waits, after 1 s of 100."""
    kernel = Kernel()
    host = kernel.host("w")
    host.spawn(waits(ended))
    kernel.at(1, host.crash)
    kernel.at(100, lambda: None)
    kernel.run()
    assert host.crashed
    return kernel


@pytest.mark.parametrize("waits", WAITS)
def test_nothing_that_waited_is_ever_resumed(waits: Waits) -> None:
    ended: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kernel = crashed_world(waits, ended)
        gc.collect()
        assert ended == []
        kernel.close()
        assert ended == []
        del kernel
        gc.collect()
    assert ended == []


@pytest.mark.parametrize("waits", [waits for waits in WAITS if waits not in (before_its_first_step, LEFT_TO_ITSELF)])
def test_without_a_crash_the_same_code_cleans_up(waits: Waits) -> None:
    """What the test above relies on: here is something that a crash must suppress."""
    ended: list[str] = []
    kernel = Kernel()
    kernel.host("w").spawn(waits(ended))
    kernel.run(until=2)
    assert ended == []
    kernel.close()
    del kernel
    gc.collect()
    assert ended != []


@pytest.mark.parametrize("waits", WAITS)
def test_what_a_crashed_host_held_is_freed_with_its_world(waits: Waits) -> None:
    class Held(list[str]):
        pass

    ended = Held()
    freed = weakref.ref(ended)
    kernel = crashed_world(waits, ended)
    kernel.close()
    del kernel, ended
    gc.collect()
    assert freed() is None


def test_memory_does_not_grow_with_the_number_of_crashed_worlds() -> None:
    def worlds() -> int:
        for waits in WAITS * 4:
            crashed_world(waits, []).close()
        gc.collect()
        return len(gc.get_objects())

    worlds()
    before = worlds()
    assert worlds() <= before + 20  # 68 worlds; one leaked frame each would be far more


AT_EXIT = """
import os, sys
sys.path.insert(0, "tests/sim/kernel")
import test_kernel_crash as crash
from relaysim.sim.kernel import power_cut

if not {marking}:
    power_cut._place = None

class Loud(list):
    def append(self, text, write=os.write):  # works to the very end of the interpreter, unlike print
        write(1, text.encode())

worlds = [crash.crashed_world(waits, Loud()) for waits in crash.WAITS]
for world in worlds[:{closed}]:
    world.close()
"""


@pytest.mark.parametrize("marking", [True, False])
@pytest.mark.parametrize("closed", [0, len(WAITS)])
def test_nothing_runs_when_the_interpreter_ends(marking: bool, closed: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", AT_EXIT.format(marking=marking, closed=closed)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("waits", WAITS)
def test_where_frames_cannot_be_marked_what_is_left_is_kept(waits: Waits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(power_cut, "_place", None)
    ended: list[str] = []
    crashed_world(waits, ended).close()
    gc.collect()
    assert ended == []


def test_frames_can_be_marked_on_the_pythons_that_are_supported() -> None:
    assert power_cut._place is not None


def test_a_wrong_place_for_the_mark_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert power_cut._place is not None
    for wrong in range(16, 80):
        if wrong != power_cut._place:
            monkeypatch.setitem(power_cut._PLACES, sys.version_info[:2], wrong)
            assert power_cut._find_place() is None


def test_a_mark_that_does_not_help_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(power_cut, "_complete", lambda suspended, place: None)
    assert power_cut._find_place() is None


def test_a_generator_that_somebody_else_holds_is_left_alone() -> None:
    ended: list[str] = []

    class Shared:
        """What a test and a relay both hold."""

        def __init__(self) -> None:
            self.stack = contextlib.ExitStack()

    shared = Shared()
    manager = managed(ended)
    shared.stack.enter_context(manager)
    lent: list[Any] = [manager]

    async def work(argument: Shared, manager: Any, lent: list[Any]) -> None:
        await for_ever()

    kernel = Kernel()
    host = kernel.host("w")
    host.spawn(work(shared, manager, lent))
    kernel.run(until=1)
    host.crash()
    del manager
    kernel.close()
    assert ended == []
    shared.stack.close()
    assert ended == ["context manager"]


def test_a_coroutine_is_dead_whoever_else_holds_it() -> None:
    ended: list[str] = []
    shared: list[Any] = []
    kernel = Kernel()
    host = kernel.host("w")

    async def work() -> None:
        shared.append(in_finally(ended))
        await shared[0]

    host.spawn(work())
    kernel.at(1, host.crash)
    kernel.run()
    kernel.close()
    shared.clear()
    gc.collect()
    assert ended == []


# The moment of the crash


def test_the_running_step_is_the_last_one_and_what_it_sends_is_sent() -> None:
    kernel = Kernel()
    host = kernel.host("w")
    seen: list[str] = []

    async def work() -> None:
        try:
            host.crash()
            seen.append("rest of the step")
            kernel.at(1, seen.append, "arrived")
            loop = asyncio.get_running_loop()
            loop.call_soon(seen.append, "ready")
            loop.call_later(1, seen.append, "timer")
            loop.call_at(1, seen.append, "timer at")
            loop.run_in_executor(None, seen.append, "job")
            asyncio.create_task(other())  # noqa: RUF006
            assert not loop.is_closed()
            await asyncio.sleep(0)
            seen.append("next step")
        finally:
            seen.append("finally")

    async def other() -> None:
        seen.append("task")

    host.spawn(work())
    host.spawn(other())
    kernel.run()
    kernel.close()
    gc.collect()
    assert seen == ["rest of the step", "arrived"]


@pytest.mark.parametrize("crash_first", [True, False])
def test_an_asynchronous_generator_is_not_closed_by_whoever_drops_it_later(crash_first: bool) -> None:
    ended: list[str] = []
    shared: list[AsyncIterator[int]] = []
    kernel = Kernel()
    dead, living = kernel.host("dead"), kernel.host("living")

    async def work() -> None:
        if crash_first:
            dead.crash()
        shared.append(numbers(ended))
        await anext(shared[0])
        dead.crash()

    dead.spawn(work())
    living.loop.call_later(1, shared.clear)
    kernel.run()
    assert not shared
    kernel.close()
    gc.collect()
    assert ended == []


@pytest.mark.parametrize("crash_first", [True, False])
def test_what_a_callback_that_never_comes_holds_is_not_resumed(crash_first: bool) -> None:
    ended: list[str] = []
    kernel = Kernel()
    host = kernel.host("w")

    def step() -> None:
        if crash_first:
            host.crash()
        loop = asyncio.get_running_loop()
        for call in (loop.call_soon, lambda *args: loop.call_later(1, *args), lambda *args: loop.call_at(1, *args)):
            coroutine = in_finally(ended)
            coroutine.send(None)
            call(coroutine.send, None)
        del coroutine
        host.crash()
        gc.collect()

    host.loop.call_soon(step)
    kernel.run()
    assert ended == []
    kernel.close()
    gc.collect()
    assert ended == []


def test_an_error_in_the_last_step_is_lost_with_the_host() -> None:
    kernel = Kernel()
    host = kernel.host("w")

    def fail() -> None:
        host.crash()
        raise LookupError("nobody hears of it")

    host.loop.set_exception_handler(lambda loop, context: pytest.fail(str(context)))
    host.loop.call_soon(fail)
    kernel.run()
    assert kernel.failures == []


def test_what_was_ready_at_the_instant_of_the_crash_does_not_run() -> None:
    kernel = Kernel()
    seen: list[str] = []
    first, second = kernel.host("first"), kernel.host("second")
    for host in (first, second):
        host.loop.call_later(1, seen.append, host.name)
    first.loop.call_later(1, second.crash)
    kernel.run()
    assert seen == ["first"]


def test_timers_of_a_crashed_host_do_not_keep_the_world_going() -> None:
    kernel = Kernel()
    seen: list[float] = []
    dead, living = kernel.host("dead"), kernel.host("living")
    delays = [float(37 * number % 101) for number in range(1, 101)]
    for number, delay in enumerate(delays):
        if number % 2:
            living.loop.call_later(delay, lambda: seen.append(kernel.now))
        else:
            dead.loop.call_later(delay + 0.25, seen.append, -1.0)
    dead.loop.call_later(600, seen.append, -1.0)
    kernel.at(0.5, dead.crash)
    kernel.run()
    assert seen == sorted(delays[1::2])
    assert kernel.now == seen[-1] < 101


def test_an_answer_that_comes_after_the_crash_finds_nobody() -> None:
    kernel = Kernel()
    host = kernel.host("w")
    seen: list[str] = []
    future = host.loop.create_future()

    async def work() -> None:
        seen.append("asked")
        seen.append(await future)

    host.spawn(work())
    kernel.at(1, host.crash)
    kernel.at(2, future.set_result, "answer")
    kernel.at(2, host.loop.call_soon, seen.append, "called")
    kernel.at(3, lambda: host.spawn(work()))
    kernel.run()
    kernel.close()
    assert seen == ["asked"]


def test_a_crash_twice_or_while_standing_still_is_a_crash() -> None:
    kernel = Kernel()
    host = kernel.host("w")
    seen: list[str] = []
    host.loop.call_later(1, seen.append, "never")
    host.pause(5)
    host.crash()
    host.crash()
    host.pause(1)
    host.slow(lambda: 1.0)
    host.slow(None)
    host.resume()
    assert not host.paused
    kernel.run()
    assert seen == []


def test_closing_the_world_cancels_the_tasks_of_living_hosts_only() -> None:
    kernel = Kernel()
    ended: dict[str, list[str]] = {"dead": [], "living": []}
    tasks = {name: kernel.host(name).spawn(in_finally(found)) for name, found in ended.items()}
    kernel.at(1, kernel.hosts[0].crash)
    kernel.run(until=2)
    kernel.close()
    assert ended == {"dead": [], "living": ["finally"]}
    assert not tasks["dead"].done()
    assert tasks["living"].cancelled()


def test_once_the_world_is_being_closed_hosts_have_no_faults() -> None:
    kernel = Kernel()
    ended: list[str] = []

    async def work() -> None:
        try:
            await for_ever()
        finally:
            await asyncio.sleep(10)
            ended.append("finally")

    for name, fault in (
        ("a", Host.crash),
        ("b", lambda host: host.pause(1000)),
        ("c", lambda host: host.slow(lambda: 99)),
    ):
        host = kernel.host(name)
        host.spawn(work())
        kernel.at(5, fault, host)
    kernel.run(until=1)
    kernel.close()
    assert ended == ["finally"] * 3


def test_a_host_starts_again_under_its_name_and_its_draws_go_on() -> None:
    def world(crash: bool) -> list[float]:
        with Fence() as fence:
            kernel = Kernel(3, 4)
            fence.attach(kernel)
            drawn: list[float] = []

            async def draw() -> None:
                for _ in range(2):
                    drawn.append(random.random())
                    await asyncio.sleep(1)

            first = kernel.host("w")
            first.spawn(draw())
            kernel.run(until=1.5)
            if crash:
                first.crash()
                second = kernel.host("w")
                assert (second.name, second.crashed, first.crashed) == ("w", False, True)
                second.spawn(draw())
            else:
                first.spawn(draw())
            kernel.run()
            kernel.close()
            return drawn

    assert world(crash=True) == world(crash=False)
    assert len(set(world(crash=True))) == 4


def test_tasks_that_were_made_past_the_loop_are_dead_too() -> None:
    ended: list[str] = []
    kernel = Kernel()
    host = kernel.host("w")

    def made(loop: AbstractEventLoop, coroutine: Any, **options: Any) -> Task[Any]:
        return Task(coroutine, loop=loop, **options)

    async def work() -> None:
        asyncio.get_running_loop().set_task_factory(made)
        task = asyncio.create_task(in_finally(ended))
        await for_ever()
        await task

    host.spawn(work())
    kernel.at(1, host.crash)
    kernel.run()
    kernel.close()
    gc.collect()
    assert ended == []


def test_anyio_forgets_the_tasks() -> None:
    states = sys.modules["anyio._backends._asyncio"].__dict__["_task_states"]
    gc.collect()
    before = len(states)
    kernel = crashed_world(in_an_anyio_scope, [])
    assert len(states) == before + 1
    kernel.close()
    assert len(states) == before
