"""Creating a run when the request's fate is unknown, and when the API asks for time: never two runs, never two copies."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from drain_bench import Bench

from relaysim.relay import FRIENDLY_APOLOGY

LANES = pytest.mark.parametrize("lane", ["sdk", "direct"])

PROCESSED: list[dict[str, Any]] = [
    {"kind": "response_lost"},
    {"kind": "reset"},
    {"kind": "truncated"},
    {"kind": "malformed"},
    {"kind": "status", "status": 500, "processed": True},
    {"kind": "status", "status": 503, "processed": True},
    {"kind": "read_timeout"},
]
UNPROCESSED: list[dict[str, Any]] = [
    {"kind": "connect_error"},
    {"kind": "request_lost"},
    {"kind": "status", "status": 500},
    {"kind": "status", "status": 408},
]


def name(fault: dict[str, Any]) -> str:
    return "-".join(str(value) for value in fault.values())


@LANES
@pytest.mark.parametrize("fault", PROCESSED + UNPROCESSED, ids=name)
def test_a_creation_whose_fate_is_unknown_is_looked_up_before_it_is_repeated(fault: dict[str, Any], lane: Any) -> None:
    with Bench(faults=[{**fault, "route": "runs.create", "nth": [1]}], lane=lane) as bench:
        bench.say(0.0, "m1")
        bench.run(60)
        assert bench.texts == ["Answer to: question m1"]
        assert bench.outcomes() == {"m1": "answered"}
        assert len(bench.runs) == 1
        assert [text for role, text in bench.messages() if role == "user"] == ["question m1"]
        operations = [request.operation for request in bench.requests()]
        creations = [index for index, operation in enumerate(operations) if operation == "runs.create"]
        for earlier, later in pairwise(creations):
            assert "runs.list" in operations[earlier:later]
        if fault["kind"] != "read_timeout":  # processed when the client has given up, before or after its next attempt
            assert len(creations) == (1 if fault in PROCESSED else 2)


def test_a_run_that_ended_before_it_was_found_is_used() -> None:
    with Bench(
        faults=[{"kind": "response_lost", "route": "runs.create", "nth": [1]}],
        profile={"run_seconds": {"kind": "constant", "value": 1.0}},
    ) as bench:
        bench.say(0.0, "m1")
        bench.run(40)
        assert len(bench.runs) == 1
        assert bench.texts == ["Answer to: question m1"]
        assert bench.metric("relay_runs_adopted_total") == 1


def test_a_creation_that_is_processed_late_meets_the_repeated_one() -> None:
    """The server takes its time with the first; whichever comes second is refused, and the run there is adopted."""
    with Bench(faults=[{"kind": "read_timeout", "route": "runs.create", "nth": [1]}], seed=3) as bench:
        bench.say(0.0, "m1")
        bench.run(60)
        assert len(bench.runs) == 1
        assert [text for role, text in bench.messages() if role == "user"] == ["question m1"]
        assert bench.texts == ["Answer to: question m1"]


def test_the_worker_that_takes_over_looks_up_a_creation_that_was_under_way() -> None:
    with Bench(workers=2) as bench:
        bench.say(0.0, "m1")
        bench.when("served", "w1#1", lambda: bench.crash(1))
        bench.run(60)
        assert len(bench.runs) == 1
        assert bench.texts == ["Answer to: question m1"]
        assert next(request.operation for request in bench.requests(worker="w2")) == "runs.list"
        assert bench.sent[0].worker == "w2"


def test_the_worker_that_takes_over_creates_the_run_if_the_request_had_not_left() -> None:
    with Bench(workers=2) as bench:
        bench.say(0.0, "m1")
        bench.when("redis", "intend", lambda: bench.crash(1))
        bench.run(60)
        assert bench.requests(worker="w1") == []
        assert [request.operation for request in bench.requests(worker="w2")][:2] == ["runs.list", "runs.create"]
        assert bench.runs[0]["metadata"]["relay_epoch"] == "2"
        assert bench.texts == ["Answer to: question m1"]


# The API asks for time


@LANES
@pytest.mark.parametrize("seed", range(3))
def test_a_wait_that_the_server_asks_for_is_kept(lane: Any, seed: int) -> None:
    fault = {"kind": "status", "status": 429, "retry_after_seconds": 4, "route": "runs.create", "nth": [1]}
    with Bench(faults=[fault], lane=lane, seed=seed) as bench:
        bench.say(0.0, "m1")
        bench.run(40)
        first, second = bench.requests("runs.create")
        assert second.at - (first.at + 0.2) >= 4.0
        assert second.at - (first.at + 0.2) < 4.5 + 0.01
        # Nothing was done, so nothing is looked up.
        assert bench.requests("runs.list") == []
        assert bench.texts == ["Answer to: question m1"]


def test_a_conflict_of_another_kind_is_repeated_without_a_look() -> None:
    with Bench(faults=[{"kind": "status", "status": 409, "route": "runs.create", "nth": [1]}]) as bench:
        bench.say(0.0, "m1")
        bench.run(40)
        assert len(bench.requests("runs.create")) == 2
        assert bench.texts == ["Answer to: question m1"]


@pytest.mark.parametrize("route", ["runs.retrieve", "messages.list"])
def test_looks_at_the_run_and_its_reply_are_repeated(route: str) -> None:
    with Bench(faults=[{"kind": "status", "status": 502, "html": True, "route": route, "nth": [1, 2, 3]}]) as bench:
        bench.say(0.0, "m1")
        bench.run(60)
        assert bench.texts == ["Answer to: question m1"]
        assert len(bench.runs) == 1


def test_an_api_that_refuses_all_the_time_ends_in_a_friendly_apology_by_the_deadline() -> None:
    with Bench(faults=[{"kind": "status", "status": 429, "route": "*"}]) as bench:
        bench.say(0.0, "m1")
        bench.run(120)
        assert bench.texts == [FRIENDLY_APOLOGY]
        assert bench.sent[0].at == pytest.approx(80.0, abs=0.5)
        assert bench.outcomes() == {"m1": "friendly_apology"}


def test_a_body_that_dribbles_is_given_up_in_time() -> None:
    """Each piece comes before the client's own timeout; the answer as a whole takes a minute."""
    fault = {"kind": "slow_body", "seconds": 60.0, "route": "runs.create", "nth": [1]}
    with Bench(faults=[fault]) as bench:
        bench.say(0.0, "m1")
        bench.run(60)
        assert len(bench.runs) == 1
        assert bench.texts == ["Answer to: question m1"]
        assert bench.sent[0].at < 20.0


