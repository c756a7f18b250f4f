"""Runs ablations, and the whole policy in the same worlds, and says which promise noticed what."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import Any, Final

from relaysim.scenarios.ablations.ablation_list import ABLATIONS, WHOLE, Ablation, scenario_path
from relaysim.scenarios.load import load, variant
from relaysim.scenarios.model import Scenario
from relaysim.scenarios.problems import Problem, ScenarioError
from relaysim.scenarios.replication_summary import Summary
from relaysim.scenarios.runner import Batch, Cost, Lane, Observe, Progress, run_batches
from relaysim.sim.validation_words import did_you_mean
from relaysim.sim.world import Session, resolve
from relaysim.sim.world.invariants import CHECKED, INVARIANTS
from relaysim.sim.world.judge.catalogue import PROMISES

KIND: Final = "ablations"
SCHEMA: Final = 1

ROOTS: Final = 5
"""Root seeds in which an ablation is run, unless told otherwise: how soon it is noticed is luck in each of them."""

_OF_CUSTOMERS: Final[Mapping[str, str]] = {"T1": "T1-no-message-lost"}
"""What relays do not promise, and a customer would notice: judged only where an ablation must be noticed by it."""

_FULL_NAMES: Final[Mapping[str, str]] = {**{each: f"{each}-{name}" for each, name in PROMISES.items()}, **_OF_CUSTOMERS}
_FACTORY: Final = "relay.factory"


@dataclass(frozen=True)
class Ablated:
    """An ablation in its scenario, and the whole policy in the same."""

    ablation: Ablation
    scenario: Scenario
    baseline: Scenario

    @cached_property
    def removed(self) -> str:
        """What is removed, in a sentence."""
        return " ".join((resolve(self.ablation.factory).__doc__ or "").split())


def load_ablations(names: Sequence[str] = (), sets: Sequence[str] = (), scenario: str | None = None) -> list[Ablated]:
    """Ablations by their names, by default all, each in its own scenario, or all in the one that is given.

    Raises:
        ScenarioError: with every problem that was found.
    """
    known = {ablation.name: ablation for ablation in ABLATIONS}
    problems = [
        Problem(
            "ablate",
            "",
            f"there is no ablation {name!r}",
            did_you_mean(name, list(known), what="there are", everything="`relaysim docs ablations` has all"),
        )
        for name in dict.fromkeys(names)
        if name not in known
    ]
    if problems:
        raise ScenarioError(problems)
    baselines: dict[str, Scenario] = {}
    loaded = []
    with Session():  # each is built once, to see that it can be
        for name in dict.fromkeys(names or known):
            ablation = known[name]
            path = scenario_path(ablation.scenario) if scenario is None else scenario
            if path not in baselines:
                baselines[path] = load(path, [f"{_FACTORY}={WHOLE}", *sets])
            loaded.append(Ablated(ablation, load(path, [f"{_FACTORY}={ablation.factory}", *sets]), baselines[path]))
    return loaded


def measure(
    ablated: Sequence[Ablated],
    *,
    replications: int | None = None,
    roots: int = ROOTS,
    lane: Lane | None = None,
    jobs: int = 1,
    progress: Callable[[Progress], None] | None = None,
    observe: Observe | None = None,
) -> tuple[dict[str, Any], Cost]:
    """The content of `results.json` but for the version of the code, and what it took.

    Args:
        ablated: as loaded.
        replications: worlds per ablation and root seed, instead of each scenario's own number.
        roots: root seeds, counted up from each scenario's own.
        lane: instead of each scenario's own.
        jobs: processes.
        progress: called as replications are done.
        observe: what runs a replication, see `run_batches`.

    Raises:
        ReplicationError, LostWorkerError: see `run_batches`.
    """
    baselines = {each.baseline.name: each.baseline for each in ablated}
    batches: dict[tuple[str, int], Batch] = {}
    relays = _relays(ablated)
    for key, scenario in relays:
        for root in range(roots):
            root_seed = scenario.root_seed + root
            seeded = variant(scenario, {"root_seed": root_seed})
            batches[key, root] = Batch(
                f"{key} {root}",
                seeded.to_json(),
                replications or scenario.replications,
                lane or scenario.lane,
                claims=(),
                values=((_FACTORY, scenario.relay.factory), ("root_seed", root_seed)),
            )
    summaries, cost = run_batches(list(batches.values()), jobs=jobs, progress=progress, observe=observe)

    def of(key: str) -> list[Summary]:
        return [summaries[batches[key, root].key] for root in range(roots)]

    rows = [_row(each, of(each.ablation.name)) for each in ablated]
    watched = {
        name: _watched(*(each.ablation.promises for each in ablated if each.baseline.name == name))
        for name in baselines
    }
    return {
        "schema": SCHEMA,
        "kind": KIND,
        "root_seeds": roots,
        "lane": lane,
        "ablations": rows,
        "whole": [_baseline_row(scenario, of(f"whole {name}"), watched[name]) for name, scenario in baselines.items()],
        "promises": {promise: [row["ablation"] for row in rows if promise in row["noticed"]] for promise in PROMISES},
    }, cost


def worlds_planned(ablated: Sequence[Ablated], replications: int | None, roots: int) -> dict[str, int]:
    """How many worlds `measure` runs, by the key of each batch."""
    return {
        f"{key} {root}": replications or scenario.replications
        for key, scenario in _relays(ablated)
        for root in range(roots)
    }


def _relays(ablated: Sequence[Ablated]) -> list[tuple[str, Scenario]]:
    """Each relay with its worlds: those with an ablation, and the whole one in each scenario."""
    baselines = {each.baseline.name: each.baseline for each in ablated}
    return [
        *((each.ablation.name, each.scenario) for each in ablated),
        *((f"whole {name}", scenario) for name, scenario in baselines.items()),
    ]


def _row(ablated: Ablated, summaries: Sequence[Summary]) -> dict[str, Any]:
    ablation, scenario = ablated.ablation, ablated.scenario
    took = [_took(summary, ablation.promises) for summary in summaries]
    return {
        "ablation": ablation.name,
        "removed": ablated.removed,
        "promises": list(ablation.promises),
        "scenario": scenario.name,
        "hash": scenario.hash,
        "replications": summaries[0].replications,
        "took": took,
        "median": _median(took),
        "noticed": _noticed(summaries, _watched(ablation.promises)),
        "first": _first(ablated, summaries, took),
        "fingerprints": [summary.fingerprint for summary in summaries],
    }


def _watched(*expected: Sequence[str]) -> dict[str, str]:
    """The full names of the promises that count where these are expected: all of a relay's, and T1 where it is named."""
    named = {promise for promises in expected for promise in promises}
    return {each: name for each, name in _FULL_NAMES.items() if each in PROMISES or each in named}


