"""The operations of the API: name, route, parameters and what they do. One table for both lanes and for every door."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from relaysim.sim.backends.calls import Answer, Call, Detail, Operation
from relaysim.sim.backends.errors import ApiError
from relaysim.sim.backends.json_values import Object
from relaysim.sim.backends.threads.service import RUN_OPTIONS, ThreadsService
from relaysim.sim.backends.threads.states import LOCKING
from relaysim.sim.backends.threads.usage import tokens_of_messages
from relaysim.sim.backends.tokens import tokens_of_text
from relaysim.sim.trace.operation_roles import OperationRoles


def _assistants_create(service: ThreadsService, call: Any, cause: str) -> tuple[Object, Detail]:
    assistant = service.assistants.create(call.params)
    return assistant, assistant["id"]


def _assistants_list(service: ThreadsService, call: Any, cause: str) -> tuple[Object, Detail]:
    paging = dict.fromkeys(("limit", "order", "after", "before")) | call.params
    page = service.assistants.page(**paging)
    return page, len(page["data"])


def _assistants_retrieve(service: ThreadsService, call: Any, cause: str) -> tuple[Object, Detail]:
    return service.assistants.retrieve(call.assistant_id), ""


def _assistants_update(service: ThreadsService, call: Any, cause: str) -> tuple[Object, Detail]:
    return service.assistants.update(call.assistant_id, call.params), ""


def _assistants_delete(service: ThreadsService, call: Any, cause: str) -> tuple[Object, Detail]:
    return service.assistants.delete(call.assistant_id), ""


def _threads_create(service: ThreadsService, call: Call, cause: str) -> tuple[Object, Detail]:
    thread = service.create_thread(cause=cause, **call.params)
    return thread, thread["id"]


def _threads_retrieve(service: ThreadsService, call: Any, cause: str) -> tuple[Object, Detail]:
    return service.retrieve_thread(call.thread_id), ""


def _threads_update(service: ThreadsService, call: Any, cause: str) -> tuple[Object, Detail]:
    return service.update_thread(call.thread_id, **call.params), ""


def _threads_delete(service: ThreadsService, call: Any, cause: str) -> tuple[Object, Detail]:
    return service.delete_thread(call.thread_id, cause=cause), ""


def _threads_create_and_run(service: ThreadsService, call: Any, cause: str) -> tuple[Object, Detail]:
    run = service.create_thread_and_run(cause=cause, **call.params)
    return run, run["id"]


def _messages_create(service: ThreadsService, call: Any, cause: str) -> tuple[Object, Detail]:
    message = service.create_message(call.thread_id, cause=cause, **call.params)
    return message, message["id"]


def _messages_list(service: ThreadsService, call: Any, cause: str) -> tuple[Object, Detail]:
    page = service.list_messages(call.thread_id, **call.params)
    return page, len(page["data"])


def _messages_retrieve(service: ThreadsService, call: Any, cause: str) -> tuple[Object, Detail]:
    return service.retrieve_message(call.thread_id, call.message_id), ""


def _messages_update(service: ThreadsService, call: Any, cause: str) -> tuple[Object, Detail]:
    return service.update_message(call.thread_id, call.message_id, **call.params), ""


def _messages_delete(service: ThreadsService, call: Any, cause: str) -> tuple[Object, Detail]:
    return service.delete_message(call.thread_id, call.message_id, cause=cause), ""


def _runs_create(service: ThreadsService, call: Any, cause: str) -> tuple[Object, Detail]:
    run = service.create_run(call.thread_id, cause=cause, **call.params)
    return run, run["id"]


def _runs_list(service: ThreadsService, call: Any, cause: str) -> tuple[Object, Detail]:
    page = service.list_runs(call.thread_id, **call.params)
    return page, sum(1 for run in page["data"] if run["status"] in LOCKING)


def _runs_retrieve(service: ThreadsService, call: Any, cause: str) -> tuple[Object, Detail]:
    run = service.retrieve_run(call.thread_id, call.run_id)
    return run, run["status"]


def _runs_update(service: ThreadsService, call: Any, cause: str) -> tuple[Object, Detail]:
    return service.update_run(call.thread_id, call.run_id, **call.params), ""


def _runs_cancel(service: ThreadsService, call: Any, cause: str) -> tuple[Object, Detail]:
    run = service.cancel_run(call.thread_id, call.run_id, cause=cause)
    return run, run["status"]


def _runs_submit(service: ThreadsService, call: Any, cause: str) -> tuple[Object, Detail]:
    run = service.submit_tool_outputs(call.thread_id, call.run_id, cause=cause, **call.params)
    return run, run["status"]


def _steps_list(service: ThreadsService, call: Any, cause: str) -> tuple[Object, Detail]:
    page = service.list_steps(call.thread_id, call.run_id, **call.params)
    return page, len(page["data"])


def _steps_retrieve(service: ThreadsService, call: Any, cause: str) -> tuple[Object, Detail]:
    return service.retrieve_step(call.thread_id, call.run_id, call.step_id), ""


_PAGING: Final = frozenset({"limit", "order", "after", "before"})
_METADATA: Final = frozenset({"metadata"})
_NOTHING: Final[frozenset[str]] = frozenset()
_MESSAGE: Final = frozenset({"role", "content", "metadata", "attachments"})
_THREAD: Final = frozenset({"metadata", "tool_resources"})
_RUN: Final = frozenset({"assistant_id", "additional_messages", "metadata"}) | RUN_OPTIONS
_TOOLS: Final = frozenset({"tool_outputs", "stream"})
_INCLUDE: Final = frozenset({"include[]"})
_CREATED_RUN: Final = _RUN | _INCLUDE
_CREATED_THREAD_AND_RUN: Final = (_RUN - {"additional_messages", "additional_instructions", "reasoning_effort"}) | {
    "thread",
    "tool_resources",
}
_ASSISTANT: Final = frozenset(
    {
        "model",
        "name",
        "description",
        "instructions",
        "tools",
        "tool_resources",
        "metadata",
        "temperature",
        "top_p",
        "response_format",
        "reasoning_effort",
    }
)
_STEPS: Final = "/threads/{thread_id}/runs/{run_id}/steps"

OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation("assistants.create", "POST", "/assistants", _ASSISTANT, _assistants_create),
    Operation("assistants.list", "GET", "/assistants", _PAGING, _assistants_list),
    Operation("assistants.retrieve", "GET", "/assistants/{assistant_id}", _NOTHING, _assistants_retrieve),
    Operation("assistants.update", "POST", "/assistants/{assistant_id}", _ASSISTANT, _assistants_update),
    Operation("assistants.delete", "DELETE", "/assistants/{assistant_id}", _NOTHING, _assistants_delete),
    Operation("threads.create", "POST", "/threads", _THREAD | {"messages"}, _threads_create),
    Operation("threads.create_and_run", "POST", "/threads/runs", _CREATED_THREAD_AND_RUN, _threads_create_and_run),
    Operation("threads.retrieve", "GET", "/threads/{thread_id}", _NOTHING, _threads_retrieve),
    Operation("threads.update", "POST", "/threads/{thread_id}", _THREAD, _threads_update),
    Operation("threads.delete", "DELETE", "/threads/{thread_id}", _NOTHING, _threads_delete),
    Operation("messages.create", "POST", "/threads/{thread_id}/messages", _MESSAGE, _messages_create),
    Operation("messages.list", "GET", "/threads/{thread_id}/messages", _PAGING | {"run_id"}, _messages_list),
    Operation("messages.retrieve", "GET", "/threads/{thread_id}/messages/{message_id}", _NOTHING, _messages_retrieve),
    Operation("messages.update", "POST", "/threads/{thread_id}/messages/{message_id}", _METADATA, _messages_update),
    Operation("messages.delete", "DELETE", "/threads/{thread_id}/messages/{message_id}", _NOTHING, _messages_delete),
    Operation("runs.create", "POST", "/threads/{thread_id}/runs", _CREATED_RUN, _runs_create),
    Operation("runs.list", "GET", "/threads/{thread_id}/runs", _PAGING, _runs_list),
    Operation("runs.retrieve", "GET", "/threads/{thread_id}/runs/{run_id}", _NOTHING, _runs_retrieve),
    Operation("runs.update", "POST", "/threads/{thread_id}/runs/{run_id}", _METADATA, _runs_update),
    Operation("runs.cancel", "POST", "/threads/{thread_id}/runs/{run_id}/cancel", _NOTHING, _runs_cancel),
    Operation(
        "runs.submit_tool_outputs",
        "POST",
        "/threads/{thread_id}/runs/{run_id}/submit_tool_outputs",
        _TOOLS,
        _runs_submit,
    ),
    Operation("runs.steps.list", "GET", _STEPS, _PAGING | _INCLUDE, _steps_list),
    Operation("runs.steps.retrieve", "GET", f"{_STEPS}/{{step_id}}", _INCLUDE, _steps_retrieve),
)

ROLES: Final = OperationRoles(
    appends=frozenset({"messages.create"}),
    starts=frozenset({"runs.create"}),
    cancels=frozenset({"runs.cancel"}),
    refusal_statuses=frozenset({400}),
    opens=frozenset({"threads.create"}),
    shows_turn=frozenset({"runs.retrieve"}),
    lists_turns=frozenset({"runs.list"}),
    lists_messages=frozenset({"messages.list"}),
)

_PERFORM: Final = {operation.name: operation.perform for operation in OPERATIONS}


_STREAMED: Final = frozenset({"threads.create_and_run", "runs.create", "runs.submit_tool_outputs"})

RUN_CREATIONS: Final = frozenset({"threads.create_and_run", "runs.create"})
"""Those that create a run: rate limits count them besides, and the tokens of their prompts."""

_WITH_METADATA: Final = frozenset(
    operation.name
    for operation in OPERATIONS
    if "metadata" in operation.params and not operation.name.startswith("assistants.")
)


def execute(service: ThreadsService, call: Call, cause: str = "") -> Answer:
    """Let the service process a call; an `ApiError` becomes an answer.

    The answer's detail is, for the trace: the id of what was created, a run's state after retrieve, cancel and tool
    outputs, the number of active runs in a list of runs, the number of objects in another list, else empty.
    """
    if call.refusal is not None:
        return Answer(call.refusal.status, error=call.refusal)
    operation = call.operation
    try:
        if service.limits is not None:
            tokens = _estimated_tokens(service, call) if operation in RUN_CREATIONS else 0
            refused = service.limits.admit(call, tokens)
            if refused is not None:
                raise refused
        payload, detail = _PERFORM[operation](service, call, cause)
    except ApiError as error:
        return Answer(error.status, error=error)
    if operation in _WITH_METADATA:
        service.note_metadata(call.thread_id or payload.get("thread_id") or payload["id"], call.params, cause)
    answer = Answer(200, payload, detail=detail)
    if operation in _STREAMED and call.params.get("stream"):
        answer.stream = service.runs[payload["id"]].stream
    return answer


def _estimated_tokens(service: ThreadsService, call: Call) -> int:
    """What a run's prompt would cost, before it is checked: what cannot be read counts nothing."""
    thread = service.threads.get(call.thread_id or "")
    tokens = 0 if thread is None else tokens_of_messages(thread.messages)
    created = call.params.get("thread")
    for messages in (
        call.params.get("additional_messages"),
        created.get("messages") if isinstance(created, Mapping) else None,
    ):
        for message in messages if isinstance(messages, list | tuple) else ():
            content = message.get("content") if isinstance(message, Mapping) else None
            tokens += tokens_of_text(content) if isinstance(content, str) else 0
    for name in ("instructions", "additional_instructions"):
        given = call.params.get(name)
        if isinstance(given, str):
            tokens += tokens_of_text(given)
    return tokens
