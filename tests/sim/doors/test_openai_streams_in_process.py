"""Streamed answers in virtual time: the real SDK's streaming helpers, read timeouts, and streams that break."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx2
import openai
import pytest
from openai.lib.streaming import AsyncAssistantEventHandler
from openai_world import ASSISTANT, World, flat_profile

from relaysim.sim.backends.replies import Reply, Text, ToolCall, ToolCalls, Turn
from relaysim.sim.doors import ApiFault, NotInDirectLaneError, make_client, warm_up

TEXT = "um dois três quatro cinco seis sete oito nove dez"


@pytest.fixture(autouse=True, scope="module")
def _warm() -> None:
    warm_up()


def tool_then_text(turn: Turn) -> str | Reply:
    """One round of a tool, then its output."""
    if turn.tool_outputs:
        return Text(f"It is {turn.tool_outputs[-1]['output']}.")
    return ToolCalls((ToolCall("weather", '{"city": "Lisbon"}', "call_1"),))


def world_of(*faults: ApiFault, replier: Callable[[Turn], str | Reply] = lambda turn: TEXT, **changes: Any) -> World:
    """A request takes 0.5 s, a run is queued for 1 s and writes for 10 s, its first token after 1 s."""
    return World("sdk", flat_profile(**changes), faults, replier=replier)


async def ask(client: Any, world: World, **options: Any) -> Any:
    """Start a streamed run."""
    return await client.beta.threads.runs.create(world.thread, assistant_id=ASSISTANT, stream=True, **options)


async def collect(stream: Any, world: World) -> list[tuple[float, str]]:
    """When which event was read."""
    return [(world.kernel.now, event.event) async for event in stream]


def no_longer_collected(world: World) -> bool:
    """Whether nobody keeps the frames of the world's only run any more."""
    (run,) = world.service.threads[world.thread].runs
    return run.stream is None or run.stream.detached


# The SDK's three ways


def test_events_arrive_one_by_one_as_the_run_lives() -> None:
    world = world_of()

    async def bot(client: Any) -> list[tuple[float, str]]:
        return await collect(await ask(client, world), world)

    (seen,) = world.run(bot)
    first = {}
    for time, name in seen:
        first.setdefault(name, time)
    # Created at 0.25 s; in progress 1 s later, first token 1 s after that, done 9 s later; each 0.25 s on its way.
    assert first["thread.run.created"] == first["thread.run.queued"] == 0.5
    assert first["thread.run.in_progress"] == 1.5
    assert first["thread.message.delta"] == 2.5
    assert first["thread.message.completed"] == first["thread.run.completed"] == 11.5
    deltas = [time for time, name in seen if name == "thread.message.delta"]
    assert len(deltas) == 10
    assert deltas == sorted(set(deltas))
    assert [name for _, name in seen][-1] == "thread.run.completed"


def test_the_trace_has_a_stream_as_one_answer_at_its_head() -> None:
    world = world_of()

    async def bot(client: Any) -> None:
        async for _ in await ask(client, world):
            pass

    world.run(bot)
    records = [(time, kind, fields) for time, _, kind, fields in world.events("request", "served", "response")]
    (run,) = world.service.threads[world.thread].runs
    assert records[1:] == [
        (0.25, "served", ("worker-1#1", 200, None, run.id)),
        (0.5, "response", ("worker-1#1", 200, None)),
    ]


def test_the_stream_helper_runs_in_virtual_time() -> None:
    world = world_of()

    class Handler(AsyncAssistantEventHandler):
        def __init__(self) -> None:
            super().__init__()
            self.text = ""

        async def on_text_delta(self, delta: Any, snapshot: Any) -> None:
            self.text += delta.value
            await asyncio.sleep(0.01)  # a slow reader misses nothing

    async def bot(client: Any) -> Any:
        handler = Handler()
        async with client.beta.threads.runs.stream(
            thread_id=world.thread, assistant_id=ASSISTANT, event_handler=handler
        ) as stream:
            run = await stream.get_final_run()
            messages = await stream.get_final_messages()
            steps = await stream.get_final_run_steps()
        return handler.text, run.status, messages[0].content[0].text.value, steps[0].type, world.kernel.now

    ((text, status, message, step, now),) = world.run(bot)
    assert (text, status, message, step) == (TEXT, "completed", TEXT, "message_creation")
    assert 11.5 <= now < 11.6


def test_tool_outputs_are_submitted_to_a_stream() -> None:
    world = world_of(replier=tool_then_text)

    async def bot(client: Any) -> Any:
        runs = client.beta.threads.runs
        async with runs.stream(thread_id=world.thread, assistant_id=ASSISTANT) as stream:
            run = await stream.get_final_run()
        assert run.status == "requires_action"
        (call,) = run.required_action.submit_tool_outputs.tool_calls
        async with runs.submit_tool_outputs_stream(
            run_id=run.id, thread_id=world.thread, tool_outputs=[{"tool_call_id": call.id, "output": "sunny"}]
        ) as stream:
            return "".join([delta async for delta in stream.text_deltas])

    assert world.run(bot) == ["It is sunny."]


