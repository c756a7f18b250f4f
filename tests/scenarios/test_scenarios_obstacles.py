"""What keeps replications from showing anything adds up in any order, and is told with its line and its share."""

from __future__ import annotations

from typing import Any

from relaysim.scenarios.obstacle_tallies import Obstacles

WRONG = "TypeError in bot.py:7"


def raised(times: int, calm: int, said: str = "no") -> dict[str, Any]:
    return {"raised": {WRONG: times}, "said": {WRONG: said}, "calm": calm}


def test_only_more_than_half_of_the_handlings_that_met_no_trouble_make_it_the_adapters() -> None:
    half = Obstacles()
    half.add(raised(3, 4), 10)
    half.add({}, 2)
    assert (half.calm, half.raised_by_most, half.entries(2)) == (6, None, [])
    half.add(raised(1, 1), 5)
    (told,) = half.entries(3)
    assert (told["kind"], told["what"], told["count"], told["among"]) == ("raised", WRONG, 4, 7)
    assert "4 of 7 handlings that met neither a refusal nor a fault nor another message (no)" in told["text"]


def test_a_replication_with_a_call_that_is_not_simulated_does_not_count() -> None:
    found = Obstacles()
    assert found.add({"unsimulated": ["GET /v1/models (bot.py:7)"], **raised(5, 5)}, 5)
    assert not found.add({}, 4)
    (told,) = found.entries(2)
    assert (found.aside, found.calm, told["kind"], told["count"], told["among"]) == (1, 4, "unsimulated", 1, 2)


def test_they_add_up_in_any_order_and_go_through_plain_data() -> None:
    parts = [raised(2, 3, "b"), {"unsimulated": ["POST /v1/files"]}, raised(1, 1, "a"), {}]
    totals = []
    for order in (parts, parts[::-1]):
        total = Obstacles()
        for part in order:
            one = Obstacles()
            one.add(part, 3)
            total.merge(Obstacles.from_plain(one.to_plain()))
        totals.append(total)
    assert totals[0] == totals[1]
    assert totals[0].said == {WRONG: "a"}


def test_turns_that_nothing_told_of_are_named_where_they_are_in_most_worlds_and_count_all_the_same() -> None:
    found = Obstacles()
    assert not found.add({"unheard": 2}, 5)
    assert not found.add({}, 4)
    assert found.entries(2) == []
    found.merge(Obstacles.from_plain({"unheard": 1}))
    found = Obstacles.from_plain(found.to_plain())
    assert (found.aside, found.unheard) == (0, 2)
    (told,) = found.entries(3)
    assert (told["kind"], told["count"], told["among"]) == ("unheard", 2, 3)
    assert "--set 'events={}' (in a scenario: a table [events]; docs/own-bot.md)" in told["text"]


def test_a_replication_with_answers_from_elsewhere_does_not_count() -> None:
    found = Obstacles()
    assert found.add({"elsewhere": "Hello"}, 5)
    assert found.add({"elsewhere": "Hello", "unsimulated": ["GET /v1/batches"]}, 5)
    assert not found.add({}, 4)
    found = Obstacles.from_plain(found.to_plain())
    assert (found.aside, found.elsewhere, found.calm) == (2, 2, 4)
    assert [each["kind"] for each in found.entries(3)] == ["unsimulated", "elsewhere"]
