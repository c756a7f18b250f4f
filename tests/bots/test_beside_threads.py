"""Goal: a bot that uses tools, voice and a chat summary beside its thread is judged for its races, and for nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import pytest
from judged_bots import Judge

from relaysim.scenarios.load import load
from relaysim.sim.world import run_world

pytestmark = pytest.mark.usefixtures("one_session")

LANES: Final[tuple[Literal["direct", "sdk"], ...]] = ("direct", "sdk")
HERE: Final = Path(__file__).parent
SCENARIO = "tools_rapid.toml"


def test_the_hurried_bot_loses_messages_to_its_own_race(judge: Judge) -> None:
    judged = judge("beside_threads:hurried", SCENARIO, worlds=8)
    judged.assert_breaks("T1")
    assert "obstacles" not in judged.results["scenarios"][0]
    assert judged.count("met_active_run") > 0


@pytest.mark.parametrize("lane", LANES)
def test_the_mended_bot_is_safe(judge: Judge, lane: str) -> None:
    judged = judge("beside_threads:locked", SCENARIO, worlds=8, lane=lane)
    judged.assert_safe()
    assert (judged.count("messages"), judged.count("runs")) == (32, 32)


def test_both_lanes_leave_the_same_trace() -> None:
    scenario = load(str(HERE / SCENARIO), (), "beside_threads:hurried")
    settings, root_seed = scenario.world_settings(), scenario.root_seed
    for seed in range(3):
        one, other = (run_world(settings, root_seed=root_seed, seed=seed, lane=lane) for lane in LANES)
        assert one.fingerprint == other.fingerprint


@pytest.mark.parametrize("maker", ["with_its_own_client", "at_azure"])
def test_a_client_of_its_own_meets_the_same_endpoints(judge: Judge, maker: str) -> None:
    judge(f"beside_threads:{maker}", SCENARIO, worlds=7).assert_safe()


@pytest.mark.parametrize("lane", LANES)
def test_a_call_that_is_not_simulated_is_named_and_not_held_against_it(judge: Judge, lane: str) -> None:
    judged = judge("beside_threads:painting", SCENARIO, worlds=3, lane=lane)
    assert judged.exit_code == 3
    assert judged.broken == {}
    assert "First, in tools_rapid: the relay called POST /v1/images/generations (beside_threads.py:" in judged.answer
    assert "in 3 of 3 worlds" in judged.answer


def test_answers_by_chat_completions_are_neither_for_it_nor_against_it(judge: Judge) -> None:
    judged = judge("beside_threads:chatting", SCENARIO, worlds=3)
    assert judged.exit_code == 3
    assert judged.broken == {}
    assert "the relay sent customers what chat completions had written in 3 of 3 worlds" in judged.answer
