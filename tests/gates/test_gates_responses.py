"""Goal: the shipped scenarios on Responses have the verdicts that they expect, with the relay that they name.

Method: few worlds of each; those whose claims are rates are judged by `relaysim verify` with all of theirs.
"""

from __future__ import annotations

import pytest

from relaysim.scenarios.load import load
from relaysim.scenarios.scenario_files import shipped
from relaysim.scenarios.verdicts import verify_scenario

SCENARIOS = [name for name in shipped() if name.startswith("responses_")]


def test_there_are_some() -> None:
    assert {"responses_race", "responses_stuck_turn", "responses_persistent_failure"} < set(SCENARIOS)


WORLDS = {"responses_peak_hour": 4, "responses_abandoned": 1000}
"""Where 20 are too many, or too few."""


@pytest.mark.parametrize("name", SCENARIOS)
def test_verdicts_are_as_expected(name: str) -> None:
    sets = ["map.drop=true"] if name == "responses_abandoned" else []
    entry, _ = verify_scenario(load(name, sets), replications=WORLDS.get(name, 20), lane_check=1, jobs=1)
    assert {claim["id"]: claim["verdict"] for claim in entry["claims"]} == {
        claim["id"]: claim["expected"] for claim in entry["claims"]
    }
    assert entry["lane_check"]["equal"]
