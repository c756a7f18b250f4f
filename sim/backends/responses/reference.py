"""The reference page of responses' states, written from their table.

python -m relaysim.sim.backends.responses.reference > docs/response-states.md
"""

from __future__ import annotations

from typing import get_args

from pydantic.fields import FieldInfo

from relaysim.sim.backends import state_page
from relaysim.sim.backends.responses import response_errors
from relaysim.sim.backends.responses.profile import ResponsesProfile
from relaysim.sim.backends.responses.states import NO_TURN, RULE, RULES, STATES, TRANSITIONS, mermaid

_INTRODUCTION = """# States of a response, and what the API answers in each

Written by `python -m relaysim.sim.backends.responses.reference` from the table in `sim/backends/responses/states.py`,
which the simulated API itself reads and which the tests go through row by row. Change the table, then this page.

Evidence: **W** captured in an error body or a reproduction in a public thread, **S** documented, **C** relied on by public
client code, **I** inferred: a choice of this simulator. Nothing here was measured against the real service.

`cancelling` is a state of this simulator: the API shows the one before until a cancel has taken effect, and answers the
cancel then.
"""

_REFUSALS = {
    "locked": response_errors.locked(),
    "cannot_cancel": response_errors.cannot_cancel("completed"),
    "cannot_delete": response_errors.cannot_delete(),
    "cannot_continue": response_errors.cannot_continue("resp_X"),
}

_SWITCHES = (
    "lock",
    "abandoned_stream",
    "abandoned_call",
    "unfinished_keeps",
    "items_while_locked",
    "stuck_queued_probability",
    "turn_limit_seconds",
)


_REQUESTS = (
    "The state is that of the response which the request names; where it names none, that of the conversation's newest "
    f"one.\n`{NO_TURN}`: the conversation has had none. `responses.create` is bound to the conversation, "
    "`(chain)` continues the\nresponse. Each cell: the answer and its evidence; an arrow leads to the state that the "
    "request moves the response to (or in\nwhich it creates one; in the foreground it is in progress at once); a dash "
    "means that the two cannot meet."
)


_OPENING = (
    "Switches of a profile, each with its values. A scenario sets one in `[profile_overrides]`, a command by\n"
    "`--set 'profile_overrides={lock=\"none\"}'`; `drain_responses_switches` has other values of all of them in each world."
)


def _values(field: FieldInfo) -> str:
    """What a switch may be; a number's range is in the scenarios' reference."""
    values = get_args(field.annotation)
    return f"{' or '.join(f'`{value}`' for value in values)}; " if values else ""


def _shown(value: object) -> object:
    return f"{value:g}" if isinstance(value, float) else value


def page() -> str:
    """The page, in Markdown."""
    states = ((state.name, state.terminal, state.locks_conversation, state.lock_evidence) for state in STATES)
    names = (NO_TURN, *(state.name for state in STATES))
    lines = [_INTRODUCTION, *state_page.diagram(mermaid()), *state_page.states("response", "conversation", states)]
    lines += [*state_page.moves(TRANSITIONS), *state_page.requests(_REQUESTS, names, RULES, RULE)]
    lines += ["Refusals, each a 400:", ""]
    for name, error in _REFUSALS.items():
        code = f" (code `{error.code}`)" if error.code else ""
        lines.append(f"- {name.replace('_', ' ')}: `{error.message}`{code}")
    lines += ["", "## Where reports disagree", "", _OPENING, ""]
    fields = ResponsesProfile.model_fields
    lines += [
        f"- `{name}` ({_values(fields[name])}by default `{_shown(fields[name].default)}`): {fields[name].description}"
        for name in _SWITCHES
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
