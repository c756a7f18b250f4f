"""The judge: what a relay must promise, checked on the trace of one world and on the relay's own ledger.

`catalogue` names the promises, `history` reads a trace once, `disturbances` says what was wrong with the world when, and
each other module checks some of the promises. `relaysim.sim.world.invariants` calls them.
"""
