"""Parameters of requests: what the SDK can send passes, every mistake gets the API's words, nothing else happens."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from openai.types.beta import (
    assistant_create_params,
    assistant_update_params,
    thread_create_and_run_params,
    thread_create_params,
    thread_update_params,
)
from openai.types.beta.threads import message_create_params, run_create_params, run_submit_tool_outputs_params
from pydantic import TypeAdapter

from relaysim.sim.backends import errors
from relaysim.sim.backends.errors import ApiError
from relaysim.sim.backends.json_values import check_id, check_metadata
from relaysim.sim.backends.threads.parameters import (
    CONTENT_LENGTH_MAX,
    check_assistant,
    check_content,
    check_message,
    check_messages,
    check_run_options,
    check_thread_of_run,
    check_tool_outputs,
    check_tool_resources,
    check_tools,
)

FILE, STORE, ASSISTANT = "file-" + "a" * 22, "vs_" + "b" * 24, "asst_" + "c" * 24

SCHEMA = {
    "type": "object",
    "properties": {"order": {"type": "string", "enum": ["a", "b"]}, "depth": {"type": ["number", "null"]}},
    "required": ["order"],
    "additionalProperties": False,
}
TOOLS: list[Any] = [
    {"type": "code_interpreter"},
    {"type": "file_search"},
    {
        "type": "file_search",
        "file_search": {
            "max_num_results": 50,
            "ranking_options": {"score_threshold": 0.25, "ranker": "default_2024_08_21"},
        },
    },
    {"type": "function", "function": {"name": "look-up_order1"}},
    {
        "type": "function",
        "function": {"name": "f", "description": "Looks up.", "parameters": SCHEMA, "strict": True},
    },
]
CHUNKING = {"type": "static", "static": {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 400}}
NEW_RESOURCES: dict[str, Any] = {
    "code_interpreter": {"file_ids": [FILE]},
    "file_search": {
        "vector_stores": [{"file_ids": [FILE, FILE], "chunking_strategy": CHUNKING, "metadata": {"k": "v"}}]
    },
}
RESOURCES: dict[str, Any] = {"code_interpreter": {"file_ids": [FILE]}, "file_search": {"vector_store_ids": [STORE]}}
PARTS: list[Any] = [
    {"type": "text", "text": "What is this?\0"},
    {"type": "image_file", "image_file": {"file_id": FILE, "detail": "low"}},
    {"type": "image_url", "image_url": {"url": "https://example.org/a.png?b=c"}},
]
MESSAGE: dict[str, Any] = {
    "role": "user",
    "content": PARTS,
    "attachments": [
        {"file_id": FILE, "tools": [{"type": "code_interpreter"}, {"type": "file_search"}]},
        {"file_id": FILE},
    ],
    "metadata": {"channel": "web"},
}
FORMAT = {
    "type": "json_schema",
    "json_schema": {"name": "answer", "description": "An answer.", "schema": SCHEMA, "strict": False},
}
RUN: dict[str, Any] = {
    "assistant_id": ASSISTANT,
    "model": "gpt-4o-mini",
    "instructions": "Be brief.",
    "additional_instructions": None,
    "additional_messages": [MESSAGE, {"role": "assistant", "content": "Hello"}],
    "max_completion_tokens": 256,
    "max_prompt_tokens": 20_000,
    "metadata": {},
    "parallel_tool_calls": False,
    "reasoning_effort": "xhigh",
    "response_format": FORMAT,
    "stream": False,
    "temperature": 2,
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "tools": TOOLS,
    "top_p": 0.0,
    "truncation_strategy": {"type": "last_messages", "last_messages": 10},
}
THREAD: dict[str, Any] = {"messages": [MESSAGE], "metadata": {"a": "b"}, "tool_resources": NEW_RESOURCES}
CREATED_ASSISTANT: dict[str, Any] = {
    "model": "gpt-4o",
    "name": "Helper",
    "description": None,
    "instructions": "x" * 256_000,
    "tools": TOOLS,
    "tool_resources": NEW_RESOURCES,
    "metadata": {"k" * 64: "v" * 512},
    "temperature": 0.2,
    "top_p": 1,
    "response_format": {"type": "text"},
    "reasoning_effort": "max",
}
OUTPUTS: list[Any] = [{"tool_call_id": "call_a", "output": "{}"}, {"tool_call_id": "call_b"}]

NOT_OPTIONS = frozenset({"assistant_id", "additional_messages", "metadata", "include", "thread", "tool_resources"})
NOT_WITH_A_THREAD = frozenset({"additional_instructions", "reasoning_effort"})


def options_of(body: dict[str, Any]) -> dict[str, Any]:
    """The run's options in a request that creates one."""
    return {name: value for name, value in body.items() if name not in NOT_OPTIONS}


