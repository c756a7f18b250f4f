"""The simulator: one world from one seed.

`relaysim.sim.kernel` runs asyncio on virtual time and knows nothing of what is simulated. `relaysim.sim.trace` says what a
trace tells, and reads it. `relaysim.sim.backends` is the simulated APIs, `relaysim.sim.doors` the ways to them,
`relaysim.sim.redis` Redis in virtual time.
`relaysim.sim.world` puts them together with workers and customers, runs one replication and distils it into plain data.
Begin with `relaysim.sim.world.run_world`.
"""
