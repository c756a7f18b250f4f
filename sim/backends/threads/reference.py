"""The reference page of run states, written from their table.

python -m relaysim.sim.backends.threads.reference > docs/run-states.md
"""

from __future__ import annotations

from relaysim.sim.backends import state_page
from relaysim.sim.backends.threads.states import (
    EXPIRY_SECONDS,
    NO_RUN,
    RULE,
    RULES,
    STATES,
    TRANSITIONS,
    mermaid,
)

_INTRODUCTION = f"""# Run states, and what the API answers in each

Written by `python -m relaysim.sim.backends.threads.reference` from the table in `sim/backends/threads/states.py`,
which the simulated API itself reads and which the tests go through row by row. Change the table, then this page.

Evidence: **W** captured on the wire or in a traceback of a public report, **S** documented, **C** relied on by public
client code, **I** inferred: a choice of this simulator.

A run expires {EXPIRY_SECONDS} s after its creation, whatever it waits for.
"""

_REFUSALS = {
    "append_while_active": "`Can't add messages to thread_X while a run run_Y is active.`",
    "run_while_active": "`Thread thread_X already has an active run run_Y.`",
    "cannot_cancel": "`Cannot cancel run with status '...'.`",
    "no_tool_outputs": '`Runs in status "..." do not accept tool outputs.`',
}


_REQUESTS = (
    "The state is that of the run which the request names; where it names none, that of the thread's newest run.\n"
    f"`{NO_RUN}`: the thread has had none. Each cell: the answer and its evidence; an arrow leads to the state that "
    "the\nrequest moves the run to (or in which it creates one); a dash means that the two cannot meet."
)


def page() -> str:
    """The page, in Markdown."""
    states = ((state.name, state.terminal, state.locks_thread, state.lock_evidence) for state in STATES)
    names = (NO_RUN, *(state.name for state in STATES))
    lines = [_INTRODUCTION, *state_page.diagram(mermaid()), *state_page.states("run", "thread", states)]
    lines += [*state_page.moves(TRANSITIONS), *state_page.requests(_REQUESTS, names, RULES, RULE)]
    lines += ["Refusals, each a 400:", ""]
    lines += [f"- {name.replace('_', ' ')}: {message}" for name, message in _REFUSALS.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