def check_run(body: dict[str, Any]) -> Any:
    """All of a request that creates a run."""
    check_id("assistant_id", body.get("assistant_id"), "asst")
    return (
        check_run_options(options_of(body)),
        check_messages("additional_messages", body.get("additional_messages")),
        check_metadata(body.get("metadata")),
    )


def check_thread(body: dict[str, Any]) -> Any:
    """All of a request that creates a thread."""
    return (
        check_messages("messages", body.get("messages")),
        check_metadata(body.get("metadata")),
        check_tool_resources(body.get("tool_resources")),
    )


def check_thread_and_run(body: dict[str, Any]) -> Any:
    """All of a request that creates a thread and runs it."""
    return (
        check_thread_of_run(body.get("thread")),
        check_tool_resources(body.get("tool_resources"), creating=False),
        check_run_options(options_of(body)),
    )


def check_one_message(body: dict[str, Any]) -> Any:
    """All of a request that creates a message."""
    return check_message("", *(body.get(name) for name in ("role", "content", "metadata", "attachments")))


VALID: list[tuple[Callable[[Any], Any], Any, Any]] = [
    (check_run, run_create_params.RunCreateParamsNonStreaming, RUN),
    (check_run, run_create_params.RunCreateParamsNonStreaming, {"assistant_id": ASSISTANT}),
    (
        check_run,
        run_create_params.RunCreateParamsStreaming,
        {
            "assistant_id": ASSISTANT,
            "stream": True,
            "tool_choice": {"type": "file_search"},
            "response_format": "auto",
            "truncation_strategy": {"type": "auto"},
            "tools": None,
            "temperature": None,
        },
    ),
    (
        check_run,
        run_create_params.RunCreateParamsNonStreaming,
        {
            "assistant_id": ASSISTANT,
            "tool_choice": "required",
            "response_format": {"type": "json_object"},
            "truncation_strategy": {"type": "auto", "last_messages": None},
            "reasoning_effort": None,
            "additional_messages": None,
        },
    ),
    (
        check_thread_and_run,
        thread_create_and_run_params.ThreadCreateAndRunParamsNonStreaming,
        {
            **{name: value for name, value in options_of(RUN).items() if name not in NOT_WITH_A_THREAD},
            "assistant_id": ASSISTANT,
            "thread": THREAD,
            "tool_resources": RESOURCES,
        },
    ),
    (
        check_thread_and_run,
        thread_create_and_run_params.ThreadCreateAndRunParamsNonStreaming,
        {"assistant_id": ASSISTANT, "thread": {}},
    ),
    (check_thread, thread_create_params.ThreadCreateParams, THREAD),
    (check_thread, thread_create_params.ThreadCreateParams, {"messages": [{"role": "user", "content": "x"}] * 32}),
    (
        check_thread,
        thread_create_params.ThreadCreateParams,
        {"tool_resources": {"file_search": {"vector_stores": [{"chunking_strategy": {"type": "auto"}}]}}},
    ),
    (check_thread, thread_update_params.ThreadUpdateParams, {"metadata": None, "tool_resources": RESOURCES}),
    (check_one_message, message_create_params.MessageCreateParams, MESSAGE),
    (check_one_message, message_create_params.MessageCreateParams, {"role": "assistant", "content": "x" * 256_000}),
    (
        lambda body: check_assistant(body, creating=True),
        assistant_create_params.AssistantCreateParams,
        CREATED_ASSISTANT,
    ),
    (lambda body: check_assistant(body, creating=True), assistant_create_params.AssistantCreateParams, {"model": "o3"}),
    (
        lambda body: check_assistant(body, creating=False),
        assistant_update_params.AssistantUpdateParams,
        {**CREATED_ASSISTANT, "tool_resources": RESOURCES},
    ),
    (lambda body: check_assistant(body, creating=False), assistant_update_params.AssistantUpdateParams, {}),
    (
        lambda body: check_tool_outputs(body["tool_outputs"]),
        run_submit_tool_outputs_params.RunSubmitToolOutputsParamsNonStreaming,
        {"thread_id": "thread_a", "tool_outputs": OUTPUTS},
    ),
]


@pytest.mark.parametrize(("check", "sdk_type", "body"), VALID)
def test_what_the_sdk_can_send_passes(check: Callable[[Any], Any], sdk_type: Any, body: Any) -> None:
    # The example itself first: the SDK's own type knows every key of it.
    adapter: TypeAdapter[Any] = TypeAdapter(sdk_type)
    assert json.loads(adapter.dump_json(adapter.validate_python(body))) == body
    before = copy.deepcopy(body)
    checked = check(body)
    json.dumps(checked, allow_nan=False)
    assert body == before


