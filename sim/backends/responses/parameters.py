"""Checks of request parameters: each returns what is stored, or raises the `ApiError` that the API answers with.

Documented are the names of the parameters and of the kinds of items, the enumerations, 20 items a request, 16 pairs of
metadata. Inferred: the limits of texts (10 MB, as the sentence on long strings of other endpoints), and that tools,
formats and settings of reasoning are taken as they are: no simulated model reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from relaysim.sim.backends import errors
from relaysim.sim.backends.json_values import (
    Object,
    check_array,
    check_boolean,
    check_choice,
    check_decimal,
    check_integer,
    check_open_object,
    check_string,
    copied,
)

TEXT_LENGTH_MAX: Final = 10_485_760
ITEMS_MAX: Final = 20
INTEGER_MAX: Final = 2**31 - 1
TOKENS_MIN: Final = 16

ROLES: Final = ("user", "assistant", "system", "developer")
PARTS: Final = ("input_text", "input_image", "input_file", "output_text", "refusal")
OPAQUE: Final = (
    "reasoning",
    "file_search_call",
    "web_search_call",
    "computer_call",
    "computer_call_output",
    "code_interpreter_call",
    "image_generation_call",
    "local_shell_call",
    "local_shell_call_output",
    "mcp_call",
    "mcp_list_tools",
    "mcp_approval_request",
    "mcp_approval_response",
    "custom_tool_call",
    "custom_tool_call_output",
    "compaction",
)
"""Kinds of items that are kept as they are given."""

KINDS: Final = ("message", "function_call", "function_call_output", "item_reference", *OPAQUE)
_PREFIXES: Final = {"message": "msg", "function_call": "fc", "function_call_output": "fco", "reasoning": "rs"}


class GivenItem(NamedTuple):
    """An item as it is stored, but for its id where none was given.

    Attributes:
        view: the API object; without `id` if one is to be made.
        prefix: of the id that is to be made.
        reference: the id of an item that is there already, which it stands for; None: it is an item itself.
    """

    view: Object
    prefix: str
    reference: str | None = None


def check_input(param: str, value: Any) -> list[GivenItem]:
    """The `input` of a response: a text, which is a user's message, or items; None: nothing."""
    if value is None:
        return []
    if isinstance(value, str):
        return [_message(param, {"role": "user", "content": value})]
    return check_items(param, value, None)


def check_items(param: str, value: Any, count_max: int | None = ITEMS_MAX) -> list[GivenItem]:
    """Items to be stored."""
    if not isinstance(value, list | tuple):
        raise errors.invalid_type(param, "one of a string or array of objects", value)
    check_array(param, value, count_max=count_max)
    return [_item(f"{param}[{index}]", item) for index, item in enumerate(value)]


def _item(where: str, item: Any) -> GivenItem:
    fields = check_open_object(where, item)
    kind = fields.get("type")
    if kind is None:
        # A reference, or a message, which is the only kind with a role.
        kind = "message" if "role" in fields or "id" not in fields else "item_reference"
    kind = check_choice(f"{where}.type", kind, KINDS)
    if kind == "message":
        return _message(where, fields)
    if kind == "item_reference":
        reference = check_string(f"{where}.id", _required(where, fields, "id"), empty=False)
        return GivenItem({}, "", reference)
    if kind == "function_call":
        for name in ("call_id", "name", "arguments"):
            check_string(f"{where}.{name}", _required(where, fields, name), TEXT_LENGTH_MAX)
    elif kind == "function_call_output":
        check_string(f"{where}.call_id", _required(where, fields, "call_id"), empty=False)
        output = _required(where, fields, "output")
        if not isinstance(output, list | tuple):
            check_string(f"{where}.output", output, TEXT_LENGTH_MAX)
    view: Object = {**copied(where, fields), "type": kind}
    view.setdefault("status", "completed")
    return _given(view, _PREFIXES.get(kind, "item"))


def _message(where: str, fields: Mapping[str, Any]) -> GivenItem:
    role = check_choice(f"{where}.role", _required(where, fields, "role"), ROLES)
    content = _required(where, fields, "content")
    kind = "output_text" if role == "assistant" else "input_text"
    parts: list[Object]
    if isinstance(content, str):
        text = check_string(f"{where}.content", content, TEXT_LENGTH_MAX)
        parts = [_text_part(kind, text)]
    elif isinstance(content, list | tuple):
        parts = [_part(f"{where}.content[{index}]", part) for index, part in enumerate(content)]
    else:
        raise errors.invalid_type(f"{where}.content", "one of a string or array of objects", content)
    view: Object = {"type": "message", "status": "completed", "role": role, "content": parts}
    if isinstance(fields.get("id"), str) and fields["id"]:
        view["id"] = fields["id"]
    return _given(view, "msg")