def test_failed_requests_are_counted_once_and_conflicts_not_at_all() -> None:
    with Bench(faults=[{"kind": "status", "status": 400, "route": "runs.create", "nth": [2]}]) as bench:
        bench.leave_run(stuck=False)
        bench.say(0.0, "m1")
        bench.run(60)
        assert bench.metric("relay_conflicts_total", cause="foreign") == 1
        assert bench.metric("relay_api_errors_total", operation="runs.create", error="BadRequestError") == 1


def test_one_message_that_the_api_refuses_takes_no_other_with_it() -> None:
    with Bench() as bench:
        bench.say(0.0, "m1")
        bench.say(0.1, "m2", text="long " * 60_000)  # the API takes 256,000 characters
        bench.say(0.2, "m3")
        bench.run(90)
        assert bench.outcomes() == {"m1": "answered", "m2": "generic_apology", "m3": "answered"}
        assert [sent.ids for sent in bench.sent] == [(bench.id_of(each),) for each in ("m1", "m2", "m3")]


def test_a_key_that_is_refused_for_a_while_costs_time_and_no_answer() -> None:
    faults = [{"kind": "status", "status": 401, "window_seconds": [0.0, 20.0]}]
    with Bench(faults=faults) as bench:
        bench.say(0.0, "m1")
        bench.run(90)
        assert bench.outcomes() == {"m1": "answered"}
        assert len(bench.runs) == 1


def test_what_a_failover_took_out_of_the_inbox_is_not_brought_to_the_thread() -> None:
    """No replica had confirmed it, so nobody acknowledged it: it comes again, and would be brought a second time."""
    failover = {"kind": "failover", "at_seconds": 1.3, "seconds": 0.5, "lost_seconds": 0.7}
    with Bench(workers=2, settings={"wait_replicas": 1}, redis_latency=0.1, redis_faults=[failover]) as bench:
        bench.say(0.0, "m1")
        bench.say(0.6, "m2", worker=2)
        bench.at(1.0, bench.crash, 2)
        bench.say_again(20.0, "m2")
        bench.run(60)
        assert [text for role, text in bench.messages() if role == "user"] == ["question m1", "question m2"]
        assert bench.outcomes() == {"m1": "answered", "m2": "answered"}
        assert len(bench.runs) == 2
