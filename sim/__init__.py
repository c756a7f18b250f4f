"""The simulator: one world from one seed.

`relaysim.sim.kernel` runs asyncio on virtual time and knows nothing of what is simulated. `relaysim.sim.trace` says what a
trace tells, and reads it. `relaysim.sim.backends` is the simulated APIs, `relaysim.sim.doors` the ways to them,
`relaysim.sim.redis` Redis in virtual time.
`relaysim.sim.faults` decides when a fault strikes, `relaysim.sim.process` is what a worker has of its own as a process,
`relaysim.sim.providers` says how providers of chat channels deliver webhooks and take texts.
`relaysim.sim.world` puts them together with workers and customers, runs one replication and distils it into plain data.
`relaysim.sim.outside` does so around copies of a real program, in real time.
Begin with `relaysim.sim.world.run_world`. Beside the folders: `pytest_plugin`, fixtures for other people's tests;
`toml_file`, `validation_words` and `counted`: files read within limits, and how mistakes and numbers are put into words.
"""
