"""Each replication meets its own selection of the faults, at strengths of its own."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from relaysim.sim.faults import Swarm, chosen
from relaysim.sim.kernel import Draws
from relaysim.sim.world.send_faults import SendFault

FAULTS = [SendFault(kind="refused", probability=0.5), SendFault(kind="slow", nth=(3,))]


def probabilities(swarm: Swarm | None, replications: int = 400) -> list[list[float]]:
    made = [chosen(FAULTS, "send_faults", swarm, Draws(1, number).uniform) for number in range(replications)]
    assert {len(faults) for faults in made} == {len(FAULTS)}
    return [[faults[place].probability for faults in made] for place in range(len(FAULTS))]


def test_without_a_swarm_all_faults_are_as_they_are() -> None:
    assert chosen(FAULTS, "send_faults", None, Draws(1, 0).uniform) == tuple(FAULTS)


def test_each_fault_is_left_out_at_random_and_keeps_its_place() -> None:
    for found in probabilities(Swarm(off_probability=0.25, weight_decades=0.0)):
        assert 60 < found.count(0.0) < 140
        assert len(set(found)) == 2


def test_strengths_are_spread_evenly_over_the_decades() -> None:
    for fault, found in zip(FAULTS, probabilities(Swarm(off_probability=0.0)), strict=True):
        decades = sorted(math.log10(fault.probability / probability) for probability in found)
        assert 0 < decades[0] < 0.05
        assert 1.95 < decades[-1] < 2
        assert 0.85 < decades[len(decades) // 2] < 1.15


def test_faults_are_left_out_independently_of_each_other() -> None:
    first, second = probabilities(Swarm(weight_decades=0.0))
    both = sum(not (one or other) for one, other in zip(first, second, strict=True))
    assert 70 < both < 130


def test_what_cannot_be_a_swarm_is_told() -> None:
    with pytest.raises(ValidationError, match="off_probability"):
        Swarm(off_probability=1.5)
