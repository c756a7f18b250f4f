"""The states of a response, and what the API answers to each request in each: one table, which everything else reads.

Theory of operation. A response is one turn: it is created by the request that brings the customer's words, works, and
ends in one of four terminal states. A response bound to a conversation locks it while it works: another one is
refused, and the refusal names nobody. One that continues another response (`previous_response_id`) locks nothing: two
of them fork.

A response in the background is `queued` first and may be cancelled; one in the foreground is answered when it ends, and only
closing the connection stops it. A cancel takes a while: meanwhile the response is `cancelling`, a state that the API
does not show (it shows the one before) and that this simulator needs to tell the trace when the lock is freed.

Evidence, row by row:

- `captured`: an error body or a reproduction in a public thread;
- `documented`: official documentation or the OpenAPI text;
- `relied_on`: public client code depends on it;
- `inferred`: none of these; each such row is a choice of this simulator.

Where reports disagree the profile decides, see `relaysim.sim.backends.responses.profile`; the table has the default.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Literal, NamedTuple


class Evidence(StrEnum):
    """What a row rests on."""

    CAPTURED = "captured"
    DOCUMENTED = "documented"
    RELIED_ON = "relied_on"
    INFERRED = "inferred"


Status = Literal["queued", "in_progress", "cancelling", "completed", "failed", "cancelled", "incomplete"]


class State(NamedTuple):
    """One state of a response.

    `shown` is what the API shows of it; None: the one before. `lock_evidence` is what the statement about the lock rests on.
    """

    name: Status
    terminal: bool
    locks_conversation: bool
    lock_evidence: Evidence
    shown: str | None


class Transition(NamedTuple):
    """One possible move. `source` None is the creation."""

    source: Status | None
    target: Status
    trigger: str
    evidence: Evidence


_W, _D, _C, _I = Evidence.CAPTURED, Evidence.DOCUMENTED, Evidence.RELIED_ON, Evidence.INFERRED

STATES: Final[tuple[State, ...]] = (
    State("queued", terminal=False, locks_conversation=True, lock_evidence=_I, shown="queued"),
    State("in_progress", terminal=False, locks_conversation=True, lock_evidence=_W, shown="in_progress"),
    State("cancelling", terminal=False, locks_conversation=True, lock_evidence=_I, shown=None),
    State("completed", terminal=True, locks_conversation=False, lock_evidence=_C, shown="completed"),
    State("failed", terminal=True, locks_conversation=False, lock_evidence=_I, shown="failed"),
    State("cancelled", terminal=True, locks_conversation=False, lock_evidence=_C, shown="cancelled"),
    State("incomplete", terminal=True, locks_conversation=False, lock_evidence=_I, shown="incomplete"),
)

TRANSITIONS: Final[tuple[Transition, ...]] = (
    Transition(None, "queued", "create", _D),
    Transition("queued", "in_progress", "start", _D),
    Transition("queued", "cancelling", "cancel", _D),
    Transition("queued", "failed", "limit of time", _I),
    Transition("in_progress", "completed", "finish", _D),
    Transition("in_progress", "failed", "error", _D),
    Transition("in_progress", "incomplete", "token limit, content filter, steered", _D),
    Transition("in_progress", "cancelling", "cancel, or its connection is closed", _D),
    Transition("cancelling", "cancelled", "cancelled", _D),
    Transition("cancelling", "completed", "finish", _C),
    Transition("cancelling", "incomplete", "steered", _I),
    Transition("cancelling", "failed", "limit of time", _I),
)

Refusal = Literal["locked", "cannot_cancel", "cannot_delete", "cannot_continue"]

NO_TURN: Final = "no turn"
"""In place of a state: the conversation has never had a response."""


class Rule(NamedTuple):
    """What the API answers to a request, in some states.

    For a request that names a response, the state is that one's. For any other it is the state of the conversation's
    newest response, or `NO_TURN`; a request that names no conversation is answered alike in all of them.

    Attributes:
        request: an operation's name; `responses.create` is bound to the conversation, `responses.create (chain)`
            continues the
            response.
        states: where the rule holds.
        answer: `accepted`, `refused`, or `impossible`: the two cannot meet.
        evidence: what it rests on.
        refusal: which error refuses it (a constructor of `response_errors`).
        target: the state that an accepted request moves the response to, or that of the response it creates.
    """

    request: str
    states: tuple[str, ...]
    answer: Literal["accepted", "refused", "impossible"]
    evidence: Evidence
    refusal: Refusal | None = None
    target: Status | None = None


_NAMES: Final = tuple(state.name for state in STATES)
_ENDED: Final = tuple(state.name for state in STATES if state.terminal)
_FREE: Final = (NO_TURN, *_ENDED)
_BUSY: Final = tuple(state.name for state in STATES if not state.terminal)
_EVERYWHERE: Final = (NO_TURN, *_NAMES)

CHAIN: Final = "responses.create (chain)"
"""The request that continues a response, in the table."""


def _accepted(*requests: str, evidence: Evidence = _D) -> list[Rule]:
    return [Rule(request, _EVERYWHERE, "accepted", evidence) for request in requests]


def _about_a_response(*requests: str) -> list[Rule]:
    return [
        rule
        for request in requests
        for rule in (Rule(request, (NO_TURN,), "impossible", _D), Rule(request, _NAMES, "accepted", _D))
    ]


RULES: Final[tuple[Rule, ...]] = (
    *_accepted("conversations.create", "conversations.retrieve", "conversations.items.list"),
    *_accepted("conversations.items.retrieve", "responses.input_tokens.count"),
    Rule("conversations.update", _FREE, "accepted", _D),
    Rule("conversations.update", _BUSY, "accepted", _I),
    Rule("conversations.delete", _FREE, "accepted", _D),
    Rule("conversations.delete", _BUSY, "accepted", _I),
    Rule("conversations.items.create", _FREE, "accepted", _D),
    Rule("conversations.items.create", _BUSY, "accepted", _I),
    Rule("conversations.items.delete", _FREE, "accepted", _D),
    Rule("conversations.items.delete", _BUSY, "accepted", _I),
    Rule("responses.create", _FREE, "accepted", _D, target="queued"),
    Rule("responses.create", ("in_progress",), "refused", _W, "locked"),
    Rule("responses.create", ("queued", "cancelling"), "refused", _I, "locked"),
    Rule(CHAIN, (NO_TURN,), "impossible", _D),
    Rule(CHAIN, ("completed", "incomplete"), "accepted", _D, target="queued"),
    Rule(CHAIN, ("failed", "cancelled"), "accepted", _I, target="queued"),
    Rule(CHAIN, _BUSY, "refused", _I, "cannot_continue"),
    *_about_a_response("responses.retrieve", "responses.input_items.list"),
    Rule("responses.cancel", (NO_TURN,), "impossible", _D),
    Rule("responses.cancel", ("queued", "in_progress"), "accepted", _D, target="cancelling"),
    Rule("responses.cancel", ("cancelling", "cancelled"), "accepted", _D),
    Rule("responses.cancel", ("completed",), "refused", _W, "cannot_cancel"),
    Rule("responses.cancel", ("failed",), "refused", _D, "cannot_cancel"),
    Rule("responses.cancel", ("incomplete",), "refused", _I, "cannot_cancel"),
    Rule("responses.delete", (NO_TURN,), "impossible", _D),
    Rule("responses.delete", _ENDED, "accepted", _D),
    Rule("responses.delete", _BUSY, "refused", _D, "cannot_delete"),
)


def _by_pair(rules: tuple[Rule, ...]) -> dict[tuple[str, str], Rule]:
    table: dict[tuple[str, str], Rule] = {}
    for rule in rules:
        for state in rule.states:
            if (state, rule.request) in table:
                raise ValueError(f"two rules for {rule.request} in state {state}")
            table[state, rule.request] = rule
    missing = [(state, request) for _, request in table for state in _EVERYWHERE if (state, request) not in table]
    if missing:
        raise ValueError(f"no rule for {sorted(set(missing))}")
    return table


RULE: Final[dict[tuple[str, str], Rule]] = _by_pair(RULES)
"""(state or `NO_TURN`, request) -> its rule; complete."""

TERMINAL: Final[frozenset[str]] = frozenset(_ENDED)
_MOVES: Final[frozenset[tuple[str | None, str]]] = frozenset((row.source, row.target) for row in TRANSITIONS)


class ImpossibleTransitionError(RuntimeError):
    """A move that the table does not hold was asked for: a mistake in the simulation, never an API answer."""

    def __init__(self, source: str | None, target: str) -> None:
        super().__init__(
            f"no response goes from {source or '(creation)'} to {target}; see "
            "relaysim.sim.backends.responses.states.TRANSITIONS"
        )


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
    lines += [f"    note right of {state.name}: locks the conversation" for state in STATES if state.locks_conversation]
    return "\n".join(lines) + "\n"
