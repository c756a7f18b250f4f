"""Goal: what a bot keeps from one step to the next, in the wrong place, too long or too short, is noticed by what it does.

Method: pairs of bots of `between_steps` that differ in a line or two, in the same worlds: the fine one is judged safe, its
twin is not, and by the invariant that is about what customers notice of it.
"""

from __future__ import annotations

import pytest
from judged_bots import Judge

pytestmark = pytest.mark.usefixtures("one_session")

_LONG = "workload.messages=[" + ",".join(f"{{conversation=1,at_seconds={at}}}" for at in (0.0, 40.0, 80.0)) + "]"
_MANY = (
    "workload.messages=["
    + ",".join(f"{{conversation={each},at_seconds={each * 0.4 + at}}}" for each in range(1, 9) for at in (0.0, 60.0))
    + "]"
)

PAIRS = [
    ("customer_in_a_variable", "customer_in_an_attribute", "T1", ()),
    ("emptying_what_it_read", "emptying_all", "T1", ()),
    ("by_the_second", "by_the_minute", "S14", ()),
    ("keeping_its_thread", "forgetting_its_thread", "S13", (_LONG,)),
    (
        "keeping_answers",
        "keeping_answers_for_all",
        "T1",
        ("workload.conversations=8", "workload.repeats_probability=0", _MANY),
    ),
    ("one_after_the_other", "all_at_once", "S15", ()),
]


@pytest.mark.parametrize(("fine", "bad", "broken", "sets"), PAIRS, ids=[pair[1] for pair in PAIRS])
def test_only_one_of_two_that_hardly_differ_is_accepted(
    judge: Judge, fine: str, bad: str, broken: str, sets: tuple[str, ...]
) -> None:
    judge(f"between_steps:{fine}", worlds=5, sets=sets).assert_safe()
    judge(f"between_steps:{bad}", worlds=5, sets=sets).assert_breaks(broken)


def test_a_key_that_holds_the_time_changes_in_some_worlds_while_a_customer_writes(judge: Judge) -> None:
    judge("between_steps:one_lock", worlds=12).assert_safe()
    judge("between_steps:one_lock_for_ten_seconds", worlds=12).assert_breaks("T1")
