"""Standard output and error of workers: what modules print while they are loaded is said once, not by each life."""

from __future__ import annotations

from typing import Any


class SaidOnce:
    """A stream that is as the real one, except that it says nothing while it is `quiet`.

    Args:
        real: the stream; None, as Python has it where there is none, says nothing ever.
    """

    def __init__(self, real: Any) -> None:
        self._real = real
        self.quiet = False

    def write(self, text: str) -> int:
        """Write, unless quiet; returns how much was taken."""
        if self.quiet or self._real is None:
            return len(text)
        written: int = self._real.write(text)
        return written

    def writelines(self, lines: Any) -> None:
        """Write each."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)
