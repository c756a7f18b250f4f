"""Which faults of a list hit an event, and how often each has hit: what faults of webhooks and of sends share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pydantic import BaseModel, ConfigDict, Field, field_validator

from relaysim.sim.kernel.occasions import counted_from_one, ordered_window


class Fault(BaseModel):
    """A fault that hits single events: which of them, by chance, by number or by time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str = Field(description="what happens")
    probability: float = Field(default=1.0, ge=0, le=1, description="share of the events that it hits")
    window_seconds: tuple[float, float] | None = Field(
        default=None, description="only events at or after the first and before the second virtual second"
    )
    nth: tuple[int, ...] | None = Field(
        default=None, description="only the events with these numbers, counted from 1 over the world"
    )

    @field_validator("window_seconds")
    @classmethod
    def _ordered(cls, window: tuple[float, float] | None) -> tuple[float, float] | None:
        return ordered_window(window)

    @field_validator("nth")
    @classmethod
    def _counts(cls, nth: tuple[int, ...] | None) -> tuple[int, ...] | None:
        return counted_from_one(nth)


class Firing:
    """The faults of one list in one world.

    Args:
        faults: the list.
        uniform: a keyed draw, see `relaysim.sim.kernel.Draws.uniform`.

    Attributes:
        faults: as given.
        fired: per fault, how many events it hit.
        stopped: no fault hits any more.
    """

    __slots__ = ("_seen", "_uniform", "faults", "fired", "stopped")

    def __init__(self, faults: Sequence[Fault], uniform: Callable[[str, str, int], float]) -> None:
        self.faults = tuple(faults)
        self.fired = [0] * len(self.faults)
        self.stopped = False
        self._seen = [0] * len(self.faults)
        self._uniform = uniform

    def hits(self, position: int, now: float, entity: str, purpose: str, index: int, *, decided: bool = False) -> bool:
        """Whether the fault at this position hits this event. Call it once per event: it counts, also what it misses.

        Args:
            position: in the list.
            now: virtual seconds.
            entity: keys the draw, with the two that follow.
            purpose: what the event is.
            index: its number among the entity's events of that purpose.
            decided: another fault has hit the event already, and only one may.
        """
        fault = self.faults[position]
        self._seen[position] += 1
        if decided or self.stopped or fault.probability == 0.0:
            return False
        if fault.nth is not None and self._seen[position] not in fault.nth:
            return False
        window = fault.window_seconds
        if window is not None and not window[0] <= now < window[1]:
            return False
        if fault.probability < 1.0:
            u = self._uniform(entity, f"{purpose} fault-{position}", index)
            if u >= fault.probability:
                return False
        self.fired[position] += 1
        return True
