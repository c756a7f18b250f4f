"""Goal: what was said in a conversation stays known to it, and nothing is put there that nobody said.

Method: each bot of `words_remembered` lets runs read something else; the fine ones are judged safe, the others not.
"""

from __future__ import annotations

import pytest
from judged_bots import Judge

pytestmark = pytest.mark.usefixtures("one_session")

FINE = (
    *("as_it_is", "moving_with_all", "moving_with_a_greeting", "moving_with_all_in_one_text", "telling_what_was_said"),
    *("reading_the_newest_ten", "forgetful_as_promised", "noting_what_it_said", "taking_back_a_draft"),
    "beginning_with_an_example",
)
BAD = {
    "deleting_the_messages": "S13",
    "deleting_the_replies": "S13",
    "deleting_the_threads": "S13",
    "reading_another_question": "T1",
    "reading_the_newest_one": "S13",
    "moving_with_nothing": "S13",
    "moving_with_the_questions": "S13",
    "moving_in_reverse": "S13",
    "inventing_what_it_said": "S15",
}


@pytest.mark.parametrize("name", FINE)
def test_where_and_how_a_run_reads_it_is_the_bots_own_affair(judge: Judge, name: str) -> None:
    judge(f"words_remembered:{name}", "three_questions.toml", worlds=1, lane="sdk").assert_safe()


@pytest.mark.parametrize("name", BAD)
def test_that_a_run_reads_it_is_not(judge: Judge, name: str) -> None:
    judge(f"words_remembered:{name}", "three_questions.toml", worlds=1, lane="sdk").assert_breaks(BAD[name])


def test_what_the_assistant_says_first_is_the_same_everywhere_or_shown(judge: Judge) -> None:
    judged = judge("words_remembered:beginning_with_an_invention", "three_questions.toml", worlds=1, lane="sdk")
    assert (judged.exit_code, judged.broken) == (3, {}), judged.answer
    assert "in the assistant's name at the beginning of which nobody else is the source" in judged.answer
    assert "The lion escaped last night." in judged.answer


def test_who_leaves_a_busy_thread_takes_along_what_stands_there(judge: Judge) -> None:
    left = judge("words_remembered:leaving_a_stuck_run", "stuck_run", worlds=1, lane="sdk")
    assert (left.exit_code, "S13" in left.broken) == (1, True), left.answer
    moved = judge("words_remembered:moving_from_a_stuck_run", "stuck_run", worlds=1, lane="sdk")
    assert (moved.exit_code, moved.broken) == (0, {}), moved.answer


def test_who_takes_a_new_thread_at_a_refusal_takes_along_what_waits_in_the_busy_one(judge: Judge) -> None:
    """The second message comes while the first one's run goes on."""
    sets = ("workload.conversations=1", "workload.messages=[{at_seconds=0},{at_seconds=3},{at_seconds=100}]")
    judge("words_remembered:restless", "three_questions.toml", worlds=1, lane="sdk", sets=sets).assert_breaks("S13")
    judge("words_remembered:patient", "three_questions.toml", worlds=1, lane="sdk", sets=sets).assert_safe()
