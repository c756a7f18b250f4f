"""The judge: what a relay must promise, checked on the trace of one world and on the relay's own ledger.

- `promises`, `judge_settings`, `catalogue`: what a relay declares, what else must be known, and the promises by their ids.
  `world_facts`: what is told of a world besides its trace.
- `history`, `history_records`, `disturbances`, `findings`: the trace, read once; what was wrong with the world when; and
  what was found.
- `endings`, `leases`, `lookups`, `reply_origin`: S1 to S11. `ownership`, `content`, `sent_words`, `pieces`,
  `dialogue`: S12 to S15, with `foreign_words` and `internals`, which know what of another conversation or of the API stands
  in a text, `signed_numbers`, which signs stand at its numbers, and `early_looks`, which words what a relay had when it
  decided.
- `forgotten_texts`: S16. `liveness`, `repeats`, `idling`: L1 to L7. `written_order`: which of two messages came first, as
  far as a relay can know.

`relaysim.sim.world.invariants` calls the checks.
"""
