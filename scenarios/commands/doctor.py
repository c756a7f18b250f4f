"""The command `doctor`: whether a seed is one world, and if not, which line of code is to blame."""

from __future__ import annotations

import argparse

from relaysim.scenarios.commands.command_line import (
    EXIT_NOT_DETERMINISTIC,
    UsageError,
    add_jobs,
    add_world,
    load_scenarios,
    positive_int,
    say,
    say_json,
)
from relaysim.sim.counted import counted

SEEDS = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("scenarios", nargs="+", metavar="SCENARIO", help="shipped scenarios' names, or paths")
    parser.add_argument(
        "--seeds",
        type=positive_int,
        default=SEEDS,
        metavar="N",
        help=f"how many worlds of each scenario, from seed 0; by default {SEEDS}",
    )
    add_jobs(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress")
    add_world(parser)


def run(arguments: argparse.Namespace) -> int:
    """The command."""
    from relaysim.scenarios.determinism.doctor_words import as_data, lines
    from relaysim.scenarios.determinism.examination import Subject, examine
    from relaysim.scenarios.determinism.fresh_process import FreshProcessError
    from relaysim.scenarios.progress import names_words, reporter
    from relaysim.scenarios.timing import cores

    subjects = [
        Subject(scenario, arguments.lane or scenario.lane)
        for scenario in load_scenarios(list(dict.fromkeys(arguments.scenarios)), arguments)
    ]

    jobs = arguments.jobs or cores()
    worlds = f"{counted(arguments.seeds, 'world')} of {names_words([each.scenario.name for each in subjects])}"
    planned = False

    def show(what: str, done: int, total: int) -> None:
        nonlocal planned
        if not done:
            if planned:
                shown.more(what, total)
            else:
                shown.plan(worlds, {what: total}, jobs=jobs, unit="process")
            planned = True
            shown.part(what)
            return
        shown.passed(what, 1)
        if done == total:
            shown.say(f"{what}: {counted(total, 'process')} run")

    try:
        with reporter(quiet=arguments.quiet) as shown:
            examination = examine(subjects, seeds=arguments.seeds, at_once=jobs, progress=show)
    except FreshProcessError as error:
        raise UsageError(f"a process that runs the worlds {' '.join(str(error).split())}") from error
    if examination.errors and not examination.findings:
        raise UsageError(
            "\n".join(
                f"{subjects[number].scenario.name}: no world comes to its end: {' '.join(error.split())}"
                for number, error in examination.errors.items()
            )
        )
    if arguments.json:
        say_json(as_data(examination))
    else:
        for line in lines(examination):
            say(line)
    return EXIT_NOT_DETERMINISTIC if examination.findings else 0
