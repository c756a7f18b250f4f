"""The waits between attempts at something that is refused for a while, as settings that several policies share."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal, TypedDict

from relaysim.relay.setting_rules import FACTOR, SECONDS, Settings, choice, flag, is_finite

Jitter = Literal["none", "full", "equal"]

ATTEMPTS_MAX: Final = 1000
"""How often something may be tried."""


def _waits(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, list | tuple) and all(is_finite(wait) and wait >= 0 for wait in value):
        return None
    return "must be a list of numbers of seconds, each 0 or more"


def attempts_rule(value: object) -> str | None:
    """A number of attempts."""
    # Each has its wait, and a message is not worth more; a slip of the finger must not be a list of a billion waits.
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= ATTEMPTS_MAX:
        return None
    return f"must be a whole number from 1 to {ATTEMPTS_MAX}"


def _cap(value: object) -> str | None:
    return None if value is None else SECONDS(value)


@dataclass(frozen=True, kw_only=True)
class WaitSettings(Settings):
    """How often something is tried, and what is waited in between.

    attempts                 1 to 1000; attempts before the friendly apology
    first_wait_seconds       0 or more; wait after the first refusal
    factor                   above 0; each wait is the one before it times this
    max_wait_seconds         0 or more: no wait is longer than this, before jitter; None: there is no such limit
    waits                    the waits themselves, in seconds, instead of first_wait_seconds and factor: one per attempt;
                             without a wait after the last failure one less is enough
    jitter                   "none"; "full": uniform between 0 and the wait; "equal": uniform between half of it and all
    wait_after_last_failure  whether the last refusal is waited for too, although no attempt follows it (the incident
                             report's loop: 2 + 4 + 8 = 14 s)
    """

    attempts: Annotated[int, attempts_rule] = 3
    first_wait_seconds: Annotated[float, SECONDS] = 2.0
    factor: Annotated[float, FACTOR] = 2.0
    max_wait_seconds: Annotated[float | None, _cap] = None
    waits: Annotated[Sequence[float] | None, _waits] = None
    jitter: Annotated[Jitter, choice("none", "full", "equal")] = "none"
    wait_after_last_failure: Annotated[bool, flag] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.waits is not None:
            object.__setattr__(self, "waits", tuple(self.waits))

    @property
    def planned_waits(self) -> tuple[float, ...]:
        """Seconds to wait after each conflict, before jitter. As many as there are waits."""
        count = self._wait_count
        cap = math.inf if self.max_wait_seconds is None else float(self.max_wait_seconds)
        if self.waits is not None:
            return tuple(min(float(wait), cap) for wait in self.waits[:count])
        return tuple(min(self._grown(index), cap) for index in range(count))

    def _grown(self, index: int) -> float:
        try:
            return self.first_wait_seconds * self.factor**index
        except OverflowError:
            return math.inf if self.first_wait_seconds else 0.0

    @property
    def _wait_count(self) -> int:
        return self.attempts if self.wait_after_last_failure else self.attempts - 1

    def _problems(self) -> list[str]:
        problems = super()._problems()
        return problems or self._problems_together()

    def _problems_together(self) -> list[str]:
        if self.waits is not None:
            if len(self.waits) not in (self._wait_count, self.attempts):
                return [
                    f"waits = {list(self.waits)!r} has {len(self.waits)} waits: "
                    f"must have {self._wait_count}, with attempts = {self.attempts} and "
                    f"wait_after_last_failure = {self.wait_after_last_failure}"
                ]
            if math.isfinite(sum(self.waits)):
                return []
            return [f"waits = {list(self.waits)!r}: must not add up to infinity"]
        if math.isfinite(sum(self.planned_waits)):
            return []
        return [
            f"factor = {self.factor!r} makes the waits infinite, with first_wait_seconds = {self.first_wait_seconds!r} "
            f"and attempts = {self.attempts}: must be smaller"
        ]

    def drawn(self, planned_seconds: float) -> float:
        """A planned wait with its jitter."""
        # Through the module, at each call: the draw can be replaced, in a test or a simulation.
        match self.jitter:
            case "none":
                return planned_seconds
            case "full":
                return planned_seconds * random.random()
            case "equal":
                return planned_seconds / 2 * (1 + random.random())


class WaitArguments(TypedDict, total=False):
    """`WaitSettings` as keyword arguments, so that a type checker sees a misspelt one."""

    attempts: int
    first_wait_seconds: float
    factor: float
    max_wait_seconds: float | None
    waits: Sequence[float] | None
    jitter: Jitter
    wait_after_last_failure: bool
