"""Checks of request parameters: each returns what is stored, or raises the `ApiError` that the API answers with.

What is returned is the store's own: nothing in it is shared with what was given. A `null` counts as absent wherever the
parameter may be left out (captured on other endpoints), with one exception that `check_assistant` names.

Documented are the sets of keys, which parameters are required, the enumerations and the limits, but for these. Captured:
32 messages with a thread, 1,048,576 characters in one tool output and 512 kB in all of a request, no data URLs for
images, ids of files that begin with `file`; on other endpoints 1,024 characters in a function's description. Inferred:
the limits of texts in content parts, of `additional_messages`, of a model's name, and that no number of tokens or of
messages exceeds 2^31 - 1. Whether a file, a vector store or a model exists is not checked: there are none here.

Longer than 400 lines because it is the list of parameters that the API takes, each with its limits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from relaysim.sim.backends import errors
from relaysim.sim.backends.json_values import (
    Object,
    check_array,
    check_boolean,
    check_choice,
    check_decimal,
    check_integer,
    check_kind,
    check_metadata,
    check_name,
    check_object,
    check_open_object,
    check_string,
    copied,
)
from relaysim.sim.backends.threads import thread_errors

CheckedMessage = tuple[str, list[Object], Object, list[Any]]
"""Role, content, metadata and attachments of a message, as they are stored."""

CONTENT_LENGTH_MAX: Final = 256_000
INSTRUCTIONS_LENGTH_MAX: Final = 256_000
MODEL_LENGTH_MAX: Final = 256
ASSISTANT_NAME_LENGTH_MAX: Final = 256
ASSISTANT_DESCRIPTION_LENGTH_MAX: Final = 512
FUNCTION_DESCRIPTION_LENGTH_MAX: Final = 1024
MESSAGES_MAX: Final = 32
ASSISTANT_TOOLS_MAX: Final = 128
RUN_TOOLS_MAX: Final = 20
CODE_INTERPRETER_FILES_MAX: Final = 20
VECTOR_STORES_MAX: Final = 1
VECTOR_STORE_FILES_MAX: Final = 10_000
TOOL_OUTPUT_LENGTH_MAX: Final = 1_048_576
TOOL_OUTPUTS_BYTES_MAX: Final = 512 * 1024
TOKENS_MIN: Final = 256
INTEGER_MAX: Final = 2**31 - 1

ROLES: Final = ("user", "assistant")
CONTENT_KINDS: Final = ("text", "image_url", "image_file")
TOOL_KINDS: Final = ("code_interpreter", "file_search", "function")
FILE_TOOL_KINDS: Final = ("code_interpreter", "file_search")
DETAILS: Final = ("auto", "low", "high")
RANKERS: Final = ("auto", "default_2024_08_21")
RESPONSE_FORMATS: Final = ("json_object", "json_schema", "text")
TOOL_CHOICES: Final = ("none", "auto", "required")
TRUNCATIONS: Final = ("auto", "last_messages")
CHUNKINGS: Final = ("auto", "static")
REASONING_EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")

_MESSAGE_KEYS: Final = frozenset({"role", "content", "metadata", "attachments"})
_URL: Final = re.compile(r"https?://[^\s/]\S*", re.IGNORECASE)


# Messages


def text_parts(text: str) -> list[Object]:
    """A text as a message's content."""
    return [{"type": "text", "text": {"value": text, "annotations": []}}]


def check_content(param: str, content: Any) -> list[Object]:
    """A message's content, a string or an array of parts, as the list that is stored."""
    if isinstance(content, str):
        if not content:
            raise thread_errors.empty_content(param)
        return text_parts(check_string(param, content, CONTENT_LENGTH_MAX))
    if not isinstance(content, list | tuple):
        raise errors.invalid_type(param, "one of a string or array of objects", content)
    if not content:
        raise thread_errors.empty_content(param)
    return [_content_part(f"{param}[{index}]", part) for index, part in enumerate(content)]


