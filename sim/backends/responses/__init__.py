"""Responses with Conversations: the API that took the place of Threads. Begin with `states`.

- `states`: what a response goes through, and what each request is answered in each state: one table.
- `service`: the state machine, sans-I/O; `records` what it stores, `history` what a turn reads, `parameters` its checks.
- `life`, `profile`: how long everything takes, and the switches where reports disagree; `writing`, `events`: what a turn
  writes, and its streams.
- `operations`, `wire`, `response_errors`: routes, HTTP, error bodies; `direct`: the client of lane `direct`.
- `living`, `backend`: all of it behind `relaysim.sim.backends.protocol`.
- `reference`: writes docs/response-states.md from the table.
"""
