"""The command `tune`: search a policy's settings, judge the best again, and write the one to take as a policy file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relaysim.scenarios.commands.command_line import (
    STUDY,
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

if TYPE_CHECKING:
    from relaysim.scenarios.runner import Observe

BUDGET = 60
REPLICATIONS = 500
HELD_OUT = 4000
JUDGED = 6
PROFILES = ("claimed", "typical")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("scenario", metavar="SCENARIO", help="a shipped scenario's name, or a path")
    parser.add_argument(
        "--policy",
        metavar="NAME",
        help="which policy, by default the scenario's own relay; over Threads cancel_and_retry, cancel_and_retry_as_run, "
        "drain; over Responses retry_on_lock, quiet_window, drain",
    )
    parser.add_argument("--budget", type=positive_int, default=BUDGET, metavar="N", help=f"trials; by default {BUDGET}")
    parser.add_argument(
        "--replications",
        type=positive_int,
        default=REPLICATIONS,
        metavar="N",
        help=f"worlds per trial and profile; by default {REPLICATIONS}",
    )
    parser.add_argument(
        "--held-out",
        type=positive_int,
        default=HELD_OUT,
        metavar="N",
        help=f"worlds per judged candidate and profile, which the search never saw; by default {HELD_OUT}",
    )
    parser.add_argument(
        "--judged",
        type=positive_int,
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
    add_api(parser)
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
    from relaysim.reports.answers import with_answer
    from relaysim.reports.runs import named
    from relaysim.reports.tune_page import publish_tuning
    from relaysim.scenarios.first_failures import tuned_failures
    from relaysim.scenarios.problems import ScenarioError
    from relaysim.scenarios.progress import reporter
    from relaysim.scenarios.runner import Cost, LostWorkerError, ReplicationError, here_on_path
    from relaysim.scenarios.timing import code_version, cores, earlier_seconds, timing
    from relaysim.scenarios.tune.candidate_worlds import load_tuned
    from relaysim.scenarios.tune.policy_text import policy_text
    from relaysim.scenarios.tune.study import check_file, check_place
    from relaysim.scenarios.tune.tuning import TuningOptions, tuning_of, tuning_results

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
    options = TuningOptions(
        objectives=wanted,
        budget=arguments.budget,
        replications=arguments.replications,
        held_out=arguments.held_out,
        judged=arguments.judged,
        lane=arguments.lane,
        jobs=arguments.jobs or cores(),
        sets=arguments.sets,
        storage=storage,
        code_version=code_version(),
    )
    costs = {"search": Cost(), "held-out": Cost()}
    check_place(storage)
    with _locked(folder, storage):
        check_file(storage)
        of = dict.fromkeys(costs, tuning_of(tuned, options))
        try:
            with reporter(quiet=arguments.quiet) as shown:
                results, settings = tuning_results(
                    tuned, options, costs, shown, observe, earlier=earlier_seconds(folder, of)
                )
                results = with_answer(results)
                shown.last("telling the stories")
                # What runs worlds in place of the simulator tells no story.
                stories = tuned_failures(results, tuned, settings) if observe is None else []
                shown.last("drawing the page")
                text = policy_text(tuned.policy, settings, results["policy_origin"])
                took = timing(costs, jobs=options.jobs, of=of)
                with writing():
                    written = publish_tuning(results, text, name=name, timing=took, out=arguments.out, stories=stories)
        except (ReplicationError, LostWorkerError) as error:
            raise UsageError(" ".join(str(error).split())) from error
        except KeyboardInterrupt:
            print(f"relaysim: the same command goes on from the trials kept in {storage}", file=sys.stderr)
            raise
    say_results(arguments, results, lambda: _print(results, named(written, arguments.out), full=arguments.full))
    return 0


def _print(results: Mapping[str, Any], folder: Path, *, full: bool) -> None:
    from relaysim.reports.tune_terminal import print_tuning

    files = [("Policy", folder / "policy.toml"), ("Report", folder / "index.html")]
    show_answer(results, files, print_tuning if full else None)


def _objectives(given: Sequence[str] | None) -> Sequence[str]:
    from relaysim.scenarios.tune.objectives import IDS
    from relaysim.sim.validation_words import did_you_mean

    if given is None:
        return IDS
    wrong = [each for each in given if each not in IDS]
    if wrong or not given:
        message = f"there is no objective {wrong[0]!r}" if wrong else "there is none"
        there = did_you_mean(wrong[0], IDS, what="there are") if wrong else f"there are: {', '.join(IDS)}"
        raise UsageError(f"--objectives: {message}; {there}")
    return tuple(each for each in IDS if each in given)


@contextmanager
def _locked(folder: Path, study: Path) -> Iterator[None]:
    """Hold the results folder and the study for this process: two searches would take each other's trials for their own.

    Raises:
        UsageError: if another process holds one of them, or it cannot be locked.
    """
    from relaysim.scenarios.file_locks import FileLockError, lock_file

    real = study.resolve()
    asked = (
        (
            folder / ".tune.lock",
            str(folder),
            "another search is writing it; wait for that one, or name another folder with --out or --name",
        ),
        (
            real.with_name(f".{real.name}.lock"),
            f"--study {study}",
            "another search is going on in it; wait for that one, or name another file",
        ),
    )
    with ExitStack() as held:
        for path, what, message in asked:
            try:
                lock = lock_file(path, message)
            except FileLockError as error:
                raise UsageError(f"{what}: {error}") from error
            held.callback(lock.release)
        yield
