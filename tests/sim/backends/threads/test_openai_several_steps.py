"""Goal: runs do what public reports met of them beyond one text: several messages, text before tool calls, empty content,
annotations, searches, caps of tokens, endings by content filters and by the model's own limit.

Method: the official SDK in virtual time, polled and streamed; a run is queued for 1 s and in progress for 10 s.
"""

from __future__ import annotations

from typing import Any

import openai
import pytest

from relaysim.sim.backends.replies import Failure, Nothing, Several, Text, ToolCall, ToolCalls, checked
from relaysim.sim.backends.threads.wire import BETA_1
from relaysim.sim.doors.in_process import InProcessApi
from relaysim.sim.doors.server.background import BackgroundServer
from relaysim.sim.doors.simulation import ApiSettings

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

FLAT: dict[str, Any] = {
    "queue_seconds": {"kind": "constant", "value": 1.0},
    "run_seconds": {"kind": "constant", "value": 10.0},
    "stuck_probability": 0.0,
}


def simulated(replies: Any = None, **overrides: Any) -> InProcessApi:
    settings = {"profile": "claimed", "overrides": {**FLAT, **overrides}, "latency": False, "assistants": "any"}
    return InProcessApi(ApiSettings.model_validate(settings), replies=replies)


def begin(api: InProcessApi, text: str = "Hello", **options: Any) -> tuple[Any, str, Any]:
    """The threads of a client, a thread with a message, and a run of it."""
    threads = api.client.beta.threads
    thread = threads.create(messages=[{"role": "user", "content": text}])
    return threads, thread.id, threads.runs.create(thread.id, assistant_id="asst_any", **options)


def written(threads: Any, thread: str) -> list[str | None]:
    """What the assistant wrote, oldest first; None: a message without content."""
    page = threads.messages.list(thread, order="asc")
    return [each.content[0].text.value if each.content else None for each in page if each.role == "assistant"]


def steps(threads: Any, thread: str, run: str) -> list[tuple[str, str]]:
    return [
        (each.type, each.step_details.tool_calls[0].type if each.type == "tool_calls" else "")
        for each in threads.runs.steps.list(run, thread_id=thread, order="asc")
    ]


def test_several_messages_of_one_run() -> None:
    with simulated({"texts": ["Part 1", "Part 2", "{input}, part 3"]}) as api:
        threads, thread, run = begin(api)
        api.advance(20)
        assert written(threads, thread) == ["Part 1", "Part 2", "Hello, part 3"]
        assert steps(threads, thread, run.id) == [("message_creation", "")] * 3
        assert {each.run_id for each in threads.messages.list(thread, run_id=run.id)} == {run.id}


def test_text_before_a_tool_call_and_after_it() -> None:
    with simulated([{"text": "Let me look.", "tool_calls": [{"name": "f"}]}, {"text": "Done."}]) as api:
        threads, thread, run = begin(api)
        api.advance(5)
        assert written(threads, thread) == []
        api.advance(10)
        run = threads.runs.retrieve(run.id, thread_id=thread)
        assert (run.status, written(threads, thread)) == ("requires_action", ["Let me look."])
        (call,) = run.required_action.submit_tool_outputs.tool_calls
        threads.runs.submit_tool_outputs(
            run.id, thread_id=thread, tool_outputs=[{"tool_call_id": call.id, "output": "1"}]
        )
        api.advance(20)
        assert written(threads, thread) == ["Let me look.", "Done."]
        kinds = [("message_creation", ""), ("tool_calls", "function"), ("message_creation", "")]
        assert steps(threads, thread, run.id) == kinds


def test_a_stream_has_each_message_whole_before_the_next() -> None:
    with simulated(
        {"texts": ["Part 1", "and part 2"], "annotations": [{"text": "part 2", "file_id": "file-a"}]}
    ) as api:
        threads, thread, _ = begin(api)
        api.advance(20)
        events = list(threads.runs.create(thread, assistant_id="asst_any", stream=True))
        names = [each.event.removeprefix("thread.") for each in events]
        message = ["run.step.created", "run.step.in_progress", "message.created", "message.in_progress"]
        first = [*message, "message.delta", "message.completed", "run.step.completed"]
        begun = names.index("run.step.created")
        assert names[begun : begun + len(first)] == first
        assert names.count("message.completed") == 2
        said = [each.data.content[0].text.value for each in events if each.event == "thread.message.completed"]
        assert said == ["Part 1", "and part 2"]
        marked = [part for each in events if each.event == "thread.message.delta" for part in each.data.delta.content]
        assert [each.text.annotations[0].text for each in marked if each.text.annotations] == ["part 2"]


