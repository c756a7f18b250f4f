"""The lines of a story: what each tells, how much, which link of the chain of causes it is; and how they are laid out."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import pairwise
from typing import Final

from relaysim.sim.counted import counted

_ID = re.compile(r"\b(?:(?:thread|run|msg|asst|call)_[A-Za-z0-9]+|(?:conv|resp|rs|fc|fco)_[A-Za-z0-9]{16,})")
_SHORT_ID = re.compile(r"\b(?:thread|run|msg|asst|call|conv|resp|rs|fc|fco)_[A-Za-z0-9]{4,}")
_ID_LETTERS_MIN = 4
_LINE_NUMBER: Final = re.compile(r":\d+(?= in )")
_SIMULATOR: Final = f"{__name__.partition('.')[0]}/sim/"
"""Whose own steps are no part of what a relay did."""

_STEPS_MAX: Final = 3
"""So many steps of an exception's way are told in lines of text."""

_CHAIN_MAX: Final = 3
"""So many of the exceptions that it came from are."""

_ROOM_MIN: Final = 30
"""Columns: what is narrower is no column of text."""


class Rank:
    """How much a line tells. What makes a failure a failure stands above what merely happened near it."""

    CAUSE: Final = 101
    """A record that the breach came from: it is in every story, and told whole."""

    KEY: Final = 100
    EXCEPTION = 98
    LOCK_LOST, CONFLICT, FOREIGN_RUN, CANCEL_OF_ANOTHER = 97, 95, 92, 90
    HOST, LEASE_LOST, RECEIVED, LEASE, SEND, SENT, ENDED_BADLY, NO_ANSWER = 88, 87, 85, 82, 78, 76, 74, 72
    OVERDUE = 89  # the first time for each message
    NAMED_SEND, OUTAGE, CANCEL_UNDER_LEASE, TAKEN_OVER = 88, 70, 70, 68
    CANCEL, REFUSED, RUN_ENDED_EARLY, LEASE_RELEASED, SLEPT, REDELIVERED, CREATED = 66, 64, 62, 62, 60, 58, 56
    RUN_CREATED: Final = 63  # under a lease, where nothing else says whose doing a run is
    APPENDED, LISTED, ACCEPTED, STARTED, LOCK_TAKEN, ENDED_WELL = 48, 46, 44, 42, 40, 38
    LOCK_AWAITED, CALLED_OFTEN, LOGGED_ERROR = 39, 64, 63
    COMPLETED, LOCK_RELEASED, POLLED, LOCK_HELD, READ, LOG, IN_PROGRESS = 30, 26, 24, 22, 16, 14, 10
    OTHER_STORY: Final = 20  # taken off lines of deliveries that did not overlap with the one in focus


class Link(Enum):
    """What a line is in the chain of causes of a failure."""

    LOCK_LOST = auto()
    LIST_EMPTY = auto()
    FOREIGN_RUN = auto()
    REFUSED = auto()
    ENDED = auto()
    LOOK = auto()


@dataclass(slots=True)
class Line:
    """One line of a story.

    Attributes:
        time, order: when, and its place in the trace.
        who: whose doing it is.
        text: what happened, in people's words.
        rank: how much it tells, see `Rank`.
        delivery: in whose handling; "" in none.
        loud: whether it made the difference.
        link: what it is in the chain of causes; None: nothing.
        messages: the messages that it is about.
        by_customer: whether a customer did or saw it.
        background: whether it was done outside of every handling.
        traceback: of an exception, as `own_first` has it.
        chain: the exceptions that it came from, the nearest first.
        causes: the names of the kinds of causes that it shows, see `relaysim.reports.story_causes`.
    """

    time: float
    order: int
    who: str
    text: str
    rank: int
    delivery: str = ""
    loud: bool = False
    link: Link | None = None
    messages: tuple[str, ...] = ()
    by_customer: bool = False
    background: bool = False
    traceback: tuple[str, ...] = ()
    chain: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()


def own_first(traceback: Sequence[str], place: str) -> tuple[str, ...]:
    """An exception's steps with the innermost of the relay's own first, its callers after it, and then, without number and
    source, where a library ended that was called there.

    Args:
        traceback: the steps, outermost first, each `file:line in function: source`.
        place: the innermost step of the relay's own, `file:line`.
    """
    steps = list(traceback)
    library = [] if not steps or not place or steps[-1].startswith(f"{place} in ") else [steps.pop()]
    shown = [_LINE_NUMBER.sub("", each.partition(": ")[0]) for each in library if not each.startswith(_SIMULATOR)]
    return (*reversed(steps), *(f"{each}, a library" for each in shown))


def kept_lines(window: Sequence[Line], lines_max: int) -> list[Line]:
    """The lines of a story that is not longer than this, the least important ones left out; those of causes are never."""
    most = max(lines_max, sum(line.rank >= Rank.CAUSE for line in window))
    return [window[place] for place in _fit(window, [1] * len(window), most)]


