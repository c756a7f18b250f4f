"""The control API: a running world, looked at and changed by HTTP while clients use the simulated API beside it.

Everything is read and changed at the present virtual instant. Nothing here draws a random number or numbers a request, so
looking does not change what the simulated API answers. There is no API key: whoever reaches the server may change it.

Here are the routes; `control_models` has what they take and give, `control_errors` the shape of errors, `control_requests`
the way to the routes, `control_world` what is shown, and one file each changes what can be changed: `control_faults`,
`control_replies`, `control_reset`. `control_trace` reads the trace; what only one API has is in its package. FastAPI checks
requests against the models and writes openapi.json from them; the page that shows it brings its own scripts. The server
imports this module on the first control request: it takes half a second.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import FastAPI, Path, Query, Response
from fastapi_offline import FastAPIOffline

from relaysim.sim.backends.replies import Replies
from relaysim.sim.doors.server.app import SimulatedServer
from relaysim.sim.doors.server.control_errors import ControlError, ErrorAnswer
from relaysim.sim.doors.server.control_faults import add_fault, check_faults, remove_fault
from relaysim.sim.doors.server.control_models import (
    Advance,
    Clock,
    ClockChange,
    FaultEntry,
    Faults,
    NewFault,
    NewFaults,
    NewReplies,
    Overview,
    Reset,
    TracePage,
    TraceQuery,
)
from relaysim.sim.doors.server.control_replies import RepliesInForce, allowed, written
from relaysim.sim.doors.server.control_requests import (
    AsgiApp,
    ReadableJson,
    StrictJsonRoute,
    below_prefix,
    shape_errors,
)
from relaysim.sim.doors.server.control_reset import reset
from relaysim.sim.doors.server.control_trace import page_of_trace
from relaysim.sim.doors.server.control_world import (
    installed_version,
    show_clock,
    show_faults,
    show_overview,
    show_settings,
)
from relaysim.sim.doors.simulation import ApiSettings

TITLE: Final = "relaysim control API"

_DESCRIPTION: Final = """Looks at a running simulated API, and changes it: its clock, its faults, what its assistants answer,
and all of it at once by a reset. This one is the {title}.

Times are in virtual seconds since the world began. Every error has the shape of `ErrorAnswer`; unknown fields are refused.
Bodies are JSON objects with content type `application/json`."""

_TAGS: Final = (
    {"name": "world", "description": "The world as a whole."},
    {"name": "clock", "description": "Virtual time."},
    {"name": "faults", "description": "What goes wrong between clients and the API."},
    {"name": "trace", "description": "What has happened."},
    {"name": "replies", "description": "What assistants answer."},
)

_ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    "default": {"model": ErrorAnswer, "description": "What is wrong, and how to put it right."},
}


def make_control_app(server: SimulatedServer) -> AsgiApp:
    """The control API of a server, as an ASGI application that gets paths with `CONTROL_PREFIX`."""
    app: FastAPI = FastAPIOffline(
        docs_url="/docs",
        redoc_url=None,
        static_url="/docs/assets",
        title=TITLE,
        version=installed_version(),
        description=_DESCRIPTION.format(title=server.api.backend.title),
        openapi_tags=list(_TAGS),
        default_response_class=ReadableJson,
        redirect_slashes=False,
        separate_input_output_schemas=False,
        responses=_ERRORS,
        # No badge: it would have a stranger's server look at the address.
        swagger_ui_parameters={"validatorUrl": None, "defaultModelsExpandDepth": 0},
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.router.route_class = StrictJsonRoute
    shape_errors(app)
    pages: list[str] = []
    _add_world(app, server, pages)
    _add_clock(app, server)
    _add_faults(app, server)
    _add_trace(app, server)
    _add_replies(app, server)
    pages += _add_own_routes(app, server)
    return below_prefix(app)


def _add_own_routes(app: FastAPI, server: SimulatedServer) -> Sequence[str]:
    """Routes that only this server's API has; the pages to link to."""
    place = server.api.backend.control
    if place is None:
        return ()
    module, _, function = place.partition(":")
    pages: Sequence[str] = getattr(importlib.import_module(module), function)(app, server)
    return pages


# Handlers. They are coroutines without an `await`, so that each is one step of the server's loop.


def _add_world(app: FastAPI, server: SimulatedServer, pages: Sequence[str]) -> None:
    @app.get("/", operation_id="read_overview", summary="The world in short", tags=["world"])
    async def read_overview() -> Overview:
        """Name, profile, time, counts, and where everything else is."""
        return show_overview(server, pages)

    @app.post("/reset", operation_id="reset", summary="Begin a fresh world", tags=["world"])
    async def begin_again(body: Reset | None = None) -> Overview:
        """Begin a fresh world at virtual 0, with the settings of `GET /settings` except what is given.

        Requests, streams and silences of the old world end, unanswered. What has been changed since the old one began, its
        faults and its replies, is gone; the speed stays.
        """
        reset(server, body)
        return show_overview(server, pages)

    @app.get(
        "/settings",
        operation_id="read_settings",
        summary="The settings in force",
        tags=["world"],
        response_model=ApiSettings,
    )
    async def read_settings() -> ReadableJson:
        """What the world began with, and what a reset begins with again. All of it can be given to `POST /reset`.

        Faults and replies that were changed since are at `/faults` and `/replies`.
        """
        return ReadableJson(show_settings(server.api.settings))