def test_annotations_say_where_they_stand() -> None:
    with simulated({"text": "See 【4:0†menu】, or x.", "annotations": [{}, {"type": "file_path", "text": "x"}]}) as api:
        threads, thread, _ = begin(api)
        api.advance(20)
        (message, _) = threads.messages.list(thread)
        text = message.content[0].text
        cited, path = text.annotations
        assert text.value[cited.start_index : cited.end_index] == cited.text == "【4:0†menu】"
        assert (cited.type, cited.file_citation.file_id) == ("file_citation", "file-relaysim")
        assert (path.type, path.text, path.file_path.file_id) == ("file_path", "x", "file-relaysim")


def test_a_message_without_content_and_a_search() -> None:
    with simulated([{"content": []}, {"tool_calls": [{"type": "file_search"}], "text": "Found."}]) as api:
        threads, thread, run = begin(api)
        api.advance(20)
        assert (threads.runs.retrieve(run.id, thread_id=thread).status, written(threads, thread)) == (
            "completed",
            [None],
        )
        run = threads.runs.create(thread, assistant_id="asst_any")
        api.advance(20)
        assert threads.runs.retrieve(run.id, thread_id=thread).status == "completed"
        assert steps(threads, thread, run.id) == [("tool_calls", "file_search"), ("message_creation", "")]
        assert written(threads, thread) == [None, "Found."]


def test_a_content_filter_cuts_a_text_off() -> None:
    with simulated({"incomplete": "I would", "reason": "content_filter"}) as api:
        threads, thread, run = begin(api)
        api.advance(20)
        run = threads.runs.retrieve(run.id, thread_id=thread)
        assert (run.status, run.incomplete_details.reason) == ("incomplete", "content_filter")
        message = threads.messages.list(thread).data[0]
        assert (message.status, message.incomplete_details.reason) == ("incomplete", "content_filter")


def test_a_cap_of_completion_tokens_cuts_the_text_and_holds_over_all_turns() -> None:
    text = "word " * 300  # 1500 bytes: 375 tokens
    with simulated([{"text": text, "tool_calls": [{"name": "f"}]}, {"text": text}]) as api:
        threads, thread, run = begin(api, max_completion_tokens=400)
        api.advance(20)
        run = threads.runs.retrieve(run.id, thread_id=thread)
        assert run.status == "requires_action"
        (call,) = run.required_action.submit_tool_outputs.tool_calls
        threads.runs.submit_tool_outputs(
            run.id, thread_id=thread, tool_outputs=[{"tool_call_id": call.id, "output": "1"}]
        )
        api.advance(20)
        run = threads.runs.retrieve(run.id, thread_id=thread)
        assert (run.status, run.incomplete_details.reason) == ("incomplete", "max_completion_tokens")
        assert 390 <= run.usage.completion_tokens <= 400
        cut = written(threads, thread)[-1]
        assert cut is not None
        assert 0 < len(cut) < 110
        assert text.startswith(cut)


def test_a_cap_of_prompt_tokens_drops_old_messages_and_refuses_what_is_too_long_by_itself() -> None:
    with simulated() as api:
        threads, thread, run = begin(api, "x" * 4000)
        api.advance(20)
        threads.messages.create(thread, role="user", content="short")
        run = threads.runs.create(thread, assistant_id="asst_any", max_prompt_tokens=256)
        api.advance(20)
        run = threads.runs.retrieve(run.id, thread_id=thread)
        assert (run.status, run.usage.prompt_tokens) == ("completed", 256)
        threads.messages.create(thread, role="user", content="x" * 4000)
        run = threads.runs.create(thread, assistant_id="asst_any", max_prompt_tokens=256)
        api.advance(20)
        run = threads.runs.retrieve(run.id, thread_id=thread)
        assert (run.status, run.incomplete_details.reason) == ("incomplete", "max_prompt_tokens")


def test_caps_that_are_wide_enough_change_nothing() -> None:
    said = []
    for caps in ({}, {"max_prompt_tokens": 5000, "max_completion_tokens": 5000}):
        with simulated({"texts": ["a", "b"]}) as api:
            threads, thread, run = begin(api, **caps)
            api.advance(20)
            run = threads.runs.retrieve(run.id, thread_id=thread)
            said.append((written(threads, thread), run.status, run.usage))
    assert said[0] == said[1]


