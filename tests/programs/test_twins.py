"""Goal: a bot in real time and its twin in virtual time fare alike, so that what virtual worlds say holds for real programs.

Method: see twins.py. What it compares with is tried on rows of which it is known whether they are alike.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.programs import node_programs, twins

MESSAGES = 300


def rows_of(rates: tuple[float, ...], worlds: int, seed: int) -> twins.Seen:
    """Worlds of eight messages, each of which meets each thing at its rate."""
    drawn = np.random.default_rng(seed).binomial(8, rates, size=(worlds, len(rates)))
    return twins.Seen(np.column_stack([np.full(worlds, 8), drawn]))


def test_rates_that_differ_are_told_apart_and_equal_ones_are_not() -> None:
    rates = (0.8, 0.2, 0.2, 0.0, 0.1, 0.01, 0.4)
    one, alike = rows_of(rates, 40, 1), rows_of(rates, 160, 2)
    assert all(each.overlaps and each.likelihood > 0.01 for each in twins.compare(one, alike))
    other = rows_of((0.6, 0.4, *rates[2:]), 160, 3)
    apart = [each for each in twins.compare(one, other) if not each.overlaps]
    assert [each.event for each in apart] == ["succeeded", "lost"]
    assert all(each.likelihood < 0.01 for each in apart)


def test_the_twin_meets_in_virtual_time_what_makes_the_circumstance() -> None:
    """Each costs it messages or duplicates; without any it answers nearly all that its lock lets it."""
    index = {event: number for number, event in enumerate(twins.COUNTED, 1)}
    seen = {name: twins.see_twin(name, 4) for name in twins.CIRCUMSTANCES}
    assert len({each.messages for each in seen.values()}) == 1, "customers write the same in all of them"
    assert seen["bursts"].rate(index["succeeded"]) > 0.5
    for name in ("stuck", "errors", "sends"):
        assert seen[name].rate(index["succeeded"]) < seen["bursts"].rate(index["succeeded"])
    assert seen["repeated"].rate(index["duplicate_reply"]) > seen["bursts"].rate(index["duplicate_reply"])


@pytest.mark.soak
@pytest.mark.parametrize("circumstance", twins.CIRCUMSTANCES)
def test_the_bot_and_its_twin_fare_alike(circumstance: str) -> None:
    if (lacking := node_programs.lacking()) is not None:
        pytest.fail(lacking) if node_programs.REQUIRED else pytest.skip(lacking)
    program = twins.see_program(circumstance, twins.worlds_for(MESSAGES), parallel=8)
    twin = twins.see_twin(circumstance, 4 * len(program.rows))
    assert program.messages >= MESSAGES
    compared = twins.compare(program, twin)
    twins.show(circumstance, program, twin, compared)
    found = {each.event: each for each in compared}
    assert [event for event in twins.JOINED_BY_WORDS if not found[event].overlaps] == []
    low, high = found["apology_despite_cover"].intervals
    assert low[0] <= high[1], (
        "whom an apology is for is not seen from outside, so that fewer are counted, and never more"
    )
