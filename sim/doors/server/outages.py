"""Outages: while a fault says that nobody can connect at all, nothing listens.

That is a fault under which no attempt connects, such as `connect_error`, with a window, for every route, without `nth` and
with probability 1. While it lasts (in virtual time) new connections are refused by the operating system, as if the server
did not run. At speed 0 the server goes on listening, since nobody could connect to move the clock on; requests are then
reset one by one, as under any other such fault. Not listening counts once in the fault's `fired`, since refused connections
cannot be counted.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from relaysim.sim.doors.faults import ApiFault
from relaysim.sim.doors.simulation import SimulatedApi


class ConnectionGate(Protocol):
    """What can refuse connections: the listener."""

    def refuse_connections(self) -> None:
        """Refuse connections from now on."""
        ...

    def accept_connections(self) -> None:
        """Accept them again."""
        ...


class _Window(NamedTuple):
    position: int
    start: float
    end: float


class Outages:
    """Lets a server refuse and accept connections as an API's faults say.

    Attributes:
        closed: whether connections are refused now.
    """

    def __init__(self, gate: ConnectionGate) -> None:
        self._gate = gate
        self.closed = False
        self._windows: list[_Window] = []

    def plan(self, api: SimulatedApi, *, moving: bool) -> None:
        """Go by the present faults and clock from now on; call it whenever one of them is replaced.

        Args:
            api: at the present instant.
            moving: whether virtual time moves by itself.
        """
        self._windows = _windows(api.faults.faults) if moving else []
        for window in self._windows:
            for instant in (window.start, window.end):
                if instant > api.kernel.now:
                    api.kernel.at(instant - api.kernel.now, self._look, api)
        self._look(api)

    def _look(self, api: SimulatedApi) -> None:
        # Also called at the instants of earlier plans, which are as good as any others.
        now = api.kernel.now
        current = [window for window in self._windows if window.start <= now < window.end]
        if current and not self.closed:
            self.closed = True
            api.faults.fire(current[0].position)
            self._gate.refuse_connections()
        elif self.closed and not current:
            self.closed = False
            self._gate.accept_connections()


def _windows(faults: tuple[ApiFault, ...]) -> list[_Window]:
    return [
        _Window(position, *fault.window_seconds)
        for position, fault in enumerate(faults)
        if fault.window_seconds is not None
        and not fault.effect.connects
        and (fault.route, fault.nth, fault.probability) == ("*", None, 1.0)
    ]
