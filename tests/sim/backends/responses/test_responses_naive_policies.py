"""Goal: the naive policies on Responses wait as they say, in both lanes alike, and each has the fault that its module names.

Method: worlds of two messages to one conversation, whose turns all take 5 s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from relaysim.relay import LockWaitSettings
from relaysim.sim.backends.profile import load_profile
from relaysim.sim.backends.responses.profile import ResponsesProfile
from relaysim.sim.world import Result, WorldSettings, run_world

pytestmark = pytest.mark.usefixtures("one_session")


def run(
    policy: str,
    *at_seconds: float,
    lane: str = "direct",
    turn_seconds: float = 5.0,
    seed: int = 0,
    faults: Sequence[Mapping[str, Any]] = (),
    **settings: Any,
) -> Result:
    numbers = {"run_seconds": {"kind": "constant", "value": turn_seconds}, "webhook_seconds": _constant(0.1)}
    world = WorldSettings.model_validate(
        {
            "api": "responses",
            "profile": load_profile("claimed", numbers, ResponsesProfile),
            "relay": {"factory": f"relaysim.relay:{policy}", "settings": settings},
            "workload": {"messages": [{"at_seconds": at} for at in at_seconds]},
            "faults": faults,
        }
    )
    return run_world(world, root_seed=5, seed=seed, lane=lane, keep_trace=True)  # type: ignore[arg-type]


def _constant(seconds: float) -> dict[str, Any]:
    return {"kind": "constant", "value": seconds}


@pytest.mark.parametrize("policy", ["retry_on_lock", "quiet_window", "chained"])
def test_both_lanes_leave_the_same_trace(policy: str) -> None:
    for seed in range(3):
        sdk, direct = (run(policy, 0.0, 1.0, 20.0, lane=lane, seed=seed) for lane in ("sdk", "direct"))
        assert sdk.records == direct.records
        assert sdk.fingerprint == direct.fingerprint


@pytest.mark.parametrize(("waits", "waited"), [((1, 2, 4), 7.0), ((2, 4, 8), 6.0)])
def test_the_lock_is_waited_for(waits: tuple[float, ...], waited: float) -> None:
    observation = run("retry_on_lock", 0.0, 1.0, waits=waits).observation
    assert (observation["counts"]["met_active_run"], observation["counts"]["answered"]) == (1, 2)
    assert observation["series"]["wait_seconds"] == [pytest.approx(waited, abs=2.0)]


def test_a_turn_that_outlasts_every_wait_costs_the_message() -> None:
    counts = run("retry_on_lock", 0.0, 1.0, turn_seconds=30.0).observation["counts"]
    assert (counts["not_recovered"], counts["lost"], counts["friendly_failure"]) == (1, 1, 1)


def test_a_quiet_window_answers_both_in_one_turn() -> None:
    counts = run("quiet_window", 0.0, 1.0).observation["counts"]
    assert (counts["runs"], counts["met_active_run"], counts["failed"]) == (1, 0, 0)


def test_chains_meet_no_lock_and_turns_at_once_fork() -> None:
    result = run("chained", 0.0, 1.0)
    counts = result.observation["counts"]
    assert (counts["runs"], counts["met_active_run"]) == (2, 0)


@pytest.mark.parametrize("storage", ["conversation", "chain", "client"])
@pytest.mark.parametrize("stream", [False, True])
def test_wherever_words_are_kept_both_lanes_agree_and_turns_apart_forget_nothing(storage: str, stream: bool) -> None:
    sdk, direct = (
        run("retry_on_lock", 0.0, 30.0, 60.0, lane=lane, storage=storage, stream=stream) for lane in ("sdk", "direct")
    )
    assert sdk.records == direct.records
    counts = direct.observation["counts"]
    assert (counts["answered"], counts["breach_S13"], counts["met_active_run"]) == (3, 0, 0)


@pytest.mark.parametrize(("storage", "met", "forgot"), [("conversation", 1, 0), ("chain", 0, 3), ("client", 0, 1)])
def test_of_two_turns_at_once_a_chain_forgets_one_for_good_and_the_client_only_then(
    storage: str, met: int, forgot: int
) -> None:
    counts = run("retry_on_lock", 0.0, 1.0, 30.0, 60.0, storage=storage).observation["counts"]
    assert (counts["answered"], counts["met_active_run"], counts["breach_S13"]) == (4, met, forgot)


@pytest.mark.parametrize("policy", ["retry_on_lock", "quiet_window", "chained"])
def test_a_stream_that_breaks_off_ends_in_the_generic_apology(policy: str) -> None:
    fault = {"kind": "reset", "route": "responses.create", "after_events": 5}
    counts = run(policy, 0.0, stream=True, faults=[fault]).observation["counts"]
    assert (counts["generic_failure"], counts["runs"]) == (1, 1)


def test_waits_given_by_themselves_are_as_many_retries() -> None:
    assert LockWaitSettings(waits=[1, 1, 1, 1, 1]).attempts == 6
    assert LockWaitSettings(waits=[]).attempts == 1
    assert LockWaitSettings().planned_waits == (1.0, 2.0, 4.0)
    printed = LockWaitSettings(attempts=3, first_wait_seconds=2.0, wait_after_last_failure=True)
    assert printed.planned_waits == (2.0, 4.0, 8.0)
    with pytest.raises(ValueError, match="has 2 waits"):
        LockWaitSettings(attempts=5, waits=[1, 2])


def test_a_refusal_stays_whole_under_a_fault_of_streams() -> None:
    fault = {"kind": "reset", "route": "responses.create", "after_events": 5}
    counts = run("retry_on_lock", 0.0, 1.0, stream=True, faults=[fault]).observation["counts"]
    assert (counts["met_active_run"], counts["generic_failure"]) == (1, 2)
