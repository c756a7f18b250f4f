"""The door of the `direct` lane: the calls a relay makes, without the SDK's code, HTTP and JSON between.

For large counts. `DirectClient` has the part of `AsyncOpenAI` that relays use: `beta.threads.create` and `retrieve`,
`messages.create`, `list` and `retrieve`, `runs.create`, `retrieve`, `list` and `cancel`. Arguments, refusals of empty
ids, the retry loop (SDK 3.54 source) and the exceptions are the SDK's; network, faults and service are those of the
other lane, so both leave the same trace. Whatever else the SDK can do raises `NotInDirectLaneError`.

What comes back are light objects: attributes read the API's dict, nested objects are wrapped when they are asked for.
Differences that a relay can see if it looks: types (`Record`, not pydantic models), and `err.response` and
`err.request` are stand-ins that build the real httpx2 object when first used.
"""

# The SDK's own signatures have `timeout`.

from __future__ import annotations

import asyncio
import copy
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, Final

import httpx2
from openai._constants import DEFAULT_MAX_RETRIES, DEFAULT_TIMEOUT
from openai._types import NotGiven, Omit, not_given, omit

from relaysim.sim.backends.calls import Answer, Call
from relaysim.sim.backends.threads.service import RUN_OPTIONS
from relaysim.sim.doors.direct_errors import error_of, may_retry, retry_seconds
from relaysim.sim.doors.direct_records import PageRequest, Record
from relaysim.sim.doors.network import Network
from relaysim.sim.kernel import Host

_ABSENT: Final = (Omit, NotGiven)


class NotInDirectLaneError(AttributeError, NotImplementedError):
    """The SDK has it, the direct lane has not."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is not in the direct lane: use lane sdk")


# What is called. The classes bear the SDK's names so that a wrong call raises the same TypeError.


class DirectClient:
    """Stands in for `openai.AsyncOpenAI` in one worker.

    Args:
        host: the worker.
        network: latencies, faults and the service.
        max_retries: attempts after the first; the SDK's default is 2.
        timeout: seconds, an `httpx2.Timeout`, or None for ever; the SDK's default is 600 s (5 s to connect).
    """

    def __init__(
        self,
        host: Host,
        network: Network,
        *,
        max_retries: int = DEFAULT_MAX_RETRIES,
        timeout: float | httpx2.Timeout | None = DEFAULT_TIMEOUT,
    ) -> None:
        self._host = host
        self._network = network
        self.max_retries = max_retries
        self.timeout = timeout
        self._limits = _read_and_connect(timeout)
        self.beta = AsyncBeta(self)

    def __getattr__(self, name: str) -> Any:
        raise NotInDirectLaneError(f"client.{name}")

    def with_options(
        self,
        *,
        timeout: float | httpx2.Timeout | NotGiven | None = not_given,
        max_retries: int | NotGiven = not_given,
        **others: Any,
    ) -> DirectClient:
        """A client with another timeout or number of retries."""
        if others:
            raise NotInDirectLaneError(f"with_options({', '.join(others)})")
        return DirectClient(
            self._host,
            self._network,
            max_retries=self.max_retries if isinstance(max_retries, NotGiven) else max_retries,
            timeout=self.timeout if isinstance(timeout, NotGiven) else timeout,
        )

    copy = with_options

    async def close(self) -> None:
        """There is nothing to close."""

    async def __aenter__(self) -> DirectClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _request(self, call: Call, timeout: Any) -> Answer:
        """The SDK's retry loop: connection errors, timeouts and some statuses, at most `max_retries` more times."""
        read, connect = self._limits if isinstance(timeout, NotGiven) else _read_and_connect(timeout)
        network, taken = self._network, 0
        while True:
            answer = await network.attempt(self._host, call, read, connect)
            if answer.status == 200 and answer.failure is None:
                return answer
            if taken >= self.max_retries or not may_retry(answer):
                raise error_of(call, answer, network.service)
            await asyncio.sleep(retry_seconds(answer, taken, network.kernel.draws))
            taken += 1


class AsyncBeta:
    """`client.beta`"""

    def __init__(self, client: DirectClient) -> None:
        self.threads = AsyncThreads(client)

    def __getattr__(self, name: str) -> Any:
        raise NotInDirectLaneError(f"client.beta.{name}")


class AsyncThreads:
    """`client.beta.threads`"""

    def __init__(self, client: DirectClient) -> None:
        self._request = client._request
        self.messages = AsyncMessages(client)
        self.runs = AsyncRuns(client)

    def __getattr__(self, name: str) -> Any:
        raise NotInDirectLaneError(f"client.beta.threads.{name}")

    async def create(
        self,
        *,
        messages: Iterable[Any] | Omit = omit,
        metadata: Any = omit,
        tool_resources: Any = omit,
        timeout: Any = not_given,
        **others: Any,
    ) -> Record:
        """Create a thread."""
        _refuse(others)
        params: dict[str, Any] = {}
        if not isinstance(messages, _ABSENT):
            params["messages"] = copy.deepcopy(list(messages))
        _given(params, metadata=metadata, tool_resources=tool_resources)
        return _record(await self._request(Call("threads.create", params=params), timeout))

    async def retrieve(self, thread_id: str, *, timeout: Any = not_given, **others: Any) -> Record:
        """Retrieve a thread."""
        _refuse(others)
        _not_empty("thread_id", thread_id)
        return _record(await self._request(Call("threads.retrieve", thread_id), timeout))


