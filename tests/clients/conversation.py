"""One conversation with the simulated API, held by the official Python SDK, whichever major version is installed.

    python conversation.py BASE_URL KEY

Needs the package `openai` and nothing of this project. Writes a transcript to standard output: a JSON object with the
SDK's version and a list of steps. A step is a call with what came back: `ok` with what the answer showed, or the
error's class (`error`), `status`, `message`, `type`, `param` and `code`. `conversation.mjs` holds the same conversation
in Node, step for step; whoever changes one changes both.

The server's clock stands still except where a step says otherwise, so what a step asserts of a run's state holds
however slow this machine is. `run_clients.py` starts the server as the conversation needs it: queue_seconds 1,
run_seconds 10, cancel_seconds 5, no latency, poll_after_ms 40, one known key.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import openai

UNKNOWN = "AAAAAAAAAAAAAAAAAAAAAAAA"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
ANSWER = "It is sunny in Lisbon and rainy in Porto."
POLL_AFTER_SECONDS = 0.04
POLLING_SPEED = 20.0
"""Virtual seconds per real second while pauses between polls are measured: a run takes about half a second."""
FAST = 100.0
"""Virtual seconds per real second while a run goes on by itself otherwise."""
READ_TIMEOUT_SECONDS = 1.0
"""How long a client waits for an answer that never comes; an answer that does come takes some milliseconds."""


# Talking to the server beside the SDK


def send(method: str, url: str, headers: dict[str, str], data: Any = None) -> tuple[int, Any]:
    """Status and JSON body of one plain request."""
    body = None if data is None else json.dumps(data).encode()
    request = urllib.request.Request(url, body, headers, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as response:
            status, content = response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            status, content = error.code, error.read()
    return status, json.loads(content) if content else None


class Control:
    """The control API of the server under `base_url`."""

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        self._url = f"{parts.scheme}://{parts.netloc}/_relaysim"

    def _ask(self, method: str, path: str, data: Any = None) -> Any:
        status, answer = send(method, self._url + path, {"content-type": "application/json"}, data)
        if status >= 400:
            raise RuntimeError(f"the control API refused {method} {path}: {status} {answer}")
        return answer

    @contextmanager
    def moving(self, speed: float) -> Iterator[None]:
        """Let the clock run meanwhile, in virtual seconds per real second."""
        self._ask("POST", "/clock", {"speed": speed})
        try:
            yield
        finally:
            self._ask("POST", "/clock", {"speed": 0})

    def advance(self, seconds: float) -> None:
        """Let virtual seconds pass at once."""
        self._ask("POST", "/clock/advance", {"seconds": seconds})

    @contextmanager
    def replies(self, *script: dict[str, Any]) -> Iterator[None]:
        """What assistants answer meanwhile, thread by thread from the first; then an echo again."""
        self._ask("PUT", "/replies", {"kind": "script", "replies": list(script), "then": "loop"})
        try:
            yield
        finally:
            self._ask("PUT", "/replies", {"kind": "echo"})

    @contextmanager
    def fault(self, kind: str, route: str, **fields: Any) -> Iterator[None]:
        """What hits the first request to that route."""
        self._ask("PUT", "/faults", {"faults": [{"kind": kind, "route": route, "nth": [1], **fields}]})
        try:
            yield
        finally:
            self._ask("DELETE", "/faults")

    def requests(self, thread_id: str, operation: str) -> list[float]:
        """The virtual instants at which requests for that operation have come to a thread."""
        events = self._ask("GET", f"/trace?kind=request&thread={thread_id}&limit=1000")["events"]
        return [event["time"] for event in events if event["operation"] == operation]


# The transcript


class Transcript:
    """The steps so far."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Any]] = []

    def note(self, step: str, **shown: Any) -> None:
        """A step that is no call."""
        self.steps.append({"step": step, "ok": True, **shown})

    def call(self, step: str, call: Callable[[], Any], show: Callable[[Any], dict[str, Any]] | None = None) -> Any:
        """Make a call and write down what came back; returns its result, or its exception."""
        try:
            result = call()
            shown = {} if show is None else show(result)
        except Exception as error:
            self._failed(step, error)
            return error
        self.note(step, **shown)
        return result

    async def acall(
        self, step: str, call: Callable[[], Awaitable[Any]], show: Callable[[Any], dict[str, Any]] | None = None
    ) -> Any:
        """`call` of the async client."""
        try:
            result = await call()
            shown = {} if show is None else show(result)
        except Exception as error:
            self._failed(step, error)
            return error
        self.note(step, **shown)
        return result

    def _failed(self, step: str, error: Exception) -> None:
        body = getattr(error, "body", None)
        self.steps.append(
            {
                "step": step,
                "ok": False,
                "error": type(error).__name__,
                "status": getattr(error, "status_code", None),
                "message": body.get("message") if isinstance(body, dict) else None,
                "type": getattr(error, "type", None),
                "param": getattr(error, "param", None),
                "code": getattr(error, "code", None),
            }
        )


