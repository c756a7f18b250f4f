"""Hosts that stand still or are slow: nothing is lost and nothing overtakes, only the host is late."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import pytest

from relaysim.sim.kernel import TICK, Host, Kernel

Seen = list[tuple[float, str]]


class World:
    """Two hosts, and what ran on which of them when."""

    def __init__(self) -> None:
        self.kernel = Kernel()
        self.a, self.b = self.kernel.host("a"), self.kernel.host("b")
        self.seen: Seen = []

    def say(self, what: str) -> None:
        self.seen.append((self.kernel.now, what))

    def arrives(self, host: Host, at: float, what: str) -> None:
        """Something reaches the host, as an answer does."""
        self.kernel.at(at, host.loop.call_soon, self.say, what)

    def timer(self, host: Host, at: float, what: str) -> None:
        host.loop.call_later(at, self.say, what)

    def run(self) -> Seen:
        self.kernel.run()
        return self.seen


def test_what_becomes_ready_in_a_pause_waits_and_keeps_its_order() -> None:
    world = World()
    world.kernel.at(1, world.a.pause, 9.0)
    world.timer(world.a, 5, "second")
    world.arrives(world.a, 7, "third")
    world.timer(world.a, 2, "first")
    world.timer(world.a, 10, "fourth")
    world.timer(world.a, 11, "fifth")
    assert world.run() == [(10.0, "first"), (10.0, "second"), (10.0, "third"), (10.0, "fourth"), (11.0, "fifth")]


def test_the_other_hosts_go_on() -> None:
    world = World()
    world.kernel.at(1, world.a.pause, 9.0)
    for host in (world.a, world.b):
        world.timer(host, 2, host.name)
    assert world.run() == [(2.0, "b"), (10.0, "a")]


def test_what_was_ready_at_the_instant_of_the_pause_waits_too() -> None:
    world = World()
    world.timer(world.a, 1, "a")
    world.timer(world.b, 1, "b")
    world.kernel.at(1, world.a.pause, 2.0)
    assert world.run() == [(1.0, "b"), (3.0, "a")]


def test_a_host_that_pauses_itself_ends_its_step_first() -> None:
    world = World()

    async def work() -> None:
        asyncio.get_running_loop().call_soon(world.say, "ready before")
        world.a.pause(2)
        assert world.a.paused
        asyncio.get_running_loop().call_soon(world.say, "ready after")
        world.say("rest of the step")
        await asyncio.sleep(0)
        world.say("next step")
        await asyncio.sleep(1)
        world.say("end")

    world.a.spawn(work())
    world.arrives(world.a, 1, "arrived")
    assert world.run() == [
        (0.0, "rest of the step"),
        (2.0, "ready before"),
        (2.0, "ready after"),
        (2.0, "next step"),
        (2.0, "arrived"),
        (3.0, "end"),
    ]
    assert not world.a.paused


@pytest.mark.parametrize(("second", "end"), [(2.0, 6.0), (5.0, 6.0), (8.0, 9.0)])
def test_a_pause_during_a_pause_extends_it_if_it_ends_later(second: float, end: float) -> None:
    world = World()
    world.a.pause(6)
    world.kernel.at(1, world.a.pause, second)
    world.timer(world.a, 2, "a")
    assert world.run() == [(end, "a")]


def test_a_pause_can_be_ended_early_and_leaves_nothing_behind() -> None:
    world = World()
    world.a.pause(6)
    world.timer(world.a, 2, "waited")
    world.timer(world.a, 4, "in time")
    world.kernel.at(3, world.a.resume)
    world.kernel.at(5, world.a.pause, 4.0)
    world.timer(world.a, 6, "late")
    assert world.run() == [(3.0, "waited"), (4.0, "in time"), (9.0, "late")]


def test_without_a_pause_there_is_nothing_to_end() -> None:
    world = World()
    world.timer(world.a, 1, "a")
    world.kernel.at(1, world.a.resume)
    assert world.run() == [(1.0, "a")]


def test_a_host_that_pauses_and_goes_on_within_a_step_loses_nothing() -> None:
    world = World()

    def work() -> None:
        world.a.loop.call_soon(world.say, "ready before")
        world.a.pause(5)
        world.a.resume()
        world.a.loop.call_soon(world.say, "ready after")

    world.a.loop.call_soon(work)
    world.arrives(world.a, 1, "later")
    assert world.run() == [(0.0, "ready before"), (0.0, "ready after"), (1.0, "later")]


def test_a_pause_without_anything_to_do_leaves_the_host_as_it_was() -> None:
    world = World()
    world.a.pause(1)
    world.arrives(world.a, 2, "a")
    assert world.run() == [(2.0, "a")]


def test_a_deadline_that_passes_in_a_pause_is_missed_only_if_nothing_came_before_it() -> None:
    world = World()

    async def ask(answer_at: float) -> str:
        future = world.a.loop.create_future()
        world.kernel.at(answer_at, future.set_result, "answered")
        try:
            async with asyncio.timeout(5):
                return str(await future)
        except TimeoutError:
            return "timed out"

    in_time, too_late = world.a.spawn(ask(4)), world.a.spawn(ask(6))
    world.kernel.at(1, world.a.pause, 9.0)
    world.run()
    assert (in_time.result(), too_late.result()) == ("answered", "timed out")


@pytest.mark.parametrize("seconds", [-1.0, math.inf, math.nan])
def test_an_impossible_pause_is_refused(seconds: float) -> None:
    world = World()
    with pytest.raises(ValueError, match="finite number of seconds"):
        world.a.pause(seconds)
    assert not world.a.paused


def test_a_pause_is_rounded_up_to_a_tick() -> None:
    world = World()
    world.a.pause(0.3 * TICK)
    world.timer(world.a, 0, "a")
    assert world.run() == [(TICK, "a")]


def test_what_has_waited_runs_one_after_the_other_each_to_its_end() -> None:
    """How many steps the one needs and the other (lanes and Pythons differ in that) does not decide who comes first."""
    world = World()

    async def work(name: str, steps: int) -> None:
        for _ in range(steps):
            await asyncio.sleep(0)
        world.say(name)

    world.a.pause(5)
    world.kernel.at(1, lambda: world.a.spawn(work("first", 10)))
    world.kernel.at(2, lambda: world.a.spawn(work("second", 1)))
    assert world.run() == [(5.0, "first"), (5.0, "second")]


@pytest.mark.parametrize(
    ("fault", "rest"),
    [(lambda host: host.pause(5), [(10.0, "second"), (10.0, "third")]), (lambda host: host.crash(), [])],
)
def test_a_fault_in_the_middle_of_what_has_waited_stops_the_rest(fault: Callable[[Host], None], rest: Seen) -> None:
    world = World()
    world.a.pause(5)
    world.arrives(world.a, 1, "first")
    world.kernel.at(2, world.a.loop.call_soon, fault, world.a)
    world.arrives(world.a, 3, "second")
    world.arrives(world.a, 4, "third")
    assert world.run() == [(5.0, "first"), *rest]


def test_after_an_error_the_rest_of_what_has_waited_still_runs() -> None:
    world = World()

    def interrupt() -> None:
        raise KeyboardInterrupt

    world.a.pause(5)
    world.kernel.at(1, world.a.loop.call_soon, interrupt)
    world.arrives(world.a, 2, "second")
    world.arrives(world.a, 6, "third")
    with pytest.raises(KeyboardInterrupt):
        world.kernel.run()
    assert world.run() == [(6.0, "second"), (6.0, "third")]


# Slow hosts


def counting(*seconds: float) -> Callable[[], float]:
    return iter(seconds).__next__


def test_each_turn_of_a_slow_host_is_late_by_its_own_delay() -> None:
    world = World()
    world.a.slow(counting(0.5, 0.25))
    world.arrives(world.a, 1, "first")
    world.arrives(world.a, 2, "second")
    world.timer(world.b, 1, "b")
    assert world.run() == [(1.0, "b"), (1.5, "first"), (2.25, "second")]


def test_a_turn_is_for_everything_that_is_ready_by_then_one_after_the_other() -> None:
    """However many steps the task takes, it has taken them before the timer comes: lanes differ in nothing else."""
    world = World()
    world.a.slow(counting(3.0, 0.0))

    async def work() -> None:
        world.say("task")
        await asyncio.sleep(0)
        world.say("task again")

    world.kernel.at(1, lambda: world.a.spawn(work()))
    world.timer(world.a, 2, "timer")
    world.arrives(world.a, 6, "later")
    assert world.run() == [(4.0, "task"), (4.0, "task again"), (4.0, "timer"), (6.0, "later")]


def test_a_host_is_at_full_speed_again_when_told_so_also_in_the_middle_of_a_wait() -> None:
    world = World()
    world.a.slow(lambda: 10.0)
    world.arrives(world.a, 1, "first")
    world.kernel.at(2, world.a.slow, None)
    world.arrives(world.a, 3, "second")
    assert world.run() == [(2.0, "first"), (3.0, "second")]


def test_a_slow_host_that_pauses_waits_after_its_pause() -> None:
    world = World()
    world.a.slow(counting(2.0, 0.5))
    world.arrives(world.a, 1, "a")
    world.kernel.at(2, world.a.pause, 4.0)
    assert world.run() == [(6.5, "a")]


def test_a_slow_host_that_crashes_does_not_wake_up() -> None:
    world = World()
    world.a.slow(lambda: 2.0)
    world.arrives(world.a, 1, "a")
    world.kernel.at(2, world.a.crash)
    assert world.run() == []


@pytest.mark.parametrize("fault", [lambda host: host.pause(1e6), lambda host: host.slow(lambda: 1e6)])
def test_a_host_that_stands_still_when_its_world_is_closed_clears_up_at_once(fault: Callable[[Host], None]) -> None:
    world = World()

    async def work() -> None:
        try:
            await world.a.loop.create_future()
        finally:
            await asyncio.sleep(10)
            world.say("cleared up")

    task = world.a.spawn(work())
    world.kernel.run(until=1)
    fault(world.a)
    world.kernel.close()
    assert world.seen == [(10.0, "cleared up")]
    assert task.cancelled()
