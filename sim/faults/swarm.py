"""Swarm testing: each replication meets its own selection of a scenario's faults, each at a strength of its own.

With every fault on in every world, some combinations never happen: a fault that strikes early hides those that would
strike later. Leaving each one out at random in each world makes all combinations likely (Groce et al., Swarm Testing,
ISSTA 2012).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field


class Swarm(BaseModel):
    """How each replication chooses among the faults of all lists."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    off_probability: float = Field(
        default=0.5, ge=0, le=1, description="how likely each fault is left out of a replication"
    )
    weight_decades: float = Field(
        default=2.0,
        ge=0,
        le=6,
        description="a fault that is not left out has its probability divided by up to this power of ten, drawn evenly "
        "on a logarithmic scale",
    )


class _Likely(Protocol):
    @property
    def probability(self) -> float: ...

    def model_copy(self, *, update: dict[str, Any]) -> Self: ...


F = TypeVar("F", bound=_Likely)


def chosen(
    faults: Sequence[F], name: str, swarm: Swarm | None, uniform: Callable[[str, str, int], float]
) -> tuple[F, ...]:
    """The faults of one list as this replication has them. One that is left out stays, with probability 0.

    Args:
        faults: the scenario's.
        name: the list's name, e.g. `host_faults`.
        swarm: None: all of them as they are.
        uniform: a keyed draw, see `relaysim.sim.kernel.Draws.uniform`.
    """
    if swarm is None:
        return tuple(faults)
    made = []
    for position, fault in enumerate(faults):
        weight = 10.0 ** (-swarm.weight_decades * uniform("swarm", f"{name} weight", position))
        if uniform("swarm", f"{name} off", position) < swarm.off_probability:
            weight = 0.0
        made.append(fault.model_copy(update={"probability": fault.probability * weight}))
    return tuple(made)
