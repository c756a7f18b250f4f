"""The states of a run: one table, which everything else reads.

Theory of operation. A run is born `queued` and ends in one of five terminal states, from which nothing leads on. Until
then it locks its thread: neither a message nor another run may be added. A cancel is a request: it moves the run to
`cancelling`, which still locks, and something else moves it on from there. Whatever moves a run names its cause, and
`check_move` refuses every move that the table does not hold.

`RULES` says the rest: what the API answers to every request in every state that a run can be in, accepted or refused,
and with which refusal. A pair of state and request that cannot meet is a row too, marked impossible. The table is checked
when it is loaded: no pair is missing and none stands twice.

Each row carries its evidence, because the service is gone and recordings are all the truth there is:

- `captured`: a wire capture or a traceback in a public report;
- `documented`: official documentation or the OpenAPI text;
- `relied_on`: public client code depends on it;
- `inferred`: none of these; our reading of the rest. Each such row is a choice of this simulator.

The table, the state machine (`service`), the diagrams, the documentation and the conformance tests
all come from here.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from relaysim.sim.backends import state_table
from relaysim.sim.backends.state_table import Evidence, Moves, by_pair

Status = Literal[
    "queued",
    "in_progress",
    "requires_action",
    "cancelling",
    "cancelled",
    "failed",
    "completed",
    "incomplete",
    "expired",
]


class State(NamedTuple):
    """One run state.

    `lock_evidence` is what the statement about the lock rests on.
    """

    name: Status
    terminal: bool
    locks_thread: bool
    lock_evidence: Evidence


Transition = state_table.Transition[Status]

_W, _D, _C, _I = Evidence.CAPTURED, Evidence.DOCUMENTED, Evidence.RELIED_ON, Evidence.INFERRED

STATES: Final[tuple[State, ...]] = (
    State("queued", terminal=False, locks_thread=True, lock_evidence=_I),
    State("in_progress", terminal=False, locks_thread=True, lock_evidence=_D),
    State("requires_action", terminal=False, locks_thread=True, lock_evidence=_C),
    State("cancelling", terminal=False, locks_thread=True, lock_evidence=_C),
    State("cancelled", terminal=True, locks_thread=False, lock_evidence=_D),
    State("failed", terminal=True, locks_thread=False, lock_evidence=_D),
    State("completed", terminal=True, locks_thread=False, lock_evidence=_D),
    State("incomplete", terminal=True, locks_thread=False, lock_evidence=_D),
    State("expired", terminal=True, locks_thread=False, lock_evidence=_C),
)

TRANSITIONS: Final[tuple[Transition, ...]] = (
    Transition(None, "queued", "create", _D),
    Transition("queued", "in_progress", "start", _D),
    Transition("queued", "cancelling", "cancel", _I),
    Transition("queued", "expired", "expiry", _I),
    Transition("in_progress", "requires_action", "tool call", _D),
    Transition("in_progress", "completed", "finish", _D),
    Transition("in_progress", "failed", "error", _D),
    Transition("in_progress", "incomplete", "token limit", _D),
    Transition("in_progress", "expired", "expiry", _D),
    Transition("in_progress", "cancelling", "cancel", _D),
    Transition("requires_action", "queued", "tool outputs", _D),
    Transition("requires_action", "expired", "expiry", _D),
    Transition("requires_action", "cancelling", "cancel", _I),
    Transition("cancelling", "cancelled", "cancelled", _D),
    Transition("cancelling", "completed", "finish", _I),
    Transition("cancelling", "failed", "error", _I),
    Transition("cancelling", "expired", "expiry", _I),
)

Refusal = Literal["append_while_active", "run_while_active", "cannot_cancel", "no_tool_outputs"]

NO_RUN: Final = "no run"
"""In place of a state: the thread has never had a run."""


Rule = state_table.Rule[Status, Refusal]

_NAMES: Final = tuple(state.name for state in STATES)
_ENDED: Final = tuple(state.name for state in STATES if state.terminal)
_FREE: Final = (NO_RUN, *_ENDED)
_EVERYWHERE: Final = (NO_RUN, *_NAMES)


def _accepted_everywhere(*requests: str) -> list[Rule]:
    return [Rule(request, _EVERYWHERE, "accepted", _D) for request in requests]


def _about_a_run(*requests: str) -> list[Rule]:
    return [
        rule
        for request in requests
        for rule in (Rule(request, (NO_RUN,), "impossible", _D), Rule(request, _NAMES, "accepted", _D))
    ]


RULES: Final[tuple[Rule, ...]] = (
    *_accepted_everywhere("assistants.create", "assistants.list", "assistants.retrieve", "assistants.update"),
    # A deleted assistant's runs go on; new ones are refused as for an unknown assistant.
    Rule("assistants.delete", _FREE, "accepted", _D),
    Rule("assistants.delete", ("queued", "in_progress", "requires_action", "cancelling"), "accepted", _I),
    *_accepted_everywhere("threads.create", "threads.retrieve", "threads.update"),
    Rule("threads.create_and_run", _EVERYWHERE, "accepted", _D, target="queued"),
    Rule("threads.delete", _FREE, "accepted", _D),
    Rule("threads.delete", ("queued", "in_progress", "requires_action", "cancelling"), "accepted", _I),
    Rule("messages.create", _FREE, "accepted", _D),
    Rule("messages.create", ("queued",), "refused", _I, "append_while_active"),
    Rule("messages.create", ("in_progress",), "refused", _W, "append_while_active"),
    Rule("messages.create", ("requires_action", "cancelling"), "refused", _C, "append_while_active"),
    *_accepted_everywhere("messages.list", "messages.retrieve"),
    Rule("messages.update", _FREE, "accepted", _D),
    Rule("messages.update", ("queued", "in_progress", "requires_action", "cancelling"), "accepted", _I),
    Rule("messages.delete", _FREE, "accepted", _D),
    Rule("messages.delete", ("queued", "in_progress", "requires_action", "cancelling"), "accepted", _I),
    Rule("runs.create", _FREE, "accepted", _D, target="queued"),
    Rule("runs.create", ("queued",), "refused", _I, "run_while_active"),
    Rule("runs.create", ("in_progress",), "refused", _W, "run_while_active"),
    Rule("runs.create", ("requires_action", "cancelling"), "refused", _C, "run_while_active"),
    *_accepted_everywhere("runs.list"),
    *_about_a_run("runs.retrieve", "runs.update", "runs.steps.list", "runs.steps.retrieve"),
    Rule("runs.cancel", (NO_RUN,), "impossible", _D),
    Rule("runs.cancel", ("in_progress",), "accepted", _D, target="cancelling"),
    Rule("runs.cancel", ("queued", "requires_action"), "accepted", _I, target="cancelling"),
    Rule("runs.cancel", ("completed", "cancelled", "cancelling"), "refused", _C, "cannot_cancel"),
    Rule("runs.cancel", ("expired", "failed", "incomplete"), "refused", _I, "cannot_cancel"),
    Rule("runs.submit_tool_outputs", (NO_RUN,), "impossible", _D),
    Rule("runs.submit_tool_outputs", ("requires_action",), "accepted", _D, target="queued"),
    Rule("runs.submit_tool_outputs", ("expired",), "refused", _W, "no_tool_outputs"),
    Rule(
        "runs.submit_tool_outputs",
        ("queued", "in_progress", "cancelling", "cancelled", "failed", "completed", "incomplete"),
        "refused",
        _I,
        "no_tool_outputs",
    ),
)


RULE: Final[dict[tuple[str, str], Rule]] = by_pair(RULES, _EVERYWHERE)
"""(state or `NO_RUN`, request) -> its rule; complete."""

EXPIRY_SECONDS: Final = 600
"""A run expires this long after its creation, whatever it waited for (captured run objects)."""

TERMINAL: Final[frozenset[str]] = frozenset(state.name for state in STATES if state.terminal)
LOCKING: Final[frozenset[str]] = frozenset(state.name for state in STATES if state.locks_thread)

check_move: Final = Moves("run", __name__, TRANSITIONS).check
"""Accepts a move of the table; raises ImpossibleTransitionError for any other."""


def mermaid() -> str:
    """The table as a Mermaid state diagram; inferred moves are marked with a question mark."""
    ends = (state.name for state in STATES if state.terminal)
    locks = (state.name for state in STATES if state.locks_thread)
    return state_table.mermaid(TRANSITIONS, ends, locks, "thread")
