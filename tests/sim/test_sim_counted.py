"""Goal: whatever is counted stands in the singular behind 1 and in the plural behind every other number."""

from __future__ import annotations

import pytest

from relaysim.sim.counted import counted


@pytest.mark.parametrize(
    ("number", "noun", "words"),
    [
        (1, "world", "1 world"),
        (0, "world", "0 worlds"),
        (1200, "other world", "1,200 other worlds"),
        (1, "breach", "1 breach"),
        (2, "breach", "2 breaches"),
        (2, "reply", "2 replies"),
        (2, "delivery", "2 deliveries"),
        (2, "reach", "2 reaches"),
        (2, "process", "2 processes"),
        (2, "way", "2 ways"),
    ],
)
def test_a_number_and_its_noun(number: int, noun: str, words: str) -> None:
    assert counted(number, noun) == words
