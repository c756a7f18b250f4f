"""`Kernel.advance_to`: virtual time driven from outside, instant by instant."""

from __future__ import annotations

import math
from collections.abc import Generator

import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

from relaysim.sim.kernel import TICK, Kernel, ticks


def test_the_clock_stands_at_the_instant_even_where_nothing_is_due() -> None:
    kernel = Kernel()
    kernel.advance_to(12.5)
    assert kernel.now == 12.5


def test_what_is_due_by_the_instant_has_run_at_its_own_time() -> None:
    kernel = Kernel()
    seen: list[tuple[str, float]] = []
    for delay in (3.0, 1.0, 5.0, 5.0 + TICK):
        kernel.at(delay, lambda delay=delay: seen.append((f"due {delay:g}", kernel.now)))
    kernel.advance_to(5.0)
    assert seen == [("due 1", 1.0), ("due 3", 3.0), ("due 5", 5.0)]
    kernel.advance_to(6.0)
    assert seen[3:] == [("due 5", 5.0 + TICK)]


def test_delays_count_from_the_instant_that_was_advanced_to() -> None:
    kernel = Kernel()
    kernel.advance_to(7.0)
    seen: list[float] = []
    kernel.at(2.0, lambda: seen.append(kernel.now))

    def process() -> Generator[simpy.Event, None, None]:
        yield kernel.env.timeout(1.0)
        seen.append(kernel.now)

    kernel.env.process(process())
    kernel.advance_to(10.0)
    assert seen == [8.0, 9.0]


def test_an_instant_that_has_passed_changes_nothing() -> None:
    kernel = Kernel()
    kernel.advance_to(4.0)
    kernel.advance_to(3.0)
    assert kernel.now == 4.0


@given(st.floats(0, 1e6))
def test_an_instant_is_rounded_up_to_a_tick(time: float) -> None:
    kernel = Kernel()
    kernel.advance_to(time)
    assert kernel.now == ticks(time)


@pytest.mark.parametrize("time", [-1.0, math.inf, math.nan])
def test_an_impossible_instant_is_refused(time: float) -> None:
    with pytest.raises(ValueError, match="finite number of seconds"):
        Kernel().advance_to(time)


def test_after_an_error_the_rest_is_still_due() -> None:
    kernel = Kernel()
    seen: list[float] = []

    def fail() -> None:
        raise LookupError("lost")

    kernel.at(1.0, fail)
    kernel.at(2.0, lambda: seen.append(kernel.now))
    with pytest.raises(LookupError, match="lost"):
        kernel.advance_to(5.0)
    assert kernel.now == 1.0
    kernel.advance_to(5.0)
    assert (seen, kernel.now) == ([2.0], 5.0)


def test_hosts_run_too() -> None:
    import asyncio

    kernel = Kernel()
    seen: list[float] = []

    async def task() -> None:
        await asyncio.sleep(1.0)
        seen.append(asyncio.get_running_loop().time())

    kernel.host("w").spawn(task())
    kernel.advance_to(0.5)
    assert seen == []
    kernel.advance_to(3.0)
    assert (seen, kernel.now) == ([1.0], 3.0)
