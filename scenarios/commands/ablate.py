"""The command `ablate`: the safeguards of the policy `drain` taken away one by one."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from relaysim.scenarios.commands.command_line import (
    UsageError,
    add_jobs,
    add_lane,
    add_sets,
    checked_folder,
    folder,
    positive_int,
    say_results,
    show,
    writing,
)

if TYPE_CHECKING:
    from relaysim.scenarios.runner import Observe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="ablations, e.g. no_fencing; by default all")
    parser.add_argument(
        "--scenario", metavar="SCENARIO", help="a shipped scenario's name, or a path; by default each one's own"
    )
    parser.add_argument(
        "--replications",
        type=positive_int,
        metavar="N",
        help="worlds per ablation and root seed, instead of the scenario's",
    )
    parser.add_argument("--root-seeds", type=positive_int, metavar="N", help="how many root seeds; by default 5")
    add_jobs(parser)
    parser.add_argument("--out", type=folder, metavar="DIR", help="folder of the results")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    add_lane(parser)
    add_sets(parser)


def ablate(arguments: argparse.Namespace, observe: Observe | None = None) -> int:
    """The command `ablate`; `observe` may replace what runs a replication, see `relaysim.scenarios.runner.run_batches`."""
    from relaysim.reports.results import write_results, write_timing
    from relaysim.reports.runs import link_latest, new_run
    from relaysim.scenarios.ablations.measure import ROOTS, load_ablations, measure, surprises, worlds_planned
    from relaysim.scenarios.problems import ScenarioError
    from relaysim.scenarios.progress import names_words, reporter
    from relaysim.scenarios.runner import LostWorkerError, ReplicationError, here_on_path
    from relaysim.scenarios.timing import code_version, cores, earlier_seconds, timing

    here_on_path()
    checked = checked_folder("ablate", arguments.out)
    try:
        loaded = load_ablations(arguments.names, arguments.sets, arguments.scenario)
    except ScenarioError as error:
        raise UsageError(str(error)) from error
    version = code_version()
    jobs = arguments.jobs or cores()
    try:
        roots = arguments.root_seeds or ROOTS
        relays = " ".join(f"{arguments.lane or each.scenario.lane} {each.scenario.hash}" for each in loaded)
        of = {"ablations": sha256(relays.encode()).hexdigest()[:16]}
        with reporter(quiet=arguments.quiet) as shown:
            kinds = worlds_planned(loaded, arguments.replications, roots)
            earlier = earlier_seconds(checked, of)
            shown.plan(
                f"drain without {names_words([each.ablation.name for each in loaded])}",
                kinds,
                jobs=jobs,
                earlier={kind: seconds for seconds in earlier.values() for kind in kinds},
            )
            results, cost = measure(
                loaded,
                replications=arguments.replications,
                roots=roots,
                lane=arguments.lane,
                jobs=jobs,
                progress=shown.part("ablations"),
                observe=observe,
            )
            wrong = surprises(results)
            shown.done("ablations", cost, f"{len(wrong)} not as expected" if wrong else "as expected")
    except ReplicationError as error:
        given = ", ".join(f"{path}={value}" for path, value in error.values)
        raise UsageError(
            f"{error.scenario} with {given}, seed {error.seed}: {' '.join(error.reason.split())}"
        ) from error
    except LostWorkerError as error:
        raise UsageError(str(error)) from error
    results["code_version"] = version
    with writing():
        folder = new_run("ablate", arguments.out)
        write_results(folder, results)
        write_timing(folder, timing({"ablations": cost}, jobs=jobs, of=of))
        if arguments.out is None:
            link_latest(folder)
    say_results(arguments, results, lambda: _print_ablations(results, wrong))
    return 1 if wrong else 0


def _print_ablations(results: Mapping[str, Any], wrong: Sequence[str]) -> None:
    from relaysim.scenarios.ablations.ablations_page import print_ablations

    show(lambda console: print_ablations(console, results, wrong))
