"""Lane `direct`: `client.responses` and `client.conversations` without the SDK's code.

What relays call of them; whatever else the SDK has raises `NotInDirectLaneError`. A wrong call raises the SDK's TypeError.
"""

# The SDK's own signatures have `timeout`.

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from relaysim.sim.backends.calls import Call
from relaysim.sim.backends.protocol import Request
from relaysim.sim.backends.responses.operations import OPERATIONS
from relaysim.sim.backends.responses.wire import conversation_in
from relaysim.sim.doors.direct import (
    ABSENT,
    NOT_GIVEN,
    OMIT,
    NotInDirectLaneError,
    check_not_empty,
    refuse_others,
    take_given,
)
from relaysim.sim.doors.direct_records import PageRequest, Record
from relaysim.sim.doors.direct_streams import RecordStream

_CREATE: Final = next(each.params for each in OPERATIONS if each.name == "responses.create")
_NEVER_GIVEN: Final = frozenset({"include[]"})


class TurnRecord(Record):
    """A response; `output_text` is what the SDK puts together: the texts of all its messages."""

    __slots__ = ()

    @property
    def output_text(self) -> str:
        """The texts of its messages, one after the other."""
        return "".join(
            part["text"]
            for item in self.to_dict()["output"]
            if item["type"] == "message"
            for part in item["content"]
            if part["type"] == "output_text"
        )


class EventRecord(Record):
    """An event of a stream; `response` is the response as it was then, where the event has one."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        found = super().__getattr__(name)
        return TurnRecord(found._data) if name == "response" else found


class AsyncResponses:
    """`client.responses`"""

    def __init__(self, request: Request) -> None:
        self._request = request
        self.input_items = AsyncInputItems(request)

    def __getattr__(self, name: str) -> Any:
        raise NotInDirectLaneError(f"client.responses.{name}")

    async def create(self, *, timeout: Any = NOT_GIVEN, **params: Any) -> TurnRecord | RecordStream:
        """Begin a turn; in the foreground, wait for its end, or with `stream=True` read it as it is written."""
        given = {name: value for name, value in params.items() if name in _CREATE - _NEVER_GIVEN}
        refuse_others({name: value for name, value in params.items() if name not in given})
        taken: dict[str, Any] = {}
        take_given(taken, **given)
        if isinstance(taken.get("input"), tuple):
            taken["input"] = list(taken["input"])
        call = Call("responses.create", conversation_in(taken), params=taken)
        return await self._answer(call, timeout)

    async def retrieve(
        self,
        response_id: str,
        *,
        stream: Any = OMIT,
        starting_after: Any = OMIT,
        timeout: Any = NOT_GIVEN,
        **others: Any,
    ) -> TurnRecord | RecordStream:
        """Retrieve a response, or with `stream=True` take up its stream."""
        refuse_others(others, "include", "include_obfuscation")
        check_not_empty("response_id", response_id)
        params: dict[str, Any] = {}
        take_given(params, stream=stream, starting_after=starting_after)
        return await self._answer(Call("responses.retrieve", run_id=response_id, params=params), timeout)

    async def cancel(self, response_id: str, *, timeout: Any = NOT_GIVEN, **others: Any) -> TurnRecord | RecordStream:
        """Cancel a response in the background."""
        refuse_others(others)
        check_not_empty("response_id", response_id)
        return await self._answer(Call("responses.cancel", run_id=response_id), timeout)

    async def delete(self, response_id: str, *, timeout: Any = NOT_GIVEN, **others: Any) -> None:
        """Delete a response; the SDK returns nothing either."""
        refuse_others(others)
        check_not_empty("response_id", response_id)
        await self._request(Call("responses.delete", run_id=response_id), timeout)

    async def _answer(self, call: Call, timeout: Any) -> TurnRecord | RecordStream:
        answer = await self._request(call, timeout)
        if isinstance(answer.payload, RecordStream):
            answer.payload.kind = EventRecord
            return answer.payload
        assert answer.payload is not None
        return TurnRecord(answer.payload, answer.request_id)


class AsyncInputItems:
    """`client.responses.input_items`"""

    def __init__(self, request: Request) -> None:
        self._request = request

    def __getattr__(self, name: str) -> Any:
        raise NotInDirectLaneError(f"client.responses.input_items.{name}")

    def list(self, response_id: str, *, timeout: Any = NOT_GIVEN, **paging: Any) -> PageRequest:
        """List what a response was given."""
        check_not_empty("response_id", response_id)
        params = _paging(paging)
        return PageRequest(
            self._request, Call("responses.input_items.list", run_id=response_id, params=params), timeout
        )


class AsyncConversations:
    """`client.conversations`"""

    def __init__(self, request: Request) -> None:
        self._request = request
        self.items = AsyncItems(request)

    def __getattr__(self, name: str) -> Any:
        raise NotInDirectLaneError(f"client.conversations.{name}")

    async def create(
        self, *, items: Any = OMIT, metadata: Any = OMIT, timeout: Any = NOT_GIVEN, **others: Any
    ) -> Record:
        """Create a conversation."""
        refuse_others(others)
        params: dict[str, Any] = {}
        if not isinstance(items, ABSENT) and items is not None:
            items = list(items)
        take_given(params, items=items, metadata=metadata)
        return await _record(self._request, Call("conversations.create", params=params), timeout)

    async def retrieve(self, conversation_id: str, *, timeout: Any = NOT_GIVEN, **others: Any) -> Record:
        """Retrieve a conversation."""
        refuse_others(others)
        check_not_empty("conversation_id", conversation_id)
        return await _record(self._request, Call("conversations.retrieve", conversation_id), timeout)

    async def update(self, conversation_id: str, *, metadata: Any, timeout: Any = NOT_GIVEN, **others: Any) -> Record:
        """Replace a conversation's metadata."""
        refuse_others(others)
        check_not_empty("conversation_id", conversation_id)
        params: dict[str, Any] = {}
        take_given(params, metadata=metadata)
        return await _record(self._request, Call("conversations.update", conversation_id, params=params), timeout)

    async def delete(self, conversation_id: str, *, timeout: Any = NOT_GIVEN, **others: Any) -> Record:
        """Delete a conversation."""
        refuse_others(others)
        check_not_empty("conversation_id", conversation_id)
        return await _record(self._request, Call("conversations.delete", conversation_id), timeout)


