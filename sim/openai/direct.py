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
import json
import math
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterable, Mapping
from typing import Any, Final

import httpx2
import openai
from openai._base_client import AsyncAPIClient
from openai._constants import (
    DEFAULT_MAX_RETRIES,
    DEFAULT_TIMEOUT,
    INITIAL_RETRY_DELAY,
    MAX_RETRY_AFTER_DELAY,
    MAX_RETRY_DELAY,
)
from openai._types import NotGiven, Omit, not_given, omit

from relaysim.sim.kernel import Host
from relaysim.sim.openai.arrivals import BrokenAnswer
from relaysim.sim.openai.calls import Answer, Call
from relaysim.sim.openai.effects import READ_TIMEOUT
from relaysim.sim.openai.errors import ApiError
from relaysim.sim.openai.network import Network
from relaysim.sim.openai.operations import OPERATIONS
from relaysim.sim.openai.service import RUN_OPTIONS
from relaysim.sim.openai.transport import BASE_URL, JITTER_PURPOSE, malformed_response, network_error
from relaysim.sim.openai.wire import Wire, error_response, request_id_header

# The SDK's own decisions, asked without a client of its own: whether to retry, and what a Retry-After header says.
_SDK: Final = AsyncAPIClient.__new__(AsyncAPIClient)

_ABSENT: Final = (Omit, NotGiven)

_STATUS_ERRORS: Final[Mapping[int, type[openai.APIStatusError]]] = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    409: openai.ConflictError,
    422: openai.UnprocessableEntityError,
    429: openai.RateLimitError,
}

_PATHS: Final = {operation.name: (operation.method, operation.path) for operation in OPERATIONS}


class NotInDirectLaneError(AttributeError, NotImplementedError):
    """The SDK has it, the direct lane has not."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is not in the direct lane: use lane sdk")


# What comes back


class Record:
    """An API object: the dict's keys are attributes. Equal if the dicts are."""

    __slots__ = ("_data", "_request", "_wrapped")

    def __init__(self, data: dict[str, Any], request: str = "") -> None:
        self._data = data
        self._request = request
        self._wrapped: dict[str, Any] | None = None

    def __getattr__(self, name: str) -> Any:
        if name == "_data":  # a copy under construction
            raise AttributeError(name)
        try:
            value = self._data[name]
        except KeyError:
            kind = self._data.get("object", "object")
            raise AttributeError(
                f"this {kind} has no {name!r} (in the direct lane; lane sdk has the SDK's own)"
            ) from None
        kind = value.__class__
        if kind is not dict and kind is not list:
            return value
        wrapped = self._wrapped
        if wrapped is None:
            wrapped = self._wrapped = {}
        elif name in wrapped:
            return wrapped[name]
        # Metadata is a dict of the caller's own keys, for the SDK too; a copy, because the store has the original.
        wrapped[name] = result = dict(value) if name == "metadata" else _wrap(value)
        return result

    @property
    def _request_id(self) -> str | None:
        return request_id_header(self._request) if self._request else None

    def to_dict(self) -> dict[str, Any]:
        """The object as a dict of the caller's own."""
        return copy.deepcopy(self._data)

    def model_dump(self) -> dict[str, Any]:
        """The same as `to_dict`."""
        return copy.deepcopy(self._data)

    def to_json(self) -> str:
        """The object as JSON."""
        return json.dumps(self._data, indent=2, ensure_ascii=False)

    def __eq__(self, other: object) -> bool:
        return self._data == other._data if isinstance(other, Record) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{self._data.get('object', 'Record')}({self._data!r})"


def _wrap(value: Any) -> Any:
    kind = value.__class__
    if kind is dict:
        return Record(value)
    if kind is list:
        return [_wrap(item) for item in value]
    return value


class Page:
    """One page of a list; iterating goes on to the following pages, as the SDK's does."""

    def __init__(self, request: PageRequest, payload: dict[str, Any]) -> None:
        self._pages = request
        self.object = payload["object"]
        self.data = [Record(item) for item in payload["data"]]
        self.first_id = payload["first_id"]
        self.last_id = payload["last_id"]
        self.has_more = payload["has_more"]

    def has_next_page(self) -> bool:
        """Whether there is more."""
        return bool(self.has_more and self.data)

    async def get_next_page(self) -> Page:
        """The page after this one."""
        if not self.has_next_page():
            raise RuntimeError(
                "No next page expected; please check `.has_next_page()` before calling `.get_next_page()`."
            )
        return await self._pages.after(self.data[-1].id)

    async def iter_pages(self) -> AsyncIterator[Page]:
        """This page and all that follow."""
        page = self
        while True:
            yield page
            if not page.has_next_page():
                return
            page = await page.get_next_page()

    async def __aiter__(self) -> AsyncIterator[Record]:
        async for page in self.iter_pages():
            for item in page.data:
                yield item


class PageRequest:
    """What a list method returns: await it for the first page, or iterate over everything with `async for`."""

    __slots__ = ("_call", "_client", "_timeout")

    def __init__(self, client: DirectClient, call: Call, timeout: Any) -> None:
        self._client = client
        self._call = call
        self._timeout = timeout

    async def _first(self) -> Page:
        answer = await self._client._request(self._call, self._timeout)
        assert answer.payload is not None
        return Page(self, answer.payload)

    def __await__(self) -> Generator[Any, None, Page]:
        return self._first().__await__()

    async def __aiter__(self) -> AsyncIterator[Record]:
        async for item in await self:
            yield item

    async def after(self, item_id: str) -> Page:
        """The page after an object."""
        call = self._call
        following = Call(call.operation, call.thread_id, params={**call.params, "after": item_id})
        return await PageRequest(self._client, following, self._timeout)


