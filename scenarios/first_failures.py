"""The stories of first failures, run again and told as lanes: of the first example of each refuted claim and broken promise,
of the worlds in which compared policies differ most, of the worst and the best point of a sweep, and of tuned settings."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from relaysim.reports.answers.of_sweep import best_and_worst
from relaysim.reports.results import replay_of
from relaysim.reports.story import tell_story
from relaysim.reports.story_lanes import lanes_of
from relaysim.reports.sweep_words import point_words
from relaysim.scenarios.breached import story_title, subject_of
from relaysim.scenarios.load import variant
from relaysim.scenarios.model import Scenario
from relaysim.scenarios.policy_comparison import Comparison
from relaysim.scenarios.runner import Lane, session
from relaysim.scenarios.toml_text import toml_value

if TYPE_CHECKING:
    from relaysim.scenarios.sweep.points import Plan
    from relaysim.scenarios.tune.candidate_worlds import Tuned

_WORLDS_MAX: Final = 50
"""So many worlds are looked at for the first message that fails, where results name none: seconds, not minutes."""

_STORIES_OF_A_POINT_MAX: Final = 3


def first_failures(
    results: Mapping[str, Any],
    scenarios: Sequence[Scenario],
    world_of: Callable[[Scenario, Lane, int], Any] | None = None,
) -> list[dict[str, Any]]:
    """A story for each first example, once where several claims have the same one; those of claims first, then those of
    promises alone. Plain data, as the page takes it.

    A seed that now gives another world than the example's has none: that the relay is not deterministic is told elsewhere.

    Args:
        results: judged; each entry's `scenario` names one of the scenarios.
        scenarios: as they were run.
        world_of: has the world of a seed with its trace, or None; by default it is run again.
    """
    by_name = {each.name: each for each in scenarios}
    stories: list[tuple[bool, dict[str, Any]]] = []
    for entry in results["scenarios"]:
        scenario = by_name.get(entry["scenario"])
        if scenario is not None:
            claims = {claim["id"] for claim in entry["claims"]}
            stories += [(claims.isdisjoint(each["of"]), each) for each in _of_scenario(entry, scenario, world_of)]
    return [story for _, story in sorted(stories, key=lambda each: each[0])]


def compared_failures(results: Mapping[str, Any], comparison: Comparison) -> list[dict[str, Any]]:
    """A story for each world in which two policies differ most: of a message that failed under the one that failed more. And
    of each policy that has none of these, of the first message that failed under it, if one does in the first 50 worlds.

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
            "replay": [_shown_by(replay, detail)],
            **told_as_lanes(scenario, world, detail),
        }
    told = {policy for _, policy in stories}
    for policy in results["policies"]:
        if policy["policy"] in told or not policy["counts"]["failed"]:
            continue
        name = policy["policy"]
        found = _first_failed(scenarios[name], results["lane"], results["replications"])
        if found is not None:
            title = f"{scenarios[name].name} under {name}, seed {found['seed']}"
            stories[found["seed"], name] = {
                **found,
                "of": [name],
                "title": title,
                "replay": [_shown_by(comparison.replay_of(name, found["seed"]), found)],
            }
    return list(stories.values())


def swept_failures(results: Mapping[str, Any], plan: Plan) -> list[dict[str, Any]]:
    """A few stories of the point where most messages fail, and of the best one: of refuted claims and broken promises, or
    else of the first message that fails, if one does in the first 50 worlds.

    Args:
        results: of the sweep.
        plan: what was run; its points are in the order of the results'.
    """
    points = results["points"]
    best, worst = best_and_worst(points)
    stories = []
    for point in [worst] if best is worst else [worst, best]:
        scenario = plan.points[points.index(point)].scenario
        where = point_words(results, point)
        told = list(_of_scenario(point, scenario))[:_STORIES_OF_A_POINT_MAX]
        if not told and point["outcomes"].get("failed"):
            found = _first_failed(scenario, point["lane"], point["replications"])
            if found is not None:
                replay = _shown_by(point["replay"].replace("{seed}", str(found["seed"])), found)
                told = [{**found, "of": [], "title": f"seed {found['seed']}", "replay": [replay]}]
        stories += [{**each, "title": f"{where}: {each['title']}"} for each in told]
    return stories