@pytest.mark.parametrize("name", sorted(run_create_params.RunCreateParamsBase.__annotations__.keys() - NOT_OPTIONS))
def test_every_option_of_the_sdk_is_known(name: str) -> None:
    assert check_run_options({name: None}) == {}


def test_every_parameter_of_an_assistant_is_known() -> None:
    for name in assistant_create_params.AssistantCreateParams.__annotations__:
        check_assistant({"model": "gpt-4o", name: CREATED_ASSISTANT[name]}, creating=True)
    for name in assistant_update_params.AssistantUpdateParams.__annotations__:
        check_assistant({name: None}, creating=False)


# What is stored


def test_options_are_returned_as_they_are_stored() -> None:
    assert check_run_options({"temperature": 1, "top_p": None, "truncation_strategy": {"type": "auto"}}) == {
        "temperature": 1.0,
        "truncation_strategy": {"type": "auto", "last_messages": None},
    }
    assert check_run_options(options_of(RUN)) == {
        name: value for name, value in options_of(RUN).items() if value is not None
    }
    assert check_run_options({}) == {}
    assert json.dumps(check_run_options({"temperature": 1})) == '{"temperature": 1.0}'


def test_a_null_inside_an_object_is_as_good_as_absent() -> None:
    bare = [
        {"type": "file_search", "file_search": None},
        {"type": "function", "function": {"name": "f", "description": None, "parameters": None, "strict": None}},
    ]
    assert check_tools("tools", bare, 2) == [
        {"type": "file_search"},
        {"type": "function", "function": {"name": "f"}},
    ]
    assert check_run_options({"tool_choice": {"type": "file_search", "function": None}}) == {
        "tool_choice": {"type": "file_search"}
    }
    assert check_tool_resources({"code_interpreter": None, "file_search": {"vector_store_ids": None}}) == {
        "file_search": {}
    }


def test_parts_and_attachments_as_they_are_stored() -> None:
    role, parts, metadata, attachments = check_one_message(MESSAGE)
    assert (role, metadata, attachments) == ("user", MESSAGE["metadata"], MESSAGE["attachments"])
    assert parts == [
        {"type": "text", "text": {"value": "What is this?\0", "annotations": []}},
        {"type": "image_file", "image_file": {"file_id": FILE, "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png?b=c", "detail": "auto"}},
    ]


def test_an_assistants_nulls_take_away_only_what_can_be_absent() -> None:
    given = dict.fromkeys(CREATED_ASSISTANT)
    assert check_assistant(given, creating=False) == {
        "name": None,
        "description": None,
        "instructions": None,
        "reasoning_effort": None,
    }


def test_a_tool_output_may_be_left_out() -> None:
    assert check_tool_outputs(OUTPUTS) == [
        {"tool_call_id": "call_a", "output": "{}"},
        {"tool_call_id": "call_b", "output": ""},
    ]
    assert check_tool_outputs([]) == []


def test_new_vector_stores_have_ids_that_depend_on_what_is_in_them() -> None:
    def store_ids(store: dict[str, Any]) -> Any:
        return check_tool_resources({"file_search": {"vector_stores": [store]}})["file_search"]["vector_store_ids"]

    assert store_ids({"file_ids": [FILE]}) == store_ids({"file_ids": [FILE]})
    assert store_ids({"file_ids": [FILE]}) != store_ids({"file_ids": []})
    assert store_ids({})[0].startswith("vs_")


def test_no_thread_is_an_empty_thread() -> None:
    assert check_thread_of_run(None) == check_thread_of_run({}) == ([], {}, {})


def test_tools_are_independent_of_what_was_given() -> None:
    given = copy.deepcopy(TOOLS)
    checked = check_tools("tools", given, 20)
    given[4]["function"]["parameters"]["properties"]["order"]["enum"].append("c")
    assert checked == TOOLS


# Mistakes


def run(**options: Any) -> Callable[[], Any]:
    """The check of these options."""
    return lambda: check_run_options(options)


def message(**params: Any) -> Callable[[], Any]:
    """The check of a message with these parameters."""
    return lambda: check_one_message({"role": "user", "content": "x", **params})


def part(**fields: Any) -> Callable[[], Any]:
    """The check of a message whose second part has these fields."""
    return message(content=[{"type": "text", "text": "x"}, fields])


def tool(**fields: Any) -> Callable[[], Any]:
    """The check of these fields as a tool."""
    return run(tools=[fields])


def function(**fields: Any) -> Callable[[], Any]:
    """The check of these fields as a function."""
    return tool(type="function", function=fields)


