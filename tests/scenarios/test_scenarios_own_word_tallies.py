"""Goal: of what a relay says by itself, what is the same in most is a signature, and the rest is told, however added up.

Method: `OwnWords` is given what worlds of one conversation had, as `own_words` of an observation has it.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaysim.scenarios.own_word_tallies import OwnWords, judge_own_words

SIGNED = ("the", "acme", "people", "ever", "yours")
NAMED = ("ana", "acme", "people")
LIE = ("office", "burnt", "down")


def world(*sentences: tuple[str, ...], conversations: int = 1) -> dict[str, Any]:
    """What a world had around its only first reply."""
    words = {word: 1 for each in sentences for word in each}
    told = [
        {"words": list(each), "deed": "deed" in each, "text": " ".join(each), "conversation": "c1"}
        for each in sentences
    ]
    return {"conversations": conversations, "words": words, "sentences": told}


def added(*worlds: dict[str, Any]) -> OwnWords:
    found = OwnWords()
    for seed, each in enumerate(worlds):
        found.add(each, seed, f"print {seed}")
    return found


@pytest.mark.parametrize(
    ("worlds", "told"),
    [
        ([world(SIGNED)], []),
        ([world(SIGNED)] * 4, []),
        ([world(SIGNED)] * 4 + [world()], []),  # one was lost
        ([world(SIGNED)] * 3 + [world()] * 2, ["the acme people ever yours"]),
        ([world(SIGNED)] * 9 + [world(SIGNED, LIE)], ["office burnt down"]),
        ([world(("ana", *SIGNED)), world(("maria", "silva", *SIGNED))], []),  # names may change
        ([world(SIGNED), world(("office", "burnt"))] * 2, ["the acme people ever yours"]),
        ([world(("order", "cancelled")), world()], ["order cancelled"]),
        ([world(LIE), world(conversations=9)], ["office burnt down"]),
        ([world(("refund", "deed"))] * 9, ["refund deed"]),
    ],
)
def test_what_most_first_replies_have_is_a_signature(worlds: list[dict[str, Any]], told: list[str]) -> None:
    assert [each.detail["text"] for each in added(*worlds).inventions] == told


@given(st.lists(st.sampled_from([world(SIGNED), world(SIGNED, LIE), world(NAMED), world()]), max_size=8), st.data())
def test_the_order_of_worlds_and_a_journal_change_nothing(worlds: list[dict[str, Any]], data: st.DataObject) -> None:
    parts = []
    for seed, each in enumerate(worlds):
        part = OwnWords()
        part.add(each, seed, f"print {seed}")
        parts.append(OwnWords.from_plain(json.loads(json.dumps(part.to_plain()))))
    merged = OwnWords()
    for part in data.draw(st.permutations(parts)):
        merged.merge(part)
    whole = added(*worlds)
    assert merged.to_plain() == whole.to_plain()
    assert merged.inventions == whole.inventions


def test_a_claim_becomes_inconclusive_and_shows_it() -> None:
    found = added(*[world(SIGNED)] * 9, world(SIGNED, LIE, LIE))
    claim = {"verdict": "verified", "expected": "verified", "count": 0, "why": "did not happen", "examples": []}
    judge_own_words(claim, found, OwnWords(), "relaysim replay race --seed {seed}")
    assert claim["verdict"] == "inconclusive"
    assert claim["as_expected"] is False
    assert str(claim["why"]).startswith("2 sentences around a reply of which nobody else is the source, changing from")
    (example,) = claim["examples"]
    assert (example["seed"], example["fingerprint"]) == (9, "print 9")
    assert example["replay"] == "relaysim replay race --seed 9"

    begun = {"verdict": "verified", "expected": "verified", "count": 0, "why": "did not happen", "examples": []}
    judge_own_words(begun, OwnWords(), found, "")
    assert str(begun["why"]).startswith("2 sentences in the assistant's name at the beginning of which")

    refuted = {"verdict": "refuted", "count": 1}
    judge_own_words(refuted, found, found, "")
    assert refuted == {"verdict": "refuted", "count": 1}
