"""Rate limits: which requests count against which, how a minute's allowance comes back, and what a refusal says."""

from __future__ import annotations

import re
from typing import Any

import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai_world import ASSISTANT, World, constant, flat_profile

from relaysim.sim.backends.calls import Call
from relaysim.sim.backends.profile import Profile, load_profile
from relaysim.sim.backends.rate_limits import RateLimits
from relaysim.sim.backends.threads.operations import OPERATIONS, RUN_CREATIONS
from relaysim.sim.doors import LANES, ApiError, Lane, warm_up

both_lanes = pytest.mark.parametrize("lane", LANES)


@pytest.fixture(autouse=True, scope="module")
def _warm() -> None:
    warm_up()


class Clock:
    """A time to set."""

    def __init__(self) -> None:
        self.seconds = 1_762_257_600.0

    def __call__(self) -> float:
        return self.seconds


def limits_of(clock: Clock, *per_minute: int | None, **more: int) -> RateLimits:
    """Limits of the Threads API."""
    return RateLimits(clock, OPERATIONS, RUN_CREATIONS, *per_minute, **more)


def from_profile(profile: Profile) -> RateLimits | None:
    """A profile's limits of the Threads API."""
    return RateLimits.from_profile(profile, Clock(), OPERATIONS, RUN_CREATIONS)


def admitted(limits: RateLimits, operation: str, count: int) -> int:
    """How many of so many requests at one instant are let in."""
    return sum(limits.admit(Call(operation)) is None for _ in range(count))


def retry_after(error: ApiError | None) -> int | None:
    """A refusal's Retry-After."""
    assert error is not None
    assert error.status == 429
    text = error.headers.get("retry-after")
    assert text is None or text.isdigit()
    return None if text is None else int(text)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_every_operation_counts_against_its_method(operation: Any) -> None:
    allowance = {"GET": 11, "POST": 7, "DELETE": 5}
    limits = limits_of(Clock(), allowance["GET"], allowance["POST"], None, allowance["DELETE"])
    assert admitted(limits, operation.name, 20) == allowance[operation.method]
    for method, name in (("GET", "threads.retrieve"), ("POST", "threads.create"), ("DELETE", "threads.delete")):
        if method != operation.method:
            assert limits.admit(Call(name)) is None


def test_creating_runs_counts_against_runs_and_posts() -> None:
    limits = limits_of(Clock(), posts_per_minute=10, runs_per_minute=4)
    assert admitted(limits, "runs.create", 3) == 3
    assert admitted(limits, "threads.create_and_run", 3) == 1
    # The refused creations have spent no POST either.
    assert admitted(limits, "messages.create", 20) == 6
    assert admitted(limits_of(Clock(), posts_per_minute=2, runs_per_minute=4), "runs.create", 9) == 2


def test_the_allowance_comes_back_continuously_and_no_further_than_a_minutes() -> None:
    clock = Clock()
    limits = limits_of(clock, gets_per_minute=60)
    assert admitted(limits, "threads.retrieve", 100) == 60
    clock.seconds += 0.5
    assert admitted(limits, "threads.retrieve", 10) == 0
    clock.seconds += 0.5
    assert admitted(limits, "threads.retrieve", 10) == 1
    clock.seconds += 10
    assert admitted(limits, "threads.retrieve", 100) == 10
    clock.seconds += 3600
    assert admitted(limits, "threads.retrieve", 100) == 60


@pytest.mark.parametrize("elapsed", [1, 15, 29, 30, 31, 45, 59, 60, 89])
@pytest.mark.parametrize("operation", ["threads.retrieve", "messages.create", "runs.create", "threads.delete"])
def test_of_a_minutes_allowance_so_much_is_back_as_of_the_minute_has_passed(operation: str, elapsed: int) -> None:
    clock = Clock()
    limits = limits_of(clock, 60, 60, 60, 60, 60)
    assert admitted(limits, operation, 100) == 60
    clock.seconds += elapsed
    assert admitted(limits, operation, 100) == min(60, elapsed)


@pytest.mark.parametrize("elapsed", [1, 29, 30, 31, 59, 60, 89])
def test_so_much_of_a_minutes_tokens_is_back_too(elapsed: int) -> None:
    clock = Clock()
    limits = limits_of(clock, tokens_per_minute=6000)
    assert limits.admit(Call("runs.create"), 6000) is None
    clock.seconds += elapsed
    back = min(6000, 100 * elapsed)
    assert limits.admit(Call("runs.create"), back + 1) is not None
    assert limits.admit(Call("runs.create"), back) is None