def _part(where: str, part: Any) -> Object:
    fields = check_open_object(where, part)
    kind = check_choice(f"{where}.type", _required(where, fields, "type"), PARTS)
    if kind in ("input_text", "output_text"):
        return _text_part(kind, check_string(f"{where}.text", _required(where, fields, "text"), TEXT_LENGTH_MAX))
    return {**copied(where, fields), "type": kind}


def _text_part(kind: str, text: str) -> Object:
    if kind == "output_text":
        return {"type": kind, "text": text, "annotations": [], "logprobs": []}
    return {"type": kind, "text": text}


def _given(view: Object, prefix: str) -> GivenItem:
    if not (isinstance(view.get("id"), str) and view["id"]):
        view.pop("id", None)
    return GivenItem(view, prefix)


def _required(where: str, fields: Mapping[str, Any], name: str) -> Any:
    if fields.get(name) is None:
        raise errors.missing_parameter(f"{where}.{name}")
    return fields[name]


def check_conversation(value: Any) -> str | None:
    """The id of the conversation that a response is bound to: a text, or an object with an `id`."""
    if value is None:
        return None
    if isinstance(value, Mapping):
        return check_string("conversation.id", _required("conversation", value, "id"), empty=False)
    return check_string("conversation", value, empty=False)


# The settings of a response

DEFAULTS: Final[Mapping[str, Any]] = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "parallel_tool_calls": True,
    "prompt_cache_key": None,
    "prompt_cache_retention": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "temperature": 1.0,
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
"""What an object shows of settings that were not given."""


def _text(param: str, value: Any) -> str:
    return check_string(param, value, TEXT_LENGTH_MAX)


def _positive(param: str, value: Any) -> int:
    return check_integer(param, value, 1, INTEGER_MAX)


def _instructions(param: str, value: Any) -> Any:
    return _text(param, value) if isinstance(value, str) else copied(param, check_array(param, value))


_SETTINGS: Final[Mapping[str, Callable[[str, Any], Any]]] = {
    "instructions": _instructions,
    "max_output_tokens": lambda param, value: check_integer(param, value, TOKENS_MIN, INTEGER_MAX),
    "max_tool_calls": _positive,
    "parallel_tool_calls": check_boolean,
    "prompt_cache_key": _text,
    "prompt_cache_retention": lambda param, value: check_choice(param, value, ("in_memory", "24h")),
    "reasoning": lambda param, value: copied(param, check_open_object(param, value)),
    "safety_identifier": _text,
    "service_tier": _text,
    "temperature": lambda param, value: check_decimal(param, value, 0, 2),
    "text": lambda param, value: copied(param, check_open_object(param, value)),
    "tool_choice": copied,
    "tools": lambda param, value: copied(param, check_array(param, value)),
    "top_logprobs": lambda param, value: check_integer(param, value, 0, 20),
    "top_p": lambda param, value: check_decimal(param, value, 0, 1),
    "truncation": lambda param, value: check_choice(param, value, ("auto", "disabled")),
    "user": _text,
}

UNSHOWN: Final = frozenset(
    {
        "include",
        "stream_options",
        "prompt",
        "prompt_cache_options",
        "context_management",
        "background_options",
        "access_programs",
        "moderation",
        "image",
    }
)
"""Accepted, and without effect here."""

SETTINGS: Final = frozenset(_SETTINGS) | UNSHOWN


def check_settings(params: Mapping[str, Any]) -> Object:
    """The settings that were given, as they are stored and shown; null counts as absent."""
    return {
        name: _SETTINGS[name](name, value) for name, value in params.items() if value is not None and name in _SETTINGS
    }


def check_flag(name: str, value: Any, default: bool) -> bool:
    """`true` or `false`; None: the default."""
    return default if value is None else check_boolean(name, value)


def check_model(value: Any) -> str:
    """A model's name. Whether there is such a model is not checked: there are none here."""
    if value is None:
        raise errors.missing_parameter("model")
    return check_string("model", value, 256, empty=False)
