"""The reference page of run states, written from their table.

python -m relaysim.sim.backends.threads.reference > docs/run-states.md
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from relaysim.sim.backends.threads.states import (
    EXPIRY_SECONDS,
    NO_RUN,
    RULE,
    RULES,
    STATES,
    TRANSITIONS,
    Evidence,
    Rule,
    mermaid,
)

_MARKS = {Evidence.CAPTURED: "W", Evidence.DOCUMENTED: "S", Evidence.RELIED_ON: "C", Evidence.INFERRED: "I"}

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


def page() -> str:
    """The page, in Markdown."""
    lines = [_INTRODUCTION, "## Diagram", "", "A move with a question mark is inferred.", "", "```mermaid"]
    lines += [mermaid().rstrip("\n"), "```", ""]
    lines += [
        "## States",
        "",
        *_table(("state", "ends the run", "locks the thread", "evidence of the lock"), _states()),
    ]
    lines += ["## Moves", "", *_table(("from", "to", "when", "evidence"), _moves())]
    lines += ["## Requests", "", _requests_introduction(), ""]
    headings = ("request", NO_RUN, *(state.name for state in STATES))
    lines += _table(headings, _requests())
    lines += ["Refusals, each a 400:", ""]
    lines += [f"- {name.replace('_', ' ')}: {message}" for name, message in _REFUSALS.items()]
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
        yield (
            f"`{state.name}`",
            "yes" if state.terminal else "no",
            "yes" if state.locks_thread else "no",
            _MARKS[state.lock_evidence],
        )


def _moves() -> Iterator[tuple[str, ...]]:
    for row in TRANSITIONS:
        yield f"`{row.source}`" if row.source else "(creation)", f"`{row.target}`", row.trigger, _MARKS[row.evidence]


def _requests_introduction() -> str:
    return (
        "The state is that of the run which the request names; where it names none, that of the thread's newest run.\n"
        f"`{NO_RUN}`: the thread has had none. Each cell: the answer and its evidence; an arrow leads to the state that "
        "the\nrequest moves the run to (or in which it creates one); a dash means that the two cannot meet."
    )


def _requests() -> Iterator[tuple[str, ...]]:
    for request in dict.fromkeys(rule.request for rule in RULES):
        yield f"`{request}`", *(_cell(RULE[state, request]) for state in (NO_RUN, *(state.name for state in STATES)))


def _cell(rule: Rule) -> str:
    if rule.answer == "impossible":
        return "-"
    if rule.refusal is not None:
        return f"**{rule.refusal.replace('_', ' ')}** {_MARKS[rule.evidence]}"
    return f"ok{f' → `{rule.target}`' if rule.target else ''} {_MARKS[rule.evidence]}"


if __name__ == "__main__":
    print(page(), end="")