def search(**fields: Any) -> Callable[[], Any]:
    """The check of these overrides of a file search."""
    return tool(type="file_search", file_search=fields)


def resources(creating: bool = True, **fields: Any) -> Callable[[], Any]:
    """The check of these tool resources."""
    return lambda: check_tool_resources(fields, creating=creating)


def assistant(creating: bool = True, **fields: Any) -> Callable[[], Any]:
    """The check of an assistant."""
    return lambda: check_assistant({"model": "gpt-4o", **fields}, creating)


def outputs(*given: Any) -> Callable[[], Any]:
    """The check of these tool outputs."""
    return lambda: check_tool_outputs(list(given))


def thread(**fields: Any) -> Callable[[], Any]:
    """The check of the thread in a request that creates one and runs it."""
    return lambda: check_thread_of_run(fields)


# The API's words, with the parameter's path to be filled in, and their codes.

Words = tuple[str | None, str]

MISSING: Words = ("missing_required_parameter", "Missing required parameter: '{param}'.")
UNKNOWN: Words = ("unknown_parameter", "Unknown parameter: '{param}'.")
EMPTY: Words = (
    "empty_string",
    "Invalid '{param}': empty string. Expected a string with minimum length 1, but got an empty string instead.",
)
NO_NAME: Words = (
    "invalid_value",
    "Invalid '{param}': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'.",
)
NO_URL: Words = ("invalid_value", "Invalid '{param}'. Expected a valid URL, but got a value with an invalid format.")
NO_CONTENT: Words = (None, "Message content must be non-empty.")


def wrong_type(expected: str, got: str) -> Words:
    """Of another JSON type."""
    return "invalid_type", f"Invalid type for '{{param}}': expected {expected}, but got {got} instead."


def not_among(value: str, supported: str) -> Words:
    """Outside its enumeration."""
    return "invalid_value", f"Invalid value: '{value}'. Supported values are: {supported}."


def wrong_id(value: str, prefix: str) -> Words:
    """An id of another kind."""
    return "invalid_value", f"Invalid '{{param}}': '{value}'. Expected an ID that begins with '{prefix}'."


def too_long(limit: int, length: int) -> Words:
    """A string over its limit."""
    return "string_above_max_length", (
        f"Invalid '{{param}}': string too long. Expected a string with maximum length {limit}, but got a string with "
        f"length {length} instead."
    )


def too_many(limit: int, length: int) -> Words:
    """An array over its limit."""
    return "array_above_max_length", (
        f"Invalid '{{param}}': array too long. Expected an array with maximum length {limit}, but got an array with "
        f"length {length} instead."
    )


def below(kind: str, low: int, got: float) -> Words:
    """A number under its minimum."""
    return f"{kind}_below_min_value", (
        f"Invalid '{{param}}': {kind} below minimum value. Expected a value >= {low}, but got {got} instead."
    )


def above(kind: str, high: int, got: float) -> Words:
    """A number over its maximum."""
    return f"{kind}_above_max_value", (
        f"Invalid '{{param}}': {kind} above maximum value. Expected a value <= {high}, but got {got} instead."
    )


