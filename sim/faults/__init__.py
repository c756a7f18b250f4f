"""When faults strike, and how often they have: one plan for every target.

A fault has two halves. *When* it strikes (at a time, or at the occasions that it watches: by chance, by number, within a
window) is said and counted here. *What* it does is the target's own: `relaysim.sim.doors.effects`, `relaysim.sim.redis`,
and in `relaysim.sim.world` the faults of workers, webhooks and sends.

- `when`: the conditions, as values and as fields of scenario files.
- `plan`: the faults of one list in one world: which of them strike an occasion, and how often each has fired.
- `worker_events`: what a worker does, as events by name, for faults that strike at one.
- `swarm`: each replication meets its own selection of the faults.

A new target writes a pydantic model with a property `when`, and asks a `FaultPlan` at each occasion. It gives the draws
too, keyed by what the occasion is and not by order, so that two relays meet the same faults.

May import `relaysim.sim.kernel` and `relaysim.sim.trace`. Begin with `plan`.
"""

from relaysim.sim.faults.plan import Draw, Fault, FaultPlan, TimedStrike
from relaysim.sim.faults.swarm import Swarm, chosen
from relaysim.sim.faults.when import AtOccasions, AtTimes, EventFault, When

__all__ = [
    "AtOccasions",
    "AtTimes",
    "Draw",
    "EventFault",
    "Fault",
    "FaultPlan",
    "Swarm",
    "TimedStrike",
    "When",
    "chosen",
]
