"""Goal: an exception of a `handle` whose answer is out loses nothing and is told, with its line and its count."""

from __future__ import annotations

from pathlib import Path

import pytest
from judged_bots import Judge

pytestmark = pytest.mark.usefixtures("one_session")


def test_an_exception_after_the_answer_is_told_with_line_and_count(judge: Judge) -> None:
    judged = judge("raising_afterwards:raising", worlds=2)
    lines = Path(__file__).with_name("raising_afterwards.py").read_text(encoding="utf-8").splitlines()
    (number,) = [number for number, line in enumerate(lines, 1) if 'statistics["tokens"]' in line]
    ((exception,),) = [entry["exceptions"] for entry in judged.results["scenarios"]]
    place = f"KeyError ended `handle` after its answer had been sent (raising_afterwards.py:{number})"
    assert (exception["what"], exception["replications"]) == (place, 2)
    assert exception["times"] == judged.count("raised_after_answer") > 2
    assert f"in 2 of 2 worlds {place}, {exception['times']} times in all." in judged.answer
    assert judged.count("lost") == 0
    assert judged.is_safe  # the scenario delivers nothing again


def test_what_is_caught_is_not_told(judge: Judge) -> None:
    judged = judge("raising_afterwards:catching", worlds=1)
    assert judged.count("raised_after_answer") == 0
    assert judged.is_safe
