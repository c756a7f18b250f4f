"""Exploration: worlds drawn to meet unlikely orders of events, instead of to be like production.

What a simulated relay gets wrong it mostly gets wrong in one order of events, and latencies drawn independently of each
other seldom bring that about. A strategy draws other ones, or lets faults strike where they matter, for each world anew:

    independent    as the scenario says: latencies from its profile, each on its own
    speed-classes  every flow (a worker's commands of one name on one key, its requests of one kind on one thread, a
                   webhook, a customer) has a speed of its own, drawn over four decades
    pct            every worker, thread and webhook has such a speed, and changes it twice, at drawn points: probabilistic
                   concurrency testing (Burckhardt et al., ASPLOS 2010), its priorities turned into delays
    surw           a few kinds of operation, others in each world, take a time that is uniform over a wide range, so that
                   their order is; all others are as ever (after selectively uniform random walks, Zhao et al., ASPLOS 2025)
    swarm          each world switches most faults off, and gives the others wild probabilities
    moments        faults strike at few kinds of moment, others in each world, and often there: between the record of a
                   send and the send, during a renewal, between two commands
    portfolio      a mixture of all of these, by the world's seed

Every world that a strategy draws could come about by itself. Latencies stay within bounds that a relay must bear, and
faults are of the kinds that the scenario has; the order inside a worker is asyncio's. But how often something happens says
nothing about production any more. All draws are keyed, so a world is a function of its seeds here too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, NamedTuple, get_args

from pydantic import BaseModel, ConfigDict, Field

from relaysim.sim.kernel import DrawKey, Draws, TapedDraws

Strategy = Literal["independent", "speed-classes", "pct", "surw", "swarm", "moments", "portfolio"]

STRATEGIES: Final[tuple[str, ...]] = get_args(Strategy)

Latencies = Literal["drawn", "speed-classes", "pct", "surw"]
Faults = Literal["given", "swarm", "moments"]

_DECADES: Final = 4.0
_CHANGES: Final = 2
_CHANGE_LATEST: Final = 32.0
"""Before which of a flow's operations its worker's speed changes at the latest."""
_KEY_KINDS: Final = 0.2
"""`surw`: share of the kinds of operation that are key events in a world."""


class TapedDraw(BaseModel):
    """One draw of a world, named by its key, or several successive ones."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    entity: str = Field(
        description="whose draw, as the world names it; of a duration `w1/*` too: each of w1's that is not named itself"
    )
    purpose: str = Field(description="what it is for")
    index: int = Field(ge=0, description="which draw of that entity for that purpose, counting from 0")
    value: float = Field(
        ge=0, description="the number: of a strike, which happens below its probability, or in seconds"
    )
    times: int = Field(
        default=1, ge=1, le=10_000, description="how many successive draws from that one on are the same"
    )

    @property
    def keys(self) -> tuple[DrawKey, ...]:
        """Its keys."""
        numbers = range(self.index, self.index + self.times)
        return tuple(DrawKey(self.entity, self.purpose, number) for number in numbers)


class Tape(BaseModel):
    """The choices of one world, which every replication then is: what `relaysim explore` keeps of a failure."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = Field(ge=0, description="whose replication's draws all others are")
    strikes: tuple[TapedDraw, ...] = Field(default=(), description="what lets a fault strike; nothing else does")
    seconds: tuple[TapedDraw, ...] = Field(
        default=(), description="durations; each other one is the median of its distribution"
    )

    def draws(self, root: int) -> TapedDraws:
        """The world's draws."""
        return TapedDraws(
            root,
            self.seed,
            {key: each.value for each in self.strikes for key in each.keys},
            {key: each.value for each in self.seconds for key in each.keys},
        )


class Bounds(NamedTuple):
    """How far a strategy may take one kind of duration.

    Attributes:
        least_factor: of what was drawn.
        longest_seconds: it is never made longer than this; 0: never longer at all.
    """

    least_factor: float
    longest_seconds: float


BOUNDS: Final = {
    # Several commands of 0.1 s fit the second of slack that promises about time have.
    "redis": Bounds(0.01, 0.1),
    # Below the 10 s after which clients commonly give up.
    "request-seconds": Bounds(0.01, 5.0),
    "send": Bounds(0.01, 5.0),
    "webhook": Bounds(0.01, 20.0),
    "queue-seconds": Bounds(0.1, 5.0),
    "run-seconds": Bounds(0.02, 30.0),
    "cancel-seconds": Bounds(0.05, 8.0),
    "burst-gap": Bounds(0.02, 0.0),
    "burst-pause": Bounds(0.2, 0.0),
}
"""By the first word of what a duration is drawn for. What is not here stays as it is drawn."""


