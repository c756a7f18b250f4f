"""The error of code that would leave the simulation, and what its author can do about it."""

from __future__ import annotations

from types import FrameType

from relaysim.sim.kernel.own_errors import SimulatorError


class LeavesSimulationError(SimulatorError, RuntimeError):
    """Simulated code tried to reach the world outside."""

    def __init__(self, what: str, place: str = "", remedy: str = "") -> None:
        """
        Args:
            what: was tried.
            place: where, as of `relaysim.sim.kernel.source_places`; "" if nobody knows.
            remedy: what its author can do about it; "": what is usual.
        """
        at = f"{place}: " if place else ""
        super().__init__(f"{at}{what} would leave the simulation; {remedy or _remedy(what)}")


_REMEDIES = {
    "time.sleep": "await asyncio.sleep(...) instead, which takes virtual time",
    "starting a thread": (
        "use tasks of asyncio instead, or asyncio.to_thread, whose jobs run here as one step of the loop; what "
        "must run in a "
        "thread needs a stand-in that the factory puts in"
    ),
    "starting a process": "give it a stand-in that the factory puts in",
    "forking": "give it a stand-in that the factory puts in",
    "replacing": "give it a stand-in that the factory puts in",
}


_IN_ITS_OWN_PROCESS = {
    "billiard": 'let Celery\'s worker do its tasks in its own process: `pool="threads"`, or `pool="solo"`',
    "rq": "let RQ's worker do its jobs in its own process: `SimpleWorker`",
}
"""Libraries that start processes, and what they have in place of them."""


def remedy_of_library(what: str, frame: FrameType | None) -> str:
    """What its author can do where a library of these starts a process, as this frame and those above it show; else ""."""
    if not what.startswith(("starting a process", "forking")):
        return ""
    while frame is not None:
        package = frame.f_globals.get("__name__", "").partition(".")[0]
        if package in _IN_ITS_OWN_PROCESS:
            return _IN_ITS_OWN_PROCESS[package]
        frame = frame.f_back
    return ""


def _remedy(what: str) -> str:
    """What its author can do about a way out."""
    given = next((remedy for begin, remedy in _REMEDIES.items() if what.startswith(begin)), None)
    return given or (
        "reach OpenAI and Redis by the clients that the factory receives, and give whatever else the code talks to a "
        "stand-in that the factory puts in"
    )
