"""HTTP requests and responses as plain values, and what their bodies say in the encodings that providers use."""

from __future__ import annotations

import json
from collections.abc import Mapping
from email import message_from_bytes
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit


class HttpRequest(NamedTuple):
    """A request. Names of headers are in lower case.

    method   in capitals
    url      whole, from the scheme on
    headers  each name once
    body     as it goes over the line
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def path(self) -> str:
        """The URL's path, decoded."""
        return unquote(urlsplit(self.url).path) or "/"

    @property
    def query(self) -> dict[str, str]:
        """The URL's parameters; of one that is given several times the last."""
        return dict(parse_qsl(urlsplit(self.url).query, keep_blank_values=True))

    @property
    def parameters(self) -> dict[str, Any]:
        """What query and body say together, the body last: JSON, a form, or a form in parts."""
        kind = self.headers.get("content-type", "")
        return {**self.query, **_fields(kind, self.body)}


class HttpResponse(NamedTuple):
    """A response. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


def json_response(status: int, content: Any, **headers: str) -> HttpResponse:
    """A response that says this as JSON; underscores in the names of headers stand for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(status, {"content-type": "application/json", **named}, json_bytes(content))


def json_bytes(content: Any) -> bytes:
    """Compact JSON in ASCII: other characters are escaped, as most providers do."""
    return json.dumps(content, separators=(",", ":")).encode()


def _fields(kind: str, body: bytes) -> dict[str, Any]:
    """The fields of a body; none of one that is no object of JSON and no form."""
    if kind.startswith("multipart/form-data"):
        parsed = message_from_bytes(f"content-type: {kind}\r\n\r\n".encode() + body)
        found = {}
        for part in parsed.get_payload() if parsed.is_multipart() else ():
            name = part.get_param("name", header="content-disposition") if not isinstance(part, str) else None
            payload = part.get_payload(decode=True) if not isinstance(part, str) else None
            if isinstance(name, str) and isinstance(payload, bytes):
                found[name] = payload.decode(errors="replace")
        return found
    if kind.startswith("application/x-www-form-urlencoded"):
        return dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
    try:
        content = json.loads(body)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
