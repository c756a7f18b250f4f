"""The command `relaysim fit`: production logs in, what they say of the claims and a profile out."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relaysim.scenarios.commands.command_line import (
    UsageError,
    add_results,
    checked_folder,
    say_results,
    show_answer,
    writing,
)
from relaysim.scenarios.docs_pages import LOGS, PROFILE
from relaysim.sim.counted import counted

if TYPE_CHECKING:
    from relaysim.scenarios.progress import Reporter
    from relaysim.sim.backends.profile import Profile

BASE = "typical"
"""The profile that keeps what a log does not tell."""

_MEGABYTE, _READ = 1_000_000, "read"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("logs", nargs="+", metavar="LOG", help="logs of the relay, plain or gzip; - is standard input")
    parser.add_argument(
        "--dates",
        default="auto",
        choices=("auto", "dmy", "mdy"),
        help="whether 03/11/2025 is in November (dmy) or in March (mdy), where a log does not tell; by default it must",
    )
    parser.add_argument(
        "--profile-from",
        default=BASE,
        metavar="PROFILE",
        help=f"the profile, by name or path, whose numbers are kept where the logs tell none; by default {BASE}",
    )
    add_results(parser, name="fit")


def run(arguments: argparse.Namespace) -> int:
    """Read the logs, write `results.json`, the page and `profile.toml`, and print what they say."""
    import time

    from relaysim.reports.answers import with_answer
    from relaysim.reports.fit_page import profile_path, publish_fit
    from relaysim.reports.runs import named
    from relaysim.scenarios.fit.blocks import LogError, check_logs, size_of
    from relaysim.scenarios.fit.estimates import estimate
    from relaysim.scenarios.fit.log_results import fit_results
    from relaysim.scenarios.fit.profile_file import profile_table, profile_text
    from relaysim.scenarios.fit.reading import read_logs
    from relaysim.scenarios.progress import reporter
    from relaysim.scenarios.timing import code_version

    checked_folder(arguments.name, arguments.out)
    base_table, base = _base(arguments.profile_from)
    began = time.perf_counter()
    with reporter(quiet=arguments.quiet) as shown:
        try:
            check_logs(arguments.logs)
            shown.plan("logs", _megabytes(size_of(arguments.logs)), jobs=1, unit="megabyte")
            shown.part("reading the logs")
            reading = read_logs(arguments.logs, arguments.dates, _in_megabytes(shown))
        except LogError as error:
            raise UsageError(str(error), page=LOGS) from error
        read_seconds = time.perf_counter() - began
        rate = reading.bytes.bytes / 1e6 / max(read_seconds, 1e-9)
        shown.say(f"fit: {counted(reading.bytes.lines, 'line')} in {read_seconds:.1f} s ({rate:,.0f} MB/s)")
        if not reading.unread.found:
            names = ", ".join(arguments.logs)
            damaged = "; compressed data break off or are damaged" if reading.bytes.broken_off else ""
            raise UsageError(
                f"{names}: none of {counted(reading.bytes.lines, 'line')} is the relay's{damaged}; give logs with its "
                'lines ("[OpenAI] Active run detected ...") or its events',
                page=LOGS,
            )
        shown.last("estimating")
        estimates = estimate(reading, base)
        written = str(profile_path(arguments.name, arguments.out))
        results = with_answer({**fit_results(reading, estimates, base.name, code_version()), "profile_file": written})
        table = profile_table(base_table, "fitted", "fitted from production logs", estimates.numbers)
        text = profile_text(table, _comment(results))
        timing = {
            "read_seconds": round(read_seconds, 3),
            "megabytes_per_second": round(reading.bytes.bytes / 1e6 / max(read_seconds, 1e-9), 1),
            "seconds": round(time.perf_counter() - began, 3),
        }
        shown.last("drawing the page")
        with writing():
            folder = publish_fit(results, profile=text, name=arguments.name, timing=timing, out=arguments.out)
    say_results(arguments, results, lambda: _print(results, named(folder, arguments.out), full=arguments.full))
    return 0


def _megabytes(size: int | None) -> dict[str, int]:
    """The plan of reading so many bytes; nothing is planned where the size is not known."""
    return {} if size is None else {_READ: size // _MEGABYTE}


def _in_megabytes(shown: Reporter) -> Callable[[int], None]:
    """Takes how many bytes were read, and tells of whole megabytes."""
    left = 0

    def told(read: int) -> None:
        nonlocal left
        whole, left = divmod(left + read, _MEGABYTE)
        if whole:
            shown.passed(_READ, whole)

    return told


def _base(name: str) -> tuple[dict[str, Any], Profile]:
    import tomllib

    from relaysim.scenarios.problems import Problem, findings_of, unreadable
    from relaysim.sim.backends.profile import ExtendsError, Profile, read_profile_table
    from relaysim.sim.validation_words import format_path

    try:
        table = read_profile_table(name)
    except FileNotFoundError as error:
        sentence = str(error) if error.filename is None else f"there is no file {name}"
        raise UsageError(f"--profile-from: {sentence}", page=PROFILE) from error
    except ExtendsError as error:
        raise UsageError(f"--profile-from: {error}", page=PROFILE) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"--profile-from {name}: {unreadable(error)}", page=PROFILE) from error
    if found := findings_of(Profile, table):
        where = f"--profile-from {name}"
        problems = (Problem(where, format_path(each.steps), each.message, each.suggestion) for each in found)
        raise UsageError("\n".join(map(str, problems)), page=PROFILE)
    return table, Profile.model_validate(table)


def _comment(results: Mapping[str, Any]) -> str:
    conflicts = results["conflicts"]
    return (
        f"Fitted from {counted(conflicts['ended'], 'conflict')} in {counted(results['log']['lines'], 'line')} of log.\n"
        f"What the log does not tell is the profile {results['base']}'s, with its basis."
    )


def _print(results: Mapping[str, Any], folder: Path, *, full: bool) -> None:
    from relaysim.reports.fit_terminal import print_fit

    files = [("Profile", folder / "profile.toml"), ("Report", folder / "index.html")]
    show_answer(results, files, print_fit if full else None)
