"""Faults, added and taken away one by one, while the others go on counting."""

from __future__ import annotations

from collections.abc import Iterable

from relaysim.sim.doors.faults import ApiFault, wrong_routes
from relaysim.sim.doors.server.app import SimulatedServer
from relaysim.sim.doors.server.control_errors import ControlError, Problem, invalid


def check_faults(server: SimulatedServer, faults: Iterable[ApiFault], where: str = "route") -> None:
    """See that these could strike.

    Args:
        server: whose API has the operations.
        faults: new ones.
        where: the place of a fault's route in the request, `{}` for its position.

    Raises:
        ControlError: some could not.
    """
    problems = [
        Problem(where=where.format(position), message=message, fix="")
        for position, message in wrong_routes(faults, server.api.backend)
    ]
    if problems:
        raise invalid(problems)


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
