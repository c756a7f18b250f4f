"""The states of an API's turns as one table: what moves them, and what each request is answered in each of them.

An API's own `states` fills it in, and everything else reads it: the state machine, the diagram, the page, the tests.
Each row carries its evidence, because recordings and reports are all the truth there is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import Final, Generic, Literal, NamedTuple, TypeVar

S = TypeVar("S", bound=str)
"""The names of an API's states."""

R = TypeVar("R", bound=str)
"""The names of its refusals."""


class Evidence(StrEnum):
    """What a row rests on."""

    CAPTURED = "captured"
    DOCUMENTED = "documented"
    RELIED_ON = "relied_on"
    INFERRED = "inferred"


class Transition(NamedTuple, Generic[S]):
    """One possible move. `source` None is the turn's creation."""

    source: S | None
    target: S
    trigger: str
    evidence: Evidence


class Rule(NamedTuple, Generic[S, R]):
    """What the API answers to a request, in some states.

    For a request that names a turn, the state is that turn's. For any other it is the state of the conversation's newest
    turn, or what the API's table calls it that there is none; a request that names no conversation is answered alike in all.

    Attributes:
        request: an operation's name.
        states: where the rule holds.
        answer: `accepted`, `refused`, or `impossible`: the two cannot meet.
        evidence: what it rests on.
        refusal: which error refuses it.
        target: the state that an accepted request moves the turn to, or that of the turn it creates.
    """

    request: str
    states: tuple[str, ...]
    answer: Literal["accepted", "refused", "impossible"]
    evidence: Evidence
    refusal: R | None = None
    target: S | None = None


def by_pair(rules: Iterable[Rule[S, R]], everywhere: Collection[str]) -> dict[tuple[str, str], Rule[S, R]]:
    """(state, request) -> its rule.

    Raises:
        ValueError: two rules for a pair, or none for a request in one of the states `everywhere`.
    """
    table: dict[tuple[str, str], Rule[S, R]] = {}
    for rule in rules:
        for state in rule.states:
            if (state, rule.request) in table:
                raise ValueError(f"two rules for {rule.request} in state {state}")
            table[state, rule.request] = rule
    missing = [(state, request) for _, request in table for state in everywhere if (state, request) not in table]
    if missing:
        raise ValueError(f"no rule for {sorted(set(missing))}")
    return table


class ImpossibleTransitionError(RuntimeError):
    """A move that the table does not hold was asked for: a mistake in the simulation, never an API answer."""


class Moves(Generic[S]):
    """The moves of a table.

    Args:
        turn: what the API calls a turn.
        place: where its table stands.
        transitions: the moves.
    """

    def __init__(self, turn: str, place: str, transitions: Iterable[Transition[S]]) -> None:
        self._turn = turn
        self._place = place
        self._moves: Final = frozenset((row.source, row.target) for row in transitions)

    def check(self, source: str | None, target: str) -> None:
        """Accept a move of the table.

        Raises:
            ImpossibleTransitionError: for any other.
        """
        if (source, target) not in self._moves:
            raise ImpossibleTransitionError(
                f"no {self._turn} goes from {source or '(creation)'} to {target}; see {self._place}.TRANSITIONS"
            )


def mermaid(
    transitions: Iterable[Transition[S]], terminal: Iterable[str], locking: Iterable[str], conversation: str
) -> str:
    """A table as a Mermaid state diagram; inferred moves are marked with a question mark."""
    lines = ["stateDiagram-v2"]
    for row in transitions:
        mark = " ?" if row.evidence is Evidence.INFERRED else ""
        lines.append(f"    {row.source or '[*]'} --> {row.target}: {row.trigger}{mark}")
    lines += [f"    {state} --> [*]" for state in terminal]
    lines += [f"    note right of {state}: locks the {conversation}" for state in locking]
    return "\n".join(lines) + "\n"
