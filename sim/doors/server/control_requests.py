"""How requests reach the control API's handlers: bodies within a limit, strict JSON, paths without a last slash."""

from __future__ import annotations

import json
import typing
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.routing import Match

from relaysim.sim.backends.errors import ApiError
from relaysim.sim.backends.json_body import DEPTH_MAX, parse_json_object
from relaysim.sim.doors.server import CONTROL_PREFIX
from relaysim.sim.doors.server.body import BodyTooLargeError, ClientGoneError, read_body
from relaysim.sim.doors.server.control_errors import ControlError, Problem, invalid, problems_of
from relaysim.sim.doors.server.delivery import Message, Receive, Scope, Send

BODY_BYTES_MAX: Final = 4 * 1024 * 1024
"""Largest body of a control request; a long reply script has some kilobytes."""

AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]


class ReadableJson(JSONResponse):
    """JSON for people with curl: indented, and it ends the line."""

    def render(self, content: Any) -> bytes:
        """The body."""
        return (json.dumps(content, ensure_ascii=False, allow_nan=False, indent=2) + "\n").encode(errors="replace")


class StrictJsonRequest(Request):
    """A request whose body must be an object of JSON proper: no NaN, no number beyond a double, no endless depth."""

    async def json(self) -> Any:
        """The body.

        Raises:
            ControlError: it is none of that.
        """
        body = await self.body()
        try:
            json.loads(body)
        except (ValueError, RecursionError) as error:
            raise ControlError("not_json", f"the body is no JSON: {error}") from None
        try:
            return parse_json_object(body, None)
        except ApiError:
            raise ControlError(
                "not_json",
                "the body must be a JSON object in UTF-8, with numbers that a double can hold (no NaN, no Infinity) and "
                f"at most {DEPTH_MAX} levels",
            ) from None


class StrictJsonRoute(APIRoute):
    """A route whose handler gets a `StrictJsonRequest`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler."""
        handle = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            return await handle(StrictJsonRequest(request.scope, request.receive))

        return strictly


def below_prefix(app: AsgiApp) -> AsgiApp:
    """The application as the server mounts it: it gets whole paths, and bodies that are read already."""

    async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await read_body(receive, scope["headers"], BODY_BYTES_MAX)
        except ClientGoneError:
            return
        except BodyTooLargeError as error:
            headers = {} if error.drained else {"connection": "close"}
            refused = ControlError("too_large", f"the body is larger than {BODY_BYTES_MAX} bytes: send less at once")
            await error_response(refused, headers)(scope, receive, send)
            return
        if _from_elsewhere(scope["headers"]):
            message = (
                "this request comes from a web page of another origin: use the control API's own page, or no browser"
            )
            await error_response(ControlError("forbidden", message))(scope, receive, send)
            return
        pending = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        path = f"{CONTROL_PREFIX}/{scope['path'][len(CONTROL_PREFIX) :].strip('/')}"
        await app({**scope, "root_path": CONTROL_PREFIX, "path": path, "raw_path": path.encode()}, replay, send)

    return mounted


def _from_elsewhere(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a page that this server did not send made a browser ask. No key protects the control API from those."""
    sent = dict(headers)
    origin = sent.get(b"origin")
    return origin is not None and origin.partition(b"://")[2] != sent.get(b"host")


def error_response(error: ControlError, headers: dict[str, str] | None = None) -> ReadableJson:
    """The answer to a request that cannot be done."""
    return ReadableJson(error.answer.model_dump(), error.status, headers)


def shape_errors(app: FastAPI) -> None:
    """Give every error the one shape."""

    @app.exception_handler(ControlError)
    async def answer_own(request: Request, error: ControlError) -> Response:
        return error_response(error)

    @app.exception_handler(RequestValidationError)
    async def answer_mistakes(request: Request, error: RequestValidationError) -> Response:
        return error_response(invalid(_mistakes(request, error)))

    @app.exception_handler(HTTPException)
    async def answer_unknown_route(request: Request, error: HTTPException) -> Response:
        path = request.url.path
        if isinstance(error.__cause__, ControlError):  # from reading the body, which FastAPI turns into its own
            return error_response(error.__cause__)
        if error.status_code == 405:
            possible = _methods(app, request)
            message = f"{path} knows no {request.method}: use {' or '.join(possible)}"
            headers = {"allow": ", ".join(possible)}
            return error_response(ControlError("method_not_allowed", message, possible=possible), headers)
        message = f"there is nothing at {path}: GET {CONTROL_PREFIX}/ says what there is"
        return error_response(ControlError("not_found", message))

    @app.exception_handler(Exception)
    async def answer_failure(request: Request, error: Exception) -> Response:
        message = f"the simulator itself failed: {type(error).__name__}: {error}; its standard error has the traceback"
        return error_response(ControlError("simulator_error", message))


def _methods(app: FastAPI, request: Request) -> list[str]:
    """What a path knows; Starlette itself only tells of the first route."""
    return [
        method
        for route in app.routes
        if isinstance(route, APIRoute) and route.matches(request.scope)[0] is not Match.NONE
        for method in sorted(route.methods or ())
    ]


def _mistakes(request: Request, error: RequestValidationError) -> list[Problem]:
    media_type = request.headers.get("content-type", "")
    if isinstance(error.body, bytes):
        message = f"the body's content type is {media_type or 'not said'}, not application/json"
        return [Problem(where="", message=message, fix="with curl, use --json instead of -d")]
    expected = typing.get_type_hints(request.scope["endpoint"])
    problems = []
    for mistake in error.errors():
        part, *place = mistake["loc"]
        if mistake["type"] == "missing" and not place:
            problems.append(
                Problem(
                    where="", message="the request has no body", fix="send a JSON object, with curl by --json '{...}'"
                )
            )
        else:
            problems += problems_of([{**mistake, "loc": place}], expected.get(part))
    return problems
