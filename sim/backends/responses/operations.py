"""The operations of the API: name, route, parameters and what they do. One table for both lanes and for every door."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from relaysim.sim.backends.calls import Answer, Call, Detail, Operation, PendingAnswer
from relaysim.sim.backends.errors import ApiError
from relaysim.sim.backends.json_values import Object
from relaysim.sim.backends.responses.history import tokens_of_items
from relaysim.sim.backends.responses.parameters import SETTINGS, check_input
from relaysim.sim.backends.responses.records import ResponseRecord
from relaysim.sim.backends.responses.service import ResponsesService
from relaysim.sim.trace.operation_roles import OperationRoles, Words

Performed = tuple[Object, Detail] | ResponseRecord


def _conversations_create(service: ResponsesService, call: Any, cause: str) -> tuple[Object, Detail]:
    made = service.create_conversation(cause=cause, **call.params)
    return made, made["id"]


def _conversations_retrieve(service: ResponsesService, call: Any, cause: str) -> tuple[Object, Detail]:
    return service.retrieve_conversation(call.thread_id), ""


def _conversations_update(service: ResponsesService, call: Any, cause: str) -> tuple[Object, Detail]:
    return service.update_conversation(call.thread_id, **call.params), ""


def _conversations_delete(service: ResponsesService, call: Any, cause: str) -> tuple[Object, Detail]:
    return service.delete_conversation(call.thread_id, cause=cause), ""


def _items_create(service: ResponsesService, call: Any, cause: str) -> tuple[Object, Detail]:
    made = service.create_items(call.thread_id, items=call.params.get("items"), cause=cause)
    return made, len(made["data"])


def _items_list(service: ResponsesService, call: Any, cause: str) -> tuple[Object, Detail]:
    page = service.list_items(call.thread_id, **call.params)
    return page, len(page["data"])


def _items_retrieve(service: ResponsesService, call: Any, cause: str) -> tuple[Object, Detail]:
    return service.retrieve_item(call.thread_id, call.message_id), ""


def _items_delete(service: ResponsesService, call: Any, cause: str) -> tuple[Object, Detail]:
    return service.delete_item(call.thread_id, call.message_id, cause=cause), ""


def _responses_create(service: ResponsesService, call: Any, cause: str) -> tuple[Object, Detail]:
    record = service.create_response(cause=cause, **call.params)
    return record.shown(), record.id


def _responses_retrieve(service: ResponsesService, call: Any, cause: str) -> tuple[Object, Detail]:
    shown = service.retrieve_response(call.run_id)
    return shown, shown["status"]


def _responses_delete(service: ResponsesService, call: Any, cause: str) -> tuple[Object, Detail]:
    return service.delete_response(call.run_id), ""


def _responses_cancel(service: ResponsesService, call: Any, cause: str) -> tuple[Object, Detail]:
    shown = service.cancel_response(call.run_id, cause=cause).shown()
    return shown, shown["status"]


def _input_items_list(service: ResponsesService, call: Any, cause: str) -> tuple[Object, Detail]:
    page = service.list_input_items(call.run_id, **call.params)
    return page, len(page["data"])


def _input_tokens_count(service: ResponsesService, call: Any, cause: str) -> tuple[Object, Detail]:
    return service.count_tokens(call.params), ""


_NOTHING: Final[frozenset[str]] = frozenset()
_INCLUDE: Final = frozenset({"include[]", "include"})
_PAGING: Final = frozenset({"limit", "order", "after", "before"}) | _INCLUDE
_INPUT: Final = frozenset({"model", "input", "conversation", "previous_response_id"}) | SETTINGS
_CREATED: Final = _INPUT | {"background", "stream", "store", "metadata"}
_RETRIEVED: Final = frozenset({"stream", "starting_after", "include_obfuscation"}) | _INCLUDE
_CONVERSATION: Final = "/conversations/{thread_id}"
_RESPONSE: Final = "/responses/{run_id}"

OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        "conversations.create", "POST", "/conversations", frozenset({"items", "metadata"}), _conversations_create
    ),
    Operation("conversations.retrieve", "GET", _CONVERSATION, _NOTHING, _conversations_retrieve),
    Operation("conversations.update", "POST", _CONVERSATION, frozenset({"metadata"}), _conversations_update),
    Operation("conversations.delete", "DELETE", _CONVERSATION, _NOTHING, _conversations_delete),
    Operation(
        "conversations.items.create", "POST", f"{_CONVERSATION}/items", frozenset({"items"}) | _INCLUDE, _items_create
    ),
    Operation("conversations.items.list", "GET", f"{_CONVERSATION}/items", _PAGING, _items_list),
    Operation(
        "conversations.items.retrieve", "GET", f"{_CONVERSATION}/items/{{message_id}}", _INCLUDE, _items_retrieve
    ),
    Operation("conversations.items.delete", "DELETE", f"{_CONVERSATION}/items/{{message_id}}", _NOTHING, _items_delete),
    Operation("responses.create", "POST", "/responses", _CREATED, _responses_create),
    Operation("responses.retrieve", "GET", _RESPONSE, _RETRIEVED, _responses_retrieve),
    Operation("responses.delete", "DELETE", _RESPONSE, _NOTHING, _responses_delete),
    Operation("responses.cancel", "POST", f"{_RESPONSE}/cancel", _NOTHING, _responses_cancel),
    Operation("responses.input_items.list", "GET", f"{_RESPONSE}/input_items", _PAGING, _input_items_list),
    Operation("responses.input_tokens.count", "POST", "/responses/input_tokens", _INPUT, _input_tokens_count),
)

ROLES: Final = OperationRoles(
    appends=frozenset({"responses.create", "conversations.items.create"}),
    starts=frozenset({"responses.create"}),
    cancels=frozenset({"responses.cancel"}),
    refusal_statuses=frozenset({400, 409}),
    opens=frozenset({"conversations.create"}),
    shows_turn=frozenset({"responses.retrieve"}),
    lists_messages=frozenset({"conversations.items.list"}),
    shows_ends=frozenset({"conversations.items.list"}),
    words=Words(run="turn", thread="conversation"),
)

TURN_STARTS: Final = ROLES.starts
"""Those that start a turn: rate limits count them besides, and the tokens of their prompts."""

_PERFORM: Final = {operation.name: operation.perform for operation in OPERATIONS}
_WITH_METADATA: Final = frozenset({"conversations.create", "conversations.update", "responses.create"})
_WORDS_OR_NUMBER: Final = re.compile(r"\S+\s+\S.*|\+?\d[\d().-]{5,}", re.DOTALL)
"""More than one word, or a number like an order's or a telephone's."""


def execute(service: ResponsesService, call: Call, cause: str = "") -> Answer:
    """Let the service process a call; an `ApiError` becomes an answer.

    The answer's detail is, for the trace: the id of what was created, a response's status after retrieve and cancel, the
    number of objects in a list, else empty.
    """
    if call.refusal is not None:
        return Answer(call.refusal.status, error=call.refusal)
    operation = call.operation
    try:
        if service.limits is not None:
            tokens = _estimated_tokens(service, call) if operation in TURN_STARTS else 0
            refused = service.limits.admit(call, tokens)
            if refused is not None:
                raise refused
        if operation == "responses.retrieve" and call.params.get("stream") in (True, "true", "True"):
            return _resumed(service, call)
        payload, detail = _PERFORM[operation](service, call, cause)
    except ApiError as error:
        return Answer(error.status, error=error)
    if operation in _WITH_METADATA:
        _note_metadata(service, call, payload, cause)
    answer = Answer(200, payload, detail=detail)
    if operation == "responses.create":
        _answer_with_turn(answer, service.responses[payload["id"]])
    elif operation == "responses.cancel" and payload["status"] not in ("cancelled",):
        _answer_at_end(answer, service.responses[payload["id"]])
    return answer


def _resumed(service: ResponsesService, call: Call) -> Answer:
    number = call.params.get("starting_after")
    if isinstance(number, str) and number.isascii() and number.isdecimal():
        number = int(number)
    answer = Answer(200, {}, detail="stream")
    answer.stream = service.resume_stream(call.run_id or "", number)
    return answer


def _answer_with_turn(answer: Answer, record: ResponseRecord) -> None:
    """A turn in the foreground is answered when it ends, unless its events are the answer."""
    if record.pending is not None:
        record.pending.belongs_to(answer)
        answer.pending = record.pending
    else:
        answer.stream = record.events.first


def _answer_at_end(answer: Answer, record: ResponseRecord) -> None:
    """A cancel is answered when it has taken effect, or has not."""
    answer.pending = pending = PendingAnswer(_nothing)
    pending.belongs_to(answer)
    record.cancels.append(pending)


def _nothing() -> None:
    pass


def _note_metadata(service: ResponsesService, call: Call, payload: Object, cause: str) -> None:
    given = call.params.get("metadata")
    if given:
        texts = [value for value in given.values() if _WORDS_OR_NUMBER.fullmatch(value)]
        bound = payload.get("conversation") or payload
        service.note_metadata(call.thread_id or bound["id"], texts, cause)


def _estimated_tokens(service: ResponsesService, call: Call) -> int:
    """What a turn's prompt would cost, before it is checked: what cannot be read counts nothing."""
    conversation = service.conversations.get(call.thread_id or "")
    views: list[Mapping[str, Any]] = [] if conversation is None else [item.view for item in conversation.items]
    try:
        views += [given.view for given in check_input("input", call.params.get("input")) if given.view]
    except ApiError:
        return 0
    return tokens_of_items(views, call.params.get("instructions"))
