"""The command `sweep`: its options, and what it prints, writes and complains of."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relaysim.scenarios.commands.command_line import (
    EXIT_NOT_DETERMINISTIC,
    JOURNAL,
    UsageError,
    add_jobs,
    add_results,
    add_world,
    checked_folder,
    positive_int,
    say_results,
    show_answer,
    writing,
)
from relaysim.sim.counted import counted

if TYPE_CHECKING:
    from relaysim.scenarios.engines import Engine
    from relaysim.scenarios.progress import Reporter
    from relaysim.scenarios.runner import Observe, ReplicationError
    from relaysim.scenarios.sweep.points import Plan
    from relaysim.scenarios.sweep.sweep_worlds import Ran, Worlds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("scenario", metavar="SCENARIO", help="a shipped scenario's name, or a path")
    parser.add_argument(
        "--grid",
        action="append",
        default=[],
        metavar="PATH=V1,V2,...",
        dest="grids",
        help="values of one path; given several times, the points are all combinations",
    )
    parser.add_argument(
        "--list",
        type=Path,
        metavar="FILE.csv",
        dest="listed",
        help="the points as a table: paths in the first line, a point in each other",
    )
    parser.add_argument(
        "--replications", type=positive_int, metavar="N", help="worlds per point, instead of the scenario's own number"
    )
    add_jobs(parser)
    parser.add_argument(
        "--engine", choices=("local", "dask"), default="local", help="where the worlds are run; by default here"
    )
    parser.add_argument(
        "--scheduler", metavar="ADDRESS", help="with --engine dask: the scheduler, e.g. tcp://10.0.0.5:8786"
    )
    add_results(parser, out="folder of the results; what is done there already is not run again")
    add_world(parser)


def sweep(arguments: argparse.Namespace, observe: Observe | None = None) -> int:
    """The command; `observe` may replace what runs a replication, see `relaysim.scenarios.runner.run_batches`."""
    from relaysim.reports.answers import with_answer
    from relaysim.reports.runs import named
    from relaysim.reports.sweep_page import publish_sweep
    from relaysim.scenarios.chunks import DifferingChunksError, Journal, JournalError
    from relaysim.scenarios.engines import ClusterError, SchedulerLostError
    from relaysim.scenarios.first_failures import swept_failures
    from relaysim.scenarios.policy import load_policy_file, sets_with_policy
    from relaysim.scenarios.problems import ScenarioError
    from relaysim.scenarios.progress import reporter
    from relaysim.scenarios.runner import LostWorkerError, ReplicationError, here_on_path
    from relaysim.scenarios.sweep.points import load_plan
    from relaysim.scenarios.sweep.sweep_results import measure
    from relaysim.scenarios.sweep.sweep_worlds import Ran, take_up, worlds_of
    from relaysim.scenarios.timing import code_version, earlier_seconds, timing

    here_on_path()
    try:
        sets = arguments.sets
        if arguments.policy is not None:
            sets = sets_with_policy(arguments.scenario, load_policy_file(arguments.policy), sets)
        plan = load_plan(
            arguments.scenario,
            grids=arguments.grids,
            listed=arguments.listed,
            sets=sets,
            factory=arguments.factory,
            option=arguments.factory_option,
        )
    except ScenarioError as error:
        raise UsageError(str(error)) from error
    name = arguments.name or f"sweep-{plan.scenario.name}"
    folder = checked_folder(name, arguments.out, own=JOURNAL)
    version = code_version()
    worlds = worlds_of(plan, version=version, replications=arguments.replications, lane=arguments.lane)
    ran = Ran()
    points = " ".join(f"{each.key.lane} {each.key.scenario}" for each in worlds)
    of = {plan.scenario.name: sha256(points.encode()).hexdigest()[:16]}
    earlier = earlier_seconds(folder, of).get(plan.scenario.name)
    with ExitStack() as held:
        try:
            engine = _engine(arguments, plan, held)
            journal = held.enter_context(Journal(folder / JOURNAL))
            take_up(worlds, journal, ran)
            _tell(arguments, ran, journal)
            shown = held.enter_context(reporter(quiet=arguments.quiet))
            _run(plan, worlds, journal, engine, ran, observe, shown, earlier)
        except DifferingChunksError as error:
            where = next(point for point, its in zip(plan.points, worlds, strict=True) if its.key == error.key)
            message = ", ".join(f"{path}={value}" for path, value in where.values.items())
            place = f"{plan.scenario.name}{f' with {message}' if message else ''}"
            print(f"relaysim: {place}: not deterministic: {folder / JOURNAL}: {error}", file=sys.stderr)
            return EXIT_NOT_DETERMINISTIC
        except ReplicationError as error:
            raise UsageError(_one_line(error, plan)) from error
        except SchedulerLostError as error:
            total, missing = _asked_and_missing(worlds)
            raise UsageError(
                f"{error}; {total - missing:,} of {counted(total, 'replication')} kept in {folder / JOURNAL}; "
                "the same command "
                "goes on from there, or, without --engine and --scheduler, on this machine"
            ) from error
        except (LostWorkerError, ClusterError, JournalError) as error:
            raise UsageError(str(error)) from error
        except KeyboardInterrupt:
            _warn(_interrupted(worlds, ran))
            raise
        shown.last("telling the stories and drawing the page")
        results = with_answer(measure(plan, worlds, code_version=version, lane=arguments.lane))
        # What runs worlds in place of the simulator tells no story.
        stories = swept_failures(results, plan) if observe is None else []
        details = {**timing({plan.scenario.name: ran.cost}, jobs=engine.jobs, of=of), "reused": ran.reused}
        with writing():
            written = publish_sweep(results, name=name, timing=details, out=arguments.out, stories=stories)
    say_results(arguments, results, lambda: _print(results, named(written, arguments.out), full=arguments.full))
    return 0


def _engine(arguments: argparse.Namespace, plan: Plan, held: ExitStack) -> Engine:
    from relaysim.scenarios.engines import ClusterEngine, LocalEngine
    from relaysim.scenarios.sweep.sweep_worlds import versions_here
    from relaysim.scenarios.timing import cores

    if arguments.engine == "local":
        if arguments.scheduler is not None:
            raise UsageError("--scheduler: is for --engine dask; give that, too, or leave it out")
        return LocalEngine(arguments.jobs or cores())
    if arguments.scheduler is None:
        raise UsageError("--engine dask: needs --scheduler ADDRESS, as the scheduler says where it listens")
    if arguments.jobs is not None:
        raise UsageError("--jobs: on a cluster there are as many as its workers have threads; leave it out")
    factories = tuple(dict.fromkeys(point.scenario.relay.factory for point in plan.points))
    return held.enter_context(ClusterEngine(arguments.scheduler, versions_here, (factories,)))


def _tell(arguments: argparse.Namespace, ran: Ran, journal: Any) -> None:
    """What was found in the journal."""
    from relaysim.scenarios.sweep.sweep_worlds import reused_words, torn_words

    if ran.torn:
        _warn(torn_words(ran, journal))
    if not arguments.quiet:
        for message in reused_words(ran, journal):
            _warn(message)


def _run(
    plan: Plan,
    worlds: Sequence[Worlds],
    journal: Any,
    engine: Engine,
    ran: Ran,
    observe: Observe | None,
    shown: Reporter,
    earlier: float | None,
) -> None:
    from relaysim.scenarios.sweep.sweep_worlds import run_worlds

    left = {each.batch.key: each.places.left for each in worlds}
    points = counted(len(plan.points), "point")
    shown.plan(
        f"{plan.scenario.name} at {points}",
        left,
        jobs=engine.jobs,
        earlier={} if earlier is None else dict.fromkeys(left, earlier),
    )
    run_worlds(worlds, journal, engine, ran, tell=_warn, progress=shown.part(plan.scenario.name), observe=observe)
    shown.done(plan.scenario.name, ran.cost, points)


def _asked_and_missing(worlds: Sequence[Worlds]) -> tuple[int, int]:
    """How many replications there are to be, and how many are not there."""
    places = [its.places for its in {its.key: its for its in worlds}.values()]
    return sum(each.total for each in places), sum(each.left for each in places)


def _interrupted(worlds: Sequence[Worlds], ran: Ran) -> str:
    """What of the work is kept: stretches of seeds that are whole, and not each world that was done."""
    from relaysim.scenarios.chunks import CHUNK

    total, missing = _asked_and_missing(worlds)
    done, kept = ran.reused + ran.cost.replications, total - missing
    told = f"{done:,} of {counted(total, 'replication')} done"
    if kept < done:
        told += f", {kept:,} of them kept: a stretch of {CHUNK} seeds of a point is kept once it is whole"
    return f"{told}; the same command goes on from there, with {missing:,} to run"


def _warn(text: str) -> None:
    print(f"relaysim: {text}", file=sys.stderr, flush=True)


def _one_line(error: ReplicationError, plan: Plan) -> str:
    point = next(point for point in plan.points if tuple(point.values.items()) == error.values)
    given = ", ".join(f"{path}={value}" for path, value in error.values)
    message = (
        f"{error.scenario}{f' with {given}' if given else ''}, seed {error.seed}: {' '.join(error.reason.split())}"
    )
    return f"{message}; see it: {point.scenario.origin.replay_template().replace('{seed}', str(error.seed))}"


def _print(results: Mapping[str, Any], folder: Path, *, full: bool) -> None:
    from relaysim.reports.sweep_terminal import print_sweep

    show_answer(results, [("Report", folder / "index.html")], print_sweep if full else None)
