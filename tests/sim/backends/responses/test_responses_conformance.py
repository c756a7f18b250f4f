"""One suite, two doors: every case holds in process in virtual time and over a socket.

The rows of the table of states, the error bodies as they were captured, the switches, streams, and what the SDK makes of the
lock.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import openai
import pytest
from doors import Door, Response, error
from talk import Talk

from relaysim.sim.backends.responses.states import CHAIN, NO_TURN, RULE, STATES

Converse = Callable[..., Any]

TOOLS = {
    "kind": "script",
    "replies": [{"tool_calls": [{"name": "weather", "arguments": {"city": "Lisbon"}}]}, {"text": "Fine."}],
}
FAILS = {"kind": "script", "replies": [{"fail": {"code": "server_error", "message": "Sorry, something went wrong."}}]}
CUT = {"kind": "script", "replies": [{"incomplete": "Once upon a"}]}
UNKNOWN = "X" * 24

LOCKED = (
    400,
    "Another process is currently operating on this conversation. Please retry in a few seconds.",
    "invalid_request_error",
    "conversation",
    "conversation_locked",
)


# How a conversation comes into each state

SLOW_CANCEL = {"cancel_seconds": {"kind": "constant", "value": 3.0}}


async def _into(talk: Talk, state: str) -> None:
    """Bring the newest response into a state."""
    if state == NO_TURN:
        return
    assert (await talk.ask()).status == 200
    if state == "queued":
        return
    if state == "cancelled":
        asked = asyncio.ensure_future(talk.door.send("POST", f"/responses/{talk.response}/cancel"))
        async with talk.door.flowing():
            assert (await asked).json["status"] == "cancelled"
        return
    await talk.door.sleep(2.0 if state in ("in_progress", "cancelling") else 12.0)
    assert (await talk.shown())["status"] == ("in_progress" if state == "cancelling" else state)


REPLIES: dict[str, Any] = {"failed": FAILS, "incomplete": CUT}


async def _request(talk: Talk, request: str, item: str) -> Response:
    conversation, response = f"/conversations/{talk.conversation}", f"/responses/{talk.response}"
    ask = {"model": "m", "input": "Again", "background": True}
    requests: dict[str, tuple[str, str, Any]] = {
        "conversations.create": ("POST", "/conversations", {}),
        "conversations.retrieve": ("GET", conversation, None),
        "conversations.update": ("POST", conversation, {"metadata": {"a": "b"}}),
        "conversations.delete": ("DELETE", conversation, None),
        "conversations.items.create": ("POST", f"{conversation}/items", {"items": [{"role": "user", "content": "x"}]}),
        "conversations.items.list": ("GET", f"{conversation}/items", None),
        "conversations.items.retrieve": ("GET", f"{conversation}/items/{item}", None),
        "conversations.items.delete": ("DELETE", f"{conversation}/items/{item}", None),
        "responses.create": ("POST", "/responses", {**ask, "conversation": talk.conversation}),
        CHAIN: ("POST", "/responses", {**ask, "previous_response_id": talk.response}),
        "responses.retrieve": ("GET", response, None),
        "responses.delete": ("DELETE", response, None),
        "responses.cancel": ("POST", f"{response}/cancel", None),
        "responses.input_items.list": ("GET", f"{response}/input_items", None),
        "responses.input_tokens.count": ("POST", "/responses/input_tokens", {"model": "m", "input": "x"}),
    }
    method, path, body = requests[request]
    sent = asyncio.ensure_future(talk.door.send(method, path, body))
    async with talk.door.flowing():
        return await sent


REFUSALS: dict[str, Callable[[Talk, str], tuple[Any, ...]]] = {
    "locked": lambda talk, state: LOCKED,
    "cannot_cancel": lambda talk, state: (
        400,
        f"Cannot cancel {'an' if state == 'incomplete' else 'a'} {state} response.",
        "invalid_request_error",
        "response_id",
        None,
    ),
    "cannot_delete": lambda talk, state: (
        400,
        "Cannot delete an in-flight response.",
        "invalid_request_error",
        "response_id",
        None,
    ),
    "cannot_continue": lambda talk, state: (
        400,
        f"Previous response with id '{talk.response}' is still in progress.",
        "invalid_request_error",
        "previous_response_id",
        None,
    ),
}

ROWS = [
    (state, request)
    for state, request in sorted(RULE, key=str)
    if RULE[state, request].answer != "impossible" and state != "cancelling"
]


@pytest.mark.parametrize(("state", "request_name"), ROWS)
def test_every_row_of_the_table(converse: Converse, state: str, request_name: str) -> None:
    rule = RULE[state, request_name]

    async def conversation(door: Door) -> None:
        talk = await Talk.begin(door)
        body = {"items": [{"role": "user", "content": "Before"}]}
        stored = await door.send("POST", f"/conversations/{talk.conversation}/items", body)
        await _into(talk, state)
        answer = await _request(talk, request_name, stored.json["data"][0]["id"])
        if rule.refusal is not None:
            assert error(answer) == REFUSALS[rule.refusal](talk, state)
        else:
            assert answer.status == 200, answer.content
        if rule.target == "queued":
            assert answer.json["status"] == "queued"
        elif rule.target == "cancelling":
            assert answer.json["status"] == "cancelled"
            assert answer.json["output"] == []

    converse(conversation, replies=REPLIES.get(state, {"kind": "echo"}))


def test_the_table_knows_each_state_and_operation() -> None:
    from relaysim.sim.backends.responses.operations import OPERATIONS

    requests = {request for _, request in RULE}
    assert requests == {each.name for each in OPERATIONS} | {CHAIN}
    assert {state for state, _ in RULE} == {NO_TURN, *(state.name for state in STATES)}


# The lock


def test_a_foreground_turn_is_answered_at_its_end_and_locks_until_then(converse: Converse) -> None:
    async def conversation(door: Door) -> None:
        talk = await Talk.begin(door)
        first = asyncio.ensure_future(
            door.client.responses.create(model="m", input="One", conversation=talk.conversation)
        )
        await door.until_turn_is("in_progress")
        await door.sleep(5.0)
        assert not first.done()
        with pytest.raises(openai.BadRequestError) as locked:
            await door.client.responses.create(model="m", input="Two", conversation=talk.conversation)
        assert locked.value.code == "conversation_locked"
        assert await talk.items() == []  # linked at the end only
        await door.sleep(6.5)
        answered = await first
        assert answered.status == "completed"
        assert answered.output_text == "Reply 1 to: One"
        assert answered.conversation is not None
        assert answered.conversation.id == talk.conversation
        assert [each["role"] for each in await talk.items()] == ["user", "assistant"]
        async with door.flowing():
            second = await door.client.responses.create(model="m", input="Two", conversation=talk.conversation)
        assert second.output_text == "Reply 2 to: Two"
        assert second.usage is not None
        assert second.usage.total_tokens == second.usage.input_tokens + second.usage.output_tokens > 0

    converse(conversation)


def test_foundrys_lock_is_a_409_that_the_sdk_repeats(converse: Converse) -> None:
    async def conversation(door: Door) -> None:
        talk = await Talk.begin(door)
        await talk.ask()
        answer = await talk.ask()
        sentence = "Conversation is locked — task is in_progress"
        assert error(answer) == (409, sentence, "conflict", None, "conversation_locked")
        assert "retry-after" not in answer.headers

    converse(conversation, overrides={"lock": "foundry409"})


def test_without_a_lock_both_run_and_neither_reads_the_other(converse: Converse) -> None:
    async def conversation(door: Door) -> None:
        talk = await Talk.begin(door)
        first, second = (await talk.ask(input="One")).json["id"], (await talk.ask(input="Two")).json["id"]
        await door.sleep(12.0)
        texts = []
        for each in (first, second):
            shown = (await door.send("GET", f"/responses/{each}")).json
            texts.append(shown["output"][0]["content"][0]["text"])
        assert texts == ["Reply 1 to: One", "Reply 1 to: Two"]
        assert len(await talk.items()) == 4

    converse(conversation, overrides={"lock": "none"})


def test_steering_queues_the_second_turn_and_supersedes_the_first(converse: Converse) -> None:
    async def conversation(door: Door) -> None:
        talk = await Talk.begin(door)
        ask = {"model": "m", "input": "One", "conversation": talk.conversation}
        first = asyncio.ensure_future(door.send("POST", "/responses", ask))
        await door.until_turn_is("in_progress")
        await door.sleep(2.0)
        assert (await talk.ask(input="Two")).json["status"] == "queued"
        await door.sleep(3.5)  # a cancel takes 3 s
        superseded = await first
        assert (superseded.status, superseded.content) == (500, b"")
        await door.sleep(12.0)
        assert (await talk.shown())["status"] == "completed"

    converse(conversation, overrides={"lock": "steer"})


def test_a_chain_has_no_lock_and_forks(converse: Converse) -> None:
    async def conversation(door: Door) -> None:
        async with door.flowing():
            root = await door.client.responses.create(model="m", input="One")
            assert root.conversation is None
            two, three = await asyncio.gather(
                *(
                    door.client.responses.create(model="m", input=text, previous_response_id=root.id)
                    for text in ("Two", "Three")
                )
            )
        assert (two.output_text, three.output_text) == ("Reply 2 to: Two", "Reply 2 to: Three")
        assert two.previous_response_id == root.id
        listed = (await door.send("GET", f"/responses/{two.id}/input_items")).json["data"]
        assert [each["content"][0]["text"] for each in listed] == ["Two"]

    converse(conversation)


def test_the_sdk_asks_once_on_the_lock_and_three_times_on_a_409(converse: Converse) -> None:
    async def conversation(door: Door) -> list[str]:
        talk = await Talk.begin(door)
        await talk.ask()
        async with door.flowing():
            with pytest.raises(openai.APIStatusError) as refused:
                await door.client.responses.create(model="m", input="Two", conversation=talk.conversation)
        return [refused.value.request.headers["x-stainless-retry-count"], type(refused.value).__name__]

    long = {"run_seconds": {"kind": "constant", "value": 500.0}}
    assert converse(conversation, overrides=long) == ["0", "BadRequestError"]
    assert converse(conversation, overrides={**long, "lock": "foundry409"}) == ["2", "ConflictError"]


# What becomes of a turn that its client leaves, and of a bad end


@pytest.mark.parametrize("kept", ["nothing", "input", "orphan_call"])
def test_an_abandoned_stream_keeps_the_lock_to_its_end(converse: Converse, kept: str) -> None:
    async def conversation(door: Door) -> None:
        talk = await Talk.begin(door)
        ask = {"model": "m", "input": "One", "conversation": talk.conversation, "stream": True}
        async with door.client.responses.with_streaming_response.create(**ask) as stream:
            async for line in stream.iter_lines():
                if line.startswith("data: "):
                    talk.response = json.loads(line[6:])["response"]["id"]
                    break
        await door.sleep(5.0)
        assert error(await talk.ask(input="Two"))[4] == "conversation_locked"
        await door.sleep(7.0)
        assert (await talk.shown())["status"] == "completed"
        kinds = [each["type"] for each in await talk.items()]
        assert kinds == {"nothing": [], "input": ["message"], "orphan_call": ["message", "function_call"]}[kept]
        answer = await talk.ask(input="Two")
        if kept == "orphan_call":
            call = (await talk.items())[-1]["call_id"]
            sentence = f"No tool output found for function call {call}."
            assert error(answer) == (400, sentence, "invalid_request_error", "input", None)
        else:
            assert answer.status == 200

    converse(conversation, overrides={"unfinished_keeps": kept}, replies=TOOLS)


def test_where_hosts_cancel_abandoned_streams_the_lock_is_soon_free(converse: Converse) -> None:
    async def conversation(door: Door) -> None:
        talk = await Talk.begin(door)
        ask = {"model": "m", "input": "One", "conversation": talk.conversation, "stream": True}
        async with door.client.responses.with_streaming_response.create(**ask) as stream:
            async for _ in stream.iter_lines():
                break
        await asyncio.sleep(0.05)  # the server's host hears of it
        await door.sleep(3.5)
        assert (await talk.ask(input="Two")).status == 200

    converse(conversation, overrides={"abandoned_stream": "cancels"})


def test_closing_the_connection_stops_a_foreground_turn(converse: Converse) -> None:
    async def conversation(door: Door) -> None:
        talk = await Talk.begin(door)
        first = asyncio.ensure_future(
            door.client.responses.create(model="m", input="One", conversation=talk.conversation)
        )
        await door.until_turn_is("in_progress")
        await door.sleep(3.0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await asyncio.sleep(0.05)
        await door.sleep(1.0)
        assert error(await talk.ask())[4] == "conversation_locked"  # the cancel takes 3 s
        await door.sleep(2.5)
        assert (await talk.ask()).status == 200
        assert len(await talk.items()) == 0

    converse(conversation)


def test_a_failed_turn_shows_its_error_and_leaves_nothing(converse: Converse) -> None:
    async def conversation(door: Door) -> None:
        talk = await Talk.begin(door)
        async with door.flowing():
            answered = await door.client.responses.create(model="m", input="One", conversation=talk.conversation)
        assert answered.status == "failed"
        assert answered.error is not None
        assert answered.error.code == "server_error"
        assert answered.output_text == ""
        assert await talk.items() == []

    converse(conversation, replies=FAILS)


def test_an_incomplete_turn_keeps_what_was_written(converse: Converse) -> None:
    async def conversation(door: Door) -> None:
        talk = await Talk.begin(door)
        async with door.flowing():
            answered = await door.client.responses.create(model="m", input="One", conversation=talk.conversation)
        assert answered.status == "incomplete"
        assert answered.incomplete_details is not None
        assert answered.incomplete_details.reason == "max_output_tokens"
        assert answered.output_text == "Once upon a"
        assert len(await talk.items()) == 2

    converse(conversation, replies=CUT)


# Function calls


def test_a_function_call_ends_the_turn_and_its_output_is_another_one(converse: Converse) -> None:
    async def conversation(door: Door) -> None:
        talk = await Talk.begin(door)
        async with door.flowing():
            first = await door.client.responses.create(model="m", input="Weather?", conversation=talk.conversation)
        (call,) = first.output
        assert call.type == "function_call"
        assert (call.name, json.loads(call.arguments)) == ("weather", {"city": "Lisbon"})
        orphan = await talk.ask(input="Well?")
        assert error(orphan)[1] == f"No tool output found for function call {call.call_id}."
        stray = {"type": "function_call_output", "call_id": "call_other", "output": "18"}
        assert error(await talk.ask(input=[stray]))[1] == (
            "No tool call found for function call output with call_id call_other."
        )
        output = {"type": "function_call_output", "call_id": call.call_id, "output": "18 degrees"}
        async with door.flowing():
            second = await door.client.responses.create(
                model="m",
                input=[output],  # type: ignore[list-item]
                conversation=talk.conversation,
            )
        assert second.output_text == "Fine."
        kinds = [each["type"] for each in await talk.items()]
        assert kinds == ["message", "function_call", "function_call_output", "message"]

    converse(conversation, replies=TOOLS)


# Streams


def test_the_events_of_a_stream_are_numbered_and_end_without_done(converse: Converse) -> None:
    async def conversation(door: Door) -> tuple[list[str], list[int], bytes]:
        talk = await Talk.begin(door)
        ask = {"model": "m", "input": "One", "conversation": talk.conversation, "stream": True}
        kinds, numbers = [], []
        async with door.flowing():
            async for event in await door.client.responses.create(**ask):
                kinds.append(event.type)
                numbers.append(event.sequence_number)
            raw = await door.send("POST", "/responses", ask)
        return kinds, numbers, raw.content

    kinds, numbers, raw = converse(conversation)
    assert numbers == list(range(len(kinds)))
    words = kinds.count("response.output_text.delta")
    assert words == len(["Reply", "1", "to:", "One"])
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *["response.output_text.delta"] * words,
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert b"[DONE]" not in raw
    assert raw.startswith(b"event: response.created\ndata: {")


def test_a_stream_in_the_background_is_taken_up_again(converse: Converse) -> None:
    async def conversation(door: Door) -> None:
        talk = await Talk.begin(door)
        ask = {
            "model": "m",
            "input": "One",
            "conversation": talk.conversation,
            "stream": True,
            "background": True,
        }
        seen: list[Any] = []
        async with door.flowing():
            async with await door.client.responses.create(**ask) as stream:
                async for event in stream:
                    seen.append(event)
                    if event.type == "response.output_text.delta":
                        break
            response, number = seen[0].response.id, seen[-1].sequence_number
            async for event in await door.client.responses.retrieve(response, stream=True, starting_after=number):
                seen.append(event)
        assert [event.sequence_number for event in seen] == list(range(len(seen)))
        assert seen[-1].type == "response.completed"
        assert seen[-1].response.output_text == "Reply 1 to: One"
        past = await door.send("GET", f"/responses/{response}?stream=true&starting_after=999")
        assert past.content == b""
        await talk.ask(input="Two")
        refused = await door.send("GET", f"/responses/{talk.response}?stream=true")
        assert error(refused)[1] == (
            "This response cannot be streamed because it was not created with background=true."
        )

    converse(conversation)


# Cancels


def test_a_cancel_that_races_with_the_end_may_lose(converse: Converse) -> None:
    async def conversation(door: Door) -> None:
        talk = await Talk.begin(door)
        await talk.ask()
        await door.sleep(5.0)
        asked = asyncio.ensure_future(door.send("POST", f"/responses/{talk.response}/cancel"))
        await door.until_turn_is("cancelling")
        await door.sleep(3.5)
        assert error(await asked)[1] == "Cannot cancel a completed response."
        assert len(await talk.items()) == 2

    converse(conversation, overrides={"cancel_completes_probability": 1.0})


def test_a_cancel_is_answered_once_it_has_taken_effect_and_again_the_same(converse: Converse) -> None:
    async def conversation(door: Door) -> None:
        talk = await Talk.begin(door)
        await talk.ask()
        await door.sleep(5.0)
        cancels = [asyncio.ensure_future(door.send("POST", f"/responses/{talk.response}/cancel")) for _ in range(2)]
        await door.until_turn_is("cancelling")
        await asyncio.sleep(0.05)
        await door.sleep(1.0)
        assert not any(each.done() for each in cancels)
        assert error(await talk.ask())[4] == "conversation_locked"
        await door.sleep(2.5)
        assert {(await each).json["status"] for each in cancels} == {"cancelled"}
        assert (await door.send("POST", f"/responses/{talk.response}/cancel")).json["status"] == "cancelled"
        assert (await talk.ask()).status == 200

    converse(conversation)


def test_a_foreground_turn_cannot_be_cancelled(converse: Converse) -> None:
    async def conversation(door: Door) -> None:
        async with door.flowing():
            done = await door.client.responses.create(model="m", input="One")
        refused = await door.send("POST", f"/responses/{done.id}/cancel")
        assert error(refused)[1] == "Cannot cancel a synchronous response."

    converse(conversation)


# What does not exist, and what is malformed


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("GET", f"/responses/resp_{UNKNOWN}", None, (404, f"Response with id 'resp_{UNKNOWN}' not found.")),
        ("GET", f"/conversations/conv_{UNKNOWN}", None, (404, f"Conversation with id 'conv_{UNKNOWN}' not found.")),
        (
            "POST",
            "/responses",
            {"model": "m", "input": "x", "background": True, "store": False},
            (400, "Background responses require `store` to be true."),
        ),
        ("POST", "/responses", {"input": "x"}, (400, "Missing required parameter: 'model'.")),
        ("POST", "/responses", {"model": "m"}, (400, "Missing required parameter: 'input'.")),
        ("POST", "/responses", {"model": "m", "input": "x", "colour": 1}, (400, "Unknown parameter: 'colour'.")),
        (
            "POST",
            "/responses",
            {"model": "m", "input": "x", "previous_response_id": "resp_1"},
            (400, "Previous response with id 'resp_1' not found."),
        ),
        (
            "POST",
            "/responses",
            {"model": "m", "input": [{"role": "bishop", "content": "x"}]},
            (
                400,
                "Invalid value: 'bishop'. Supported values are: 'user', 'assistant', 'system', and 'developer'.",
            ),
        ),
        (
            "POST",
            "/responses",
            {"model": "m", "input": "x", "conversation": "conv_1", "previous_response_id": "resp_1"},
            (
                400,
                "Mutually exclusive parameters: 'conversation' and 'previous_response_id'. Ensure you are only providing "
                "one of: 'previous_response_id' or 'conversation'.",
            ),
        ),
        (
            "POST",
            "/responses",
            {"model": "m", "input": [{"type": "item_reference", "id": "rs_1"}]},
            (
                400,
                "Item with id 'rs_1' not found. Items are not persisted when `store` is set to false. Try again with "
                "`store` set to true, or remove this item from your input.",
            ),
        ),
        (
            "POST",
            "/conversations",
            {"items": [{"role": "user", "content": "x"}] * 21},
            (
                400,
                "Invalid 'items': array too long. Expected an array with maximum length 20, but got an array with length "
                "21 instead.",
            ),
        ),
    ],
)
def test_refusals_in_their_words(
    converse: Converse, method: str, path: str, body: Any, expected: tuple[int, str]
) -> None:
    async def conversation(door: Door) -> None:
        assert error(await door.send(method, path, body))[:2] == expected

    converse(conversation)


def test_what_is_not_stored_cannot_be_found_again(converse: Converse) -> None:
    async def conversation(door: Door) -> None:
        async with door.flowing():
            done = await door.client.responses.create(model="m", input="One", store=False)
        assert done.output_text == "Reply 1 to: One"
        assert (await door.send("GET", f"/responses/{done.id}")).status == 404
        body = {"model": "m", "input": "Two", "previous_response_id": done.id}
        assert error(await door.send("POST", "/responses", body))[4] == "previous_response_not_found"

    converse(conversation)


def test_items_are_listed_paged_and_deleted(converse: Converse) -> None:
    async def conversation(door: Door) -> None:
        made = await door.client.conversations.create(
            items=[{"role": "user", "content": str(number)} for number in range(5)], metadata={"who": "c1"}
        )
        assert made.metadata == {"who": "c1"}
        texts = [
            item.content[0].text  # type: ignore[union-attr]
            async for item in door.client.conversations.items.list(made.id, limit=2, order="asc")
        ]
        assert texts == ["0", "1", "2", "3", "4"]
        newest = await door.client.conversations.items.list(made.id, limit=1)
        gone = await door.client.conversations.items.delete(newest.data[0].id, conversation_id=made.id)  # type: ignore[arg-type]
        assert gone.id == made.id
        assert len((await door.send("GET", f"/conversations/{made.id}/items")).json["data"]) == 4
        for method in ("GET", "DELETE"):
            missing = await door.send(method, f"/conversations/{made.id}/items/{newest.data[0].id}")
            assert error(missing)[:2] == (404, f"Item with id '{newest.data[0].id}' not found.")
        deleted = await door.client.conversations.delete(made.id)
        assert deleted.deleted
        assert (await door.send("GET", f"/conversations/{made.id}")).status == 404

    converse(conversation)


def test_a_stuck_turn_fails_at_the_limit_of_time(converse: Converse) -> None:
    async def conversation(door: Door) -> None:
        talk = await Talk.begin(door)
        await talk.ask()
        await door.sleep(100.0)
        assert (await talk.shown())["status"] == "in_progress"
        await door.sleep(21.0)
        shown = await talk.shown()
        assert (shown["status"], shown["error"]["code"]) == ("failed", "server_error")

    converse(conversation, overrides={"stuck_probability": 1.0, "turn_limit_seconds": 120.0})
