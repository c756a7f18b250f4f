"""Goal: what a relay writes by itself must be little, in its place, and no program's error; its author vouches for the rest.

Method: each bot of `own_texts` does one thing beside the run's answer. The fine ones are judged safe, the bad ones not, and
by the claim or invariant that is about what they do; what only the author can know is shown, and called neither.
"""

from __future__ import annotations

import pytest
from judged_bots import Judge

pytestmark = pytest.mark.usefixtures("one_session")

FINE = (
    *("a_greeting_and_a_moment", "in_portuguese", "five_notices", "asking_at_once", "a_declared_text"),
    *("a_declared_end", "an_ordinary_apology", "a_refusal_in_ordinary_words", "quoting_the_customer"),
)
BAD = {
    "sixty_notices": "few-notices",
    "sixty_declared_notices": "few-notices",
    "nagging_each_hour": "few-notices",
    "a_raw_error": "S15",
    "a_failed_connection": "S15",
    "an_error_of_redis": "S15",
    "an_error_in_an_apology": "S15",
    "an_error_as_json": "S15",
    "an_error_after_the_answer": "S15",
    "a_refusal_in_the_apis_words": "S15",
    "an_empty_value": "S15",
    "with_an_unfilled_template_around": "S15",
    "with_an_empty_value_around": "S15",
    "with_an_empty_value_amid_a_sentence": "S15",
    "with_no_number_amid_a_sentence": "S15",
    "with_an_empty_place_amid_a_sentence": "S15",
    "in_an_object": "S15",
    "a_scrambled_answer": "S15",
    "a_scrambled_answer_after_the_answer": "S15",
}
UNKNOWN = {
    "a_cancelled_order": "'Your order has been cancelled.'",
    "a_refund_behind_a_greeting": "'Hello! Your refund of 50 EUR was approved by our team.'",
    "text_only": "'Sorry, I can read text only, please do not send voice messages.'",
    "a_declared_text_and_more": "'One moment please. Your order has been cancelled.'",
}


@pytest.mark.parametrize("name", FINE)
def test_a_few_ordinary_or_declared_texts_are_the_bots_own_affair(judge: Judge, name: str) -> None:
    judged = judge(f"own_texts:{name}", worlds=1)
    assert judged.broken == {}, judged.answer
    assert judged.is_safe, judged.answer
    assert judged.count("notices") > 0
    assert judged.count("undeclared_texts") == 0
    assert judged.exit_code == 0


@pytest.mark.parametrize("name", ["with_ordinary_words_around", "with_a_declared_value_around"])
def test_ordinary_or_declared_words_around_a_reply_are_fine(judge: Judge, name: str) -> None:
    judged = judge(f"own_texts:{name}", worlds=1)
    assert judged.is_safe, judged.answer
    assert judged.count("notices") == 0


@pytest.mark.parametrize("name", BAD)
def test_many_notices_late_ones_and_errors_are_not(judge: Judge, name: str) -> None:
    judged = judge(f"own_texts:{name}", worlds=1)
    assert not judged.is_safe
    assert judged.exit_code == 1
    refuted = {claim["id"] for entry in judged.results["scenarios"] for claim in entry["claims"] if claim["examples"]}
    assert BAD[name] in {*judged.broken, *refuted}, judged.answer
    if name.startswith("a_scrambled"):
        assert judged.count("generic_failure") == 0, "an answer is no apology"


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_only_the_author_can_know_is_shown_and_no_yes(judge: Judge, name: str) -> None:
    judged = judge(f"own_texts:{name}", worlds=1)
    assert judged.exit_code == 3
    assert "safe? That is not shown" in judged.answer
    assert UNKNOWN[name] in judged.answer
    assert "Declare what is right there: as one of the `notices` in the relay's `promises`" in judged.answer


def test_a_scenario_allows_more_notices(judge: Judge) -> None:
    judged = judge("own_texts:sixty_notices", worlds=1, sets=("limits.notices_per_message=60",))
    assert judged.is_safe


def test_a_scenario_declares_a_text_in_the_relays_place(judge: Judge) -> None:
    declared = 'relay.notices=["Your order has been cancelled."]'
    assert judge("own_texts:a_cancelled_order", worlds=1, sets=(declared,)).is_safe