class AsyncMessages:
    """`client.beta.threads.messages`"""

    def __init__(self, client: DirectClient) -> None:
        self._request = client._request

    def __getattr__(self, name: str) -> Any:
        raise NotInDirectLaneError(f"client.beta.threads.messages.{name}")

    async def create(
        self,
        thread_id: str,
        *,
        content: Any,
        role: str,
        attachments: Any = omit,
        metadata: Any = omit,
        timeout: Any = not_given,
        **others: Any,
    ) -> Record:
        """Append a message."""
        _refuse(others)
        _not_empty("thread_id", thread_id)
        params = {"role": role, "content": content if isinstance(content, str) else copy.deepcopy(list(content))}
        if attachments is not omit or metadata is not omit:
            _given(params, attachments=attachments, metadata=metadata)
        return _record(await self._request(Call("messages.create", thread_id, params=params), timeout))

    async def retrieve(self, message_id: str, *, thread_id: str, timeout: Any = not_given, **others: Any) -> Record:
        """Retrieve a message."""
        _refuse(others)
        _not_empty("thread_id", thread_id)
        _not_empty("message_id", message_id)
        return _record(await self._request(Call("messages.retrieve", thread_id, None, message_id), timeout))

    def list(
        self,
        thread_id: str,
        *,
        after: Any = omit,
        before: Any = omit,
        limit: Any = omit,
        order: Any = omit,
        run_id: Any = omit,
        timeout: Any = not_given,
        **others: Any,
    ) -> PageRequest:
        """List a thread's messages."""
        _refuse(others)
        _not_empty("thread_id", thread_id)
        params: dict[str, Any] = {}
        _given(params, after=after, before=before, limit=limit, order=order, run_id=run_id)
        return PageRequest(self._request, Call("messages.list", thread_id, params=params), timeout)


class AsyncRuns:
    """`client.beta.threads.runs`"""

    def __init__(self, client: DirectClient) -> None:
        self._request = client._request

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
        additional_messages: Any = omit,
        metadata: Any = omit,
        timeout: Any = not_given,
        **others: Any,
    ) -> Record:
        params: dict[str, Any] = {"assistant_id": assistant_id}
        if others:
            options = {name: value for name, value in others.items() if name in RUN_OPTIONS}
            _refuse({name: value for name, value in others.items() if name not in RUN_OPTIONS})
            if options.get("stream"):
                raise NotInDirectLaneError("runs.create(stream=True)")
            _given(params, **options)
        _not_empty("thread_id", thread_id)
        if additional_messages is not omit or metadata is not omit:
            if additional_messages is not None and not isinstance(additional_messages, _ABSENT):
                additional_messages = list(additional_messages)
            _given(params, additional_messages=additional_messages, metadata=metadata)
        return _record(await self._request(Call("runs.create", thread_id, params=params), timeout))

    async def retrieve(self, run_id: str, *, thread_id: str, timeout: Any = not_given, **others: Any) -> Record:
        """Retrieve a run."""
        _refuse(others)
        _not_empty("thread_id", thread_id)
        _not_empty("run_id", run_id)
        return _record(await self._request(Call("runs.retrieve", thread_id, run_id), timeout))

    def list(
        self,
        thread_id: str,
        *,
        after: Any = omit,
        before: Any = omit,
        limit: Any = omit,
        order: Any = omit,
        timeout: Any = not_given,
        **others: Any,
    ) -> PageRequest:
        """List a thread's runs."""
        _refuse(others)
        _not_empty("thread_id", thread_id)
        params: dict[str, Any] = {}
        _given(params, after=after, before=before, limit=limit, order=order)
        return PageRequest(self._request, Call("runs.list", thread_id, params=params), timeout)

    async def cancel(self, run_id: str, *, thread_id: str, timeout: Any = not_given, **others: Any) -> Record:
        """Ask for a run's cancel."""
        _refuse(others)
        _not_empty("thread_id", thread_id)
        _not_empty("run_id", run_id)
        return _record(await self._request(Call("runs.cancel", thread_id, run_id), timeout))


def _record(answer: Answer) -> Record:
    assert answer.payload is not None
    return Record(answer.payload, answer.request_id)


def _given(params: dict[str, Any], **values: Any) -> None:
    """Take the values that were given, as copies: the caller may change its own before the request arrives."""
    for name, value in values.items():
        if not isinstance(value, _ABSENT):
            params[name] = value if isinstance(value, str | int | float | None) else copy.deepcopy(value)


def _not_empty(name: str, value: str) -> None:
    if not value:
        raise ValueError(f"Expected a non-empty value for `{name}` but received {value!r}")


def _refuse(others: Mapping[str, Any]) -> None:
    for name, value in others.items():
        if name not in ("extra_headers", "extra_query", "extra_body", "include", "poll_interval_ms"):
            raise TypeError(f"got an unexpected keyword argument {name!r}")
        if value is not None and not isinstance(value, _ABSENT):
            raise NotInDirectLaneError(f"the argument {name!r}")


def _read_and_connect(timeout: Any) -> tuple[float | None, float | None]:
    if isinstance(timeout, httpx2.Timeout):
        return timeout.read, timeout.connect
    return timeout, timeout
