"""What a handling prints, in a story: the last lines, and how many there were before."""

from __future__ import annotations

from typing import Final

from relaysim.reports.story_lines import Line, quoted
from relaysim.sim.counted import counted

LINES_MAX: Final = 3
"""So many lines of one handling are told, the last ones: they tell most of how it ended."""

_CHARACTERS_MAX: Final = 90


class PrintedLines:
    """Those of one handling, or of one worker outside of handlings.

    Args:
        story: the lines of the story, in which they stand.
    """

    def __init__(self, story: list[Line]) -> None:
        self._story = story
        self._told: list[tuple[Line, str]] = []
        self._earlier = 0

    def add(self, line: Line, printed: str) -> None:
        """A further line, which is in the story already and gets its text here."""
        line.text = f"prints {quoted(printed, _CHARACTERS_MAX)}"
        self._told.append((line, printed))
        if len(self._told) > LINES_MAX:
            oldest, _ = self._told.pop(0)
            self._story[:] = [each for each in self._story if each is not oldest]
            self._earlier += 1
            first, text = self._told[0]
            first.text = f"prints {counted(self._earlier, 'line')}, and then {quoted(text, _CHARACTERS_MAX)}"
