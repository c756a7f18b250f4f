"""What keeps code under test from ending, or hanging, the process that judges it.

    with Guard():                 # around an import, or a world (then with its clock)
        module = importlib.import_module("bot")

What asyncio or Python would let through to the top (`sys.exit()`, a KeyboardInterrupt that no user asked for, any other
BaseException) comes out as an `EndsProcessError`, and what the watchdog gave up as a `GivenUpError`: both are
`Exception`s with one line that names the file and line of the code under test. The user's own interrupt comes out as it is.
"""

from __future__ import annotations

import os
import sys
from types import TracebackType
from typing import Any, ClassVar, Self

from relaysim.sim.kernel.error_text import named
from relaysim.sim.kernel.source_places import place_of_error
from relaysim.sim.kernel.watchdog import WATCHDOG, Clock, Fail


class GivenUpError(RuntimeError):
    """Code under test did not give control back, or took all memory; the message says where it was."""


class EndsProcessError(RuntimeError):
    """Code under test would have ended its process; the message says where, and by what."""


class Guard:
    """A section under watch, whose errors are `Exception`s or the user's interrupt. A context manager.

    The outermost one also closes those within it that are open still: plain code that waited there was left where it stood.
    What becomes of it later, when it is collected, changes nothing any more.

    Args:
        clock: the virtual clock; None: no time passes in the section.
        fail: takes an error that the code under test may swallow.
    """

    _open: ClassVar[list[Guard]] = []

    def __init__(self, clock: Clock | None = None, fail: Fail | None = None) -> None:
        self._clock, self._fail = clock, fail

    def __enter__(self) -> Self:
        Guard._open.append(self)
        WATCHDOG.__enter__()
        self._outer = WATCHDOG.begin(self._clock, self._fail)
        self._exits = os._exit, os.abort
        os._exit, os.abort = _exit_outside, _abort_outside
        self._streams = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = (stream and _Shared(stream) for stream in self._streams)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self not in Guard._open:
            return
        explanation = WATCHDOG.explanation
        interrupted, owns = WATCHDOG.interrupted, WATCHDOG.owns_interrupts
        while self is Guard._open[0] and self is not Guard._open[-1]:
            Guard._open[-1]._close()
        self._close()
        if interrupted:
            raise KeyboardInterrupt
        if explanation:  # though the code under test may have swallowed it, or made another error of it
            raise GivenUpError(f"{explanation}; give it longer with --patience SECONDS") from None
        if error is None or isinstance(error, Exception) or (isinstance(error, KeyboardInterrupt) and not owns):
            return
        raise EndsProcessError(
            f"{place_of_error(error) or 'the relay'} raised {_call(error)}, {_meaning(error)}"
        ) from None

    def _close(self) -> None:
        Guard._open.remove(self)
        os._exit, os.abort = self._exits
        sys.stdout, sys.stderr = self._streams
        WATCHDOG.end(self._outer)
        WATCHDOG.__exit__()


class _Shared:
    """A standard stream as code under test has it: it cannot be closed."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def close(self) -> None:
        """It belongs to the process that judges."""

    detach = close


def _call(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"SystemExit({_code(error.code)})"
    return named(error)


def _code(code: Any) -> str:
    return repr(code)[:100] if isinstance(code, int | str) else ""


def _meaning(error: BaseException) -> str:
    if isinstance(error, SystemExit | KeyboardInterrupt):
        return "which ends the process of the relay; let it raise an Exception instead"
    return "which is no Exception; let it raise one"


def _only_outside(real: Any, name: str) -> Any:
    def call(*arguments: Any) -> Any:
        if WATCHDOG.in_section:
            raise SystemExit(name)
        return real(*arguments)

    return call


# Code under test may keep them under names of its own.
_exit_outside = _only_outside(os._exit, "os._exit")
_abort_outside = _only_outside(os.abort, "os.abort")
