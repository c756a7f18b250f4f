"""Goal: what a customer writes must reach their own thread, once, whole and in their order; its form is the bot's affair.

Method: each bot of `words_of_customers` does one thing to what is passed on; the fine ones are judged safe, the others not,
and by the invariant that is about what they do.
"""

from __future__ import annotations

import pytest
from judged_bots import Judge

pytestmark = pytest.mark.usefixtures("one_session")

FINE = (
    *("as_it_is", "prefixed", "as_json", "as_markdown", "as_html", "quoted_lines", "wrapped", "on_one_line"),
    *("batch_joined", "batch_as_json", "with_instructions_beside", "with_what_was_said_before"),
    *("composed_and_stripped", "with_its_first_words_as_title"),
    *("on_a_thread_of_its_own", "on_a_new_thread_with_the_history"),
)
BAD = {
    "into_another_thread": "S12",
    "joined_with_others_texts": "S12",
    "one_thread_for_all": "S12",
    "reading_another_thread": "S12",
    "twice": "S13",
    "only_a_marker": "S13",
    "a_summary": "S13",
    "cut_off": "S13",
    "in_capitals": "S13",
    "in_small_letters": "S13",
    "without_accents": "S13",
    "without_signs": "S13",
    "lines_run_together": "S13",
    "twice_in_one_text": "S13",
    "last_of_the_batch": "T1",
    "batch_reversed": "S14",
    "batch_joined_reversed": "S14",
    "newest_webhook_first": "S14",
}


@pytest.mark.parametrize("name", FINE)
def test_the_form_is_the_bots_own_affair(judge: Judge, name: str) -> None:
    judge(f"words_of_customers:{name}").assert_safe()


@pytest.mark.parametrize("name", BAD)
def test_the_words_their_place_and_their_order_are_not(judge: Judge, name: str) -> None:
    judge(f"words_of_customers:{name}").assert_breaks(BAD[name])


def test_a_text_that_a_customer_repeats_is_a_message_of_its_own(judge: Judge) -> None:
    """One message in ten says the same as the one before; its twin, which knows redeliveries by their ids, is `as_it_is`."""
    judge("words_of_customers:ignoring_what_was_said", worlds=6).assert_breaks("T1")
    judge("words_of_customers:as_it_is", worlds=6).assert_safe()
    never = ("workload.repeats_probability=0",)
    judge("words_of_customers:ignoring_what_was_said", worlds=6, sets=never).assert_safe()
