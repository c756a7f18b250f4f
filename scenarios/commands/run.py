"""The command `run`: one world, its counts, and its trace as JSON lines."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from relaysim.scenarios.commands.command_line import UsageError, add_world, say, say_json
from relaysim.scenarios.commands.one_world import (
    add_one_world,
    held_against_relay,
    obstacle_sentences,
    one_world,
    sentences,
)
from relaysim.scenarios.system_errors import reason_of
from relaysim.sim.counted import counted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_one_world(parser)
    parser.add_argument(
        "--trace", type=Path, metavar="FILE", help="write what happened as JSON lines, see docs/trace.md"
    )
    add_world(parser)


def run(arguments: argparse.Namespace) -> int:
    """The command."""
    scenario, lane, result = one_world(arguments, keep_trace=arguments.trace is not None)
    if arguments.trace is not None:
        _write_trace(arguments.trace, result.records)
    observation = result.observation
    counts = {name: count for name, count in observation["counts"].items() if count}
    if arguments.json:
        say_json(
            {
                "scenario": scenario.name,
                "hash": scenario.hash,
                "root_seed": scenario.root_seed,
                "lane": lane,
                **observation,
                "fingerprint": result.fingerprint,
            }
        )
        return 0
    say(f"{scenario.name}: {scenario.title}")
    say(f"seed {arguments.seed}, root seed {scenario.root_seed}, lane {lane}, profile {scenario.backend.name}")
    say(f"{observation['virtual_seconds']:.3f} virtual seconds, {counted(observation['events'], 'event')}")
    for text in obstacle_sentences(observation):
        say(f"! {text}")
    for name, number in counts.items():
        say(f"  {name.replace('_', ' '):<28} {number:>8,}")
    for name, values in observation["series"].items():
        if values:
            shown = ", ".join(f"{value:.6g}" for value in values[:10]) + (", ..." if len(values) > 10 else "")
            say(f"  {name.replace('_', ' '):<28} {shown}")
    for text in sentences(held_against_relay(scenario, observation)):
        say(f"! {text}")
    say(f"fingerprint {result.fingerprint}")
    return 0


def _write_trace(path: Path, records: Iterable[tuple[float, str, str, Sequence[Any]]]) -> None:
    from relaysim.sim.trace.schema import as_object

    try:
        with path.open("w", encoding="utf-8", newline="\n") as file:
            for time, entity, kind, fields in records:
                event = as_object(time, entity, kind, fields)
                file.write(json.dumps(event, ensure_ascii=False) + "\n")
    except OSError as error:
        raise UsageError(f"--trace {path}: cannot be written: {reason_of(error)}") from error
