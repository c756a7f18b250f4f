"""What shape a log has as a whole, seen before it is read.

- Records of pretty-printed JSON (CloudWatch's `filter-log-events`, `jq`, `gcloud logging read`) span lines: each is put on
  one.
- A journal's MESSAGE with colours or symbols is a list of byte values: it becomes the text that it is.
- `03/11/2025` is a day of March or of November. A log tells by a day above 12, or by days that follow one another; where all
  its lines are of one day it does not matter. Otherwise it is refused, and `--dates` says it.
- An export may have its newest lines first. A file is then read from its end; of what can only be read forwards (gzip,
  standard input, records of JSON) the relay's lines are held, and refused if they are too many.
"""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Iterator
from itertools import chain, pairwise
from pathlib import Path
from typing import Final, Literal

from relaysim.scenarios.fit.blocks import (
    BLOCK_BYTES,
    LINE_BYTES_MAX,
    STANDARD_INPUT,
    Bytes,
    LogError,
    blocks_of,
    look_at,
)
from relaysim.scenarios.fit.prefixes import LOOKED_AT_BYTES, DateOrder, moment_of

Wanted = Literal["auto", "dmy", "mdy"]

_DATE: Final = re.compile(rb"(?<![\d/.-])(\d{1,2})[/-](\d{1,2})[/-](\d{4})(?=[,T ]+\d{1,2}:\d\d)", re.ASCII)
_DATES_MAX: Final = 400
"""So many different days are compared; a year has no more."""
_SAMPLED: Final = 400
"""Lines by which it is seen which end a log begins with."""
_BEGINNING: Final = 64 * 1024
"""Within so many bytes of a log its first date stands."""
_STAMP: Final = 64
"""Within so many bytes of a line the date of most carriers stands."""
_AHEAD: Final = 20
"""So many steps ahead and none back are enough."""
_OPENS: Final = re.compile(rb"\A(?:\xef\xbb\xbf)?\s*[\[{]\s*\n")
_FIRST_RECORD: Final = re.compile(rb"\[\s*\n([ \t]*)\{")
_LIST: Final = re.compile(rb'("MESSAGE"\s*:\s*)\[([\d\s,]*)\]')


