"""What a trace tells: the schema of its records, and the one reader.

`schema` has a named record for each kind of event; whatever is simulated writes them. `chronicle` reads a trace once and
builds what it is about: messages, handlings, requests, runs, texts and leases; observation, invariants, timeline and the
control API begin there.

- `schema`, `reader`: the records, and how they are read one by one; `schema_page` writes docs/trace.md from the schema.
- `chronicle`, `subjects`: the reader of whole traces, and what it builds.
- `words`, `joining`, `own_texts`, `given_texts`, `contents`: which words a text holds, whose they are, what a text is that
  no run wrote, and what runs read.
- `operation_roles`, `lease_keys`, `lock_keys`: what operations of an API do, and which keys in Redis are leases and locks.
- `holds`, `crashes`: who held which lock or lease, from when to when; when workers lost their power.
- `chrome_trace`: a trace in the format that Perfetto opens.
- `conversation_evidence`: whose conversation something belongs to that was done outside of every handling.
- `source_lines`: what of a log line a fingerprint leaves out.

This folder imports `relaysim.sim.kernel` and nothing else of the project.
"""
