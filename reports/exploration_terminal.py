"""What `explore` found on a terminal: the answer, the story, and with `--full` how hard it looked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from relaysim.reports.answer_terminal import print_answer
from relaysim.reports.answers import answer_of
from relaysim.reports.terminal import print_sentences
from relaysim.sim.counted import counted

if TYPE_CHECKING:
    from rich.console import Console

STORY_COLUMNS: Final = 80
STORY_LINES: Final = 22
"""A story is a screen of its own, below the answer's."""


def print_exploration(
    console: Console, results: Mapping[str, Any], files: Sequence[tuple[str, Path]], *, full: bool
) -> None:
    """Print the answer, then the story.

    Args:
        files: what was kept, as (name, path).
        full: with every choice that is left, and every fault that struck.
    """
    print_answer(console, answer_of(results), files=files, full=full)
    found = results["found"]
    if found is not None:
        console.print()
        print_sentences(console, *found["story"])
        if full:
            console.print()
            print_sentences(console, reach_words(results), *met_lines(results))


def reach_words(results: Mapping[str, Any]) -> str:
    """How hard it looked."""
    return (
        f"Looked at {counted(results['worlds'], 'world')}, {counted(results['orders'], 'order')} of five successive key "
        f"events, {counted(len(results['met']), 'pair')} of a fault and an event that it struck."
    )


def met_lines(results: Mapping[str, Any]) -> list[str]:
    """Each fault, and what it struck how often; the most frequent ones first."""
    ordered = sorted(results["met"], key=lambda each: -each["count"])
    return [f"  {each['fault']} at {each['event']}: {counted(each['count'], 'time')}" for each in ordered]
