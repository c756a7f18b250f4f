"""An exception that no code receives is recorded, counted and told, and the world goes on."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from world_bench import run, settings

from relaysim.reports.timeline import render_timeline
from relaysim.scenarios.replication_summary import Summary
from relaysim.sim.backends.threads.operations import ROLES
from relaysim.sim.doors import NotInDirectLaneError
from relaysim.sim.kernel import SimulatorError, steps_of_error

PLACE = "exception_bots.py:30"
HEADLINE = f"LookupError ended a task that nobody awaited ({PLACE})"


def exceptions(result: Any) -> list[tuple[float, str, tuple[Any, ...]]]:
    return [(time, who, fields[:5]) for time, who, kind, fields in result.records if kind == "exception"]


@pytest.mark.parametrize("way", ["dropped", "kept"])
def test_a_task_that_fails_loses_its_message_and_nothing_else(way: str) -> None:
    made = settings("exception_bots:early", 1.0, 10.0, relay={"way": way})
    sdk, direct = run(made, lane="sdk"), run(made, lane="direct")
    assert sdk.fingerprint == direct.fingerprint
    ((time, worker, fields),) = exceptions(direct)
    assert time == 2.125
    assert fields == ("c1.m1#1", "task", "LookupError", "no customer c1", PLACE)
    counts = direct.observation["counts"]
    assert (counts["unhandled_exceptions"], counts["messages"]) == (1, 2)
    (told,) = direct.observation["details"]["unhandled_exceptions"]
    assert told["text"] == f"{worker}: {HEADLINE}: no customer c1"
    assert told["conversation"] == "c1"
    assert list(direct.observation["obstacles"]["raised"].values()) == [1]
    received = [fields[1] for _, _, kind, fields in direct.records if kind == "received"]
    assert received == ["Got c1.m2"]
    story = render_timeline(direct.records, roles=ROLES)
    assert any(f"! {worker} c1.m1" in line and HEADLINE in line for line in story)


def test_when_garbage_is_collected_makes_no_difference() -> None:
    worlds = [
        run(settings("exception_bots:cyclic", 1.0, 5.0, relay={"collects": collects})) for collects in (False, True)
    ]
    assert [exceptions(world) for world in worlds] == [exceptions(worlds[0])] * 2
    assert len(exceptions(worlds[0])) == 1


def test_a_finalizer_that_raises_is_told_of_and_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.unraisablehook
    result = run(settings("exception_bots:early", relay={"way": "finalizer"}))
    ((_, _, fields),) = exceptions(result)
    assert fields[1:4] == ("finalizer", "OSError", "cannot be closed")
    assert capsys.readouterr().err == ""
    assert sys.unraisablehook is before


def test_a_serve_that_ends_with_an_exception_is_told_of_too() -> None:
    result = run(settings("world_relays:queue", relay={"broken": "raises"}))
    told = exceptions(result)
    assert {fields[1:4] for _, _, fields in told} == {("serve", "LookupError", "nothing to serve")}
    assert all(fields[4].startswith("world_relays.py:") for _, _, fields in told)
    assert result.observation["counts"]["unhandled_exceptions"] == len(told) == 2


def test_what_the_lane_does_not_have_ends_the_judgement_from_a_task_and_from_handle() -> None:
    with pytest.raises(NotInDirectLaneError, match="create_and_poll"):
        run(settings("exception_bots:early", relay={"way": "not in this lane"}))
    with pytest.raises(SimulatorError, match="transactions are not in the direct lane"):
        run(settings("exception_bots:transaction"))


def test_what_the_lane_does_not_have_is_named_where_the_bot_swallows_its_error() -> None:
    """Such a world counts neither for the bot nor against it, and the next one is not told of it."""
    swallowed = run(settings("exception_bots:swallowing"))
    (call,) = swallowed.observation["obstacles"]["unsimulated"]
    assert call.startswith("client.beta.threads.runs.create_and_poll in lane direct (exception_bots.py:")
    summary = Summary()
    summary.add(swallowed.observation, (), {})
    (said,) = summary.obstacles.entries(1)
    assert said["text"].endswith("neither for the relay nor against it: run this again with --lane sdk, which has it")
    assert "unsimulated" not in run(settings("exception_bots:early")).observation["obstacles"]


def test_the_same_mistake_in_many_worlds_is_told_once_with_its_first_seed() -> None:
    made = settings("exception_bots:early")
    observations = [run(made, seed=seed).observation for seed in (3, 2)]
    one, other = Summary(), Summary()
    one.add(observations[0], (), {})
    other.add(observations[1], (), {})
    summary = Summary.from_plain(one.merge(other).to_plain())
    ((headline, tally),) = summary.exceptions.items()
    assert (headline, tally.replications, tally.seed, tally.text) == (HEADLINE, 2, 2, "no customer c1")


def test_steps_are_the_relays_own_and_where_a_library_ended() -> None:
    try:
        json.loads("{")
    except ValueError as error:
        own, end = steps_of_error(error)
    assert "test_world_exceptions.py:" in own
    assert own.endswith(' in test_steps_are_the_relays_own_and_where_a_library_ended: json.loads("{")')
    assert "json/decoder.py" in end
    assert steps_of_error(None) == steps_of_error(ValueError()) == ()
