"""The pacer: virtual time from real time, under a loop whose clock the tests set."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from relaysim.sim.doors.server.pacer import Pacer, WorldEndedError
from relaysim.sim.kernel import Kernel


class SettableLoop(asyncio.SelectorEventLoop):
    """A loop whose clock only moves when a test sets it; timers that are due run at the loop's next turn."""

    clock = 1000.0

    def time(self) -> float:
        return self.clock

    async def pass_seconds(self, seconds: float) -> None:
        """Let so much real time pass, and let everything react."""
        self.clock += seconds
        for _ in range(5):
            await asyncio.sleep(0)


def run(test: Callable[[SettableLoop], Awaitable[None]]) -> None:
    """Run a test on such a loop."""
    with asyncio.Runner(loop_factory=SettableLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, SettableLoop)

        async def body() -> None:
            await test(loop)

        runner.run(body())


def pacer_on(loop: SettableLoop, speed: float, kernel: Kernel | None = None) -> tuple[Pacer, Kernel, list[Exception]]:
    """A pacer that has begun, with its kernel and what it was told of errors."""
    kernel = Kernel() if kernel is None else kernel
    errors: list[Exception] = []
    pacer = Pacer(kernel, speed, errors.append)
    pacer.start(loop)
    return pacer, kernel, errors


@pytest.mark.parametrize("speed", [1.0, 60.0, 0.25])
def test_virtual_seconds_are_real_seconds_times_the_speed(speed: float) -> None:
    async def test(loop: SettableLoop) -> None:
        pacer, kernel, _ = pacer_on(loop, speed)
        loop.clock += 8.0
        assert pacer.catch_up() == kernel.now == 8.0 * speed

    run(test)


def test_an_event_is_run_when_its_time_comes_without_anybody_asking() -> None:
    async def test(loop: SettableLoop) -> None:
        pacer, kernel, _ = pacer_on(loop, 10.0)
        seen: list[float] = []
        kernel.at(30.0, lambda: seen.append(kernel.now))
        kernel.at(20.0, lambda: seen.append(kernel.now))
        pacer.arm()
        await loop.pass_seconds(1.5)
        assert seen == []
        await loop.pass_seconds(0.5)
        assert seen == [20.0]
        await loop.pass_seconds(1.0)
        assert seen == [20.0, 30.0]

    run(test)


def test_an_event_that_is_sooner_than_the_timer_is_not_missed() -> None:
    async def test(loop: SettableLoop) -> None:
        pacer, kernel, _ = pacer_on(loop, 1.0)
        seen: list[float] = []
        kernel.at(50.0, lambda: seen.append(kernel.now))
        pacer.arm()
        kernel.at(5.0, lambda: seen.append(kernel.now))
        pacer.arm()
        await loop.pass_seconds(5.0)
        assert seen == [5.0]

    run(test)


def test_after_a_pause_of_the_machine_everything_is_caught_up_in_order() -> None:
    async def test(loop: SettableLoop) -> None:
        pacer, kernel, _ = pacer_on(loop, 1.0)
        seen: list[float] = []
        for delay in (3.0, 1.0, 2.0):
            kernel.at(delay, lambda: seen.append(kernel.now))
        pacer.arm()
        await loop.pass_seconds(3600.0)
        assert (seen, kernel.now) == ([1.0, 2.0, 3.0], 3600.0)

    run(test)


def test_at_speed_0_time_moves_by_hand_only() -> None:
    async def test(loop: SettableLoop) -> None:
        pacer, kernel, _ = pacer_on(loop, 0.0)
        seen: list[float] = []
        kernel.at(5.0, lambda: seen.append(kernel.now))
        pacer.arm()
        await loop.pass_seconds(100.0)
        assert pacer.catch_up() == 0.0
        assert seen == []
        assert pacer.advance(4.0) == 4.0
        assert seen == []
        assert pacer.advance(2.0) == 6.0
        assert seen == [5.0]

    run(test)


def test_time_can_be_advanced_at_any_speed_and_goes_on_from_there() -> None:
    async def test(loop: SettableLoop) -> None:
        pacer, kernel, _ = pacer_on(loop, 2.0)
        loop.clock += 3.0
        assert pacer.advance(100.0) == 106.0
        loop.clock += 1.0
        assert pacer.catch_up() == 108.0
        assert kernel.now == 108.0

    run(test)


def test_a_change_of_speed_leaves_the_present_where_it_is() -> None:
    async def test(loop: SettableLoop) -> None:
        pacer, kernel, _ = pacer_on(loop, 1.0)
        seen: list[float] = []
        kernel.at(100.0, lambda: seen.append(kernel.now))
        pacer.arm()
        loop.clock += 10.0
        pacer.set_speed(30.0)
        assert pacer.catch_up() == 10.0
        await loop.pass_seconds(3.0)  # the timer of before would fire after 90 s
        assert seen == [100.0]
        pacer.set_speed(0.0)
        loop.clock += 10.0
        assert pacer.catch_up() == 100.0
        pacer.set_speed(1.0)
        loop.clock += 10.0
        assert pacer.catch_up() == 110.0

    run(test)