# What a step shows of the SDK's models


def text(message: Any) -> str:
    """A message's text."""
    return "|".join(part.text.value for part in message.content)


def thread_view(thread: Any) -> dict[str, Any]:
    """What a step shows of a thread."""
    return {"id": thread.id, "object": thread.object, "metadata": thread.metadata}


def object_view(found: Any) -> dict[str, Any]:
    """Only that it came."""
    return {"object": found.object}


def message_view(message: Any) -> dict[str, Any]:
    """What a step shows of a message."""
    return {
        "id": message.id,
        "object": message.object,
        "thread_id": message.thread_id,
        "run_id": message.run_id,
        "assistant_id": message.assistant_id,
        "role": message.role,
        "text": text(message),
        "message_status": message.status,
        "metadata": message.metadata,
    }


def run_view(run: Any) -> dict[str, Any]:
    """What a step shows of a run."""
    action = run.required_action
    calls = [] if action is None else action.submit_tool_outputs.tool_calls
    return {
        "id": run.id,
        "object": run.object,
        "thread_id": run.thread_id,
        "assistant_id": run.assistant_id,
        "run_status": run.status,
        "expires_in": None if run.expires_at is None else run.expires_at - run.created_at,
        "is_started": run.started_at is not None,
        "is_cancelled": run.cancelled_at is not None,
        "is_completed": run.completed_at is not None,
        "last_error": None if run.last_error is None else run.last_error.code,
        "incomplete": None if run.incomplete_details is None else run.incomplete_details.reason,
        "tokens": None if run.usage is None else run.usage.total_tokens,
        "model": run.model,
        "metadata": run.metadata,
        "tool_calls": [[call.id, call.function.name, json.loads(call.function.arguments)] for call in calls],
    }


def step_view(step: Any) -> dict[str, Any]:
    """What a step of the transcript shows of a step of a run."""
    details = step.step_details
    return {
        "id": step.id,
        "object": step.object,
        "run_id": step.run_id,
        "step_status": step.status,
        "kind": step.type,
        "message_id": details.message_creation.message_id if step.type == "message_creation" else None,
        "outputs": [call.function.output for call in details.tool_calls] if step.type == "tool_calls" else None,
    }


def page_view(page: Any) -> dict[str, Any]:
    """What a step shows of a page of messages."""
    return {"texts": [text(message) for message in page.data], "has_more": page.has_more}


def status_view(run: Any) -> dict[str, Any]:
    """Only a run's status and id."""
    return {"id": run.id, "run_status": run.status}


def deleted_view(deleted: Any) -> dict[str, Any]:
    """What a step shows of a deletion."""
    return {"id": deleted.id, "object": deleted.object, "deleted": deleted.deleted}


class Handler(openai.AssistantEventHandler):
    """Writes down which callbacks of the stream helper are called, and with what."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = Seen()

    def on_text_created(self, text: Any) -> None:
        self.seen.callback("text created")

    def on_text_delta(self, delta: Any, snapshot: Any) -> None:
        self.seen.text_delta(delta.value, snapshot.value)

    def on_text_done(self, text: Any) -> None:
        self.seen.callback("text done", text.value)

    def on_message_done(self, message: Any) -> None:
        self.seen.callback("message done", text(message))

    def on_tool_call_created(self, tool_call: Any) -> None:
        self.seen.callback("tool call created", tool_call.function.name)

    def on_tool_call_done(self, tool_call: Any) -> None:
        self.seen.callback("tool call done", tool_call.function.arguments)

    def on_run_step_done(self, run_step: Any) -> None:
        self.seen.callback("run step done", run_step.type)


class AsyncHandler(openai.AsyncAssistantEventHandler):
    """`Handler` of the async client; only text."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = Seen()

    async def on_text_delta(self, delta: Any, snapshot: Any) -> None:
        self.seen.text_delta(delta.value, snapshot.value)


class Seen:
    """What a stream's handler has seen."""

    def __init__(self) -> None:
        self.callbacks: list[str] = []
        self.accumulates = True
        self._text = ""

    def callback(self, name: str, value: str | None = None) -> None:
        """A callback other than a text delta."""
        self.callbacks.append(name if value is None else f"{name}: {value}")

    def text_delta(self, piece: str, snapshot: str) -> None:
        """A piece of text, and the text so far as the SDK puts it together."""
        self._text += piece
        self.accumulates = self.accumulates and self._text == snapshot
        self.callbacks.append(f"text delta: {piece}")


