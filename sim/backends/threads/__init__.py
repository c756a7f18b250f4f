"""The simulated OpenAI Threads API (Assistants v2), as the backend `threads`.

From the inside out; each layer knows only those before it:

- `states`: the table of run states, which everything else reads; it can draw itself. `reference`: its page.
- `parameters`: checks of what requests say; `thread_errors`: how they are refused; `usage`: what replies cost in tokens;
  `token_caps`: what a run's own limits do to them.
- `records`, `assistants`, `writing`, `service`: what is stored, and the state machine of threads, messages, runs and their
  steps. Sans-I/O, no time of its own.
- `operations`: names, routes and parameters of the operations, and what they do.
- `quirks`, `life`: what nobody has proved of it, and the SimPy processes that move runs as a profile says.
- `idle`, `service_with_lives`: threads that are forgotten, and the service of one world as doors know it.
- `wire`, `direct`: its routes and headers; lane `direct`'s `client.beta.threads`.
- `backend`: all of it as `relaysim.sim.backends.protocol.Backend`.
- `control`, with `control_models`, `control_runs`, `control_states`: its routes of the control API.
- `handle`, `fixtures`: in a test's hands.

Begin with `states`, then `service`. Imports: `relaysim.sim.backends` and `relaysim.sim.doors`; neither of them imports this.
"""
