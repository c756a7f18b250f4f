"""When a fault strikes: the conditions, as values and as fields of scenario files.

A fault that strikes `AtTimes` does so by itself, at virtual instants that are drawn. One that strikes `AtOccasions` watches
requests, Redis commands, deliveries, texts or the events of workers, and strikes those that meet all its conditions.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from relaysim.sim.kernel.distributions import Distribution


class AtTimes(NamedTuple):
    """Strikes at drawn times.

    Attributes:
        at_seconds: virtual seconds from the world's start, drawn for each time.
        times: how often it may strike.
        probability: how likely it is to strike, each of these times.
    """

    at_seconds: Distribution
    times: int
    probability: float


class AtOccasions(NamedTuple):
    """Strikes at occasions that it watches.

    Attributes:
        pattern: which occasions it watches, by their names, as `fnmatch.fnmatchcase` reads it.
        probability: how likely it is to strike, at each occasion that meets the other conditions.
        window_seconds: only at or after the first and before the second virtual second; None: always.
        nth: only the occasions with these numbers, counting from 1 those that it watches; None: all.
        strikes_max: how often it strikes at most; None: no limit.
        site_probability: how likely an occasion's name is one at which it strikes at all, decided once per world for each.
    """

    pattern: str = "*"
    probability: float = 1.0
    window_seconds: tuple[float, float] | None = None
    nth: tuple[int, ...] | None = None
    strikes_max: int | None = None
    site_probability: float = 1.0


When = AtTimes | AtOccasions


def _check_window(window: tuple[float, float] | None) -> tuple[float, float] | None:
    if window is not None and not 0 <= window[0] < window[1]:
        raise ValueError(f"the window must begin at 0 or later and end after it begins, not {list(window)}")
    return window


def _check_numbers(nth: tuple[int, ...] | None, counted: str) -> tuple[int, ...] | None:
    if nth is not None and (not nth or min(nth) < 1):
        raise ValueError(f"nth counts from 1 and names at least one {counted}")
    return nth


WindowSeconds = Annotated[tuple[float, float] | None, AfterValidator(_check_window)]
"""A field: from the first and before the second virtual second. It begins at 0 or later and is not empty."""

SiteProbability = Annotated[float, Field(gt=0, le=1)]
"""A field: how likely a fault strikes at an occasion's name at all, decided once per world. One that is likely at few
moments, others in each world, finds what one that is rare everywhere does not (BUGGIFY, in FoundationDB's words)."""

NthEvents = Annotated[tuple[int, ...] | None, AfterValidator(partial(_check_numbers, counted="event"))]
"""A field: numbers of events, counting from 1, at least one. The next two differ in what the error message counts."""

NthAttempts = Annotated[tuple[int, ...] | None, AfterValidator(partial(_check_numbers, counted="attempt"))]

NthCommands = Annotated[tuple[int, ...] | None, AfterValidator(partial(_check_numbers, counted="command"))]


class EventFault(BaseModel):
    """A fault of single events that have no names: by chance, by number or by time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str = Field(description="what happens")
    probability: float = Field(default=1.0, ge=0, le=1, description="share of the events that it hits")
    window_seconds: WindowSeconds = Field(
        default=None, description="only events at or after the first and before the second virtual second"
    )
    nth: NthEvents = Field(
        default=None, description="only the events with these numbers, counted from 1 over the world"
    )

    @property
    def when(self) -> AtOccasions:
        """When it strikes: it watches all events."""
        return AtOccasions("*", self.probability, self.window_seconds, self.nth)
