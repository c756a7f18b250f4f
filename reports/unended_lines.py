"""What a story says of handlings that never came to their end: whose worker lost its power, and which simply go on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from relaysim.reports.story_writer import StoryWriter
from relaysim.sim.trace.reader import TraceReader
from relaysim.sim.trace.schema import HostCrash


class _Crashes(TraceReader):
    """When which workers lost their power."""

    def __init__(self) -> None:
        self.of: dict[str, list[float]] = {}

    def on_host_crash(self, time: float, entity: str, event: HostCrash) -> None:
        self.of.setdefault(entity, []).append(time)


def tell_unended(writer: StoryWriter, records: Sequence[tuple[float, str, str, Sequence[Any]]]) -> None:
    """Add a line for each handling without an end.

    Args:
        writer: of the story, which has read the trace.
        records: the trace.
    """
    unended = [each for each in writer.chronicle.handlings.values() if each.end is None]
    if not unended:
        return
    crashes = _Crashes()
    crashes.read(records)
    for handling in unended:
        crashed = next((at for at in crashes.of.get(handling.worker, ()) if at >= handling.start), None)
        if crashed is not None:
            writer.add_unended(crashed, handling, f"loses its power while it is handling {handling.message_id}")
        else:
            writer.add_unended(writer.end, handling, f"never returns from {handling.message_id}: the world ends before")
