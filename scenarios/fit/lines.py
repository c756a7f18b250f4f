"""The relay's lines among all others: those of the incident report, the relay's own, its events, and the API's refusals.

A line is found by a mark in it (`[OpenAI] `, `[Relay] `, `"event"` with a name that is the relay's), so it does not matter
what stands before it: a symbol, a date, a container's name, or the JSON in which a log driver wrapped it. The names belong
to the mark because other programs log an `"event"` in every line: what a search passes over costs no Python.

The API's own sentence about an active run is looked for in every line, whoever logged it: an SDK's exception in a
traceback, a worker's last words, another program's JSON. A line that has 400 and not the sentence may be about anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum, auto
from operator import itemgetter
from typing import Final

from relaysim.scenarios.fit.blocks import LINE_BYTES_MAX
from relaysim.scenarios.fit.prefixes import LOOKED_AT_BYTES, DateOrder, moment_of, worker_of


class Kind(IntEnum):
    """What a line says."""

    CONFLICT = auto()  # attempt, attempts
    CANCELLING = auto()  # run
    CANCEL_ACCEPTED = auto()  # run
    CANCEL_REFUSED = auto()  # run
    NO_RUN_NAMED = auto()
    WAITING = auto()  # seconds
    CREATED = auto()  # attempt: 2 or more
    FAILED = auto()  # attempts
    CANCELLED_AT_CHECK = auto()  # run
    LEFT_RUN = auto()  # run
    RUN_ENDED_BADLY = auto()  # run, status
    CONFLICT_EVENT = auto()  # conversation, run
    CANCEL_EVENT = auto()  # conversation, run
    RECOVERED_EVENT = auto()  # conversation, attempt, seconds
    GAVE_UP_EVENT = auto()  # conversation, attempts, seconds
    RUN_CREATED_EVENT = auto()  # conversation, run
    RUN_ENDED_EVENT = auto()  # conversation, run, status, seconds
    LOST_REPLY_EVENT = auto()  # conversation, run, status: the reason
    OUTCOME_EVENT = auto()  # conversation, status, attempts: the messages
    LEASE_EVENT = auto()  # conversation
    OTHER_EVENT = auto()
    API_REFUSAL = auto()  # conversation: the thread; run; status: what was refused
    CREATED_AT_FIRST = auto()  # no relay says so of a message that met no run, others may
    LOCKED = auto()  # attempt: a conversation of Responses is locked, and nobody can be cancelled


EVENT_KINDS: Final = {
    b"conflict": Kind.CONFLICT_EVENT,
    b"cancel": Kind.CANCEL_EVENT,
    b"recovered": Kind.RECOVERED_EVENT,
    b"gave_up": Kind.GAVE_UP_EVENT,
    b"run_created": Kind.RUN_CREATED_EVENT,
    b"run_ended": Kind.RUN_ENDED_EVENT,
    b"lost_reply": Kind.LOST_REPLY_EVENT,
    b"outcome": Kind.OUTCOME_EVENT,
    b"lease_taken": Kind.LEASE_EVENT,
}
OTHER_EVENTS: Final = frozenset(
    b"accepted duplicate lease_lost released fence_rejected run_adopted thread_moved send_unknown "
    b"drain_failed retry budget_exhausted redis_unavailable api_error redis_evicts sweep sweep_failed inbox_full".split()
)
"""The relay's other events, which tell nothing that is used here."""


@dataclass(slots=True)
class Line:
    """A line of the relay. `at` is in seconds (None: it has no date), known to `digits` digits of the second; which of the
    other fields are set depends on the kind."""

    kind: Kind
    at: float | None
    digits: int
    worker: bytes
    attempt: int = 0
    attempts: int = 0
    run: bytes = b""
    seconds: float = 0.0
    conversation: bytes = b""
    status: bytes = b""


@dataclass(slots=True)
class Unread:
    """Lines with a mark that were not read. `by_wording`: `[OpenAI]` or `[Relay]` with other words (most of them are the
    relay's lines that tell nothing here); `events`: events with a missing or wrong field."""

    by_wording: int = 0
    events: int = 0
    found: dict[Kind, int] = field(default_factory=dict)
    dated: int = 0


