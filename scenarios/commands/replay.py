"""The command `replay`: one world as a timeline."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from relaysim.scenarios.commands.command_line import UsageError, add_world, say, say_json
from relaysim.scenarios.commands.one_world import (
    add_one_world,
    breached_conversation,
    gravest,
    held_against_relay,
    obstacle_sentences,
    one_world,
    sentences,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_one_world(parser)
    parser.add_argument(
        "--conversation",
        metavar="C",
        help="the story of this conversation (number or name), message or delivery; by default of the first breach",
    )
    parser.add_argument(
        "--all", action="store_true", help="every line: of all conversations, or of the one that --conversation names"
    )
    add_world(parser)


def run(arguments: argparse.Namespace) -> int:
    """The command."""
    import shutil

    from relaysim.reports.timeline import LINES_MAX, conversation_of, render_timeline
    from relaysim.sim.backends import backend_named

    scenario, lane, result = one_world(arguments, keep_trace=True)
    roles = backend_named(scenario.api).roles
    focus = arguments.conversation
    if focus is not None and focus.isdecimal():
        focus = f"c{focus}"
    elif focus is None and not arguments.all:
        focus = breached_conversation(result.observation)
    width = max(60, shutil.get_terminal_size((120, 25)).columns) if sys.stdout.isatty() else 120
    observation = held_against_relay(scenario, result.observation)
    stories: list[list[str]] = []
    try:
        if arguments.all:
            wrong = sentences(observation)
            for each in [focus] if focus is not None else _conversations(result.records):
                stories.append(render_timeline(result.records, width, each, lines_max=10**9, roles=roles))
        else:
            # The title, the verdicts and the fingerprint included, one story fits on one screen.
            wrong = gravest(observation, conversation_of(result.records, focus, roles=roles))
            stories.append(
                render_timeline(result.records, width, focus, lines_max=LINES_MAX - 2 - len(wrong), roles=roles)
            )
    except ValueError as error:
        raise UsageError(f"--conversation {arguments.conversation}: {error}") from error
    if arguments.json:
        say_json(
            {
                "scenario": scenario.name,
                "seed": arguments.seed,
                "lane": lane,
                "fingerprint": result.fingerprint,
                "stories": stories,
                "wrong": wrong,
            }
        )
        return 0
    say(f"{scenario.name}, seed {arguments.seed}, lane {lane}: {scenario.title}")
    for text in obstacle_sentences(result.observation):
        say(f"! {text}")
    for story in stories:
        for line in story:
            say(line)
    for text in wrong:
        say(f"! {text}")
    say(f"fingerprint {result.fingerprint}")
    return 0


def _conversations(records: Iterable[tuple[float, str, str, Sequence[Any]]]) -> list[str]:
    from relaysim.sim.trace.schema import MessageSent

    return list(dict.fromkeys(event.conversation for _, _, _, event in records if isinstance(event, MessageSent)))
