"""Streams: the documented events in the documented order, each with the object as it was at that instant; run steps."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.beta.threads.runs import RunStep
from openai_world import ASSISTANT, World, flat_profile

from relaysim.sim.backends.calls import Call
from relaysim.sim.backends.replies import Reply, Text, ToolCall, ToolCalls, Turn
from relaysim.sim.backends.streaming import EventStream
from relaysim.sim.backends.threads.operations import execute

RUN = ["thread.run.created", "thread.run.queued", "thread.run.in_progress"]
STEP = ["thread.run.step.created", "thread.run.step.in_progress"]
MESSAGE = ["thread.message.created", "thread.message.in_progress"]


def tool_then_text(turn: Turn) -> str | Reply:
    """One round of a tool, then its output."""
    if turn.tool_outputs:
        return Text(f"It is {turn.tool_outputs[-1]['output']}.")
    return ToolCalls((ToolCall("weather", '{"city": "Lisbon"}', "call_1"),))


def open_stream(world: World, operation: str = "runs.create", **params: Any) -> tuple[str, EventStream]:
    """Start a streamed run."""
    thread_id = None if operation == "threads.create_and_run" else world.thread
    call = Call(operation, thread_id, params={"assistant_id": ASSISTANT, "stream": True, **params})
    answer = execute(world.service, call)
    assert answer.error is None
    assert answer.stream is not None
    assert answer.payload is not None
    return answer.payload["id"], answer.stream


def events(frames: bytes) -> list[tuple[str, Any]]:
    """Name and data of each event; the last one's data is `[DONE]`."""
    found = []
    for frame in frames.decode().split("\n\n")[:-1]:
        name, data = frame.split("\n")
        assert name.startswith("event: ")
        assert data.startswith("data: ")
        text = data.removeprefix("data: ")
        found.append((name.removeprefix("event: "), text if text == "[DONE]" else json.loads(text)))
    return found


def names(frames: bytes) -> list[str]:
    """The events' names, repeated deltas once."""
    found: list[str] = []
    for name, _ in events(frames):
        if not (found and found[-1] == name and name.endswith("delta")):
            found.append(name)
    return found


def test_the_order_of_a_reply() -> None:
    world = World()
    world.service.create_message(world.thread, role="user", content="one two three")
    run_id, stream = open_stream(world)
    world.turn()
    frames = stream.read()
    assert stream.ended
    assert names(frames) == [
        *RUN,
        *STEP,
        *MESSAGE,
        "thread.message.delta",
        "thread.message.completed",
        "thread.run.step.completed",
        "thread.run.completed",
        "done",
    ]
    found = events(frames)
    pieces = [data["delta"]["content"][0] for name, data in found if name == "thread.message.delta"]
    assert "".join(piece["text"]["value"] for piece in pieces) == "Reply 1 to: one two three"
    assert len(pieces) == 6
    assert pieces[0] == {"index": 0, "type": "text", "text": {"value": "Reply", "annotations": []}}
    first = dict(found)
    assert first["thread.run.created"]["status"] == "queued"
    assert first["thread.message.created"]["content"] == []
    assert (first["thread.message.created"]["status"], first["thread.message.created"]["completed_at"]) == (
        "in_progress",
        None,
    )
    assert first["thread.message.completed"]["content"][0]["text"]["value"] == "Reply 1 to: one two three"
    assert first["thread.run.completed"] == world.service.retrieve_run(world.thread, run_id)
    assert found[-1] == ("done", "[DONE]")


def test_pieces_come_over_the_time_of_the_run() -> None:
    world = World(profile=flat_profile(first_token_fraction=0.2))
    world.service.create_message(world.thread, role="user", content="one two three")
    _, stream = open_stream(world)
    arrivals: list[tuple[float, bytes]] = []
    stream.on_frames = lambda: arrivals.append((world.kernel.now, stream.read()))
    world.turn()
    # Queued for 1 s, in progress for 10 s: the first of six pieces at 1 + 0.2 * 10, the rest in even steps.
    deltas = [time for time, frames in arrivals if b"event: thread.message.delta" in frames]
    assert deltas == pytest.approx([3 + n * 8 / 6 for n in range(6)], abs=1e-4)
    assert arrivals[-1][0] == 11.0


def test_create_and_run_begins_with_the_thread() -> None:
    world = World()
    messages = [{"role": "user", "content": "hi"}]
    _, stream = open_stream(world, "threads.create_and_run", thread={"messages": messages, "metadata": {"a": "b"}})
    world.turn()
    found = events(stream.read())
    assert [name for name, _ in found][:2] == ["thread.created", "thread.run.created"]
    thread = found[0][1]
    assert thread["metadata"] == {"a": "b"}
    assert found[1][1]["thread_id"] == thread["id"]
    assert len(world.service.threads[thread["id"]].messages) == 2


