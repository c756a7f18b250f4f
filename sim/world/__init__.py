"""One simulated world from a seed.

`settings` says what a world is made of, `world` builds and lets it live, `target` is what it drives, `session` runs one
replication, `customers` write, `schedule` constrains the order of requests, `observe` distils what happened into plain
data. May import `relaysim.sim.doors`, `relaysim.sim.redis`, `relaysim.sim.faults` and `relaysim.sim.kernel`. Begin with
`run_world`.
"""

from relaysim.sim.world.factories import FactoryError, file_of, resolve
from relaysim.sim.world.invariants import CHECKED, INVARIANTS, JudgeSettings
from relaysim.sim.world.observe import COUNTS, SERIES, observe
from relaysim.sim.world.session import Result, Session, run_world, warm_up
from relaysim.sim.world.settings import WorldSettings
from relaysim.sim.world.target import TargetError
from relaysim.sim.world.world import Lane, World

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
    "TargetError",
    "World",
    "WorldSettings",
    "file_of",
    "observe",
    "resolve",
    "run_world",
    "warm_up",
]
