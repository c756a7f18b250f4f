"""The wire: every route, every refusal to the byte, and no request that breaks it."""

from __future__ import annotations

import json
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from openai_world import ASSISTANT

from relaysim.sim.backends import errors
from relaysim.sim.backends.threads import thread_errors
from relaysim.sim.backends.threads.operations import OPERATIONS, execute
from relaysim.sim.backends.threads.service import ThreadsService
from relaysim.sim.backends.threads.wire import ThreadsWire
from relaysim.sim.backends.wire import request_id_header
from relaysim.sim.kernel import Draws

HEADERS = {"Authorization": "Bearer sk-test", "OpenAI-Beta": "assistants=v2", "Content-Type": "application/json"}


class Door:
    """The shortest way through the wire: parse, execute, render."""

    def __init__(self, service: ThreadsService, **options: Any) -> None:
        self._service = service
        self._wire = ThreadsWire(**options)
        self._handled = 0

    def handle(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        self._handled += 1
        request_id = request_id_header(f"handled/{self._handled}")
        call = self._wire.parse(method, path, headers, body)
        answer = execute(self._service, call, request_id)
        status, answered, content = self._wire.render(answer, call, request_id)
        return status, answered, content if answer.stream is None else answer.stream.read()


def make(**options: Any) -> tuple[ThreadsService, Door, str]:
    """A service, its wire and a thread."""
    service = ThreadsService(Draws(3, 4), lambda: 1_762_257_600.0)
    return service, Door(service, **options), service.create_thread()["id"]


def ask(wire: Door, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, str], Any]:
    """One request; the body and the answer as objects."""
    content = b"" if body is None else json.dumps(body).encode()
    status, response_headers, answer = wire.handle(method, f"/v1{path}", {**HEADERS, **headers}, content)
    assert response_headers["content-length"] == str(len(answer))
    return status, response_headers, json.loads(answer)


def test_a_conversation_over_every_route() -> None:
    service, wire, _ = make()
    used = set()

    def call(method: str, path: str, body: Any = None) -> Any:
        used.add((method, path.partition("?")[0]))
        status, _, answer = ask(wire, method, path.format(**ids), body)
        assert status == 200, answer
        return answer

    ids: dict[str, str] = {}
    assistant = call("POST", "/assistants", {"model": "gpt-4o", "name": "Ana"})
    ids["assistant_id"] = assistant["id"]
    assert call("GET", "/assistants?limit=1")["data"] == [assistant]
    assert call("GET", "/assistants/{assistant_id}") == assistant
    assert call("POST", "/assistants/{assistant_id}", {"name": None})["name"] is None
    call("DELETE", "/assistants/{assistant_id}")
    both = call("POST", "/threads/runs", {"assistant_id": ASSISTANT, "thread": {"messages": []}})
    assert both["status"] == "queued"
    ids["thread_id"] = call(
        "POST", "/threads", {"messages": [{"role": "user", "content": "hi"}], "metadata": {"a": "b"}}
    )["id"]
    assert call("GET", "/threads/{thread_id}")["metadata"] == {"a": "b"}
    call("POST", "/threads/{thread_id}", {"metadata": {"a": "c"}})
    message = call("POST", "/threads/{thread_id}/messages", {"role": "user", "content": "é"})
    ids["message_id"] = message["id"]
    assert call("GET", "/threads/{thread_id}/messages?limit=1&order=desc")["data"] == [message]
    assert call("GET", "/threads/{thread_id}/messages/{message_id}") == message
    call("POST", "/threads/{thread_id}/messages/{message_id}", {"metadata": {"k": "v"}})
    run = call("POST", "/threads/{thread_id}/runs", {"assistant_id": ASSISTANT, "temperature": 0.5, "model": None})
    assert (run["temperature"], run["model"]) == (0.5, "gpt-4o")
    ids["run_id"] = run["id"]
    assert call("GET", "/threads/{thread_id}/runs")["data"] == [run]
    assert call("GET", "/threads/{thread_id}/runs/{run_id}") == run
    call("POST", "/threads/{thread_id}/runs/{run_id}", {"metadata": {}})
    service.advance(run["id"], "in_progress")
    service.advance(run["id"], "requires_action")
    (asked,) = call("GET", "/threads/{thread_id}/runs/{run_id}")["required_action"]["submit_tool_outputs"]["tool_calls"]
    (step,) = call("GET", "/threads/{thread_id}/runs/{run_id}/steps")["data"]
    ids["step_id"] = step["id"]
    assert call("GET", "/threads/{thread_id}/runs/{run_id}/steps/{step_id}") == step
    outputs = [{"tool_call_id": asked["id"], "output": "x"}]
    call("POST", "/threads/{thread_id}/runs/{run_id}/submit_tool_outputs", {"tool_outputs": outputs})
    assert call("POST", "/threads/{thread_id}/runs/{run_id}/cancel")["status"] == "cancelling"
    call("DELETE", "/threads/{thread_id}/messages/{message_id}")
    call("DELETE", "/threads/{thread_id}")
    assert used == {(operation.method, operation.path) for operation in OPERATIONS}


