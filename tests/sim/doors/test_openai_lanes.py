"""Both lanes: the real SDK end to end in virtual time, and the direct client with an identical trace and errors."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import httpx2
import openai
import openai._base_client
import pytest
from openai_world import ASSISTANT, World, constant, flat_profile

from relaysim.sim.backends.profile import Profile, load_profile
from relaysim.sim.doors import LANES, ApiFault, Lane, NotInDirectLaneError, keyed_retry_jitter, make_client, warm_up

both_lanes = pytest.mark.parametrize("lane", LANES)


@pytest.fixture(autouse=True, scope="module")
def _warm() -> None:
    warm_up()


@both_lanes
def test_a_conversation(lane: Lane) -> None:
    world = World(lane)

    async def bot(client: Any) -> list[Any]:
        threads = client.beta.threads
        thread = await threads.create(metadata={"customer": "1"})
        assert (await threads.retrieve(thread.id)).metadata == {"customer": "1"}
        message = await threads.messages.create(thread.id, role="user", content="olá")
        run = await threads.runs.create(thread.id, assistant_id=ASSISTANT, metadata={"epoch": "1"})
        assert (run.status, run.metadata, run.expires_at - run.created_at) == ("queued", {"epoch": "1"}, 600)

        with pytest.raises(openai.BadRequestError) as conflict:
            await threads.messages.create(thread.id, role="user", content="again")
        expected = f"Can't add messages to {thread.id} while a run {run.id} is active."
        assert str(conflict.value) == f"Error code: 400 - {expected}"
        assert conflict.value.body == {
            "message": expected,
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        }
        with pytest.raises(openai.BadRequestError, match=f"already has an active run {run.id}"):
            await threads.runs.create(thread.id, assistant_id=ASSISTANT)

        while run.status not in ("completed", "failed"):
            await asyncio.sleep(1)
            run = await threads.runs.retrieve(run.id, thread_id=thread.id)
        page = await threads.messages.list(thread.id, limit=1, order="desc")
        reply = page.data[0]
        assert reply.content[0].text.value == "Reply 1 to: olá"
        assert (reply.run_id, page.has_more) == (run.id, True)
        same = await threads.messages.retrieve(message.id, thread_id=thread.id)
        assert same.content[0].text.value == "olá"

        second = await threads.runs.create(
            thread.id, assistant_id=ASSISTANT, additional_messages=[{"role": "user", "content": "tchau"}]
        )
        cancelled = await threads.runs.cancel(second.id, thread_id=thread.id)
        assert (cancelled.status, cancelled.cancelled_at) == ("cancelling", None)
        with pytest.raises(openai.BadRequestError, match="Cannot cancel run with status 'cancelling'"):
            await threads.runs.cancel(second.id, thread_id=thread.id)
        runs = await threads.runs.list(thread.id, limit=10)
        assert [(item.id, item.status) for item in runs.data] == [(second.id, "cancelling"), (run.id, "completed")]
        await asyncio.sleep(5)
        assert (await threads.runs.retrieve(second.id, thread_id=thread.id)).status == "cancelled"
        return [item.id async for item in threads.messages.list(thread.id, limit=1)]

    (ids,) = world.run(bot)
    assert len(ids) == len(set(ids)) == 3


FAULTS = [
    ApiFault(kind="response_lost", probability=0.04),
    ApiFault(kind="request_lost", probability=0.02),
    ApiFault(kind="read_timeout", probability=0.02),
    ApiFault(kind="connect_error", probability=0.04),
    ApiFault(kind="status", status=429, probability=0.08, retry_after_seconds=2),
    ApiFault(kind="status", status=429, probability=0.05),
    ApiFault(kind="status", status=500, probability=0.08),
    ApiFault(kind="status", status=500, probability=0.05, processed=True),
    ApiFault(kind="status", status=502, probability=0.03),
    ApiFault(kind="status", status=502, probability=0.03, html=True),
    ApiFault(kind="status", status=409, probability=0.02),
    ApiFault(kind="status", status=408, probability=0.02),
    ApiFault(kind="status", status=418, probability=0.02),
    ApiFault(kind="status", status=403, probability=0.02),
    ApiFault(kind="status", status=503, probability=0.02, headers={"x-should-retry": "false"}),
    ApiFault(kind="status", status=400, probability=0.02, headers={"x-should-retry": "true"}),
    ApiFault(kind="status", status=429, probability=0.02, headers={"retry-after-ms": "350"}),
    ApiFault(kind="status", status=429, probability=0.02, headers={"retry-after": "121"}),
    ApiFault(kind="status", status=429, probability=0.02, headers={"retry-after": "soon"}),
    ApiFault(kind="status", status=429, probability=0.02, headers={"Retry-After": "Tue, 04 Nov 2025 12:01:00 GMT"}),
    ApiFault(kind="reset", probability=0.03),
    ApiFault(kind="truncated", probability=0.03),
    ApiFault(kind="malformed", probability=0.03),
    ApiFault(kind="slow_body", probability=0.03, seconds=20.0),
    ApiFault(kind="slow_body", probability=0.02, seconds=400.0),
]


def describe(error: openai.APIError | json.JSONDecodeError) -> tuple[Any, ...]:
    """All that a relay may read of an exception."""
    if isinstance(error, json.JSONDecodeError):
        return (type(error), str(error), error.msg, error.doc, error.pos, error.__cause__)
    response = getattr(error, "response", None)
    return (
        type(error),
        str(error),
        repr(error),
        error.message,
        error.body,
        error.code,
        error.param,
        error.type,
        getattr(error, "status_code", None),
        getattr(error, "request_id", None),
        str(error.request.url),
        error.request.method,
        None if response is None else (response.status_code, response.text, dict(response.headers), response.content),
        None if error.__cause__ is None else (type(error.__cause__), str(error.__cause__)),
    )


Outcome = tuple[list[Any], list[Any], list[int], str]


def chaos(
    lane: Lane,
    seed: int,
    faults: Sequence[ApiFault] = FAULTS,
    profile: Profile | None = None,
    **options: Any,
) -> Outcome:
    """Two workers on one thread, every fault there is: the trace, and what each worker saw."""
    profile = load_profile("typical", {"slow_probability": 0.02}) if profile is None else profile
    world = World(lane, profile, faults, seed)

    async def bot(client: Any) -> list[Any]:
        threads = client.with_options(**{"timeout": 30.0, **options}).beta.threads
        seen: list[Any] = []
        for number in range(4):
            try:
                await threads.messages.create(world.thread, role="user", content=f"téxt {number}")
                run = await threads.runs.create(world.thread, assistant_id=ASSISTANT)
                while run.status in ("queued", "in_progress", "cancelling"):
                    await asyncio.sleep(1)
                    run = await threads.runs.retrieve(run.id, thread_id=world.thread)
                page = await threads.messages.list(world.thread, limit=2)
                seen.append([(item.id, item.role, item.content[0].text.value) for item in page.data])
            except (openai.APIError, json.JSONDecodeError) as error:
                seen.append(describe(error))
                try:
                    for active in (await threads.runs.list(world.thread, limit=5)).data:
                        if active.status == "in_progress":
                            await threads.runs.cancel(active.id, thread_id=world.thread)
                except (openai.APIError, json.JSONDecodeError) as second:
                    seen.append(describe(second))
                await asyncio.sleep(2)
        return seen

    seen = world.run(bot, bot, until=20_000)
    return list(world.kernel.trace.records), seen, world.network.faults.fired, world.kernel.trace.fingerprint()


@pytest.mark.parametrize("seeds", [range(8), pytest.param(range(8, 200), marks=pytest.mark.soak)])
def test_both_lanes_leave_the_same_trace(seeds: range) -> None:
    fired = [0] * len(FAULTS)
    for seed in seeds:
        sdk, direct = chaos("sdk", seed), chaos("direct", seed)
        assert sdk[0] == direct[0]
        assert sdk[1] == direct[1]
        assert sdk[2:] == direct[2:]
        fired = [total + count for total, count in zip(fired, sdk[2], strict=True)]
    assert min(fired) > 0  # every kind of fault was compared


KINDS = (
    *("connect_error", "request_lost", "response_lost", "read_timeout"),
    *("status", "reset", "truncated", "malformed", "slow_body", "conversation_gone"),
)


def any_fault(choose: random.Random) -> ApiFault:
    """A fault of any kind, on any route, at any rate, in any window."""
    kind = choose.choice(KINDS)
    table: dict[str, Any] = {
        "kind": kind,
        "route": choose.choice(("*", "messages.*", "runs.create", "*.list", "runs.*")),
    }
    if kind == "conversation_gone":
        table["route"] = choose.choice(("messages.*", "runs.create", "runs.*"))
    if choose.random() < 0.7:
        table["probability"] = choose.choice((0.05, 0.2, 0.5))
    else:
        table["nth"] = tuple(choose.sample(range(1, 12), 3))
    if choose.random() < 0.3:
        table["window_seconds"] = choose.choice(((0.0, 20.0), (10.0, 60.0), (5.0, 5000.0)))
    if kind == "slow_body":
        table["seconds"] = choose.choice((0.01, 3.0, 45.0, 200.0))
    if kind == "status":
        table["status"] = choose.choice((400, 401, 403, 404, 408, 409, 418, 422, 429, 500, 502, 503, 504))
        table["processed"] = choose.random() < 0.3
        table["html"] = table["status"] == 502 and choose.random() < 0.5
        if choose.random() < 0.5:
            table["headers"] = choose.choice(
                (
                    {"x-should-retry": "true"},
                    {"X-Should-Retry": "false"},
                    {"retry-after": "3"},
                    {"retry-after": "121", "x-should-retry": "true"},
                    {"Retry-After": "Tue, 04 Nov 2025 12:00:30 GMT"},
                    {"Retry-After": "Tue, 04 Nov 2025 11:00:00 GMT"},
                    {"retry-after-ms": "1500.5", "retry-after": "7"},
                    {"x-request-id": "req_edge"},
                )
            )
    return ApiFault.model_validate(table)


@pytest.mark.parametrize("seeds", [range(15), pytest.param(range(15, 300), marks=pytest.mark.soak)])
def test_both_lanes_leave_the_same_trace_in_any_world(seeds: range) -> None:
    failures: set[str | None] = set()
    for seed in seeds:
        choose = random.Random(seed)
        faults = [any_fault(choose) for _ in range(choose.randint(1, 5))]
        profile = load_profile(choose.choice(("claimed", "typical", "bad_day", "outage")))
        options = {"max_retries": choose.choice((0, 1, 2, 4)), "timeout": choose.choice((2.0, 15.0, 60.0, 600.0))}
        sdk, direct = (chaos(lane, seed, faults, profile, **options) for lane in LANES)
        assert sdk == direct, (seed, faults, options)
        failures |= {record.fields[2] for record in sdk[0] if record.kind == "response"}
    assert failures == {None, "ConnectError", "ReadTimeout", "ReadError", "RemoteProtocolError", "malformed"}


def test_another_seed_another_world() -> None:
    assert chaos("direct", 1)[3] == chaos("direct", 1)[3] != chaos("direct", 2)[3]


@both_lanes
def test_retries_wait_as_the_sdk_waits(lane: Lane) -> None:
    world = World(lane, faults=[ApiFault(kind="status", status=500)])

    async def bot(client: Any) -> None:
        with pytest.raises(openai.InternalServerError):
            await client.beta.threads.retrieve(world.thread)

    world.run(bot)
    left = [time for time, *_ in world.events("request")]
    waits = [after - before - 0.5 for before, after in pairwise(left)]
    assert len(waits) == 2
    assert 0.375 <= waits[0] <= 0.5 + 1e-5
    assert 0.75 <= waits[1] <= 1.0 + 1e-5
    # Both waits are jittered by draws keyed by worker, operation, thread and attempt.
    key = f"worker-1/threads.retrieve/{world.thread}"
    for number, wait in enumerate(waits):
        u = world.kernel.draws.uniform(key, "sdk-retry-jitter", number)
        assert wait == pytest.approx(0.5 * 2**number * (1 - 0.25 * u), abs=3e-6)


@both_lanes
def test_a_landed_but_lost_append_is_stored_twice(lane: Lane) -> None:
    world = World(lane, faults=[ApiFault(kind="response_lost", route="messages.create", nth=(1,))])

    async def bot(client: Any) -> None:
        await client.with_options(timeout=5.0).beta.threads.messages.create(world.thread, role="user", content="x")

    world.run(bot)
    assert len(world.service.threads[world.thread].messages) == 2


@both_lanes
def test_a_landed_but_lost_run_comes_back_as_a_conflict_with_itself(lane: Lane) -> None:
    world = World(lane, faults=[ApiFault(kind="response_lost", route="runs.create", nth=(1,))])

    async def bot(client: Any) -> str:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.with_options(timeout=5.0).beta.threads.runs.create(world.thread, assistant_id=ASSISTANT)
        return str(caught.value)

    (text,) = world.run(bot)
    (run,) = world.service.threads[world.thread].runs
    assert text == f"Error code: 400 - Thread {world.thread} already has an active run {run.id}."


@both_lanes
def test_wrong_calls_fail_before_any_request(lane: Lane) -> None:
    world = World(lane)

    async def bot(client: Any) -> None:
        threads = client.beta.threads
        with pytest.raises(TypeError) as missing:
            await threads.runs.cancel("run_1")
        assert str(missing.value) == "AsyncRuns.cancel() missing 1 required keyword-only argument: 'thread_id'"
        with pytest.raises(TypeError, match="Missing required arguments; Expected either"):
            await threads.runs.create(world.thread)
        with pytest.raises(TypeError):
            await threads.messages.create(world.thread, content="x")
        with pytest.raises(TypeError, match="unexpected keyword argument"):
            await threads.runs.retrieve("run_1", thread_id=world.thread, colour=1)
        calls: list[tuple[Callable[[], Any], str]] = [
            (lambda: threads.retrieve(""), "thread_id"),
            (lambda: threads.messages.create("", role="user", content="x"), "thread_id"),
            (lambda: threads.messages.list(""), "thread_id"),
            (lambda: threads.messages.retrieve("", thread_id="thread_1"), "message_id"),
            (lambda: threads.runs.create("", assistant_id="asst_1"), "thread_id"),
            (lambda: threads.runs.retrieve("", thread_id="thread_1"), "run_id"),
            (lambda: threads.runs.list(""), "thread_id"),
            (lambda: threads.runs.cancel("run_1", thread_id=""), "thread_id"),
        ]
        for call, name in calls:
            with pytest.raises(ValueError) as empty:  # noqa: PT011
                await call()
            assert str(empty.value) == f"Expected a non-empty value for `{name}` but received ''"

    world.run(bot)
    assert not world.events("request")


@both_lanes
def test_unknown_and_malformed_ids(lane: Lane) -> None:
    world = World(lane, assistants=[ASSISTANT])

    async def bot(client: Any) -> list[str]:
        threads = client.beta.threads
        texts = []
        calls: list[Callable[[], Any]] = [
            lambda: threads.retrieve("undefined"),
            lambda: threads.runs.list("thread_gone"),
            lambda: threads.runs.retrieve("run_gone", thread_id=world.thread),
            lambda: threads.messages.retrieve("msg_gone", thread_id=world.thread),
            lambda: threads.runs.create(world.thread, assistant_id="asst_gone"),
            lambda: threads.messages.list(world.thread, limit=0),
        ]
        for call in calls:
            with pytest.raises(openai.APIStatusError) as caught:
                await call()
            texts.append(str(caught.value))
        return texts

    assert world.run(bot) == [
        [
            "Error code: 400 - Invalid 'thread_id': 'undefined'. Expected an ID that begins with 'thread'.",
            "Error code: 404 - No thread found with id 'thread_gone'.",
            "Error code: 404 - No run found with id 'run_gone'.",
            "Error code: 404 - No message found with id 'msg_gone'.",
            "Error code: 404 - No assistant found with id 'asst_gone'.",
            "Error code: 400 - Invalid 'limit': integer below minimum value. Expected a value >= 1, but got 0 instead.",
        ]
    ]


@both_lanes
def test_the_caller_may_change_its_arguments_while_the_request_is_on_its_way(lane: Lane) -> None:
    world = World(lane)

    async def bot(client: Any) -> Any:
        metadata = {"ids": "1"}
        task = asyncio.ensure_future(
            client.beta.threads.runs.create(world.thread, assistant_id=ASSISTANT, metadata=metadata)
        )
        await asyncio.sleep(0.1)
        metadata["ids"] = "2"
        run = await task
        run.metadata["ids"] = "3"
        return (await client.beta.threads.runs.retrieve(run.id, thread_id=world.thread)).metadata

    assert world.run(bot) == [{"ids": "1"}]


@both_lanes
def test_per_call_timeouts(lane: Lane) -> None:
    world = World(lane, flat_profile(request_seconds=constant(3)))

    async def bot(client: Any) -> None:
        quick = client.with_options(max_retries=0)
        for limit in (2.0, httpx2.Timeout(10.0, read=2.0)):
            with pytest.raises(openai.APITimeoutError, match=r"Request timed out\."):
                await quick.beta.threads.retrieve(world.thread, timeout=limit)
        await quick.beta.threads.retrieve(world.thread, timeout=None)

    world.run(bot)
    assert [fields[1] for _, _, _, fields in world.events("response")] == [0, 0, 200]


def test_the_sdks_own_polling_helper_runs_in_virtual_time() -> None:
    world = World("sdk")

    async def bot(client: Any) -> Any:
        return await client.beta.threads.runs.create_and_poll(thread_id=world.thread, assistant_id=ASSISTANT)

    (run,) = world.run(bot)
    assert run.status == "completed"
    assert 11.0 < world.events("response")[-1][0] < 13.0


def test_what_the_direct_lane_lacks_it_says_so() -> None:
    world = World("direct")

    async def bot(client: Any) -> None:
        reaches: list[Callable[[], Any]] = [
            lambda: client.skills,
            lambda: client.beta.assistants,
            lambda: client.beta.threads.delete,
            lambda: client.beta.threads.runs.create_and_poll,
            lambda: client.beta.threads.messages.with_raw_response,
            lambda: client.with_options(base_url="https://example.com"),
        ]
        for reach in reaches:
            with pytest.raises(NotInDirectLaneError, match="is not in the direct lane: use lane sdk"):
                reach()
        with pytest.raises(NotInDirectLaneError, match="extra_headers"):
            await client.beta.threads.retrieve(world.thread, extra_headers={"a": "b"})
        with pytest.raises(NotInDirectLaneError, match="stream"):
            await client.beta.threads.runs.create(world.thread, assistant_id=ASSISTANT, stream=True)
        assert not hasattr(client, "post")

    world.run(bot)


def test_direct_records_read_like_the_sdks_objects() -> None:
    def look(lane: Lane) -> Any:
        world = World(lane)

        async def bot(client: Any) -> Any:
            message = await client.beta.threads.messages.create(
                world.thread, role="user", content=[{"type": "text", "text": "a"}], metadata={"k": "v"}
            )
            run = await client.beta.threads.runs.create(world.thread, assistant_id=ASSISTANT, temperature=0.25)
            page = await client.beta.threads.messages.list(world.thread)
            return [
                message.to_dict(),
                run.to_dict(),
                message.metadata,
                message.content[0].text.annotations,
                run.truncation_strategy.type,
                run.temperature,
                run._request_id,
                page.has_next_page(),
                page.first_id,
            ]

        return world.run(bot)[0]

    assert look("sdk") == look("direct")


def test_the_sdks_jitter_is_keyed_only_while_held() -> None:
    sdk: Any = openai._base_client
    real = sdk.random
    assert real is random.random
    with keyed_retry_jitter():
        with keyed_retry_jitter():
            assert sdk.random is not real
        assert sdk.random is not real
        assert 0 <= sdk.random() < 1  # outside a world the real thing answers
    assert sdk.random is real


def test_make_client_refuses_nonsense() -> None:
    world, other = World(), World()
    host = world.host()
    with pytest.raises(ValueError, match="no lane 'fast'"):
        make_client(world.kernel, host, world.network, "fast")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="another kernel"):
        make_client(world.kernel, host, other.network, "sdk")
