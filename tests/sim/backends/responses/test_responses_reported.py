"""What public reports, SDKs and specifications say of Responses beside the table of states: each case through both doors.

Repeated items, forks, what a turn leaves that ended badly, headers that make a client ask again, parameters without effect.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import openai
import pytest
from doors import Door, error, in_process
from talk import Talk

Converse = Callable[..., Any]

TOOLS = {
    "kind": "script",
    "replies": [{"tool_calls": [{"name": "weather", "arguments": {"city": "Lisbon"}}]}, {"text": "Fine."}],
}
FAILS = {"kind": "script", "replies": [{"fail": {"code": "server_error", "message": "Sorry."}}, {"text": "Fine."}]}


async def _leave_a_stream(talk: Talk, text: str, **params: Any) -> str:
    """Begin a turn as a stream, and go after its first event; returns the response's id."""
    ask: dict[str, Any] = {"model": "m", "input": text, "conversation": talk.conversation, "stream": True, **params}
    async with talk.door.client.responses.with_streaming_response.create(**ask) as stream:
        async for line in stream.iter_lines():
            if line.startswith("data: "):
                talk.response = json.loads(line[6:])["response"]["id"]
                break
    await asyncio.sleep(0.25)  # a server's host hears of it
    return talk.response


# Items


@pytest.mark.parametrize("prefix", ["msg", "rs", "fc"])
def test_an_item_that_is_there_already_is_refused(converse: Converse, prefix: str) -> None:
    kinds: dict[str, dict[str, Any]] = {
        "msg": {"type": "message", "role": "user", "content": "One"},
        "rs": {"type": "reasoning", "summary": []},
        "fc": {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
    }
    item = {"id": f"{prefix}_1", **kinds[prefix]}
    sentence = f"Duplicate item found with id {prefix}_1. Remove duplicate items from your input and try again."

    async def conversation(door: Door) -> None:
        talk = await Talk.begin(door)
        path = f"/conversations/{talk.conversation}/items"
        assert (await door.send("POST", path, {"items": [item]})).status == 200
        for answer in (await talk.ask(input=[item]), await door.send("POST", path, {"items": [item]})):
            assert error(answer) == (400, sentence, "invalid_request_error", "input", None)
        assert len(await talk.items()) == 1
        twice = {"model": "m", "input": [item, item]}
        assert error(await door.send("POST", "/responses", twice))[1] == sentence

    converse(conversation)


def test_items_of_a_deleted_conversation_survive_in_its_responses(converse: Converse) -> None:
    async def conversation(door: Door) -> None:
        talk = await Talk.begin(door)
        await talk.ask(input="One")
        await door.sleep(12.0)
        deleted = await door.send("DELETE", f"/conversations/{talk.conversation}")
        assert deleted.json == {"id": talk.conversation, "object": "conversation.deleted", "deleted": True}
        listed = (await door.send("GET", f"/responses/{talk.response}/input_items")).json
        assert [each["content"][0]["text"] for each in listed["data"]] == ["One"]
        assert (await talk.shown())["output"][0]["content"][0]["text"] == "Reply 1 to: One"

    converse(conversation)


def test_there_is_no_list_of_conversations(converse: Converse) -> None:
    async def conversation(door: Door) -> None:
        answer = await door.send("GET", "/conversations")
        assert error(answer)[0] == 405
        assert answer.json["error"]["code"] == "method_not_supported"

    converse(conversation)


# Forks, and conversations that are made twice


def test_a_steerable_host_refuses_to_continue_any_but_the_newest_response(converse: Converse) -> None:
    async def conversation(door: Door) -> None:
        async with door.flowing():
            root = await door.client.responses.create(model="m", input="One")
            two = await door.client.responses.create(model="m", input="Two", previous_response_id=root.id)
        fork = {"model": "m", "input": "Three", "previous_response_id": root.id}
        refused = await door.send("POST", "/responses", fork)
        assert error(refused) == (
            409,
            "This agent does not support conversation forking. previous_response_id must reference the most recent response "
            "in the conversation.",
            "conflict",
            "previous_response_id",
            "conversation_fork_not_supported",
        )
        assert "retry-after" not in refused.headers
        async with door.flowing():
            three = await door.client.responses.create(model="m", input="Three", previous_response_id=two.id)
        assert three.output_text == "Reply 3 to: Three"

    converse(conversation, overrides={"lock": "steer"})


@pytest.mark.parametrize("lock", ["openai400", "foundry409", "none"])
def test_elsewhere_a_response_that_was_continued_is_continued_again(converse: Converse, lock: str) -> None:
    async def conversation(door: Door) -> None:
        async with door.flowing():
            root = await door.client.responses.create(model="m", input="One")
            await door.client.responses.create(model="m", input="Two", previous_response_id=root.id)
            three = await door.client.responses.create(model="m", input="Three", previous_response_id=root.id)
        assert three.output_text == "Reply 2 to: Three"

    converse(conversation, overrides={"lock": lock})


def test_whoever_opens_a_conversation_twice_splits_its_history(converse: Converse) -> None:
    async def conversation(door: Door) -> None:
        first, second = await asyncio.gather(Talk.begin(door), Talk.begin(door))
        assert first.conversation != second.conversation
        await asyncio.gather(first.ask(input="One"), second.ask(input="Two"))
        await door.sleep(12.0)
        for talk, text in ((first, "One"), (second, "Two")):
            texts = [each["content"][0]["text"] for each in await talk.items()]
            assert texts == [text, f"Reply 1 to: {text}"]

    converse(conversation)


# What a turn leaves that ended badly


def test_what_a_left_stream_called_cannot_be_answered_where_nothing_is_kept(converse: Converse) -> None:
    async def conversation(door: Door) -> None:
        talk = await Talk.begin(door)
        await _leave_a_stream(talk, "Weather?")
        await door.sleep(12.0)
        shown = await talk.shown()
        (call,) = shown["output"]
        assert (shown["status"], call["type"], call["status"]) == ("completed", "function_call", "completed")
        assert await talk.items() == []
        output = {"type": "function_call_output", "call_id": call["call_id"], "output": "18 degrees"}
        assert error(await talk.ask(input=[output])) == (
            400,
            f"No tool call found for function call output with call_id {call['call_id']}.",
            "invalid_request_error",
            "input",
            None,
        )

    converse(conversation, replies=TOOLS)


def test_where_inputs_alone_are_kept_answers_stay_readable_and_are_not_linked(converse: Converse) -> None:
    async def conversation(door: Door) -> None:
        talk = await Talk.begin(door)
        left = []
        for text in ("One", "Two", "Three"):
            left.append(await _leave_a_stream(talk, text))
            await door.sleep(12.0)
        await talk.ask(input="Four")
        await door.sleep(12.0)
        assert [each["role"] for each in await talk.items()] == ["user"] * 4 + ["assistant"]
        for number, response in enumerate(left):
            shown = (await door.send("GET", f"/responses/{response}")).json
            assert shown["status"] == "completed"
            assert shown["output"][0]["content"][0]["text"].endswith(("One", "Two", "Three")[number])

    converse(conversation, overrides={"unfinished_keeps": "input"})


@pytest.mark.parametrize(("kept", "roles"), [("nothing", []), ("input", ["user"])])
def test_what_is_kept_of_a_failed_turn_and_of_a_cancelled_one(converse: Converse, kept: str, roles: list[str]) -> None:
    async def conversation(door: Door) -> None:
        talk = await Talk.begin(door)
        await talk.ask()
        await door.sleep(12.0)
        assert (await talk.shown())["status"] == "failed"
        assert [each["role"] for each in await talk.items()] == roles
        cancelled = await Talk.begin(door)
        await cancelled.ask()
        asked = asyncio.ensure_future(door.send("POST", f"/responses/{cancelled.response}/cancel"))
        async with door.flowing():
            assert (await asked).json["status"] == "cancelled"
        assert [each["role"] for each in await cancelled.items()] == roles

    converse(conversation, replies=FAILS, overrides={"unfinished_keeps": kept})


# What a worker that has died leaves, and turns that stay queued


def test_a_turn_that_stays_queued_is_freed_by_a_cancel_alone(converse: Converse) -> None:
    async def conversation(door: Door) -> None:
        talk = await Talk.begin(door)
        await talk.ask()
        await door.sleep(600.0)
        assert (await talk.shown())["status"] == "queued"
        assert error(await talk.ask())[4] == "conversation_locked"
        asked = asyncio.ensure_future(door.send("POST", f"/responses/{talk.response}/cancel"))
        async with door.flowing():
            assert (await asked).json["status"] == "cancelled"
        assert (await talk.ask()).status == 200

    converse(conversation, overrides={"stuck_queued_probability": 1.0})


def test_a_superseded_turn_in_the_background_is_read_as_completed(converse: Converse) -> None:
    async def conversation(door: Door) -> None:
        talk = await Talk.begin(door)
        first = (await talk.ask(input="One")).json["id"]
        await door.sleep(2.0)
        assert (await talk.ask(input="Two")).json["status"] == "queued"
        await door.sleep(4.0)  # what takes its place waits for it, and a cancel takes 3 s
        shown = (await door.send("GET", f"/responses/{first}")).json
        assert (shown["status"], shown["output"][0]["content"][0]["text"]) == ("completed", "Reply 1 to: One")

    converse(conversation, overrides={"lock": "steer"})


# Cancels as streams tell of them


def test_the_last_event_of_a_cancelled_stream_is_response_failed_with_the_status_cancelled(converse: Converse) -> None:
    async def conversation(door: Door) -> None:
        talk = await Talk.begin(door)
        response = await _leave_a_stream(talk, "One", background=True)
        await door.sleep(5.0)
        async with door.flowing():
            assert (await door.send("POST", f"/responses/{response}/cancel")).json["status"] == "cancelled"
        frames = (await door.send("GET", f"/responses/{response}?stream=true")).content.decode().strip().split("\n\n")
        kind, data = frames[-1].split("\n")
        assert kind == "event: response.failed"
        assert json.loads(data.removeprefix("data: "))["response"]["status"] == "cancelled"

    converse(conversation)


# Clients that ask again


def _requests(refused: openai.APIStatusError) -> int:
    return int(refused.request.headers["x-stainless-retry-count"]) + 1


@pytest.mark.parametrize(
    ("status", "headers", "requests"),
    [
        (400, {}, 1),
        (400, {"x-should-retry": "true"}, 3),
        (409, {}, 3),
        (409, {"x-should-retry": "false"}, 1),
    ],
)
def test_a_header_says_whether_the_sdk_asks_again(
    converse: Converse, status: int, headers: dict[str, str], requests: int
) -> None:
    async def conversation(door: Door) -> None:
        talk = await Talk.begin(door)
        async with door.flowing():
            with pytest.raises(openai.APIStatusError) as refused:
                await door.client.responses.create(model="m", input="Hi", conversation=talk.conversation)
        assert refused.value.status_code == status
        assert int(refused.value.request.headers["x-stainless-retry-count"]) + 1 == requests

    converse(
        conversation, faults=[{"kind": "status", "status": status, "headers": headers, "route": "responses.create"}]
    )


@pytest.mark.parametrize(("headers", "low", "high"), [({}, 1.1, 1.5), ({"retry-after": "2"}, 4.0, 4.0)])
def test_when_the_sdk_asks_again_on_a_409(headers: dict[str, str], low: float, high: float) -> None:
    async def conversation(door: Door) -> float:
        talk = await Talk.begin(door)
        begun = asyncio.get_running_loop().time()
        with pytest.raises(openai.ConflictError):
            await door.client.responses.create(model="m", input="Hi", conversation=talk.conversation)
        return asyncio.get_running_loop().time() - begun

    fault = {"kind": "status", "status": 409, "headers": headers, "route": "responses.create"}
    assert low <= round(in_process(conversation, api="responses", faults=[fault]), 3) <= high


def test_the_sdk_sends_no_idempotency_key_and_one_that_is_sent_has_no_effect(converse: Converse) -> None:
    async def conversation(door: Door) -> None:
        ask = {"model": "m", "input": "One", "background": True}
        raw = await door.client.responses.with_raw_response.create(model="m", input="One", background=True)
        assert "idempotency-key" not in raw.http_request.headers
        headers = {"authorization": raw.http_request.headers["authorization"], "idempotency-key": "k1"}
        twice = [(await door.send("POST", "/responses", ask, headers=headers)).json["id"] for _ in range(2)]
        assert len(set(twice)) == 2

    converse(conversation)


# Parameters and headers without effect


def test_what_has_no_effect_here_is_taken_all_the_same(converse: Converse) -> None:
    given = {
        "background_options": {"completion_window": "8h", "continuation_id": "c1"},
        "context_management": [{"type": "compaction", "compact_threshold": 1000}],
    }

    async def conversation(door: Door) -> None:
        talk = await Talk.begin(door)
        answer = await talk.ask(**given)
        assert answer.status == 200
        assert not given.keys() & answer.json.keys()
        await door.sleep(12.0)  # as any other: it is no later for its window
        assert (await talk.shown())["status"] == "completed"

    converse(conversation)


def test_no_answer_tells_what_is_left_of_a_rate(converse: Converse) -> None:
    async def conversation(door: Door) -> None:
        talk = await Talk.begin(door)
        told = [await talk.ask(), await talk.ask(), await talk.ask()]
        assert [each.status for each in told] == [200, 400, 429]
        for each in told:
            assert not [name for name in each.headers if name.startswith("x-ratelimit-")]
        assert int(told[-1].headers["retry-after"]) >= 1

    converse(conversation, overrides={"runs_per_minute": 2})


def test_a_response_of_last_month_is_still_there() -> None:
    async def conversation(door: Door) -> None:
        talk = await Talk.begin(door)
        await talk.ask()
        for _ in range(31 * 24 * 2):
            await door.sleep(1800.0)
        assert (await talk.shown())["status"] == "completed"

    in_process(conversation, api="responses")
