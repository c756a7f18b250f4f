"""A WSGI application, called as a server calls it: one request, in whatever thread this runs. Written after PEP 3333."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable
from typing import Any, Final
from urllib.parse import urlsplit

from relaysim.sim.providers import HttpRequest, HttpResponse

Application = Callable[[dict[str, Any], Callable[..., Callable[[bytes], object]]], Iterable[bytes]]

_CLIENT: Final = "203.0.113.7"


def respond(application: Application, request: HttpRequest, multithread: bool) -> HttpResponse:
    """Call the application, and return its whole response.

    Args:
        application: what is called.
        request: what is asked.
        multithread: whether other requests may be handled by it at the same time, in other threads.

    Raises:
        Exception: what the application raises, before or while it gives its body.
        RuntimeError: it gave a body without having called `start_response`.
    """
    started: list[tuple[str, list[tuple[str, str]]]] = []
    parts: list[bytes] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], exc_info: Any = None, /
    ) -> Callable[[bytes], object]:
        if started and not exc_info:
            raise RuntimeError("start_response was called twice, the second time without exc_info")
        started[:] = [(status, headers)]
        return parts.append

    body = application(_environ(request, multithread), start_response)
    try:
        parts.extend(body)
    finally:
        close = getattr(body, "close", None)
        if close is not None:
            close()
    if not started:
        raise RuntimeError("the application gave its body without having called start_response")
    status, headers = started[0]
    return HttpResponse(int(status.split(" ", 1)[0]), {name.lower(): value for name, value in headers}, b"".join(parts))


def _environ(request: HttpRequest, multithread: bool) -> dict[str, Any]:
    url = urlsplit(request.url)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": request.path.encode().decode("latin-1"),
        "QUERY_STRING": url.query,
        "RAW_URI": url.path + (f"?{url.query}" if url.query else ""),
        "CONTENT_TYPE": request.headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(request.body)) if request.body else "",
        "SERVER_NAME": url.hostname or "",
        "SERVER_PORT": str(url.port or 443),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": "relaysim",
        "REMOTE_ADDR": _CLIENT,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": url.scheme,
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": multithread,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in request.headers.items():
        if name not in ("content-type", "content-length"):
            environ["HTTP_" + name.upper().replace("-", "_")] = value
    return environ
