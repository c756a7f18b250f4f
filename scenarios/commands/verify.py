"""The command `verify`: claims judged on many worlds, all of them or until every rate is decided."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relaysim.scenarios.commands.ci_outputs import (
    add_github_summary,
    add_junit,
    check_ci_outputs,
    tell_github,
    write_junit,
)
from relaysim.scenarios.commands.command_line import (
    EXIT_NOT_DETERMINISTIC,
    UsageError,
    add_jobs,
    add_results,
    add_world,
    checked_folder,
    load_scenarios,
    non_negative_int,
    positive_int,
    say_results,
    share,
    show_answer,
    writing,
)
from relaysim.sim.counted import counted

STRATEGIES = ("independent", "speed-classes", "pct", "surw", "swarm", "moments", "portfolio")
"""Those of `relaysim.sim.world.exploration`, which takes long to import; a test compares them."""

if TYPE_CHECKING:
    from rich.console import Console

    from relaysim.scenarios.determinism.recheck import Recheck
    from relaysim.scenarios.model import Scenario
    from relaysim.scenarios.progress import Reporter
    from relaysim.scenarios.runner import Cost, Observe
    from relaysim.scenarios.sequential import Sequential


_PATIENCE_SECONDS, _PATIENCE_TIMES = 120.0, 5.0
"""How long to wait for the second run of the first worlds once the first has ended: this, and so many times its length."""

_BESIDES = {"lane_check": "other lane", "map": "map", "curve": "curve"}
"""What worlds are run for besides a scenario's own, by the key of its entry that they fill."""