def test_runs_meet_the_models_own_limit_at_a_rate() -> None:
    with simulated(rate_limited_probability=0.3) as api:
        errors = []
        for _ in range(100):
            threads, thread, run = begin(api)
            api.advance(20)
            run = threads.runs.retrieve(run.id, thread_id=thread)
            errors.append(run.last_error and run.last_error.code)
            assert written(threads, thread) == ([] if run.last_error else ["Reply 1 to: Hello"])
        assert set(errors) == {None, "rate_limit_exceeded"}
        assert 15 <= errors.count("rate_limit_exceeded") <= 45


def test_a_failed_turn_says_first_what_it_has_to_say() -> None:
    with simulated(Several((Text("One moment"), Nothing()), Failure())) as api:
        threads, thread, run = begin(api)
        api.advance(20)
        assert threads.runs.retrieve(run.id, thread_id=thread).status == "failed"
        assert written(threads, thread) == ["One moment", None]


def test_a_cancelled_turn_says_nothing_of_it() -> None:
    with simulated({"texts": ["a", "b"]}) as api:
        threads, thread, run = begin(api)
        api.advance(5)
        threads.runs.cancel(run.id, thread_id=thread)
        api.advance(60)
        assert written(threads, thread) == []


def test_what_cannot_be_a_turn_is_refused() -> None:
    for wrong in (
        Several((ToolCalls((ToolCall("f"),)),), Text("a")),  # type: ignore[arg-type]
        Several((), Several((), Text("a"))),  # type: ignore[arg-type]
        Several((Text(1),), Text("a")),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError):
            checked(wrong)


def test_what_clients_of_the_first_version_are_told() -> None:
    with simulated() as api:
        client = api.client.with_options(default_headers={"OpenAI-Beta": BETA_1})
        with pytest.raises(openai.BadRequestError, match="The v1 Assistants API has been deprecated") as refused:
            client.post("/threads", body={}, cast_to=object, options={"headers": {"OpenAI-Beta": BETA_1}})
        assert refused.value.code == "invalid_beta"


@pytest.mark.parametrize("kind", ["reset", "truncated"])
@pytest.mark.parametrize("events", [1, 9])
def test_a_stream_breaks_after_so_many_events(kind: str, events: int) -> None:
    with simulated({"text": "one two three four five six"}) as api:
        threads, thread, _ = begin(api)
        api.advance(20)
        api.add_fault(kind, route="runs.create", after_events=events)  # type: ignore[arg-type]
        seen: list[str] = []
        stream = threads.runs.create(thread, assistant_id="asst_any", stream=True)
        with pytest.raises(openai.APIConnectionError):
            seen.extend(event.event for event in stream)
        assert len(seen) == events
        (run, _) = threads.runs.list(thread)
        assert run.status in ("queued", "in_progress")
        api.advance(20)
        assert threads.runs.retrieve(run.id, thread_id=thread).status == "completed"


@pytest.mark.parametrize(("kind", "events"), [("reset", 2), ("truncated", 2), ("truncated", 9)])
def test_a_stream_breaks_after_so_many_events_on_a_socket(kind: str, events: int) -> None:
    fault = {"kind": kind, "route": "runs.create", "after_events": events}
    settings = {"overrides": FLAT, "latency": False, "assistants": "any", "faults": [fault]}
    with BackgroundServer(ApiSettings.model_validate(settings), speed=200.0) as server:
        http_client = openai.DefaultHttpxClient(trust_env=False)
        with openai.OpenAI(base_url=server.base_url, api_key="sk-any", http_client=http_client) as client:
            threads = client.beta.threads
            thread = threads.create(messages=[{"role": "user", "content": "Hello"}])
            stream = threads.runs.create(thread.id, assistant_id="asst_any", stream=True)
            seen: list[str] = []
            with pytest.raises(openai.APIConnectionError):
                seen.extend(event.event for event in stream)
            assert len(seen) == events
            with pytest.raises(
                openai.NotFoundError, match="No thread found"
            ):  # an answer that is no stream stays whole
                threads.runs.create("thread_unknown", assistant_id="asst_any", stream=True)
            (run,) = threads.runs.list(thread.id)
            assert threads.runs.poll(run.id, thread_id=thread.id).status == "completed"
