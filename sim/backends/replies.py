"""What assistants answer: texts, tool calls, a failure, or a text that is cut off.

A replier is asked once per turn. A turn is what a run does between entering `in_progress` and leaving it: a run whose
first turn calls tools has another one once their outputs are there. Repliers must be deterministic: a function of the
turn, without a clock or a generator of their own.

`Replies` are the shipped ones as data, for scenario files, `relaysim serve --replies` and the control API.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, field_validator

from relaysim.sim.backends.json_values import Object
from relaysim.sim.kernel import Guard, named


class Annotation(NamedTuple):
    """What a passage of a text refers to.

    Attributes:
        passage: the words of the text; the first place where they stand is meant.
        file_id: the file that they cite, or that can be had there.
        kind: `file_citation` or `file_path`.
    """

    passage: str
    file_id: str = "file-relaysim"
    kind: str = "file_citation"


class Text(NamedTuple):
    """The run completes with this text."""

    text: str
    annotations: tuple[Annotation, ...] = ()


class Nothing(NamedTuple):
    """The run completes with a message that has no content at all."""


class FileSearch(NamedTuple):
    """A search in files, which the service does by itself: a step of the run, and nothing is found."""

    id: str | None = None


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


Ending = Text | Nothing | ToolCalls | Failure | Incomplete
"""How a turn can end."""


class Several(NamedTuple):
    """A turn of several steps: messages and searches, one after the other, and then an ending."""

    before: tuple[Text | Nothing | FileSearch, ...]
    ending: Ending


Reply = Ending | Several

REPLIES: Final = (Text, Nothing, ToolCalls, Failure, Incomplete, Several)
"""The classes of replies."""


def ending_of(reply: Reply) -> Ending:
    """How the turn ends."""
    return reply.ending if isinstance(reply, Several) else reply


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
    if not isinstance(reply, REPLIES):
        close = getattr(reply, "close", None)
        if close is not None and hasattr(reply, "cr_frame"):  # a coroutine that nobody will await
            close()
        raise TypeError(
            f"a replier returns a text, Text, ToolCalls, Failure, Incomplete, Nothing or Several, not {type(reply).__name__}"
            + ("; it must not be async" if hasattr(reply, "cr_frame") else "")
        )
    if isinstance(reply, Several):
        for each in reply.before:
            if not isinstance(each, Text | Nothing | FileSearch):
                raise TypeError(f"before its ending a turn has Text, Nothing and FileSearch, not {type(each).__name__}")
            _check_texts(each)
        if isinstance(reply.ending, Several) or not isinstance(reply.ending, REPLIES):
            raise TypeError(f"a turn cannot end with {type(reply.ending).__name__}")
    _check_texts(ending_of(reply))
    return reply


def _check_texts(reply: Ending | FileSearch) -> None:
    parts: list[object] = []
    for part in tuple(reply):
        parts += [one for each in part for one in each] if isinstance(part, tuple) else [part]
    for one in parts:
        if one is not None and not isinstance(one, str):
            raise TypeError(f"the parts of a {type(reply).__name__} are texts, not {type(one).__name__}")
        if one is not None and any("\ud800" <= character <= "\udfff" for character in one):
            raise ValueError("a reply's text holds half of a surrogate pair, which cannot be sent")


# Replies as data

_BRACKETS: Final = re.compile(r"【[^】]*】|\[[^\]]*\]")
_TABLE: Final = ConfigDict(extra="forbid", frozen=True)


class ScriptedCall(BaseModel):
    """A tool call of a script."""

    model_config = _TABLE
    type: Literal["function", "file_search"] = Field(
        default="function",
        description="`function`: the run waits for its output; `file_search`: a step that the service does by itself",
    )
    name: str | None = Field(
        default=None, pattern=r"^[a-zA-Z0-9_-]{1,64}$", description="the function's name; required for functions"
    )
    arguments: dict[str, Any] | str = Field(
        default_factory=dict, description="its arguments: an object, or JSON as text"
    )
    id: str | None = Field(default=None, pattern=r"^call_[a-zA-Z0-9]+$", description="the call's id; by default drawn")

    def model_post_init(self, _: Any) -> None:
        """Refuse a function without a name, and a search with one."""
        if self.type == "function" and self.name is None:
            raise ValueError("a function needs its `name`")
        if self.type == "file_search" and self.model_fields_set & {"name", "arguments"}:
            raise ValueError("a `file_search` has neither `name` nor `arguments`")


class ScriptedAnnotation(BaseModel):
    """What a passage of a text refers to."""

    model_config = _TABLE
    type: Literal["file_citation", "file_path"] = Field(
        default="file_citation", description="whether the passage cites a file or says where one can be had"
    )
    text: str | None = Field(
        default=None, min_length=1, description="the passage; absent: the first in brackets, or else the whole text"
    )
    file_id: str = Field(default="file-relaysim", min_length=1, description="the file's id")


class ScriptedFailure(BaseModel):
    """The `last_error` of a run that a script lets fail."""

    model_config = _TABLE
    code: Literal["server_error", "rate_limit_exceeded", "invalid_prompt"] = Field(
        default="server_error", description="the error's code"
    )
    message: str = Field(default="Sorry, something went wrong.", description="the error's message")


class ScriptedReply(BaseModel):
    """One turn of a script: what it writes (`text`, `texts`, nothing by `content = []`), and how it ends: with that, with
    `tool_calls`, with `fail` or with `incomplete`.
    """

    model_config = _TABLE
    text: str | None = Field(
        default=None,
        description="a message with this text, the run's last or before its ending; `{input}` is the question",
    )
    texts: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="several messages instead, one after the other"
    )
    content: tuple[str, ...] | None = Field(
        default=None, max_length=0, description="`[]`: the run completes with a message without any content"
    )
    annotations: tuple[ScriptedAnnotation, ...] = Field(
        default=(), description="what passages of the text, or of the last of the texts, refer to"
    )
    tool_calls: tuple[ScriptedCall, ...] | None = Field(
        default=None, min_length=1, description="the run asks for these, after what it writes"
    )
    fail: ScriptedFailure | None = Field(default=None, description="the run fails")
    incomplete: str | None = Field(default=None, description="the run ends incomplete, with this much text")
    reason: Literal["max_completion_tokens", "max_prompt_tokens", "content_filter"] = Field(
        default="max_completion_tokens", description="why an incomplete run ended"
    )

    def model_post_init(self, _: Any) -> None:
        """Refuse a turn that says nothing, and what does not go together."""
        written = [name for name in ("text", "texts", "content") if getattr(self, name) is not None]
        ends = [name for name in ("tool_calls", "fail", "incomplete") if getattr(self, name) is not None]
        if not written and not ends:
            raise ValueError("give one of text, texts, content, tool_calls, fail, incomplete (given: none)")
        for given in (written, ends, [*written, *ends] if "content" in written else []):
            if len(given) > 1:
                raise ValueError(f"give only one of {', '.join(given)}")
        if self.annotations and not {"text", "texts"} & set(written):
            raise ValueError("annotations need a text that they stand in: give `text` or `texts`")
        last = self.text if self.texts is None else self.texts[-1]
        for annotation in self.annotations:
            if last is None or (annotation.text is not None and annotation.text not in last):
                raise ValueError(
                    f"the text of an annotation must stand in the reply's text; {annotation.text!r} does not"
                )

    def reply(self, turn: Turn) -> Reply:
        """The turn's reply."""
        newest = next((text_of(message) for message in reversed(turn.messages) if message["role"] == "user"), "")
        given = self.texts if self.text is None else (self.text,)
        texts = [Text(text.replace("{input}", newest)) for text in given or ()]
        if texts and self.annotations:
            last = texts[-1].text
            texts[-1] = Text(
                last, tuple(Annotation(_passage(each, last), each.file_id, each.type) for each in self.annotations)
            )
        calls = self.tool_calls or ()
        before: list[Text | Nothing | FileSearch] = [
            FileSearch(call.id) for call in calls if call.type == "file_search"
        ]
        functions = tuple(
            ToolCall(
                call.name or "",
                call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments),
                call.id,
            )
            for call in calls
            if call.type == "function"
        )
        ending: Ending
        if functions:
            ending = ToolCalls(functions)
        elif self.fail is not None:
            ending = Failure(self.fail.code, self.fail.message)
        elif self.incomplete is not None:
            ending = Incomplete(self.incomplete, self.reason)
        elif self.content is not None:
            ending = Nothing()
        else:
            ending = texts.pop() if texts else Text(echo_reply(turn))
        before += texts
        return Several(tuple(before), ending) if before else ending


def _passage(annotation: ScriptedAnnotation, text: str) -> str:
    if annotation.text is not None:
        return annotation.text
    found = _BRACKETS.search(text)
    return text if found is None else found[0]


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
