"""What the commands share: numbers and names on the command line, what is printed, and what the user can put right."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


class UsageError(ValueError):
    """Something that the user can put right; the message says what, one line per problem."""


def count(text: str) -> int:
    """A whole number, 1 or more, for `argparse`; underscores may group its digits."""
    try:
        value = int(text.replace("_", ""))
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number, 1 or more, not {text!r}")
    return value


def whole(text: str) -> int:
    """A whole number, 0 or more, for `argparse`; underscores may group its digits."""
    try:
        value = int(text.replace("_", ""))
    except ValueError:
        value = -1
    if value < 0:
        raise argparse.ArgumentTypeError(f"must be a whole number, 0 or more, not {text!r}")
    return value


def share(text: str) -> float:
    """A number above 0 and below 1, for `argparse`."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"must be a number above 0 and below 1, not {text!r}")
    return value


def names(text: str) -> list[str]:
    """Names with commas in between, for `argparse`."""
    return [each.strip() for each in text.split(",") if each.strip()]


def say(text: str) -> None:
    """Print a result. A reader who has gone away changes nothing about the exit code."""
    try:
        print(text)
    except BrokenPipeError:
        stop_output()


def say_json(data: Any) -> None:
    """Print data as JSON."""
    say(json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False))


def show(draw: Callable[[Console], None]) -> None:
    """Let results be drawn on standard output. A reader who has gone away changes nothing about the exit code."""
    from reports.terminal import console_for

    try:
        draw(console_for(sys.stdout))
        sys.stdout.flush()
    except BrokenPipeError:
        stop_output()


def checked_folder(name: str, out: Path | None) -> Path:
    """The folder of a run's results, made; to be asked for before an hour's work. Raises UsageError if it cannot be."""
    from reports.results import results_folder

    try:
        return results_folder(name, out)
    except ValueError as error:
        raise UsageError(f"--name {name}: {error}") from error
    except OSError as error:
        option = f"--out {out}" if out is not None else f"reports/out/{name}"
        raise UsageError(f"{option}: cannot be made: {(error.strerror or str(error)).lower()}") from error


def stop_output() -> None:
    """Print nothing more: otherwise the interpreter complains again when it flushes at its end."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123
