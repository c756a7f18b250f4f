"""One attempt at a request: when it is served and answered, what faults do to it, and what the trace says."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import openai
import pytest
from openai_world import ASSISTANT, World, constant, flat_profile
from pydantic import ValidationError

from relaysim.sim.doors import ApiFault
from relaysim.sim.doors.simulation import ApiSettings


async def append(client: Any, thread: str, **options: Any) -> Any:
    """One append with a timeout of 4 s and no retries."""
    quick = client.with_options(timeout=4.0, max_retries=0)
    return await quick.beta.threads.messages.create(thread, role="user", content="hi", **options)


def one_append(*faults: ApiFault, **changes: Any) -> tuple[World, Any]:
    """A world in which one append is sent at second 0, and what became of it."""
    world = World(profile=flat_profile(**changes), faults=faults)

    async def bot(client: Any) -> Any:
        try:
            return await append(client, world.thread)
        except openai.APIError as error:
            return error

    return world, world.run(bot)[0]


def steps(world: World) -> list[tuple[float, str, Any]]:
    """Time, kind and status of the trace's request events; None for a request."""
    return [
        (time, kind, None if kind == "request" else fields[1])
        for time, _, kind, fields in world.events("request", "served", "response")
    ]


def test_a_request_is_served_on_its_way() -> None:
    world, message = one_append(request_arrival_fraction=0.25)
    assert steps(world) == [(0.0, "request", None), (0.125, "served", 200), (0.5, "response", 200)]
    assert world.events("request")[0][3] == ("worker-1#1", "", "messages.create", world.thread, None)
    assert world.events("served")[0][3] == ("worker-1#1", 200, None, message.id)
    assert world.events("response")[0][3] == ("worker-1#1", 200, None)


def test_connect_error_fails_fast_and_reaches_nobody() -> None:
    world, error = one_append(ApiFault(kind="connect_error"))
    assert steps(world) == [(0.0, "request", None), (0.25, "response", 0)]
    assert world.events("response")[0][3][2] == "ConnectError"
    assert type(error) is openai.APIConnectionError
    assert not world.service.threads[world.thread].messages


@pytest.mark.parametrize(
    ("kind", "served"), [("request_lost", []), ("response_lost", [0.25]), ("read_timeout", [4.25])]
)
def test_lost_requests_look_the_same_to_the_client(kind: Any, served: list[float]) -> None:
    world, error = one_append(ApiFault(kind=kind))
    assert [time for time, what, _ in steps(world) if what == "served"] == served
    assert [(time, status) for time, what, status in steps(world) if what == "response"] == [(4.0, 0)]
    assert world.events("response")[0][3][2] == "ReadTimeout"
    assert type(error) is openai.APITimeoutError
    assert len(world.service.threads[world.thread].messages) == len(served)


def test_an_answer_slower_than_the_timeout_is_a_timeout_though_it_was_served() -> None:
    world, error = one_append(slow_probability=1.0, slow_seconds=constant(10))
    assert steps(world) == [(0.0, "request", None), (4.0, "response", 0), (5.0, "served", 200)]
    assert type(error) is openai.APITimeoutError


def test_status_faults() -> None:
    world, error = one_append(ApiFault(kind="status", status=503))
    assert steps(world)[1:] == [(0.25, "served", 503), (0.5, "response", 503)]
    assert (type(error), error.status_code) == (openai.InternalServerError, 503)
    assert not world.service.threads[world.thread].messages
    world, error = one_append(ApiFault(kind="status", status=500, processed=True))
    assert error.status_code == 500
    assert len(world.service.threads[world.thread].messages) == 1


def test_a_client_without_a_timeout_waits_for_ever() -> None:
    world = World(faults=[ApiFault(kind="request_lost")])

    async def bot(client: Any) -> Any:
        return await client.with_options(timeout=None).beta.threads.retrieve(world.thread)

    assert world.run(bot, until=100_000) == [None]
    assert steps(world) == [(0.0, "request", None)]


def test_giving_up_does_not_take_a_request_back() -> None:
    world = World()

    async def bot(client: Any) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(append(client, world.thread), 0.125)

    world.run(bot)
    assert steps(world) == [(0.0, "request", None), (0.25, "served", 200)]  # nobody is there for a response