def _content_part(where: str, part: Any) -> Object:
    fields, kind = check_kind(where, part, CONTENT_KINDS)
    check_object(where, fields, ("type", kind))
    inner = f"{where}.{kind}"
    if kind == "text":
        return text_parts(check_string(inner, fields["text"], CONTENT_LENGTH_MAX, empty=False))[0]
    reference = "url" if kind == "image_url" else "file_id"
    image = _checked(inner, fields[kind], _IMAGES[kind], reference)
    image.setdefault("detail", "auto")
    return {"type": kind, kind: image}


def _url(param: str, value: Any) -> str:
    url = check_string(param, value)
    if _URL.fullmatch(url) is None:
        raise errors.invalid_url(param)
    return url


def _file_id(param: str, value: Any) -> str:
    return _id(param, value, "file")


def _vector_store_id(param: str, value: Any) -> str:
    return _id(param, value, "vs")


def _id(param: str, value: Any, prefix: str) -> str:
    name = check_string(param, value)
    if not name.startswith(prefix):
        raise errors.malformed_id(param, name, prefix)
    return name


def _ids(param: str, values: Any, count_max: int, check: Callable[[str, Any], str]) -> list[str]:
    array = check_array(param, values, "strings", count_max)
    return [check(f"{param}[{index}]", value) for index, value in enumerate(array)]


def check_messages(param: str, messages: Any) -> list[CheckedMessage]:
    """An array of at most 32 messages to be stored; the parameter's name leads the names in the errors."""
    if messages is None:
        return []
    checked = []
    for index, message in enumerate(check_array(param, messages, count_max=MESSAGES_MAX)):
        where = f"{param}[{index}]"
        if not isinstance(message, Mapping):
            raise errors.invalid_type(where, "an object", message)
        if "role" not in message or "content" not in message or not message.keys() <= _MESSAGE_KEYS:
            check_object(where, message, ("role", "content"), ("metadata", "attachments"))
        checked.append(
            check_message(
                f"{where}.",
                message["role"],
                message["content"],
                message.get("metadata"),
                message.get("attachments"),
            )
        )
    return checked


def check_message(where: str, role: Any, content: Any, metadata: Any, attachments: Any) -> CheckedMessage:
    """One message's parameters: role, content, metadata and attachments as they are stored."""
    # The names in the errors are put together only where there is one: most messages are plain and right.
    if role != "user" and role != "assistant":
        if role is None:
            raise errors.missing_parameter(f"{where}role")
        check_choice(f"{where}role", role, ROLES)
    if type(content) is str and 0 < len(content) <= CONTENT_LENGTH_MAX:
        parts = text_parts(content)
    elif content is None:
        raise errors.missing_parameter(f"{where}content")
    else:
        parts = check_content(f"{where}content", content)
    return (
        role,
        parts,
        {} if metadata is None else check_metadata(metadata, f"{where}metadata"),
        [] if attachments is None else _attachments(f"{where}attachments", attachments),
    )


def _attachments(param: str, attachments: Any) -> list[Object]:
    array = check_array(param, attachments)
    return [_checked(f"{param}[{index}]", attachment, _ATTACHMENT) for index, attachment in enumerate(array)]


def _file_tools(param: str, tools: Any) -> list[Object]:
    checked = []
    for index, tool in enumerate(check_array(param, tools)):
        fields, kind = check_kind(f"{param}[{index}]", tool, FILE_TOOL_KINDS)
        check_object(f"{param}[{index}]", fields, ("type",))
        checked.append({"type": kind})
    return checked


# Threads


class CheckedThread(NamedTuple):
    """The parameters of a thread that is made together with its run, as they are stored."""

    messages: list[CheckedMessage]
    metadata: Object
    tool_resources: Object


def check_thread_of_run(thread: Any) -> CheckedThread:
    """The `thread` of a request that creates one and runs it; None: an empty thread."""
    if thread is None:
        return CheckedThread([], {}, {})
    fields = check_object("thread", thread, optional=("messages", "metadata", "tool_resources"))
    return CheckedThread(
        check_messages("thread.messages", fields.get("messages")),
        check_metadata(fields.get("metadata"), "thread.metadata"),
        check_tool_resources(fields.get("tool_resources"), "thread.tool_resources"),
    )


