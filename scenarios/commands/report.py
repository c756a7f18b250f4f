"""The command `report`: the answer of a run again, or what changed between two."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relaysim.scenarios.commands.ci_outputs import add_github_summary, check_ci_outputs, tell_github
from relaysim.scenarios.commands.command_line import (
    UsageError,
    say_json,
    say_results,
    show,
    show_answer,
)
from relaysim.scenarios.commands.read_results import read_run, reading

if TYPE_CHECKING:
    from rich.console import Console

    from relaysim.reports.changes import Changes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "runs",
        nargs="*",
        metavar="RUN",
        help="a folder of results, or a results.json: one to print its answer (by default reports/out/latest), two to say "
        "what the second has new, has resolved, and shares with the first",
    )
    add_github_summary(parser)


def report(arguments: argparse.Namespace) -> int:
    """The command. With two runs: 1 if the second has a problem that the first has not, else 0; with one always 0."""
    if len(arguments.runs) > 2:
        raise UsageError(f"report: takes one run or two, and {len(arguments.runs)} were given")
    check_ci_outputs(arguments)
    if len(arguments.runs) < 2:
        path = Path(arguments.runs[0]) if arguments.runs else Path("reports") / "out" / "latest"
        results = read_run(path, given=bool(arguments.runs))
        if "profile_file" in results:  # of the run that was given, which may not be the newest of its name
            results["profile_file"] = str(_folder(path) / "profile.toml")
        files = [("Report", page)] if (page := _folder(path) / "index.html").is_file() else []
        with reading(path):
            tell_github(arguments, results)
            say_results(arguments, results, lambda: show_answer(results, files))
        return 0
    from relaysim.reports.changes import changes_between, is_judged

    paths = [Path(each) for each in arguments.runs]
    before, after = (read_run(path, given=True) for path in paths)
    for path, results in zip(paths, (before, after), strict=True):
        if not is_judged(results):
            raise UsageError(
                f"{path}: is of `relaysim {_command(results)}`, which has no problems that come and go; "
                "give two results of `relaysim verify`"
            )
    with reading(paths[-1]):
        changes = changes_between(before, after)
    tell_github(arguments, after, lambda: changes)
    if arguments.json:
        say_json(changes.to_dict())
    else:
        show(lambda console: _print(console, changes))
    return 1 if changes.new else 0


def _command(results: Mapping[str, Any]) -> str:
    kind = str(results["kind"])
    return {"comparison": "compare"}.get(kind, kind)


def _folder(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def _print(console: Console, changes: Changes) -> None:
    from rich.text import Text

    from relaysim.reports.changes import changes_title

    def line(text: str, style: str = "") -> None:
        console.print(Text(text, style=style), soft_wrap=True)

    line(changes_title(changes), "bold red" if changes.new else "bold green")
    for word, style, problems in (
        ("New", "bold red", changes.new),
        ("Resolved", "bold green", changes.resolved),
        ("Ongoing", "bold yellow", changes.ongoing),
    ):
        for at, problem in enumerate(problems):
            if at == 0:
                line(word, style)
            line(f"  {problem.scenario}: {problem.said}")
            if problem.replay and word == "New":
                line(f"    {problem.replay}", "cyan")
    if changes.unknown:
        line("Not known any more", "bold")
        for problem, why in changes.unknown:
            line(f"  {problem.scenario}: {problem.said} ({why})")
    for note in changes.notes:
        line(note, "dim")
