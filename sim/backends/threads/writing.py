"""What is written into threads: messages of clients, and the messages, tool calls and steps of runs.

A run's turn begins a message, extends it and completes or leaves it, each with the step that belongs to it and, where
somebody reads the run as a stream, the events. Nothing here moves a run: that is `relaysim.sim.backends.threads.service`.
The events of a stream, in the documented order:

    thread.created (create_and_run only), thread.run.created, thread.run.queued, thread.run.in_progress,
    thread.run.step.created, thread.run.step.in_progress,
    thread.message.created, thread.message.in_progress, thread.message.delta ..., thread.message.completed,
    thread.run.step.completed, thread.run.completed, done

A run that calls tools has `thread.run.step.delta` instead of the message's events, and its stream ends, with `done`,
after `thread.run.requires_action`; the answer to submitted tool outputs is a stream of its own, which begins with
`thread.run.step.completed`. A run that is cancelled, fails or expires ends its stream likewise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from relaysim.sim.backends.json_values import Object
from relaysim.sim.backends.protocol import TraceSink
from relaysim.sim.backends.replies import FileSearch, Incomplete, Nothing, Text, ToolCall, ToolCalls, text_of
from relaysim.sim.backends.streaming import EventStream
from relaysim.sim.backends.threads.parameters import text_parts
from relaysim.sim.backends.threads.records import RunRecord, ThreadRecord, step_view
from relaysim.sim.backends.threads.token_caps import prompt_tokens
from relaysim.sim.backends.threads.usage import usage_of
from relaysim.sim.backends.tokens import tokens_of_text
from relaysim.sim.kernel import Draws
from relaysim.sim.trace.schema import MessageStored


class Writer:
    """Writes into the threads of one service.

    Args:
        draws: ids come from them.
        now: seconds since the Unix epoch.
        trace: receives `message.stored` for every message that will not change any more.
    """

    def __init__(self, draws: Draws, now: Callable[[], float], trace: TraceSink | None) -> None:
        self._draws = draws
        self._now = now
        self._trace = trace

    def ask_for_tools(self, run: RunRecord, asked: Sequence[Mapping[str, Any]] | None = None) -> None:
        """Ask for tool calls, which end the turn; by default for those of the turn's plan."""
        calls: list[Object] = []
        for each in self._planned_calls(run) if asked is None else asked:
            call = {"id": each["id"], "type": "function", "function": {"name": "tool", "arguments": "{}"}, **each}
            calls.append(call)
            run.completion_tokens += tokens_of_text(call["function"]["name"] + call["function"]["arguments"])
        run.prompt_tokens += prompt_tokens(run)
        run.view["required_action"] = {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": calls}}
        self._begin_step(run, "tool_calls", [] if run.stream is not None else _unanswered(calls))
        if run.stream is not None:
            self._stream_tool_calls(run, run.stream, calls)
        run.steps[-1]["step_details"] = {"type": "tool_calls", "tool_calls": _unanswered(calls)}

    def _planned_calls(self, run: RunRecord) -> list[Object]:
        plan = run.plan
        calls = plan.calls if isinstance(plan, ToolCalls) else (ToolCall("tool"),)
        made = []
        for index, call in enumerate(calls):
            call_id = call.id or f"call_{self._draws.token(run.key, 'call-id', 24, len(run.tool_outputs) + index)}"
            made.append({"id": call_id, "function": {"name": call.name, "arguments": call.arguments}})
        return made

    def _stream_tool_calls(self, run: RunRecord, stream: EventStream, calls: Sequence[Object]) -> None:
        for index, call in enumerate(calls):
            function = call["function"]
            begun = {"name": function["name"], "arguments": "", "output": None}
            for part in (
                {"index": index, "id": call["id"], "type": "function", "function": begun},
                {"index": index, "type": "function", "function": {"arguments": function["arguments"]}},
            ):
                delta = {"step_details": {"type": "tool_calls", "tool_calls": [part]}}
                stream.add(
                    "thread.run.step.delta",
                    {"id": run.steps[-1]["id"], "object": "thread.run.step.delta", "delta": delta},
                )

    def _begin_step(self, run: RunRecord, kind: str, details: Any) -> None:
        step_id = f"step_{self._draws.token(run.key, 'step-id', 24, len(run.steps))}"
        step = step_view(run, step_id, kind, details, int(self._now()))
        run.steps.append(step)
        if run.stream is not None:
            run.stream.add("thread.run.step.created", step)
            run.stream.add("thread.run.step.in_progress", step)

    def end_step(self, run: RunRecord, status: str, details: Object | None = None) -> None:
        """End the newest step; `details` take the place of its `step_details`."""
        step = run.steps[-1]
        step["status"] = status
        step[f"{status}_at"] = int(self._now())
        if details is not None:
            step["step_details"] = details
        if status == "failed":
            step["last_error"] = run.view["last_error"]
        step["usage"] = usage_of(run.prompt_tokens, run.completion_tokens)
        if run.stream is not None:
            run.stream.add(f"thread.run.step.{status}", step)

    def begin(self, run: RunRecord) -> None:
        """Begin the turn's message, unless it has been begun."""
        if run.message is not None:
            return
        run.prompt_tokens += prompt_tokens(run)
        thread = run.thread
        message = self._new_message(
            thread, "assistant", [], {}, [], run_id=run.id, assistant_id=run.view["assistant_id"]
        )
        message["status"] = "in_progress"
        message["completed_at"] = None
        run.message = message
        thread.messages.append(message)
        self._begin_step(run, "message_creation", {"message_id": message["id"]})
        if run.stream is not None:
            run.stream.add("thread.message.created", message)
            run.stream.add("thread.message.in_progress", message)

    def extend(self, run: RunRecord, piece: str) -> None:
        """Add to the message that was begun."""
        message = run.message
        assert message is not None
        if not piece:
            return
        first = not message["content"]
        message["content"] = text_parts(piece if first else text_of(message) + piece)
        if run.stream is not None:
            text = {"value": piece, "annotations": []} if first else {"value": piece}
            delta = {"content": [{"index": 0, "type": "text", "text": text}]}
            run.stream.add(
                "thread.message.delta", {"id": message["id"], "object": "thread.message.delta", "delta": delta}
            )

    def write_before(self, run: RunRecord, parts: Sequence[Text | Nothing | FileSearch]) -> None:
        """Write whole messages, and do whole searches, one after the other."""
        for part in parts:
            if isinstance(part, FileSearch):
                self._search(run, part)
            else:
                self.complete(run, part)

    def _search(self, run: RunRecord, search: FileSearch) -> None:
        call_id = search.id or f"call_{self._draws.token(run.key, 'search-id', 24, len(run.steps))}"
        ranking = {"ranker": "default_2024_08_21", "score_threshold": 0.0}
        found = {"id": call_id, "type": "file_search", "file_search": {"ranking_options": ranking, "results": []}}
        self._begin_step(run, "tool_calls", [found])
        self.end_step(run, "completed")

    def complete(self, run: RunRecord, said: Text | Incomplete | Nothing) -> None:
        """Finish the turn's message, and its step; what of the text has been written is not written again."""
        self.begin(run)
        message = run.message
        assert message is not None
        if not isinstance(said, Nothing):
            written = text_of(message) if message["content"] else ""
            self.extend(run, said.text[len(written) :])
            if not message["content"]:
                message["content"] = text_parts("")
        if isinstance(said, Text) and said.annotations:
            self._annotate(run, message, said)
        message["status"] = "completed"
        message["completed_at"] = int(self._now())
        self._end_message(run, message, "completed")
        self.end_step(run, "completed")

    def _annotate(self, run: RunRecord, message: Object, said: Text) -> None:
        annotations = []
        for passage, file_id, kind in said.annotations:
            start = said.text.find(passage)
            place = {"start_index": start, "end_index": start + len(passage)}
            annotations.append({"type": kind, "text": passage, **place, kind: {"file_id": file_id}})
        message["content"][0]["text"]["annotations"] = annotations
        if run.stream is not None:
            listed = [{"index": index, **annotation} for index, annotation in enumerate(annotations)]
            delta = {"content": [{"index": 0, "type": "text", "text": {"annotations": listed}}]}
            run.stream.add(
                "thread.message.delta", {"id": message["id"], "object": "thread.message.delta", "delta": delta}
            )

    def leave(self, run: RunRecord, reason: str) -> None:
        """Leave the message that was begun incomplete, for that reason."""
        message = run.message
        assert message is not None
        message["status"] = "incomplete"
        message["incomplete_at"] = int(self._now())
        message["incomplete_details"] = {"reason": reason}
        self._end_message(run, message, "incomplete")

    def _end_message(self, run: RunRecord, message: Object, status: str) -> None:
        """The message is as long as it will ever be."""
        run.message = None
        text = text_of(message)
        run.completion_tokens += tokens_of_text(text)
        self._trace_stored(run.thread.id, message["id"], "assistant", run.id, text)
        if run.stream is not None:
            run.stream.add(f"thread.message.{status}", message)

    def store(
        self, thread: ThreadRecord, role: str, parts: list[Object], metadata: Object, attachments: list[Any], cause: str
    ) -> Object:
        """Append a message of the client's."""
        message = self._new_message(thread, role, parts, metadata, attachments)
        thread.messages.append(message)
        self._trace_stored(thread.id, message["id"], role, cause, text_of(message))
        return message

    def _trace_stored(self, thread_id: str, message_id: str, role: str, cause: str, text: str) -> None:
        if self._trace is not None:
            stored = MessageStored(thread_id=thread_id, message_id=message_id, role=role, cause=cause, text=text)
            self._trace.add("api", stored)

    def _new_message(
        self,
        thread: ThreadRecord,
        role: str,
        parts: list[Object],
        metadata: Object,
        attachments: list[Any],
        *,
        run_id: str | None = None,
        assistant_id: str | None = None,
    ) -> Object:
        message_id = f"msg_{self._draws.token(thread.id, 'message-id', 24, thread.messages_made)}"
        thread.messages_made += 1
        created_at = int(self._now())
        return {
            "id": message_id,
            "object": "thread.message",
            "created_at": created_at,
            "assistant_id": assistant_id,
            "thread_id": thread.id,
            "run_id": run_id,
            "role": role,
            "status": "completed",
            "completed_at": created_at,
            "incomplete_at": None,
            "incomplete_details": None,
            "content": parts,
            "attachments": attachments,
            "metadata": metadata,
        }


def function_of(call: Mapping[str, Any]) -> dict[str, str]:
    """Name and arguments of a tool call."""
    return {"name": call["function"]["name"], "arguments": call["function"]["arguments"]}


def _unanswered(calls: Sequence[Mapping[str, Any]]) -> list[Object]:
    return [{**call, "function": {**function_of(call), "output": None}} for call in calls]


def with_outputs(details: Mapping[str, Any], outputs: Mapping[str, str]) -> Object:
    """The `step_details` of tool calls with what they gave, by the calls' ids."""
    calls = [
        {**call, "function": {**call["function"], "output": outputs[call["id"]]}} for call in details["tool_calls"]
    ]
    return {"type": "tool_calls", "tool_calls": calls}
