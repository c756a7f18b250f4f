"""Repetitions: their waits, their budget, and their end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import pairwise
from typing import Any, TypeVar

import pytest
from drain_bench import Bench, attach

from relaysim.relay.drain.backend import Busy, Conflict, Refused, Unavailable
from relaysim.relay.drain.budget import RetryBudget
from relaysim.relay.drain.drain_settings import DrainSettings
from relaysim.relay.drain.retries import OutOfTimeError, Requests
from relaysim.relay.telemetry import Telemetry
from relaysim.sim.kernel import Kernel

T = TypeVar("T")


def live(work: Callable[[Kernel], Awaitable[T]]) -> T:
    """Run some work in virtual time."""
    kernel = Kernel()
    result: list[T] = []

    async def run() -> None:
        result.append(await work(kernel))

    attach(kernel)
    try:
        kernel.host("w1").spawn(run())
        kernel.run()
        kernel.close()
    finally:
        attach(None)
    return result[0]


# The budget


def test_a_budget_begins_with_its_reserve_and_then_asks_for_patience() -> None:
    async def work(kernel: Kernel) -> list[float]:
        budget = RetryBudget(0.1, 3, 0.5)
        return [budget.take() for _ in range(5)]

    assert live(work) == [0.0, 0.0, 0.0, 2.0, 2.0]


def test_requests_bring_their_share_and_time_brings_the_reserve_back() -> None:
    async def work(kernel: Kernel) -> tuple[float, float, float, float]:
        budget = RetryBudget(0.25, 2, 0.5)
        budget.take()
        budget.take()
        for _ in range(4):
            budget.note_request()
        of_requests = budget.tokens
        budget.take()
        await asyncio.sleep(3.0)
        missing = budget.take()
        after_a_while = budget.tokens
        await asyncio.sleep(100.0)
        budget.take()
        return of_requests, missing, after_a_while, budget.tokens

    # 3 s bring 1.5, one of which is taken; 100 s bring no more than the reserve of 2, one of which is taken.
    assert live(work) == (1.0, 0.0, 0.5, 1.0)


def test_a_bucket_does_not_hold_more_than_twice_its_reserve() -> None:
    budget = RetryBudget(1.0, 10, 0.5)
    for _ in range(1000):
        budget.note_request()
    assert budget.tokens == 20.0


def test_a_budget_without_a_reserve_still_lets_time_pass() -> None:
    async def work(kernel: Kernel) -> tuple[float, float]:
        budget = RetryBudget(0.0, 0, 0.5)
        first = budget.take()
        await asyncio.sleep(first)
        return first, budget.take()

    assert live(work) == (2.0, 0.0)


# Repetitions of one conversation


def requests_with(budget: RetryBudget, telemetry: Telemetry | None = None, **settings: Any) -> Requests:
    return Requests(DrainSettings(**settings), budget, telemetry or Telemetry(), lambda: None)


class Failing:
    """A request that fails so many times; it notes when it was sent."""

    def __init__(self, kernel: Kernel, times: int, error: Exception) -> None:
        self._kernel = kernel
        self._times = times
        self._error = error
        self.sent_at: list[float] = []

    async def __call__(self) -> str:
        self.sent_at.append(self._kernel.now)
        if len(self.sent_at) <= self._times:
            raise self._error
        return "answer"


@pytest.mark.parametrize("error", [Busy("busy", None), Unavailable("away")])
def test_a_request_is_repeated_until_it_is_answered(error: Exception) -> None:
    async def work(kernel: Kernel) -> tuple[str, int]:
        request = Failing(kernel, 3, error)
        return await requests_with(RetryBudget(0.1, 10, 0.5)).repeat("runs.list", request, 60.0), len(request.sent_at)

    assert live(work) == ("answer", 4)


@pytest.mark.parametrize("error", [Refused("no"), Conflict("a run", "run_A")])
def test_a_refusal_is_final(error: Exception) -> None:
    async def work(kernel: Kernel) -> int:
        request = Failing(kernel, 1, error)
        with pytest.raises(type(error)):
            await requests_with(RetryBudget(0.1, 10, 0.5)).repeat("runs.list", request, 60.0)
        return len(request.sent_at)

    assert live(work) == 1


def test_waits_are_drawn_up_to_twice_the_one_before_and_up_to_a_cap() -> None:
    """Full jitter: from nothing to a longest wait that doubles, 0.5, 1, 2, 4, 8, 8 seconds."""
    longest = [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]

    async def work(kernel: Kernel) -> list[list[float]]:
        waits = []
        for _ in range(60):
            request = Failing(kernel, 7, Unavailable("away"))
            await requests_with(RetryBudget(0.1, 10, 0.5)).repeat("runs.list", request, kernel.now + 1000.0)
            times = request.sent_at
            waits.append([later - earlier for earlier, later in pairwise(times)])
        return waits

    waits = live(work)
    for number, most in enumerate(longest):
        of_number = [each[number] for each in waits]
        assert len(set(of_number)) == len(of_number)
        assert max(of_number) <= most + 1e-5
        assert max(of_number) > 0.9 * most
        assert min(of_number) < 0.1 * most


def test_a_wait_that_the_server_asks_for_comes_on_top() -> None:
    async def work(kernel: Kernel) -> list[float]:
        request = Failing(kernel, 1, Busy("busy", 4.0))
        await requests_with(RetryBudget(0.1, 10, 0.5)).repeat("runs.list", request, 60.0)
        return request.sent_at

    first, second = live(work)
    assert 4.0 <= second - first <= 4.5 + 1e-5


def test_no_repetition_is_sent_after_its_time() -> None:
    async def work(kernel: Kernel) -> tuple[list[float], float]:
        request = Failing(kernel, 100, Unavailable("away"))
        with pytest.raises(OutOfTimeError):
            await requests_with(RetryBudget(0.1, 100, 0.5)).repeat("runs.list", request, 20.0)
        return request.sent_at, kernel.now

    sent_at, ended_at = live(work)
    assert max(sent_at) < 20.0
    assert ended_at == 20.0


@pytest.mark.parametrize(("until", "sent"), [(3.001, 1), (3.0, 0)])
def test_a_request_is_sent_once_also_if_its_time_has_passed_but_not_if_nobody_would_await_it(
    until: float, sent: int
) -> None:
    async def work(kernel: Kernel) -> int:
        await asyncio.sleep(5.0)
        request = Failing(kernel, 100, Unavailable("away"))
        with pytest.raises(OutOfTimeError):
            await requests_with(RetryBudget(0.1, 100, 0.5)).repeat("runs.cancel", request, until)
        return len(request.sent_at)

    assert live(work) == sent


def test_an_answer_is_awaited_for_two_seconds_longer_than_requests_are_sent() -> None:
    async def work(kernel: Kernel) -> list[float]:
        ended = []
        for seconds in (2.9, 3.1):
            began = kernel.now
            request = partial(asyncio.sleep, seconds)
            try:
                await requests_with(RetryBudget(0.1, 100, 0.5)).repeat("runs.retrieve", request, began + 1.0)
            except OutOfTimeError:
                ended.append(-(kernel.now - began))
            else:
                ended.append(kernel.now - began)
        return ended

    assert live(work) == pytest.approx([2.9, -3.0])


@pytest.mark.parametrize("ratio", [0.0, 0.1, 1.0])
def test_however_much_fails_repetitions_stay_within_the_budget(ratio: float) -> None:
    """Thirty conversations on one worker, whose every request fails for a minute."""
    reserve, refill, seconds = 10, 0.5, 60.0

    async def work(kernel: Kernel) -> tuple[int, int]:
        budget = RetryBudget(ratio, reserve, refill)
        conversations = [Failing(kernel, 10_000, Unavailable("away")) for _ in range(30)]

        async def one(request: Failing) -> None:
            with pytest.raises(OutOfTimeError):
                await requests_with(budget).repeat("runs.retrieve", request, seconds)

        await asyncio.gather(*(one(request) for request in conversations))
        return len(conversations), sum(len(request.sent_at) - 1 for request in conversations)

    first, repeated = live(work)
    assert repeated <= reserve + ratio * first + refill * seconds
    assert repeated >= refill * seconds * 0.5


def test_waiting_for_the_budget_is_told() -> None:
    telemetry = Telemetry()

    async def work(kernel: Kernel) -> str:
        request = Failing(kernel, 2, Unavailable("away"))
        return await requests_with(RetryBudget(0.0, 1, 0.5), telemetry).repeat("runs.list", request, 60.0)

    assert live(work) == "answer"
    value = telemetry.registry.get_sample_value
    assert value("relay_retries_total", {"operation": "runs.list", "reason": "unavailable"}) == 2
    assert value("relay_retry_budget_exhausted_total", {"operation": "runs.list"}) >= 1  # type: ignore[operator]


# The worker as a whole


def test_an_api_that_fails_sees_few_repetitions_and_no_rhythm() -> None:
    """Ten conversations meet an API that is down for half a minute."""
    with Bench(faults=[{"kind": "status", "status": 503, "window_seconds": [0.0, 30.0]}]) as bench:
        for number in range(10):
            bench.say(0.01 * number, f"m{number}", conversation=f"customer number {number}")
        bench.run(100)
        during = [request for request in bench.requests() if request.at < 30.0]
        first = 10 + 10  # of each conversation a creation, and a look for what became of it
        assert first < len(during) <= first + 10 + 0.1 * first + 0.5 * 30.0
        times = [request.at for request in during]
        assert len(set(times)) == len(times)
        assert set(bench.outcomes().values()) == {"answered"}


def test_pauses_between_looks_grow_and_are_all_different() -> None:
    with Bench(profile={"run_seconds": {"kind": "constant", "value": 30.0}}) as bench:
        bench.say(0.0, "m1")
        bench.run(60)
        looks = [request.at for request in bench.requests("runs.retrieve")]
        pauses = [later - earlier - 0.2 for earlier, later in pairwise(looks)]
        assert len(set(pauses)) == len(pauses)
        assert all(0.8 * 0.8 <= pause <= 1.6 * 1.2 + 1e-5 for pause in pauses)
        assert 0.8 * 0.8 <= looks[0] - bench.requests("runs.create")[0].at - 0.2 <= 0.8 * 1.2 + 0.01
        assert min(pauses[4:]) >= 1.6 * 0.8