def test_headers() -> None:
    _, wire, thread = make()
    status, headers, _ = ask(wire, "GET", f"/threads/{thread}")
    assert status == 200
    assert headers["openai-version"] == "2020-10-01"
    assert headers["openai-processing-ms"] == "0"
    assert headers["x-request-id"].startswith("req_")
    assert len(headers["x-request-id"]) == 36
    again = ask(wire, "GET", f"/threads/{thread}")[1]
    assert again["x-request-id"] != headers["x-request-id"]
    assert "openai-poll-after-ms" not in headers


def test_poll_after_is_sent_with_runs_where_it_is_switched_on() -> None:
    service, wire, thread = make(poll_after_ms=250)
    run_id = service.create_run(thread, assistant_id=ASSISTANT)["id"]
    assert ask(wire, "GET", f"/threads/{thread}/runs/{run_id}")[1]["openai-poll-after-ms"] == "250"
    assert "openai-poll-after-ms" not in ask(wire, "GET", f"/threads/{thread}")[1]


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "error"),
    [
        ("GET", "/v1/threads", {}, b"", errors.wrong_method(["POST"])),
        ("PUT", "/v1/threads/thread_1", {}, b"{}", errors.wrong_method(["GET", "POST", "DELETE"])),
        ("GET", "/v1/nothing", {}, b"", errors.unknown_route("GET", "/v1/nothing")),
        ("GET", "/v2/threads/thread_1", {}, b"", errors.unknown_route("GET", "/v2/threads/thread_1")),
        ("POST", "/v1/threads/x/y/z", {}, b"", errors.unknown_route("POST", "/v1/threads/x/y/z")),
        ("POST", "/v1/threads", {"OpenAI-Beta": "assistants=v1"}, b"", thread_errors.version_1_is_gone()),
        ("POST", "/v1/threads", {"OpenAI-Beta": "agents=v1"}, b"", thread_errors.no_beta_header()),
        ("POST", "/v1/threads", {"OpenAI-Beta": ""}, b"{}", thread_errors.no_beta_header()),
        ("POST", "/v1/threads", {"Authorization": "Bearer sk-bad"}, b"{}", errors.bad_key("sk-bad")),
        ("POST", "/v1/threads", {"Authorization": ""}, b"{}", errors.no_key()),
        ("POST", "/v1/threads", {}, b"{", errors.malformed_json()),
        ("POST", "/v1/threads", {}, b"\xff", errors.malformed_json()),
        ("POST", "/v1/threads", {}, b"[]", errors.malformed_json()),
        ("POST", "/v1/threads", {}, b'{"colour": 1}', errors.unknown_parameter("colour")),
        ("GET", "/v1/threads/undefined", {}, b"", errors.malformed_id("thread_id", "undefined", "thread")),
        ("GET", "/v1/threads/a%2Fb", {}, b"", errors.malformed_id("thread_id", "a/b", "thread")),
        ("GET", "/v1/threads/thread_1/runs/null", {}, b"", thread_errors.no_thread("thread_1")),
        ("GET", "/v1/threads/thread_1/runs?limit=x", {}, b"", errors.invalid_type("limit", "an integer", "x")),
        ("GET", "/v1/threads/thread_1/runs?run_id=x", {}, b"", errors.unknown_parameter("run_id")),
    ],
)
def test_refusals_to_the_byte(
    method: str, path: str, headers: dict[str, str], body: bytes, error: errors.ApiError
) -> None:
    _, wire, _ = make(keys=["sk-test"])
    status, response_headers, answer = wire.handle(method, path, {**HEADERS, **headers}, body)
    assert (status, answer) == (error.status, error.to_bytes())
    assert response_headers["content-type"] == "application/json"


def test_a_streamed_run_is_answered_by_a_head_and_what_there_is_of_the_stream() -> None:
    _, wire, thread = make()
    body = json.dumps({"assistant_id": ASSISTANT, "stream": True}).encode()
    status, headers, answer = wire.handle("POST", f"/v1/threads/{thread}/runs", HEADERS, body)
    assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert "content-length" not in headers
    assert answer.startswith(b"event: thread.run.created\ndata: {")


def test_numbers_and_depths_that_few_encoders_take_come_back() -> None:
    _, wire, _ = make()
    deep: Any = 2**70
    for _ in range(40):
        deep = {"x": [deep]}
    tool = {"type": "function", "function": {"name": "f", "parameters": {"default": deep, "other": 1e300}}}
    status, _, assistant = ask(wire, "POST", "/assistants", {"model": "gpt-4o", "tools": [tool]})
    assert status == 200, assistant
    assert assistant["tools"][0]["function"]["parameters"] == tool["function"]["parameters"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_whatever_a_client_sends_it_gets_an_answer(data: st.DataObject) -> None:
    service, wire, thread = make()
    run_id = service.create_run(thread, assistant_id=ASSISTANT)["id"]
    operation = data.draw(st.sampled_from(OPERATIONS))
    path = operation.path.format(
        thread_id=thread, run_id=run_id, message_id="msg_1", step_id="step_1", assistant_id=ASSISTANT
    )
    names = sorted(operation.params - {"stream"}) or ["x"]
    body = data.draw(st.dictionaries(st.sampled_from(names), json_values, max_size=4))
    status, _, answer = ask(wire, operation.method, path, body)
    assert status in (200, 400, 404)
    assert status == 200 or set(answer["error"]) == {"message", "type", "param", "code"}
