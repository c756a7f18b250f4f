"""Faults, added and taken away one by one, while the others go on counting."""

from __future__ import annotations

from relaysim.sim.doors.faults import ApiFault
from relaysim.sim.doors.server.app import SimulatedServer
from relaysim.sim.doors.server.control_errors import ControlError


def add_fault(server: SimulatedServer, fault: ApiFault) -> int:
    """Put a fault after those there are; its index. Its `nth` counts from now on, the others' go on."""
    count = len(server.api.faults.faults)
    server.change_faults(range(count), (fault,))
    return count


def remove_fault(server: SimulatedServer, index: int) -> None:
    """Take a fault away. The index of each one after it becomes one less.

    Raises:
        ControlError: there is no such index.
    """
    count = len(server.api.faults.faults)
    if not 0 <= index < count:
        there = f"the last has index {count - 1}" if count else "there are no faults"
        raise ControlError("not_found", f"there is no fault {index}: {there}; GET /_relaysim/faults lists them")
    server.change_faults(position for position in range(count) if position != index)