class Mixture(NamedTuple):
    """What one world takes from the strategies."""

    latencies: Latencies
    faults: Faults


_MIXTURES: Final[dict[str, Mixture]] = {
    "independent": Mixture("drawn", "given"),
    "speed-classes": Mixture("speed-classes", "given"),
    "pct": Mixture("pct", "given"),
    "surw": Mixture("surw", "given"),
    "swarm": Mixture("drawn", "swarm"),
    "moments": Mixture("drawn", "moments"),
}
_PORTFOLIO_LATENCIES: Final[tuple[tuple[float, Latencies], ...]] = (
    (0.15, "drawn"),
    (0.45, "speed-classes"),
    (0.75, "pct"),
    (1.0, "surw"),
)
_PORTFOLIO_FAULTS: Final[tuple[tuple[float, Faults], ...]] = ((0.15, "given"), (0.45, "swarm"), (1.0, "moments"))


def mixture_of(strategy: Strategy, draws: Draws) -> Mixture:
    """What this world takes from the strategies; drawn where they are mixed."""
    if strategy != "portfolio":
        return _MIXTURES[strategy]
    latencies, faults = (draws.uniform("portfolio", name, 0) for name in ("latencies", "faults"))
    return Mixture(
        next(each for below, each in _PORTFOLIO_LATENCIES if latencies < below),
        next(each for below, each in _PORTFOLIO_FAULTS if faults < below),
    )


class ExploringDraws(Draws):
    """Keyed draws whose durations are those of a strategy.

    Args:
        root, replication: as of `Draws`.
        latencies: how durations are drawn.
    """

    __slots__ = ("_factors", "_latencies")

    def __init__(self, root: int, replication: int, latencies: Latencies) -> None:
        super().__init__(root, replication)
        self._latencies = latencies
        self._factors: dict[tuple[str, str], float] = {}

    def seconds(self, sampler: Callable[[float], float], entity: str, purpose: str, index: int | None = None) -> float:
        if index is None:
            index = self.next_index(entity, purpose)
        drawn = sampler(self.uniform(entity, purpose, index))
        bounds = BOUNDS.get(purpose.partition(" ")[0])
        if bounds is None or self._latencies == "drawn":
            return drawn
        if self._latencies == "surw":
            wanted = self._uniform_if_key(drawn, bounds, entity, purpose, index)
        elif self._latencies == "pct":
            wanted = drawn * self._speed_of_actor(entity, purpose, index)
        else:
            wanted = drawn * self._speed(f"flow {entity}", purpose)
        return min(max(wanted, drawn * bounds.least_factor), max(drawn, bounds.longest_seconds))

    def _speed(self, whose: str, what: str) -> float:
        factor: float | None = self._factors.get((whose, what))
        if factor is None:
            factor = 10.0 ** (_DECADES * (self.uniform(whose, f"speed {what}", 0) - 0.5))
            self._factors[whose, what] = factor
        return factor

    def _speed_of_actor(self, entity: str, purpose: str, index: int) -> float:
        changes = 0
        for number in range(_CHANGES):
            # On a logarithmic scale: what begins a conversation is as likely to be changed as what goes on for long.
            point = self._factors.get((entity, f"{purpose} change {number}"))
            if point is None:
                point = _CHANGE_LATEST ** self.uniform(entity, f"change {purpose}", number)
                self._factors[entity, f"{purpose} change {number}"] = point
            changes += index + 1 >= point
        actor, word = entity.partition("/")[0], purpose.partition(" ")[0]
        return self._speed(f"actor {actor}", f"{word} {changes}")

    def _uniform_if_key(self, drawn: float, bounds: Bounds, entity: str, purpose: str, index: int) -> float:
        # A request's entity has the operation in its second place; a command's purpose has its name there.
        kind = entity.split("/")[1] if purpose == "request-seconds" else " ".join(purpose.split(" ")[:2])
        if self.uniform("surw", kind, 0) >= _KEY_KINDS:
            return drawn
        scale: float = max(drawn, bounds.longest_seconds) * 10.0 ** (-2.0 * self.uniform("surw", f"{kind} scale", 0))
        return scale * self.uniform(entity, f"{purpose} key", index)