def test_a_thread_and_its_run_are_created_to_a_stream() -> None:
    world = world_of()

    async def bot(client: Any) -> list[str]:
        stream = await client.beta.threads.create_and_run(
            assistant_id=ASSISTANT, thread={"messages": [{"role": "user", "content": "olá"}]}, stream=True
        )
        return [event.event async for event in stream]

    (names,) = world.run(bot)
    assert (names[0], names[-1]) == ("thread.created", "thread.run.completed")


def test_a_refused_stream_is_a_refusal_like_any_other() -> None:
    world = world_of()

    async def bot(client: Any) -> Any:
        await ask(client, world)
        with pytest.raises(openai.BadRequestError, match="already has an active run"):
            await ask(client, world)

    world.run(bot)


# Who reads, and for how long


def test_two_readers_do_not_disturb_each_other() -> None:
    def seen(together: bool) -> Any:
        world = world_of()
        other = world.service.create_thread(key="customer 2")["id"]

        async def bot(client: Any) -> list[tuple[float, str]]:
            return await collect(await ask(client, world), world)

        async def second(client: Any) -> int:
            count = 0
            async for _ in await client.beta.threads.runs.create(other, assistant_id=ASSISTANT, stream=True):
                count += 1
                await asyncio.sleep(0.125)
            return count

        return world.run(bot, second)[0] if together else world.run(bot)[0]

    assert seen(together=True) == seen(together=False)


def test_the_read_timeout_counts_between_frames() -> None:
    def outcome(timeout: float) -> tuple[Any, float]:
        world = world_of(first_token_fraction=0.3)  # the longest silence: 3 s before the first token

        async def bot(client: Any) -> tuple[Any, float]:
            try:
                stream = await ask(client.with_options(timeout=timeout), world)
                async for _ in stream:
                    pass
            except openai.APITimeoutError as error:
                return str(error.__cause__), world.kernel.now
            return "done", world.kernel.now

        result = world.run(bot)[0]
        # The run goes on either way, and its reply is stored.
        assert world.service.threads[world.thread].runs[0].status == "completed"
        return result  # type: ignore[no-any-return]

    assert outcome(3.0) == ("done", 11.5)
    assert outcome(2.5) == ("", 1.5 + 2.5)


def test_a_reader_that_is_slow_does_not_time_out() -> None:
    world = world_of()

    async def bot(client: Any) -> int:
        count = 0
        async for _ in await ask(client.with_options(timeout=3.0), world):
            count += 1
            await asyncio.sleep(5)
        return count

    (count,) = world.run(bot)
    assert count == len(set(range(count)))
    assert count > 15


def test_whoever_leaves_a_stream_leaves_the_run_alone() -> None:
    world = world_of()

    async def bot(client: Any) -> int:
        stream = await ask(client, world)
        async for event in stream:
            if event.event == "thread.message.delta":
                break
        await stream.close()
        assert no_longer_collected(world)
        return world.events("response")[-1][3][1]

    assert world.run(bot) == [200]
    (run,) = world.service.threads[world.thread].runs
    assert run.status == "completed"
    assert world.service.threads[world.thread].messages[-1]["content"][0]["text"]["value"] == TEXT


def test_a_cancelled_reader_leaves_nothing_behind() -> None:
    world = world_of()

    async def bot(client: Any) -> str:
        async def read() -> None:
            async with await ask(client, world) as stream:
                async for _ in stream:
                    pass

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(read(), 5)
        assert no_longer_collected(world)
        await asyncio.sleep(10)
        page = await client.beta.threads.messages.list(world.thread)
        return page.data[0].content[0].text.value  # type: ignore[no-any-return]

    assert world.run(bot) == [TEXT]


def test_an_answer_that_nobody_waits_for_is_not_collected() -> None:
    faults = [ApiFault(kind="response_lost", nth=(1,))]
    world = world_of(*faults)

    async def bot(client: Any) -> None:
        with pytest.raises(openai.APITimeoutError):
            await ask(client.with_options(timeout=2.0, max_retries=0), world)
        assert no_longer_collected(world)

    world.run(bot)
    (run,) = world.service.threads[world.thread].runs
    assert run.status == "completed"
    assert no_longer_collected(world)


def test_a_cancelled_run_ends_its_stream() -> None:
    world = world_of()

    async def bot(client: Any) -> list[str]:
        stream = await ask(client, world)
        names = []
        async for event in stream:
            names.append(event.event)
            if names.count("thread.message.delta") == 2 and event.event == "thread.message.delta":
                (run,) = world.service.threads[world.thread].runs
                await client.beta.threads.runs.cancel(run.id, thread_id=world.thread)
        return names

    (names,) = world.run(bot)
    assert names[-1] == "thread.run.cancelled"


# Streams that break


