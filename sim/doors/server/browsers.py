"""What browsers ask for besides, so that a page of another origin may call the API (CORS).

The real API lets any origin in, and its SDK for JavaScript runs in browsers with `dangerouslyAllowBrowser` (relied on). The
control API is not shared: a page that somebody opens has no business there.
"""

from __future__ import annotations

from typing import Final

from relaysim.sim.doors.server.delivery import Rendered, Scope

_ORIGIN: Final = b"origin"
_ASKS_FOR: Final = "access-control-request-"
_SHARED: Final = {
    "access-control-allow-origin": "*",
    "access-control-expose-headers": "x-request-id, openai-processing-ms, openai-poll-after-ms, retry-after",
}


def preflight(scope: Scope) -> Rendered | None:
    """The answer to what a browser asks before it sends a request; None: it is no such question."""
    if scope["method"] != "OPTIONS":
        return None
    asked = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
    if f"{_ASKS_FOR}method" not in asked:
        return None
    headers = {
        **_SHARED,
        "access-control-allow-methods": "GET, POST, DELETE, OPTIONS",
        "access-control-allow-headers": asked.get(f"{_ASKS_FOR}headers", "*"),
        "access-control-max-age": "86400",
        "content-length": "0",
    }
    if f"{_ASKS_FOR}private-network" in asked:
        headers["access-control-allow-private-network"] = "true"
    return Rendered(200, headers, b"")


def shared(scope: Scope, answer: Rendered) -> Rendered:
    """The answer, which a browser hands to the page if the request came from one."""
    if not any(name == _ORIGIN for name, _ in scope["headers"]):
        return answer
    return answer._replace(headers={**answer.headers, **_SHARED})
