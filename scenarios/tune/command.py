"""The command `tune`: search a policy's settings, judge the best again, and write the one to take as a policy file.

Importing this module imports nothing that takes time; `tune` does.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relaysim.scenarios.command_line import (
    STUDY,
    UsageError,
    add_jobs,
    add_lane,
    add_results,
    add_sets,
    checked_folder,
    count,
    names,
    say_results,
    show,
    writing,
)

if TYPE_CHECKING:
    from relaysim.scenarios.runner import Cost, Observe
    from relaysim.scenarios.tune.held_out import Judged
    from relaysim.scenarios.tune.objectives import Objective
    from relaysim.scenarios.tune.study import Found, Search, Trial
    from relaysim.scenarios.tune.worlds import Tuned, Worlds

BUDGET = 60
REPLICATIONS = 500
HELD_OUT = 4000
JUDGED = 6
PROFILES = ("claimed", "typical")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("scenario", metavar="SCENARIO", help="a shipped scenario's name, or a path")
    parser.add_argument(
        "--policy", metavar="NAME", help="cancel_and_retry or drain; by default the scenario's own relay"
    )
    parser.add_argument("--budget", type=count, default=BUDGET, metavar="N", help=f"trials; by default {BUDGET}")
    parser.add_argument(
        "--replications",
        type=count,
        default=REPLICATIONS,
        metavar="N",
        help=f"worlds per trial and profile; by default {REPLICATIONS}",
    )
    parser.add_argument(
        "--held-out",
        type=count,
        default=HELD_OUT,
        metavar="N",
        help=f"worlds per judged candidate and profile, which the search never saw; by default {HELD_OUT}",
    )
    parser.add_argument(
        "--judged",
        type=count,
        default=JUDGED,
        metavar="N",
        help=f"candidates that are judged again; by default {JUDGED}",
    )
    parser.add_argument(
        "--objectives",
        type=names,
        default=None,
        metavar="O,O,...",
        help="what to make small: failures, added_delay, api_calls; by default all three",
    )
    parser.add_argument(
        "--profiles",
        type=names,
        default=list(PROFILES),
        metavar="P,P,...",
        help=f"the backends to be good under: names or paths; by default {','.join(PROFILES)}",
    )
    add_lane(parser)
    add_sets(parser)
    add_jobs(parser)
    parser.add_argument(
        "--study",
        type=Path,
        metavar="FILE.db",
        help="where the trials are kept, so that an interrupted search goes on; by default study.db among the results",
    )
    add_results(parser)


def tune(arguments: argparse.Namespace, observe: Observe | None = None) -> int:
    """The command; `observe` may replace what runs a replication, see `relaysim.scenarios.runner.run_batches`."""
    from relaysim.reports.tune_page import publish_tuning
    from relaysim.scenarios.problems import ScenarioError
    from relaysim.scenarios.progress import reporter
    from relaysim.scenarios.runner import Cost, LostWorkerError, ReplicationError, here_on_path
    from relaysim.scenarios.timing import code_version, cores, timing
    from relaysim.scenarios.tune.alone import alone
    from relaysim.scenarios.tune.policy_text import policy_text
    from relaysim.scenarios.tune.study import check_file, check_place
    from relaysim.scenarios.tune.worlds import load_tuned

    wanted = _objectives(arguments.objectives)
    if not arguments.profiles:
        raise UsageError(f"--profiles: there is none; name one or more, such as {','.join(PROFILES)}")
    here_on_path()
    try:
        tuned = load_tuned(arguments.scenario, arguments.policy, arguments.profiles, arguments.sets)
    except ScenarioError as error:
        raise UsageError(str(error)) from error
    name = arguments.name or f"tune-{tuned.scenario.name}"
    folder = checked_folder(name, arguments.out, own=STUDY)
    storage = arguments.study or folder / STUDY
    jobs, version = arguments.jobs or cores(), code_version()
    costs = {"search": Cost(), "held-out": Cost()}
    check_place(storage)
    with alone(folder, storage):
        check_file(storage)
        try:
            with reporter(quiet=arguments.quiet) as shown:
                results, settings = _tune(arguments, tuned, wanted, version, jobs, storage, costs, shown, observe)
        except (ReplicationError, LostWorkerError) as error:
            raise UsageError(" ".join(str(error).split())) from error
        except KeyboardInterrupt:
            print(f"relaysim: the same command goes on from the trials kept in {storage}", file=sys.stderr)
            raise
        text = policy_text(tuned.policy, settings, results["policy_origin"])
        with writing():
            publish_tuning(results, text, name=name, timing=timing(costs, jobs=jobs), out=arguments.out)
    say_results(arguments, results, lambda: _print(results, folder))
    return 0


def _print(results: Mapping[str, Any], folder: Path) -> None:
    from relaysim.reports.tune_terminal import print_tuning

    show(lambda console: print_tuning(console, results, folder=folder))


def _objectives(given: Sequence[str] | None) -> Sequence[str]:
    from relaysim.scenarios.tune.objectives import IDS

    if given is None:
        return IDS
    wrong = [each for each in given if each not in IDS]
    if wrong or not given:
        said = f"there is no objective {wrong[0]!r}" if wrong else "there is none"
        raise UsageError(f"--objectives: {said}; there are {', '.join(IDS)}")
    return tuple(each for each in IDS if each in given)


def _tune(
    arguments: argparse.Namespace,
    tuned: Tuned,
    wanted: Sequence[str],
    version: str,
    jobs: int,
    storage: Path,
    costs: Mapping[str, Cost],
    shown: Any,
    observe: Observe | None,
) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """The content of `results.json`, and the settings to take."""
    from relaysim.scenarios.tune.closed_form import Backend
    from relaysim.scenarios.tune.held_out import DIFFERING_MIN, WORLDS_MIN, choose, front, judge, measured, recommended
    from relaysim.scenarios.tune.objectives import IDS, beside, objectives
    from relaysim.scenarios.tune.space import SPACES, effective, settings_of, starts
    from relaysim.scenarios.tune.study import Search, check_identity, importances
    from relaysim.scenarios.tune.worlds import Worlds

    scenario, policy = tuned.scenario, tuned.policy
    lane = arguments.lane or scenario.lane
    measures = objectives(policy, wanted)
    backends = {profile: Backend.of(under.backend) for profile, under in tuned.profiles.items()}

    def worlds(root_seed: int, replications: int, cost: str) -> Worlds:
        return Worlds(tuned, root_seed, replications, lane, jobs, observe, costs[cost])

    identity = {
        "scenario": scenario.hash,
        "profiles": {profile: under.hash for profile, under in tuned.profiles.items()},
        "policy": policy,
        "code version": version,
        "replications": arguments.replications,
        "lane": lane,
        "objectives": list(wanted),
    }
    plan = Search(
        policy,
        wanted,
        starts(policy, tuned.base, list(backends.values()))[: arguments.budget],
        arguments.budget,
        scenario.root_seed,
        identity,
    )
    check_identity(plan, storage)
    trials, present = _search(
        plan, tuned, measures, worlds(scenario.root_seed, arguments.replications, "search"), storage, shown
    )
    own = effective(policy, tuned.base)
    chosen = choose(
        trials,
        present,
        arguments.judged,
        _computed_gain(policy, tuned.base, backends) if wanted == IDS else None,
        leave_out=lambda trial: effective(policy, settings_of(policy, tuned.base, trial.point)) == own,
    )
    held_out = worlds(scenario.root_seed + 1, arguments.held_out, "held-out")
    told = [*measures, *beside(policy)]
    base = held_out.run(tuned.base, shown.scenario("held-out: present settings"))
    judged: list[Judged] = []
    for at, trial in enumerate(chosen, 1):
        title = f"held-out: candidate {at} of {len(chosen)}"
        before = copy(costs["held-out"])
        summaries = held_out.run(settings_of(policy, tuned.base, trial.point), shown.scenario(title))
        judged.append(judge(summaries, base, told))
        shown.done(title, _since(costs["held-out"], before), _verdicts(judged[-1], wanted))
    place = recommended(judged, wanted)
    settings = tuned.base if place is None else settings_of(policy, tuned.base, chosen[place].point)
    best = front(trials)
    on_front = {trial.number for trial in best}
    measured_now = measured(base, told)
    results: dict[str, Any] = {
        "schema": 1,
        "kind": "tune",
        "code_version": version,
        "scenario": scenario.name,
        "given": scenario.origin.given,
        "title": scenario.title,
        "hash": scenario.hash,
        "sets": dict(scenario.origin.settings),
        "policy": policy,
        "lane": lane,
        "profiles": {profile: under.hash for profile, under in tuned.profiles.items()},
        "objectives": [each.describe() for each in measures],
        "beside": [each.describe() for each in beside(policy)],
        "parameters": [each.describe() for each in SPACES[policy]],
        "root_seed": scenario.root_seed,
        "replications": arguments.replications,
        "budget": arguments.budget,
        "starts": len(plan.starts),
        "present": {"settings": tuned.base, "search": _found(present), "held_out": measured_now},
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
            "replications": arguments.held_out,
            "replications_min": WORLDS_MIN,
            "differing_min": DIFFERING_MIN,
        },
        "judged": [
            {
                "trial": trial.number,
                "settings": settings_of(policy, tuned.base, trial.point),
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
    if policy == "cancel_and_retry":
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
    results["policy_origin"] = _origin(results, arguments.sets)
    return results, settings


def _computed_gain(
    policy: str, base: Mapping[str, Any], backends: Mapping[str, Any]
) -> Callable[[Trial], float] | None:
    """What a trial gains on the present settings where it gains least, by the closed form; None where there is none."""
    if policy != "cancel_and_retry":
        return None
    from relaysim.relay import RetrySettings
    from relaysim.scenarios.tune.agreement import computed
    from relaysim.scenarios.tune.objectives import IDS, gain
    from relaysim.scenarios.tune.space import settings_of

    def values(settings: Mapping[str, Any]) -> list[list[float]]:
        return list(computed(RetrySettings(**settings), backends, IDS).values())

    now = values(base)
    return lambda trial: gain(values(settings_of(policy, base, trial.point)), now)


def _search(
    plan: Search, tuned: Tuned, measures: Sequence[Objective], worlds: Worlds, storage: Path, shown: Any
) -> tuple[list[Trial], Found]:
    """The trials, and what the present settings do in the same worlds."""
    import json

    from relaysim.scenarios.tune.objectives import beside, breaches
    from relaysim.scenarios.tune.space import settings_of
    from relaysim.scenarios.tune.study import Found, search

    summaries = worlds.run(tuned.base, shown.scenario("present settings"))
    for profile, summary in summaries.items():
        for each in measures:
            if each.value(summary) is None:
                raise UsageError(
                    f"{tuned.scenario.origin.given} under {profile}: in {summary.replications:,} worlds there was none "
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
            more[profile] = tuple(each.value(summary) or 0.0 for each in beside(plan.policy))
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
    known[json.dumps(tuned.base, sort_keys=True)] = present

    def evaluate(point: Mapping[str, Any], number: int) -> Found:
        settings = settings_of(plan.policy, tuned.base, point)
        key = json.dumps(settings, sort_keys=True)
        if key not in known:
            title = f"trial {number + 1} of {plan.trials}"
            before = copy(worlds.cost)
            known[key] = found_of(worlds.run(settings, shown.scenario(title)))
            said = ", ".join(f"{each.id} {value:.4g}" for each, value in zip(measures, known[key].values, strict=True))
            shown.done(title, _since(worlds.cost, before), said + ("" if known[key].feasible else ", infeasible"))
        return known[key]

    return search(plan, evaluate, storage), present


def _since(cost: Cost, before: Cost) -> Cost:
    from relaysim.scenarios.runner import Cost

    return Cost(cost.seconds - before.seconds, cost.replications - before.replications)


def _found(found: Found) -> dict[str, Any]:
    from relaysim.reports.statistics import rounded

    return {
        "values": [rounded(value) for value in found.values],
        "by_profile": {profile: [rounded(value) for value in values] for profile, values in found.by_profile.items()},
        "beside": {profile: [rounded(value) for value in values] for profile, values in found.beside.items()},
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
    if policy != "cancel_and_retry":
        return None
    from relaysim.relay import RetrySettings
    from relaysim.scenarios.tune.sensitivity import RANGES, perturbed, sobol

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
    from relaysim.relay import RetrySettings
    from relaysim.reports.statistics import rounded
    from relaysim.scenarios.tune.agreement import COMPARED, agreement, computed

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
    from relaysim.reports.tune import recommendation

    return {
        "made_by": "relaysim tune",
        "scenario": results["scenario"],
        "scenario_hash": results["hash"],
        "sets": list(sets),
        "code_version": results["code_version"],
        "profiles": list(results["profiles"]),
        "searched": f"{len(results['trials'])} trials of {results['replications']} worlds per profile, root seed "
        f"{results['root_seed']}, seeds 0 to {results['replications'] - 1}",
        "judged_on": f"{results['held_out']['replications']} other worlds per profile, root seed "
        f"{results['held_out']['root_seed']}, paired with the scenario's own settings",
        "judgement": recommendation(results),
    }
