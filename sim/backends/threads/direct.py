"""Lane `direct` of the Threads API: `client.beta.threads` as relays use it, without the SDK's code, HTTP and JSON between.

There are `beta.threads.create` and `retrieve`, `messages.create`, `list` and `retrieve`, `runs.create`, `retrieve`, `list`,
`submit_tool_outputs` and `cancel`. Arguments and refusals of empty ids are the SDK's; the rest is said in
`relaysim.sim.doors.direct`. Whatever else the SDK can do raises `NotInDirectLaneError`. The classes bear the SDK's names so
that a wrong call raises the same TypeError.
"""

# The SDK's own signatures have `timeout`.

from __future__ import annotations

import copy
from collections.abc import Coroutine
from typing import Any

from relaysim.sim.backends.calls import Call
from relaysim.sim.backends.protocol import Request
from relaysim.sim.backends.threads.service import RUN_OPTIONS
from relaysim.sim.doors.direct import (
    ABSENT,
    NOT_GIVEN,
    OMIT,
    NotInDirectLaneError,
    check_not_empty,
    record_of,
    refuse_others,
    take_given,
)
from relaysim.sim.doors.direct_records import PageRequest, Record


class AsyncBeta:
    """`client.beta`"""

    def __init__(self, request: Request) -> None:
        self.threads = AsyncThreads(request)

    def __getattr__(self, name: str) -> Any:
        raise NotInDirectLaneError(f"client.beta.{name}")


class AsyncThreads:
    """`client.beta.threads`"""

    def __init__(self, request: Request) -> None:
        self._request = request
        self.messages = AsyncMessages(request)
        self.runs = AsyncRuns(request)

    def __getattr__(self, name: str) -> Any:
        raise NotInDirectLaneError(f"client.beta.threads.{name}")

    async def create(
        self,
        *,
        messages: Any = OMIT,
        metadata: Any = OMIT,
        tool_resources: Any = OMIT,
        timeout: Any = NOT_GIVEN,
        **others: Any,
    ) -> Record:
        """Create a thread."""
        refuse_others(others)
        params: dict[str, Any] = {}
        if not isinstance(messages, ABSENT):
            params["messages"] = copy.deepcopy(list(messages))
        take_given(params, metadata=metadata, tool_resources=tool_resources)
        return record_of(await self._request(Call("threads.create", params=params), timeout))

    async def retrieve(self, thread_id: str, *, timeout: Any = NOT_GIVEN, **others: Any) -> Record:
        """Retrieve a thread."""
        refuse_others(others)
        check_not_empty("thread_id", thread_id)
        return record_of(await self._request(Call("threads.retrieve", thread_id), timeout))


class AsyncMessages:
    """`client.beta.threads.messages`"""

    def __init__(self, request: Request) -> None:
        self._request = request

    def __getattr__(self, name: str) -> Any:
        raise NotInDirectLaneError(f"client.beta.threads.messages.{name}")

    async def create(
        self,
        thread_id: str,
        *,
        content: Any,
        role: str,
        attachments: Any = OMIT,
        metadata: Any = OMIT,
        timeout: Any = NOT_GIVEN,
        **others: Any,
    ) -> Record:
        """Append a message."""
        refuse_others(others)
        check_not_empty("thread_id", thread_id)
        params = {"role": role, "content": content if isinstance(content, str) else copy.deepcopy(list(content))}
        if attachments is not OMIT or metadata is not OMIT:
            take_given(params, attachments=attachments, metadata=metadata)
        return record_of(await self._request(Call("messages.create", thread_id, params=params), timeout))

    async def retrieve(self, message_id: str, *, thread_id: str, timeout: Any = NOT_GIVEN, **others: Any) -> Record:
        """Retrieve a message."""
        refuse_others(others)
        check_not_empty("thread_id", thread_id)
        check_not_empty("message_id", message_id)
        return record_of(await self._request(Call("messages.retrieve", thread_id, None, message_id), timeout))

    def list(
        self,
        thread_id: str,
        *,
        after: Any = OMIT,
        before: Any = OMIT,
        limit: Any = OMIT,
        order: Any = OMIT,
        run_id: Any = OMIT,
        timeout: Any = NOT_GIVEN,
        **others: Any,
    ) -> PageRequest:
        """List a thread's messages."""
        refuse_others(others)
        check_not_empty("thread_id", thread_id)
        params: dict[str, Any] = {}
        take_given(params, after=after, before=before, limit=limit, order=order, run_id=run_id)
        return PageRequest(self._request, Call("messages.list", thread_id, params=params), timeout)


