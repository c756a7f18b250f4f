"""Exceptions that nobody received, as records of the world's trace.

In production they are a line in a log, and the process goes on; here each is a record, and what becomes of the message
concerned is judged like anything else.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from relaysim.sim.kernel import (
    Kernel,
    Unhandled,
    chain_of_error,
    current_host,
    error_text,
    place_of_error,
    steps_of_error,
)
from relaysim.sim.trace.schema import UnhandledException


def record_unhandled(kernel: Kernel, ended: Callable[[str, Exception], None]) -> None:
    """From now on the kernel's trace tells of what nobody receives.

    Args:
        kernel: the world's.
        ended: told of each exception that ended a task of a handling, with the delivery.
    """

    def record(unhandled: Unhandled) -> None:
        error = unhandled.error
        if unhandled.source == "task" and unhandled.delivery and isinstance(error, Exception):
            ended(unhandled.delivery, error)
        kernel.trace.add_at(
            unhandled.place, unhandled.host, _event(unhandled.delivery, unhandled.source, error, unhandled.message)
        )

    kernel.unhandled = record


def serve_raised(error: BaseException) -> UnhandledException:
    """The record of a `serve` that has ended with an exception."""
    return _event("", "serve", error, "")


def _event(delivery: str, source: str, error: BaseException | None, message: str) -> UnhandledException:
    return UnhandledException(
        delivery=delivery,
        source=source,
        error_class="" if error is None else type(error).__name__,
        text=message if error is None else error_text(error),
        place="" if error is None else place_of_error(error),
        traceback=steps_of_error(error),
        chain=chain_of_error(error),
    )


class Finalizers:
    """While it is installed, what a finalizer (`__del__`) raises on a host of the attached world is recorded there."""

    def __init__(self) -> None:
        self.kernel: Kernel | None = None
        self._outer: Callable[[Any], Any] = sys.unraisablehook

    def install(self) -> None:
        """Take exceptions that Python can raise nowhere."""
        self._outer = sys.unraisablehook
        sys.unraisablehook = self._report

    def remove(self) -> None:
        """Give them back to whoever took them before."""
        sys.unraisablehook = self._outer

    def _report(self, unraisable: Any) -> None:
        kernel, host = self.kernel, current_host()
        if kernel is None or host is None or kernel.unhandled is None:
            self._outer(unraisable)
            return
        message = unraisable.err_msg or "Exception ignored in a finalizer"
        error = unraisable.exc_value
        kernel.unhandled(Unhandled(host.name, "finalizer", message, error, copy_context(), kernel.place()))