def _add_clock(app: FastAPI, server: SimulatedServer) -> None:
    @app.get("/clock", operation_id="read_clock", summary="What time it is", tags=["clock"])
    async def read_clock() -> Clock:
        """The present virtual instant and the speed."""
        return show_clock(server)

    @app.post("/clock", operation_id="set_speed", summary="Change the speed", tags=["clock"])
    async def set_speed(body: ClockChange) -> Clock:
        """Let virtual time move at another speed from now on."""
        if body.speed is not None:
            server.set_speed(body.speed)
        return show_clock(server)

    @app.post("/clock/advance", operation_id="advance_clock", summary="Let time pass at once", tags=["clock"])
    async def advance_clock(body: Advance) -> Clock:
        """Move virtual time on at once, at any speed. All that is due meanwhile happens, in order, before the answer."""
        server.advance(body.seconds)
        return show_clock(server)


def _add_faults(app: FastAPI, server: SimulatedServer) -> None:
    @app.get(
        "/faults",
        operation_id="list_faults",
        summary="The faults in force",
        tags=["faults"],
        response_model_exclude_defaults=True,
    )
    async def list_faults() -> Faults:
        """In order of precedence, with how often each has fired."""
        return show_faults(server)

    @app.post(
        "/faults",
        operation_id="add_fault",
        summary="Add a fault",
        tags=["faults"],
        status_code=201,
        response_model_exclude_defaults=True,
    )
    async def add(body: NewFault) -> FaultEntry:
        """Put a fault after those there are. Its `nth` counts from now on; the others go on counting."""
        check_faults(server, (body,))
        with server.present() as api:
            index = add_fault(server, body.at(api.kernel.now))
        return show_faults(server).faults[index]

    @app.put(
        "/faults",
        operation_id="replace_faults",
        summary="Replace all faults",
        tags=["faults"],
        response_model_exclude_defaults=True,
    )
    async def replace(body: NewFaults) -> Faults:
        """Put these in place of all that there are. Their counts begin at 0."""
        check_faults(server, body.faults, "faults[{}].route")
        with server.present() as api:
            server.set_faults(tuple(fault.at(api.kernel.now) for fault in body.faults))
        return show_faults(server)

    @app.delete("/faults", operation_id="remove_faults", summary="Take all faults away", tags=["faults"])
    async def remove_all() -> Faults:
        """From now on nothing goes wrong, except what is on its way to go wrong already."""
        with server.present():
            server.set_faults(())
        return show_faults(server)

    @app.delete(
        "/faults/{index}",
        operation_id="remove_fault",
        summary="Take one fault away",
        tags=["faults"],
        response_model_exclude_defaults=True,
    )
    async def remove(index: Annotated[int, Path(description="its index in `GET /faults`")]) -> Faults:
        """Take one away; the index of each one after it becomes one less. Answers those that remain."""
        with server.present():
            remove_fault(server, index)
        return show_faults(server)


def _add_trace(app: FastAPI, server: SimulatedServer) -> None:
    @app.get("/trace", operation_id="read_trace", summary="What has happened", tags=["trace"], response_model=TracePage)
    async def read_trace(query: Annotated[TraceQuery, Query()]) -> Response:
        """Events after a number, oldest first; give the answer's `next` as `after` to go on."""
        with server.present() as api:
            trace = api.trace
        if query.after > trace.count:
            raise ControlError(
                "invalid",
                f"after is {query.after}, and the newest event has number {trace.count}: after a reset, begin again with 0",
            )
        page = page_of_trace(trace, query.after, query.limit, query.kind, query.thread)
        if query.format == "json":
            return ReadableJson(page._asdict())
        lines = [json.dumps(event, ensure_ascii=False) + "\n" for event in page.events]
        headers = {"relaysim-next": str(page.next), "relaysim-dropped": str(page.dropped)}
        return Response("".join(lines).encode(errors="replace"), headers=headers, media_type="application/jsonl")


def _add_replies(app: FastAPI, server: SimulatedServer) -> None:
    in_force = RepliesInForce(server)

    @app.get(
        "/replies",
        operation_id="read_replies",
        summary="What assistants answer",
        tags=["replies"],
        response_model=Replies,
    )
    async def read_replies() -> ReadableJson:
        """The echo, a script, or the name of the Python function that replies."""
        return ReadableJson(written(in_force.replies))

    @app.put(
        "/replies",
        operation_id="replace_replies",
        summary="Change what assistants answer",
        tags=["replies"],
        response_model=Replies,
    )
    async def replace_replies(body: NewReplies) -> ReadableJson:
        """From now on let assistants answer so, until the next reset. A turn whose answer is under way keeps it.

        Kind `callable` is refused with 403.
        """
        in_force.put(allowed(body, in_force.replies))
        return ReadableJson(written(in_force.replies))
