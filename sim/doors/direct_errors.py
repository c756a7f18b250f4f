"""What the SDK does with a failed attempt, for the `direct` lane: whether and when it retries, and what it raises."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import httpx2
import openai
from openai._base_client import AsyncAPIClient
from openai._constants import INITIAL_RETRY_DELAY, MAX_RETRY_AFTER_DELAY, MAX_RETRY_DELAY

from relaysim.sim.backends.calls import Answer, Call
from relaysim.sim.backends.errors import ApiError
from relaysim.sim.backends.protocol import Backend
from relaysim.sim.backends.wire import error_response, request_id_header
from relaysim.sim.doors.arrivals import BrokenAnswer
from relaysim.sim.doors.broken_answers import rendered_broken
from relaysim.sim.doors.effects import READ_TIMEOUT
from relaysim.sim.doors.transport import JITTER_PURPOSE, network_error
from relaysim.sim.kernel import Draws

# The SDK's own decisions, asked without a client of its own: whether to retry, and what a Retry-After header says.
_SDK: Final = AsyncAPIClient.__new__(AsyncAPIClient)

_STATUS_ERRORS: Final[Mapping[int, type[openai.APIStatusError]]] = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    409: openai.ConflictError,
    422: openai.UnprocessableEntityError,
    429: openai.RateLimitError,
}


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


def may_retry(answer: Answer) -> bool:
    """What the SDK decides after a failed attempt, if it has attempts left."""
    if answer.status == 0:
        return True
    return AsyncAPIClient._should_retry(_SDK, _ResponseHead(answer.status, answer.headers))  # type: ignore[arg-type]


def retry_seconds(answer: Answer, taken: int, draws: Draws) -> float:
    """How long the SDK waits after a failed attempt, when it has already retried `taken` times."""
    if answer.status:
        asked = AsyncAPIClient._parse_retry_after_header(_SDK, answer.headers)  # type: ignore[arg-type]
        if asked is not None and math.isfinite(asked) and 0 < asked <= MAX_RETRY_AFTER_DELAY:
            return asked
    seconds: float = min(INITIAL_RETRY_DELAY * 2.0 ** min(taken, 1000), MAX_RETRY_DELAY)
    u = draws.uniform(answer.draw_key, JITTER_PURPOSE, answer.draw_index)
    return seconds * (1 - 0.25 * u)


def error_of(call: Call, answer: Answer, backend: Backend) -> Exception:
    """What the SDK raises for a failed attempt at a call of that backend."""
    if answer.status == 0:
        return _connection_error(call, answer, backend)
    if answer.status == 200:
        return _json_error(call, answer, backend)
    return _status_error(call, answer, backend)


def head_of(call: Call, answer: Answer) -> Answer:
    """What the SDK knows of an answer when it decides whether to ask again. It reads the body of one that was to be a stream
    only afterwards: of a refusal that breaks off it has the status and the headers by then."""
    if isinstance(answer, BrokenAnswer) and answer.status == 0 and call.params.get("stream") is True:
        return answer.whole
    return answer


def body_error(call: Call, answer: BrokenAnswer, backend: Backend) -> httpx2.TransportError:
    """What the SDK lets through when the body of a refusal breaks off whose head it has already looked at."""
    assert answer.failure is not None
    broken = rendered_broken(backend.make_wire(), answer, call)
    return network_error(answer.failure, (len(broken.content), broken.length))


def _connection_error(call: Call, answer: Answer, backend: Backend) -> openai.APIConnectionError:
    """No whole answer came."""
    assert answer.failure is not None
    request: Any = _Deferred(_request_builder(call, backend))
    lengths: tuple[int, int] | None = None
    if isinstance(answer, BrokenAnswer):
        broken = rendered_broken(backend.make_wire(), answer, call)
        lengths = len(broken.content), broken.length
    kind = openai.APITimeoutError if answer.failure == READ_TIMEOUT else openai.APIConnectionError
    error = kind(request=request)
    error.__cause__ = network_error(answer.failure, lengths)
    return error


def _json_error(call: Call, answer: Answer, backend: Backend) -> Exception:
    """A whole answer came whose JSON is none; the SDK lets the decoder's own error through."""
    assert isinstance(answer, BrokenAnswer)
    try:
        json.loads(rendered_broken(backend.make_wire(), answer, call).content)
    except json.JSONDecodeError as error:
        return error
    raise AssertionError("a JSON object that is cut off is no JSON")


def _request_builder(call: Call, backend: Backend) -> Callable[[], httpx2.Request]:
    def build_request() -> httpx2.Request:
        method, path = backend.make_wire().routes.request_of(call)
        return httpx2.Request(
            method, backend.base_url + path, params=(call.params or None) if method == "GET" else None
        )

    return build_request


def _status_error(call: Call, answer: Answer, backend: Backend) -> openai.APIStatusError:
    """The service, or what stands in front of it, refused."""
    build_request = _request_builder(call, backend)
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
