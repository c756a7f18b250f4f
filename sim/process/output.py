"""Standard output and error of a worker: what its code prints goes, line by line, to whoever listens, and nowhere else.

A thousand worlds print a thousand times what one process does, and what a command prints on standard output is a result.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, Final

Printed = Callable[[str, str], None]
"""Is told the stream, `stdout` or `stderr`, and a line without its end."""

LINE_MAX: Final = 10_000
"""Characters of a line; what is longer comes as several."""


class Output(io.TextIOBase):
    """One of the two streams.

    Args:
        stream: `stdout` or `stderr`.
        printed: gets each line once it is whole.
    """

    mode = "w"
    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, stream: str, printed: Printed) -> None:
        self._stream = stream
        self._printed = printed
        self._begun = ""
        self.name = f"<{stream}>"
        self.buffer = _Octets(self)

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: str) -> int:
        """Take text; how many characters that were."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._printed(self._stream, line)
        while len(self._begun) > LINE_MAX:
            self._printed(self._stream, self._begun[:LINE_MAX])
            self._begun = self._begun[LINE_MAX:]
        return len(text)

    def close(self) -> None:
        """It belongs to the process, as long as that lives."""

    def detach(self) -> Any:
        """There is nothing below it.

        Raises:
            io.UnsupportedOperation: always.
        """
        raise io.UnsupportedOperation("detach")


class _Octets(io.RawIOBase):
    """What lies below a stream of text: `sys.stdout.buffer`."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def writable(self) -> bool:
        return True

    def write(self, octets: Any) -> int:
        data = bytes(octets)
        self._output.write(data.decode("utf-8", "backslashreplace"))
        return len(data)

    def close(self) -> None:
        """As of the stream."""
