"""Faults of Redis and of the way to it, as scenario files write them.

Each `[[redis_faults]]` table is one `RedisFault`. The first four last for some time, the last two hit single commands.

| kind           | what the server does                                     | what redis-py sees                            |
|----------------|----------------------------------------------------------|-----------------------------------------------|
| `slow`         | takes `delay_seconds` longer for each command            | a late reply, or its own timeout              |
| `away`         | is gone for `seconds` and comes back with its data       | reset connections, refused new ones           |
| `restart`      | the same, and forgets its scripts                        | the same, then `NOSCRIPT`                     |
| `failover`     | the same: a replica takes over                           | the same, then `NOSCRIPT`                     |
| `reply_lost`   | processes the command                                    | a timeout, 5 s after sending unless set       |
| `command_lost` | nothing, the command never arrives                       | the same                                      |

With `lost_seconds` a restart or a failover also takes back what was written in the last seconds before it, as a file not
yet flushed or a replica that lags; what `WAIT` confirmed stays. Expiry times are absolute: a key that came back with
time left runs out when it would have.

redis-py repeats a command after reset connections, refused ones and timeouts: ten times, with jittered pauses. Against a
server that is gone that is about 4 s, and where every reply is lost a minute. It then raises
`redis.exceptions.ConnectionError` or `TimeoutError`. A repeated command may have been processed before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from relaysim.sim.kernel.distributions import Seconds
from relaysim.sim.kernel.occasions import counted_from_one, ordered_window

LOSSES: Final = ("reply_lost", "command_lost")
"""The kinds that hit single commands; the others last."""

_FORGETFUL: Final = ("restart", "failover")


class RedisFault(BaseModel):
    """One fault: what happens, to which commands or when, and for how long."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["slow", "away", "restart", "failover", "reply_lost", "command_lost"] = Field(
        description="`slow`: every command takes longer; `away`: the server is gone for a while; `restart`: the same, and "
        "its scripts are forgotten; `failover`: a replica takes over after a while, without the scripts; `reply_lost`: a "
        "command is processed, unanswered; `command_lost`: a command never arrives"
    )
    probability: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="`reply_lost` and `command_lost`: share of the matching commands that it hits; the others: of each "
        "of its times, that it happens in this world",
    )
    at_seconds: Seconds | None = Field(
        default=None, description="when it begins, drawn for each of its times; not with `nth`, nor for single commands"
    )
    times: int = Field(
        default=1, ge=1, le=1000, description="how often it begins, each time at an `at_seconds` of its own"
    )
    seconds: Seconds | None = Field(default=None, description="how long it lasts, for the kinds that last")
    delay_seconds: Seconds | None = Field(
        default=None, description="kind `slow`: how much longer each command takes, drawn for each"
    )
    lost_seconds: Seconds | None = Field(
        default=None,
        description="kinds `restart` and `failover`: what was written in so many seconds before is gone, unless WAIT "
        "confirmed it; with `nth`, what that command wrote, however long this is",
    )
    command: str = Field(
        default="*", min_length=1, description="a command's or a named script's name, or a pattern such as `*` or `SE*`"
    )
    nth: tuple[int, ...] | None = Field(
        default=None,
        description="only the matching commands with these numbers, counted from 1 over the world as they reach the "
        "server; a kind that lasts begins with each of them",
    )
    window_seconds: tuple[float, float] | None = Field(
        default=None,
        description="`reply_lost` and `command_lost`: only commands at or after the first and before the second virtual "
        "second",
    )

    @field_validator("nth")
    @classmethod
    def _counts(cls, nth: tuple[int, ...] | None) -> tuple[int, ...] | None:
        return counted_from_one(nth, "command")

    @field_validator("window_seconds")
    @classmethod
    def _ordered(cls, window: tuple[float, float] | None) -> tuple[float, float] | None:
        return ordered_window(window)

    @model_validator(mode="after")
    def _fields_fit_the_kind(self) -> RedisFault:
        given = self.model_fields_set
        if self.lasts:
            if self.seconds is None:
                raise ValueError(f"kind {self.kind!r} needs `seconds`, how long it lasts")
            if (self.at_seconds is None) == (self.nth is None):
                raise ValueError(
                    f"kind {self.kind!r} begins at a time or with a command: give either `at_seconds` or `nth`"
                )
            if "window_seconds" in given:
                raise ValueError(
                    f"`window_seconds` is for faults of single commands, not for {self.kind!r}: leave it out"
                )
            if self.nth is not None and "times" in given:
                raise ValueError("`nth` says with which commands it begins: leave `times` out")
            if self.nth is None and "command" in given:
                raise ValueError("`command` says what `nth` counts: leave it out, or begin with `nth` not `at_seconds`")
        else:
            _refuse(self, given, ("at_seconds", "times", "seconds"), "is for faults that last")
        if self.kind == "slow":
            if self.delay_seconds is None:
                raise ValueError("kind 'slow' needs `delay_seconds`, how much longer each command takes")
        else:
            _refuse(self, given, ("delay_seconds",), "belongs to kind 'slow' only")
        if self.kind not in _FORGETFUL:
            _refuse(self, given, ("lost_seconds",), "belongs to kinds 'restart' and 'failover' only")
        return self

    @property
    def lasts(self) -> bool:
        """Whether it lasts for some time, instead of hitting single commands."""
        return self.kind not in LOSSES

    @property
    def forgets_scripts(self) -> bool:
        """Whether the server comes back without the scripts that were loaded."""
        return self.kind in _FORGETFUL

    def matches(self, command: str) -> bool:
        """Whether it is about a command, or a script by its name."""
        return fnmatchcase(command, self.command)


