"""Strata: one draw of every world comes from a chosen part of its range, so that a rare circumstance is not rare.

A run that gets stuck once in two hundred worlds is hardly met by chance. With strata, the one draw that decides on it is
mapped into a chosen interval: in some replications the run is always stuck, in the others never, and everything else is
drawn as ever. Nothing is told to the relay or to the API; the world is one that could have come about by itself, and the
probabilities of the intervals say how likely.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from relaysim.sim.backends.profile import Profile
from relaysim.sim.kernel import ConditionedDraws
from relaysim.sim.validation_words import did_you_mean

_THREAD = re.compile(r"\{c([1-9]\d*)\}")


class Strata(BaseModel):
    """Which draw is taken from which part of its range, in which share of the replications."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    entity: str = Field(
        min_length=1,
        description="whose draw, as the world names it; `{c1}` in it is the thread of conversation 1, so that "
        "`{c1}/run/0` is the first run on that thread",
    )
    purpose: str = Field(min_length=1, description="what it is for, e.g. `stuck`")
    index: int = Field(default=0, ge=0, description="which draw of that entity for that purpose, counting from 0")
    edges: tuple[float, ...] | None = Field(
        default=None, description="where the parts of its range begin and end, from 0 up to 1; or give `probability`"
    )
    probability: str | None = Field(
        default=None,
        description="a number of the profile, e.g. `stuck_probability`: two parts, the draws below it and the others",
    )
    shares: tuple[float, ...] | None = Field(
        default=None, description="share of the replications in each part, with a sum of 1; absent: the same in each"
    )
    enabled: bool = Field(default=True, description="false: the worlds are drawn as though there were no strata")

    @model_validator(mode="after")
    def _parts_are_parts(self) -> Self:
        if (self.edges is None) == (self.probability is None):
            raise ValueError("give either `edges` or `probability`")
        if self.edges is not None:
            rising = all(low < high for low, high in pairwise(self.edges))
            if len(self.edges) < 3 or self.edges[0] != 0 or self.edges[-1] != 1 or not rising:
                raise ValueError("`edges` must rise from 0 to 1, with at least one in between, e.g. [0.0, 0.98, 1.0]")
        parts = 2 if self.edges is None else len(self.edges) - 1
        if self.shares is not None:
            if len(self.shares) != parts:
                raise ValueError(
                    f"there are {parts} parts, so `shares` must be {parts} numbers, not {len(self.shares)}"
                )
            if min(self.shares) <= 0 or abs(math.fsum(self.shares) - 1) > 1e-9:
                raise ValueError("`shares` must be above 0, with a sum of 1")
        return self

    def edges_under(self, profile: Profile) -> tuple[float, ...]:
        """The edges; those of a `probability` are the profile's. Raises ValueError if it has no such number in (0, 1)."""
        if self.edges is not None:
            return self.edges
        assert self.probability is not None
        value = getattr(profile, self.probability, None) if self.probability.endswith("_probability") else None
        if not isinstance(value, float):
            known = [name for name in Profile.model_fields if name.endswith("_probability")]
            hint = did_you_mean(self.probability, known, what="there are")
            raise ValueError(f"strata.probability: the profile has no number {self.probability!r}; {hint}")
        if not 0 < value < 1:
            raise ValueError(
                f"strata.probability: {self.probability} is {value:g}, which leaves one part empty; take the strata out "
                "with `strata.enabled = false`, or set a number between 0 and 1"
            )
        return 0.0, value, 1.0

    def probabilities(self, profile: Profile) -> tuple[float, ...]:
        """How likely each part is; they add up to 1."""
        return tuple(high - low for low, high in pairwise(self.edges_under(profile)))

    def stratum_of(self, seed: int) -> int:
        """Which part a replication's draw comes from, counted from 0.

        A function of the seed and the shares alone: seeds are spread by their binary digits in reverse order (van der
        Corput), so that every stretch of seeds has each part in about its share.
        """
        parts = 2 if self.edges is None else len(self.edges) - 1
        shares = self.shares or (1 / parts,) * parts
        place = int(f"{seed:b}"[::-1], 2) / (1 << max(1, seed.bit_length()))
        return min(bisect_right(list(accumulate(shares)), place), parts - 1)

    def condition(self, draws: ConditionedDraws, seed: int, profile: Profile, threads: Sequence[str]) -> None:
        """Take the one draw of this replication from its part; `threads` are those of the customers, in their order."""
        entity = _THREAD.sub(lambda found: threads[int(found[1]) - 1], self.entity)
        stratum = self.stratum_of(seed)
        low, high = self.edges_under(profile)[stratum : stratum + 2]
        draws.condition(entity, self.purpose, self.index, low, high)

    def conversations_named(self) -> list[int]:
        """The numbers of the conversations whose threads are named."""
        return [int(found) for found in _THREAD.findall(self.entity)]
