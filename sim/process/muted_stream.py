"""Standard output and error of workers: what modules print while they are loaded is printed once, not by each life."""

from __future__ import annotations

from typing import Any


class MutedStream:
    """A stream that drops what is written while it is `muted`, and else is as the real one.

    Args:
        real: the stream; None, as Python has it where there is none: all is dropped.
    """

    def __init__(self, real: Any) -> None:
        self._real = real
        self.muted = False

    def write(self, text: str) -> int:
        """Write, unless muted; returns how much was taken."""
        if self.muted or self._real is None:
            return len(text)
        written: int = self._real.write(text)
        return written

    def writelines(self, lines: Any) -> None:
        """Write each."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)
