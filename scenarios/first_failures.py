"""The stories of first failures, run again and told as lanes: of the first example of each refuted claim and broken promise,
and of the worlds in which compared policies differ most."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from relaysim.reports.results import replay_of
from relaysim.reports.story import tell_story
from relaysim.reports.story_lanes import lanes_of
from relaysim.scenarios.breached import subject_of
from relaysim.scenarios.model import Scenario
from relaysim.scenarios.policy_comparison import Comparison
from relaysim.scenarios.runner import Lane, session


def first_failures(results: Mapping[str, Any], scenarios: Sequence[Scenario]) -> list[dict[str, Any]]:
    """A story for each first example, once where several claims have the same one; those of claims first, then those of
    promises alone. Plain data, as the page takes it.

    A seed that now gives another world than the example's has none: that the relay is not deterministic is told elsewhere.

    Args:
        results: judged; each entry's `scenario` names one of the scenarios.
        scenarios: as they were run.
    """
    by_name = {each.name: each for each in scenarios}
    stories: list[tuple[bool, dict[str, Any]]] = []
    for entry in results["scenarios"]:
        scenario = by_name.get(entry["scenario"])
        if scenario is not None:
            claims = {claim["id"] for claim in entry["claims"]}
            stories += [(claims.isdisjoint(each["of"]), each) for each in _of_scenario(entry, scenario)]
    return [story for _, story in sorted(stories, key=lambda each: each[0])]


def compared_failures(results: Mapping[str, Any], comparison: Comparison) -> list[dict[str, Any]]:
    """A story for each world in which two policies differ most: of a message that failed under the one that failed more.

    Args:
        results: of the comparison.
        comparison: what was run.
    """
    scenarios = {each.name: each.scenario for each in comparison.policies}
    stories: dict[tuple[int, str], dict[str, Any]] = {}
    for difference in results["differences"]:
        example = difference["example"]
        if example is None:
            continue
        sides = zip(example["failed"], (difference["policy"], difference["against"]), example["replay"], strict=True)
        failed, policy, replay = max(sides, key=lambda each: int(each[0]))
        key = int(example["seed"]), policy
        if key in stories:
            continue
        scenario = scenarios[policy]
        world = _world(scenario, results["lane"], key[0])
        if world is None or world.observation["counts"]["failed"] != failed:
            continue  # the world is another one now
        detail = world.observation["details"]["failed"][0]
        stories[key] = {
            "scenario": scenario.name,
            "seed": key[0],
            "of": [policy],
            "title": f"{scenario.name} under {policy}, seed {key[0]}",
            "text": detail["text"],
            "replay": [replay],
            **told_as_lanes(scenario, world, detail),
        }
    return list(stories.values())


def _of_scenario(entry: Mapping[str, Any], scenario: Scenario) -> Iterator[dict[str, Any]]:
    wanted: dict[tuple[int, str], tuple[Mapping[str, Any], list[str]]] = {}
    for name, example in _first_examples(entry):
        detail = example["detail"]
        key = example["seed"], str(detail.get("text", ""))
        wanted.setdefault(key, (example, []))[1].append(name)
    worlds: dict[int, Any] = {}
    for (seed, text), (example, names) in wanted.items():
        if seed not in worlds:
            worlds = {seed: _world(scenario, entry["lane"], seed)}  # one at a time is kept: a trace may be large
        if worlds[seed] is None or worlds[seed].fingerprint != example.get("fingerprint"):
            continue
        story = told_as_lanes(scenario, worlds[seed], example["detail"])
        yield {
            "scenario": scenario.name,
            "seed": seed,
            "of": names,
            "title": f"{scenario.name}, seed {seed}: {', '.join(names)}",
            "text": text,
            "replay": [replay_of(scenario.origin.replay_template(), seed, names[0])],
            **story,
        }


def _first_examples(entry: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The first example of each refuted claim and each broken promise, sorted by seed."""
    found = [
        (claim["id"], claim["examples"][0])
        for claim in entry["claims"]
        if claim["verdict"] == "refuted" and claim["examples"]
    ]
    found += [
        (name, each["examples"][0])
        for name, each in entry.get("invariants", {}).items()
        if each["breaches"] and each.get("examples")
    ]
    return sorted(found, key=lambda named: int(named[1]["seed"]))


def _world(scenario: Scenario, lane: Lane, seed: int) -> Any:
    """The world's result with its trace; None if it does not run to its end now."""
    from relaysim.sim.world import run_world

    settings, root_seed = scenario.world_settings(), scenario.root_seed
    try:
        with session(None):
            return run_world(settings, root_seed=root_seed, seed=seed, lane=lane, keep_trace=True)
    except Exception:  # whatever the relay's code raises now, the seed ran to its end before: it is another world
        return None


def told_as_lanes(scenario: Scenario, world: Any, detail: Mapping[str, Any]) -> dict[str, Any]:
    """The story of what a detail of a world's observation says, as lanes; the world has its trace."""
    from relaysim.sim.backends import backend_named

    records = world.records or []
    roles, looks = backend_named(scenario.api).roles, world.observation["looks"]
    story = tell_story(records, subject_of(detail), roles=roles, looks=looks, breach=detail)
    return {"conversation": story.conversation, "message": story.message_id, **lanes_of(story, records)}