def test_a_refusal_is_worded_as_captured_and_spends_nothing() -> None:
    clock = Clock()
    limits = limits_of(clock, gets_per_minute=7)
    assert admitted(limits, "runs.list", 7) == 7
    refused = limits.admit(Call("runs.list"))
    assert retry_after(refused) == 9  # 60 / 7 is 8.57
    assert refused is not None
    assert refused.message == "You've exceeded the rate limit, please slow down and try again later."
    assert refused.code == "rate_limit_exceeded"
    for _ in range(50):
        assert retry_after(limits.admit(Call("runs.list"))) == 9
    clock.seconds += 9
    assert limits.admit(Call("runs.list")) is None


@settings(deadline=None)
@given(
    per_minute=st.integers(1, 2000),
    spent=st.lists(st.floats(0, 3, width=16), max_size=40),
)
def test_whoever_waits_as_long_as_it_is_told_is_let_in_and_no_whole_second_earlier(
    per_minute: int, spent: list[float]
) -> None:
    clock = Clock()
    limits = limits_of(clock, posts_per_minute=per_minute)
    for pause in spent:
        clock.seconds += pause
        limits.admit(Call("messages.create"))
    while (refused := limits.admit(Call("messages.create"))) is None:
        pass
    wait = retry_after(refused)
    assert wait is not None
    assert wait >= 1
    if wait > 1:
        clock.seconds += wait - 1
        assert limits.admit(Call("messages.create")) is not None
        clock.seconds += 1
    else:
        clock.seconds += wait
    assert limits.admit(Call("messages.create")) is None


def test_tokens_have_an_allowance_of_their_own() -> None:
    clock = Clock()
    limits = limits_of(clock, posts_per_minute=3, tokens_per_minute=30_000)
    assert limits.admit(Call("runs.create"), 18_928) is None
    refused = limits.admit(Call("runs.create"), 11_159)
    # The wording of a public report, to the millisecond.
    assert refused is not None
    assert re.search(r"Limit 30000, Used 18928, Requested 11159\. Please try again in 174ms\.", refused.message)
    assert (refused.type, retry_after(refused)) == ("tokens", 1)
    clock.seconds += 1
    assert limits.admit(Call("runs.create"), 11_159) is None
    # Neither a POST nor a token was spent on the refused one.
    assert limits.admit(Call("runs.create"), 0) is None
    assert limits.admit(Call("runs.create"), 0) is not None


def test_more_tokens_than_a_minute_has_are_refused_for_good() -> None:
    limits = limits_of(Clock(), tokens_per_minute=1000)
    refused = limits.admit(Call("runs.create"), 1001)
    assert retry_after(refused) is None  # no time would do
    assert limits.admit(Call("runs.create"), 1000) is None


def test_what_the_api_does_not_have_counts_nothing_and_a_clock_set_back_gives_nothing() -> None:
    clock = Clock()
    limits = limits_of(clock, 1, 1, 1, 1, 1)
    assert admitted(limits, "unknown", 10) == 10
    assert admitted(limits, "threads.delete", 2) == 1
    clock.seconds -= 3600
    assert admitted(limits, "threads.delete", 2) == 0
    clock.seconds += 60
    assert admitted(limits, "threads.delete", 2) == 1


def test_profiles_name_the_limits() -> None:
    assert from_profile(load_profile("claimed")) is None
    assert from_profile(load_profile("typical")) is None
    limits = from_profile(load_profile("bad_day"))
    assert limits is not None
    assert admitted(limits, "runs.create", 1000) == 200
    assert admitted(limits, "messages.create", 1000) == 100
    assert admitted(limits, "threads.retrieve", 2000) == 1000
    assert admitted(limits, "threads.delete", 1000) == 300
    with pytest.raises(ValueError, match="gets_per_minute must be at least 1, or None for no limit, not 0"):
        limits_of(Clock(), 0)


@both_lanes
def test_a_world_with_limits_refuses_and_the_client_waits_as_it_is_told(lane: Lane) -> None:
    world = World(lane, flat_profile(posts_per_minute=2, request_seconds=constant(0.5)))

    async def bot(client: Any) -> list[Any]:
        threads = client.beta.threads
        for _ in range(3):
            await threads.messages.create(world.thread, role="user", content="x")
        with pytest.raises(openai.RateLimitError) as caught:
            await client.with_options(max_retries=0).beta.threads.runs.create(world.thread, assistant_id=ASSISTANT)
        return [caught.value.response.headers["retry-after"], caught.value.code]

    assert world.run(bot) == [["29", "rate_limit_exceeded"]]
    served = [(time, fields[1]) for time, _, _, fields in world.events("served")]
    # A POST is back 30 s after the first was spent, at 0.25 s: the third append, refused at 1.25 s, is told to wait 29.
    assert served[:3] == [(0.25, 200), (0.75, 200), (1.25, 429)]
    assert served[3][1] == 200
    assert served[3][0] == pytest.approx(1.5 + 29 + 0.25, abs=1e-5)
