"""The wire layer: HTTP requests into calls, answers into HTTP responses. Sans-I/O.

`Wire.parse` and `Wire.render` are what a door needs that has its own way of processing in between (the transport of
the `sdk` lane); `Wire.handle` does all three steps for a door without one (a real socket).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

import orjson

from relaysim.sim.backends import errors
from relaysim.sim.backends.calls import Answer, Call
from relaysim.sim.backends.json_body import parse_json_object
from relaysim.sim.backends.streaming import MEDIA_TYPE
from relaysim.sim.backends.threads.operations import OPERATIONS, Operation, execute
from relaysim.sim.backends.threads.service import ThreadsService

API_VERSION: Final = "2020-10-01"
BETA: Final = "assistants=v2"

READ_HEADERS: Final = ("authorization", "openai-beta", "content-type")
"""The request headers that matter here, in lower case."""

INCLUDABLE: Final = "step_details.tool_calls[*].file_search.results[*].content"
"""The one value of `include[]` (documented). It changes nothing here: no simulated assistant searches files."""

_COMPACT: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_PRETTY: Final = json.JSONEncoder(ensure_ascii=False, indent=2)


def _compact(payload: Any) -> bytes:
    try:
        return orjson.dumps(payload)
    except TypeError:  # numbers beyond 64 bits, and what is nested very deep, are JSON all the same
        return _COMPACT.encode(payload).encode()


def _pretty(payload: Any) -> bytes:
    return _PRETTY.encode(payload).encode()


def request_id_header(seed: str) -> str:
    """An `x-request-id` as the API writes them, a function of `seed`: `req_` and 32 hexadecimal digits."""
    return f"req_{blake2b(seed.encode(), digest_size=16).hexdigest()}"


def _standard_headers(request_id: str, processing_ms: str) -> dict[str, str]:
    return {"x-request-id": request_id, "openai-processing-ms": processing_ms, "openai-version": API_VERSION}


def error_response(
    error: errors.ApiError, request_id: str, processing_ms: str = "0"
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of an error answer."""
    body = error.to_bytes()
    headers = {
        "content-type": error.content_type,
        **_standard_headers(request_id, processing_ms),
        **error.headers,
        "content-length": str(len(body)),
    }
    return error.status, headers, body


