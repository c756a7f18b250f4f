"""The command `relaysim fit`: production logs in, what they say of the claims and a profile out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relaysim.scenarios.command_line import (
    UsageError,
    add_results,
    checked_folder,
    say_results,
    show,
    writing,
)

if TYPE_CHECKING:
    from relaysim.scenarios.fit.estimates import Estimates
    from relaysim.scenarios.fit.reading import Reading
    from relaysim.sim.openai.profile import Profile

BASE = "typical"
"""The profile that keeps what a log does not tell."""
KIND = "fit"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("logs", nargs="+", metavar="LOG", help="logs of the relay, plain or gzip; - is standard input")
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

    from relaysim.reports.fit_page import publish_fit
    from relaysim.scenarios.fit.blocks import LogError, check_logs
    from relaysim.scenarios.fit.estimates import estimate
    from relaysim.scenarios.fit.profile_file import profile_table, profile_text
    from relaysim.scenarios.fit.reading import read_logs
    from relaysim.scenarios.timing import code_version

    checked_folder(arguments.name, arguments.out)
    base_table, base = _base(arguments.profile_from)
    began = time.perf_counter()
    try:
        check_logs(arguments.logs)
        reading = read_logs(arguments.logs)
    except LogError as error:
        raise UsageError(str(error)) from error
    read_seconds = time.perf_counter() - began
    if not arguments.quiet:
        rate = reading.bytes.bytes / 1e6 / max(read_seconds, 1e-9)
        print(f"fit: {reading.bytes.lines:,} lines in {read_seconds:.1f} s ({rate:,.0f} MB/s)", file=sys.stderr)
    if not reading.unread.found:
        names = ", ".join(arguments.logs)
        damaged = "; compressed data break off or are damaged" if reading.bytes.broken_off else ""
        raise UsageError(
            f"{names}: none of {reading.bytes.lines:,} lines is the relay's{damaged}; give logs with its lines "
            '("[OpenAI] Active run detected ...") or its events'
        )
    estimates = estimate(reading, base)
    results = fit_results(reading, estimates, base.name, code_version())
    table = profile_table(base_table, "fitted", "fitted from production logs", estimates.numbers)
    text = profile_text(table, _comment(results))
    timing = {
        "read_seconds": round(read_seconds, 3),
        "megabytes_per_second": round(reading.bytes.bytes / 1e6 / max(read_seconds, 1e-9), 1),
        "seconds": round(time.perf_counter() - began, 3),
    }
    with writing():
        folder = publish_fit(results, profile=text, name=arguments.name, timing=timing, out=arguments.out)
    say_results(arguments, results, lambda: _print(results, folder))
    return 0


def _base(name: str) -> tuple[dict[str, Any], Profile]:
    import tomllib

    from relaysim.scenarios.document import format_path
    from relaysim.scenarios.problems import Problem, findings_of, unreadable
    from relaysim.sim.openai.profile import Profile, read_profile_table

    try:
        table = read_profile_table(name)
    except FileNotFoundError as error:
        said = str(error) if error.filename is None else f"there is no file {name}"
        raise UsageError(f"--profile-from: {said}") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"--profile-from {name}: {unreadable(error)}") from error
    if found := findings_of(Profile, table):
        where = f"--profile-from {name}"
        problems = (Problem(where, format_path(each.steps), each.message, each.suggestion) for each in found)
        raise UsageError("\n".join(map(str, problems)))
    return table, Profile.model_validate(table)


def fit_results(reading: Reading, estimates: Estimates, base: str, code_version: str) -> dict[str, Any]:
    """The content of `results.json`."""
    from relaysim.reports.results import SCHEMA
    from relaysim.reports.statistics import rounded
    from relaysim.scenarios.fit.estimates import predicted
    from relaysim.scenarios.fit.log_claims import endings, judge_log, share

    judged, untold = judge_log(reading)
    expected = predicted(estimates)
    return {
        "schema": SCHEMA,
        "kind": KIND,
        "code_version": code_version,
        "base": base,
        "log": {
            **reading.bytes.to_dict(),
            "relay_lines": {each.name.lower(): count for each, count in sorted(_found(reading).items(), key=_by_name)},
            "with_date": reading.unread.dated,
            "other_wording": reading.unread.by_wording,
            "broken_events": reading.unread.events,
        },
        "conflicts": {
            "met": reading.met,
            "ended": reading.ended,
            "attempts": estimates.retries.attempts,
            "attempts_seen": {str(each): count for each, count in sorted(reading.attempts.items())},
            "joined": reading.joined.total(),
            "early": reading.early,
            "cancels_at_check": reading.cancels_at_check,
            "drained": reading.drained,
            "waits": list(estimates.retries.waits),
            "waits_from_log": estimates.retries.from_log,
            "endings": [
                {
                    "ending": "failed" if not each else f"recovered_at_{each}",
                    **share(reading, each),
                    "profile": None if expected is None or each not in expected else round(expected[each], 6),
                }
                for each in endings(reading)
            ],
        },
        "runs": dict(sorted(reading.run_endings.items())),
        "outcomes": dict(sorted(reading.outcomes.items())),
        "claims": judged,
        "untold": untold,
        "numbers": [each.to_dict() for each in estimates.numbers],
        "turnbull": [list(each) for each in estimates.steps],
        "curve": _curve(estimates) if estimates.observations else [],
        "retry_seconds": [rounded(sorted(each)[len(each) // 2]) for each in estimates.retries.moments],
    }


def _found(reading: Reading) -> Mapping[Any, int]:
    return reading.unread.found


def _by_name(item: tuple[Any, int]) -> str:
    return str(item[0].name)


def _curve(estimates: Estimates) -> list[list[float]]:
    """The profile's distribution at 60 moments from 20 ms to 30 s."""
    import numpy as np

    moments = [0.02 * 1500 ** (at / 59) for at in range(60)]
    shares = estimates.freed_by(np.array(moments)).tolist()
    return [[round(at, 4), round(share, 5)] for at, share in zip(moments, shares, strict=True)]


def _comment(results: Mapping[str, Any]) -> str:
    conflicts = results["conflicts"]
    return (
        f"Fitted from {conflicts['ended']:,} conflicts in {results['log']['lines']:,} lines of log.\n"
        f"What the log does not tell is the profile {results['base']}'s, with its basis."
    )


def _print(results: Mapping[str, Any], folder: Path) -> None:
    from relaysim.reports.fit_terminal import print_fit

    show(lambda console: print_fit(console, results, folder=folder))