class AsyncRuns:
    """`client.beta.threads.runs`"""

    def __init__(self, request: Request) -> None:
        self._request = request

    def __getattr__(self, name: str) -> Any:
        raise NotInDirectLaneError(f"client.beta.threads.runs.{name}")

    def create(self, thread_id: str, **params: Any) -> Coroutine[Any, Any, Record]:
        """Create a run; `assistant_id` is required, the rest as in the SDK."""
        if "assistant_id" not in params:
            raise TypeError(
                "Missing required arguments; Expected either ('assistant_id') or ('assistant_id' and 'stream') "
                "arguments to be given"
            )
        return self._create(thread_id, **params)

    async def _create(
        self,
        thread_id: str,
        *,
        assistant_id: str,
        additional_messages: Any = OMIT,
        metadata: Any = OMIT,
        timeout: Any = NOT_GIVEN,
        **others: Any,
    ) -> Record:
        params: dict[str, Any] = {"assistant_id": assistant_id}
        if others:
            options = {name: value for name, value in others.items() if name in RUN_OPTIONS}
            refuse_others({name: value for name, value in others.items() if name not in RUN_OPTIONS}, "include")
            if options.get("stream"):
                raise NotInDirectLaneError("runs.create(stream=True)")
            take_given(params, **options)
        check_not_empty("thread_id", thread_id)
        if additional_messages is not OMIT or metadata is not OMIT:
            if additional_messages is not None and not isinstance(additional_messages, ABSENT):
                additional_messages = list(additional_messages)
            take_given(params, additional_messages=additional_messages, metadata=metadata)
        return record_of(await self._request(Call("runs.create", thread_id, params=params), timeout))

    async def retrieve(self, run_id: str, *, thread_id: str, timeout: Any = NOT_GIVEN, **others: Any) -> Record:
        """Retrieve a run."""
        refuse_others(others)
        check_not_empty("thread_id", thread_id)
        check_not_empty("run_id", run_id)
        return record_of(await self._request(Call("runs.retrieve", thread_id, run_id), timeout))

    def list(
        self,
        thread_id: str,
        *,
        after: Any = OMIT,
        before: Any = OMIT,
        limit: Any = OMIT,
        order: Any = OMIT,
        timeout: Any = NOT_GIVEN,
        **others: Any,
    ) -> PageRequest:
        """List a thread's runs."""
        refuse_others(others)
        check_not_empty("thread_id", thread_id)
        params: dict[str, Any] = {}
        take_given(params, after=after, before=before, limit=limit, order=order)
        return PageRequest(self._request, Call("runs.list", thread_id, params=params), timeout)

    async def submit_tool_outputs(
        self, run_id: str, *, thread_id: str, tool_outputs: Any, timeout: Any = NOT_GIVEN, **others: Any
    ) -> Record:
        """Answer the tool calls of a run."""
        if others.pop("stream", None) not in (None, False, OMIT):
            raise NotInDirectLaneError("runs.submit_tool_outputs(stream=True)")
        refuse_others(others)
        check_not_empty("thread_id", thread_id)
        check_not_empty("run_id", run_id)
        params = {"tool_outputs": copy.deepcopy(list(tool_outputs))}
        return record_of(
            await self._request(Call("runs.submit_tool_outputs", thread_id, run_id, params=params), timeout)
        )

    async def cancel(self, run_id: str, *, thread_id: str, timeout: Any = NOT_GIVEN, **others: Any) -> Record:
        """Ask for a run's cancel."""
        refuse_others(others)
        check_not_empty("thread_id", thread_id)
        check_not_empty("run_id", run_id)
        return record_of(await self._request(Call("runs.cancel", thread_id, run_id), timeout))