def check_tool_resources(resources: Any, param: str = "tool_resources", *, creating: bool = True) -> Object:
    """Tool resources as a dict of the store's own.

    Args:
        resources: what was given.
        param: its path.
        creating: whether an object is created that may bring new vector stores along (`vector_stores`). Those are not
            simulated beyond their ids, which are a function of what is in them.
    """
    if resources is None:
        return {}
    fields = check_object(param, resources, optional=FILE_TOOL_KINDS)
    checked: Object = {}
    if fields.get("code_interpreter") is not None:
        checked["code_interpreter"] = _checked(f"{param}.code_interpreter", fields["code_interpreter"], _CODE_RESOURCES)
    if fields.get("file_search") is not None:
        where = f"{param}.file_search"
        search = _checked(where, fields["file_search"], _NEW_SEARCH_RESOURCES if creating else _SEARCH_RESOURCES)
        if "vector_stores" in search:
            if "vector_store_ids" in search:
                raise errors.mutually_exclusive(where, "vector_store_ids", "vector_stores")
            search = {"vector_store_ids": [_new_vector_store_id(store) for store in search["vector_stores"]]}
        checked["file_search"] = search
    return checked


def _new_vector_store_id(store: Object) -> str:
    return f"vs_{blake2b(json.dumps(store, sort_keys=True).encode(), digest_size=16).hexdigest()}"


def _vector_stores(param: str, stores: Any) -> list[Object]:
    array = check_array(param, stores, count_max=VECTOR_STORES_MAX)
    return [_checked(f"{param}[{index}]", store, _VECTOR_STORE) for index, store in enumerate(array)]