def lay_out(
    window: Sequence[Line], threads: Mapping[str, str], conversation: str, subject: str, width: int, lines_max: int
) -> list[str]:
    """The lines as rows of at most `width` columns, the least important ones left out.

    Times are the world's own, as everything else has them that is told of it. What made the difference is told whole: a line
    that is loud, or a link of the chain of causes, goes on in further rows where it is longer, unless there are too few rows
    for the links alone.

    Args:
        window: the lines, in their order.
        threads: of the whole trace, with the conversation of each: their ids stay apart.
        conversation: whose story it is; the first row names it, its thread, and the subject.
        subject: what the first row ends in.
        width: columns.
        lines_max: rows.
    """
    shorten = short_ids([*(line.text for line in window), *threads])
    column = min(max((len(line.who) for line in window), default=0), 24)
    written = [_rows(line, shorten(line.text), column, width) for line in window]
    for whole_from in (Rank.CAUSE, Rank.CAUSE + 1):
        if sum(len(rows) for line, rows in zip(window, written, strict=True) if line.rank >= Rank.KEY) > lines_max - 2:
            written = [_rows(line, shorten(line.text), column, width, line.rank >= whole_from) for line in window]
    kept = _fit(window, [len(each) for each in written], lines_max - 2)
    own = [shorten(thread) for thread, owner in threads.items() if owner == conversation]
    where = ", ".join([f"conversation {conversation}", *own[:1]])
    rows = [_cut(f"{where}{subject}; seconds since the world began", width)]
    for place in kept:
        rows += written[place]
    if left_out := len(window) - len(kept):
        rows.append(_cut(f"{'':9}   {counted(left_out, 'less important line')} left out; --all has them", width))
    return rows


def _rows(line: Line, text: str, column: int, width: int, whole: bool = True) -> list[str]:
    begin = f"{line.time:9.3f} {'!' if line.loud else ' '} {line.who[:24]:<{column}}  "
    room = width - len(begin)
    tells = whole and (line.loud or line.rank >= Rank.KEY)
    indent = " " * len(begin)
    came_from = list(line.chain[:_CHAIN_MAX])
    if len(line.chain) > _CHAIN_MAX:
        came_from.append(f"and {counted(len(line.chain) - _CHAIN_MAX, 'more exception')} before it")
    steps: list[str] = []
    if tells:
        steps += [_cut(f"{indent}at {each}", width) for each in line.traceback[:_STEPS_MAX]]
        # Whole, since each ends in its place.
        steps += [row for each in came_from for row in _wrapped(each, indent, width)]
    if len(text) <= room or not tells or room < _ROOM_MIN:
        return [_cut(begin + text, width), *steps]
    first, *others = textwrap.wrap(text, room, break_on_hyphens=False)
    return [begin + first, *(indent + each for each in others), *steps]


def _wrapped(text: str, indent: str, width: int) -> list[str]:
    if width - len(indent) < _ROOM_MIN:
        return [_cut(indent + text, width)]
    return textwrap.wrap(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_on_hyphens=False,
        break_long_words=True,
    )


def _cut(row: str, width: int) -> str:
    return row if len(row) <= width else row[: width - 1] + "…"


def quoted(text: str, length: int = 60) -> str:
    """A text on one line, cut to a length."""
    flat = " ".join(str(text).split())
    return f"“{flat if len(flat) <= length else flat[: length - 1] + '…'}”"


def short_ids(texts: Sequence[str]) -> Callable[[str], str]:
    """A function that shortens every API id in a text to as few letters as keep all of them apart."""
    ordered = sorted({each for text in texts if "_" in text for each in _ID.findall(text)})
    shared = dict.fromkeys(ordered, 0)
    for one, other in pairwise(ordered):
        same = next((at for at in range(len(one)) if one[at : at + 1] != other[at : at + 1]), len(one))
        shared[one], shared[other] = max(shared[one], same), max(shared[other], same)
    short = {each: each[: max(shared[each] + 1, each.index("_") + 1 + _ID_LETTERS_MIN)] for each in ordered}
    return lambda text: _ID.sub(lambda match: short.get(match[0], match[0]), text)


def as_in_rows(sentence: str, rows: Sequence[str]) -> str:
    """A sentence that stands under a story, with each API id as the story's rows have it; whole if they have it not."""
    there = sorted({each for row in rows for each in _SHORT_ID.findall(row)}, key=len, reverse=True)
    return _ID.sub(lambda match: next((each for each in there if match[0].startswith(each)), match[0]), sentence)


def _fit(window: Sequence[Line], heights: Sequence[int], budget: int) -> list[int]:
    """The places of the lines that fit into so many rows, the most important ones first."""
    if sum(heights) <= budget:
        return list(range(len(window)))
    kept: list[int] = []
    # Of two lines that tell as much, the later one goes: what started a failure explains more than what followed.
    for place in sorted(range(len(window)), key=lambda each: (-window[each].rank, each)):
        if heights[place] > budget:
            break
        kept.append(place)
        budget -= heights[place]
    return sorted(kept)
