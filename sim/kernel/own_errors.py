"""Errors of the simulator's own: what raised one cannot be judged, so they end a run whoever might have caught them."""

from __future__ import annotations


class SimulatorError(Exception):
    """Base class of errors that are no fault of the simulated code: something is not simulated, or cannot be driven."""


def own_error_in(error: BaseException | None) -> SimulatorError | None:
    """The simulator's own error that this one is, or that is in its group; None: it is the simulated code's."""
    if isinstance(error, SimulatorError):
        return error
    if isinstance(error, BaseExceptionGroup):
        return next((found for each in error.exceptions if (found := own_error_in(each)) is not None), None)
    return None
