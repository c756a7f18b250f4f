"""What the relay under test logs, as domain events of its world."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import Final, Self

from relaysim.sim.kernel import Trace, chain_of_error, current_context, current_host, named, writable
from relaysim.sim.trace.schema import LogLine

_DETAILS = ("_srcfile", "logThreads", "logProcesses", "logMultiprocessing", "logAsyncioTasks")
"""What `logging` looks up for each line and no trace shows: source line, thread, process, task. Its own documentation
says how to leave them out; which task runs differs between Python versions anyway."""

_LIBRARIES = ("openai", "httpx2", "httpcore2", "redis", "asyncio", "fakeredis", "anyio")


LINES_MAX: Final = 100_000
"""Lines of one world that are kept; a relay that logs without end must not take all memory."""

CHARACTERS_MAX: Final = 10_000
"""Characters of a line that are kept."""


_errors: dict[str, BaseException] = {}


def logged_error(delivery: str) -> BaseException | None:
    """The exception that was logged last as an error in the handling of this delivery; None: none was.

    Frameworks log what an application raised, and answer with status 500.
    """
    return _errors.get(delivery)


class _Handler(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.trace: Trace | None = None
        self.left = LINES_MAX

    def handle(self, record: logging.LogRecord) -> bool:
        """Without a lock: one thread runs a world."""
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        trace = self.trace
        host = current_host()
        if trace is None or host is None or record.name.partition(".")[0] in _LIBRARIES:
            return
        if record.exc_info and record.levelno >= logging.ERROR and isinstance(record.exc_info[1], Exception):
            _errors[current_context.get()] = record.exc_info[1]
        self.left -= 1
        if self.left < 0:
            return
        text = _text(record) if self.left else f"(after {LINES_MAX:,} lines, no more of this world are kept)"
        errors = chain_of_error(record.exc_info[1], itself="with") if record.exc_info else ()
        trace.add(host.name, LogLine(delivery=current_context.get(), level=record.levelname, text=text, errors=errors))


def _text(record: logging.LogRecord) -> str:
    try:
        text = record.getMessage()
    except Exception as error:  # `logging` complains of it on standard error, and goes on
        return f"(a line that cannot be formatted: {named(error)})"
    return writable(text if len(text) <= CHARACTERS_MAX else f"{text[:CHARACTERS_MAX]}... ({len(text):,} characters)")


class LogCapture:
    """While open, log lines of level INFO and above go to the trace of the world that `attach` named, and nowhere else.

    The libraries' own lines are left out: they differ between the lanes.
    """

    def __init__(self) -> None:
        self._handler = _Handler()

    def attach(self, trace: Trace | None) -> None:
        """Whose trace receives the lines from now on."""
        self._handler.trace = trace
        self._handler.left = LINES_MAX
        _errors.clear()

    def __enter__(self) -> Self:
        root = logging.getLogger()
        self._handlers, self._level = root.handlers[:], root.level
        root.handlers[:] = [self._handler]
        root.setLevel(logging.INFO)
        self._details = {name: getattr(logging, name) for name in _DETAILS if hasattr(logging, name)}
        for name in self._details:
            setattr(logging, name, None if name == "_srcfile" else False)
        self._quiet = [(logging.getLogger(name), logging.getLogger(name).level) for name in _LIBRARIES]
        for logger, _ in self._quiet:
            logger.setLevel(logging.CRITICAL)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        root = logging.getLogger()
        root.handlers[:] = self._handlers
        root.setLevel(self._level)
        for name, value in self._details.items():
            setattr(logging, name, value)
        for logger, level in self._quiet:
            logger.setLevel(level)