def test_an_answer_that_comes_as_its_client_gives_up_is_not_read() -> None:
    """Both are due at one instant, and asyncio lets the timer have its way."""
    world = World()

    async def bot(client: Any) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await append(client, world.thread)

    world.run(bot)
    assert steps(world) == [
        (0.0, "request", None),
        (0.25, "served", 200),
        (0.5, "response", 200),
        (0.5, "response", 0),
    ]


def test_nth_counts_over_the_world_and_the_first_fault_that_fires_decides() -> None:
    faults = [
        ApiFault(kind="status", status=409, route="messages.create", nth=(2, 3)),
        ApiFault(kind="status", status=429, route="messages.*", nth=(3, 4)),
        ApiFault(kind="status", status=500, route="runs.*"),
    ]
    world = World(faults=faults)
    statuses: list[int] = []

    async def bot(client: Any) -> None:
        for _ in range(5):
            try:
                await append(client, world.thread)
            except openai.APIStatusError as error:
                statuses.append(error.status_code)
            else:
                statuses.append(200)

    world.run(bot)
    assert statuses == [200, 409, 409, 429, 200]
    assert world.network.faults.fired == [2, 1, 0]


def test_window_and_probability() -> None:
    fault = ApiFault(kind="status", status=500, probability=0.5, window_seconds=(100.0, 300.0))
    world = World(faults=[fault])

    async def bot(client: Any) -> None:
        quick = client.with_options(max_retries=0)
        for _ in range(400):
            with suppress(openai.InternalServerError):
                await quick.beta.threads.retrieve(world.thread)
            await asyncio.sleep(0.5)

    world.run(bot)
    failed = [time for time, _, _, fields in world.events("served") if fields[1] == 500]
    assert 100.0 <= min(failed) < 105.0
    assert 295.0 < max(failed) <= 300.25
    assert 80 < len(failed) < 120  # of 200
    assert world.network.faults.fired == [len(failed)]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"kind": "status"}, "kind 'status' needs `status`"),
        ({"kind": "request_lost", "status": 500}, "belongs to kind 'status'"),
        ({"kind": "request_lost", "retry_after_seconds": 3}, "`retry_after_seconds` belongs to kind 'status' only"),
        ({"kind": "status", "status": 200}, "greater than or equal to 400"),
        ({"kind": "lost"}, "kind"),
        ({"kind": "request_lost", "route": "message.create"}, "matches no operation"),
        ({"kind": "request_lost", "nth": [0]}, "counts from 1"),
        ({"kind": "request_lost", "window_seconds": [5, 5]}, "end after it begins"),
        ({"kind": "request_lost", "probability": 1.1}, "less than or equal to 1"),
        ({"kind": "status", "status": 429, "retry_after_seconds": 0}, "greater than or equal to 1"),
    ],
)
def test_bad_faults_are_refused(table: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ApiSettings.model_validate({"faults": [table]})


def test_latencies_are_keyed_and_not_shared() -> None:
    profile = flat_profile(request_seconds={"kind": "lognormal", "median": 0.3, "p99": 2.0})

    def durations(others: int) -> list[float]:
        world = World(profile=profile)
        elsewhere = world.service.create_thread(key="customer 2")["id"]

        async def bot(client: Any) -> None:
            for _ in range(5):
                for _ in range(others):
                    await client.beta.threads.retrieve(elsewhere)
                await client.beta.threads.messages.create(world.thread, role="user", content="x")

        world.run(bot)
        starts = {fields[0]: time for time, _, _, fields in world.events("request") if "messages.create" in fields}
        return [time - starts[fields[0]] for time, _, _, fields in world.events("response") if fields[0] in starts]

    assert durations(0) == durations(3)
    assert len(set(durations(0))) == 5


def test_runs_are_seen_in_lists() -> None:
    world = World()

    async def bot(client: Any) -> None:
        await client.beta.threads.runs.list(world.thread)
        await client.beta.threads.runs.create(world.thread, assistant_id=ASSISTANT)
        await client.beta.threads.runs.list(world.thread)

    world.run(bot)
    details = [fields[3] for _, _, _, fields in world.events("served")]
    assert details == [0, world.service.threads[world.thread].runs[0].id, 1]