_RUN = rb"(run_\w{1,128})"
_TEXT = re.compile(
    rb"\[OpenAI\] (?:"
    rb"(?P<conflict>Active run detected during message creation \(attempt (\d{1,6})\\?/(\d{1,6})\))"
    rb"|(?P<cancelling>Attempting to cancel run " + _RUN + rb")"
    rb"|(?P<accepted>Run " + _RUN + rb" cancellation requested)"
    rb"|(?P<waiting>Waiting (\d{1,9})ms before retry)"
    rb"|(?P<created>Message created successfully \(attempt (\d{1,6})\))"
    rb"|(?P<failed>Failed to create message after (\d{1,6}) attempts))"
    rb"|\[Relay\] (?:"
    rb"(?P<refused>The cancel of run " + _RUN + rb" failed, waiting anyway)"
    rb"|(?P<unnamed>The error names no run, so none is cancelled)"
    rb"|(?P<check>Run " + _RUN + rb" is active; its cancel was requested)"
    rb"|(?P<left>Gave up on run " + _RUN + rb" after)"
    rb"|(?P<ended>Run " + _RUN + rb" ended in (\w{1,32}))"
    rb"|(?P<locked>The conversation is locked; attempt (\d{1,6}) waits [\d.e+-]{1,24} s))",
    re.ASCII,
)
_FORMS: Final = {
    "conflict": (Kind.CONFLICT, ""),
    "cancelling": (Kind.CANCELLING, "run"),
    "accepted": (Kind.CANCEL_ACCEPTED, "run"),
    "waiting": (Kind.WAITING, ""),
    "created": (Kind.CREATED, "attempt"),
    "failed": (Kind.FAILED, ""),
    "refused": (Kind.CANCEL_REFUSED, "run"),
    "unnamed": (Kind.NO_RUN_NAMED, ""),
    "check": (Kind.CANCELLED_AT_CHECK, "run"),
    "left": (Kind.LEFT_RUN, "run"),
    "ended": (Kind.RUN_ENDED_BADLY, ""),
    "locked": (Kind.LOCKED, "attempt"),
}
_EVENT = re.compile(rb'"event\\?": ?\\?"(' + b"|".join(sorted(OTHER_EVENTS.union(EVENT_KINDS))) + rb')\\?"')
_OWN: Final = re.compile(rb"\[(?:OpenAI|Relay)\] ")
"""One search for both: each search over megabytes of other lines costs as much as the next."""
_MARKS: Final = (_OWN, _EVENT)
"""Each begins with a text, which is what a search over megabytes of other lines goes by."""
_FIELD = re.compile(rb'"(\w{1,32})": ?(?:"([^"\\]{0,160})"|(-?[0-9.eE+-]{1,32})|(null|true|false))', re.ASCII)
_PSEUDONYM = re.compile(rb"[0-9a-f]{8}\Z")
_RUN_ID = re.compile(rb"(?:run|resp)_\w{1,128}\Z", re.ASCII)
_OBJECT_BYTES_MAX = 2_000
_REFUSALS: Final = (
    # What the search goes by (the longer, the faster), the sentence, and what was refused. The apostrophe of "Can't" is
    # escaped in many ways.
    (
        b"add messages to thread_",
        re.compile(rb"add messages to (thread_\w{1,128}) while a run " + _RUN + rb" is active", re.ASCII),
        b"append",
    ),
    (
        b" already has an active run run_",
        re.compile(rb"hread (thread_\w{1,128}) already has an active run " + _RUN, re.ASCII),
        b"creation",
    ),
)
"""In the words of the API, see docs/threads-api.md."""


def lines_of(block: bytes, unread: Unread, dates: DateOrder | None = None) -> Iterator[Line]:
    """The relay's lines in a block of whole lines, in their order; `dates` as for `moment_of`."""
    for start, mark in _marked(block):
        end = block.find(b"\n", mark.start())
        end = len(block) if end < 0 else end
        if end - start > LINE_BYTES_MAX:
            continue
        read = _event if mark.re is _EVENT else _text if mark.re is _OWN else _refusal
        line = read(block, start, mark, end, unread, dates)
        if line is not None:
            unread.found[line.kind] = unread.found.get(line.kind, 0) + 1
            unread.dated += line.at is not None
            yield line


def _marked(block: bytes) -> list[tuple[int, re.Match[bytes]]]:
    """Start of each line with a mark, and the mark, in order."""
    found: dict[int, re.Match[bytes]] = {}
    for mark in _MARKS:
        match = mark.search(block)
        while match is not None:
            at = match.start()
            # A program may log the line in words as the "event" of its own JSON.
            found.setdefault(block.rfind(b"\n", 0, at) + 1, match)
            end = block.find(b"\n", at)
            match = mark.search(block, end) if end >= 0 else None
    for searched, sentence, _ in _REFUSALS:
        if searched in block:
            for match in sentence.finditer(block):
                start = block.rfind(b"\n", 0, match.start()) + 1
                if start not in found or _says_nothing(block, found[start]):
                    found[start] = match
    return sorted(found.items(), key=itemgetter(0))


def _says_nothing(block: bytes, mark: re.Match[bytes]) -> bool:
    """Whether a mark begins no line of the relay: `[OpenAI] Error: 400 Can't add ...` is the API's refusal and no more."""
    return mark.re is _OWN and _own_words(block, mark, block.find(b"\n", mark.end())) is None


def _own_words(block: bytes, mark: re.Match[bytes], end: int) -> re.Match[bytes] | None:
    """The relay's words behind a mark, or behind the next in the line (`[Relay] [OpenAI] ...`)."""
    end = len(block) if end < 0 else end
    at: re.Match[bytes] | None = mark
    while at is not None:
        if (words := _TEXT.match(block, at.start(), end)) is not None:
            return words
        at = _OWN.search(block, at.end(), end)
    return None


