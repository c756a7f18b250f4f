"""The reference page of responses' states, written from their table.

python -m relaysim.sim.backends.responses.reference > docs/response-states.md
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from relaysim.sim.backends.responses import response_errors
from relaysim.sim.backends.responses.profile import ResponsesProfile
from relaysim.sim.backends.responses.states import NO_TURN, RULE, RULES, STATES, TRANSITIONS, Evidence, Rule, mermaid

_MARKS = {Evidence.CAPTURED: "W", Evidence.DOCUMENTED: "S", Evidence.RELIED_ON: "C", Evidence.INFERRED: "I"}

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


def page() -> str:
    """The page, in Markdown."""
    lines = [_INTRODUCTION, "## Diagram", "", "A move with a question mark is inferred.", "", "```mermaid"]
    lines += [mermaid().rstrip("\n"), "```", ""]
    heads = ("state", "ends the response", "locks the conversation", "evidence of the lock")
    lines += ["## States", "", *_table(heads, _states())]
    lines += ["## Moves", "", *_table(("from", "to", "when", "evidence"), _moves())]
    lines += ["## Requests", "", _requests_introduction(), ""]
    lines += _table(("request", NO_TURN, *(state.name for state in STATES)), _requests())
    lines += ["Refusals, each a 400:", ""]
    for name, error in _REFUSALS.items():
        code = f" (code `{error.code}`)" if error.code else ""
        lines.append(f"- {name.replace('_', ' ')}: `{error.message}`{code}")
    lines += ["", "## Where reports disagree", "", "Switches of a profile, with their defaults:", ""]
    fields = ResponsesProfile.model_fields
    lines += [f"- `{name}` (`{fields[name].default}`): {fields[name].description}" for name in _SWITCHES]
    return "\n".join(lines) + "\n"


def _table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    names = list(headings)
    yield f"| {' | '.join(names)} |"
    yield "|---" * len(names) + "|"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def _states() -> Iterator[tuple[str, ...]]:
    for state in STATES:
        ends, locks = ("yes" if given else "no" for given in (state.terminal, state.locks_conversation))
        yield f"`{state.name}`", ends, locks, _MARKS[state.lock_evidence]


def _moves() -> Iterator[tuple[str, ...]]:
    for row in TRANSITIONS:
        yield f"`{row.source}`" if row.source else "(creation)", f"`{row.target}`", row.trigger, _MARKS[row.evidence]


def _requests_introduction() -> str:
    return (
        "The state is that of the response which the request names; where it names none, that of the conversation's newest "
        f"one.\n`{NO_TURN}`: the conversation has had none. `responses.create` is bound to the conversation, "
        "`(chain)` continues the\nresponse. Each cell: the answer and its evidence; an arrow leads to the state that the "
        "request moves the response to (or in\nwhich it creates one; in the foreground it is in progress at once); a dash "
        "means that the two cannot meet."
    )


def _requests() -> Iterator[tuple[str, ...]]:
    for request in dict.fromkeys(rule.request for rule in RULES):
        yield f"`{request}`", *(_cell(RULE[state, request]) for state in (NO_TURN, *(state.name for state in STATES)))


def _cell(rule: Rule) -> str:
    if rule.answer == "impossible":
        return "-"
    if rule.refusal is not None:
        return f"**{rule.refusal.replace('_', ' ')}** {_MARKS[rule.evidence]}"
    return f"ok{f' → `{rule.target}`' if rule.target else ''} {_MARKS[rule.evidence]}"


if __name__ == "__main__":
    print(page(), end="")
