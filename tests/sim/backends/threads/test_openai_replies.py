"""Replies: what a script says, turn by turn, through the lives of runs; tool calls, failures, cut-off texts; usage."""

from __future__ import annotations

from typing import Any

import pytest
from openai_world import ASSISTANT, World, flat_profile
from pydantic import TypeAdapter, ValidationError

from relaysim.sim.backends.replies import (
    EchoReplies,
    Replies,
    Reply,
    Text,
    ToolCall,
    ToolCalls,
    Turn,
    echo_reply,
)
from relaysim.sim.backends.threads.usage import tokens_of_messages, usage_of
from relaysim.sim.backends.tokens import tokens_of_text
from relaysim.sim.doors.simulation import ApiSettings, SimulatedApi
from relaysim.sim.kernel import EPOCH_SECONDS

ADAPTER: TypeAdapter[Any] = TypeAdapter(Replies)


def scripted(*replies: dict[str, Any], then: str = "repeat") -> Any:
    """The replier of a script."""
    return ADAPTER.validate_python({"kind": "script", "replies": list(replies), "then": then}).replier()


def texts(world: World) -> list[str]:
    """What assistants wrote, oldest first."""
    messages = world.service.threads[world.thread].messages
    return [message["content"][0]["text"]["value"] for message in messages if message["role"] == "assistant"]


def ask(world: World, text: str = "hello") -> str:
    """Append a message and start a run."""
    world.service.create_message(world.thread, role="user", content=text)
    run_id: str = world.service.create_run(world.thread, assistant_id=ASSISTANT)["id"]
    return run_id


def run_of(world: World, run_id: str) -> Any:
    """The run's object."""
    return world.service.retrieve_run(world.thread, run_id)


def submit(world: World, run_id: str, output: str = "21 degrees") -> None:
    """Answer all calls of a run alike."""
    calls = run_of(world, run_id)["required_action"]["submit_tool_outputs"]["tool_calls"]
    outputs = [{"tool_call_id": call["id"], "output": output} for call in calls]
    world.service.submit_tool_outputs(world.thread, run_id, tool_outputs=outputs)


@pytest.mark.parametrize(
    ("then", "expected"),
    [
        ("repeat", ["one", "two", "two", "two"]),
        ("loop", ["one", "two", "one", "two"]),
        ("echo", ["one", "two", "Reply 3 to: hello", "Reply 4 to: hello"]),
    ],
)
def test_a_script_goes_on_as_it_says(then: str, expected: list[str]) -> None:
    world = World(replier=scripted({"text": "one"}, {"text": "two"}, then=then))
    for _ in expected:
        ask(world)
        world.turn()
    assert texts(world) == expected


def test_each_thread_has_its_own_place_in_the_script() -> None:
    world = World(replier=scripted({"text": "one: {input}"}, {"text": "two"}))
    other = world.service.create_thread()["id"]
    ask(world, "what?")
    world.service.create_run(other, assistant_id=ASSISTANT)
    world.turn()
    assert texts(world) == ["one: what?"]
    assert world.service.threads[other].messages[-1]["content"][0]["text"]["value"] == "one: "


def test_a_turn_that_was_not_delivered_does_not_count() -> None:
    world = World(replier=scripted({"text": "one"}, {"text": "two"}))
    run_id = ask(world)
    world.turn(until=5)
    world.service.cancel_run(world.thread, run_id)
    world.turn()
    ask(world)
    world.turn()
    assert texts(world) == ["one"]


def test_tool_calls_outputs_and_the_turn_after() -> None:
    seen: list[Turn] = []

    def replier(turn: Turn) -> str | Reply:
        seen.append(turn)
        if not turn.tool_outputs:
            return ToolCalls((ToolCall("weather", '{"city": "Lisbon"}'), ToolCall("time", id="call_time")))
        return Text(" and ".join(output["output"] for output in turn.tool_outputs))

    world = World(replier=replier)
    run_id = ask(world)
    world.turn(until=20)
    run = run_of(world, run_id)
    assert run["status"] == "requires_action"
    first, second = run["required_action"]["submit_tool_outputs"]["tool_calls"]
    assert first["function"] == {"name": "weather", "arguments": '{"city": "Lisbon"}'}
    assert first["id"].startswith("call_")
    assert (second["id"], second["type"]) == ("call_time", "function")
    submit(world, run_id, "21")
    assert run_of(world, run_id)["status"] == "queued"
    world.turn()
    assert run_of(world, run_id)["status"] == "completed"
    assert texts(world) == ["21 and 21"]
    assert [turn.number for turn in seen] == [1, 2]
    assert [output["name"] for output in seen[1].tool_outputs] == ["weather", "time"]


def test_a_run_without_tool_outputs_expires_after_600_seconds() -> None:
    world = World(replier=scripted({"tool_calls": [{"name": "f"}]}))
    run_id = ask(world)
    world.turn()
    assert world.states()[-1] == (600.0, "expired", "expiry")
    assert run_of(world, run_id)["required_action"] is None


def test_a_scripted_failure_and_a_cut_off_text() -> None:
    world = World(
        replier=scripted(
            {"fail": {"code": "rate_limit_exceeded", "message": "Too many tokens."}},
            {"incomplete": "and then", "reason": "max_prompt_tokens"},
        )
    )
    failed = ask(world)
    world.turn()
    assert run_of(world, failed)["last_error"] == {"code": "rate_limit_exceeded", "message": "Too many tokens."}
    cut = ask(world)
    world.turn()
    run = run_of(world, cut)
    assert (run["status"], run["incomplete_details"]) == ("incomplete", {"reason": "max_prompt_tokens"})
    message = world.service.threads[world.thread].messages[-1]
    assert (message["status"], message["incomplete_details"]) == ("incomplete", {"reason": "max_tokens"})
    assert texts(world) == ["and then"]


