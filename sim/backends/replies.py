"""What assistants answer: text, tool calls, a failure, or a text that is cut off.

A replier is asked once per turn. A turn is what a run does between entering `in_progress` and leaving it: a run whose
first turn calls tools has another one once their outputs are there. Repliers must be deterministic: a function of the
turn, without a clock or a generator of their own.

`Replies` are the shipped ones as data, for scenario files, `relaysim serve --replies` and the control API.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, field_validator

from relaysim.sim.backends.json_values import Object
from relaysim.sim.kernel import Guard, named


class Text(NamedTuple):
    """The run completes with this text."""

    text: str


class ToolCall(NamedTuple):
    """One function that the assistant wants called. `arguments` is JSON as a string, as the API shows it."""

    name: str
    arguments: str = "{}"
    id: str | None = None


class ToolCalls(NamedTuple):
    """The run asks for these calls and waits in `requires_action`."""

    calls: tuple[ToolCall, ...]


class Failure(NamedTuple):
    """The run fails with this `last_error`."""

    code: str = "server_error"
    message: str = "Sorry, something went wrong."


class Incomplete(NamedTuple):
    """The run ends `incomplete`, its text cut off."""

    text: str
    reason: str = "max_completion_tokens"


Reply = Text | ToolCalls | Failure | Incomplete


class Turn(NamedTuple):
    """What a replier sees.

    Attributes:
        messages: the conversation's, oldest first: each with its `role`, `content` (texts are in parts
            `{"type": "text", "text": {"value": ...}}`) and `run_id`, which turn wrote it; all else as the API shows it.
        run: the turn, as the API shows it.
        tool_outputs: what this run's earlier tool calls gave, oldest first: `id`, `name`, `arguments`, `output`.
        number: which turn of the thread it is, from 1; one that was never delivered (a cancelled run's) does not count.
    """

    messages: Sequence[Object]
    run: Object
    tool_outputs: Sequence[Mapping[str, str]] = ()
    number: int = 1


Replier = Callable[[Turn], str | Reply]


def text_of(message: Mapping[str, Any]) -> str:
    """The text of a message object: its text parts, joined by newlines."""
    content = message["content"]
    if len(content) == 1 and content[0]["type"] == "text":
        text: str = content[0]["text"]["value"]
        return text
    return "\n".join(part["text"]["value"] for part in content if part["type"] == "text")


def echo_reply(turn: Turn) -> str:
    """`Reply n to: text`, with n counting the thread's replies from 1 and the newest user message's text."""
    replies = sum(1 for message in turn.messages if message["run_id"] is not None)
    newest = next((text_of(message) for message in reversed(turn.messages) if message["role"] == "user"), "")
    return f"Reply {replies + 1} to: {newest}"


def checked(reply: object) -> Reply:
    """What a replier returned, as a reply whose texts can be sent.

    Raises:
        TypeError: it is neither a text nor a reply.
        ValueError: a text holds half of a surrogate pair, which no UTF-8 can.
    """
    if isinstance(reply, str):
        reply = Text(reply)
    if not isinstance(reply, Text | ToolCalls | Failure | Incomplete):
        close = getattr(reply, "close", None)
        if close is not None and hasattr(reply, "cr_frame"):  # a coroutine that nobody will await
            close()
        raise TypeError(
            f"a replier returns a text, Text, ToolCalls, Failure or Incomplete, not {type(reply).__name__}"
            + ("; it must not be async" if hasattr(reply, "cr_frame") else "")
        )
    parts = [part for call in reply.calls for part in call] if isinstance(reply, ToolCalls) else list(reply)
    for part in parts:
        if part is not None and not isinstance(part, str):
            raise TypeError(f"the parts of a {type(reply).__name__} are texts, not {type(part).__name__}")
        if part is not None and any("\ud800" <= character <= "\udfff" for character in part):
            raise ValueError("a reply's text holds half of a surrogate pair, which cannot be sent")
    return reply


# Replies as data

_TABLE: Final = ConfigDict(extra="forbid", frozen=True)


class ScriptedCall(BaseModel):
    """A tool call of a script."""

    model_config = _TABLE
    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$", description="the function's name")
    arguments: dict[str, Any] | str = Field(
        default_factory=dict, description="its arguments: an object, or JSON as text"
    )
    id: str | None = Field(default=None, pattern=r"^call_[a-zA-Z0-9]+$", description="the call's id; by default drawn")


class ScriptedFailure(BaseModel):
    """The `last_error` of a run that a script lets fail."""

    model_config = _TABLE
    code: Literal["server_error", "rate_limit_exceeded", "invalid_prompt"] = Field(
        default="server_error", description="the error's code"
    )
    message: str = Field(default="Sorry, something went wrong.", description="the error's message")


class ScriptedReply(BaseModel):
    """One turn of a script: exactly one of `text`, `tool_calls`, `fail`, `incomplete`."""

    model_config = _TABLE
    text: str | None = Field(
        default=None, description="the run completes with this text; `{input}` is the newest question"
    )
    tool_calls: tuple[ScriptedCall, ...] | None = Field(
        default=None, min_length=1, description="the run asks for these"
    )
    fail: ScriptedFailure | None = Field(default=None, description="the run fails")
    incomplete: str | None = Field(default=None, description="the run ends incomplete, with this much text")
    reason: Literal["max_completion_tokens", "max_prompt_tokens"] = Field(
        default="max_completion_tokens", description="why an incomplete run ended"
    )

    def model_post_init(self, _: Any) -> None:
        """Refuse none and several."""
        given = [name for name in ("text", "tool_calls", "fail", "incomplete") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"give exactly one of text, tool_calls, fail, incomplete (given: {', '.join(given) or 'none'})"
            )

    def reply(self, turn: Turn) -> Reply:
        """The turn's reply."""
        if self.text is not None:
            newest = next((text_of(message) for message in reversed(turn.messages) if message["role"] == "user"), "")
            return Text(self.text.replace("{input}", newest))
        if self.tool_calls is not None:
            return ToolCalls(
                tuple(
                    ToolCall(
                        call.name,
                        call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments),
                        call.id,
                    )
                    for call in self.tool_calls
                )
            )
        if self.fail is not None:
            return Failure(self.fail.code, self.fail.message)
        assert self.incomplete is not None
        return Incomplete(self.incomplete, self.reason)


