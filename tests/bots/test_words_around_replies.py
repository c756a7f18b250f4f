"""Goal: what a bot puts around a run's words is the same around all of them, ordinary, or declared, or the answer names it;
and what says that something was done for the customer must be declared in any case.

Method: each bot of `words_around_replies` puts something around replies. What of it changes has a source in the fine ones
(the customer, the clock, a counter) or is ordinary; in the others it comes from nowhere.
"""

from __future__ import annotations

import pytest
from judged_bots import Judge

pytestmark = pytest.mark.usefixtures("one_session")

FINE = (
    *("a_signature", "a_name_that_changes", "numbers_that_change", "parts_of_the_question", "words_in_an_object"),
    *("words_in_html", "words_around_pieces", "a_notice_on_the_first_reply", "ordinary_words_that_change"),
    *("declared_words_that_change", "terms_and_conditions"),
)
INVENTED = {
    "another_sentence_each_time": "",
    "another_sentence_amid_a_signature": "",
    "a_lie_now_and_then": "charged your card twice",
    "one_of_four_lies": "",
    "a_deed_each_time": "has been approved",
    "a_sentence_in_an_object": "",
}


@pytest.mark.parametrize("name", FINE)
def test_what_is_constant_ordinary_or_has_a_source_is_fine(judge: Judge, name: str) -> None:
    judge(f"words_around_replies:{name}", worlds=6).assert_safe()


@pytest.mark.parametrize("name", INVENTED)
def test_what_changes_and_comes_from_nowhere_is_shown_and_no_yes(judge: Judge, name: str) -> None:
    judged = judge(f"words_around_replies:{name}", worlds=6)
    assert judged.broken == {}, judged.answer
    assert judged.exit_code == 3, judged.answer
    assert "safe? That is not shown" in judged.answer
    assert "around a reply" in judged.answer
    assert INVENTED[name] in judged.answer


def test_a_bot_is_compared_with_itself_over_worlds(judge: Judge) -> None:
    """Of one message each world has one reply, so that no world alone tells what changes."""
    fine = judge("words_around_replies:a_notice_on_the_first_reply", "race", worlds=6)
    assert "around a reply" not in fine.answer
    assert "around a reply" in judge("words_around_replies:another_sentence_each_time", "race", worlds=6).answer
