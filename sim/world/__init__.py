"""One simulated world from a seed.

- `settings`: what a world is made of; `world` builds it and lets it live, `session` runs one replication.
- `target`, `factories`, `workers`, `audit`: what it drives, how that is found, the processes that run it, and its ledger.
- `own_clients`: how clients reach the services that nobody handed to the target.
- `target_kinds`, `handlers`, `applications`, `asgi`, `wsgi`, `call_shapes`: the kinds of what it drives, and how
  each is called.
- `api_events`: how events of the API's own reach workers.
- `customers`, `names`, `varied_texts`, `webhooks`, `provider_service`, `simulated_channel`, `prepared`: who writes what, how
  it reaches workers and how texts come back, and the conversations that are there. `interruptions`, `foreign_runs`:
  customers who write at moments that matter, and runs of somebody else.
- `host_faults`, `webhook_faults`, `send_faults`, `quiescence`: what goes wrong, when that stops, and when a world is at
  rest.
- `strata`, `exploration`, `explored_faults`, `variations`, `schedule`: worlds of which something is chosen instead of drawn.
- `logs`, `unhandled_records`, `after_answers`, `process_state`: what the relay logs, the exceptions that nobody received or
  that came after the answer, and what it changes of the process.
- `observe`, `outcomes`, `conflicts`, `received`, `notices`, `own_words`, `limits`, `obstacles`: from a trace to plain
  data: what became of each message, what the relay said, what answers took, and what keeps a world from showing anything.
- `counters`: what a scenario counts besides.
- `invariants` and the folder `judge`: which promises were broken.

May import `relaysim.sim.doors`, `relaysim.sim.redis`, `relaysim.sim.sockets`, `relaysim.sim.faults` and
`relaysim.sim.kernel`. Begin with `run_world`.
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
