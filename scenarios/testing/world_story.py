"""The story of one world for a test's report: at most 25 lines, what went wrong told whole."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final, NamedTuple

from relaysim.reports.timeline import LINES_MAX, conversation_of, render_timeline
from relaysim.scenarios.breached import example_of, headed, subject_of
from relaysim.scenarios.commands.one_world import first_breach, gravest, held_against_relay
from relaysim.sim.backends import backend_named
from relaysim.sim.world import run_world

if TYPE_CHECKING:
    from relaysim.scenarios.model import Scenario
    from relaysim.scenarios.runner import Lane

WIDTH: Final = 100
"""Columns: what a page of a continuous integration shows without scrolling."""

_LINES_OF_TIMELINE_MIN: Final = 10


class WorldStory(NamedTuple):
    """At most 25 lines, and the fingerprint of the world that they tell of."""

    lines: list[str]
    fingerprint: str


def world_story(scenario: Scenario, seed: int, lane: Lane, claim: str | None) -> WorldStory:
    """Run a world again, and tell what happened in it: first what is wrong, in whole sentences, then the timeline.

    Args:
        scenario, seed, lane: which world.
        claim: the claim or invariant whose breach is told first; None: the gravest one.
    """
    result = run_world(scenario.world_settings(), root_seed=scenario.root_seed, seed=seed, lane=lane, keep_trace=True)
    assert result.records is not None
    roles = backend_named(scenario.api).roles
    shown, cases = ({}, 0) if claim is None else example_of(scenario, claim, result.observation)
    breach = shown or first_breach(result.observation)
    focus = subject_of(shown) or breach.get("conversation")
    conversation = conversation_of(result.records, focus, roles=roles)
    sentences = gravest(held_against_relay(scenario, result.observation), conversation)
    if shown:
        first = str(shown["text"])
        more = f" (the first of {cases:,} such cases)" if cases > 1 else ""
        sentences = [first + more, *(each for each in sentences if not first.startswith(each))]
    wrong: list[str] = []
    for sentence in sentences:
        rows = textwrap.wrap(f"! {sentence}", WIDTH, subsequent_indent="  ", break_on_hyphens=False)
        # What is asked for is told whole, however long; the others as far as the timeline leaves room for them.
        if not wrong or len(wrong) + len(rows) <= LINES_MAX - 1 - _LINES_OF_TIMELINE_MIN:
            wrong += rows
    room = max(4, LINES_MAX - 1 - len(wrong))
    looks = result.observation["looks"]
    about = breach if breach.get("conversation") == conversation else None
    timeline = render_timeline(result.records, WIDTH, focus, lines_max=room, roles=roles, looks=looks, breach=about)
    title = headed(scenario, seed, lane, claim, shown)
    return WorldStory([title, *wrong, *(line.replace("; --all has them", "") for line in timeline)], result.fingerprint)