def _refuse(fault: RedisFault, given: set[str], names: tuple[str, ...], why: str) -> None:
    for name in names:
        if name in given:
            raise ValueError(f"`{name}` {why}, not to {fault.kind!r}: leave it out")


class Window(NamedTuple):
    """One time that a fault lasts, with everything about it drawn.

    Attributes:
        position: of the fault in its list.
        fault: the fault.
        begins: virtual seconds; None if it begins with a command.
        seconds: how long it lasts.
        lost_seconds: how far it goes back; None if nothing is lost.
    """

    position: int
    fault: RedisFault
    begins: float | None
    seconds: float
    lost_seconds: float | None


class RedisFaultPlan:
    """The faults of one world, with how often each has fired.

    Args:
        faults: in order of precedence. One that is off keeps its place, with probability 0: places key the draws.
        uniform: a keyed draw, see `relaysim.sim.kernel.Draws.uniform`.

    Attributes:
        faults: as given.
        fired: per fault, how often it began, or how many commands it hit.
        stopped: no fault fires any more.
    """

    __slots__ = ("_by_command", "_seen", "_uniform", "faults", "fired", "stopped")

    def __init__(self, faults: Sequence[RedisFault], uniform: Callable[[str, str, int], float]) -> None:
        self.faults = tuple(faults)
        self.fired = [0] * len(self.faults)
        self.stopped = False
        self._seen = [0] * len(self.faults)
        self._uniform = uniform
        self._by_command: dict[str, tuple[int, ...]] = {}

    def timed(self) -> list[Window]:
        """All that will begin at a time of its own; each counts as fired only once it begins."""
        windows = []
        for position, fault in enumerate(self.faults):
            if fault.at_seconds is None:
                continue
            for number in range(fault.times):
                if self._uniform("redis", f"fault-{position}", number) < fault.probability:
                    begins = fault.at_seconds.sample(self._uniform("redis", f"fault-{position} at", number))
                    windows.append(self._window(position, number, begins))
        return windows

    def _window(self, position: int, number: int, begins: float | None) -> Window:
        fault = self.faults[position]
        assert fault.seconds is not None
        lost = fault.lost_seconds
        return Window(
            position,
            fault,
            begins,
            fault.seconds.sample(self._uniform("redis", f"fault-{position} seconds", number)),
            None if lost is None else lost.sample(self._uniform("redis", f"fault-{position} lost", number)),
        )

    def begins_with(self, command: str) -> Window | None:
        """What begins with this command, which has just reached the server. Call it once per command: it counts."""
        begins: Window | None = None
        for position in self._about(command):
            fault = self.faults[position]
            if not fault.lasts:
                continue
            self._seen[position] += 1
            number = self._seen[position]
            assert fault.nth is not None
            if self.stopped or begins is not None or number not in fault.nth:
                continue
            if self._uniform("redis", f"fault-{position}", number) < fault.probability:
                begins = self._window(position, number, None)
        return begins

    def loses(self, command: str, now: float, worker: str, purpose: str, index: int) -> RedisFault | None:
        """The loss that hits this command, if one does; it counts as fired. Call it once per command: it counts.

        Args:
            command: its name.
            now: virtual seconds.
            worker: who sent it; keys the draw, with the two that follow.
            purpose: what the command is.
            index: its number among the worker's commands of that purpose.
        """
        chosen: RedisFault | None = None
        for position in self._about(command):
            fault = self.faults[position]
            if fault.lasts:
                continue
            self._seen[position] += 1
            if self.stopped or chosen is not None:
                continue
            if fault.nth is not None and self._seen[position] not in fault.nth:
                continue
            window = fault.window_seconds
            if window is not None and not window[0] <= now < window[1]:
                continue
            if (
                fault.probability == 1.0
                or self._uniform(worker, f"{purpose} fault-{position}", index) < fault.probability
            ):
                chosen = fault
                self.fired[position] += 1
        return chosen

    def _about(self, command: str) -> tuple[int, ...]:
        """The places of the faults that look at this command."""
        positions = self._by_command.get(command)
        if positions is None:
            positions = self._by_command[command] = tuple(
                position
                for position, fault in enumerate(self.faults)
                if fault.at_seconds is None and fault.matches(command)
            )
        return positions
