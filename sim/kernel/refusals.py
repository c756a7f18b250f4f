"""The error of code that would leave the simulation, and what its author can do about it."""

from __future__ import annotations

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


def _remedy(what: str) -> str:
    """What its author can do about a way out."""
    given = next((remedy for begin, remedy in _REMEDIES.items() if what.startswith(begin)), None)
    return given or (
        "reach OpenAI and Redis by the clients that the factory receives, and give whatever else the code talks to a "
        "stand-in that the factory puts in"
    )
