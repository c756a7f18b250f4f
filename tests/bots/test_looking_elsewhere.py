"""Goal: a task that a handling leaves behind reads its own conversation's messages, as the handling itself does.

Method: each bot of `looking_elsewhere` looks at threads of all conversations after its messages were handled. A sweep for
forgotten messages, one per process, and a look at runs are fine; a task of each message that reads all threads is not.
"""

from __future__ import annotations

import pytest
from judged_bots import Judge

pytestmark = pytest.mark.usefixtures("one_session")


@pytest.mark.parametrize("name", ["one_sweep_for_forgotten_messages", "looking_for_runs_that_hang"])
def test_a_sweep_and_a_look_at_runs_are_fine(judge: Judge, name: str) -> None:
    judge(f"looking_elsewhere:{name}").assert_safe()


def test_reading_others_messages_after_each_of_ones_own_is_not(judge: Judge) -> None:
    judged = judge("looking_elsewhere:looking_for_similar_questions")
    judged.assert_breaks("S12")
    assert "in a task left by the handling of" in judged.answer
