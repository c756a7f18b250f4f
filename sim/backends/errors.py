"""Error answers of OpenAI's APIs: status, the four fields of the body, and the body's bytes. What one API alone answers is
in its own package.

Sources, per constructor: *captured* (a wire capture or traceback in a public error report), *documented*, *relied on*
(public client code matches on it) or *inferred* (our reading of the rest). The body is always `{"error": {"message",
"type", "param", "code"}}` with all four keys, pretty-printed with two spaces and without a newline at the end: a
captured Content-Length of 206 fits exactly that, for the creation of a run refused because another is active.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

INVALID_REQUEST: Final = "invalid_request_error"


class ApiError(Exception):
    """An error answer of the simulated API.

    Raised by the state machine and turned into a response by a door; relay code never sees it.

    Attributes:
        status: HTTP status.
        message, type, param, code: the fields of the body.
        headers: further response headers, lower case.
        raw: the body's bytes where they are not the usual four keys (an edge's answer); else None.
    """

    def __init__(
        self,
        status: int,
        message: str,
        type: str = INVALID_REQUEST,
        param: str | None = None,
        code: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        raw: bytes | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.type = type
        self.param = param
        self.code = code
        self.headers: dict[str, str] = dict(headers) if headers else {}
        self.raw = raw

    def to_bytes(self) -> bytes:
        """The body as it goes over the wire."""
        if self.raw is not None:
            return self.raw
        fields = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return json.dumps({"error": fields}, indent=2, ensure_ascii=False).encode()

    def parsed_body(self) -> Any:
        """What a client has after parsing: the inner `error` object, or the text of a body that is no JSON."""
        if self.raw is None:
            return {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        try:
            return json.loads(self.raw)["error"]
        except ValueError:
            return self.raw.decode().strip()

    @property
    def content_type(self) -> str:
        """The body's media type."""
        return "text/html" if self.raw is not None and self.raw.startswith(b"<") else "application/json"


# Something does not exist


def unknown_route(method: str, path: str) -> ApiError:
    """A URL the API does not have (captured, other endpoints)."""
    return ApiError(404, f"Invalid URL ({method} {path})")


def wrong_method(allowed: Iterable[str]) -> ApiError:
    """A URL that the API has, but not for this method (captured for POST on other endpoints)."""
    names = list(allowed)
    spoken = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return ApiError(
        405,
        f"Only {spoken} requests are accepted.",
        code="method_not_supported",
        headers={"allow": ", ".join(names)},
    )


# The request is malformed


def malformed_id(param: str, value: str, prefix: str) -> ApiError:
    """An id that does not begin as its kind does (captured for threads and files, inferred for the others)."""
    return ApiError(
        400,
        f"Invalid '{param}': '{value}'. Expected an ID that begins with '{prefix}'.",
        param=param,
        code="invalid_value",
    )


