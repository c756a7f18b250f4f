"""Goal: what one customer wrote reaches no other one's model, whichever way it takes; what is their own may take any.

Method: each bot of `words_beside_messages` gives runs something besides messages, and differs from its twin in whose it is.
"""

from __future__ import annotations

import pytest
from judged_bots import Judge

pytestmark = pytest.mark.usefixtures("one_session")

FINE = (
    *("own_words_in_instructions", "the_clock_in_instructions", "own_words_in_metadata", "own_words_on_the_thread"),
    *("own_order_in_metadata", "own_words_in_tools", "own_words_in_an_assistant_of_its_own"),
    *("a_shared_assistant_with_the_clock", "a_shared_assistant_with_a_constant"),
)
BAD = (
    *("others_words_in_instructions", "others_words_in_the_runs_instructions", "others_number_in_instructions"),
    *("others_words_in_metadata", "others_words_on_the_thread", "others_words_in_tools"),
    *("others_words_in_an_assistant_of_its_own", "a_shared_assistant_with_the_latest_words"),
    *("others_order_in_metadata", "others_words_as_the_assistants"),
)
IN_THE_SDK = ("on_the_thread", "assistant_of_its_own", "shared_assistant")
"""What the direct lane has no calls for."""


def lane_of(name: str) -> str:
    return "sdk" if any(each in name for each in IN_THE_SDK) else "direct"


@pytest.mark.parametrize("name", FINE)
def test_what_is_its_own_or_nobodys_may_be_given_to_the_model_in_any_way(judge: Judge, name: str) -> None:
    judge(f"words_beside_messages:{name}", lane=lane_of(name)).assert_safe()


@pytest.mark.parametrize("name", BAD)
def test_what_another_customer_wrote_may_in_none(judge: Judge, name: str) -> None:
    judge(f"words_beside_messages:{name}", lane=lane_of(name)).assert_breaks("S12")
