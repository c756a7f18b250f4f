"""When which workers lost their power: what they had begun ends there, without a record of its own."""

from __future__ import annotations

from relaysim.sim.trace.reader import TraceReader
from relaysim.sim.trace.schema import HostCrash


class Crashes(TraceReader):
    """Reads a trace for them."""

    def __init__(self) -> None:
        self._of: dict[str, list[tuple[float, int]]] = {}

    def on_host_crash(self, time: float, entity: str, event: HostCrash) -> None:
        self._of.setdefault(entity, []).append((time, self.index))

    def first_after(self, worker: str, time: float) -> tuple[float, int] | None:
        """When a worker lost its power first at that time or later, and at which place in the trace; None: it did not."""
        return next((each for each in self._of.get(worker, ()) if each[0] >= time), None)