INVALID: list[tuple[Callable[[], Any], str, Words]] = [
    # Strings
    (run(model=""), "model", EMPTY),
    (run(model=5), "model", wrong_type("a string", "an integer")),
    (run(model="m" * 257), "model", too_long(256, 257)),
    (run(instructions=["x"]), "instructions", wrong_type("a string", "an array")),
    (run(additional_instructions="x" * 256_001), "additional_instructions", too_long(256_000, 256_001)),
    # Numbers
    (run(temperature=200), "temperature", above("decimal", 2, 200)),
    (run(temperature=-0.5), "temperature", below("decimal", 0, -0.5)),
    (run(temperature="hot"), "temperature", wrong_type("a decimal", "a string")),
    (run(temperature=True), "temperature", wrong_type("a decimal", "a boolean")),
    (run(top_p=1.01), "top_p", above("decimal", 1, 1.01)),
    (run(max_prompt_tokens=255), "max_prompt_tokens", below("integer", 256, 255)),
    (run(max_completion_tokens=300.5), "max_completion_tokens", wrong_type("an integer", "a decimal number")),
    (run(max_completion_tokens=2**31), "max_completion_tokens", above("integer", 2147483647, 2147483648)),
    (run(max_prompt_tokens=False), "max_prompt_tokens", wrong_type("an integer", "a boolean")),
    # Booleans and enumerations
    (run(stream="yes"), "stream", wrong_type("a boolean", "a string")),
    (run(parallel_tool_calls=1), "parallel_tool_calls", wrong_type("a boolean", "an integer")),
    (
        run(reasoning_effort="bogus"),
        "reasoning_effort",
        not_among("bogus", "'none', 'minimal', 'low', 'medium', 'high', 'xhigh', and 'max'"),
    ),
    (
        run(reasoning_effort=3),
        "reasoning_effort",
        wrong_type("one of 'none', 'minimal', 'low', 'medium', 'high', 'xhigh', or 'max'", "an integer"),
    ),
    # Objects with a type
    (run(truncation_strategy="auto"), "truncation_strategy", wrong_type("an object", "a string")),
    (run(truncation_strategy={}), "truncation_strategy.type", MISSING),
    (
        run(truncation_strategy={"type": "first"}),
        "truncation_strategy.type",
        not_among("first", "'auto' and 'last_messages'"),
    ),
    (run(truncation_strategy={"type": "last_messages"}), "truncation_strategy.last_messages", MISSING),
    (
        run(truncation_strategy={"type": "last_messages", "last_messages": 0}),
        "truncation_strategy.last_messages",
        below("integer", 1, 0),
    ),
    (run(truncation_strategy={"type": "auto", "size": 1}), "truncation_strategy.size", UNKNOWN),
    (run(response_format="json"), "response_format", not_among("json", "'auto'")),
    (run(response_format=7), "response_format", wrong_type("one of an object or 'auto'", "an integer")),
    (
        run(response_format={"type": "bogus"}),
        "response_format.type",
        not_among("bogus", "'json_object', 'json_schema', and 'text'"),
    ),
    (run(response_format={"type": "json_schema"}), "response_format.json_schema", MISSING),
    (run(response_format={"type": "json_schema", "json_schema": {}}), "response_format.json_schema.name", MISSING),
    (
        run(response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": []}}),
        "response_format.json_schema.schema",
        wrong_type("an object", "an array"),
    ),
    (run(response_format={"type": "text", "x": 1}), "response_format.x", UNKNOWN),
    (run(tool_choice="any"), "tool_choice", not_among("any", "'none', 'auto', and 'required'")),
    (run(tool_choice=7), "tool_choice", wrong_type("one of an object or 'none', 'auto', or 'required'", "an integer")),
    (run(tool_choice={"type": "function"}), "tool_choice.function", MISSING),
    (run(tool_choice={"type": "function", "function": {}}), "tool_choice.function.name", MISSING),
    (
        run(tool_choice={"type": "function", "function": {"name": None}}),
        "tool_choice.function.name",
        wrong_type("a string", "null"),
    ),
    # Tools
    (run(tools="x"), "tools", wrong_type("an array of objects", "a string")),
    (run(tools=[{"type": "code_interpreter"}] * 21), "tools", too_many(20, 21)),
    (run(tools=[{"type": "code_interpreter"}, 7]), "tools[1]", wrong_type("an object", "an integer")),
    (tool(), "tools[0].type", MISSING),
    (
        tool(type="retrieval"),
        "tools[0].type",
        not_among("retrieval", "'code_interpreter', 'file_search', and 'function'"),
    ),
    (tool(type="code_interpreter", foo=1), "tools[0].foo", UNKNOWN),
    (tool(type="function"), "tools[0].function", MISSING),
    (tool(type="function", name="f"), "tools[0].function", MISSING),
    (function(parameters={}), "tools[0].function.name", MISSING),
    (function(name=""), "tools[0].function.name", EMPTY),
    (function(name="look up"), "tools[0].function.name", NO_NAME),
    (function(name="f\n"), "tools[0].function.name", NO_NAME),
    (function(name="f" * 65), "tools[0].function.name", too_long(64, 65)),
    (function(name="f", description="d" * 1025), "tools[0].function.description", too_long(1024, 1025)),
    (function(name="f", parameters=[]), "tools[0].function.parameters", wrong_type("an object", "an array")),
    (function(name="f", strict="yes"), "tools[0].function.strict", wrong_type("a boolean", "a string")),
    (function(name="f", arguments={}), "tools[0].function.arguments", UNKNOWN),
    (search(max_num_results=51), "tools[0].file_search.max_num_results", above("integer", 50, 51)),
    (search(ranking_options={}), "tools[0].file_search.ranking_options.score_threshold", MISSING),
    (
        search(ranking_options={"score_threshold": 2}),
        "tools[0].file_search.ranking_options.score_threshold",
        above("decimal", 1, 2),
    ),
    (
        search(ranking_options={"score_threshold": 0, "ranker": "best"}),
        "tools[0].file_search.ranking_options.ranker",
        not_among("best", "'auto' and 'default_2024_08_21'"),
    ),
    (run(colour=1), "colour", UNKNOWN),
    # Messages
    (message(role=None), "role", MISSING),
    (message(role="system"), "role", not_among("system", "'user' and 'assistant'")),
    (message(role=["user"]), "role", wrong_type("one of 'user' or 'assistant'", "an array")),
    (message(content=None), "content", MISSING),
    (message(content=""), "content", NO_CONTENT),
    (message(content=[]), "content", NO_CONTENT),
    (message(content={"type": "text"}), "content", wrong_type("one of a string or array of objects", "an object")),
    (message(content="x" * 256_001), "content", too_long(256_000, 256_001)),
    (message(content=["x"]), "content[0]", wrong_type("an object", "a string")),
    (part(text="x"), "content[1].type", MISSING),
    (part(type=7), "content[1].type", wrong_type("one of 'text', 'image_url', or 'image_file'", "an integer")),
    (
        part(type="input_text", text="x"),
        "content[1].type",
        not_among("input_text", "'text', 'image_url', and 'image_file'"),
    ),
    (part(type="text"), "content[1].text", MISSING),
    (part(type="text", text={"value": "x", "annotations": []}), "content[1].text", wrong_type("a string", "an object")),
    (part(type="text", text=""), "content[1].text", EMPTY),
    (part(type="text", text="x" * 256_001), "content[1].text", too_long(256_000, 256_001)),
    (part(type="text", text="x", cache=1), "content[1].cache", UNKNOWN),
    (part(type="image_file", file_id=FILE), "content[1].image_file", MISSING),
    (
        part(type="image_file", image_file={"file_id": "img_1"}),
        "content[1].image_file.file_id",
        wrong_id("img_1", "file"),
    ),
    (
        part(type="image_file", image_file={"file_id": FILE, "detail": "max"}),
        "content[1].image_file.detail",
        not_among("max", "'auto', 'low', and 'high'"),
    ),
    (
        part(type="image_url", image_url="https://example.org/a.png"),
        "content[1].image_url",
        wrong_type("an object", "a string"),
    ),
    (part(type="image_url", image_url={"url": "data:image/png;base64,aaaa"}), "content[1].image_url.url", NO_URL),
    (part(type="image_url", image_url={"url": "https://"}), "content[1].image_url.url", NO_URL),
    (message(attachments={}), "attachments", wrong_type("an array of objects", "an object")),
    (message(attachments=[FILE]), "attachments[0]", wrong_type("an object", "a string")),
    (message(attachments=[{"file_id": "x"}]), "attachments[0].file_id", wrong_id("x", "file")),
    (
        message(attachments=[{"file_id": FILE, "tools": [{"type": "function"}]}]),
        "attachments[0].tools[0].type",
        not_among("function", "'code_interpreter' and 'file_search'"),
    ),
    (
        message(attachments=[{"file_id": FILE, "tools": [{"type": "file_search", "x": 1}]}]),
        "attachments[0].tools[0].x",
        UNKNOWN,
    ),
    # Metadata
    (message(metadata=[]), "metadata", wrong_type("an object", "an array")),
    (message(metadata=0), "metadata", wrong_type("an object", "an integer")),
    (
        message(metadata={str(i): "" for i in range(17)}),
        "metadata",
        (
            "object_above_max_properties",
            "Invalid '{param}': too many properties. Expected an object with at most 16 properties, but got an "
            "object with 17 properties instead.",
        ),
    ),
    (
        message(metadata={"k" * 70: ""}),
        "metadata." + "k" * 70,
        (
            "property_name_above_max_length",
            "Invalid property name in 'metadata': 'kkk...kkk' is too long. Expected a string with maximum length 64, "
            "but got a string with length 70 instead.",
        ),
    ),
    (message(metadata={"k": None}), "metadata.k", wrong_type("a string", "null")),
    (message(metadata={"k": "v" * 513}), "metadata.k", too_long(512, 513)),
    # Lists of messages and threads
    (lambda: check_messages("messages", [{"role": "user", "content": "x"}] * 33), "messages", too_many(32, 33)),
    (lambda: check_messages("messages", ""), "messages", wrong_type("an array of objects", "a string")),
    (lambda: check_messages("messages", [None]), "messages[0]", wrong_type("an object", "null")),
    (lambda: check_messages("messages", [{"content": "x"}]), "messages[0].role", MISSING),
    (
        lambda: check_messages("messages", [{"role": "user", "content": "x", "file_ids": []}]),
        "messages[0].file_ids",
        UNKNOWN,
    ),
    (
        lambda: check_messages(
            "additional_messages", [{"role": "user", "content": [PARTS[0], {"type": "text", "text": 1}]}]
        ),
        "additional_messages[0].content[1].text",
        wrong_type("a string", "an integer"),
    ),
    (lambda: check_thread_of_run([]), "thread", wrong_type("an object", "an array")),
    (thread(id="thread_1"), "thread.id", UNKNOWN),
    (thread(messages=[{"role": "user", "content": ""}]), "thread.messages[0].content", NO_CONTENT),
    (thread(metadata={"k": 1}), "thread.metadata.k", wrong_type("a string", "an integer")),
    (thread(tool_resources={"x": 1}), "thread.tool_resources.x", UNKNOWN),
    # Tool resources
    (lambda: check_tool_resources([]), "tool_resources", wrong_type("an object", "an array")),
    (
        resources(code_interpreter={"file_ids": [FILE] * 21}),
        "tool_resources.code_interpreter.file_ids",
        too_many(20, 21),
    ),
    (
        resources(code_interpreter={"file_ids": FILE}),
        "tool_resources.code_interpreter.file_ids",
        wrong_type("an array of strings", "a string"),
    ),
    (
        resources(code_interpreter={"file_ids": [FILE, "x"]}),
        "tool_resources.code_interpreter.file_ids[1]",
        wrong_id("x", "file"),
    ),
    (
        resources(file_search={"vector_store_ids": [STORE, STORE]}),
        "tool_resources.file_search.vector_store_ids",
        too_many(1, 2),
    ),
    (
        resources(file_search={"vector_store_ids": [FILE]}),
        "tool_resources.file_search.vector_store_ids[0]",
        wrong_id(FILE, "vs"),
    ),
    (
        resources(file_search={"vector_store_ids": [], "vector_stores": []}),
        "tool_resources.file_search",
        (
            "mutually_exclusive_parameters",
            "Mutually exclusive parameters: '{param}'. Ensure you are only providing one of: 'vec...ids' or "
            "'vec...res'.",
        ),
    ),
    (resources(creating=False, file_search={"vector_stores": []}), "tool_resources.file_search.vector_stores", UNKNOWN),
    (
        resources(
            file_search={
                "vector_stores": [
                    {
                        "chunking_strategy": {
                            "type": "static",
                            "static": {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 401},
                        }
                    }
                ]
            }
        ),
        "tool_resources.file_search.vector_stores[0].chunking_strategy.static.chunk_overlap_tokens",
        above("integer", 400, 401),
    ),
    # Assistants
    (lambda: check_assistant({}, creating=True), "model", MISSING),
    (assistant(model=None), "model", wrong_type("a string", "null")),
    (assistant(name="n" * 257), "name", too_long(256, 257)),
    (assistant(description="d" * 513), "description", too_long(512, 513)),
    (assistant(tools=[{"type": "code_interpreter"}] * 129), "tools", too_many(128, 129)),
    (assistant(file_ids=[]), "file_ids", UNKNOWN),
    (
        assistant(creating=False, tool_resources={"file_search": {"vector_stores": []}}),
        "tool_resources.file_search.vector_stores",
        UNKNOWN,
    ),
    # Tool outputs
    (lambda: check_tool_outputs({}), "tool_outputs", wrong_type("an array of objects", "an object")),
    (outputs("x"), "tool_outputs[0]", wrong_type("an object", "a string")),
    (outputs({"output": "x"}), "tool_outputs[0].tool_call_id", MISSING),
    (outputs({"tool_call_id": None}), "tool_outputs[0].tool_call_id", wrong_type("a string", "null")),
    (
        outputs(OUTPUTS[0], {"tool_call_id": "c", "output": {"a": 1}}),
        "tool_outputs[1].output",
        wrong_type("a string", "an object"),
    ),
    (
        outputs({"tool_call_id": "c", "output": "x" * 1_048_577}),
        "tool_outputs[0].output",
        too_long(1_048_576, 1_048_577),
    ),
    (
        outputs(*[{"tool_call_id": "c", "output": "é" * 131_072}] * 2),
        "tool_outputs",
        ("invalid_value", "'tool_outputs' too large: the combined tool outputs must be less than 512kb."),
    ),
    (lambda: check_id("assistant_id", None, "asst"), "assistant_id", wrong_type("a string", "null")),
    (lambda: check_id("assistant_id", "bot", "asst"), "assistant_id", wrong_id("bot", "asst")),
]


@pytest.mark.parametrize(("check", "param", "words"), INVALID)
def test_a_mistake_gets_the_apis_words(check: Callable[[], Any], param: str, words: Words) -> None:
    with pytest.raises(ApiError) as caught:
        check()
    error = caught.value
    assert (error.status, error.type, error.param) == (400, "invalid_request_error", param)
    assert (error.code, error.message) == (words[0], words[1].replace("{param}", param))


def test_missing_keys_are_named_before_unknown_ones_and_these_before_wrong_values() -> None:
    with pytest.raises(ApiError, match="Missing required parameter: 'model'"):
        check_assistant({"colour": 1, "temperature": 9}, creating=True)
    with pytest.raises(ApiError, match="Unknown parameter: 'colour'"):
        check_assistant({"temperature": 9, "model": "", "colour": 1}, creating=True)
    with pytest.raises(ApiError, match=r"Unknown parameter: 'tools\[0\]\.function\.colour'"):
        function(name="", colour=1)()


def test_a_value_too_deep_to_be_encoded_is_refused_though_it_cannot_come_over_the_wire() -> None:
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    with pytest.raises(ApiError) as caught:
        function(name="f", parameters=deep)()
    assert caught.value.to_bytes() == errors.nested_too_deeply("tools[0].function.parameters", 100).to_bytes()
    while deep:  # taken apart here, so that no recursion does it
        deep = deep["a"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1: 2}, {"a": object()}, b"x"])
