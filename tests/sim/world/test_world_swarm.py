"""Each replication meets its own selection of the faults, at strengths of its own."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError
from world_bench import run, settings

from relaysim.sim.kernel import Draws
from relaysim.sim.world import Session
from relaysim.sim.world.send_faults import SendFault
from relaysim.sim.world.swarm import Swarm, chosen

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


def test_a_fault_that_is_left_out_hits_nothing_by_number_either() -> None:
    made = settings("world_relays:sender", send_faults=[{"kind": "refused", "nth": [1]}], swarm={"weight_decades": 0.0})
    with Session():
        hits = [run(made, seed=seed).observation["fault_hits"]["send_faults"][0] for seed in range(40)]
    assert 8 < sum(hits) < 32


def test_what_cannot_be_a_swarm_is_told() -> None:
    with pytest.raises(ValidationError, match="off_probability"):
        Swarm(off_probability=1.5)
