"""Faults of Redis and of the way to it, as scenario files write them.

Each `[[redis_faults]]` table is one `RedisFault`. The first four last for some time, the last three hit single commands.

| kind           | what the server does                                     | what redis-py sees                            |
|----------------|----------------------------------------------------------|-----------------------------------------------|
| `slow`         | takes `delay_seconds` longer for each command            | a late reply, or its own timeout              |
| `away`         | is gone for `seconds` and comes back with its data       | reset connections, refused new ones           |
| `restart`      | the same, and forgets its scripts                        | the same, then `NOSCRIPT`                     |
| `failover`     | the same: a replica takes over                           | the same, then `NOSCRIPT`                     |
| `reply_lost`   | processes the command                                    | a timeout, 5 s after sending unless set       |
| `command_lost` | nothing, the command never arrives                       | the same                                      |
| `command_late` | processes the command `seconds` later                    | the same, unless it is back before            |

With `lost_seconds` a restart or a failover also takes back what was written in the last seconds before it, as a file not
yet flushed or a replica that lags; what `WAIT` confirmed stays. Expiry times are absolute: a key that came back with
time left runs out when it would have.

redis-py repeats a command after reset connections, refused ones and timeouts: ten times, with jittered pauses. Against a
server that is gone that is about 4 s, and where every reply is lost a minute. It then raises
`redis.exceptions.ConnectionError` or `TimeoutError`. A repeated command may have been processed before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

from relaysim.sim.faults import AtOccasions, AtTimes, FaultPlan
from relaysim.sim.faults.plan import Watch
from relaysim.sim.faults.when import NthCommands, SiteProbability, WindowSeconds
from relaysim.sim.kernel import Draws
from relaysim.sim.kernel.distributions import Seconds

LOSSES: Final = ("reply_lost", "command_lost", "command_late")
"""The kinds that hit single commands; the others last."""

_FORGETFUL: Final = ("restart", "failover")


class RedisFault(BaseModel):
    """One fault: what happens, to which commands or when, and for how long."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["slow", "away", "restart", "failover", "reply_lost", "command_lost", "command_late"] = Field(
        description="`slow`: every command takes longer; `away`: the server is gone for a while; `restart`: the same, and "
        "its scripts are forgotten; `failover`: a replica takes over after a while, without the scripts; `reply_lost`: a "
        "command is processed, unanswered; `command_lost`: a command never arrives; `command_late`: a command arrives "
        "`seconds` later, perhaps long after its sender gave it up and went on"
    )
    probability: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="the kinds that hit single commands: share of the matching ones that it hits; the others: of each of "
        "its times, that it happens in this world",
    )
    at_seconds: Seconds | None = Field(
        default=None, description="when it begins, drawn for each of its times; not with `nth`, nor for single commands"
    )
    times: int = Field(
        default=1, ge=1, le=1000, description="how often it begins, each time at an `at_seconds` of its own"
    )
    seconds: Seconds | None = Field(
        default=None,
        description="how long it lasts, for the kinds that last; `command_late`: how much later it arrives",
    )
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
    nth: NthCommands = Field(
        default=None,
        description="only the matching commands with these numbers, counted from 1 over the world as they reach the "
        "server; a kind that lasts begins with each of them",
    )
    site_probability: SiteProbability = Field(
        default=1.0,
        description="the kinds that hit single commands: how likely it hits a command, or a script, at all, decided once "
        "per world for each name",
    )
    window_seconds: WindowSeconds = Field(
        default=None,
        description="the kinds that hit single commands: only those at or after the first and before the second virtual "
        "second",
    )

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
            if "site_probability" in given:
                raise ValueError(
                    f"`site_probability` is for faults of single commands, not for {self.kind!r}: leave it out"
                )
            if self.nth is not None and "times" in given:
                raise ValueError("`nth` says with which commands it begins: leave `times` out")
            if self.nth is None and "command" in given:
                raise ValueError("`command` says what `nth` counts: leave it out, or begin with `nth` not `at_seconds`")
        else:
            if self.kind == "command_late":
                if self.seconds is None:
                    raise ValueError("kind 'command_late' needs `seconds`, how much later the command arrives")
            else:
                _refuse(self, given, ("seconds",), "is for faults that last and for 'command_late'")
            _refuse(self, given, ("at_seconds", "times"), "is for faults that last")
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

    @property
    def when(self) -> AtTimes | AtOccasions:
        """When it strikes: at times, or at the commands, or scripts, of its name as they reach the server."""
        if self.at_seconds is not None:
            return AtTimes(self.at_seconds, self.times, self.probability)
        return AtOccasions(
            self.command, self.probability, self.window_seconds, self.nth, site_probability=self.site_probability
        )


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