@pytest.mark.parametrize(
    ("kind", "cause", "words"),
    [
        ("reset", httpx2.ReadError, ""),
        (
            "truncated",
            httpx2.RemoteProtocolError,
            "peer closed connection without sending complete message body (incomplete chunked read)",
        ),
    ],
)
def test_a_stream_breaks_off_after_its_first_events(kind: Any, cause: type[Exception], words: str) -> None:
    world = world_of(ApiFault(kind=kind, route="runs.create"))

    async def bot(client: Any) -> list[Any]:
        seen: list[Any] = []
        try:
            async for event in await ask(client, world):
                seen.append(event.event)
        except openai.APIConnectionError as error:
            seen += [type(error.__cause__), str(error.__cause__)]
        assert no_longer_collected(world)
        return [*seen, world.kernel.now]

    assert world.run(bot) == [["thread.run.created", "thread.run.queued", cause, words, 0.5]]
    # One attempt: what has begun is not retried. And the run goes on.
    failure = {"reset": "ReadError", "truncated": "RemoteProtocolError"}[kind]
    assert [fields[1:] for _, _, _, fields in world.events("response")] == [(200, failure)]
    assert world.service.threads[world.thread].runs[0].status == "completed"


def test_a_malformed_stream_is_the_decoders_error() -> None:
    world = world_of(ApiFault(kind="malformed", route="runs.create"))

    async def bot(client: Any) -> Any:
        with pytest.raises(json.JSONDecodeError) as caught:
            async for _ in await ask(client, world):
                pass
        return caught.value.doc

    (doc,) = world.run(bot)
    assert doc.startswith('{"id":"run_')


def test_a_dribbling_stream_keeps_its_order() -> None:
    def read(*faults: ApiFault) -> list[tuple[float, str]]:
        world = world_of(*faults)

        async def bot(client: Any) -> list[tuple[float, str]]:
            return await collect(await ask(client, world), world)

        return world.run(bot)[0]  # type: ignore[no-any-return]

    plain, slow = read(), read(ApiFault(kind="slow_body", seconds=5.0))
    assert [name for _, name in slow] == [name for _, name in plain]
    assert slow[0][0] > plain[0][0]
    # What the run does meanwhile queues up behind the first events, which take 5 s; later on nothing is late.
    assert [time for time, _ in slow] == sorted(time for time, _ in slow)
    assert slow[1][0] == 5.5
    assert [slow[i][0] for i in range(len(slow)) if plain[i][0] > 5.5] == [time for time, _ in plain if time > 5.5]
    assert slow[-1] == plain[-1]


def test_a_dribbling_stream_can_time_out_in_mid_event() -> None:
    world = world_of(ApiFault(kind="slow_body", seconds=50.0))

    async def bot(client: Any) -> float:
        stream = await ask(client.with_options(timeout=4.0), world)
        with pytest.raises(openai.APITimeoutError):
            async for _ in stream:
                pass
        return world.kernel.now

    assert world.run(bot) == [4.5]


def test_a_refusal_that_breaks_off_is_met_where_the_sdk_reads_it() -> None:
    # A streaming call reads a refusal's body outside of its retry loop, so the network's error comes through as it is.
    world = world_of(ApiFault(kind="reset", route="runs.create", nth=(2,)))

    async def bot(client: Any) -> None:
        await ask(client, world)
        with pytest.raises(httpx2.ReadError):
            await ask(client, world)

    world.run(bot)


# The same again


def test_one_seed_is_one_world() -> None:
    def fingerprint() -> tuple[str, Any]:
        world = World(
            "sdk",
            flat_profile(request_seconds={"kind": "lognormal", "median": 0.3, "p99": 2.0}),
            [ApiFault(kind="reset", probability=0.3, route="runs.create")],
            seed=3,
            replier=lambda turn: TEXT,
        )

        async def bot(client: Any) -> list[Any]:
            seen: list[Any] = []
            for _ in range(6):
                try:
                    seen += await collect(await ask(client, world), world)
                except (openai.APIError, httpx2.ReadError) as error:
                    seen.append(str(error))
                    await asyncio.sleep(3)
            return seen

        seen = world.run(bot, bot)
        return world.kernel.trace.fingerprint(), seen

    assert fingerprint() == fingerprint()


def test_the_direct_lane_has_no_streams() -> None:
    world = World("direct")

    async def bot(client: Any) -> None:
        with pytest.raises(NotInDirectLaneError, match="use lane sdk"):
            await ask(client, world)
        with pytest.raises(NotInDirectLaneError, match="use lane sdk"):
            await client.beta.threads.runs.submit_tool_outputs("run_1", thread_id="t", tool_outputs=[], stream=True)
        for name in ("stream", "submit_tool_outputs_stream", "create_and_stream"):
            with pytest.raises(NotInDirectLaneError, match="use lane sdk"):
                getattr(client.beta.threads.runs, name)

    world.run(bot)
    assert not world.events("request")


def test_a_stream_outlives_its_world_quietly() -> None:
    world = world_of()
    host = world.host()
    client = make_client(world.kernel, host, world.network, "sdk")

    async def bot() -> None:
        async for _ in await ask(client, world):
            pass

    host.spawn(bot())
    world.turn(until=4.0)
    world.kernel.close()
