"""The control API's runs: listed, moved along the table of states, and stuck."""

from __future__ import annotations

from typing import Any

import pytest
from control_bench import API_HEADERS, ASSISTANT, FLAT, Bench, constant

from relaysim.sim.backends.threads.states import LOCKING, STATES, TERMINAL, TRANSITIONS

TOOLS = {"kind": "script", "replies": [{"tool_calls": [{"name": "f"}, {"name": "g"}]}, {"text": "Done."}]}

WAYS: dict[str, tuple[str, ...]] = {
    "queued": (),
    "in_progress": ("in_progress",),
    "requires_action": ("in_progress", "requires_action"),
    "cancelling": ("cancelling",),
    "cancelled": ("cancelling", "cancelled"),
    "failed": ("in_progress", "failed"),
    "completed": ("in_progress", "completed"),
    "incomplete": ("in_progress", "incomplete"),
    "expired": ("expired",),
}
"""How to bring a new run into each state."""

NAMES = [state.name for state in STATES]
MOVES = {(move.source, move.target) for move in TRANSITIONS}


def move(bench: Bench, run_id: str, state: str) -> Any:
    """The run after a move that is possible."""
    return bench.done("POST", f"/runs/{run_id}/move", {"state": state})


def brought_to(bench: Bench, state: str) -> str:
    """A new run in a state."""
    run_id = bench.started()
    for step in WAYS[state]:
        move(bench, run_id, step)
    return run_id


@pytest.mark.parametrize("source", NAMES)
@pytest.mark.parametrize("target", NAMES)
def test_a_run_moves_as_the_table_says_and_in_no_other_way(source: str, target: str) -> None:
    possible = [each.target for each in TRANSITIONS if each.source == source]
    with Bench() as bench:
        run_id = brought_to(bench, source)
        if (source, target) in MOVES:
            entry = move(bench, run_id, target)
            assert (entry["state"], entry["locks_thread"]) == (target, target in LOCKING)
            assert bench.state(run_id) == target
            newest = bench.done("GET", "/trace", params={"kind": "run.state"})["events"][-1]
            assert (newest["run_id"], newest["state"], newest["cause"]) == (run_id, target, "control")
        else:
            answer = bench.control("POST", f"/runs/{run_id}/move", {"state": target})
            error = answer.json()["error"]
            assert (answer.status_code, error["code"], error["possible"]) == (409, "impossible", possible)
            assert all(name in error["message"] for name in possible)
            assert bench.state(run_id) == source
        bench.advance(700)
        assert bench.state(run_id) in TERMINAL
        assert bench.server.errors == 0


@pytest.mark.parametrize("state", NAMES)
def test_the_list_says_which_moves_there_are(state: str) -> None:
    with Bench() as bench:
        run_id = brought_to(bench, state)
        (entry,) = bench.done("GET", "/runs")["runs"]
        assert (entry["id"], entry["state"]) == (run_id, state)
        assert entry["moves"] == [each.target for each in TRANSITIONS if each.source == state]


def test_the_list_has_the_newest_first_and_can_be_narrowed() -> None:
    with Bench() as bench:
        threads = [bench.thread() for _ in range(3)]
        runs = []
        for thread_id in threads:
            bench.advance(1.5)
            runs.append(bench.started(thread_id))
        move(bench, runs[0], "completed")
        listed = bench.done("GET", "/runs")
        assert [(run["id"], run["created_virtual_seconds"]) for run in listed["runs"]] == [
            (runs[2], 4.5),
            (runs[1], 3.0),
            (runs[0], 1.5),
        ]

        def found(**query: Any) -> tuple[list[str], int]:
            page = bench.done("GET", "/runs", params=query)
            return [run["id"] for run in page["runs"]], page["total"]

        assert found(state="completed") == ([runs[0]], 1)
        assert found(state=["completed", "queued"]) == ([runs[2], runs[0]], 2)
        assert found(thread=threads[1]) == ([runs[1]], 1)
        assert found(thread=threads[1], state="queued") == ([], 0)
        assert found(limit=1) == ([runs[2]], 3)


def test_a_move_frees_the_thread_and_leaves_what_the_api_would_leave() -> None:
    with Bench() as bench:
        thread_id = bench.thread("Hi")
        run_id = bench.started(thread_id)
        move(bench, run_id, "in_progress")
        move(bench, run_id, "completed")
        newest = bench.api("GET", f"/threads/{thread_id}/messages").json()["data"][0]
        assert newest["content"][0]["text"]["value"] == "Reply 1 to: Hi"
        assert bench.api("POST", f"/threads/{thread_id}/messages", {"role": "user", "content": "Next"}).is_success


def test_a_moved_run_lives_on_from_its_new_state() -> None:
    with Bench() as bench:
        run_id = bench.started()
        bench.advance(0.25)
        move(bench, run_id, "in_progress")
        bench.advance(9.75)
        assert bench.state(run_id) == "in_progress"
        bench.advance(0.25)
        assert bench.state(run_id) == "completed"