def test_runs_fail_as_often_as_the_profile_says() -> None:
    world = World(profile=flat_profile(failure_probability=0.3), seed=3)
    ends = []
    for _ in range(200):
        thread = world.service.create_thread()["id"]
        ends.append(world.service.create_run(thread, assistant_id=ASSISTANT)["id"])
    world.turn()
    statuses = [world.service.runs[run_id].status for run_id in ends]
    assert set(statuses) == {"completed", "failed"}
    assert 40 <= statuses.count("failed") <= 80
    failed = next(run_id for run_id in ends if world.service.runs[run_id].status == "failed")
    assert world.service.runs[failed].view["last_error"]["code"] == "server_error"


def test_usage_counts_prompt_and_reply() -> None:
    world = World()
    run_id = ask(world, "12345678")
    world.turn()
    # A prompt of one message of 8 bytes, a reply of "Reply 1 to: 12345678", 20 bytes.
    assert run_of(world, run_id)["usage"] == usage_of(4 + 2, 5)
    (step,) = world.service.list_steps(world.thread, run_id)["data"]
    assert step["usage"] == usage_of(6, 5)


def test_a_cancelled_run_that_wrote_nothing_used_nothing() -> None:
    world = World()
    run_id = ask(world)
    world.turn(until=0.5)
    world.service.cancel_run(world.thread, run_id)
    world.turn()
    assert run_of(world, run_id)["usage"] == usage_of(0, 0)


def test_tokens_are_four_bytes() -> None:
    assert [tokens_of_text(text) for text in ("", "a", "abcd", "abcde", "ção")] == [0, 1, 1, 2, 2]
    parts = [{"type": "text", "text": {"value": "abcd"}}, {"type": "image_file", "image_file": {"file_id": "f"}}]
    assert tokens_of_messages([{"content": parts}]) == 4 + 1 + 85


def test_echo_is_what_worlds_do_by_default() -> None:
    turn = Turn([{"run_id": None, "role": "user", "content": [{"type": "text", "text": {"value": "hi"}}]}], {})
    assert EchoReplies().replier()(turn) == echo_reply(turn) == "Reply 1 to: hi"


def test_a_callable_replies() -> None:
    replier = ADAPTER.validate_python(
        {"kind": "callable", "factory": "relaysim.sim.backends.replies:echo_reply"}
    ).replier()
    assert replier is echo_reply


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"kind": "script", "replies": []}, "at least 1 item"),
        ({"kind": "script", "replies": [{}]}, "give one of text, texts, content, tool_calls, fail, incomplete"),
        ({"kind": "script", "replies": [{"text": "a", "texts": ["b"]}]}, "give only one of text, texts"),
        ({"kind": "script", "replies": [{"incomplete": "a", "fail": {}}]}, "give only one of fail, incomplete"),
        ({"kind": "script", "replies": [{"content": [], "fail": {}}]}, "give only one of content, fail"),
        ({"kind": "script", "replies": [{"content": ["a"]}]}, "content"),
        ({"kind": "script", "replies": [{"fail": {}, "annotations": [{}]}]}, "annotations need a text"),
        ({"kind": "script", "replies": [{"text": "a", "annotations": [{"text": "b"}]}]}, "'b' does not"),
        ({"kind": "script", "replies": [{"tool_calls": [{}]}]}, "a function needs its `name`"),
        ({"kind": "script", "replies": [{"tool_calls": [{"type": "file_search", "name": "f"}]}]}, "neither `name`"),
        ({"kind": "script", "replies": [{"tool_calls": [{"name": "no spaces"}]}]}, "tool_calls.0.name"),
        ({"kind": "callable", "factory": "relaysim.sim.backends.replies:nothing"}, "has no function nothing"),
        ({"kind": "callable", "factory": "no_such_module:f"}, "cannot be imported"),
        ({"kind": "other"}, "'echo', 'script', 'callable'"),
    ],
)
def test_wrong_replies_are_refused_with_a_reason(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ADAPTER.validate_python(wrong)


async def _asynchronous(turn: Turn) -> str:
    return "never"


def _exits(turn: Turn) -> str:
    raise SystemExit(3)


@pytest.mark.parametrize(
    ("replier", "said"),
    [
        (lambda turn: None, "not NoneType"),
        (lambda turn: 7, "not int"),
        (_asynchronous, "must not be async"),
        (lambda turn: Text(7), "not int"),
        (lambda turn: "half \ud800", "surrogate"),
        (lambda turn: ToolCalls((ToolCall("f", {}),)), "not dict"),
        (_exits, "SystemExit"),
    ],
)
def test_a_replier_that_returns_nonsense_fails_its_run_and_frees_the_thread(replier: Any, said: str) -> None:
    api = SimulatedApi(ApiSettings(profile="claimed", assistants="any"), EPOCH_SECONDS)
    told: list[BaseException] = []
    api.on_error = told.append
    api.set_replier(replier)
    thread = api.service.create_thread()["id"]
    run_id = api.service.create_run(thread, assistant_id=ASSISTANT)["id"]
    api.kernel.advance_to(700.0)
    run = api.service.retrieve_run(thread, run_id)
    assert run["status"] == "failed"
    assert said in run["last_error"]["message"]
    assert len(told) == 1
    api.service.create_message(thread, role="user", content="the thread is free")
