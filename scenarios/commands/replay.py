"""The command `replay`: one world as a timeline."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from relaysim.scenarios.commands.command_line import UsageError, add_world, say, say_json
from relaysim.scenarios.commands.one_world import (
    SENTENCES_MAX,
    add_one_world,
    first_breach,
    gravest,
    held_against_relay,
    obstacle_sentences,
    one_world,
    sentences,
)

if TYPE_CHECKING:
    from relaysim.scenarios.model import Scenario


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_one_world(parser)
    parser.add_argument(
        "--conversation",
        metavar="C",
        help="the story of this conversation (number or name), message or delivery; by default of the first breach",
    )
    parser.add_argument(
        "--claim",
        metavar="ID",
        help="show first what breaks this claim or invariant (`transparent`, `S14-order-of-writing`, or for short `S14`)",
    )
    parser.add_argument(
        "--all", action="store_true", help="every line: of all conversations, or of the one that --conversation names"
    )
    add_world(parser)


def run(arguments: argparse.Namespace) -> int:
    """The command."""
    scenario, lane, result = one_world(arguments, keep_trace=True)
    show_world(arguments, scenario, lane, result)
    return 0


def show_world(arguments: argparse.Namespace, scenario: Scenario, lane: str, result: Any) -> None:
    """Tell the story of a world.

    Args:
        arguments: the options of `replay`.
        scenario, lane: whose world it is.
        result: with its trace, see `relaysim.sim.world.Result`.

    Raises:
        UsageError: there is no such claim or conversation.
    """
    import shutil

    from relaysim.reports.story_lines import as_in_rows
    from relaysim.reports.timeline import LINES_MAX, conversation_of, render_timeline
    from relaysim.scenarios.breached import NoSuchClaimError, example_of, headed, subject_of
    from relaysim.sim.backends import backend_named

    roles = backend_named(scenario.api).roles
    asked = arguments.claim
    if asked is None and scenario.tape is not None:  # the world of one failure, whose claim is the failure
        asked = next(iter(scenario.specs()), None)
    try:
        shown, cases = ({}, 0) if asked is None else example_of(scenario, asked, result.observation)
    except NoSuchClaimError as error:
        raise UsageError(f"--claim {asked}: {error}") from error
    focus = arguments.conversation
    if focus is not None and focus.isdecimal():
        focus = f"c{focus}"
    breach = shown or first_breach(result.observation)
    if focus is None and not arguments.all:
        focus = subject_of(shown) or breach.get("conversation")
    first = _first_words(arguments.claim, shown, cases)
    looks = result.observation["looks"]
    width = max(60, shutil.get_terminal_size((120, 25)).columns) if sys.stdout.isatty() else 120
    observation = held_against_relay(scenario, result.observation)
    stories: list[list[str]] = []
    try:
        if arguments.all:
            wrong = _led_by(first, sentences(observation))
            for each in [focus] if focus is not None else _conversations(result.records):
                stories.append(render_timeline(result.records, width, each, lines_max=10**9, roles=roles, looks=looks))
        else:
            # The title, the verdicts and the fingerprint included, one story fits on one screen.
            conversation = conversation_of(result.records, focus, roles=roles)
            wrong = _led_by(first, gravest(observation, conversation))[:SENTENCES_MAX]
            rows = LINES_MAX - 2 - len(wrong)
            about = breach if breach.get("conversation") == conversation else None
            story = render_timeline(
                result.records, width, focus, lines_max=rows, roles=roles, looks=looks, breach=about
            )
            stories.append(story)
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
        return
    say(headed(scenario, arguments.seed, lane, arguments.claim, shown))
    for text in obstacle_sentences(result.observation):
        say(f"! {text}")
    for story in stories:
        for line in story:
            say(line)
    for text in wrong:
        say(f"! {as_in_rows(text, [row for story in stories for row in story])}")
    say(f"fingerprint {result.fingerprint}")


def _first_words(claim: str | None, shown: Mapping[str, Any], cases: int) -> str:
    """The sentence of the case that is shown, which of how many it is, or that there is none; "" if none was asked for."""
    if shown:
        return str(shown["text"]) + (f" (the first of {cases:,} such cases)" if cases > 1 else "")
    return "" if claim is None else f"this world is no example of {claim}"


def _led_by(first: str, sentences: list[str]) -> list[str]:
    """These sentences, the given one first and once."""
    others = [each for each in sentences if not first or not first.startswith(each)]
    return [first, *others] if first else others


def _conversations(records: Iterable[tuple[float, str, str, Sequence[Any]]]) -> list[str]:
    from relaysim.sim.trace.schema import MessageSent

    return list(dict.fromkeys(event.conversation for _, _, _, event in records if isinstance(event, MessageSent)))
