"""Chat completions: what they say, whole or in pieces."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from relaysim.sim.backends import errors
from relaysim.sim.backends.json_values import Object
from relaysim.sim.backends.other_endpoints.schema_values import value_of
from relaysim.sim.backends.replies import (
    Ending,
    Failure,
    Incomplete,
    Replier,
    Reply,
    Several,
    Text,
    ToolCalls,
    Turn,
    checked,
    echo_reply,
    ending_of,
)
from relaysim.sim.backends.streaming import DataStream

PIECES_MAX: Final = 100
"""Pieces in which a streamed completion is written at most."""

_WORD: Final = re.compile(r"\s*\S+\s*$|\s*\S+|\s+")
_CHOICES_MAX: Final = 128


class Completion:
    """One completion.

    Args:
        params: the request's.
        replier: what it says.
        new_id: a new id with that prefix.
        created: seconds since the Unix epoch.

    Raises:
        ApiError: the request is refused, or the script lets it fail.
    """

    def __init__(
        self, params: Mapping[str, Any], replier: Replier, new_id: Callable[[str], str], created: float
    ) -> None:
        model, messages = params.get("model"), params.get("messages")
        if not isinstance(model, str) or not model:
            raise errors.ApiError(400, "you must provide a model parameter")
        if not isinstance(messages, list) or not messages or not all(isinstance(each, dict) for each in messages):
            raise errors.missing_parameter("messages")
        count = params.get("n") or 1
        if not isinstance(count, int) or not 1 <= count <= _CHOICES_MAX:
            raise errors.invalid_type("n", "an integer from 1 to 128", count)
        turn = turn_of(messages, str(model))
        reply = checked(replier(turn))
        ending = ending_of(reply)
        if isinstance(ending, Failure):
            raise _failed(ending)
        self._id, self._model, self._created, self._count = new_id("chatcmpl-"), model, int(created), count
        self.text, self.calls, self.finish_reason = _said(reply, new_id)
        if replier is echo_reply:
            self.text = _formatted(self.text or "", params.get("response_format"))
        prompt = sum(len(str(each.get("content") or "").encode()) // 4 + 4 for each in messages)
        completion = count * (len((self.text or "").encode()) // 4 + 1)
        self.usage = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }
        options = params.get("stream_options")
        self._usage_wanted = isinstance(options, dict) and bool(options.get("include_usage"))

    def whole(self) -> Object:
        """The completion as one object."""
        message: Object = {"role": "assistant", "content": self.text, "refusal": None, "annotations": []}
        if self.calls:
            message["tool_calls"] = self.calls
        choices = [
            {"index": index, "message": message, "logprobs": None, "finish_reason": self.finish_reason}
            for index in range(self._count)
        ]
        return {**self._head("chat.completion"), "choices": choices, "usage": self.usage}

    def pieces(self) -> list[list[Object]]:
        """The completion as chunks, in groups that are sent at one time each: the first when the first words are there."""
        said: list[Object] = []
        words = _WORD.findall(self.text or "")
        each = -(-len(words) // PIECES_MAX) or 1
        for first in range(0, len(words), each):
            said.append(self._chunk({"content": "".join(words[first : first + each])}))
        for index, call in enumerate(self.calls):
            said.append(self._chunk({"tool_calls": [{"index": index, **call}]}))
        last = [self._chunk({}, self.finish_reason)]
        if self._usage_wanted:
            last.append({**self._head("chat.completion.chunk"), "choices": [], "usage": self.usage})
        begin = self._chunk({"role": "assistant", "content": None if self.calls else "", "refusal": None})
        return [[begin, *said[:1]], *([chunk] for chunk in said[1:]), last]

    def _chunk(self, delta: Object, finish_reason: str | None = None) -> Object:
        choices = [
            {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
            for index in range(self._count)
        ]
        return {**self._head("chat.completion.chunk"), "choices": choices}

    def _head(self, kind: str) -> Object:
        return {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": self._model,
            "service_tier": "default",
            "system_fingerprint": None,
        }


def stream_of(completion: Completion, seconds: float, first_fraction: float, at: Callable[..., Any]) -> DataStream:
    """A stream of the completion's chunks.

    Args:
        completion: what is sent.
        seconds: over how long; 0: all at once.
        first_fraction: the share of that time which passes before the first words.
        at: calls a function with arguments in so many seconds.
    """
    stream = DataStream()
    groups = completion.pieces()
    if seconds <= 0.0:
        for group in groups:
            _send(stream, group)
        stream.end()
        return stream
    first = seconds * first_fraction
    pause = (seconds - first) / len(groups)
    for number, group in enumerate(groups):
        at(first + number * pause, _send, stream, group)
    at(first + (len(groups) - 1) * pause, stream.end)
    return stream


def _send(stream: DataStream, chunks: list[Object]) -> None:
    for chunk in chunks:
        stream.add("", chunk)


def turn_of(messages: list[Object], model: str) -> Turn:
    """The request as a replier sees a turn: its number counts the assistant's answers that the request brings."""
    seen: list[Object] = []
    outputs: list[dict[str, str]] = []
    answers = 0
    for each in messages:
        role, text = str(each.get("role")), _text_of(each.get("content"))
        if role == "tool":
            outputs.append({"id": str(each.get("tool_call_id")), "name": "", "arguments": "", "output": text})
            continue
        is_answer = role == "assistant"
        answers += is_answer
        content = [{"type": "text", "text": {"value": text, "annotations": []}}]
        seen.append({"role": role, "content": content, "run_id": "chat" if is_answer else None})
    return Turn(seen, {"model": model, "thread_id": "chat"}, outputs, answers + 1)


def _text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    return "\n".join(str(part.get("text")) for part in parts if isinstance(part, dict) and part.get("type") == "text")


def _said(reply: Reply, new_id: Callable[[str], str]) -> tuple[str | None, list[Object], str]:
    """Text, tool calls and reason of the end; the texts of several messages are one."""
    before = [each.text for each in reply.before if isinstance(each, Text)] if isinstance(reply, Several) else []
    text, calls, reason = _ended(ending_of(reply), new_id)
    return "\n".join([*before, *([] if text is None else [text])]) if before else text, calls, reason


def _ended(reply: Ending, new_id: Callable[[str], str]) -> tuple[str | None, list[Object], str]:
    if isinstance(reply, ToolCalls):
        calls = [
            {
                "id": call.id or new_id("call_"),
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in reply.calls
        ]
        return None, calls, "tool_calls"
    if isinstance(reply, Incomplete):
        return reply.text, [], "content_filter" if reply.reason == "content_filter" else "length"
    return reply.text if isinstance(reply, Text) else None, [], "stop"


def _failed(failure: Failure) -> errors.ApiError:
    if failure.code == "rate_limit_exceeded":
        return errors.too_many_requests()
    if failure.code == "invalid_prompt":
        return errors.ApiError(400, failure.message, code=failure.code)
    return errors.server_error()


def _formatted(text: str, wanted: Any) -> str:
    """The text as the format asks for it, where no script says what is said."""
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if kind == "json_object":
        return json.dumps({"text": text}, ensure_ascii=False)
    if kind == "json_schema" and isinstance(wanted.get("json_schema"), dict):
        return json.dumps(value_of(wanted["json_schema"].get("schema"), text), ensure_ascii=False)
    return text