class AsyncItems:
    """`client.conversations.items`"""

    def __init__(self, request: Request) -> None:
        self._request = request

    def __getattr__(self, name: str) -> Any:
        raise NotInDirectLaneError(f"client.conversations.items.{name}")

    async def create(self, conversation_id: str, *, items: Any, timeout: Any = NOT_GIVEN, **others: Any) -> Record:
        """Append items."""
        refuse_others(others, "include")
        check_not_empty("conversation_id", conversation_id)
        params: dict[str, Any] = {}
        take_given(params, items=list(items))
        return await _record(self._request, Call("conversations.items.create", conversation_id, params=params), timeout)

    def list(self, conversation_id: str, *, timeout: Any = NOT_GIVEN, **paging: Any) -> PageRequest:
        """List a conversation's items."""
        check_not_empty("conversation_id", conversation_id)
        call = Call("conversations.items.list", conversation_id, params=_paging(paging))
        return PageRequest(self._request, call, timeout)

    async def retrieve(self, item_id: str, *, conversation_id: str, timeout: Any = NOT_GIVEN, **others: Any) -> Record:
        """Retrieve an item."""
        refuse_others(others, "include")
        check_not_empty("conversation_id", conversation_id)
        check_not_empty("item_id", item_id)
        call = Call("conversations.items.retrieve", conversation_id, None, item_id)
        return await _record(self._request, call, timeout)

    async def delete(self, item_id: str, *, conversation_id: str, timeout: Any = NOT_GIVEN, **others: Any) -> Record:
        """Take an item out of a conversation."""
        refuse_others(others)
        check_not_empty("conversation_id", conversation_id)
        check_not_empty("item_id", item_id)
        call = Call("conversations.items.delete", conversation_id, None, item_id)
        return await _record(self._request, call, timeout)


async def _record(request: Request, call: Call, timeout: Any) -> Record:
    answer = await request(call, timeout)
    return Record(answer.payload, answer.request_id)


def _paging(given: Mapping[str, Any]) -> dict[str, Any]:
    names = ("limit", "order", "after", "before")
    refuse_others({name: value for name, value in given.items() if name not in names}, "include")
    params: dict[str, Any] = {}
    take_given(params, **{name: value for name, value in given.items() if name in names})
    return params
