"""One tuning from its options to the content of `results.json`: the search, the held-out worlds, the recommendation.

Longer than 400 lines because the steps of a tuning fill one `results.json`, whose whole content is laid out here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from relaysim.relay import RetrySettings
from relaysim.reports.statistics import rounded
from relaysim.reports.tune_words import recommendation
from relaysim.scenarios.commands.command_line import UsageError
from relaysim.scenarios.progress import Reporter
from relaysim.scenarios.runner import Cost, Lane, Observe
from relaysim.scenarios.tune.agreement import COMPARED, agreement, computed
from relaysim.scenarios.tune.candidate_worlds import DRAIN, Tuned, Worlds, with_drain
from relaysim.scenarios.tune.closed_form import Backend
from relaysim.scenarios.tune.held_out import (
    DIFFERING_MIN,
    WORLDS_MIN,
    Judged,
    choose,
    front,
    judge,
    measured,
    recommended,
)
from relaysim.scenarios.tune.objectives import IDS, Objective, breaches, gain, objectives, secondary_measures
from relaysim.scenarios.tune.sensitivity import RANGES, perturbed, sobol
from relaysim.scenarios.tune.space import CLOSED_FORM, SPACES, effective, settings_of, starts
from relaysim.scenarios.tune.study import Found, Search, Trial, check_identity, importances, search
from relaysim.sim.counted import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningOptions:
    """What a tuning is asked for, besides the scenario.

    objectives     ids of what to minimise
    budget         trials of the search
    replications   worlds per trial and profile
    held_out       worlds per judged candidate and profile, on seeds that the search never saw
    judged         candidates that are judged on those, at most
    lane           None: the scenario's own
    jobs           processes
    sets           `PATH=VALUE` of the command line, for the record
    storage        the file that keeps the trials
    """

    objectives: Sequence[str]
    budget: int
    replications: int
    held_out: int
    judged: int
    lane: Lane | None
    jobs: int
    sets: Sequence[str]
    storage: Path
    code_version: str


def tuning_of(tuned: Tuned, options: TuningOptions) -> str:
    """What is tuned, as far as it says how long a world takes."""
    return " ".join(
        [tuned.policy, options.lane or tuned.scenario.lane, *(each.hash for each in tuned.profiles.values())]
    )


def tuning_results(
    tuned: Tuned,
    options: TuningOptions,
    costs: Mapping[str, Cost],
    reporter: Reporter,
    observe: Observe | None = None,
    *,
    earlier: Mapping[str, float] | None = None,
) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """The content of `results.json`, and the recommended settings.

    Args:
        tuned: the scenario under each profile.
        options: what is asked for.
        costs: `search` and `held-out`, to which the worlds that are run are added.
        reporter: shows how far the search is.
        observe: what runs a replication, see `relaysim.scenarios.runner.run_batches`.
        earlier: seconds of one process that a world took in an earlier run, by the names of `costs`.

    Raises:
        UsageError: the study has trials of another search, or an objective has nothing to measure.
        ReplicationError, LostWorkerError: see `run_batches`.
    """
    scenario, policy = tuned.scenario, tuned.policy
    lane = options.lane or scenario.lane
    wanted = options.objectives
    measures = objectives(policy, wanted)
    backends = {profile: Backend.of(under.backend) for profile, under in tuned.profiles.items()}

    def worlds(root_seed: int, replications: int, cost: str) -> Worlds:
        return Worlds(tuned, root_seed, replications, lane, options.jobs, observe, costs[cost])

    identity = {
        "scenario": scenario.hash,
        "profiles": {profile: under.hash for profile, under in tuned.profiles.items()},
        "policy": policy,
        "code version": options.code_version,
        "replications": options.replications,
        "lane": lane,
        "objectives": list(wanted),
    }
    plan = Search(
        policy,
        wanted,
        starts(policy, tuned.base, list(backends.values()))[: options.budget],
        options.budget,
        scenario.root_seed,
        identity,
    )
    check_identity(plan, options.storage)
    per_profile = (1 + options.budget) * options.replications + (1 + options.judged) * options.held_out
    kinds = dict.fromkeys(tuned.profiles, per_profile)
    if tuned.policy != DRAIN:
        kinds |= {f"{DRAIN}: {profile}": options.held_out for profile in tuned.profiles}
    reporter.plan(
        f"{scenario.name} under {counted(len(tuned.profiles), 'profile')}",
        kinds,
        jobs=options.jobs,
        like={f"{DRAIN}: {profile}": profile for profile in tuned.profiles} if tuned.policy != DRAIN else None,
        earlier={profile: seconds for seconds in (earlier or {}).values() for profile in tuned.profiles},
    )
    trials, present = _search(
        plan, tuned, measures, worlds(scenario.root_seed, options.replications, "search"), options.storage, reporter
    )
    own = effective(policy, tuned.base)
    chosen = choose(
        trials,
        present,
        options.judged,
        _computed_gain(policy, tuned.base, backends) if wanted == IDS else None,
        leave_out=lambda trial: effective(policy, settings_of(policy, tuned.base, trial.point)) == own,
    )
    reporter.spared(tuned.profiles, (options.judged - len(chosen)) * options.held_out)
    held_out = worlds(scenario.root_seed + 1, options.held_out, "held-out")
    all_measures = [*measures, *secondary_measures(policy)]
    base = held_out.run(tuned.base, reporter.part("held-out: present settings"))
    judged: list[Judged] = []
    for at, trial in enumerate(chosen, 1):
        title = f"held-out: candidate {at} of {len(chosen)}"
        before = copy(costs["held-out"])
        summaries = held_out.run(settings_of(policy, tuned.base, trial.point), reporter.part(title))
        judged.append(judge(summaries, base, all_measures))
        reporter.done(title, _since(costs["held-out"], before), _verdicts(judged[-1], wanted), minor=True)
    beside = _drain_beside(tuned, held_out, reporter)
    place = recommended(judged, wanted)
    settings = tuned.base if place is None else settings_of(policy, tuned.base, chosen[place].point)
    best = front(trials)
    on_front = {trial.number for trial in best}
    measured_now = measured(base, all_measures)
    results: dict[str, Any] = {
        "schema": 1,
        "kind": "tune",
        "code_version": options.code_version,
        "scenario": scenario.name,
        "given": scenario.origin.given,
        "title": scenario.title,
        "hash": scenario.hash,
        "sets": dict(scenario.origin.settings),
        "policy": policy,
        "lane": lane,
        "profiles": {profile: under.hash for profile, under in tuned.profiles.items()},
        "objectives": [each.describe() for each in measures],
        "beside": [each.describe() for each in secondary_measures(policy)],
        "parameters": [each.describe() for each in SPACES[policy]],
        "root_seed": scenario.root_seed,
        "replications": options.replications,
        "budget": options.budget,
        "starts": len(plan.starts),
        "drain": beside,
        "present": {
            "settings": tuned.base,
            "waits": _waits(policy, tuned.base),
            "search": _found(present),
            "held_out": measured_now,
        },
        "trials": [
            {
                "number": trial.number,
                "start": trial.start,
                "point": dict(trial.point),
                "front": trial.number in on_front,
                **_found(trial.found),
            }
            for trial in trials
        ],
        "held_out": {
            "root_seed": held_out.root_seed,
            "replications": options.held_out,
            "replications_min": WORLDS_MIN,
            "differing_min": DIFFERING_MIN,
        },
        "judged": [
            {
                "trial": trial.number,
                "settings": settings_of(policy, tuned.base, trial.point),
                "waits": _waits(policy, settings_of(policy, tuned.base, trial.point)),
                "by_profile": each.by_profile,
                "excess": each.excess,
                "grade": {profile: each.grade(profile, wanted) for profile in tuned.profiles},
                "fragile": each.fragile(wanted),
            }
            for trial, each in zip(chosen, judged, strict=True)
        ],
        "recommended": place,
        "importance": importances(trials, plan),
        "sensitivity": _sensitivity(policy, tuned.base, settings, backends) if place is not None else None,
        "closed_form": None,
    }
    if policy == CLOSED_FORM:
        shown_of = [
            (trial.number, settings_of(policy, tuned.base, trial.point), each.by_profile)
            for trial, each in zip(chosen, judged, strict=True)
        ]
        results["closed_form"] = _closed_form(
            tuned,
            backends,
            wanted,
            [(trial.number, settings_of(policy, tuned.base, trial.point)) for trial in best],
            [(None, tuned.base, measured_now), *shown_of],
        )
    results["policy_origin"] = _origin(results, options.sets)
    return results, settings


def _waits(policy: str, settings: Mapping[str, Any]) -> list[float] | None:
    """The seconds that a relay waits after each failed attempt, before jitter; None for a relay that has no such waits."""
    return list(RetrySettings(**settings).planned_waits) if policy == "cancel_and_retry" else None


def _drain_beside(tuned: Tuned, held_out: Worlds, reporter: Reporter) -> dict[str, Any] | None:
    """What the relay `drain` does in the held-out worlds, of all messages; None where it is tuned itself."""
    drained = with_drain(tuned)
    if drained is None:
        return None
    settings = next(iter(drained.profiles.values())).relay.settings  # which API it is to speak
    progress = reporter.part("held-out: drain", lambda profile: f"{DRAIN}: {profile}")
    summaries = replace(held_out, tuned=drained).run(settings, progress)
    of_all = [each for each in secondary_measures(tuned.policy) if each.among == "messages"]
    return measured(summaries, of_all)


def _computed_gain(
    policy: str, base: Mapping[str, Any], backends: Mapping[str, Any]
) -> Callable[[Trial], float] | None:
    """What a trial gains on the present settings where it gains least, by the closed form; None where there is none."""
    if policy != CLOSED_FORM:
        return None

    def values(settings: Mapping[str, Any]) -> list[list[float]]:
        return list(computed(RetrySettings(**settings), backends, IDS).values())

    now = values(base)
    return lambda trial: gain(values(settings_of(policy, base, trial.point)), now)


def _search(
    plan: Search, tuned: Tuned, measures: Sequence[Objective], worlds: Worlds, storage: Path, reporter: Reporter
) -> tuple[list[Trial], Found]:
    """The trials, and what the present settings do in the same worlds."""
    summaries = worlds.run(tuned.base, reporter.part("present settings"))
    for profile, summary in summaries.items():
        for each in measures:
            if each.value(summary) is None:
                raise UsageError(
                    f"{tuned.scenario.origin.given} under {profile}: in "
                    f"{counted(summary.replications, 'world')} there was none "
                    f"of `{each.among}`, so {each.id} is of nothing; tune another scenario, or give more --replications"
                )
    now = {profile: breaches(summary) for profile, summary in summaries.items()}
    known: dict[str, Found] = {}

    usual = {profile: tuple(each.value(summary) or 0.0 for each in measures) for profile, summary in summaries.items()}

    def found_of(by_profile: Mapping[str, Any]) -> Found:
        values: dict[str, tuple[float, ...]] = {}
        excess: dict[str, int] = {}
        more: dict[str, tuple[float, ...]] = {}
        for profile, summary in by_profile.items():
            more[profile] = tuple(each.value(summary) or 0.0 for each in secondary_measures(plan.policy))
            found = [each.value(summary) for each in measures]
            # Where there is nothing to measure, such as a reply's delay without a reply, nothing was gained.
            values[profile] = tuple(
                here if value is None else value for value, here in zip(found, usual[profile], strict=True)
            )
            excess[f"{profile} nothing to measure"] = sum(value is None for value in found)
            then = breaches(summary)
            for name in sorted({*then, *now[profile]}):
                excess[f"{profile} {name}"] = then.get(name, 0) - now[profile].get(name, 0)
        return Found(values, excess, more)

    present = found_of(summaries)
    taken_up: int | None = None  # trials that were kept from an earlier run
    known[json.dumps(tuned.base, sort_keys=True)] = present

    def evaluate(point: Mapping[str, Any], number: int) -> Found:
        settings = settings_of(plan.policy, tuned.base, point)
        key = json.dumps(settings, sort_keys=True)
        nonlocal taken_up
        if taken_up is None:
            taken_up = number
            reporter.spared(tuned.profiles, number * worlds.replications)
        if key in known:
            reporter.spared(tuned.profiles, worlds.replications)
        else:
            title = f"trial {number + 1} of {plan.trials}"
            before = copy(worlds.cost)
            known[key] = found_of(worlds.run(settings, reporter.part(title)))
            message = ", ".join(
                f"{each.id} {value:.4g}" for each, value in zip(measures, known[key].values, strict=True)
            )
            outcome = message + ("" if known[key].feasible else ", infeasible")
            reporter.done(title, _since(worlds.cost, before), outcome, minor=True)
        return known[key]

    trials = search(plan, evaluate, storage)
    if taken_up is None:
        reporter.spared(tuned.profiles, plan.trials * worlds.replications)
    return trials, present


def _since(cost: Cost, before: Cost) -> Cost:

    return Cost(cost.seconds - before.seconds, cost.replications - before.replications)


def _found(found: Found) -> dict[str, Any]:

    return {
        "values": [rounded(value) for value in found.values],
        "by_profile": {profile: [rounded(value) for value in values] for profile, values in found.by_profile.items()},
        "beside": {profile: [rounded(value) for value in values] for profile, values in found.secondary.items()},
        "excess": {name: excess for name, excess in found.excess.items() if excess > 0},
        "feasible": found.feasible,
    }


def _verdicts(judged: Judged, ids: Sequence[str]) -> str:
    return "; ".join(
        f"{profile}: " + ", ".join(f"{each} {measures[each]['verdict']}" for each in ids)
        for profile, measures in judged.by_profile.items()
    )


def _sensitivity(
    policy: str, base: Mapping[str, Any], settings: Mapping[str, Any], backends: Mapping[str, Any]
) -> dict[str, Any] | None:
    """By the closed form, which there is for `cancel_and_retry` only."""
    if policy != CLOSED_FORM:
        return None

    candidate, present = RetrySettings(**settings), RetrySettings(**base)
    return {
        "perturbed": perturbed(candidate, present, backends),
        "ranges": {name: list(ends) for name, ends in RANGES.items()},
        "sobol": {profile: sobol(candidate, backend) for profile, backend in backends.items()},
    }


def _closed_form(
    tuned: Tuned,
    backends: Mapping[str, Any],
    ids: Sequence[str],
    best: Sequence[tuple[int, Mapping[str, Any]]],
    held_out: Sequence[tuple[int | None, Mapping[str, Any], Mapping[str, Mapping[str, Mapping[str, Any]]]]],
) -> dict[str, Any]:
    """The front by arithmetic beside the found one, and what held-out worlds showed beside what arithmetic expects.

    `best` has the number and the settings of each trial on the front that was found; `held_out` the number (None: the
    present settings), the settings, and what was measured by profile.
    """
    rows = []
    for number, settings, by_profile in held_out:
        for profile, values in computed(RetrySettings(**settings), backends, ids).items():
            for each, value in zip(ids, values, strict=True):
                seen = by_profile[profile][COMPARED[each]]
                interval = seen["interval"]
                rows.append(
                    {
                        "trial": number,
                        "profile": profile,
                        "objective": COMPARED[each],
                        "value": seen["value"],
                        "interval": interval,
                        "computed": rounded(value),
                        "inside": None if interval is None else bool(interval[0] <= value <= interval[1]),
                    }
                )
    found = [(number, RetrySettings(**settings)) for number, settings in best]
    return {**agreement(found, RetrySettings(**tuned.base), backends, ids), "held_out": rows}


def _origin(results: Mapping[str, Any], sets: Sequence[str]) -> dict[str, Any]:
    """Where the settings of `policy.toml` come from."""
    return {
        "made_by": "relaysim tune",
        "scenario": results["scenario"],
        "scenario_hash": results["hash"],
        "sets": list(sets),
        "code_version": results["code_version"],
        "profiles": list(results["profiles"]),
        "searched": f"{counted(len(results['trials']), 'trial')} of {counted(results['replications'], 'world')} "
        f"per profile, root seed "
        f"{results['root_seed']}, seeds 0 to {results['replications'] - 1}",
        "judged_on": f"{counted(results['held_out']['replications'], 'other world')} per profile, root seed "
        f"{results['held_out']['root_seed']}, paired with the scenario's own settings",
        "judgement": recommendation(results),
    }