def shaped(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The same blocks with one record a line, and each message as a text."""
    first = next(blocks, b"")
    whole = _one_a_line(first, blocks) if _OPENS.match(first) else chain((first,), blocks)
    yield from map(texts_of, whole) if b'"MESSAGE"' in first else whole


def texts_of(block: bytes) -> bytes:
    """A block of a journal in JSON with each MESSAGE as a text."""
    return _LIST.sub(_text, block) if b'"MESSAGE"' in block else block


def _text(match: re.Match[bytes]) -> bytes:
    numbers = [int(number) for number in match[2].split(b",") if number.strip()]
    if any(number > 255 for number in numbers):
        return match[0]
    text = bytes(numbers).replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
    return match[1] + b'"' + text + b'"'


def _one_a_line(first: bytes, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Records that end with a brace as far in as the first one began, on a line each."""
    record = _FIRST_RECORD.search(first)
    indent = re.escape(record[1] if record is not None else b"")
    ends = re.compile(rb"\n" + indent + rb"\}[ \t]*,?[ \t]*\r?\n")
    rest = first
    while True:
        whole = 0
        parts = []
        for end in ends.finditer(rest):
            parts.append(rest[whole : end.end()].replace(b"\r\n", b" ").replace(b"\n", b" "))
            whole = end.end()
        if parts:
            yield b"\n".join(parts) + b"\n"
        rest = rest[whole:]
        if len(rest) > 2 * LINE_BYTES_MAX:  # no records after all, or one that is no line of a relay
            yield rest
            rest = b""
        block = next(blocks, None)
        if block is not None:
            rest += block
        elif not rest or rest.endswith(b"\n"):
            break
        else:
            rest += b"\n"  # the last record's end is the log's
    if rest:
        yield rest


# Dates


def date_order(name: str, wanted: Wanted, first: bytes, *, is_all: bool) -> DateOrder | None:
    """Which of two numbers is the day, in a log that writes dates as 03/11/2025; None if it writes none.

    Args:
        name: the log; a file is looked through for a date that tells, what can be read only once is not.
        wanted: what the user says.
        first: its first lines.
        is_all: whether there are no others.

    Raises LogError if the log contradicts itself or what is wanted, or does not tell.
    """
    if _DATE.search(first, 0, _BEGINNING) is None:
        return None
    is_file = name != STANDARD_INPUT and Path(name).is_file()
    days: dict[tuple[int, int, int], None] = {}
    for block in blocks_of(name, Bytes()) if is_file else (first,):
        found = {(int(one), int(two), int(year)): None for one, two, year in _DATE.findall(block)}
        days.update(found if len(days) < _DATES_MAX else {day: None for day in found if max(day[:2]) > 12})
    told: set[DateOrder] = {"dmy" if one > 12 else "mdy" for one, two, _ in days if max(one, two) > 12}
    if len(told) > 1:
        raise LogError(f"{name}: has dates with the day first and dates with the month first; split it")
    if wanted != "auto":
        if told - {wanted}:
            raise LogError(f"{name}: --dates {wanted} cannot be: its dates are {told.pop()}")
        return wanted
    if told:
        return told.pop()
    if len(days) == 1 and (is_file or is_all):
        return "dmy"  # only differences are used
    order = _by_steps(list(days))
    if order is None:
        one, two, year = next(iter(days))
        raise LogError(
            f"{name}: {one:02}/{two:02}/{year} may be day and month or month and day, and no date in it tells which; say "
            "--dates dmy or --dates mdy"
        )
    return order


def _by_steps(days: list[tuple[int, int, int]]) -> DateOrder | None:
    """The order in which the days of a log follow one another, if the other one leaves out whole months."""
    if len(days) < 2:
        return None
    dmy = [datetime.date(year, two, one).toordinal() for one, two, year in days]
    mdy = [datetime.date(year, one, two).toordinal() for one, two, year in days]
    by_day, by_month = ([abs(later - earlier) for earlier, later in pairwise(each)] for each in (dmy, mdy))
    if max(by_day) <= 2 and min(by_month) >= 28:
        return "dmy"
    if max(by_month) <= 2 and min(by_day) >= 28:
        return "mdy"
    return None


# Which end


def is_newest_first(block: bytes, dates: DateOrder | None) -> bool:
    """Whether the dates of a log's first lines go back."""
    last: float | None = None
    ahead = back = sampled = 0
    at = 0
    while at < len(block) and sampled < _SAMPLED:
        end = block.find(b"\n", at)
        end = len(block) if end < 0 else end
        # The first date is the carrier's; a finer one in the text may be of another clock.
        moment = moment_of(block[at : min(end, at + _STAMP)], dates=dates) or moment_of(
            block[at : min(end, at + LOOKED_AT_BYTES)], dates=dates
        )
        if moment is not None:
            sampled += 1
            if last is not None:
                ahead += moment[0] > last
                back += moment[0] < last
            last = moment[0]
        if ahead > _AHEAD and back == 0:
            return False
        at = end + 1
    return back > max(1, 4 * ahead)


def has_two_ends(name: str) -> bool:
    """Whether the log can be read from its end, line by line: a file as it is, no records of JSON."""
    if name == STANDARD_INPUT or not Path(name).is_file():
        return False
    with Path(name).open("rb") as file:
        start = file.read(64)
    return not start.startswith((b"\x1f\x8b", b"\xff\xfe", b"\xfe\xff")) and _OPENS.match(start) is None


def blocks_from_the_end(name: str, found: Bytes) -> Iterator[bytes]:
    """The blocks of whole lines of a log that has two ends, the last one first."""
    with Path(name).open("rb") as file:
        at = file.seek(0, os.SEEK_END)
        found.bytes += at
        rest = b""
        while at > 0:
            size = min(BLOCK_BYTES, at)
            at -= size
            file.seek(at)
            read = file.read(size) + rest
            start = read.find(b"\n") + 1 if at > 0 else 0
            if at > 0 and start == 0:
                rest, block = read, b""
            else:
                rest, block = read[:start], read[start:]
            if len(rest) > LINE_BYTES_MAX:
                found.too_long += 1
                rest = b"\n"
            if block:
                found.unfinished += not block.endswith(b"\n")
                found.lines += not block.endswith(b"\n")
                look_at(block, found)
                yield block