class _Deferred:
    """Stands in for an httpx2 object that costs more to build than most callers ever look at."""

    __slots__ = ("_build", "_built")

    def __init__(self, build: Callable[[], Any]) -> None:
        self._build = build
        self._built: Any = None

    def __getattr__(self, name: str) -> Any:
        if name in _Deferred.__slots__:
            raise AttributeError(name)
        if self._built is None:
            self._built = self._build()
        return getattr(self._built, name)


class _ResponseHead:
    """As much of a response as the SDK's retry decision reads."""

    __slots__ = ("headers", "status_code")

    def __init__(self, status_code: int, headers: Mapping[str, str]) -> None:
        self.status_code = status_code
        self.headers = headers


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
        taken = 0
        while True:
            answer = await self._network.attempt(self._host, call, read, connect)
            if answer.status == 200 and answer.failure is None:
                return answer
            if taken >= self.max_retries or not _may_retry(answer):
                raise self._error(call, answer)
            await asyncio.sleep(self._retry_seconds(answer, taken))
            taken += 1

    def _retry_seconds(self, answer: Answer, taken: int) -> float:
        if answer.status:
            asked = AsyncAPIClient._parse_retry_after_header(_SDK, answer.headers)  # type: ignore[arg-type]
            if asked is not None and math.isfinite(asked) and 0 < asked <= MAX_RETRY_AFTER_DELAY:
                return asked
        seconds: float = min(INITIAL_RETRY_DELAY * 2.0 ** min(taken, 1000), MAX_RETRY_DELAY)
        u = self._network.kernel.draws.uniform(answer.draw_key, JITTER_PURPOSE, answer.draw_index)
        return seconds * (1 - 0.25 * u)

    def _error(self, call: Call, answer: Answer) -> Exception:
        """What the SDK raises for a failed attempt."""
        if answer.status == 0:
            return self._connection_error(call, answer)
        if answer.status == 200:
            return self._json_error(call, answer)
        return _status_error(call, answer)

    def _connection_error(self, call: Call, answer: Answer) -> openai.APIConnectionError:
        """No whole answer came."""
        assert answer.failure is not None
        request: Any = _Deferred(_request_builder(call))
        lengths: tuple[int, int] | None = None
        if isinstance(answer, BrokenAnswer):
            _, _, body = Wire(self._network.service).render(answer.whole, call, request_id_header(answer.request_id))
            lengths = len(answer.effect.body(body)), len(body)
        kind = openai.APITimeoutError if answer.failure == READ_TIMEOUT else openai.APIConnectionError
        error = kind(request=request)
        error.__cause__ = network_error(answer.failure, lengths)
        return error

    def _json_error(self, call: Call, answer: Answer) -> Exception:
        """A whole answer came whose JSON is none; the SDK lets the decoder's own error through."""
        assert isinstance(answer, BrokenAnswer)
        try:
            malformed_response(Wire(self._network.service), answer, call).json()
        except json.JSONDecodeError as error:
            return error
        raise AssertionError("a JSON object that is cut off is no JSON")


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
        self._client = client
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
        return PageRequest(self._client, Call("messages.list", thread_id, params=params), timeout)


class AsyncRuns:
    """`client.beta.threads.runs`"""

    def __init__(self, client: DirectClient) -> None:
        self._client = client
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
        return PageRequest(self._client, Call("runs.list", thread_id, params=params), timeout)

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


def _may_retry(answer: Answer) -> bool:
    """What the SDK decides after a failed attempt, if it has attempts left."""
    if answer.status == 0:
        return True
    return AsyncAPIClient._should_retry(_SDK, _ResponseHead(answer.status, answer.headers))  # type: ignore[arg-type]


def _request_builder(call: Call) -> Callable[[], httpx2.Request]:
    method, path = _PATHS[call.operation]
    url = BASE_URL + path.format(thread_id=call.thread_id, run_id=call.run_id, message_id=call.message_id)
    query = call.params if method == "GET" else None

    def build_request() -> httpx2.Request:
        return httpx2.Request(method, url, params=query or None)

    return build_request


def _status_error(call: Call, answer: Answer) -> openai.APIStatusError:
    """The service, or what stands in front of it, refused."""
    build_request = _request_builder(call)
    request: Any = _Deferred(build_request)
    error = answer.error
    assert error is not None
    body = error.parsed_body()
    message = f"Error code: {error.status}"
    inner = body.get("message") if isinstance(body, dict) else None
    if isinstance(inner, str) and inner:
        message = f"{message} - {inner}"
    kind = _STATUS_ERRORS.get(error.status)
    if kind is None:
        kind = openai.InternalServerError if error.status >= 500 else openai.APIStatusError
    sent_id = request_id_header(answer.request_id)
    request_id = error.headers.get("x-request-id", sent_id)
    # Built without its constructor, which wants a whole response and converts types: 5 against 60 microseconds.
    raised = kind.__new__(kind, message)
    raised.message = message
    raised.request = request
    raised.body = body
    fields = body if isinstance(body, dict) else {}
    code = fields.get("code")
    raised.code = None if code is None else str(code)
    raised.param = fields.get("param")
    raised.type = fields.get("type")
    raised.response = _response(error, sent_id, build_request)
    raised.status_code = error.status
    raised.request_id = request_id
    return raised


def _response(error: ApiError, request_id: str, build_request: Callable[[], httpx2.Request]) -> Any:
    def build() -> httpx2.Response:
        status, headers, content = error_response(error, request_id)
        return httpx2.Response(status, headers=headers, content=content, request=build_request())

    return _Deferred(build)
