"""The routes that the control API has for Threads only: runs, looked at and moved by hand, and the table of their states."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Path, Query

from relaysim.sim.backends.threads.control_models import Move, RunEntry, Runs, RunsQuery, States
from relaysim.sim.backends.threads.control_runs import find_run, move, show_run, stick
from relaysim.sim.backends.threads.control_states import show_states
from relaysim.sim.backends.threads.service_with_lives import threads_of
from relaysim.sim.doors.server.app import SimulatedServer

RunId = Annotated[str, Path(description="a run's id", examples=["run_0123456789abcdefghijABCD"])]


def add_routes(app: FastAPI, server: SimulatedServer) -> tuple[str, ...]:
    """Add the routes; returns the pages that the overview links to."""
    app.openapi_tags = [
        *(app.openapi_tags or ()),
        {"name": "runs", "description": "Runs, looked at and moved by hand."},
    ]

    @app.get("/states", operation_id="read_states", summary="The table of run states", tags=["world"])
    async def read_states() -> States:
        """States, moves, and what the API answers to every request in every state, each row with its evidence."""
        return show_states()

    @app.get("/runs", operation_id="list_runs", summary="The runs that are kept", tags=["runs"])
    async def list_runs(query: Annotated[RunsQuery, Query()]) -> Runs:
        """Newest first, with the moves that each can make."""
        with server.present() as api:
            threads = threads_of(api)
            found = [
                run
                for run in reversed(threads.runs.values())
                if (not query.state or run.status in query.state) and query.thread in (None, run.thread.id)
            ]
            return Runs(
                runs=[show_run(threads, run, api.start_seconds) for run in found[: query.limit]], total=len(found)
            )

    @app.post("/runs/{run_id}/move", operation_id="move_run", summary="Move a run", tags=["runs"])
    async def move_run(run_id: RunId, body: Move) -> RunEntry:
        """Move a run to a state that the table of moves leads to from its own, as the API itself would.

        Any other move is refused with 409, and `possible` has those that there are.
        """
        with server.present() as api:
            threads = threads_of(api)
            run = find_run(threads, run_id)
            move(threads, run, body.state)
            return show_run(threads, run, api.start_seconds)

    @app.post("/runs/{run_id}/stick", operation_id="stick_run", summary="Make a run stuck", tags=["runs"])
    async def stick_run(run_id: RunId) -> RunEntry:
        """Let a run never finish by itself: it stays in progress until it is cancelled or expires."""
        with server.present() as api:
            threads = threads_of(api)
            run = find_run(threads, run_id)
            stick(threads, run)
            return show_run(threads, run, api.start_seconds)

    return "runs", "states"