def test_what_json_cannot_hold_is_refused_though_it_cannot_come_over_the_wire(value: Any) -> None:
    for check in (function(name="f", parameters={"a": value}), run(temperature=value), message(metadata={1: value})):
        with pytest.raises(ApiError):
            check()


# Whatever comes

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**30, 10**31)
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["auto", "function", "file_search", "json_schema", "text", "user", FILE, STORE, "https://a/b"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["type", "function", "name", "text", "file_ids"]) | st.text(max_size=6), inner
        )
    ),
    max_leaves=12,
)


def paths_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of everything inside a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from paths_in(inner, (*path, key))


def containers_in(value: Any) -> Iterator[int]:
    """The identity of every array and object in a value."""
    if isinstance(value, dict | list):
        yield id(value)
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
        yield from containers_in(inner)


def outcome(check: Callable[[Any], Any], body: Any) -> None:
    """The promise for anything: an encodable value of the store's own, or an encodable 4xx; the body is left alone."""
    before = copy.deepcopy(body)
    refusal: ApiError | None = None
    try:
        checked = check(body)
    except ApiError as error:
        refusal = error
    else:
        json.dumps(checked, allow_nan=False, ensure_ascii=False).encode()
        assert not set(containers_in(checked)) & set(containers_in(body))
    if refusal is not None:
        assert 400 <= refusal.status < 500
        assert set(json.loads(refusal.to_bytes())["error"]) == {"message", "type", "param", "code"}
    assert repr(body) == repr(before)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_valid_body_with_anything_anywhere(data: st.DataObject) -> None:
    check, _, valid = data.draw(st.sampled_from([case for case in VALID if list(paths_in(case[2]))]))
    body = copy.deepcopy(valid)
    *way, last = data.draw(st.sampled_from(list(paths_in(body))))
    target = body
    for key in way:
        target = target[key]
    kind = data.draw(st.sampled_from(["replace", "remove", "add"]))
    if kind == "replace" or (way == [] and last == "tool_outputs"):
        target[last] = data.draw(json_values)
    elif kind == "remove":
        del target[last]
    elif isinstance(target, dict):
        target[data.draw(st.text(max_size=8))] = data.draw(json_values)
    else:
        target.append(data.draw(json_values))
    outcome(check, body)


