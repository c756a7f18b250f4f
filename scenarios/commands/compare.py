"""The command `compare`: several policies in the same worlds."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relaysim.scenarios.commands.command_line import (
    UsageError,
    add_api,
    add_jobs,
    add_lane,
    add_results,
    add_sets,
    checked_folder,
    names,
    positive_int,
    say_results,
    show_answer,
    writing,
)
from relaysim.sim.counted import counted

if TYPE_CHECKING:
    from relaysim.scenarios.runner import Observe

_POLICIES_HELP = (
    "at least two, with commas: one of the relay's own (by default check_then_act, cancel_and_retry, drain; over Responses "
    "retry_on_lock, quiet_window, chained, drain), package.module:function as for --factory, or a policy file (FILE.toml); "
    "LABEL=POLICY names it otherwise, so that one can be compared with itself under other settings"
)
_POLICY_SETTINGS_HELP = (
    "give one policy a setting, e.g. check_then_act.lock_retry_seconds=0.5, or one group of its workers with "
    "drain.workers[1].key_prefix=other:; VALUE as in TOML, or else a text; can be given several times"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("scenario", metavar="SCENARIO", help="a shipped scenario's name, or a path")
    parser.add_argument("--policies", type=names, metavar="P,P,...", help=_POLICIES_HELP)
    parser.add_argument(
        "--settings", action="append", default=[], metavar="POLICY.KEY=VALUE", help=_POLICY_SETTINGS_HELP
    )
    parser.add_argument(
        "--replications", type=positive_int, metavar="N", help="worlds per policy, instead of the scenario's own number"
    )
    add_jobs(parser)
    add_results(parser)
    add_lane(parser)
    add_sets(parser)
    add_api(parser)


def compare(arguments: argparse.Namespace, observe: Observe | None = None) -> int:
    """The command `compare`; `observe` may replace what runs a replication, see `relaysim.scenarios.runner.run_batches`."""
    from relaysim.reports.answers import with_answer
    from relaysim.reports.comparison_page import publish_comparison
    from relaysim.reports.runs import named
    from relaysim.scenarios.first_failures import compared_failures
    from relaysim.scenarios.policy_comparison import compare_policies, load_comparison
    from relaysim.scenarios.problems import ScenarioError
    from relaysim.scenarios.progress import reporter
    from relaysim.scenarios.runner import LostWorkerError, ReplicationError, here_on_path
    from relaysim.scenarios.timing import code_version, cores, earlier_seconds, timing

    here_on_path()
    try:
        comparison = load_comparison(
            arguments.scenario,
            arguments.policies,
            arguments.sets,
            arguments.settings,
        )
    except ScenarioError as error:
        raise UsageError(str(error)) from error
    name = comparison.scenario.name
    folder_name = arguments.name or f"compare-{name}"
    checked = checked_folder(folder_name, arguments.out)
    jobs = arguments.jobs or cores()
    count = arguments.replications or comparison.scenario.replications
    policies = [each.name for each in comparison.policies]
    of = {name: " ".join([comparison.lane(arguments.lane), *(each.scenario.hash for each in comparison.policies)])}
    earlier = earlier_seconds(checked, of)
    with reporter(quiet=arguments.quiet) as shown:
        shown.plan(
            f"{name} under {counted(len(policies), 'policy')}",
            dict.fromkeys(policies, count),
            jobs=jobs,
            earlier={policy: seconds for seconds in earlier.values() for policy in policies},
        )
        try:
            results, cost = compare_policies(
                comparison,
                code_version=code_version(),
                replications=arguments.replications,
                lane=arguments.lane,
                jobs=jobs,
                progress=shown.part(name),
                observe=observe,
            )
        except ReplicationError as error:
            policy, replay = comparison.replay(dict(error.values), error.seed)
            message = " ".join(error.reason.split())
            raise UsageError(f"{name} with {policy}, seed {error.seed}: {message}; see it: {replay}") from error
        except LostWorkerError as error:
            raise UsageError(str(error)) from error
        shown.done(name, cost, ", ".join(policies))
        shown.last("telling the stories")
        results = with_answer(results)
        # What runs worlds in place of the simulator tells no story.
        stories = compared_failures(results, comparison) if observe is None else []
        took = timing({name: cost}, jobs=jobs, of=of)
        shown.last("drawing the page")
        with writing():
            folder = publish_comparison(results, name=folder_name, timing=took, out=arguments.out, stories=stories)
    say_results(arguments, results, lambda: _print(results, named(folder, arguments.out), full=arguments.full))
    return 0


def _print(results: Mapping[str, Any], folder: Path, *, full: bool) -> None:
    from relaysim.reports.comparison_terminal import print_comparison

    show_answer(results, [("Report", folder / "index.html")], print_comparison if full else None)
