"""Goal: the glossary has the words of the project, a sentence each, and its references are entries."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "glossary.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (?!word \|)([a-z ]+) \| (.+) \|$", PAGE, re.MULTILINE)
ENTRIES = dict(ROWS)
WORDS = """conversation, thread, run, append, active run, conflict,
attempt, wait, outcome, policy, lease, epoch, inbox,
worker, world, replication, scenario, workload, fault, profile, claim, verdict, invariant, tape, fingerprint, lane, seed"""


def test_each_word_is_there_once() -> None:
    assert len(ENTRIES) == len(ROWS)
    assert {*re.split(r",\s", WORDS)} - {*ENTRIES} == set()


def test_each_is_one_sentence() -> None:
    for word, text in ENTRIES.items():
        assert re.fullmatch(r"[A-Z][^.]*\.", text), word


def test_what_is_referred_to_is_an_entry() -> None:
    for text in ENTRIES.values():
        for word in re.findall(r"\*([a-z ]+)\*", text):
            assert word in ENTRIES or word.removesuffix("s") in ENTRIES or word.replace("ies", "y") in ENTRIES, word