class EchoReplies(BaseModel):
    """Every run completes with `Reply n to: text`."""

    model_config = _TABLE
    kind: Literal["echo"] = Field(default="echo", description="assistants echo")

    def replier(self) -> Replier:
        """The function that replies."""
        return echo_reply


class ScriptedReplies(BaseModel):
    """The turns of each thread, one after the other."""

    model_config = _TABLE
    kind: Literal["script"] = Field(default="script", description="turns are listed")
    replies: tuple[ScriptedReply, ...] = Field(min_length=1, description="the turns of a thread, in order")
    then: Literal["repeat", "loop", "echo"] = Field(
        default="repeat", description="after the last one: `repeat` it, `loop` from the first, or `echo`"
    )

    def replier(self) -> Replier:
        """The function that replies."""

        def reply(turn: Turn) -> str | Reply:
            position = turn.number - 1
            if position >= len(self.replies):
                if self.then == "echo":
                    return echo_reply(turn)
                position = position % len(self.replies) if self.then == "loop" else -1
            return self.replies[position].reply(turn)

        return reply


class CallableReplies(BaseModel):
    """Python code replies."""

    model_config = _TABLE
    kind: Literal["callable"] = "callable"
    factory: str = Field(
        pattern=r"^[\w.]+:\w+$",
        description="`module:function` of a function that takes a Turn and returns a text or Reply",
    )

    @field_validator("factory")
    @classmethod
    def _can_be_called(cls, factory: str) -> str:
        _resolve(factory)
        return factory

    def replier(self) -> Replier:
        """The function that replies."""
        return _resolve(self.factory)


def _resolve(factory: str) -> Replier:
    module_name, _, name = factory.partition(":")
    try:
        with Guard():
            found = getattr(importlib.import_module(module_name), name, None)
    except Exception as error:
        raise ValueError(f"{module_name} cannot be imported: {named(error)}") from error
    if not callable(found):
        raise ValueError(f"{module_name} has no function {name}")
    replier: Replier = found
    return replier


WrittenReplies = Annotated[EchoReplies | ScriptedReplies, Field(discriminator="kind")]
"""Those that are data alone, and no code."""

Replies = Annotated[EchoReplies | ScriptedReplies | CallableReplies, Field(discriminator="kind")]
