"""Goal: bots of Node with the packages that teams use, ioredis, BullMQ and `openai`, and the relay of this project, with
uvicorn, redis and `openai`, are the same world twice on the simulator's clock.

Method: one world each, twice; the figures of many are printed by `python -m tests.programs.lockstep`.
"""

from __future__ import annotations

import pytest

from tests.programs import lockstep, node_programs

pytestmark = pytest.mark.soak


@pytest.mark.parametrize("bot", ["express_bot", "bullmq_bot", "relay_program"])
def test_a_seed_is_the_same_world_twice(bot: str) -> None:
    if bot != "relay_program" and not node_programs.REQUIRED and (missing := node_programs.lacking()):
        pytest.skip(missing)
    (first,), (again,) = (lockstep.play(bot, "bursts", 1) for _ in range(2))
    assert first.observation["fingerprint"] == again.observation["fingerprint"]
    assert first.observation == again.observation
    assert first.observation["counts"]["messages"] == 5
    assert first.observation["counts"]["succeeded"] > 0