def _chunking_strategy(param: str, strategy: Any) -> Object:
    fields, kind = check_kind(param, strategy, CHUNKINGS)
    if kind == "auto":
        check_object(param, fields, ("type",))
        return {"type": "auto"}
    check_object(param, fields, ("type", "static"))
    names = ("max_chunk_size_tokens", "chunk_overlap_tokens")
    sizes = check_object(f"{param}.static", fields["static"], names)
    size = check_integer(f"{param}.static.{names[0]}", sizes[names[0]], 100, 4096)
    overlap = check_integer(f"{param}.static.{names[1]}", sizes[names[1]], 0, size // 2)
    return {"type": "static", "static": {names[0]: size, names[1]: overlap}}


# Tools


def check_tools(param: str, tools: Any, count_max: int) -> list[Object]:
    """An array of at most `count_max` tools."""
    array = check_array(param, tools, count_max=count_max)
    return [_tool(f"{param}[{index}]", tool) for index, tool in enumerate(array)]


def _tool(where: str, tool: Any) -> Object:
    fields, kind = check_kind(where, tool, TOOL_KINDS)
    if kind == "code_interpreter":
        check_object(where, fields, ("type",))
        return {"type": kind}
    if kind == "function":
        check_object(where, fields, ("type", "function"))
        return {"type": kind, kind: _checked(f"{where}.function", fields[kind], _FUNCTION, "name")}
    check_object(where, fields, ("type",), ("file_search",))
    if fields.get("file_search") is None:
        return {"type": kind}
    return {"type": kind, kind: _checked(f"{where}.file_search", fields[kind], _SEARCH)}


def _ranking_options(param: str, options: Any) -> Object:
    return _checked(param, options, _RANKING, "score_threshold")


def _schema(param: str, schema: Any) -> Object:
    copy: Object = copied(param, check_open_object(param, schema))
    return copy


def check_tool_outputs(outputs: Any) -> list[Object]:
    """The outputs of tool calls: `tool_call_id` and `output`, which is empty where none was given."""
    checked = []
    size = 0
    for index, each in enumerate(check_array("tool_outputs", outputs)):
        given = _checked(f"tool_outputs[{index}]", each, _TOOL_OUTPUT, "tool_call_id")
        output = given.get("output", "")
        size += len(output.encode(errors="replace"))
        checked.append({"tool_call_id": given["tool_call_id"], "output": output})
    if size >= TOOL_OUTPUTS_BYTES_MAX:
        raise thread_errors.tool_outputs_too_large()
    return checked


# Runs and assistants


def check_run_options(options: Mapping[str, Any]) -> Object:
    """The options of a run: those that were given, as they are stored.

    Raises:
        ApiError: one of them is wrong, or no run has it.
    """
    for name in options:
        if name not in _RUN_OPTIONS:
            raise errors.unknown_parameter(name)
    return {name: _RUN_OPTIONS[name](name, value) for name, value in options.items() if value is not None}


def check_assistant(params: Mapping[str, Any], creating: bool) -> Object:
    """The parameters of an assistant: those that were given, as they are stored.

    A `null` for its name, description, instructions or reasoning effort takes away what was there.

    Args:
        params: the request's parameters.
        creating: whether an assistant is created, which needs a model, or changed.

    Raises:
        ApiError: one of them is wrong or missing, or no assistant has it.
    """
    if creating and "model" not in params:
        raise errors.missing_parameter("model")
    for name in params:
        if name not in _ASSISTANT:
            raise errors.unknown_parameter(name)
    if creating:
        check_string("model", params["model"])
    checked: Object = {}
    for name, value in params.items():
        if name == "tool_resources" and value is not None:
            checked[name] = check_tool_resources(value, creating=creating)
        elif value is not None:
            checked[name] = _ASSISTANT[name](name, value)
        elif name in _ERASABLE:
            checked[name] = None
    return checked


def _response_format(param: str, value: Any) -> Any:
    if isinstance(value, str):
        return check_choice(param, value, ("auto",))
    if not isinstance(value, Mapping):
        raise errors.invalid_type(param, errors.one_of(("auto",), "an object"), value)
    fields, kind = check_kind(param, value, RESPONSE_FORMATS)
    if kind != "json_schema":
        check_object(param, fields, ("type",))
        return {"type": kind}
    check_object(param, fields, ("type", "json_schema"))
    return {"type": kind, kind: _checked(f"{param}.json_schema", fields[kind], _JSON_SCHEMA, "name")}


def _tool_choice(param: str, value: Any) -> Any:
    if isinstance(value, str):
        return check_choice(param, value, TOOL_CHOICES)
    if not isinstance(value, Mapping):
        raise errors.invalid_type(param, errors.one_of(TOOL_CHOICES, "an object"), value)
    fields, kind = check_kind(param, value, TOOL_KINDS)
    check_object(param, fields, ("type", "function") if kind == "function" else ("type",), ("function",))
    if kind != "function" and fields.get("function") is None:
        return {"type": kind}
    return {"type": kind, "function": _checked(f"{param}.function", fields["function"], _CHOSEN_FUNCTION, "name")}


def _truncation_strategy(param: str, value: Any) -> Object:
    fields, kind = check_kind(param, value, TRUNCATIONS)
    check_object(param, fields, ("type",), ("last_messages",))
    count = fields.get("last_messages")
    if count is not None:
        count = check_integer(f"{param}.last_messages", count, 1, INTEGER_MAX)
    elif kind == "last_messages":
        raise errors.missing_parameter(f"{param}.last_messages")
    return {"type": kind, "last_messages": count}


# Tables: the keys of objects, and what their values are checked with

Check = Callable[[str, Any], Any]


def _checked(where: str, value: Any, checks: Mapping[str, Check], *required: str) -> Object:
    """An object of the keys in `checks`, with their values as these return them."""
    fields = check_object(where, value, required, checks)
    return {
        key: check(f"{where}.{key}", fields[key])
        for key, check in checks.items()
        if key in required or fields.get(key) is not None
    }


_detail: Final = partial(check_choice, choices=DETAILS)
_IMAGES: Final[Mapping[str, Mapping[str, Check]]] = {
    "image_url": {"url": _url, "detail": _detail},
    "image_file": {"file_id": _file_id, "detail": _detail},
}
_ATTACHMENT: Final[Mapping[str, Check]] = {"file_id": _file_id, "tools": _file_tools}
_CODE_RESOURCES: Final[Mapping[str, Check]] = {
    "file_ids": lambda param, value: _ids(param, value, CODE_INTERPRETER_FILES_MAX, _file_id)
}
_SEARCH_RESOURCES: Final[Mapping[str, Check]] = {
    "vector_store_ids": lambda param, value: _ids(param, value, VECTOR_STORES_MAX, _vector_store_id)
}
_NEW_SEARCH_RESOURCES: Final[Mapping[str, Check]] = {**_SEARCH_RESOURCES, "vector_stores": _vector_stores}
_VECTOR_STORE: Final[Mapping[str, Check]] = {
    "file_ids": lambda param, value: _ids(param, value, VECTOR_STORE_FILES_MAX, _file_id),
    "chunking_strategy": _chunking_strategy,
    "metadata": lambda param, value: check_metadata(value, param),
}
_FUNCTION: Final[Mapping[str, Check]] = {
    "name": check_name,
    "description": partial(check_string, length_max=FUNCTION_DESCRIPTION_LENGTH_MAX),
    "parameters": _schema,
    "strict": check_boolean,
}
_SEARCH: Final[Mapping[str, Check]] = {
    "max_num_results": partial(check_integer, low=1, high=50),
    "ranking_options": _ranking_options,
}
_RANKING: Final[Mapping[str, Check]] = {
    "score_threshold": partial(check_decimal, low=0, high=1),
    "ranker": partial(check_choice, choices=RANKERS),
}
_JSON_SCHEMA: Final[Mapping[str, Check]] = {
    "name": check_name,
    "description": check_string,
    "schema": _schema,
    "strict": check_boolean,
}
_CHOSEN_FUNCTION: Final[Mapping[str, Check]] = {"name": check_name}
_TOOL_OUTPUT: Final[Mapping[str, Check]] = {
    "tool_call_id": check_string,
    "output": partial(check_string, length_max=TOOL_OUTPUT_LENGTH_MAX),
}

_model: Final = partial(check_string, length_max=MODEL_LENGTH_MAX, empty=False)
_instructions: Final = partial(check_string, length_max=INSTRUCTIONS_LENGTH_MAX)
_tokens: Final = partial(check_integer, low=TOKENS_MIN, high=INTEGER_MAX)

# What runs and assistants share.
_SAMPLING: Final[Mapping[str, Check]] = {
    "model": _model,
    "instructions": _instructions,
    "temperature": partial(check_decimal, low=0, high=2),
    "top_p": partial(check_decimal, low=0, high=1),
    "response_format": _response_format,
    "reasoning_effort": partial(check_choice, choices=REASONING_EFFORTS),
}
_RUN_OPTIONS: Final[Mapping[str, Check]] = {
    **_SAMPLING,
    "additional_instructions": _instructions,
    "tools": partial(check_tools, count_max=RUN_TOOLS_MAX),
    "max_prompt_tokens": _tokens,
    "max_completion_tokens": _tokens,
    "truncation_strategy": _truncation_strategy,
    "tool_choice": _tool_choice,
    "parallel_tool_calls": check_boolean,
    "stream": check_boolean,
}
_ASSISTANT: Final[Mapping[str, Check]] = {
    **_SAMPLING,
    "name": partial(check_string, length_max=ASSISTANT_NAME_LENGTH_MAX),
    "description": partial(check_string, length_max=ASSISTANT_DESCRIPTION_LENGTH_MAX),
    "tools": partial(check_tools, count_max=ASSISTANT_TOOLS_MAX),
    "tool_resources": lambda param, value: check_tool_resources(value, param),
    "metadata": lambda param, value: check_metadata(value, param),
}
_ERASABLE: Final = frozenset({"name", "description", "instructions", "reasoning_effort"})
