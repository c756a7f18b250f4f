"""The simulator: one world from one seed.

`sim.kernel` runs asyncio on virtual time and knows nothing of what is simulated. `sim.openai` is the simulated
Threads API, `sim.redis` Redis in virtual time. `sim.world` puts them together with workers and customers, runs one
replication and distils it into plain data. Begin with `sim.world.run_world`.
"""
