"""The wire layer: HTTP requests into calls, answers into HTTP responses. Sans-I/O, for any backend and any door.

A backend derives its own wire: it names its routes and the headers that it reads, and says whom it lets in. Besides its
routes every wire has the endpoints that bots call beside a conversation API (`relaysim.sim.backends.other_endpoints`), and
all of them also at Azure's addresses (`relaysim.sim.backends.azure`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl, unquote

import orjson

from relaysim.sim.backends import azure, errors
from relaysim.sim.backends.calls import UNKNOWN, Answer, Call, Operation, RawContent
from relaysim.sim.backends.json_body import parse_json_object
from relaysim.sim.backends.other_endpoints import routes as other
from relaysim.sim.backends.streaming import MEDIA_TYPE

API_VERSION: Final = "2020-10-01"
METHODS: Final = ("GET", "POST", "DELETE")

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


class Routes:
    """The routes of an API, found by method and path.

    Args:
        operations: one row each. A path is fixed, or its names and its ids in braces take turns.
        ignored: query parameters without effect here, with the values that are accepted.

    Attributes:
        families: what the paths begin with: `threads`, `assistants`.

    Raises:
        ValueError: a path of another form.
    """

    def __init__(self, operations: Sequence[Operation], ignored: Mapping[str, Sequence[str]] | None = None) -> None:
        self._by_name: dict[str, Operation] = {}
        self._fixed: dict[tuple[str, str], Operation] = {}
        self._by_parts: dict[tuple[str | int, ...], tuple[Operation, list[str]]] = {}
        self._ignored = dict(ignored or {})
        self.families = frozenset(operation.path.split("/")[1] for operation in operations)
        for operation in operations:
            self._by_name[operation.name] = operation
            names, ids = _names_and_ids(operation.path)
            if ids is None:
                self._fixed[operation.method, operation.path] = operation
            else:
                self._by_parts[operation.method, len(names) + len(ids), *names] = operation, ids
        self.query = lru_cache(maxsize=1024)(self._query)

    def find(self, method: str, path: str) -> tuple[Operation, Sequence[str], Sequence[str]] | None:
        """The operation, and the names and values of the ids in the path, which begins with a slash."""
        fixed = self._fixed.get((method, path))
        if fixed is not None:
            return fixed, (), ()
        parts = path[1:].split("/")
        found = self._by_parts.get((method, len(parts), *parts[::2]))
        if found is None:
            return None
        operation, names = found
        ids = parts[1::2]
        if "%" in path:
            ids = [unquote(part) for part in ids]
        return operation, names, ids

    def request_of(self, call: Call) -> tuple[str, str]:
        """Method and path of a call."""
        operation = self._by_name[call.operation]
        _, ids = _names_and_ids(operation.path)
        return operation.method, operation.path.format(**{name: getattr(call, name) for name in ids or ()})

    def body(self, operation: Operation, body: bytes, content_type: str | None) -> dict[str, Any]:
        """The parameters in a body. Raises ApiError."""
        if not body.strip():
            return {}
        fields = parse_json_object(body, content_type)
        for name in fields:
            if name not in operation.params or name.endswith("[]"):
                raise errors.unknown_parameter(name)
        return fields

    def _query(self, operation_name: str, query: str) -> Mapping[str, Any]:
        """The query's parameters, not to be written to; of a repeated name the last one counts.

        A name that ends in [] belongs to queries only, and queries of a POST have no others.
        """
        operation = self._by_name[operation_name]
        params: dict[str, Any] = {}
        for name, value in parse_qsl(query, keep_blank_values=True):
            if name not in operation.params or (operation.method == "POST" and not name.endswith("[]")):
                raise errors.unknown_parameter(name)
            if name in self._ignored:
                if value not in self._ignored[name]:
                    raise errors.invalid_choice(name, value, self._ignored[name])
            elif name == "limit":
                try:
                    params[name] = int(value if value.isascii() else "")
                except ValueError:
                    raise errors.invalid_type(name, "an integer", value) from None
            else:
                params[name] = value
        return params


def _names_and_ids(path: str) -> tuple[list[str], list[str] | None]:
    """The names of a path and those of its ids, which take turns; no ids: the path is fixed, though not of one name."""
    parts = path.strip("/").split("/")
    names, ids = parts[::2], parts[1::2]
    if any("{" in name for name in names):
        raise ValueError(f"the path {path!r}: names and ids in braces take turns")
    in_braces = [part.startswith("{") and part.endswith("}") for part in ids]
    if all(in_braces):
        return names, [part.strip("{}") for part in ids]
    if any(in_braces):
        raise ValueError(f"the path {path!r}: names and ids in braces take turns")
    return parts, None


class Wire:
    """Parses requests, renders responses. Derive it for a backend, with `routes` and `spoken` at least.

    Args:
        keys: the API keys that are accepted; None: any.
        poll_after_ms: sent as `openai-poll-after-ms` with each turn retrieved; clients' poll helpers obey it. Off by
            default, since no recording of the real service shows a value.
        pretty: whether successful bodies are indented, as the real ones are; costs time.
        processing_ms: what `openai-processing-ms` says.

    Attributes:
        routes: the API's.
        read_headers: the request headers that matter, in lower case; `raw_read_headers` pairs each with its bytes.
        base_path: what precedes the routes.
        polled: the operation that retrieves a turn; None: there is none.
        spoken: what people call the API.
    """

    routes: ClassVar[Routes]
    spoken: ClassVar[str]
    read_headers: ClassVar[tuple[str, ...]] = ("authorization", "api-key", "content-type", "upgrade")
    base_path: ClassVar[str] = "/v1"
    polled: ClassVar[str | None] = None

    def __init__(
        self,
        *,
        keys: Iterable[str] | None = None,
        poll_after_ms: int | None = None,
        pretty: bool = False,
        processing_ms: int = 0,
    ) -> None:
        self._keys = None if keys is None else frozenset(keys)
        self._poll_after_ms = poll_after_ms
        self._encode = _pretty if pretty else _compact
        self._processing_ms = str(processing_ms)
        self._admitted_last: str | None = None
        self.raw_read_headers = [(name.encode(), name) for name in self.read_headers]

    def parse(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Call:
        """The call that a request makes; never raises: what is refused is in the call's `refusal`.

        Checked in this order, which is inferred: route, key and other headers, body or query.

        Args:
            method: HTTP method, upper case.
            path: path with its query, percent-encoded.
            headers: request headers; names in any case.
            body: the body's bytes.
        """
        raw_path, _, query = path.partition("?")
        found = self._route(method, raw_path)
        if found is None:
            return self._elsewhere(method, raw_path, query, headers, body)
        return self._call(found, method, query, headers, body, self.admit)

    def _call(
        self,
        found: tuple[Operation, Sequence[str], Sequence[str]],
        method: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes,
        admit: Callable[[Mapping[str, str]], None],
    ) -> Call:
        operation, names, ids = found
        call = Call(operation.name)
        for name, value in zip(names, ids, strict=True):
            setattr(call, name, value)
        try:
            lowered = {name.lower(): value for name, value in headers.items()}
            admit(lowered)
            if method == "POST":
                call.params = self.routes.body(operation, body, lowered.get("content-type"))
            if query and method != "DELETE":
                call.params = {**call.params, **self.routes.query(operation.name, query)}
        except errors.ApiError as error:
            call.refusal = error
        return call

    def _elsewhere(self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes) -> Call:
        """The call of a request that is for none of the API's routes below its base: for another endpoint, or at Azure's."""
        place = azure.place_of(path, query)
        admit, below = self.check_keys, path.removeprefix(self.base_path)
        given: Mapping[str, Any] = {}
        if place is not None:
            if place.refusal is not None:
                return Call(UNKNOWN, refusal=place.refusal)
            admit, given, below, query = self._admit_azure, place.given, place.path, place.query
            found = self.routes.find(method, below)
            if found is not None:
                return self._call(found, method, query, headers, body, admit)
        elif below == path or not below.startswith("/"):
            return Call(UNKNOWN, refusal=errors.unknown_route(method, path))
        beside = other.find(method, below)
        try:
            lowered = {name.lower(): value for name, value in headers.items()}
            if beside is not None:
                admit(lowered)
                return other.other_call(beside, path, query, lowered.get("content-type"), body, given)
            if other.is_within(method, below):
                admit(lowered)
                raise other.not_simulated(method, path)
            if lowered.get("upgrade", "").lower() == "websocket":
                admit(lowered)
                raise other.not_simulated(method, path, "WebSockets")
            allowed = [each for each in METHODS if self.routes.find(each, below) or other.find(each, below)]
            if allowed and place is None:
                raise errors.wrong_method(allowed)
            if allowed or (other.is_known(below) and not self._has_family(below)):
                admit(lowered)
                raise other.of_another_api(method, path, below, self.spoken)
            raise errors.unknown_route(method, path)
        except errors.ApiError as error:
            return Call(UNKNOWN if beside is None else beside[0].name, refusal=error)

    def render(self, answer: Answer, call: Call, request_id: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of an answer; `request_id` goes into `x-request-id`.

        An answer that is a stream has no body yet and no length: its frames are read from the stream.
        """
        if answer.error is not None:
            return error_response(answer.error, request_id, self._processing_ms)
        if answer.stream is not None:
            return 200, {"content-type": MEDIA_TYPE, **_standard_headers(request_id, self._processing_ms)}, b""
        headers = {"content-type": "application/json", **_standard_headers(request_id, self._processing_ms)}
        payload = answer.payload
        if type(payload) is RawContent:
            headers["content-type"], body = payload.media_type, payload.content
        else:
            body = self._encode(payload)
        if self._poll_after_ms is not None and call.operation == self.polled:
            headers["openai-poll-after-ms"] = str(self._poll_after_ms)
        headers["content-length"] = str(len(body))
        return answer.status, headers, body

    def takes_time(self, call: Call) -> bool:
        """Whether the answer to a call may not be there at once: a stream, or what a backend lets its clients wait for."""
        return bool(call.params.get("stream"))

    def admit(self, headers: Mapping[str, str]) -> None:
        """Let a request in, or raise the ApiError that refuses it; `headers` have lower-case names."""
        authorization = headers.get("authorization", "")
        if authorization != self._admitted_last:  # most requests come from the client of the one before
            self.check_key(authorization)
            self._admitted_last = authorization

    def check_keys(self, headers: Mapping[str, str]) -> None:
        """Raise the ApiError that refuses headers (lower-case names) without an accepted key."""
        self.check_key(headers.get("authorization", ""))

    def _admit_azure(self, headers: Mapping[str, str]) -> None:
        azure.check_key(headers, self._keys)

    def _has_family(self, path: str) -> bool:
        """Whether the API itself has paths that begin like this one."""
        return path[1:].partition("/")[0] in self.routes.families

    def check_key(self, authorization: str) -> None:
        """Raise the ApiError that refuses a header without an accepted key."""
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise errors.no_key()
        if self._keys is not None and key.strip() not in self._keys:
            raise errors.bad_key(key.strip())

    def _route(self, method: str, path: str) -> tuple[Operation, Sequence[str], Sequence[str]] | None:
        base = self.base_path
        if not path.startswith(base) or path[len(base) : len(base) + 1] != "/":
            return None
        return self.routes.find(method, path[len(base) :])