def stream_through(opened: Any) -> dict[str, Any]:
    """Read a stream of the helper to its end; its events, what the handler saw, and the final run and texts."""
    with opened as stream:
        events = [event.event for event in stream]
        final = stream.get_final_run()
        messages = stream.get_final_messages() if final.status == "completed" else []
        seen = stream.seen
    return {
        "events": events,
        "callbacks": seen.callbacks,
        "accumulates": seen.accumulates,
        "final_run": run_view(final),
        "final_texts": [text(message) for message in messages],
    }


# The conversation


class Conversation:
    """One client, one server, one transcript. Each section has threads of its own."""

    def __init__(self, base_url: str, key: str) -> None:
        self.base_url = base_url
        self.key = key
        self.control = Control(base_url)
        self.transcript = Transcript()
        self.call = self.transcript.call
        self.client = openai.OpenAI(base_url=base_url, api_key=key, max_retries=0, timeout=60)
        self.beta = self.client.beta
        self.threads = self.beta.threads
        self.assistant_id = ""

    def hold(self) -> None:
        """All sections, in order. One that breaks off leaves a step that says so."""
        for section in (
            self.assistants,
            self.threads_and_messages,
            self.locks,
            self.finished_runs,
            self.polling,
            self.tools,
            self.streaming,
            self.creating_and_running,
            self.not_there,
            self.not_let_in,
            self.retries,
            self.lost_answers,
            self.async_client,
            self.deletion,
        ):
            try:
                section()
            except Exception as error:
                self.transcript.steps.append(
                    {"step": f"{section.__name__} broke off", "ok": False, "error": f"{type(error).__name__}: {error}"}
                )

    def new_thread(self, *texts: str) -> str:
        """A thread with these messages; no step."""
        messages: Any = [{"role": "user", "content": each} for each in texts]
        thread_id: str = self.threads.create(messages=messages).id
        return thread_id

    def append(self, thread_id: str, content: str, client: openai.OpenAI | None = None) -> Any:
        """Append a message."""
        return (client or self.client).beta.threads.messages.create(thread_id, role="user", content=content)

    def start(self, thread_id: str) -> Any:
        """Start a run."""
        return self.threads.runs.create(thread_id, assistant_id=self.assistant_id)

    def texts(self, thread_id: str) -> list[str]:
        """All texts of a thread, oldest first."""
        return [text(message) for message in self.threads.messages.list(thread_id, order="asc", limit=100)]

    def with_retries(self, count: int, timeout: float = 60) -> openai.OpenAI:
        """The client with that many retries of its own, and that read timeout in seconds."""
        return self.client.with_options(max_retries=count, timeout=timeout)

    def assistants(self) -> None:
        """Assistants are created, read, changed, listed over pages and deleted."""

        def view(assistant: Any) -> dict[str, Any]:
            return {
                "id": assistant.id,
                "object": assistant.object,
                "name": assistant.name,
                "model": assistant.model,
                "instructions": assistant.instructions,
                "tools": [tool.function.name for tool in assistant.tools],
                "metadata": assistant.metadata,
            }

        create = self.beta.assistants.create
        tools: Any = [WEATHER]
        created = self.call(
            "assistants.create",
            lambda: create(
                model="gpt-4o", name="Clerk", instructions="Be brief.", tools=tools, metadata={"shift": "day"}
            ),
            view,
        )
        self.assistant_id = created.id
        self.call("assistants.retrieve", lambda: self.beta.assistants.retrieve(created.id), view)
        self.call(
            "assistants.update",
            lambda: self.beta.assistants.update(created.id, name="Night clerk", metadata={"shift": "night"}),
            view,
        )
        other = self.call("assistants.create another", lambda: create(model="gpt-4o-mini", name="Other"), view)
        self.call(
            "assistants.list one page",
            lambda: self.beta.assistants.list(limit=1, order="asc"),
            lambda page: {"names": [each.name for each in page.data], "has_more": page.has_more},
        )
        self.call(
            "assistants.list all pages",
            lambda: list(self.beta.assistants.list(limit=1, order="asc")),
            lambda every: {"names": [each.name for each in every]},
        )
        self.call("assistants.delete", lambda: self.beta.assistants.delete(other.id), deleted_view)
        self.call("assistants.retrieve deleted", lambda: self.beta.assistants.retrieve(other.id))

    def threads_and_messages(self) -> None:
        """A thread with messages: order, pages, cursors, metadata, deletion."""
        messages: Any = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}]
        thread = self.call(
            "threads.create", lambda: self.threads.create(messages=messages, metadata={"customer": "Ana"}), thread_view
        )
        self.call("threads.retrieve", lambda: self.threads.retrieve(thread.id), thread_view)
        self.call("threads.update", lambda: self.threads.update(thread.id, metadata={"customer": "Bia"}), thread_view)
        listed = self.threads.messages
        third = self.call(
            "messages.create",
            lambda: listed.create(thread.id, role="user", content="three", metadata={"channel": "chat"}),
            message_view,
        )
        parts: Any = [{"type": "text", "text": "four"}, {"type": "text", "text": "and a half"}]
        self.call(
            "messages.create of parts", lambda: listed.create(thread.id, role="user", content=parts), message_view
        )
        fifth = self.append(thread.id, "five çã 😀")
        self.call("messages.retrieve", lambda: listed.retrieve(third.id, thread_id=thread.id), message_view)
        self.call(
            "messages.update",
            lambda: listed.update(third.id, thread_id=thread.id, metadata={"channel": "mail"}),
            message_view,
        )
        self.call("messages.list newest first", lambda: listed.list(thread.id), page_view)
        self.call("messages.list one page", lambda: listed.list(thread.id, order="asc", limit=2), page_view)
        self.call("messages.list after", lambda: listed.list(thread.id, order="asc", after=third.id), page_view)
        self.call("messages.list before", lambda: listed.list(thread.id, order="asc", before=third.id), page_view)
        before = len(self.control.requests(thread.id, "messages.list"))
        self.call(
            "messages.list all pages",
            lambda: list(listed.list(thread.id, order="asc", limit=2)),
            lambda every: {
                "texts": [text(each) for each in every],
                "requests": len(self.control.requests(thread.id, "messages.list")) - before,
            },
        )
        self.call("messages.list bad limit", lambda: listed.list(thread.id, limit=101))
        bad: Any = "sideways"
        self.call("messages.list bad order", lambda: listed.list(thread.id, order=bad))
        bad = "robot"
        self.call("messages.create bad role", lambda: listed.create(thread.id, role=bad, content="six"))
        self.call("messages.delete", lambda: listed.delete(fifth.id, thread_id=thread.id), deleted_view)
        self.call("messages.retrieve deleted", lambda: listed.retrieve(fifth.id, thread_id=thread.id))
        self.call("messages.list the rest", lambda: listed.list(thread.id, order="asc"), page_view)

    def locks(self) -> None:
        """An active run locks its thread in each of its states; a cancelled run frees it."""
        runs = self.threads.runs
        thread_id = self.new_thread("Hello")
        run = self.call("runs.create", lambda: self.start(thread_id), run_view)
        self.call("messages.create while queued", lambda: self.append(thread_id, "Are you there?"))
        self.call("runs.create while queued", lambda: self.start(thread_id))
        self.control.advance(2)
        self.call("runs.retrieve in progress", lambda: runs.retrieve(run.id, thread_id=thread_id), run_view)
        self.call("messages.create while in progress", lambda: self.append(thread_id, "Are you there?"))
        self.call("runs.create while in progress", lambda: self.start(thread_id))
        refused = self.call("runs.stream while in progress", lambda: self._open_stream(thread_id))
        self.transcript.note("what the error says", text=str(refused))
        self.transcript.note(
            "what the error knows",
            request_id=bool(re.fullmatch("req_[0-9a-f]{32}", refused.request_id)),
            content_type=refused.response.headers["content-type"],
        )
        self.call("runs.cancel", lambda: runs.cancel(run.id, thread_id=thread_id), run_view)
        self.call("runs.cancel again", lambda: runs.cancel(run.id, thread_id=thread_id))
        self.call("messages.create while cancelling", lambda: self.append(thread_id, "Are you there?"))
        self.call("runs.create while cancelling", lambda: self.start(thread_id))
        with self.control.moving(FAST):
            self.call("runs.poll to cancelled", lambda: runs.poll(run.id, thread_id=thread_id), run_view)
        self.call("runs.cancel a cancelled run", lambda: runs.cancel(run.id, thread_id=thread_id))
        self.call("messages.create when free", lambda: self.append(thread_id, "Are you there?"), message_view)
        self.call(
            "runs.update", lambda: runs.update(run.id, thread_id=thread_id, metadata={"why": "cancelled"}), run_view
        )

    def _open_stream(self, thread_id: str) -> dict[str, Any]:
        opened: Any = self.threads.runs.stream(
            thread_id=thread_id, assistant_id=self.assistant_id, event_handler=Handler()
        )
        return stream_through(opened)

    def finished_runs(self) -> None:
        """Runs that complete, fail, end incomplete or expire; their steps and messages."""
        runs = self.threads.runs
        thread_id = self.new_thread("Which tea?")
        run = runs.create(
            thread_id,
            assistant_id=self.assistant_id,
            additional_messages=[{"role": "user", "content": "Green or black?"}],
            metadata={"turn": "1"},
        )
        self.control.advance(20)
        self.call("runs.retrieve completed", lambda: runs.retrieve(run.id, thread_id=thread_id), run_view)
        self.call("runs.cancel a completed run", lambda: runs.cancel(run.id, thread_id=thread_id))
        self.call(
            "runs.submit_tool_outputs of a completed run",
            lambda: runs.submit_tool_outputs(run.id, thread_id=thread_id, tool_outputs=[]),
        )
        self.call(
            "messages.list of the run",
            lambda: self.threads.messages.list(thread_id, run_id=run.id),
            lambda page: {"messages": [message_view(each) for each in page.data]},
        )
        steps = self.call(
            "runs.steps.list",
            lambda: runs.steps.list(run.id, thread_id=thread_id),
            lambda page: {"steps": [step_view(each) for each in page.data]},
        )
        self.call(
            "runs.steps.retrieve",
            lambda: runs.steps.retrieve(steps.data[0].id, thread_id=thread_id, run_id=run.id),
            step_view,
        )
        failure = {"fail": {"code": "rate_limit_exceeded", "message": "Too much."}}
        # A script begins with a thread's first turn, which is over.
        with self.control.replies({"text": "Never said."}, failure, {"incomplete": "It is"}):
            failing = self.start(thread_id)
            self.control.advance(20)
            self.call("runs.retrieve failed", lambda: runs.retrieve(failing.id, thread_id=thread_id), run_view)
            unfinished = self.start(thread_id)
            self.control.advance(20)
            self.call("runs.retrieve incomplete", lambda: runs.retrieve(unfinished.id, thread_id=thread_id), run_view)
        with self.control.replies({"tool_calls": [{"name": "get_weather", "arguments": {"city": "Faro"}}]}):
            expiring = self.start(self.new_thread("Weather?"))
            self.control.advance(601)
        self.call("runs.retrieve expired", lambda: runs.retrieve(expiring.id, thread_id=expiring.thread_id), run_view)
        self.call("runs.cancel an expired run", lambda: runs.cancel(expiring.id, thread_id=expiring.thread_id))
        self.call(
            "runs.submit_tool_outputs of an expired run",
            lambda: runs.submit_tool_outputs(
                expiring.id, thread_id=expiring.thread_id, tool_outputs=[{"tool_call_id": "call_a", "output": "sun"}]
            ),
        )
        self.call(
            "runs.list",
            lambda: list(runs.list(thread_id, limit=2)),
            lambda every: {"runs": [status_view(each) for each in every]},
        )
        self.call(
            "messages.list after all runs",
            lambda: list(self.threads.messages.list(thread_id, order="asc")),
            lambda every: {"texts": [text(each) for each in every], "statuses": [each.status for each in every]},
        )

    def polling(self) -> None:
        """The polling helpers wait as long as the server says."""
        thread_id = self.new_thread("How are you?")
        with self.control.moving(POLLING_SPEED):
            run = self.call(
                "runs.create_and_poll",
                lambda: self.threads.runs.create_and_poll(thread_id=thread_id, assistant_id=self.assistant_id),
                run_view,
            )
        polls = self.control.requests(thread_id, "runs.retrieve")
        gaps = [(later - sooner) / POLLING_SPEED for sooner, later in pairwise(polls)]
        # On a busy machine a pause can be longer than asked for, but not each of them as long as the helpers' own.
        self.transcript.note(
            "the pauses between polls",
            polls_more_than_once=len(gaps) > 0,
            never_before_its_time=min(gaps) > POLL_AFTER_SECONDS * 0.9,
            not_the_default=min(gaps) < 0.5,
        )
        raw = self.threads.runs.with_raw_response.retrieve(run.id, thread_id=thread_id)
        self.transcript.note("openai-poll-after-ms", header=raw.headers.get("openai-poll-after-ms"))
        self.transcript.note("the texts then", texts=self.texts(thread_id))

    def tools(self) -> None:
        """A run asks for two tool calls, refuses half an answer, and goes on with a whole one."""
        runs = self.threads.runs
        asked = [
            {"name": "get_weather", "arguments": {"city": "Lisbon"}},
            {"name": "get_weather", "arguments": {"city": "Porto"}},
        ]
        thread_id = self.new_thread("What is the weather?")
        with self.control.replies({"tool_calls": asked}, {"text": ANSWER}):
            with self.control.moving(FAST):
                run = self.call(
                    "runs.create_and_poll to tool calls",
                    lambda: runs.create_and_poll(thread_id=thread_id, assistant_id=self.assistant_id),
                    run_view,
                )
            first, second = (call.id for call in run.required_action.submit_tool_outputs.tool_calls)
            self.call("messages.create while tools are called", lambda: self.append(thread_id, "Hurry up"))
            self.call("runs.create while tools are called", lambda: self.start(thread_id))
            self.call(
                "runs.submit_tool_outputs incomplete",
                lambda: runs.submit_tool_outputs(
                    run.id, thread_id=thread_id, tool_outputs=[{"tool_call_id": first, "output": "sunny"}]
                ),
            )
            outputs: Any = [
                {"tool_call_id": first, "output": "sunny"},
                {"tool_call_id": second, "output": "rainy"},
            ]
            with self.control.moving(FAST):
                self.call(
                    "runs.submit_tool_outputs_and_poll",
                    lambda: runs.submit_tool_outputs_and_poll(run_id=run.id, thread_id=thread_id, tool_outputs=outputs),
                    run_view,
                )
        self.call(
            "runs.submit_tool_outputs again",
            lambda: runs.submit_tool_outputs(run.id, thread_id=thread_id, tool_outputs=outputs),
        )
        self.call(
            "runs.steps.list with tool calls",
            lambda: list(runs.steps.list(run.id, thread_id=thread_id, order="asc", limit=1)),
            lambda every: {"steps": [step_view(each) for each in every]},
        )
        self.transcript.note("the texts after the tools", texts=self.texts(thread_id))

    def streaming(self) -> None:
        """Streams of text, of tool calls and their outputs, of a cancel, and one that breaks off."""
        runs = self.threads.runs
        thread_id = self.new_thread("Tell me a story")
        with self.control.moving(FAST), self.control.replies({"text": "Once upon a time. The end."}):
            self.call("runs.stream", lambda: self._open_stream(thread_id), lambda shown: shown)
        self.transcript.note("the texts after the stream", texts=self.texts(thread_id))

        asked = {"tool_calls": [{"name": "get_weather", "arguments": {"city": "Lisbon"}}]}
        thread_id = self.new_thread("And the weather?")
        with self.control.moving(FAST), self.control.replies(asked, {"text": ANSWER}):
            shown = self.call("runs.stream to tool calls", lambda: self._open_stream(thread_id), lambda shown: shown)
            run = shown["final_run"]
            self.call(
                "runs.submit_tool_outputs_stream",
                lambda: stream_through(
                    runs.submit_tool_outputs_stream(
                        run_id=run["id"],
                        thread_id=thread_id,
                        tool_outputs=[{"tool_call_id": run["tool_calls"][0][0], "output": "sunny"}],
                        event_handler=Handler(),
                    )
                ),
                lambda shown: shown,
            )

        def cancelled() -> list[str]:
            thread_id = self.new_thread("Tell me another")
            events: list[str] = []
            run_id = ""
            with runs.create(thread_id, assistant_id=self.assistant_id, stream=True) as opened:
                for event in opened:
                    data: Any = event.data
                    events.append(event.event)
                    if event.event == "thread.run.created":
                        run_id = data.id
                    elif event.event == "thread.run.queued":
                        self.control.advance(5)
                    elif event.event == "thread.message.delta":
                        runs.cancel(run_id, thread_id=thread_id)
                        self.control.advance(8)
                    elif event.event == "thread.message.incomplete":
                        events.append(f"{text(data)} ({data.incomplete_details.reason})")
            return events

        with self.control.replies({"text": "Long ago"}):
            self.call("runs.create with stream, cancelled", cancelled, lambda events: {"events": events})

        def broken() -> list[str]:
            thread_id = self.new_thread("Tell me a third")
            with runs.create(thread_id, assistant_id=self.assistant_id, stream=True) as opened:
                return [event.event for event in opened]

        with self.control.fault("reset", "runs.create"):
            self.call("runs.create with stream, reset", broken)
        self.control.advance(20)

    def creating_and_running(self) -> None:
        """The calls that create a thread and a run in one."""
        thread: Any = {"messages": [{"role": "user", "content": "Good morning"}], "metadata": {"customer": "Eva"}}
        run = self.call(
            "threads.create_and_run",
            lambda: self.threads.create_and_run(assistant_id=self.assistant_id, thread=thread, metadata={"turn": "1"}),
            run_view,
        )
        self.control.advance(20)
        self.transcript.note("the texts after threads.create_and_run", texts=self.texts(run.thread_id))
        with self.control.moving(FAST):
            self.call(
                "threads.create_and_run_poll",
                lambda: self.threads.create_and_run_poll(assistant_id=self.assistant_id, thread=thread),
                run_view,
            )
            streamed: Any = self.threads.create_and_run_stream
            self.call(
                "threads.create_and_run_stream",
                lambda: stream_through(
                    streamed(assistant_id=self.assistant_id, thread=thread, event_handler=Handler())
                ),
                lambda shown: shown,
            )

    def not_there(self) -> None:
        """Unknown and malformed ids."""
        threads, runs, messages = self.threads, self.threads.runs, self.threads.messages
        thread_id = self.new_thread("Hello")
        foreign = self.start(self.new_thread("Somebody else's"))
        self.call("unknown thread", lambda: threads.retrieve(f"thread_{UNKNOWN}"))
        self.call("unknown thread, append", lambda: self.append(f"thread_{UNKNOWN}", "Hello"))
        self.call("unknown thread, run", lambda: self.start(f"thread_{UNKNOWN}"))
        self.call("unknown thread, list", lambda: list(messages.list(f"thread_{UNKNOWN}")))
        self.call("unknown run", lambda: runs.retrieve(f"run_{UNKNOWN}", thread_id=thread_id))
        self.call("unknown run, cancel", lambda: runs.cancel(f"run_{UNKNOWN}", thread_id=thread_id))
        self.call("run of another thread", lambda: runs.retrieve(foreign.id, thread_id=thread_id))
        self.call("unknown message", lambda: messages.retrieve(f"msg_{UNKNOWN}", thread_id=thread_id))
        self.call("unknown assistant", lambda: self.beta.assistants.retrieve(f"asst_{UNKNOWN}"))
        self.call("unknown assistant, run", lambda: runs.create(thread_id, assistant_id=f"asst_{UNKNOWN}"))
        self.call(
            "unknown step",
            lambda: runs.steps.retrieve(f"step_{UNKNOWN}", thread_id=foreign.thread_id, run_id=foreign.id),
        )
        self.call("malformed thread id", lambda: threads.retrieve("undefined"))
        self.call("malformed thread id, append", lambda: self.append("undefined", "Hello"))
        self.call("malformed run id", lambda: runs.retrieve("undefined", thread_id=thread_id))
        self.call("malformed assistant id", lambda: runs.create(thread_id, assistant_id="undefined"))

    def not_let_in(self) -> None:
        """A bad key, and no beta header."""
        stranger = openai.OpenAI(base_url=self.base_url, api_key="sk-of-somebody-else", max_retries=0)
        self.call("bad key", lambda: stranger.beta.threads.create())
        stranger.close()
        self.call(
            "another beta",
            lambda: self.threads.create(extra_headers={"OpenAI-Beta": "assistants=v1"}),
        )
        authorization = {"authorization": f"Bearer {self.key}", "content-type": "application/json"}
        beta = {"openai-beta": "assistants=v2"}
        for step, path, headers in (
            ("no beta header", "/threads", authorization),
            ("no key", "/threads", beta | {"content-type": "application/json"}),
            ("no such route", "/thread", authorization | beta),
        ):
            status, body = send("POST", self.base_url + path, headers, {})
            self.transcript.steps.append({"step": step, "ok": False, "status": status, **body["error"]})

    def retries(self) -> None:
        """What the SDK retries by itself, and what it makes of it when it may not."""
        thread_id = self.new_thread("Hello")
        fault, retrieve = self.control.fault, "threads.retrieve"
        once = self.with_retries(1).beta.threads.retrieve

        with fault("status", retrieve, status=429, retry_after_seconds=1):
            self.call("429", lambda: self.threads.retrieve(thread_id))
        begun = time.monotonic()
        with fault("status", retrieve, status=429, retry_after_seconds=1):
            self.call("429, one retry allowed", lambda: once(thread_id), object_view)
        self.transcript.note("the wait was Retry-After's", at_least_a_second=time.monotonic() - begun > 0.99)
        with fault("status", retrieve, status=429, retry_after_seconds=200):
            self.call("429 with a long Retry-After", lambda: once(thread_id), object_view)
        for step, kind, fields in (
            ("500", "status", {"status": 500}),
            ("502", "status", {"status": 502}),
            ("502 as HTML", "status", {"status": 502, "html": True}),
            ("503 with x-should-retry: false", "status", {"status": 503, "headers": {"x-should-retry": "false"}}),
            ("connection refused", "connect_error", {}),
            ("connection reset", "reset", {}),
            ("body truncated", "truncated", {}),
            ("body malformed", "malformed", {}),
        ):
            with fault(kind, retrieve, **fields):
                self.call(step, lambda: self.threads.retrieve(thread_id))
            with fault(kind, retrieve, **fields):
                self.call(f"{step}, one retry allowed", lambda: once(thread_id), object_view)

    def lost_answers(self) -> None:
        """Requests and answers that are lost: what is stored then, and what the retry makes of it."""
        thread_id = self.new_thread("Hello")
        fault = self.control.fault
        for step, kind in (("request lost", "request_lost"), ("answer lost", "response_lost")):
            for retries in (0, 1):
                client = self.with_retries(retries, timeout=READ_TIMEOUT_SECONDS)
                content = f"{step}, {retries} retries"
                with fault(kind, "messages.create"):
                    self.call(content, lambda: self.append(thread_id, content, client), message_view)  # noqa: B023
                self.transcript.note(f"{content}: stored", times=self.texts(thread_id).count(content))

        with fault("response_lost", "runs.create"):
            self.call(
                "answer of runs.create lost, retried",
                lambda: self.with_retries(1, timeout=READ_TIMEOUT_SECONDS).beta.threads.runs.create(
                    thread_id, assistant_id=self.assistant_id
                ),
                run_view,
            )
        self.call(
            "the run that it names",
            lambda: self.threads.runs.list(thread_id),
            lambda page: {"runs": [status_view(each) for each in page.data]},
        )
        self.control.advance(20)

        with fault("status", "messages.create", status=500):
            raw = self.with_retries(1).beta.threads.messages.with_raw_response.create(
                thread_id, role="user", content="once more"
            )
        sent = raw.http_request.headers
        self.transcript.note(
            "what a retry sends",
            idempotency_key=any("idempotency" in name.lower() for name in sent),
            retry_count=sent.get("x-stainless-retry-count"),
            beta=sent.get("openai-beta"),
        )

    def async_client(self) -> None:
        """The async client; Node has no other."""
        asyncio.run(self._async_client())

    async def _async_client(self) -> None:
        call = self.transcript.acall
        async with openai.AsyncOpenAI(base_url=self.base_url, api_key=self.key, max_retries=0) as client:
            threads = client.beta.threads
            thread = await call(
                "async threads.create",
                lambda: threads.create(messages=[{"role": "user", "content": "Hi"}]),
                thread_view,
            )
            await call(
                "async messages.create",
                lambda: threads.messages.create(thread.id, role="user", content="What is new?"),
                message_view,
            )
            run = await call(
                "async runs.create",
                lambda: threads.runs.create(thread.id, assistant_id=self.assistant_id),
                status_view,
            )
            await call(
                "async messages.create while queued",
                lambda: threads.messages.create(thread.id, role="user", content="Are you there?"),
            )
            self.control.advance(20)
            await call("async runs.poll", lambda: threads.runs.poll(run.id, thread_id=thread.id), status_view)

            async def streamed() -> dict[str, Any]:
                handler = AsyncHandler()
                async with threads.runs.stream(
                    thread_id=thread.id, assistant_id=self.assistant_id, event_handler=handler
                ) as stream:
                    events = [event.event async for event in stream]
                    final = await stream.get_final_run()
                return {"events": events, "accumulates": handler.seen.accumulates, "final_run": run_view(final)}

            with self.control.moving(FAST):
                await call("async runs.stream", streamed, lambda shown: shown)

            async def all_texts() -> list[str]:
                return [text(message) async for message in threads.messages.list(thread.id, order="asc", limit=2)]

            await call("async messages.list all pages", all_texts, lambda texts: {"texts": texts})

            async def together() -> list[Any]:
                starts = [threads.runs.create(thread.id, assistant_id=self.assistant_id) for _ in range(5)]
                return list(await asyncio.gather(*starts, return_exceptions=True))

            await call(
                "async runs.create, five at once",
                together,
                lambda results: {
                    "started": sum(1 for each in results if not isinstance(each, Exception)),
                    "refused": sum(
                        1 for each in results if isinstance(each, openai.BadRequestError) and "already has" in str(each)
                    ),
                },
            )
        self.control.advance(20)

    def deletion(self) -> None:
        """A deleted thread is gone."""
        thread_id = self.new_thread("Goodbye")
        self.call("threads.delete", lambda: self.threads.delete(thread_id), deleted_view)
        self.call("threads.retrieve deleted", lambda: self.threads.retrieve(thread_id))
        self.call("threads.delete again", lambda: self.threads.delete(thread_id))
        self.client.close()


def main() -> int:
    """Hold the conversation, write the transcript."""
    base_url, key = sys.argv[1:]
    conversation = Conversation(base_url, key)
    conversation.hold()
    print(json.dumps({"version": openai.__version__, "steps": conversation.transcript.steps}, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
