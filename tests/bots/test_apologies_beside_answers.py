"""An apology beside an answer is wrong in either order; a notice that something is tried once more is none."""

from __future__ import annotations

import pytest
from judged_bots import Judge

pytestmark = pytest.mark.usefixtures("one_session")


def test_who_apologises_with_the_answer_in_hand_is_not_safe(judge: Judge) -> None:
    judge("apologies_beside_answers:sorry_before", worlds=6).assert_breaks("T4")


def test_who_says_that_it_tries_again_and_does_breaks_nothing(judge: Judge) -> None:
    """Its words are not declared, and that is all there is to say of them."""
    judged = judge("apologies_beside_answers:tries_again", worlds=6)
    assert judged.broken == {}, judged.answer
    assert "we are trying once more" in judged.answer
