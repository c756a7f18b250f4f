"""Goal: what a customer reads is what their run wrote, in whatever form; an apology is one, and a notice is neither.

Method: each bot of `words_of_runs` does one thing to what is sent; the fine ones are judged safe, the others not, and by the
invariant that is about what they do.
"""

from __future__ import annotations

import pytest
from judged_bots import Judge

pytestmark = pytest.mark.usefixtures("one_session")

FINE = (
    *(
        "as_it_is",
        "with_a_greeting",
        "as_markdown",
        "as_html",
        "wrapped",
        "in_pieces",
        "cut_amid_words",
        "as_long_as_whatsapp_allows",
    ),
    *("with_a_notice", "with_a_sorry_notice"),
    *("with_the_customers_own_number", "with_the_customers_own_order", "with_the_customers_own_question"),
    "with_a_ticket_number",
)
BAD = {
    "another_conversations_reply": "T5",
    "with_a_neighbours_reply": "S12",
    "the_customers_last_words": "S15",
    "a_notice_to_another_customer": "S12",
    "the_first_runs_reply": "T2",
    "apologising_after_the_answer": "T4",
    "twice": "T2",
    "wrapped_in_error_text": "S15",
    "with_a_short_traceback": "S15",
    "wrapped_in_much_text": "S15",
    "only_the_beginning": "S15",
    "pieces_in_reverse": "S15",
    "pieces_at_once": "S15",
    "losing_a_letter_at_each_cut": "S15",
    "in_one_text_twice": "S15",
    "without_numbers": "S15",
    "all_replies_so_far": "T2",
    "its_own_invention": "T1",
    "with_the_callers_number_before": "S12",
    "with_anothers_order": "S12",
    "with_anothers_question": "S12",
    "with_the_thread": "S15",
    "with_a_threads_token": "S15",
    "with_the_key_of_the_api": "S15",
    "with_what_the_api_said": "S15",
    "in_reverse_letters": "S15",
}


@pytest.mark.parametrize("name", FINE)
def test_the_form_is_the_bots_own_affair(judge: Judge, name: str) -> None:
    judge(f"words_of_runs:{name}").assert_safe()


@pytest.mark.parametrize("name", BAD)
def test_other_words_are_not_the_runs(judge: Judge, name: str) -> None:
    judge(f"words_of_runs:{name}", worlds=2).assert_breaks(BAD[name])
