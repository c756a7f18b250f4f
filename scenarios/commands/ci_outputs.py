"""What commands leave for CI: JUnit XML, GitHub's job summary and its annotations."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relaysim.scenarios.commands.command_line import UsageError, non_empty
from relaysim.scenarios.system_errors import reason_of

if TYPE_CHECKING:
    from relaysim.reports.changes import Changes


def add_junit(parser: argparse.ArgumentParser) -> None:
    """`--junit`."""
    parser.add_argument(
        "--junit", type=non_empty, metavar="FILE", help="also write the verdicts there as JUnit XML (docs/ci.md)"
    )


def add_github_summary(parser: argparse.ArgumentParser) -> None:
    """`--github-summary`."""
    parser.add_argument(
        "--github-summary",
        type=non_empty,
        metavar="FILE",
        help="also append the answer there as Markdown; by default where $GITHUB_STEP_SUMMARY says, if it is set",
    )


def check_ci_outputs(arguments: argparse.Namespace) -> None:
    """Ask for the files before an hour's work. Raises UsageError if one cannot be written."""
    for option, given in (
        ("--junit", getattr(arguments, "junit", None)),
        ("--github-summary", arguments.github_summary),
    ):
        if given is not None:
            _append(option, Path(given), "")


def write_junit(arguments: argparse.Namespace, results: Mapping[str, Any], timing: Mapping[str, Any]) -> None:
    """Write the XML, if it was asked for. Raises UsageError if it cannot be written."""
    if arguments.junit is None:
        return
    from relaysim.reports.junit import junit_xml
    from relaysim.reports.results import write_text

    path = Path(arguments.junit)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, junit_xml(results, timing=timing))
    except OSError as error:
        raise UsageError(f"--junit {path}: cannot be written: {reason_of(error)}") from error


def tell_github(
    arguments: argparse.Namespace, results: Mapping[str, Any], changes: Callable[[], Changes | None] = lambda: None
) -> None:
    """Append to the job's summary, and print annotations on standard error, each where GitHub (or an option) asks for it.

    `changes` is asked only for a summary.

    Raises UsageError if the summary cannot be written.
    """
    from relaysim.reports.github import ACTIONS_VARIABLE, SUMMARY_VARIABLE, annotation_lines, summary_markdown

    given: str | None = arguments.github_summary
    if path := given or os.environ.get(SUMMARY_VARIABLE):
        option = "--github-summary" if given else f"${SUMMARY_VARIABLE}"
        _append(option, Path(path), summary_markdown(results, changes=changes()))
    if os.environ.get(ACTIONS_VARIABLE) == "true":
        for line in annotation_lines(results):
            print(line, file=sys.stderr)


def _append(option: str, path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"{option} {path}: cannot be written: {reason_of(error)}") from error