def test_a_run_that_waits_for_tools_can_go_on_without_them() -> None:
    with Bench(replies=TOOLS) as bench:
        thread_id = bench.thread()
        run_id = bench.started(thread_id)
        bench.advance(11)
        assert bench.state(run_id) == "requires_action"
        move(bench, run_id, "queued")
        steps = bench.api("GET", f"/threads/{thread_id}/runs/{run_id}/steps").json()["data"]
        assert [call["function"]["output"] for call in steps[0]["step_details"]["tool_calls"]] == ["", ""]
        bench.advance(11)
        assert bench.state(run_id) == "completed"


def test_a_stream_ends_when_its_run_is_moved_in_the_middle_of_its_text() -> None:
    with Bench(replies={"kind": "script", "replies": [{"text": "one two three four five"}]}) as bench:
        thread_id = bench.thread()

        async def moved_while_streamed() -> str:
            from asyncio import create_task, sleep

            body = {"assistant_id": ASSISTANT, "stream": True}
            path = f"/v1/threads/{thread_id}/runs"
            reading = create_task(bench.ask("POST", path, headers=API_HEADERS, json=body))
            while not bench.server.api.service.runs:
                assert not reading.done()
                await sleep(0)
            await bench.ask("POST", "/_relaysim/clock/advance", json={"seconds": 6})
            (run_id,) = bench.server.api.service.runs
            await bench.ask("POST", f"/_relaysim/runs/{run_id}/move", json={"state": "failed"})
            await bench.ask("POST", "/_relaysim/clock/advance", json={"seconds": 60})
            return (await reading).text

        stream = bench.run(moved_while_streamed())
        names = [line.removeprefix("event: ") for line in stream.splitlines() if line.startswith("event: ")]
        assert names.count("thread.message.delta") in (2, 3)
        assert names[-2:] == ["thread.run.failed", "done"]
        assert bench.server.errors == 0


# Stuck


@pytest.mark.parametrize("waits", [0, 0.5, 5], ids=["new", "queued", "in progress"])
def test_a_stuck_run_never_finishes_by_itself(waits: float) -> None:
    with Bench() as bench:
        run_id, other = bench.started(), bench.started()
        if waits:
            bench.advance(waits)
        assert bench.done("POST", f"/runs/{run_id}/stick")["stuck"] is True
        bench.advance(599.5 - waits)
        assert (bench.state(run_id), bench.state(other)) == ("in_progress", "completed")
        bench.advance(1)
        assert bench.state(run_id) == "expired"
        assert not any(run["stuck"] for run in bench.done("GET", "/runs")["runs"])


def test_a_stuck_run_is_slow_to_cancel() -> None:
    with Bench() as bench:
        run_id = bench.started()
        bench.advance(5)
        bench.done("POST", f"/runs/{run_id}/stick")
        move(bench, run_id, "cancelling")
        bench.advance(49)
        assert bench.state(run_id) == "cancelling"
        bench.advance(1)
        assert bench.state(run_id) == "cancelled"


def test_a_cancel_that_is_under_way_sticks_too() -> None:
    with Bench() as bench:
        run_id = bench.started()
        bench.advance(5)
        move(bench, run_id, "cancelling")
        bench.done("POST", f"/runs/{run_id}/stick")
        bench.advance(49)
        assert bench.state(run_id) == "cancelling"
        assert bench.server.errors == 0


def test_a_stuck_run_that_waits_for_tools_hangs_after_them() -> None:
    with Bench(replies=TOOLS) as bench:
        run_id = bench.started()
        bench.advance(20)
        bench.done("POST", f"/runs/{run_id}/stick")
        assert bench.state(run_id) == "requires_action"
        move(bench, run_id, "queued")
        bench.advance(100)
        assert bench.state(run_id) == "in_progress"


def test_a_stuck_run_can_still_be_moved() -> None:
    with Bench() as bench:
        run_id = bench.started()
        bench.advance(5)
        bench.done("POST", f"/runs/{run_id}/stick")
        assert move(bench, run_id, "completed")["stuck"] is False
        bench.advance(700)
        assert bench.state(run_id) == "completed"


def test_a_run_that_is_stuck_by_its_draws_is_shown_so() -> None:
    overrides = {**FLAT, "stuck_probability": 1.0, "queue_seconds": constant(0)}
    with Bench(overrides=overrides) as bench:
        bench.started()
        assert bench.done("GET", "/runs")["runs"][0]["stuck"] is True


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_what_has_finished_cannot_be_stuck(state: str) -> None:
    with Bench() as bench:
        run_id = brought_to(bench, state)
        assert bench.refused("POST", f"/runs/{run_id}/stick") == (
            409,
            "impossible",
            f"{run_id} is {state}, which ended it: only a run that goes on can be stuck",
        )


@pytest.mark.parametrize("action", ["move", "stick"])
def test_an_unknown_run_is_said_to_be_unknown(action: str) -> None:
    with Bench() as bench:
        body = {"state": "completed"} if action == "move" else None
        assert bench.refused("POST", f"/runs/run_none/{action}", body) == (
            404,
            "not_found",
            "there is no run 'run_none': GET /_relaysim/runs lists those that there are",
        )
