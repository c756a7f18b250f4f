"""The control API's faults: added, replaced and taken away while the world runs."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from control_bench import Bench

from relaysim.sim.doors.faults import ApiFault

NO_THREAD = "/threads/thread_none"


def answer(bench: Bench) -> int:
    """The status of a request that fails with 404 where no fault hits it."""
    return bench.api("GET", NO_THREAD).status_code


def fired(bench: Bench) -> list[int]:
    """Per fault, how often."""
    return [entry["fired"] for entry in bench.done("GET", "/faults")["faults"]]


def test_an_added_fault_hits_and_is_counted() -> None:
    with Bench() as bench:
        response = bench.control("POST", "/faults", {"kind": "status", "status": 503, "route": "threads.*"})
        assert response.status_code == 201
        assert response.json() == {
            "index": 0,
            "fired": 0,
            "fault": {"kind": "status", "status": 503, "route": "threads.*"},
        }
        assert [answer(bench), bench.api("GET", "/assistants").status_code, answer(bench)] == [503, 200, 503]
        assert fired(bench) == [2]


def test_nth_counts_from_the_moment_a_fault_is_added_and_the_others_go_on_counting() -> None:
    with Bench(faults=[{"kind": "status", "status": 500, "nth": [4]}]) as bench:
        assert [answer(bench), answer(bench)] == [404, 404]
        assert bench.done("POST", "/faults", {"kind": "status", "status": 503, "nth": [3]})["index"] == 1
        assert [answer(bench) for _ in range(4)] == [404, 500, 503, 404]
        assert fired(bench) == [1, 1]


def test_taking_one_away_leaves_the_others_their_counts() -> None:
    faults = [
        {"kind": "status", "status": 500, "nth": [1]},
        {"kind": "status", "status": 502, "nth": [9]},
        {"kind": "status", "status": 503, "nth": [2, 4]},
    ]
    with Bench(faults=faults) as bench:
        assert [answer(bench), answer(bench)] == [500, 503]
        remaining = bench.done("DELETE", "/faults/1")["faults"]
        assert [(entry["index"], entry["fired"], entry["fault"]["status"]) for entry in remaining] == [
            (0, 1, 500),
            (1, 1, 503),
        ]
        assert [answer(bench), answer(bench)] == [404, 503]
        assert fired(bench) == [1, 2]


def test_the_count_over_all_plans_is_that_of_the_hits() -> None:
    with Bench(faults=[{"kind": "status", "status": 500}]) as bench:
        answer(bench)
        bench.done("POST", "/faults", {"kind": "status", "status": 503})
        answer(bench)
        bench.done("DELETE", "/faults/0")
        answer(bench)
        bench.done("PUT", "/faults", {"faults": [{"kind": "status", "status": 429}]})
        answer(bench)
        assert bench.server.faults_fired == 4


def test_all_are_replaced_and_all_are_taken_away() -> None:
    with Bench(faults=[{"kind": "status", "status": 500}]) as bench:
        answer(bench)
        put = bench.done("PUT", "/faults", {"faults": [{"kind": "status", "status": 502, "nth": [1]}]})
        assert [(entry["index"], entry["fired"]) for entry in put["faults"]] == [(0, 0)]
        assert [answer(bench), answer(bench)] == [502, 404]
        assert bench.done("DELETE", "/faults") == {"faults": []}
        assert bench.done("PUT", "/faults", {"faults": []}) == {"faults": []}


def test_a_window_counts_from_the_beginning_or_from_now() -> None:
    with Bench() as bench:
        bench.advance(100)
        bench.done("POST", "/faults", {"kind": "status", "status": 500, "window_seconds": [0, 110]})
        added = bench.done("POST", "/faults", {"kind": "status", "status": 503, "window_from_now_seconds": [5, 20]})
        assert added["fault"]["window_seconds"] == [105.0, 120.0]
        seen = {}
        for _ in range(5):
            now = bench.advance(5)
            seen[now] = answer(bench)
    assert seen == {105.0: 500, 110.0: 503, 115.0: 503, 120.0: 404, 125.0: 404}


def test_replacing_knows_windows_from_now_too() -> None:
    with Bench() as bench:
        bench.advance(7)
        put = bench.done("PUT", "/faults", {"faults": [{"kind": "reset", "window_from_now_seconds": [0, 1]}]})
        assert put["faults"][0]["fault"] == {"kind": "reset", "window_seconds": [7.0, 8.0]}


OF_KIND: dict[str, dict[str, Any]] = {
    "status": {"status": 429, "retry_after_seconds": 3, "headers": {"x-one": "1"}, "processed": True},
    "slow_body": {"seconds": 4.0},
}


@pytest.mark.parametrize("kind", get_args(ApiFault.model_fields["kind"].annotation))
def test_a_fault_can_be_given_as_it_is_shown(kind: str) -> None:
    fault = {"kind": kind, "route": "runs.*", "probability": 0.5, "window_seconds": [1.0, 2.0], "nth": [1, 2]}
    with Bench() as bench:
        shown = bench.done("POST", "/faults", {**fault, **OF_KIND.get(kind, {})})["fault"]
        assert shown == {**fault, **OF_KIND.get(kind, {})}
        assert bench.done("PUT", "/faults", {"faults": [shown]})["faults"][0]["fault"] == shown


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"kind": "statu"}, "kind: must be connect_error or "),
        ({"kind": "status"}, "kind 'status' needs `status`"),
        ({"kind": "reset", "status": 500}, "`status` belongs to kind 'status' only, not to 'reset': leave it out"),
        (
            {"kind": "reset", "route": "thread.*"},
            "route: 'thread.*' matches no operation; did you mean `threads.update",
        ),
        ({"kind": "reset", "window_seconds": [2, 1]}, "window_seconds: the window must begin at 0 or later and end"),
        ({"kind": "reset", "window_from_now_seconds": [-1, 1]}, "`window_from_now_seconds` must begin at 0 or later"),
        (
            {"kind": "reset", "window_from_now_seconds": [0, 1], "window_seconds": [0, 1]},
            "give `window_seconds` or `window_from_now_seconds`, not both",
        ),
        (
            {"kind": "reset", "window_from_now": [0, 1]},
            "unknown field; did you mean `window_from_now_seconds` or `window_seconds`?",
        ),
    ],
)
def test_a_bad_fault_is_explained_and_changes_nothing(fault: dict[str, Any], said: str) -> None:
    with Bench(faults=[{"kind": "status", "status": 500}]) as bench:
        for method, body in (("POST", fault), ("PUT", {"faults": [{"kind": "reset"}, fault]})):
            status, code, message = bench.refused(method, "/faults", body)
            assert (status, code) == (422, "invalid")
            assert said in message
        assert answer(bench) == 500
        assert fired(bench) == [1]


@pytest.mark.parametrize(("index", "said"), [(0, "there are no faults"), (-1, "there are no faults")])
def test_what_is_not_there_cannot_be_taken_away(index: int, said: str) -> None:
    with Bench() as bench:
        assert bench.refused("DELETE", f"/faults/{index}") == (
            404,
            "not_found",
            f"there is no fault {index}: {said}; GET /_relaysim/faults lists them",
        )
