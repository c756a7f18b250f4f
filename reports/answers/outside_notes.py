"""What is to be known of worlds around a real program, beside the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relaysim.sim.counted import counted


def from_outside(results: Mapping[str, Any]) -> list[str]:
    """What is to be known of worlds around a real program."""
    outside = results.get("outside")
    if outside is None:
        return []
    stopped = [
        f"{scenario['scenario']} after {scenario['replications']:,} of at most "
        f"{counted(scenario['sequential']['maximum'], 'world')}"
        for scenario in results["scenarios"]
        if scenario.get("sequential") and scenario["replications"] < scenario["sequential"]["maximum"]
    ]
    copies = f"{counted(outside['copies'], 'copy')} of the program"
    played = f"Played in real time to {copies}: the same seed may end differently next time."
    if outside.get("lockstep"):
        played = (
            f"Played in virtual time to {copies}, whose timers, clocks and random numbers were the simulator's, as was its "
            "Redis: the same seed plays the same again, and what the program computes takes no time."
        )
    elif outside["speed"] != 1.0:
        played = (
            f"! Played to {copies} at speed {outside['speed']:g}: customers, webhooks and the API kept to that, while the "
            "program's own waits and what lapses in its Redis stayed in real time. At speed 1 it may fare better or worse: "
            "this says nothing of production."
        )
    return [
        played,
        *(
            [
                "It ran already, so nothing was done to its processes or its Redis; worlds were played one after the other."
            ]
            if outside.get("runs_already")
            else []
        ),
        *(
            [
                "Its Redis is your own: worlds were played one after the other, each with customers of its own, and what "
                "they wrote there stays."
            ]
            if outside.get("own_redis")
            else []
        ),
        *([f"It stopped once nothing could change the answer: {', '.join(stopped)}."] if stopped else []),
    ]
