"""The states of a run: one table, which everything else reads.

Theory of operation. A run is born `queued` and ends in one of five terminal states, from which nothing leads on. Until
then it locks its thread: neither a message nor another run may be added. A cancel is a request: it moves the run to
`cancelling`, which still locks, and something else moves it on from there. Whatever moves a run names its cause, and
`check_move` refuses every move that the table does not hold.

Each row carries its evidence, because the service is gone and recordings are all the truth there is:

- `documented`: official documentation or the OpenAPI text;
- `relied_on`: public client code depends on it;
- `inferred`: neither; our reading of the rest. Each such row is a choice of this simulator.

The table, the state machine (`sim.openai.service`), the diagrams and the conformance tests all come from here.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Literal, NamedTuple


class Evidence(StrEnum):
    """What a row rests on."""

    DOCUMENTED = "documented"
    RELIED_ON = "relied_on"
    INFERRED = "inferred"


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


class Transition(NamedTuple):
    """One possible move. `source` None is the run's creation."""

    source: Status | None
    target: Status
    trigger: str
    evidence: Evidence


_D, _C, _I = Evidence.DOCUMENTED, Evidence.RELIED_ON, Evidence.INFERRED

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

EXPIRY_SECONDS: Final = 600
"""A run expires this long after its creation, whatever it waited for (captured run objects)."""

TERMINAL: Final[frozenset[str]] = frozenset(state.name for state in STATES if state.terminal)
LOCKING: Final[frozenset[str]] = frozenset(state.name for state in STATES if state.locks_thread)
CANCELLABLE: Final[frozenset[str]] = frozenset(
    row.source for row in TRANSITIONS if row.target == "cancelling" and row.source is not None
)
_MOVES: Final[frozenset[tuple[str | None, str]]] = frozenset((row.source, row.target) for row in TRANSITIONS)


class ImpossibleTransitionError(RuntimeError):
    """A move that the table does not hold was asked for: a mistake in the simulation, never an API answer."""

    def __init__(self, source: str | None, target: str) -> None:
        super().__init__(f"no run goes from {source or '(creation)'} to {target}; see sim.openai.states.TRANSITIONS")


def check_move(source: str | None, target: str) -> None:
    """Accept a move of the table.

    Raises:
        ImpossibleTransitionError: for any other.
    """
    if (source, target) not in _MOVES:
        raise ImpossibleTransitionError(source, target)


def mermaid() -> str:
    """The table as a Mermaid state diagram; inferred moves are marked with a question mark."""
    lines = ["stateDiagram-v2"]
    for row in TRANSITIONS:
        mark = " ?" if row.evidence is Evidence.INFERRED else ""
        lines.append(f"    {row.source or '[*]'} --> {row.target}: {row.trigger}{mark}")
    lines += [f"    {state.name} --> [*]" for state in STATES if state.terminal]
    lines += [f"    note right of {state.name}: locks the thread" for state in STATES if state.locks_thread]
    return "\n".join(lines) + "\n"


def graphviz() -> str:
    """The table as a Graphviz digraph: locking states filled, terminal ones doubled, inferred moves dashed."""
    lines = ["digraph run {", "    rankdir=LR;", '    start [shape=point, label=""];']
    for state in STATES:
        shape = "doublecircle" if state.terminal else "ellipse"
        fill = ', style=filled, fillcolor="#dddddd"' if state.locks_thread else ""
        lines.append(f"    {state.name} [shape={shape}{fill}];")
    for row in TRANSITIONS:
        style = ", style=dashed" if row.evidence is Evidence.INFERRED else ""
        lines.append(f'    {row.source or "start"} -> {row.target} [label="{row.trigger}"{style}];')
    return "\n".join([*lines, "}"]) + "\n"
