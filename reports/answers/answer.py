"""An answer as data: what was found, what to do, the figures behind it, and one table. How it looks is said elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Tone = Literal["good", "bad", "open", ""]

TITLE_MAX: Final = 160
"""Characters: two lines of 80 columns, and what a browser's tab and a search show of a page's title."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number that the answer rests on.

    Attributes:
        what: what was counted, in words.
        who: the relay, policy or candidate that it is of.
        where: the scenario, profile or point.
        count, among: how many, and among how many; `count` is None for what was computed of `among` worlds or messages.
        value: the share, 0 to 1, or the value in `unit`; None without a trial.
        unit: "share", or "s", "requests" and the like.
        interval: both ends, in the same unit; None if nobody knows.
    """

    what: str
    who: str = ""
    where: str = ""
    count: int | None = None
    among: int | None = None
    value: float | None = None
    unit: str = "share"
    interval: tuple[float, float] | None = None

    def to_dict(self) -> dict[str, Any]:
        """As results have it."""
        return {
            "what": self.what,
            "who": self.who,
            "where": self.where,
            "count": self.count,
            "among": self.among,
            "value": self.value,
            "unit": self.unit,
            "interval": None if self.interval is None else list(self.interval),
        }


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the table: its cells, and how it stands."""

    cells: tuple[str, ...]
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Lines under one heading, "" for none."""

    title: str
    lines: tuple[Line, ...]
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class Table:
    """The one table of an answer, the most important lines first. Without `heads` its columns have no names.

    `narrow` says the same in fewer columns, for where the first column does not fit; None: it is cut off there.
    """

    groups: tuple[Group, ...]
    heads: tuple[str, ...] = ()
    narrow: Table | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command found.

    Attributes:
        status: one word for programs; each module of this folder lists its own.
        tone: whether that is good news.
        title: one sentence, the page's title too.
        found: sentences with exact figures and what they are counted among.
        advice: what to do, as sentences.
        commands: what to type for it, each a line.
        figures: the numbers in those sentences.
        table: what fits on a screen beside them.
        notes: what a reader of the table must know.
        gate: whether the verdicts are the expected ones, for whoever keeps a gate; "" where nobody expects any.
        details: more sentences, told where there is room.
    """

    status: str
    tone: Tone
    title: str
    found: Sequence[str] = ()
    advice: Sequence[str] = ()
    commands: Sequence[str] = ()
    figures: Sequence[Figure] = ()
    table: Table = field(default=Table(()))
    notes: Sequence[str] = ()
    gate: str = ""
    details: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        """As `results.json` has it under `answer`."""
        return {
            "status": self.status,
            "title": self.title,
            "found": list(self.found),
            "advice": list(self.advice),
            "commands": list(self.commands),
            "figures": [each.to_dict() for each in self.figures],
            "gate": self.gate,
            "details": list(self.details),
        }
