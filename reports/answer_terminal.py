"""An answer on a terminal: its sentences and one table, on a screen of 24 lines of 80 columns.

The sentences come first, whatever their length. The table gets the lines that are left, the most important first, and says
how many it leaves out. A command to copy is never broken, so that it may be wider than the screen.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from relaysim.reports.answers.answer import Answer, Group, Line, Table, Tone
from relaysim.sim.counted import counted

if TYPE_CHECKING:
    from rich.console import Console

COLUMNS: Final = 80
LINES: Final = 23
"""A screen of 24 lines, but for the one on which the shell asks for the next command."""

COLUMNS_MAX: Final = 110
"""Longer lines are hard to read."""

_TABLE_MIN: Final = 6
_JOINT: Final = "\N{WORD JOINER}"
_CELL_MAX: Final = 44
_STYLES: Final = {"good": "bold green", "bad": "bold red", "open": "bold yellow", "": "bold"}

Styled = tuple[str, str]
"""A line of output and its style."""


def print_answer(
    console: Console, answer: Answer, *, files: Sequence[tuple[str, Path]] = (), full: bool = False
) -> None:
    """Print the first screen.

    Args:
        files: what is to be named at its end, as (name, path).
        full: that everything follows, so that the table is printed whole.
    """
    from rich.text import Text

    columns = min(console.width, COLUMNS_MAX) if console.is_terminal else COLUMNS
    for text, style in screen(answer, files=files, columns=columns, lines=None if full else LINES):
        console.print(Text(text, style=style), soft_wrap=True)


def screen(
    answer: Answer, *, files: Sequence[tuple[str, Path]] = (), columns: int = COLUMNS, lines: int | None = LINES
) -> list[Styled]:
    """The lines of the first screen, with their styles. `lines` is how many there may be; None for all."""
    foot = _foot(answer, files, columns)
    title, advice = _title(answer, columns), _advice(answer, columns)
    room = None if lines is None else lines - sum(_height(each, columns) for each in (title, advice, foot))
    found = _found(answer, columns, None if room is None else room - _TABLE_MIN)
    left = None if room is None else max(_TABLE_MIN, room - _height(found, columns))
    return [*title, *found, *advice, *_table(answer, columns, left), *foot]


def _height(lines: Sequence[Styled], columns: int) -> int:
    """How many lines of a terminal these take: what is longer than a line goes on in the next one."""
    return sum(max(1, -(-len(text) // columns)) for text, _ in lines)


def _wrapped(text: str, columns: int, indent: str = "") -> list[str]:
    """The text in lines; a number and its percent sign stay on one."""
    joined = text.replace(" %", f"{_JOINT}%")
    rows = textwrap.wrap(joined, columns, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return [row.replace(_JOINT, " ") for row in rows] or [""]


def _title(answer: Answer, columns: int) -> list[Styled]:
    return [(line, _STYLES[answer.tone]) for line in _wrapped(answer.title, columns)]


def _found(answer: Answer, columns: int, room: int | None) -> list[Styled]:
    """The sentences, the first ones if there is no room for all."""
    lines: list[Styled] = []
    for at, sentence in enumerate(answer.found):
        told: list[Styled] = [(line, "") for line in _wrapped(sentence, columns, "  ")]
        left = len(answer.found) - at
        if room is not None and at and len(lines) + len(told) + (left > 1) > room:
            return [*lines, (f"  and {counted(left, 'more sentence')}, with --full", "dim")]
        lines += told
    return lines


def _advice(answer: Answer, columns: int) -> list[Styled]:
    lines: list[Styled] = []
    for at, sentence in enumerate(answer.advice):
        begin = "Do: " if at == 0 else "    "
        lines += [(line, "bold") for line in _wrapped(f"{begin}{sentence}", columns, "    ")]
    return [*lines, *((f"    {command}", "cyan") for command in answer.commands)]


def _foot(answer: Answer, files: Sequence[tuple[str, Path]], columns: int) -> list[Styled]:
    lines = [(line, "dim") for note in answer.notes for line in _wrapped(note, columns, "  ")]
    lines += [(f"{name}: {path}", "dim") for name, path in files]  # never broken: whoever copies a path needs it whole
    return [*lines, *((line, "dim") for line in (_wrapped(answer.gate, columns, "  ") if answer.gate else ()))]


def _table(answer: Answer, columns: int, room: int | None) -> Iterator[Styled]:
    table = answer.table
    if table.narrow is not None and not _fits(table, columns):
        table = table.narrow
    groups = [group for group in table.groups if group.lines]
    if not groups:
        return
    heads = table.heads
    every = [line.cells for group in groups for line in group.lines]
    widths = _widths([*every, heads] if heads else every, columns)
    yield "", ""
    used = 1
    if heads:
        yield _row(heads, widths), "bold"
        used += 1
    kept = _that_fit(groups, None if room is None else room - used)
    for group, lines in kept:
        if group.title:
            yield group.title, _STYLES[group.tone]
        for line in lines:
            yield _row(line.cells, widths), _style(line.tone)
    left_out = len(every) - sum(len(lines) for _, lines in kept)
    if left_out:
        yield f"  and {left_out:,} more, with --full", "dim"


def _fits(table: Table, columns: int) -> bool:
    """Whether no cell of the first column is cut off."""
    rows = [line.cells for group in table.groups for line in group.lines]
    if not rows:
        return True
    longest = max(len(row[0]) for row in rows)
    return longest <= _widths([*rows, table.heads] if table.heads else rows, columns)[0]


def _style(tone: Tone) -> str:
    return {"good": "green", "bad": "red", "open": "yellow", "": ""}[tone]


def _that_fit(groups: Sequence[Group], room: int | None) -> list[tuple[Group, Sequence[Line]]]:
    """The groups with as many of their lines as there is room for; one line of it is kept to say what is left out."""
    whole = sum(len(group.lines) + bool(group.title) for group in groups)
    if room is None or whole <= room:
        return list(zip(groups, (group.lines for group in groups), strict=True))
    left = room - 1
    kept: list[tuple[Group, Sequence[Line]]] = []
    for group in groups:
        left -= bool(group.title)
        if left < 1:
            break
        lines = group.lines[:left]
        kept.append((group, lines))
        left -= len(lines)
    return kept


def _widths(rows: Sequence[Sequence[str]], columns: int) -> list[int]:
    """Every column as wide as it needs, but the first one as wide as the rest allows."""
    count = max(len(row) for row in rows)
    wide = [max((len(row[at]) for row in rows if at < len(row)), default=0) for at in range(count)]
    others = [min(width, _CELL_MAX) for width in wide[1:]]
    first = max(12, columns - 2 - sum(others) - 2 * len(others))
    return [min(wide[0], first), *others]


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    if not any(cells[1:]):  # it has the whole line
        return f"  {_cut(cells[0], sum(widths) + 2 * (len(widths) - 1))}"
    first, *others = [_cut(cell, width) for cell, width in zip(cells, widths, strict=False)]
    rest = "  ".join(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=False))
    return f"  {first.ljust(widths[0])}  {rest}".rstrip()


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1].rstrip()}…"