def test_tool_calls_end_one_stream_and_their_outputs_begin_another() -> None:
    world = World(replier=tool_then_text)
    run_id, stream = open_stream(world)
    world.turn(until=20)
    frames = stream.read()
    assert names(frames) == [*RUN, *STEP, "thread.run.step.delta", "thread.run.requires_action", "done"]
    deltas = [data["delta"]["step_details"]["tool_calls"][0] for name, data in events(frames) if name.endswith("delta")]
    assert deltas[0]["function"] == {"name": "weather", "arguments": "", "output": None}
    assert "".join(delta["function"]["arguments"] for delta in deltas) == '{"city": "Lisbon"}'

    outputs = [{"tool_call_id": "call_1", "output": "fine"}]
    params = {"tool_outputs": outputs, "stream": True}
    answer = execute(world.service, Call("runs.submit_tool_outputs", world.thread, run_id, params=params))
    assert answer.stream is not None
    world.turn()
    frames = answer.stream.read()
    assert names(frames) == [
        "thread.run.step.completed",
        "thread.run.queued",
        "thread.run.in_progress",
        *STEP,
        *MESSAGE,
        "thread.message.delta",
        "thread.message.completed",
        "thread.run.step.completed",
        "thread.run.completed",
        "done",
    ]
    (call,) = events(frames)[0][1]["step_details"]["tool_calls"]
    assert call["function"] == {"name": "weather", "arguments": '{"city": "Lisbon"}', "output": "fine"}


def test_a_cancel_in_mid_text_leaves_an_incomplete_message() -> None:
    world = World()
    world.service.create_message(world.thread, role="user", content="one two three")
    run_id, stream = open_stream(world)
    world.turn(until=6)
    world.service.cancel_run(world.thread, run_id)
    world.turn()
    assert names(stream.read())[-7:] == [
        "thread.message.in_progress",
        "thread.message.delta",
        "thread.run.cancelling",
        "thread.message.incomplete",
        "thread.run.step.cancelled",
        "thread.run.cancelled",
        "done",
    ]
    message = world.service.threads[world.thread].messages[-1]
    assert (message["status"], message["incomplete_details"]) == ("incomplete", {"reason": "run_cancelled"})
    assert "Reply 1 to: one two three".startswith(message["content"][0]["text"]["value"])
    (step,) = world.service.list_steps(world.thread, run_id)["data"]
    assert (step["status"], step["cancelled_at"] is None) == ("cancelled", False)


def test_an_expired_run_ends_its_stream() -> None:
    world = World(profile=flat_profile(stuck_probability=1.0))
    _, stream = open_stream(world)
    world.turn()
    assert names(stream.read()) == [*RUN, "thread.run.expired", "done"]


def test_a_cancelled_run_that_completes_says_it_all_at_once() -> None:
    world = World(profile=flat_profile(cancel_completes_probability=1.0))
    run_id, stream = open_stream(world)
    world.service.cancel_run(world.thread, run_id)
    world.turn()
    assert names(stream.read()) == [
        "thread.run.created",
        "thread.run.queued",
        "thread.run.cancelling",
        *STEP,
        *MESSAGE,
        "thread.message.delta",
        "thread.message.completed",
        "thread.run.step.completed",
        "thread.run.completed",
        "done",
    ]


def test_a_deleted_thread_ends_its_stream() -> None:
    world = World()
    _, stream = open_stream(world)
    world.service.delete_thread(world.thread)
    assert stream.ended
    world.turn()
    assert names(stream.read()) == ["thread.run.created", "thread.run.queued", "done"]


def test_a_reader_who_has_gone_collects_nothing_and_the_run_goes_on() -> None:
    world = World()
    run_id, stream = open_stream(world)
    stream.detach()
    world.turn()
    assert stream.read() == b""
    assert world.service.runs[run_id].status == "completed"


def test_a_stream_changes_no_move_of_the_run() -> None:
    def states(stream: bool) -> list[tuple[float, str, str]]:
        world = World()
        world.service.create_run(world.thread, assistant_id=ASSISTANT, stream=stream)
        world.turn()
        return world.states()

    assert states(True) == states(False)


def test_steps_have_exactly_the_sdks_fields_and_pages() -> None:
    world = World(replier=tool_then_text)
    run_id = world.service.create_run(world.thread, assistant_id=ASSISTANT)["id"]
    world.turn(until=20)
    world.service.submit_tool_outputs(world.thread, run_id, tool_outputs=[{"tool_call_id": "call_1", "output": "fine"}])
    world.turn()
    page = world.service.list_steps(world.thread, run_id, order="asc")
    tools, text = page["data"]
    assert [step["type"] for step in page["data"]] == ["tool_calls", "message_creation"]
    for step in page["data"]:
        assert set(step) == set(RunStep.model_fields)
        RunStep.model_validate(step)
        assert step["status"] == "completed"
    reply = world.service.threads[world.thread].messages[-1]
    assert text["step_details"] == {"type": "message_creation", "message_creation": {"message_id": reply["id"]}}
    assert tools["step_details"]["tool_calls"][0]["function"]["output"] == "fine"
    assert world.service.retrieve_step(world.thread, run_id, tools["id"]) == tools
    assert world.service.list_steps(world.thread, run_id, limit=1)["data"] == [text]