def _refusal(
    block: bytes, start: int, mark: re.Match[bytes], end: int, unread: Unread, dates: DateOrder | None
) -> Line:
    before = _before(block, start, mark.start())
    moment = moment_of(before, block[mark.end() : min(end, mark.end() + LOOKED_AT_BYTES)], dates=dates)
    at, digits = moment if moment is not None else (None, 0)
    refused = next(refused for _, sentence, refused in _REFUSALS if mark.re is sentence)
    return Line(Kind.API_REFUSAL, at, digits, worker_of(before), conversation=mark[1], run=mark[2], status=refused)


def _text(
    block: bytes, start: int, mark: re.Match[bytes], end: int, unread: Unread, dates: DateOrder | None
) -> Line | None:
    match = _own_words(block, mark, end)
    if match is None:
        unread.by_wording += 1
        return None
    before = _before(block, start, match.start())
    moment = moment_of(before, block[match.end() : min(end, match.end() + LOOKED_AT_BYTES)], dates=dates)
    at, digits = moment if moment is not None else (None, 0)
    worker = worker_of(before)
    index = match.lastindex or 0
    kind, form = _FORMS[match.lastgroup or ""]
    if kind in (Kind.CREATED, Kind.FAILED) and not (number := int(match[index + 1])) > (kind is Kind.CREATED):
        if number == 0:
            unread.by_wording += 1
            return None
        kind = Kind.CREATED_AT_FIRST
    line = Line(kind, at, digits, worker)
    if form == "run":
        line.run = match[index + 1]
    elif form == "attempt":
        line.attempt = int(match[index + 1])
    elif kind is Kind.CONFLICT:
        line.attempt, line.attempts = int(match[index + 1]), int(match[index + 2])
    elif kind is Kind.FAILED:
        line.attempts = int(match[index + 1])
    elif kind is Kind.WAITING:
        line.seconds = int(match[index + 1]) / 1000
    elif kind is Kind.RUN_ENDED_BADLY:
        line.run, line.status = match[index + 1], match[index + 2]
    return line


def _before(block: bytes, start: int, mark: int) -> bytes:
    """What stands before the mark; of very much, both ends."""
    if mark - start <= 2 * LOOKED_AT_BYTES:
        return block[start:mark]
    return block[start : start + LOOKED_AT_BYTES] + block[mark - LOOKED_AT_BYTES : mark]


def _event(
    block: bytes, start: int, mark: re.Match[bytes], end: int, unread: Unread, dates: DateOrder | None
) -> Line | None:
    kind = EVENT_KINDS.get(mark[1])
    opened = max(block.rfind(b"{", start, mark.start()), start)
    closed = block.find(b"}", mark.start(), end)
    if closed < 0 or closed - opened > _OBJECT_BYTES_MAX:
        unread.events += 1
        return None
    text = block[opened : closed + 1].replace(b'\\"', b'"')
    fields: dict[bytes, bytes] = {}
    for key, word, number, other in _FIELD.findall(text):
        fields[key] = b"" if other else word or number
    if b"level" not in fields or b"timestamp" not in fields:
        return None  # another program's, with the same name
    before = _before(block, start, opened)
    # The carrier's date if it has one: it is the same clock as that of the lines in words.
    after = block[closed + 1 : min(end, closed + LOOKED_AT_BYTES)]
    moment = moment_of(before, after, dates=dates) or moment_of(fields[b"timestamp"])
    at, digits = moment if moment is not None else (None, 0)
    worker = worker_of(before)
    if kind is None:
        return Line(Kind.OTHER_EVENT, at, digits, worker)
    line = _line_of_event(kind, fields, at, digits, worker)
    if line is None:
        unread.events += 1
    return line


def _line_of_event(kind: Kind, fields: dict[bytes, bytes], at: float | None, digits: int, worker: bytes) -> Line | None:
    conversation, run = fields.get(b"conversation", b""), fields.get(b"run", b"")
    if _PSEUDONYM.match(conversation) is None or (run and _RUN_ID.match(run) is None):
        return None
    try:
        attempt = int(fields.get(b"attempt", b"0"))
        attempts = int(fields.get(b"messages" if kind is Kind.OUTCOME_EVENT else b"attempts", b"0"))
        seconds = float(fields.get(b"seconds", b"0"))
    except ValueError:
        return None
    needs_run = kind in (Kind.CANCEL_EVENT, Kind.RUN_CREATED_EVENT, Kind.RUN_ENDED_EVENT)
    if not 0 <= seconds < 1e9 or (needs_run and not run):
        return None
    if (kind is Kind.RECOVERED_EVENT and not 2 <= attempt < 10**6) or (
        kind in (Kind.GAVE_UP_EVENT, Kind.OUTCOME_EVENT) and not 1 <= attempts < 10**6
    ):
        return None
    status = fields.get({Kind.LOST_REPLY_EVENT: b"reason", Kind.OUTCOME_EVENT: b"outcome"}.get(kind, b"status"), b"")
    return Line(kind, at, digits, worker, attempt, attempts, run, seconds, conversation, status)
