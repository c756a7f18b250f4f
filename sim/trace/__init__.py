"""What a trace tells: the schema of its records, and the one reader.

`schema` has a named record for each kind of event; whatever is simulated writes them. `chronicle` reads a trace once and
builds what it is about: messages, handlings, requests, runs, texts and leases; observation, invariants, timeline and the
control API begin there. `source_lines` says what of a log line a fingerprint leaves out, `lease_keys` which keys in Redis
are leases. `schema_page` writes docs/trace.md from the schema.

This folder imports `relaysim.sim.kernel` and nothing else of the project.
"""
