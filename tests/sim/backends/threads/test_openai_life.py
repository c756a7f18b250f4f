"""The lives of runs in virtual time: durations, cancels, stuck runs, expiry."""

from __future__ import annotations

import pytest
from openai_world import ASSISTANT, World, constant, flat_profile

from relaysim.sim.backends.replies import Turn, echo_reply, text_of
from relaysim.sim.backends.threads.states import LOCKING


def started(world: World) -> str:
    """A run created at the world's start."""
    world.service.create_message(world.thread, role="user", content="hello")
    run_id: str = world.service.create_run(world.thread, assistant_id=ASSISTANT, cause="test")["id"]
    return run_id


def test_an_undisturbed_life() -> None:
    world = World()
    started(world)
    world.turn()
    assert world.states() == [(0.0, "queued", "test"), (1.0, "in_progress", "time"), (11.0, "completed", "time")]
    newest = world.service.list_messages(world.thread, limit=1)["data"][0]
    assert text_of(newest) == "Reply 1 to: hello"


@pytest.mark.parametrize(("cancel_at", "before"), [(0.5, "queued"), (5.0, "in_progress")])
def test_a_cancel_takes_effect_after_cancel_seconds(cancel_at: float, before: str) -> None:
    world = World()
    run_id = started(world)
    world.kernel.at(cancel_at, lambda: world.service.cancel_run(world.thread, run_id, cause="x"))
    world.turn()
    assert world.states()[-2:] == [(cancel_at, "cancelling", "x"), (cancel_at + 3, "cancelled", "time")]
    assert world.states()[-3][1] == before
    assert world.service.threads[world.thread].active is None


def test_a_run_that_completes_instead_of_being_cancelled() -> None:
    world = World(profile=flat_profile(cancel_completes_probability=1.0))
    run_id = started(world)
    world.kernel.at(5, lambda: world.service.cancel_run(world.thread, run_id))
    world.turn()
    assert [state for _, state, _ in world.states()] == ["queued", "in_progress", "cancelling", "completed"]
    assert world.service.list_messages(world.thread)["data"][0]["run_id"] == run_id


def test_a_stuck_run_locks_until_it_expires() -> None:
    world = World(profile=flat_profile(stuck_probability=1.0))
    run_id = started(world)
    world.kernel.at(20, lambda: world.service.cancel_run(world.thread, run_id, cause="x"))
    world.turn(599.0)
    assert world.service.runs[run_id].status == "cancelling"
    world.turn()
    assert world.states() == [
        (0.0, "queued", "test"),
        (1.0, "in_progress", "time"),
        (20.0, "cancelling", "x"),
        (600.0, "expired", "expiry"),
    ]
    run = world.service.retrieve_run(world.thread, run_id)
    assert (run["status"], run["expires_at"]) == ("expired", None)
    world.service.create_message(world.thread, role="user", content="free again")


def test_the_cancel_of_a_stuck_run_may_work_in_the_end() -> None:
    world = World(profile=flat_profile(stuck_probability=1.0, stuck_cancel_seconds=constant(60)))
    run_id = started(world)
    world.kernel.at(20, lambda: world.service.cancel_run(world.thread, run_id))
    world.turn()
    assert world.states()[-1] == (80.0, "cancelled", "time")


@pytest.mark.parametrize("field", ["queue_seconds", "run_seconds"])
def test_expiry_counts_from_creation_whatever_the_run_waits_for(field: str) -> None:
    world = World(profile=flat_profile(**{field: constant(10_000)}))
    world.turn()
    world.kernel.at(7.25, started, world)
    world.turn()
    # created_at is a whole second, and expires_at is 600 s after that.
    assert world.states()[-1] == (607.0, "expired", "expiry")


def test_expiry_of_an_unanswered_tool_call_and_a_second_round() -> None:
    world = World()
    run_id = started(world)
    calls = [{"id": "call_0"}]
    world.kernel.at(4, lambda: world.service.advance(run_id, "requires_action", tool_calls=calls))
    outputs = [{"tool_call_id": "call_0", "output": "42"}]
    world.kernel.at(
        30, lambda: world.service.submit_tool_outputs(world.thread, run_id, tool_outputs=outputs, cause="x")
    )
    world.kernel.at(33, lambda: world.service.advance(run_id, "requires_action"))
    world.turn()
    assert world.states()[2:] == [
        (4.0, "requires_action", "time"),
        (30.0, "queued", "x"),
        (31.0, "in_progress", "time"),
        (33.0, "requires_action", "time"),
        (600.0, "expired", "expiry"),
    ]


def test_a_deleted_thread_takes_its_run_along() -> None:
    world = World()
    started(world)
    world.kernel.at(5, lambda: world.service.delete_thread(world.thread))
    world.turn()
    assert [state for _, state, _ in world.states()] == ["queued", "in_progress"]


def test_one_run_at_a_time_under_random_cancels() -> None:
    profile = flat_profile(
        run_seconds={"kind": "lognormal", "median": 12, "p95": 35},
        cancel_seconds={"kind": "lognormal", "median": 0.6, "sigma": 1.0},
        stuck_probability=0.2,
        stuck_cancel_seconds=constant(50),
        cancel_completes_probability=0.3,
    )
    world = World(profile=profile)
    service = world.service

    def poke(number: int) -> None:
        active = service.threads[world.thread].active
        if active is None:
            service.create_run(world.thread, assistant_id=ASSISTANT)
        elif active.status != "cancelling" and number % 2:
            service.cancel_run(world.thread, active.id)
        assert sum(run.status in LOCKING for run in service.threads[world.thread].runs) <= 1

    for number in range(400):
        world.kernel.at(2.0 * number, poke, number)
    world.turn()
    ends = [state for _, state, _ in world.states()]
    assert {"cancelled", "completed"} <= set(ends)
    assert ends.count("queued") == sum(ends.count(state) for state in ("cancelled", "completed", "expired"))


def test_draws_are_keyed_by_thread_and_number() -> None:
    profile = flat_profile(run_seconds={"kind": "lognormal", "median": 12, "p95": 35})

    def second_end(cancel_first: bool) -> float:
        world = World(profile=profile)
        first = started(world)
        if cancel_first:
            world.kernel.at(2, lambda: world.service.cancel_run(world.thread, first))
        world.kernel.at(100, started, world)
        world.turn()
        return world.states()[-1][0]

    assert second_end(True) == second_end(False)


def test_the_echo_is_unique_per_thread() -> None:
    world = World()
    texts = set()
    for _ in range(3):
        started(world)
        world.turn()
        texts.add(text_of(world.service.list_messages(world.thread, limit=1)["data"][0]))
    assert texts == {"Reply 1 to: hello", "Reply 2 to: hello", "Reply 3 to: hello"}
    assert echo_reply(Turn([], {})) == "Reply 1 to: "
