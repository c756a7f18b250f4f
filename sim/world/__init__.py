"""One simulated world from a seed.

`settings` says what a world is made of, `world` builds and runs it, `customers` write, `schedule` constrains the order of
requests, `observe` distils what happened into plain data. May import `sim.openai`, `sim.redis` and `sim.kernel`.
Begin with `run_world`.
"""

from sim.world.factories import FactoryError, resolve
from sim.world.invariants import CHECKED, INVARIANTS, JudgeSettings
from sim.world.observe import COUNTS, SERIES, observe
from sim.world.settings import WorldSettings
from sim.world.world import Lane, Result, Session, World, run_world, warm_up

__all__ = [
    "CHECKED",
    "COUNTS",
    "INVARIANTS",
    "SERIES",
    "FactoryError",
    "JudgeSettings",
    "Lane",
    "Result",
    "Session",
    "World",
    "WorldSettings",
    "observe",
    "resolve",
    "run_world",
    "warm_up",
]
