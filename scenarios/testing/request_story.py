"""What a test saw of a simulated API, request by request: at most 25 lines, what was refused or lost told whole.

There are no customers here and no worlds' verdicts, only what was asked, what came of it, and what became of runs.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from relaysim.reports.story_lines import quoted
from relaysim.reports.timeline import LINES_MAX
from relaysim.sim.counted import counted
from relaysim.sim.trace.reader import TraceReader
from relaysim.sim.trace.schema import (
    FaultStruck,
    LockExpired,
    LockLost,
    MessageStored,
    RedisCommand,
    RedisFaultStruck,
    RequestSent,
    RequestServed,
    ResponseReceived,
    RunState,
)

WIDTH: Final = 100

_ID: Final = re.compile(r"\b(thread|run|msg|asst|call|resp|conv)_([A-Za-z0-9]{16,})")
_ID_LETTERS_MIN: Final = 4
_TEXT_COLUMNS: Final = 60
_ENDED_BADLY: Final = frozenset({"failed", "expired", "cancelled", "incomplete"})

_LOUD, _CHANGES, _READS = 3, 2, 1
"""How much a line tells: what was refused, lost or ended badly; what changed something; what only looked."""


@dataclass(slots=True)
class _Line:
    time: float
    who: str
    text: str
    tells: int
    times: int = 1
    until: float = 0.0

    def words(self) -> str:
        return self.text if self.times == 1 else f"{self.text} ({self.times} times, until {self.until:.3f})"


def request_story(records: Iterable[tuple[float, str, str, Any]], lines_max: int = LINES_MAX) -> list[str]:
    """The story of a simulated API's trace, as at most `lines_max` lines (3 or more); empty where nothing was asked.

    What repeats is one line. Where there are too many, those that changed nothing go first, the earliest first: what a test
    complains of is nearer to its end.
    """
    writer = _Writer()
    writer.read(records)
    lines = [line for line in writer.lines if line.text]
    if not lines:
        return []
    shorten = _shortener([line.text for line in lines])
    column = min(20, max(len(line.who) for line in lines))
    rows = [_rows(line, shorten(line.words()), column) for line in lines]
    kept, room = set[int](), lines_max - 2
    for place in sorted(range(len(lines)), key=lambda each: (-lines[each].tells, -each)):
        if len(rows[place]) > room:
            break
        kept.add(place)
        room -= len(rows[place])
    story = ["what the test asked for, and what came of it; virtual seconds since its start"]
    story += [row for place in sorted(kept) for row in rows[place]]
    if left_out := len(lines) - len(kept):
        story.append(f"{'':9}   {counted(left_out, 'less important line')} left out")
    return story


class _Writer(TraceReader):
    """Writes a line for each request, each end of a run and each command of Redis."""

    def __init__(self) -> None:
        self.lines: list[_Line] = []
        self._requests: dict[str, tuple[_Line, RequestSent]] = {}
        self._stored: dict[str, str] = {}  # request -> the text that it has stored
        self._struck: dict[str, str] = {}  # request -> the fault that hit it
        self._written: dict[str, str] = {}  # run -> the text that it wrote last

    def _line(self, time: float, who: str, text: str, tells: int) -> _Line:
        line = _Line(time, who, text, tells, until=time)
        self.lines.append(line)
        return line

    def on_request(self, time: float, entity: str, event: RequestSent) -> None:
        named = event.run_id or event.thread_id
        text = event.operation + (f" on {named}" if named else "") + ": no answer until the end"
        self._requests[event.request_id] = self._line(time, entity, text, _LOUD), event

    def on_fault(self, time: float, entity: str, event: FaultStruck) -> None:
        self._struck[event.request_id] = event.fault

    def on_message_stored(self, time: float, entity: str, event: MessageStored) -> None:
        table = self._stored if event.cause in self._requests else self._written
        table[event.cause] = event.text

    def on_served(self, time: float, entity: str, event: RequestServed) -> None:
        found = self._requests.get(event.request_id)
        if found is None:
            return
        line, request = found
        named = request.run_id or request.thread_id
        text = request.operation + (f" on {named}" if named else "")
        if event.status >= 400:
            line.text, line.tells = f"{text}: {event.status} {event.error_message or ''}".rstrip(), _LOUD
        else:
            detail = f" {event.detail}" if event.detail not in (None, "") else ""
            if isinstance(event.detail, int):
                detail = f", {counted(event.detail, 'item')}"
            stored = self._stored.get(event.request_id)
            said = f" {quoted(stored, _TEXT_COLUMNS)}" if stored is not None else ""
            line.text = f"{text}: {event.status}{detail}{said}"
            reads = request.operation.endswith((".retrieve", ".list"))
            line.tells = _READS if reads else _CHANGES
        if fault := self._struck.get(event.request_id):
            line.text, line.tells = f"{line.text}, hit by the fault {fault}", _LOUD
        self._requests[event.request_id] = self._folded(line), request

    def on_response(self, time: float, entity: str, event: ResponseReceived) -> None:
        found = self._requests.get(event.request_id)
        if found is None or event.failure is None:
            return
        line, request = found
        reached = f"the API had done it ({line.text})" if line.tells < _LOUD else "it had not been answered"
        text = f"{request.operation}: {event.failure} at {time:.3f}; {reached}"
        if line.times > 1:
            self._line(time, entity, text, _LOUD)
        else:
            line.text, line.tells = text, _LOUD

    def on_run_state(self, time: float, entity: str, event: RunState) -> None:
        if event.state in ("queued", "in_progress"):
            return
        said = self._written.get(event.run_id)
        text = f"{event.run_id} is {event.state}" + (f": {quoted(said, _TEXT_COLUMNS)}" if said is not None else "")
        self._line(time, "api", text, _LOUD if event.state in _ENDED_BADLY else _CHANGES)

    def on_redis(self, time: float, entity: str, event: RedisCommand) -> None:
        reply = "nothing" if event.reply in ("nil", None, "") else event.reply
        self._folded(self._line(time, entity, f"{event.command} {event.key}: {reply}", _CHANGES))

    def on_redis_fault(self, time: float, entity: str, event: RedisFaultStruck) -> None:
        self._line(time, "redis", f"{event.fault} {event.command} {event.key}".rstrip(), _LOUD)

    def on_lease_expired(self, time: float, entity: str, event: LockExpired) -> None:
        self._line(time, event.worker, f"lock lost: {event.key} expired while its holder went on", _LOUD)

    def on_lease_lost(self, time: float, entity: str, event: LockLost) -> None:
        self._line(time, event.worker, f"lock lost: {event.key} went with the server's last writes", _LOUD)

    def _folded(self, line: _Line) -> _Line:
        """This line, or the one before it if both say the same of the same client; then this one is taken away."""
        place = next(index for index in range(len(self.lines) - 1, -1, -1) if self.lines[index] is line)
        before = self.lines[place - 1] if place else line
        if before is line or (before.who, before.text) != (line.who, line.text):
            return line
        before.times += 1
        before.until = line.time
        del self.lines[place]
        return before


def _rows(line: _Line, text: str, column: int) -> list[str]:
    begin = f"{line.time:9.3f} {'!' if line.tells == _LOUD else ' '} {line.who[:column]:<{column}}  "
    room = WIDTH - len(begin)
    if line.tells < _LOUD and len(text) > room:
        return [begin + text[: room - 1] + "…"]
    first, *others = textwrap.wrap(text, room, break_on_hyphens=False) or [""]
    return [begin + first, *(" " * len(begin) + each for each in others)]


def _shortener(texts: Iterable[str]) -> Callable[[str], str]:
    """A function that shortens ids to as few letters as keep all of them apart."""
    found: dict[str, set[str]] = {}
    for text in texts:
        for kind, rest in _ID.findall(text):
            found.setdefault(kind, set()).add(rest)

    def letters(rests: set[str]) -> int:
        longest = max(len(rest) for rest in rests)
        lengths = range(_ID_LETTERS_MIN, longest)
        return next((n for n in lengths if len({rest[:n] for rest in rests}) == len(rests)), longest)

    shown = {kind: letters(rests) for kind, rests in found.items()}
    return lambda text: _ID.sub(lambda match: f"{match[1]}_{match[2][: shown.get(match[1])]}", text)