ANYTHING: dict[str, Callable[[Any], Any]] = {
    "content": lambda value: check_content("content", value),
    "metadata": check_metadata,
    "messages": lambda value: check_messages("messages", value),
    "role": lambda value: check_message("", value, "x", None, None),
    "attachments": lambda value: check_message("", "user", "x", None, value),
    "thread": check_thread_of_run,
    "tool_resources": check_tool_resources,
    "tools": lambda value: check_tools("tools", value, 20),
    "tool_outputs": check_tool_outputs,
    "assistant_id": lambda value: check_id("assistant_id", value, "asst"),
    **{
        f"option {name}": lambda value, name=name: check_run_options({name: value})  # type: ignore[misc]
        for name in options_of(RUN)
    },
    **{
        f"assistant's {name}": lambda value, name=name: check_assistant({"model": "m", name: value}, True)  # type: ignore[misc]
        for name in CREATED_ASSISTANT
    },
}


@pytest.mark.parametrize("name", ANYTHING)
@settings(max_examples=40, deadline=None)
@given(json_values | st.lists(json_values, max_size=3) | st.dictionaries(st.text(max_size=4), json_values, max_size=3))
def test_anything_for_a_parameter(name: str, value: Any) -> None:
    outcome(ANYTHING[name], value)


def test_a_text_of_the_greatest_length_passes() -> None:
    text = "x" * CONTENT_LENGTH_MAX
    assert check_content("content", text)[0]["text"]["value"] == text
