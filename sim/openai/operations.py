"""The operations of the API: name, route, parameters and what they do. One table for both lanes and for every door.

A `Call` is an operation with its arguments, an `Answer` what the service made of it. Neither is HTTP: the wire layer
parses requests into calls and renders answers, the direct lane makes calls and reads answers without either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from sim.openai.errors import ApiError
from sim.openai.parameters import Object
from sim.openai.service import RUN_OPTIONS, ThreadsService
from sim.openai.states import LOCKING

Detail = str | int
_NO_PARAMS: Final[dict[str, Any]] = {}


class Call:
    """One request for the service, whatever it came by.

    Attributes:
        operation: a name of `OPERATIONS`, or `unknown`.
        thread_id, run_id, message_id: those the route names; None otherwise.
        params: the body's or query's parameters.
        refusal: set if the request is refused before the service sees it (no such route, no key, no JSON).
    """

    __slots__ = ("message_id", "operation", "params", "refusal", "run_id", "thread_id")

    def __init__(
        self,
        operation: str,
        thread_id: str | None = None,
        run_id: str | None = None,
        message_id: str | None = None,
        params: dict[str, Any] = _NO_PARAMS,
        refusal: ApiError | None = None,
    ) -> None:
        self.operation = operation
        self.thread_id = thread_id
        self.run_id = run_id
        self.message_id = message_id
        self.params = params
        self.refusal = refusal


class Answer:
    """What came of one attempt at a call.

    Attributes:
        status: HTTP status; 0 if no answer reached the client.
        payload: the object, where it succeeded.
        error: the error, where the service refused.
        headers: further response headers, lower case.
        detail: for the trace; what the operation's docstring in this module says.
        failure: `ConnectError` or `ReadTimeout` where no answer reached the client.
        request_id: which attempt of which worker, as the trace names it.
        draw_key, draw_index: what keys the draws of this attempt.
    """

    __slots__ = ("detail", "draw_index", "draw_key", "error", "failure", "headers", "payload", "request_id", "status")

    def __init__(
        self,
        status: int,
        payload: Object | None = None,
        error: ApiError | None = None,
        detail: Detail = "",
        failure: str | None = None,
    ) -> None:
        self.status = status
        self.payload = payload
        self.error = error
        self.headers: Mapping[str, str] = error.headers if error is not None else {}
        self.detail = detail
        self.failure = failure
        self.request_id = ""
        self.draw_key = ""
        self.draw_index = 0


Perform = Callable[[ThreadsService, Any, str], tuple[Object, Detail]]


class Operation(NamedTuple):
    """One row: `path` is relative to the API's base; `params` are accepted in body or query."""

    name: str
    method: str
    path: str
    params: frozenset[str]
    perform: Perform


def _threads_create(service: ThreadsService, call: Call, cause: str) -> tuple[Object, Detail]:
    thread = service.create_thread(cause=cause, **call.params)
    return thread, thread["id"]


def _threads_retrieve(service: ThreadsService, call: Any, cause: str) -> tuple[Object, Detail]:
    return service.retrieve_thread(call.thread_id), ""


def _threads_update(service: ThreadsService, call: Any, cause: str) -> tuple[Object, Detail]:
    return service.update_thread(call.thread_id, **call.params), ""


def _threads_delete(service: ThreadsService, call: Any, cause: str) -> tuple[Object, Detail]:
    return service.delete_thread(call.thread_id), ""


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
    return service.delete_message(call.thread_id, call.message_id), ""


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


_PAGING: Final = frozenset({"limit", "order", "after", "before"})
_METADATA: Final = frozenset({"metadata"})
_NOTHING: Final[frozenset[str]] = frozenset()
_MESSAGE: Final = frozenset({"role", "content", "metadata", "attachments"})
_THREAD: Final = frozenset({"metadata", "tool_resources"})
_RUN: Final = frozenset({"assistant_id", "additional_messages", "metadata"}) | RUN_OPTIONS
_TOOLS: Final = frozenset({"tool_outputs", "stream"})

OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation("threads.create", "POST", "/threads", _THREAD | {"messages"}, _threads_create),
    Operation("threads.retrieve", "GET", "/threads/{thread_id}", _NOTHING, _threads_retrieve),
    Operation("threads.update", "POST", "/threads/{thread_id}", _THREAD, _threads_update),
    Operation("threads.delete", "DELETE", "/threads/{thread_id}", _NOTHING, _threads_delete),
    Operation("messages.create", "POST", "/threads/{thread_id}/messages", _MESSAGE, _messages_create),
    Operation("messages.list", "GET", "/threads/{thread_id}/messages", _PAGING | {"run_id"}, _messages_list),
    Operation("messages.retrieve", "GET", "/threads/{thread_id}/messages/{message_id}", _NOTHING, _messages_retrieve),
    Operation("messages.update", "POST", "/threads/{thread_id}/messages/{message_id}", _METADATA, _messages_update),
    Operation("messages.delete", "DELETE", "/threads/{thread_id}/messages/{message_id}", _NOTHING, _messages_delete),
    Operation("runs.create", "POST", "/threads/{thread_id}/runs", _RUN, _runs_create),
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
)

OPERATION_NAMES: Final = tuple(operation.name for operation in OPERATIONS)
_PERFORM: Final[dict[str, Perform]] = {operation.name: operation.perform for operation in OPERATIONS}


def execute(service: ThreadsService, call: Call, cause: str = "") -> Answer:
    """Let the service process a call; an `ApiError` becomes an answer.

    The answer's detail is, for the trace: the id of what was created, a run's state after retrieve, cancel and tool
    outputs, the number of active runs in a list of runs, the number of messages in a list of messages, else empty.
    """
    if call.refusal is not None:
        return Answer(call.refusal.status, error=call.refusal)
    try:
        payload, detail = _PERFORM[call.operation](service, call, cause)
    except ApiError as error:
        return Answer(error.status, error=error)
    return Answer(200, payload, detail=detail)
