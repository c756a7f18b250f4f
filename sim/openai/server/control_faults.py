"""Faults, added and taken away one by one, while the others go on counting."""

from __future__ import annotations

from collections.abc import Sequence

from sim.openai.faults import ApiFault
from sim.openai.server.app import SimulatedServer
from sim.openai.server.control_errors import ControlError


def add_fault(server: SimulatedServer, fault: ApiFault) -> int:
    """Put a fault after those there are; its index. Its `nth` counts from now on, the others' go on."""
    _replace(server, range(len(server.api.faults.faults)), (fault,))
    return len(server.api.faults.faults) - 1


def remove_fault(server: SimulatedServer, index: int) -> None:
    """Take a fault away. The index of each one after it becomes one less.

    Raises:
        ControlError: there is no such index.
    """
    count = len(server.api.faults.faults)
    if not 0 <= index < count:
        there = f"the last has index {count - 1}" if count else "there are no faults"
        raise ControlError("not_found", f"there is no fault {index}: {there}; GET /_relaysim/faults lists them")
    _replace(server, [position for position in range(count) if position != index], ())


def _replace(server: SimulatedServer, kept: Sequence[int], added: tuple[ApiFault, ...]) -> None:
    before = server.api.faults
    server.set_faults((*(before.faults[position] for position in kept), *added))
    after = server.api.faults
    for position, old in enumerate(kept):
        after._seen[position] = before._seen[old]
        after.fired[position] += before.fired[old]
        server._earlier_fired -= before.fired[old]  # it was counted among those of plans that are gone