def _took(summary: Summary, promises: Sequence[str]) -> int | None:
    """The replications until one of these promises was seen broken, that one included."""
    seeds = [seed for each in promises if (seed := _first_seed(summary, each)) is not None]
    return min(seeds) + 1 if seeds else None


def _first_seed(summary: Summary, promise: str) -> int | None:
    examples = summary.invariants[_FULL_NAMES[promise]].examples
    return int(examples[0]["seed"]) if examples else None


def _median(took: Sequence[int | None]) -> float | None:
    """The median over root seeds, None if it is beyond what was run."""
    middle = median(float("inf") if each is None else each for each in took)
    return None if middle == float("inf") else middle


def _noticed(summaries: Sequence[Summary], watched: Mapping[str, str]) -> dict[str, int]:
    """Per promise that was broken, how often."""
    broken = {
        each: sum(summary.counts.get(INVARIANTS[name], 0) for summary in summaries) for each, name in watched.items()
    }
    return {each: count for each, count in broken.items() if count}


def _first(ablated: Ablated, summaries: Sequence[Summary], took: Sequence[int | None]) -> dict[str, Any] | None:
    """The first world in which it was noticed, of the first root seed that has one: a sentence per promise broken there.

    Each promise keeps the examples of its smallest seeds, and this seed is the smallest of one of them.
    """
    place = next((place for place, each in enumerate(took) if each is not None), None)
    if place is None:
        return None
    count, summary, scenario = took[place], summaries[place], ablated.scenario
    assert count is not None
    seed = count - 1
    sentences = {}
    for promise, name in _watched(ablated.ablation.promises).items():
        for example in summary.invariants[name].examples:
            if example["seed"] == seed:
                sentences[promise] = example["detail"]["text"]
    return {"root_seed": scenario.root_seed + place, "seed": seed, "sentences": sentences}


def _baseline_row(scenario: Scenario, summaries: Sequence[Summary], watched: Mapping[str, str]) -> dict[str, Any]:
    checked = {
        each: sum(summary.counts.get(CHECKED[name], 0) for summary in summaries) for each, name in watched.items()
    }
    examples = {
        each: {"root_seed": scenario.root_seed + place, "seed": example["seed"], "sentence": example["detail"]["text"]}
        for each, name in watched.items()
        for place, summary in reversed(list(enumerate(summaries)))
        for example in summary.invariants[name].examples[:1]
    }
    return {
        "scenario": scenario.name,
        "title": scenario.title,
        "hash": scenario.hash,
        "worlds": sum(summary.replications for summary in summaries),
        "messages": sum(summary.counts.get("messages", 0) for summary in summaries),
        "checked": {each: count for each, count in checked.items() if count},
        "broken": _noticed(summaries, watched),
        "examples": examples,
        "never_met": sorted(set.intersection(*(set(summary.never_met) for summary in summaries))),
        "fingerprints": [summary.fingerprint for summary in summaries],
    }


def surprises(results: Mapping[str, Any]) -> list[str]:
    """What is not as it should be, in sentences: ablations that went unnoticed, and what the whole policy broke."""
    sentences = []
    for row in results["ablations"]:
        silent = [each for each in row["promises"] if each not in row["noticed"]]
        if silent:
            sentences.append(f"{row['ablation']} in {row['scenario']} went unnoticed by {' and '.join(silent)}")
    for row in results["whole"]:
        sentences += [
            f"the whole policy broke {each} in {row['scenario']}, root seed {example['root_seed']}, seed "
            f"{example['seed']}: {example['sentence']}"
            for each, example in row["examples"].items()
        ]
        if row["never_met"]:
            sentences.append(f"{row['scenario']} has faults that never struck: {', '.join(row['never_met'])}")
    return sentences
