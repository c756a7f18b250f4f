"""Goal: the shipped scenarios on Responses have the verdicts that they expect, with the relay that they name.

Method: few worlds of each; those whose claims are rates are judged by `relaysim verify` with all of theirs.
"""

from __future__ import annotations

from typing import Final

import pytest

from relaysim.scenarios.load import load
from relaysim.scenarios.scenario_files import shipped
from relaysim.scenarios.verdicts import verify_scenario
from relaysim.sim.trace.schema import as_object
from relaysim.sim.world import run_world

pytestmark = pytest.mark.usefixtures("one_session")

SCENARIOS = [name for name in shipped() if name.startswith("responses_")]


def test_there_are_some() -> None:
    assert {"responses_race", "responses_stuck_turn", "responses_persistent_failure"} < set(SCENARIOS)


WORLDS = {"responses_peak_hour": 4, "responses_abandoned": 1000}
"""Where 20 are too many, or too few."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.soak) if name == "responses_abandoned" else name for name in SCENARIOS],
)
def test_verdicts_are_as_expected(name: str) -> None:
    sets = ["map.drop=true"] if name == "responses_abandoned" else []
    entry, _ = verify_scenario(load(name, sets), replications=WORLDS.get(name, 20), lane_check=1, jobs=1)
    assert {claim["id"]: claim["verdict"] for claim in entry["claims"]} == {
        claim["id"]: claim["expected"] for claim in entry["claims"]
    }
    assert entry["lane_check"]["equal"]


DRAIN: Final = ("relay.factory=relaysim.relay:drain", 'relay.settings={api="responses"}')
HOST_CANCELS: Final = ("profile_overrides.abandoned_stream=cancels", "profile_overrides.cancel_seconds=0.1")


@pytest.mark.parametrize(
    ("name", "sets", "verdicts"),
    [
        # Where a host stops what nobody reads, there is no lock to wait for, and so no wait to judge.
        (
            "responses_abandoned_stream",
            HOST_CANCELS,
            {"stream-wait": "inconclusive", "no-lock": "verified", "transparent": "verified"},
        ),
        # Whoever believes the refusal asks nothing twice.
        (
            "responses_racing_cancel",
            ("relay.settings={believes_refusal=true}",),
            {"stored-once": "verified", "transparent": "verified", "none-lost": "verified"},
        ),
        # A cancel that always wins harms nobody.
        (
            "responses_racing_cancel",
            ("profile_overrides.cancel_completes_probability=0",),
            {"stored-once": "verified", "transparent": "verified", "none-lost": "verified"},
        ),
        (
            "responses_racing_cancel",
            DRAIN,
            {"stored-once": "verified", "transparent": "verified", "none-lost": "verified"},
        ),
        # Whoever gives an orphaned call an output goes on.
        (
            "responses_orphaned_call",
            ("relay.settings={answers_orphans=true}",),
            {"never-again": "refuted", "goes-on": "verified", "transparent": "verified"},
        ),
    ],
)
def test_what_another_switch_or_a_mended_relay_changes(
    name: str, sets: tuple[str, ...], verdicts: dict[str, str]
) -> None:
    entry, _ = verify_scenario(load(name, sets), replications=20, lane_check=0, jobs=1)
    assert {claim["id"]: claim["verdict"] for claim in entry["claims"]} == verdicts


@pytest.mark.parametrize(("kept", "standing"), [("nothing", 1), ("input", 2)])
def test_a_repeated_stream_stores_its_words_twice_where_the_input_of_an_abandoned_turn_is_kept(
    kept: str, standing: int
) -> None:
    scenario = load("responses_abandoned_stream", (f"profile_overrides.unfinished_keeps={kept}",))
    settings, root_seed = scenario.world_settings(), scenario.root_seed
    result = run_world(settings, root_seed=root_seed, seed=0, lane="sdk", keep_trace=True)
    events = [as_object(*each) for each in result.records]
    stored = {each["message_id"] for each in events if each["kind"] == "message.stored"}
    deleted = {each["message_id"] for each in events if each["kind"] == "message.deleted"}
    assert len(stored) == 4  # the words twice, each time with a reply
    assert len(stored - deleted) == standing + 1  # and the reply that was sent


def test_a_cancel_that_always_loses_stores_every_first_message_twice() -> None:
    scenario = load("responses_racing_cancel", ("profile_overrides.cancel_completes_probability=1",))
    entry, _ = verify_scenario(scenario, replications=20, lane_check=0, jobs=1)
    (stored,) = (claim for claim in entry["claims"] if claim["id"] == "stored-once")
    assert stored["count"] == 20