_WAITS = "waits"
"""What the race under several times to cancel is called, where progress and time are told."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="shipped scenarios' names, or paths")
    parser.add_argument(
        "--replications", type=positive_int, metavar="N", help="worlds per scenario, instead of its own number"
    )
    parser.add_argument(
        "--sequential", action="store_true", help="stop each scenario as soon as its claims about rates are decided"
    )
    parser.add_argument(
        "--error",
        type=share,
        metavar="ALPHA",
        help="with --sequential: share of wrong verdicts that a family of claims may have; by default 0.01",
    )
    parser.add_argument(
        "--max",
        type=positive_int,
        metavar="N",
        dest="maximum",
        help="with --sequential: worlds per scenario at the most; by default ten times its own number",
    )
    parser.add_argument(
        "--strategy",
        choices=STRATEGIES,
        help="how worlds are drawn (docs/exploring.md); with any but independent only claims of kind never are judged",
    )
    add_jobs(parser)
    parser.add_argument(
        "--lane-check",
        type=non_negative_int,
        metavar="K",
        help="in lane direct: also run the first K worlds in lane sdk, and compare",
    )
    parser.add_argument(
        "--recheck",
        type=non_negative_int,
        metavar="K",
        help="how many of each scenario's first worlds to run again in a fresh process, and compare; by default 3",
    )
    add_results(parser)
    add_junit(parser)
    add_github_summary(parser)
    add_world(parser)


def verify(arguments: argparse.Namespace, observe: Observe | None = None) -> int:
    """The command `verify`; `observe` may replace what runs a replication, see `relaysim.scenarios.runner.run_batches`."""
    from relaysim.reports.answers import with_answer
    from relaysim.reports.changes import changes_since
    from relaysim.reports.claims import UnknownEventError
    from relaysim.reports.determinism import parting_words
    from relaysim.reports.exit_codes import exit_status
    from relaysim.reports.publish import publish
    from relaysim.reports.results import build_results
    from relaysim.reports.runs import named
    from relaysim.scenarios.determinism.fresh_process import FreshProcessError
    from relaysim.scenarios.determinism.recheck import same_again
    from relaysim.scenarios.first_failures import first_failures
    from relaysim.scenarios.own_relay import details, judge_waits, others_load, own_relays
    from relaysim.scenarios.progress import reporter
    from relaysim.scenarios.runner import LostWorkerError, ReplicationError
    from relaysim.scenarios.timing import code_version, cores, earlier_seconds, timing

    if arguments.strategy is not None:
        arguments.sets = [*arguments.sets, f"strategy={arguments.strategy}"]
    sequential = _sequential(arguments)
    names = arguments.scenarios or _default_scenarios(arguments.factory)
    folder_name = arguments.name or _folder_name(arguments)
    checked = checked_folder(folder_name, arguments.out)
    check_ci_outputs(arguments)
    scenarios = load_scenarios(list(dict.fromkeys(names)), arguments)
    for scenario in scenarios if sequential is not None else ():
        if scenario.strata is not None and scenario.strata.enabled:
            why = "has strata, which cannot be looked at while they come"
            raise UsageError(f"{scenario.origin.given}: {why}; leave --sequential out, or set strata.enabled=false")
    _check_strategies(scenarios, sequential)
    own = own_relays(scenarios)
    jobs = arguments.jobs or cores()
    version = code_version()  # of what runs now, not of what is there at the end
    costs: dict[str, Cost] = {}
    entries: list[dict[str, Any]] = []
    extra: dict[str, Any] = {}
    of = {scenario.name: f"{scenario.hash} {arguments.lane or scenario.lane}" for scenario in scenarios}
    races = [each for each in scenarios if each.name == "race" and each.strategy == "independent" and own is not None]
    with reporter(quiet=arguments.quiet) as shown:
        try:
            with _recheck(scenarios, arguments, sequential, observe) as recheck:
                _plan(shown, scenarios, races, arguments, sequential, jobs, earlier_seconds(checked, of), recheck)
                for scenario in scenarios:
                    entries.append(_verify_one(scenario, arguments, sequential, jobs, shown, costs, observe, recheck))
                if own is not None:
                    waits: list[dict[str, Any]] = []
                    for race in races:
                        waits, costs[_WAITS] = judge_waits(
                            race,
                            replications=arguments.replications,
                            lane=arguments.lane,
                            jobs=jobs,
                            progress=shown.part(_WAITS, lambda key: _WAITS),
                            observe=observe,
                        )
                        shown.done(_WAITS, costs[_WAITS], "done")
                    extra = {"factory": own, "waits": waits}
                shown.last("the first worlds once more")
                partings = recheck.partings(
                    _PATIENCE_SECONDS + _PATIENCE_TIMES * sum(cost.seconds for cost in costs.values())
                )
                if partings.not_deterministic:
                    extra["not_deterministic"] = list(partings.not_deterministic)
                if partings.hash_order:
                    extra["hash_order"] = list(partings.hash_order)
                if own is not None:
                    hunted = next((each for each in scenarios if each.name == "rapid_pair"), scenarios[0])
                    extra["explore"] = hunted.origin.explore_command
                    if others_load(scenarios[0].origin):
                        extra["try_all"] = scenarios[0].origin.verify_command
                    extra["details"] = details({"scenarios": entries, **extra}, waits)
        except (ReplicationError, LostWorkerError, UnknownEventError) as error:
            raise UsageError(_one_line(error, scenarios)) from error
        except FreshProcessError as error:
            raise UsageError(
                f"the process that runs the first worlds again {' '.join(str(error).split())}; "
                "--recheck 0 does without it"
            ) from error
        results = with_answer(build_results(version, entries, **extra))
        again = {"same_again": same_again(results, recheck.planned)}
        shown.last("telling the stories")
        # What runs worlds in place of the simulator tells no story.
        stories = first_failures(results, scenarios) if observe is None else []
        measured = {**timing(costs, jobs=jobs, of=of), **again}
        shown.last("drawing the page")
        with writing():
            folder = publish(results, name=folder_name, timing=measured, out=arguments.out, stories=stories)
    write_junit(arguments, results, measured)
    tell_github(arguments, results, lambda: changes_since(folder / "previous.json", results))
    say_results(arguments, results, lambda: _print(results, named(folder, arguments.out), again, full=arguments.full))
    differing = [entry for entry in entries if not entry.get("lane_check", {}).get("equal", True)]
    for entry in differing:
        seed = entry["lane_check"]["first_differing_seed"]
        print(f"relaysim: {entry['scenario']}: the lanes differ at seed {seed}", file=sys.stderr)
    for parting in partings.not_deterministic:
        print(f"relaysim: {parting_words(parting)}", file=sys.stderr)
    return EXIT_NOT_DETERMINISTIC if differing else exit_status(results)


def _plan(
    shown: Reporter,
    scenarios: Sequence[Scenario],
    races: Sequence[Scenario],
    arguments: argparse.Namespace,
    sequential: Sequential | None,
    jobs: int,
    earlier: Mapping[str, float],
    recheck: Recheck,
) -> None:
    """Say what is to be run; each batch is of a kind of its own, since the lanes differ, and so do the cells of a map."""
    from relaysim.scenarios.own_relay import waits_planned
    from relaysim.scenarios.progress import names_words
    from relaysim.scenarios.verdicts import worlds_planned

    kinds: dict[str, dict[str, int]] = {}
    for each in scenarios:
        planned = worlds_planned(each, arguments.replications, arguments.lane, arguments.lane_check, sequential)
        kinds[each.name] = {f"{each.name}: {key}": worlds for key, worlds in planned.items()}
    if races:
        kinds[_WAITS] = {_WAITS: waits_planned(arguments.replications)}

    def by_kind(seconds: Mapping[str, float]) -> dict[str, float]:
        return {kind: seconds[name] for name, its in kinds.items() if name in seconds for kind in its}

    shown.plan(
        names_words([each.name for each in scenarios]),
        {kind: worlds for its in kinds.values() for kind, worlds in its.items()},
        jobs=jobs,
        at_most=sequential is not None,
        earlier=by_kind(earlier),
        elsewhere=lambda: by_kind(recheck.measured()),
    )


def _check_strategies(scenarios: Sequence[Scenario], sequential: Sequential | None) -> None:
    """Worlds of a strategy have no rates, so something else must be there to judge."""
    for scenario in scenarios:
        if scenario.strategy == "independent":
            continue
        if sequential is not None:
            why = "stops by rates, and its strategy draws worlds that have none"
            raise UsageError(f"{scenario.origin.given}: --sequential {why}; leave --sequential out")
        if not scenario.claims:
            raise UsageError(
                f"{scenario.origin.given}: strategy {scenario.strategy} can judge claims of kind never, and there is none; "
                "leave the strategy out"
            )


def _sequential(arguments: argparse.Namespace) -> Sequential | None:
    if not arguments.sequential:
        for option, given in (("--error", arguments.error), ("--max", arguments.maximum)):
            if given is not None:
                raise UsageError(f"{option}: is for --sequential, which was not given")
        return None
    if arguments.replications is not None:
        raise UsageError("--replications: --sequential stops by itself; give --max to say when at the latest")
    from relaysim.reports.claims import ALPHA
    from relaysim.scenarios.sequential import Sequential

    return Sequential(ALPHA if arguments.error is None else arguments.error, arguments.maximum)


def _one_line(error: Exception, scenarios: Sequence[Scenario]) -> str:
    from relaysim.scenarios.runner import ReplicationError

    message = " ".join(str(error).split())
    if isinstance(error, ReplicationError) and error.says_all:
        message += "; nothing is judged"
    elif isinstance(error, ReplicationError):
        origin = next(scenario.origin for scenario in scenarios if scenario.name == error.scenario)
        message += f"; see it: {origin.replay_template(dict(error.values)).replace('{seed}', str(error.seed))}"
    return message


def _default_scenarios(factory: str | None) -> Sequence[str]:
    if factory is not None:
        from relaysim.scenarios.own_relay import OWN_RELAY

        return OWN_RELAY
    from relaysim.scenarios.scenario_files import INCIDENT

    return INCIDENT


def _folder_name(arguments: argparse.Namespace) -> str:
    if arguments.factory is not None:
        return "relay"
    if not arguments.scenarios:
        return "incident"
    return Path(arguments.scenarios[0]).stem if len(arguments.scenarios) == 1 else "verify"


def _verify_one(
    scenario: Scenario,
    arguments: argparse.Namespace,
    sequential: Sequential | None,
    jobs: int,
    shown: Reporter,
    costs: dict[str, Cost],
    observe: Observe | None,
    recheck: Recheck,
) -> dict[str, Any]:
    from relaysim.scenarios.verdicts import verify_scenario

    entry, cost = verify_scenario(
        scenario,
        replications=arguments.replications,
        lane=arguments.lane,
        lane_check=arguments.lane_check,
        jobs=jobs,
        progress=shown.part(scenario.name, lambda key: f"{scenario.name}: {key}"),
        observe=observe,
        sequential=sequential,
        recheck=recheck,
    )
    costs[scenario.name] = cost
    shown.spared([f"{scenario.name}: main"])  # where it was decided before all of them were run
    verdicts = [claim["verdict"] for claim in entry["claims"]]
    counts = {verdict: verdicts.count(verdict) for verdict in ("refuted", "inconclusive", "verified")}
    description = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    if besides := cost.replications - entry["replications"]:
        what = [name for key, name in _BESIDES.items() if key in entry]
        description = f"{description or 'no claim'} ({besides:,} of them for the {' and the '.join(what)})"
    shown.done(scenario.name, cost, description or "no claim")
    return entry


def _recheck(
    scenarios: Sequence[Scenario],
    arguments: argparse.Namespace,
    sequential: Sequential | None,
    observe: Observe | None,
) -> Recheck:
    from relaysim.scenarios.determinism import recheck
    from relaysim.scenarios.verdicts import worlds_at_least

    seeds = recheck.SEEDS if arguments.recheck is None else arguments.recheck
    if observe is not None:
        seeds = 0  # what runs worlds here exists in this process only
    return recheck.Recheck(
        [
            recheck.Planned(
                each,
                arguments.lane or each.lane,
                min(seeds, worlds_at_least(each, arguments.replications, sequential)),
            )
            for each in scenarios
        ]
    )


def _print(results: Mapping[str, Any], folder: Path, checked: Mapping[str, Any], *, full: bool) -> None:
    from relaysim.reports.determinism import same_again_words
    from relaysim.reports.terminal import print_report, print_sentences

    def rest(console: Console, results: Mapping[str, Any]) -> None:
        print_report(console, results)
        print_sentences(console, *(_lanes_words(entry) for entry in results["scenarios"] if "lane_check" in entry))
        print_sentences(console, same_again_words(checked))

    show_answer(results, [("Report", folder / "index.html")], rest if full else None)


def _lanes_words(entry: Mapping[str, Any]) -> str:
    check = entry["lane_check"]
    equal = "the same fingerprints" if check["equal"] else "DIFFERENT FINGERPRINTS"
    return f"Lanes: {entry['scenario']} left {equal} in both for {counted(check['seeds'], 'seed')}."
