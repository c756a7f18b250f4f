"""Bodies of requests: bytes into a JSON object that can be encoded again, or the error that the API answers with.

What passes here is what JSON and UTF-8 can express: no NaN and no Infinity, no number beyond a double's range, no half of
a surrogate pair, and not more levels than can be walked through and encoded. So nothing behind this module has to reckon
with a value that it could store but not answer with. All else stays as it came, NUL characters in strings included; of
a key that is given twice the last value counts.
"""

from __future__ import annotations

import codecs
import json
import math
from typing import Any, Final, NoReturn

from relaysim.sim.backends import errors

codecs.lookup("utf-8-sig")  # is a module, and must not be looked for when no file can be opened any more

DEPTH_MAX: Final = 100
"""Levels of arrays and objects in a body, itself included (inferred; the deepest documented body has about ten)."""


def parse_json_object(body: bytes, content_type: str | None) -> dict[str, Any]:
    """The JSON object that a body holds; an empty body is an empty object.

    Evidence: that other media types are refused, with status 400 and `unsupported_content_type`, is captured for the
    creation of threads and on other endpoints. A capture shows even `application/json; charset=utf-8` refused; that was
    a fault of some days in February 2024, so parameters pass here, and so does an absent header (inferred). That all
    other mistakes get one and the same error is captured for bodies that are no JSON and inferred for the rest.

    Args:
        body: the body's bytes.
        content_type: the header's value; None if the request has none.

    Raises:
        ApiError: 400; another media type, no UTF-8, no JSON, no object, a number, a string or a depth as said above.
    """
    if not body or body.isspace():
        return {}
    if content_type and content_type.partition(";")[0].strip().lower() != "application/json":
        raise errors.unsupported_content_type(content_type.encode(errors="replace").decode())
    try:
        fields = _DECODER.decode(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise errors.malformed_json() from None
    if type(fields) is not dict:
        raise errors.malformed_json()
    # Both are rare: most bodies are spared the walk by a look at their bytes.
    if body.count(b"{") + body.count(b"[") > DEPTH_MAX and _is_too_deep(fields):
        raise errors.malformed_json()
    if (b"\\ud" in body or b"\\uD" in body) and _has_lone_surrogate(fields):
        raise errors.malformed_json()
    return fields


def _finite(number: str) -> float:
    value = float(number)
    if math.isinf(value):
        raise ValueError(number)
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


_DECODER: Final = json.JSONDecoder(parse_float=_finite, parse_constant=_refuse)


def _is_too_deep(value: dict[str, Any]) -> bool:
    # Level by level, not by recursion: what is looked for here is what would end a recursion.
    level: list[Any] = [value]
    for _ in range(DEPTH_MAX):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) is dict or type(inner) is list
        ]
        if not level:
            return False
    return True


def _has_lone_surrogate(value: dict[str, Any]) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False