class RedisFaultPlan(FaultPlan[RedisFault]):
    """The faults of Redis in one world. One that lasts has fired once it begins, see `fire`.

    Args:
        faults: in order of precedence.
        draws: the world's.
    """

    __slots__ = ("_beginning", "_draws", "_losing")

    def __init__(self, faults: Sequence[RedisFault], draws: Draws) -> None:
        super().__init__(
            faults, lambda position, command: draws.uniform(f"site {command}", f"redis-fault-{position}", 0)
        )
        self._draws = draws
        self._beginning: dict[str, tuple[Watch, ...]] = {}
        self._losing: dict[str, tuple[Watch, ...]] = {}

    def windows(self) -> list[Window]:
        """All that will begin at a time of its own."""
        strikes = self.timed(self._strikes_at, lambda position, number: self._draw(position, "at", number))
        return [self._window(position, number, at) for position, number, at in strikes]

    def _strikes_at(self, position: int, number: int) -> float:
        return self._draws.rare("redis", f"fault-{position}", number)

    def _draw(self, position: int, purpose: str, number: int) -> float:
        return self._draws.uniform("redis", f"fault-{position} {purpose}", number)

    def _window(self, position: int, number: int, begins: float | None) -> Window:
        fault = self.faults[position]
        assert fault.seconds is not None
        lost = fault.lost_seconds
        return Window(
            position,
            fault,
            begins,
            fault.seconds.sample(self._draw(position, "seconds", number)),
            None if lost is None else lost.sample(self._draw(position, "lost", number)),
        )

    def begins_with(self, command: str, now: float) -> Window | None:
        """What begins with this command, which has just reached the server. Call it once per command: it counts."""
        watching = self._beginning.get(command)
        if watching is None:
            watching = self._beginning[command] = self._watching_commands(command, lasts=True)
        position = self.first(watching, now, self._strikes_at)
        return None if position is None else self._window(position, self.occasions(position), None)

    def loses(self, command: str, now: float, worker: str, purpose: str, index: int) -> RedisFault | None:
        """The loss that hits this command, if one does; it counts as fired. Call it once per command: it counts.

        Args:
            command: its name.
            now: virtual seconds.
            worker: who sent it; keys the draw, with the two that follow.
            purpose: what the command is.
            index: its number among the worker's commands of that purpose.
        """
        watching = self._losing.get(command)
        if watching is None:
            watching = self._losing[command] = self._watching_commands(command, lasts=False)
        rare = self._draws.rare
        position = self.first_hit(watching, now, lambda place, _: rare(worker, f"{purpose} fault-{place}", index))
        return None if position is None else self.faults[position]

    def late_seconds(self, fault: RedisFault, worker: str, purpose: str, index: int) -> float:
        """How much later a command arrives that this fault hits; 0 for a fault of another kind. Keyed as of `loses`."""
        if fault.kind != "command_late" or fault.seconds is None:
            return 0.0
        return fault.seconds.sample(self._draws.uniform(worker, f"{purpose} late", index))

    def _watching_commands(self, command: str, *, lasts: bool) -> tuple[Watch, ...]:
        return tuple(watch for watch in self.watching(command) if self.faults[watch[0]].lasts == lasts)
