"""Unproven behaviours: off by default, and what each does when a profile switches it on."""

from __future__ import annotations

from typing import Any

import pytest
from openai_world import ASSISTANT, World, constant, flat_profile

from relaysim.sim.backends.errors import ApiError


def world_with(**quirks: float) -> World:
    """A world in which a run is queued for 1 s and runs for 10 s, with quirks of so many seconds."""
    return World(profile=flat_profile(**{name: constant(seconds) for name, seconds in quirks.items()}))


def start(world: World) -> str:
    """Start a run."""
    run_id: str = world.service.create_run(world.thread, assistant_id=ASSISTANT)["id"]
    return run_id


def status(world: World, run_id: str) -> Any:
    """The state that a read shows."""
    return world.service.retrieve_run(world.thread, run_id)["status"]


def append(world: World) -> None:
    """Append a message."""
    world.service.create_message(world.thread, role="user", content="x")


def at(world: World, seconds: float) -> None:
    """Let time pass up to an instant, which need not be one at which something happens."""
    world.kernel.at(seconds - world.kernel.now, lambda: None)
    world.turn(until=seconds)


def test_no_quirk_by_default() -> None:
    world = World()
    run_id = start(world)
    assert world.service.quirks is None
    at(world, 11)
    assert status(world, run_id) == "completed"
    append(world)


def test_a_lock_that_lingers() -> None:
    world = world_with(lock_linger_seconds=3)
    run_id = start(world)
    at(world, 13.5)
    assert status(world, run_id) == "completed"
    with pytest.raises(ApiError, match=f"Can't add messages to {world.thread} while a run {run_id} is active"):
        append(world)
    with pytest.raises(ApiError, match="already has an active run"):
        start(world)
    at(world, 14)
    append(world)
    start(world)


def test_a_read_that_is_stale() -> None:
    world = world_with(stale_read_seconds=2)
    run_id = start(world)
    assert status(world, run_id) == "queued"  # nothing was there before
    at(world, 2.5)
    assert status(world, run_id) == "queued"
    at(world, 3)
    assert status(world, run_id) == "in_progress"
    at(world, 12.5)
    assert status(world, run_id) == "in_progress"
    assert world.service.runs[run_id].status == "completed"
    append(world)  # the lock is not stale
    at(world, 13)
    assert status(world, run_id) == "completed"


def test_a_list_that_lags() -> None:
    world = world_with(list_lag_seconds=2)
    run_id = start(world)
    assert world.service.list_runs(world.thread)["data"] == []
    assert status(world, run_id) == "queued"
    at(world, 3.5)
    assert [run["status"] for run in world.service.list_runs(world.thread)["data"]] == ["in_progress"]
    at(world, 12)
    assert [run["status"] for run in world.service.list_runs(world.thread)["data"]] == ["in_progress"]
    assert status(world, run_id) == "completed"
