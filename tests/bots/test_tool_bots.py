"""Goal: scenario files script replies with tools, so that a bot is judged for how it gives their outputs.

Method: three flaws, each with its mended twin, under the same worlds, in both lanes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import pytest
from judged_bots import Judge

from relaysim.scenarios.load import load
from relaysim.sim.world import run_world

pytestmark = pytest.mark.usefixtures("one_session")

HERE: Final = Path(__file__).parent
LANES: Final[tuple[Literal["direct", "sdk"], ...]] = ("direct", "sdk")


@pytest.mark.parametrize("flawed", ["one_after_another", "each_by_itself"])
def test_outputs_that_are_late_or_incomplete_lose_messages(judge: Judge, flawed: str) -> None:
    judged = judge(f"tool_bots:{flawed}", "tools_five.toml", worlds=7)
    judged.assert_breaks("T1")
    assert judged.count("lost") == judged.count("messages") == 14


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("mended", ["all_at_once", "in_one_request"])
def test_all_outputs_in_time_are_safe(judge: Judge, mended: str, lane: str) -> None:
    judge(f"tool_bots:{mended}", "tools_five.toml", worlds=7, lane=lane).assert_safe()


def test_whoever_waits_for_an_orphaned_run_is_late(judge: Judge) -> None:
    judged = judge("tool_bots:waits_for_the_run", "tools_orphaned.toml", worlds=7)
    assert judged.exit_code == 1
    assert judged.count("late") == 7
    assert not judged.is_safe


def test_another_worker_answers_the_calls_of_an_orphaned_run(judge: Judge) -> None:
    """Its webhooks are repeated, and it keeps them open for long: only that is not shown."""
    judged = judge("tool_bots:takes_over", "tools_orphaned.toml", worlds=7)
    assert judged.broken == {}, judged.answer
    assert judged.results["answer"]["status"] == "not shown"
    assert judged.count("runs") == 7  # the orphaned ones, and no other


def test_both_lanes_leave_the_same_trace() -> None:
    for scenario, factory in (("tools_five", "each_by_itself"), ("tools_orphaned", "takes_over")):
        loaded = load(f"{HERE}/{scenario}.toml", (), f"tool_bots:{factory}")
        settings, root_seed = loaded.world_settings(), loaded.root_seed
        one, other = (run_world(settings, root_seed=root_seed, seed=0, lane=lane) for lane in LANES)
        assert one.fingerprint == other.fingerprint


TWO_MESSAGES = 'replies={kind="script", replies=[{texts=["Part one of the answer", "{input}, and part two"]}]}'
BEFORE_TOOLS = (
    'replies={kind="script", then="loop", replies=[{text="Let me look that up", tool_calls=[{name="f"}]}, '
    '{text="You asked {input}: it is there"}]}'
)


def test_whoever_sends_only_the_newest_message_of_an_answer_leaves_the_rest_out(judge: Judge) -> None:
    judged = judge("tool_bots:newest_message", "tools_five.toml", worlds=7, sets=(TWO_MESSAGES,))
    judged.assert_breaks("S15")
    assert "was sent 1 of the 2 messages in which" in judged.answer
    assert "left out was “Part one of the answer”" in judged.answer


def test_all_messages_of_an_answer_are_safe(judge: Judge) -> None:
    judge("tool_bots:all_messages", "tools_five.toml", worlds=7, sets=(TWO_MESSAGES,)).assert_safe()


@pytest.mark.parametrize("bot", ["all_messages", "newest_message"])
def test_what_is_said_before_tool_calls_may_be_left_out(judge: Judge, bot: str) -> None:
    judge(f"tool_bots:{bot}", "tools_five.toml", worlds=7, sets=(BEFORE_TOOLS,)).assert_safe()