@pytest.mark.parametrize("speed", [-1.0, math.inf, math.nan])
def test_an_impossible_speed_is_refused(speed: float) -> None:
    async def test(loop: SettableLoop) -> None:
        pacer, _, _ = pacer_on(loop, 1.0)
        with pytest.raises(ValueError, match="speed must be 0"):
            pacer.set_speed(speed)
        assert pacer.speed == 1.0
        with pytest.raises(ValueError, match="speed must be 0"):
            Pacer(Kernel(), speed, lambda error: None)

    run(test)


def test_a_negative_advance_is_refused_and_moves_nothing() -> None:
    async def test(loop: SettableLoop) -> None:
        pacer, kernel, _ = pacer_on(loop, 0.0)
        with pytest.raises(ValueError, match="finite number of seconds"):
            pacer.advance(-1.0)
        assert kernel.now == 0.0

    run(test)


def test_sleepers_wake_at_their_virtual_instant() -> None:
    async def test(loop: SettableLoop) -> None:
        pacer, _, _ = pacer_on(loop, 10.0)
        sleeper = asyncio.ensure_future(pacer.sleep(50.0))
        await loop.pass_seconds(4.9)
        assert not sleeper.done()
        await loop.pass_seconds(0.1)
        assert sleeper.done()

    run(test)


def test_an_action_takes_place_at_its_exact_instant_though_nobody_waits_any_more() -> None:
    async def test(loop: SettableLoop) -> None:
        pacer, kernel, errors = pacer_on(loop, 1.0)
        seen: list[float] = []
        pacer.when(7.0, lambda: seen.append(kernel.now)).cancel()
        await loop.pass_seconds(60.0)
        assert seen == [7.0]
        assert errors == []

    run(test)


def test_an_action_gives_its_result_or_raises_where_it_is_awaited() -> None:
    async def test(loop: SettableLoop) -> None:
        pacer, _, errors = pacer_on(loop, 0.0)

        def fail() -> None:
            raise LookupError("lost")

        result, failure = pacer.when(1.0, lambda: 42), pacer.when(1.0, fail)
        pacer.advance(1.0)
        assert await result == 42
        with pytest.raises(LookupError, match="lost"):
            await failure
        assert errors == []

    run(test)


def test_an_error_of_an_event_is_told_and_time_goes_on() -> None:
    async def test(loop: SettableLoop) -> None:
        pacer, kernel, errors = pacer_on(loop, 1.0)
        seen: list[float] = []

        def fail() -> None:
            raise LookupError("lost")

        kernel.at(1.0, fail)
        kernel.at(2.0, lambda: seen.append(kernel.now))
        pacer.arm()
        await loop.pass_seconds(10.0)
        assert [str(error) for error in errors] == ["lost"]
        assert (seen, kernel.now) == ([2.0], 10.0)

    run(test)


def test_a_new_kernel_begins_now_and_the_old_ones_sleepers_learn_of_it() -> None:
    async def test(loop: SettableLoop) -> None:
        pacer, old, _ = pacer_on(loop, 5.0)
        seen: list[str] = []
        sleeper = pacer.when(100.0, lambda: seen.append("old"))
        loop.clock += 1.0
        pacer.catch_up()
        new = Kernel()
        pacer.attach(new)
        with pytest.raises(WorldEndedError):
            await sleeper
        await loop.pass_seconds(60.0)
        assert (pacer.catch_up(), new.now, old.now) == (300.0, 300.0, 5.0)
        assert seen == []

    run(test)


def test_a_stopped_pacer_moves_nothing_and_lets_nobody_sleep() -> None:
    async def test(loop: SettableLoop) -> None:
        pacer, kernel, _ = pacer_on(loop, 5.0)
        sleeper = pacer.when(10.0, lambda: None)
        pacer.stop()
        with pytest.raises(WorldEndedError):
            await sleeper
        await loop.pass_seconds(60.0)
        assert pacer.catch_up() == kernel.now == 0.0
        with pytest.raises(WorldEndedError):
            pacer.when(1.0, lambda: None)

    run(test)


def test_looking_when_nothing_is_due_runs_nothing() -> None:
    async def test(loop: SettableLoop) -> None:
        kernel = Kernel()
        runs: list[Any] = []
        kernel.run = runs.append  # type: ignore[method-assign]
        pacer, _, _ = pacer_on(loop, 1.0, kernel)
        kernel.at(1000.0, lambda: None)
        for _ in range(100):
            loop.clock += 1.0
            pacer.catch_up()
            pacer.arm()
        assert runs == []
        assert kernel.now == 100.0

    run(test)