def tuned_failures(results: Mapping[str, Any], tuned: Tuned, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """For each profile the story of the first message that fails under some settings in the held-out worlds, if one does in
    the first 50 of them.

    Args:
        results: of the tuning.
        tuned: what was run.
        settings: the ones to take, or to keep.
    """
    place, root_seed = results["recommended"], results["held_out"]["root_seed"]
    whose = "present settings" if place is None else f"candidate {place + 1}"
    stories = []
    for profile, under in tuned.profiles.items():
        scenario = variant(under, {"root_seed": root_seed, "relay.settings": dict(settings)})
        found = _first_failed(scenario, results["lane"], results["held_out"]["replications"])
        if found is None:
            continue
        # The values of a map and a curve need not fit each profile, and one world needs neither.
        maps = {f"{block}.drop": True for block in ("map", "curve") if getattr(tuned.scenario, block) is not None}
        typed = {
            **maps,
            "profile": under.profile,
            "root_seed": root_seed,
            "relay.settings": toml_value(dict(settings)),
        }
        template = tuned.scenario.origin.replay_template(typed)
        stories.append(
            {
                **found,
                "of": [profile],
                "title": f"{whose} under {profile}, held-out seed {found['seed']}",
                "replay": [_shown_by(template.replace("{seed}", str(found["seed"])), found)],
            }
        )
    return stories


def _shown_by(replay: str, about: Mapping[str, Any]) -> str:
    """The command that replays a world, with the message or conversation whose story is told here."""
    subject = subject_of(about)
    return replay if subject is None else f"{replay} --conversation {shlex.quote(subject)}"


def _first_failed(scenario: Scenario, lane: Lane, worlds: int) -> dict[str, Any] | None:
    """The story of the first message that fails, with its seed and fingerprint; None if none does in the first worlds."""
    from relaysim.sim.world import run_world

    settings, root_seed = scenario.world_settings(), scenario.root_seed
    for seed in range(min(worlds, _WORLDS_MAX)):
        try:
            with session(None):
                world = run_world(settings, root_seed=root_seed, seed=seed, lane=lane, keep_trace=True)
        except Exception:  # as in `_world`
            return None
        if details := world.observation["details"].get("failed"):
            return {
                "scenario": scenario.name,
                "seed": seed,
                "fingerprint": world.fingerprint,
                "text": details[0]["text"],
                **told_as_lanes(scenario, world, details[0]),
            }
    return None


def _of_scenario(
    entry: Mapping[str, Any], scenario: Scenario, world_of: Callable[[Scenario, Lane, int], Any] | None = None
) -> Iterator[dict[str, Any]]:
    wanted: dict[tuple[int, str], tuple[Mapping[str, Any], list[str]]] = {}
    for name, example in _first_examples(entry):
        detail = example["detail"]
        key = example["seed"], str(detail.get("text", ""))
        wanted.setdefault(key, (example, []))[1].append(name)
    worlds: dict[int, Any] = {}
    for (seed, text), (example, names) in wanted.items():
        if seed not in worlds:
            # One at a time is kept: a trace may be large.
            worlds = {seed: (world_of or _world)(scenario, entry["lane"], seed)}
        if worlds[seed] is None or worlds[seed].fingerprint != example.get("fingerprint"):
            continue
        story = told_as_lanes(scenario, worlds[seed], example["detail"])
        yield {
            "scenario": scenario.name,
            "seed": seed,
            "of": names,
            "title": f"{story_title(scenario, names)}: {scenario.name}, seed {seed} ({', '.join(names)})",
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
