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

from typing import Final, Literal, NamedTuple

from relaysim.sim.backends import state_table
from relaysim.sim.backends.state_table import Evidence, Moves, by_pair

Status = Literal["queued", "in_progress", "cancelling", "completed", "failed", "cancelled", "incomplete"]


class State(NamedTuple):
    """One state of a response.

    `lock_evidence` is what the statement about the lock rests on; `shown`: whether the API shows it, or the one before.
    """

    name: Status
    terminal: bool
    locks_conversation: bool
    lock_evidence: Evidence
    shown: bool = True


Transition = state_table.Transition[Status]

_W, _D, _C, _I = Evidence.CAPTURED, Evidence.DOCUMENTED, Evidence.RELIED_ON, Evidence.INFERRED

STATES: Final[tuple[State, ...]] = (
    State("queued", terminal=False, locks_conversation=True, lock_evidence=_I),
    State("in_progress", terminal=False, locks_conversation=True, lock_evidence=_W),
    State("cancelling", terminal=False, locks_conversation=True, lock_evidence=_I, shown=False),
    State("completed", terminal=True, locks_conversation=False, lock_evidence=_C),
    State("failed", terminal=True, locks_conversation=False, lock_evidence=_I),
    State("cancelled", terminal=True, locks_conversation=False, lock_evidence=_C),
    State("incomplete", terminal=True, locks_conversation=False, lock_evidence=_I),
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


Rule = state_table.Rule[Status, Refusal]

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


RULE: Final[dict[tuple[str, str], Rule]] = by_pair(RULES, _EVERYWHERE)
"""(state or `NO_TURN`, request) -> its rule; complete."""

TERMINAL: Final[frozenset[str]] = frozenset(_ENDED)
SHOWN: Final[frozenset[str]] = frozenset(state.name for state in STATES if state.shown)

check_move: Final = Moves("response", __name__, TRANSITIONS).check
"""Accepts a move of the table; raises ImpossibleTransitionError for any other."""


def mermaid() -> str:
    """The table as a Mermaid state diagram; inferred moves are marked with a question mark."""
    ends = (state.name for state in STATES if state.terminal)
    locks = (state.name for state in STATES if state.locks_conversation)
    return state_table.mermaid(TRANSITIONS, ends, locks, "conversation")
