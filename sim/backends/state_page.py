"""Parts of the pages that are written from tables of states, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from relaysim.sim.backends.state_table import Evidence, Rule, Transition

MARKS: Final = {Evidence.CAPTURED: "W", Evidence.DOCUMENTED: "S", Evidence.RELIED_ON: "C", Evidence.INFERRED: "I"}


def table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """The lines of a table, and an empty one."""
    names = list(headings)
    yield f"| {' | '.join(names)} |"
    yield "|---" * len(names) + "|"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def diagram(text: str) -> list[str]:
    """The section with a Mermaid diagram."""
    return [
        "## Diagram",
        "",
        "A move with a question mark is inferred.",
        "",
        "```mermaid",
        text.rstrip("\n"),
        "```",
        "",
    ]


def states(turn: str, conversation: str, rows: Iterable[tuple[str, bool, bool, Evidence]]) -> list[str]:
    """The section of states: each with whether it ends the turn and locks the conversation, and the evidence of the lock."""
    heads = ("state", f"ends the {turn}", f"locks the {conversation}", "evidence of the lock")
    said = {True: "yes", False: "no"}
    return ["## States", "", *table(heads, ((f"`{name}`", said[a], said[b], MARKS[e]) for name, a, b, e in rows))]


def moves(transitions: Iterable[Transition[Any]]) -> list[str]:
    """The section of moves."""
    rows = (
        (f"`{row.source}`" if row.source else "(creation)", f"`{row.target}`", row.trigger, MARKS[row.evidence])
        for row in transitions
    )
    return ["## Moves", "", *table(("from", "to", "when", "evidence"), rows)]


def requests(
    introduction: str, names: Sequence[str], rules: Iterable[Rule[Any, Any]], rule_of: Mapping[tuple[str, str], Any]
) -> list[str]:
    """The section of requests: what each is answered in each state."""
    rows = (
        (f"`{request}`", *(_cell(rule_of[state, request]) for state in names))
        for request in dict.fromkeys(rule.request for rule in rules)
    )
    return ["## Requests", "", introduction, "", *table(("request", *names), rows)]


def _cell(rule: Rule[Any, Any]) -> str:
    if rule.answer == "impossible":
        return "-"
    if rule.refusal is not None:
        return f"**{rule.refusal.replace('_', ' ')}** {MARKS[rule.evidence]}"
    return f"ok{f' → `{rule.target}`' if rule.target else ''} {MARKS[rule.evidence]}"
