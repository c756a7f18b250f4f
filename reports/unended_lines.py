"""What a story says of handlings that never came to their end: whose worker lost its power, and which simply go on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from relaysim.reports.story_writer import StoryWriter
from relaysim.sim.trace.crashes import Crashes


def tell_unended(writer: StoryWriter, records: Sequence[tuple[float, str, str, Sequence[Any]]]) -> None:
    """Add a line for each handling without an end.

    Args:
        writer: of the story, which has read the trace.
        records: the trace.
    """
    unended = [each for each in writer.chronicle.handlings.values() if each.end is None]
    if not unended:
        return
    crashes = Crashes()
    crashes.read(records)
    for handling in unended:
        crashed = crashes.first_after(handling.worker, handling.start)
        if crashed is not None:
            writer.add_unended(crashed[0], handling, f"loses its power while it is handling {handling.message_id}")
        else:
            writer.add_unended(writer.end, handling, f"never returns from {handling.message_id}: the world ends before")