class Wire:
    """Parses requests, renders responses.

    Args:
        service: processes what `handle` receives.
        keys: the API keys that are accepted; None: any.
        base_path: what precedes the routes of the table.
        poll_after_ms: sent as `openai-poll-after-ms` with each run retrieved; clients' poll helpers obey it. Off by
            default, since no recording of the real service shows a value.
        pretty: whether successful bodies are indented, as the real ones are; costs time.
        processing_ms: what `openai-processing-ms` says.
    """

    def __init__(
        self,
        service: ThreadsService,
        *,
        keys: Iterable[str] | None = None,
        base_path: str = "/v1",
        poll_after_ms: int | None = None,
        pretty: bool = False,
        processing_ms: int = 0,
    ) -> None:
        self._service = service
        self._keys = None if keys is None else frozenset(keys)
        self._base_path = base_path
        self._poll_after_ms = poll_after_ms
        self._encode = _pretty if pretty else _compact
        self._processing_ms = str(processing_ms)
        self._handled = 0
        self._let_in_last: str | None = None

    def handle(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """Answer one request at once.

        Args:
            method: HTTP method, upper case.
            path: path with its query, percent-encoded.
            headers: request headers; names in any case.
            body: the body's bytes.

        Returns:
            Status, response headers with lower-case names, body. Of a stream, the body is what there is of it by now.
        """
        call = self.parse(method, path, headers, body)
        self._handled += 1
        request_id = request_id_header(f"handled/{self._handled}")
        answer = execute(self._service, call, request_id)
        status, answered, content = self.render(answer, call, request_id)
        if answer.stream is not None:
            content = answer.stream.read()
            answer.stream.detach()
        return status, answered, content

    def parse(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Call:
        """The call that a request makes; never raises: what is refused is in the call's `refusal`.

        Checked in this order, which is inferred: route, key, beta header, body or query.
        """
        raw_path, _, query = path.partition("?")
        found = self._route(method, raw_path)
        if found is None:
            return Call("unknown", refusal=self._no_route(method, raw_path))
        operation, names, ids = found
        call = Call(operation.name)
        for name, value in zip(names, ids, strict=True):
            setattr(call, name, value)
        try:
            lowered = {name.lower(): value for name, value in headers.items()}
            self._let_in(lowered.get("authorization", ""), lowered.get("openai-beta"))
            if method == "POST":
                call.params = _body_params(operation, body, lowered.get("content-type"))
            if query and method != "DELETE":
                call.params = {**call.params, **_query_params(operation.name, query)}
        except errors.ApiError as error:
            call.refusal = error
        return call

    def render(self, answer: Answer, call: Call, request_id: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of an answer; `request_id` goes into `x-request-id`.

        An answer that is a stream has no body yet and no length: its frames are read from the stream.
        """
        if answer.error is not None:
            return error_response(answer.error, request_id, self._processing_ms)
        if answer.stream is not None:
            return 200, {"content-type": MEDIA_TYPE, **_standard_headers(request_id, self._processing_ms)}, b""
        headers = {"content-type": "application/json", **_standard_headers(request_id, self._processing_ms)}
        body = self._encode(answer.payload)
        if self._poll_after_ms is not None and call.operation == "runs.retrieve":
            headers["openai-poll-after-ms"] = str(self._poll_after_ms)
        headers["content-length"] = str(len(body))
        return answer.status, headers, body

    def _route(self, method: str, path: str) -> tuple[Operation, Sequence[str], Sequence[str]] | None:
        """The operation, and the names and values of the ids in the path."""
        if not path.startswith(self._base_path + "/"):
            return None
        parts = path[len(self._base_path) + 1 :].split("/")
        # In every route but one the names stand at even places and the ids at odd ones.
        found = _ROUTES.get((method, len(parts), *parts[::2]))
        if method == "POST" and parts == _CREATE_AND_RUN_PARTS:
            return _CREATE_AND_RUN, (), ()
        if found is None:
            return None
        operation, names = found
        ids = parts[1::2]
        if "%" in path:
            ids = [unquote(part) for part in ids]
        return operation, names, ids

    def _no_route(self, method: str, path: str) -> errors.ApiError:
        allowed = [each for each in ("GET", "POST", "DELETE") if self._route(each, path) is not None]
        return errors.wrong_method(allowed) if allowed else errors.unknown_route(method, path)

    def _let_in(self, authorization: str, beta: str | None) -> None:
        if authorization == self._let_in_last and beta == BETA:
            return  # most requests come from the client of the one before
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise errors.no_key()
        if self._keys is not None and key.strip() not in self._keys:
            raise errors.bad_key(key.strip())
        if beta is None or BETA not in [part.strip() for part in beta.split(",")]:
            raise errors.no_beta_header()
        self._let_in_last = authorization


def _routes() -> dict[tuple[str | int, ...], tuple[Operation, list[str]]]:
    routes: dict[tuple[str | int, ...], tuple[Operation, list[str]]] = {}
    for operation in OPERATIONS:
        if operation is _CREATE_AND_RUN:
            continue
        parts = operation.path.strip("/").split("/")
        names, ids = parts[::2], [part.strip("{}") for part in parts[1::2]]
        routes[operation.method, len(parts), *names] = operation, ids
    return routes


_CREATE_AND_RUN: Final = next(each for each in OPERATIONS if each.name == "threads.create_and_run")
_CREATE_AND_RUN_PARTS: Final = _CREATE_AND_RUN.path.strip("/").split("/")
_ROUTES: Final = _routes()
_BY_NAME: Final = {operation.name: operation for operation in OPERATIONS}


def _body_params(operation: Operation, body: bytes, content_type: str | None) -> dict[str, Any]:
    if not body.strip():
        return {}
    fields = parse_json_object(body, content_type)
    for name in fields:
        if name not in operation.params or name == "include[]":
            raise errors.unknown_parameter(name)
    return fields


@lru_cache(maxsize=1024)
def _query_params(operation_name: str, query: str) -> Mapping[str, Any]:
    """The query's parameters, not to be written to; of a repeated name the last one counts."""
    operation = _BY_NAME[operation_name]
    params: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in operation.params or (operation.method == "POST" and name != "include[]"):
            raise errors.unknown_parameter(name)
        if name == "include[]":
            if value != INCLUDABLE:
                raise errors.invalid_choice("include[]", value, (INCLUDABLE,))
        elif name == "limit":
            try:
                params[name] = int(value if value.isascii() else "")
            except ValueError:
                raise errors.invalid_type(name, "an integer", value) from None
        else:
            params[name] = value
    return params
