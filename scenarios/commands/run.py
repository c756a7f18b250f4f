"""The command `run`: one world, its counts, and its trace as JSON lines or in the Chrome trace format."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
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

TRACE_FORMATS = ("lines", "chrome")
CHROME_SUFFIX = ".trace.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_one_world(parser)
    parser.add_argument(
        "--trace",
        type=Path,
        metavar="FILE",
        help="write what happened, as JSON lines; into a FILE.trace.json in the Chrome trace format, which ui.perfetto.dev "
        "opens (docs/trace.md)",
    )
    parser.add_argument(
        "--trace-format",
        choices=TRACE_FORMATS,
        help="with --trace: the format, whatever the file's name is",
    )
    add_world(parser)


def run(arguments: argparse.Namespace) -> int:
    """The command."""
    if arguments.trace is None and arguments.trace_format is not None:
        raise UsageError("--trace-format: is for --trace, which was not given")
    scenario, lane, result = one_world(arguments, keep_trace=arguments.trace is not None)
    if arguments.trace is not None:
        named_chrome = arguments.trace.name.endswith(CHROME_SUFFIX)
        if (arguments.trace_format or ("chrome" if named_chrome else "lines")) == "chrome":
            _write(arguments.trace, _chrome_lines(result.records, scenario.api))
        else:
            _write(arguments.trace, _json_lines(result.records))
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


def _json_lines(records: Iterable[tuple[float, str, str, Sequence[Any]]]) -> Iterator[str]:
    from relaysim.sim.trace.schema import as_object

    for time, entity, kind, fields in records:
        yield json.dumps(as_object(time, entity, kind, fields), ensure_ascii=False) + "\n"


def _chrome_lines(records: Sequence[tuple[float, str, str, Sequence[Any]]], api: str) -> Iterator[str]:
    """One event a line, so that the file can be searched and compared line by line."""
    from relaysim.sim.backends import backend_named
    from relaysim.sim.trace.chrome_trace import chrome_trace

    trace = chrome_trace(records, backend_named(api).roles)
    events = [json.dumps(each, ensure_ascii=False) for each in trace.pop("traceEvents")]
    rest = "".join(f", {json.dumps(key)}: {json.dumps(each)}" for key, each in trace.items())
    yield '{"traceEvents": [\n' + ",\n".join(events) + "\n]" + rest + "}\n"


def _write(path: Path, lines: Iterable[str]) -> None:
    try:
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(lines)
    except OSError as error:
        raise UsageError(f"--trace {path}: cannot be written: {reason_of(error)}") from error
