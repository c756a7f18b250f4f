"""A body as JSON, within limits: whatever is sent, it is read or refused in words."""

import json
import re
from typing import Any, Final

DEPTH_MAX: Final = 64
"""Tables and lists inside each other. Webhooks of the providers here have about ten."""

_TEXTS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_OTHER_THAN_BRACKETS: Final = re.compile(rb"[^\[\]{}]+")
_OPENING: Final = b"[{"


class UnreadableBody(ValueError):
    """The body is no JSON, or none that a provider sends; `str` says why, without anything that stands in it."""


def read_json(body: bytes) -> dict[str, Any]:
    """The JSON object that a body holds.

    Raises:
        UnreadableBody: it holds none, or one that lies too deep inside itself.
    """
    # Before it is parsed: how deep the parser itself can go depends on the version of Python.
    if _is_too_deep(body):
        raise UnreadableBody(f"more than {DEPTH_MAX} tables and lists lie inside each other")
    try:
        content = json.loads(body)
    except RecursionError:
        raise UnreadableBody("tables and lists lie too deep inside each other") from None
    except ValueError:  # no JSON, no UTF-8, or a number beyond Python's limit of digits
        raise UnreadableBody("the body is no JSON in UTF-8") from None
    if not isinstance(content, dict):
        raise UnreadableBody("the body is no JSON object")
    return content


def _is_too_deep(body: bytes) -> bool:
    if body.count(b"[") + body.count(b"{") <= DEPTH_MAX:
        return False
    depth = 0
    for bracket in _OTHER_THAN_BRACKETS.sub(b"", _TEXTS.sub(b"", body)):
        depth += 1 if bracket in _OPENING else -1
        if depth > DEPTH_MAX:
            return True
    return False