def missing_parameter(param: str) -> ApiError:
    """A required parameter is absent (captured, other endpoints)."""
    return ApiError(400, f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")


def invalid_type(param: str, expected: str, got: object) -> ApiError:
    """A parameter of the wrong JSON type (captured, other endpoints)."""
    return ApiError(
        400,
        f"Invalid type for '{param}': expected {expected}, but got {_json_kind(got)} instead.",
        param=param,
        code="invalid_type",
    )


def one_of(choices: Iterable[str], *others: str) -> str:
    """What `invalid_type` expects of an enumeration: `one of 'low', 'medium', or 'high'` (captured, other endpoints).

    `others` are types that do as well, and come first: `one of an object or 'none', 'auto', or 'required'`.
    """
    names = [f"'{_elided(choice)}'" for choice in choices]
    listed = f"{', '.join(names[:-1])}, or {names[-1]}" if len(names) > 2 else " or ".join(names)
    return f"one of {' or '.join([*others, listed])}"


def invalid_choice(param: str, value: str, choices: Iterable[str]) -> ApiError:
    """A parameter outside its enumeration (captured, other endpoints, the comma before `and` included)."""
    names = [f"'{choice}'" for choice in choices]
    supported = f"{', '.join(names[:-1])}, and {names[-1]}" if len(names) > 2 else " and ".join(names)
    return ApiError(
        400, f"Invalid value: '{value}'. Supported values are: {supported}.", param=param, code="invalid_value"
    )


def unknown_parameter(param: str) -> ApiError:
    """A parameter the operation does not have, or a key its object does not have (captured, other endpoints)."""
    return ApiError(400, f"Unknown parameter: '{param}'.", param=param, code="unknown_parameter")


def mutually_exclusive(param: str, first: str, second: str) -> ApiError:
    """Two keys of the object `param`, only one of which may be given (captured, other endpoints)."""
    return ApiError(
        400,
        f"Mutually exclusive parameters: '{param}'. Ensure you are only providing one of: '{_elided(first)}' or "
        f"'{_elided(second)}'.",
        param=param,
        code="mutually_exclusive_parameters",
    )


def integer_out_of_range(param: str, value: int, low: int, high: int) -> ApiError:
    """An integer outside its range (captured for both ends, other endpoints)."""
    return _out_of_range("integer", param, value, low, high)


def decimal_out_of_range(param: str, value: float, low: float, high: float) -> ApiError:
    """A number outside its range (captured for both ends, other endpoints)."""
    return _out_of_range("decimal", param, value, low, high)


def _out_of_range(kind: str, param: str, value: float, low: float, high: float) -> ApiError:
    side, end, bound = ("below", "min", f">= {low}") if value < low else ("above", "max", f"<= {high}")
    return ApiError(
        400,
        f"Invalid '{param}': {kind} {side} {end}imum value. Expected a value {bound}, but got {value} instead.",
        param=param,
        code=f"{kind}_{side}_{end}_value",
    )


def string_too_long(param: str, length_max: int, length: int) -> ApiError:
    """A string over its limit (captured for tool outputs and on other endpoints)."""
    return ApiError(
        400,
        f"Invalid '{param}': string too long. Expected a string with maximum length {length_max}, but got a string "
        f"with length {length} instead.",
        param=param,
        code="string_above_max_length",
    )


def empty_string(param: str) -> ApiError:
    """An empty string where text is needed (captured, other endpoints)."""
    return ApiError(
        400,
        f"Invalid '{param}': empty string. Expected a string with minimum length 1, but got an empty string instead.",
        param=param,
        code="empty_string",
    )


def pattern_mismatch(param: str, pattern: str) -> ApiError:
    """A string that is not of its form (captured for names of functions, other endpoints)."""
    return ApiError(
        400,
        f"Invalid '{param}': string does not match pattern. Expected a string that matches the pattern '{pattern}'.",
        param=param,
        code="invalid_value",
    )


def invalid_url(param: str) -> ApiError:
    """An image's URL that is none, or that is a data URL (captured)."""
    return ApiError(
        400,
        f"Invalid '{param}'. Expected a valid URL, but got a value with an invalid format.",
        param=param,
        code="invalid_value",
    )


def array_too_long(param: str, count_max: int, count: int) -> ApiError:
    """An array over its limit (captured, other endpoints)."""
    return ApiError(
        400,
        f"Invalid '{param}': array too long. Expected an array with maximum length {count_max}, but got an array with "
        f"length {count} instead.",
        param=param,
        code="array_above_max_length",
    )


def too_many_properties(param: str, count_max: int, count: int) -> ApiError:
    """An object with too many keys (captured, other endpoints)."""
    return ApiError(
        400,
        f"Invalid '{param}': too many properties. Expected an object with at most {count_max} properties, but got an "
        f"object with {count} properties instead.",
        param=param,
        code="object_above_max_properties",
    )


def property_name_too_long(param: str, name: str, length_max: int) -> ApiError:
    """A key over its limit (captured, other endpoints): shortened in the message, whole in `param`."""
    return ApiError(
        400,
        f"Invalid property name in '{param}': '{_elided(name)}' is too long. Expected a string with maximum length "
        f"{length_max}, but got a string with length {len(name)} instead.",
        param=f"{param}.{name}",
        code="property_name_above_max_length",
    )


def nested_too_deeply(param: str, depth_max: int) -> ApiError:
    """A value with too many levels of arrays and objects (inferred)."""
    return ApiError(
        400,
        f"Invalid '{param}': nested too deeply. Expected at most {depth_max} levels of arrays and objects.",
        param=param,
        code="invalid_value",
    )


def malformed_json() -> ApiError:
    """A body that is no JSON (captured, other endpoints)."""
    return ApiError(
        400,
        "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP "
        "library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON. If you have "
        "trouble figuring out how to fix this, please contact us through our help center at help.openai.com.)",
    )


def unsupported_content_type(content_type: str) -> ApiError:
    """A body of another media type than JSON (captured for the creation of threads and on other endpoints)."""
    return ApiError(
        400,
        f"Unsupported content type: '{content_type}'. This API method only accepts 'application/json' requests, but "
        f"you specified the header 'Content-Type: {content_type}'. Please try again with a supported content type.",
        code="unsupported_content_type",
    )


# The caller is not let in


def bad_key(key: str) -> ApiError:
    """A key the service does not know (relied on; how much of it is masked is inferred)."""
    shown = key if len(key) < 12 else f"{key[:8]}{'*' * (len(key) - 12)}{key[-4:]}"
    return ApiError(
        401,
        f"Incorrect API key provided: {shown}. You can find your API key at "
        "https://platform.openai.com/account/api-keys.",
        code="invalid_api_key",
    )


def no_key() -> ApiError:
    """No key at all (captured, other endpoints)."""
    return ApiError(
        401,
        "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
        "(i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank username) if you're accessing "
        "the API from your browser and are prompted for a username and password. You can obtain an API key from "
        "https://platform.openai.com/account/api-keys.",
    )


# The service cannot serve


def too_many_requests(retry_after_seconds: int | None = None) -> ApiError:
    """Too many requests per minute (captured). Retry-After: whole seconds of at least 1, or absent (documented)."""
    return ApiError(
        429,
        "You've exceeded the rate limit, please slow down and try again later.",
        code="rate_limit_exceeded",
        headers=_retry_after(retry_after_seconds),
    )


def too_many_tokens(
    *, limit: int = 30000, used: int = 18928, requested: int = 11159, retry_after_seconds: int | None = None
) -> ApiError:
    """Too many tokens per minute (captured)."""
    over = max(0, used + requested - limit)
    wait_ms = -(-over * 60_000 // limit)
    wait = f"{wait_ms}ms" if wait_ms < 1000 else f"{wait_ms / 1000:g}s"
    return ApiError(
        429,
        "Rate limit reached for gpt-4.1 in organization org-simulated on tokens per min (TPM): "
        f"Limit {limit}, Used {used}, Requested {requested}. Please try again in {wait}. "
        "Visit https://platform.openai.com/account/rate-limits to learn more.",
        type="tokens",
        code="rate_limit_exceeded",
        headers=_retry_after(retry_after_seconds),
    )


def server_error(status: int = 500, retry_after_seconds: int | None = None) -> ApiError:
    """The service failed (captured for 500, its wording taken for other statuses)."""
    return ApiError(
        status,
        "The server had an error while processing your request. Sorry about that! You can retry your request, or "
        "contact us through our help center at help.openai.com if you keep seeing this error.",
        type="server_error",
        headers=_retry_after(retry_after_seconds),
    )


def bad_gateway(*, html: bool = False, retry_after_seconds: int | None = None) -> ApiError:
    """The edge in front of the service failed (captured): compact JSON whose code is a number, or an HTML page."""
    raw = b'{"error":{"code":502,"message":"Bad gateway.","param":null,"type":"cf_bad_gateway"}}'
    if html:
        raw = (
            b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
            b"<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n"
        )
    return ApiError(502, "Bad gateway.", type="cf_bad_gateway", headers=_retry_after(retry_after_seconds), raw=raw)


def for_status(status: int, *, html: bool = False, retry_after_seconds: int | None = None) -> ApiError:
    """The error a fault of that status answers with: 429, 502, or the server error's wording under any other."""
    if status == 429:
        return too_many_requests(retry_after_seconds)
    if status == 502:
        return bad_gateway(html=html, retry_after_seconds=retry_after_seconds)
    return server_error(status, retry_after_seconds)


def _retry_after(seconds: int | None) -> dict[str, str]:
    return {} if seconds is None else {"retry-after": str(seconds)}


def _elided(name: str) -> str:
    # Captured: 12 characters are shown whole, 20 are not; where between them the line is, is inferred.
    return name if len(name) <= 12 else f"{name[:3]}...{name[-3:]}"


def _json_kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int):
        return "an integer"
    if isinstance(value, float):
        return "a decimal number"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, Mapping):
        return "an object"
    return "an array"


def body_too_large(limit: int) -> ApiError:
    """A request's body over the limit, in bytes (relied on: the status; its wording is inferred)."""
    return ApiError(413, f"Maximum content size limit ({limit}) exceeded.", type="server_error")
