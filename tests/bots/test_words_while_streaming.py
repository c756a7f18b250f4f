"""Goal: a bot that sends what a run writes while it is still writing is judged by the same measure as one that waits.

Method: each bot of `words_while_streaming` does one thing with the pieces; the fine ones are judged safe, the others not,
and by the invariant that is about what they do.
"""

from __future__ import annotations

import pytest
from judged_bots import Judge

pytestmark = pytest.mark.usefixtures("one_session")

FINE = ("six_words_at_a_time", "in_two_halves")
BAD = {
    "without_the_rest": "S15",
    "to_another_customer": "T5",
    "the_whole_once_more": "T2",
    "words_of_its_own_amid": "T1",
    "without_every_third": "S15",
    "an_apology_at_the_end": "T4",
}


@pytest.mark.parametrize("name", FINE)
def test_pieces_may_be_sent_before_the_run_has_ended(judge: Judge, name: str) -> None:
    judge(f"words_while_streaming:{name}", lane="sdk").assert_safe()


@pytest.mark.parametrize("name", BAD)
def test_other_pieces_are_not_the_runs(judge: Judge, name: str) -> None:
    judge(f"words_while_streaming:{name}", lane="sdk").assert_breaks(BAD[name])
