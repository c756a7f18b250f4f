"""The story of one failure, told from a trace in a screenful of lines.

A trace holds everything that happened in a world. `render_timeline` picks one conversation of it, writes each event
that matters as a line of people's words (who lost a lock, who saw an empty list, whose run was cancelled), folds
what repeats, ranks the lines, and drops the least important ones until the story fits.

A record is `(time, entity, kind, fields)`, time in virtual seconds; records are in the order in which things happened.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

#: A story that is longer than this is read by nobody.
LINES_MAX = 25

_ID = re.compile(r"\b(?:thread|run|msg|asst|call)_[A-Za-z0-9]+")
_ID_LETTERS_MIN = 4
_WAIT_SECONDS_MIN = 0.05
_SLEEP_SECONDS_MIN = 0.5  # below this a pause may be anything; from here on somebody meant to wait
_ACTIVE = frozenset({"queued", "in_progress", "requires_action", "cancelling"})
_RUN_OPERATIONS = frozenset({"runs.create", "runs.retrieve"})
_FAILED_OUTCOMES = frozenset({"friendly_apology", "generic_apology", "lost", "unknown"})

# How much a line tells. What makes a failure a failure stands above what merely happened near it.
_KEY = 100
_LOCK_LOST, _CONFLICT, _FOREIGN_RUN, _CANCEL_OF_ANOTHER = 97, 95, 92, 90
_RECEIVED, _SEND, _SENT, _ENDED_BADLY, _NO_ANSWER = 85, 78, 76, 74, 72
_CANCEL, _REFUSED, _RUN_ENDED_EARLY, _SLEPT, _REDELIVERED, _CREATED = 66, 64, 62, 60, 58, 56
_APPENDED, _LISTED, _STARTED, _LOCK_TAKEN, _ENDED_WELL = 48, 46, 42, 40, 38
_COMPLETED, _LOCK_RELEASED, _POLLED, _LOCK_HELD, _READ, _LOG, _IN_PROGRESS = 30, 26, 24, 22, 16, 14, 10
_OTHER_STORY = 20  # taken off lines of deliveries that did not overlap with the one in focus

Record = tuple[float, str, str, Sequence[Any]]


@dataclass(slots=True)
class _Delivery:
    label: str
    worker: str
    message_id: str
    number: int
    start: float
    conversation: str = ""
    end: float | None = None
    outcome: str | None = None
    error_class: str | None = None

    @property
    def failed(self) -> bool:
        return self.outcome in _FAILED_OUTCOMES or self.error_class is not None

    def under_way(self, time: float) -> bool:
        return self.start <= time and (self.end is None or time <= self.end)


@dataclass(slots=True)
class _Request:
    id: str
    worker: str
    delivery: str
    operation: str
    thread: str | None
    run: str | None
    left: float
    served: float | None = None
    status: int | None = None
    error: str | None = None
    detail: Any = None
    answered: float | None = None

    @property
    def conflict(self) -> bool:
        """Refused because a run is active."""
        said = self.error or ""
        return self.status == 400 and ("is active" in said or "already has an active run" in said)


@dataclass(slots=True)
class _Run:
    id: str
    thread: str
    created: float
    delivery: str = ""
    states: list[tuple[float, str]] = field(default_factory=list)

    def state(self, time: float) -> str:
        index = bisect_right(self.states, time, key=lambda each: each[0])
        return self.states[index - 1][1] if index else ""


@dataclass(slots=True)
class _Line:
    time: float
    order: int
    who: str
    text: str
    rank: int
    delivery: str = ""
    loud: bool = False


@dataclass(slots=True)
class _Story:
    """A trace, indexed by what its records speak of."""

    deliveries: dict[str, _Delivery] = field(default_factory=dict)
    conversations: dict[str, str] = field(default_factory=dict)  # message id -> conversation
    requests: dict[str, _Request] = field(default_factory=dict)
    runs: dict[str, _Run] = field(default_factory=dict)
    threads: dict[str, str] = field(default_factory=dict)  # thread -> conversation

    def of(self, delivery: str) -> str:
        """The conversation that a delivery belongs to, or ""."""
        known = self.deliveries.get(delivery)
        return known.conversation if known else ""

    def message(self, delivery: str) -> str:
        known = self.deliveries.get(delivery)
        return known.message_id if known else ""

    def active(self, thread: str | None, time: float) -> int:
        return sum(run.thread == thread and run.state(time) in _ACTIVE for run in self.runs.values())


def _index(records: Sequence[Record]) -> _Story:
    story = _Story()
    for time, entity, kind, fields in records:
        if kind == "message.sent":
            story.conversations[fields[0]] = fields[1]
        elif kind == "handling.start":
            delivery = _Delivery(fields[0], entity, fields[1], fields[2], time)
            delivery.conversation = story.conversations.get(fields[1], "")
            story.deliveries[fields[0]] = delivery
        elif kind == "handling.end" and fields[0] in story.deliveries:
            ended = story.deliveries[fields[0]]
            ended.end, ended.outcome, ended.error_class = time, fields[1], fields[2]
        elif kind == "request":
            identifier, delivery_label, operation, thread, run = fields
            story.requests[identifier] = _Request(identifier, entity, delivery_label, operation, thread, run, time)
            if thread and (conversation := story.of(delivery_label)):
                story.threads.setdefault(thread, conversation)
        elif kind == "served" and fields[0] in story.requests:
            served = story.requests[fields[0]]
            served.served, served.status, served.error, served.detail = time, fields[1], fields[2], fields[3]
        elif kind == "response" and fields[0] in story.requests:
            story.requests[fields[0]].answered = time
        elif kind == "run.state":
            identifier, thread, state, cause = fields
            if identifier not in story.runs:
                request = story.requests.get(cause)
                story.runs[identifier] = _Run(identifier, thread, time, request.delivery if request else "")
            story.runs[identifier].states.append((time, state))
    return story


def _focus(story: _Story, focus: str | None) -> tuple[str, _Delivery | None]:
    """The conversation to tell of, and the delivery in it that the story is about."""
    deliveries = list(story.deliveries.values())
    if focus is not None:
        if focus in story.deliveries:
            return story.of(focus), story.deliveries[focus]
        conversation = story.conversations.get(focus)
        if conversation is not None:
            deliveries = [each for each in deliveries if each.message_id == focus]
        elif focus in story.conversations.values():
            conversation = focus
            deliveries = [each for each in deliveries if each.conversation == focus]
        else:
            known = ", ".join(sorted(set(story.conversations.values()))[:8])
            raise ValueError(f"no delivery, message or conversation {focus!r} in this trace; conversations: {known}")
        return conversation, _most_telling(story, deliveries)
    chosen = _most_telling(story, deliveries)
    return (chosen.conversation if chosen else ""), chosen


def _most_telling(story: _Story, deliveries: Sequence[_Delivery]) -> _Delivery | None:
    refused = {request.delivery for request in story.requests.values() if request.conflict}
    for wanted in (
        [each for each in deliveries if each.failed and each.label in refused],
        [each for each in deliveries if each.failed],
        [each for each in deliveries if each.label in refused],
        list(deliveries),
    ):
        if wanted:
            return min(wanted, key=lambda each: (each.start if each.end is None else each.end, each.start, each.label))
    return None


def _short_ids(records: Sequence[Record]) -> Callable[[str], str]:
    """A function that shortens every API id in a text to as few letters as keep all of them apart."""
    found: dict[str, None] = {}
    for _, _, _, fields in records:
        for value in fields:
            if isinstance(value, str) and "_" in value:
                found.update(dict.fromkeys(_ID.findall(value)))
    ordered = sorted(found)
    shared = dict.fromkeys(ordered, 0)
    for one, other in pairwise(ordered):
        same = next((at for at in range(len(one)) if one[at : at + 1] != other[at : at + 1]), len(one))
        shared[one], shared[other] = max(shared[one], same), max(shared[other], same)
    short = {each: each[: max(shared[each] + 1, each.index("_") + 1 + _ID_LETTERS_MIN)] for each in ordered}
    return lambda text: _ID.sub(lambda match: short.get(match[0], match[0]), text)


def _quoted(text: str, length: int = 60) -> str:
    flat = " ".join(str(text).split())
    return f"“{flat if len(flat) <= length else flat[: length - 1] + '…'}”"


class _Writer:
    """Turns the records of one conversation into lines."""

    def __init__(self, records: Sequence[Record], story: _Story, conversation: str, focus: _Delivery | None) -> None:
        self.records = records
        self.story = story
        self.conversation = conversation
        self.focus = focus
        self.lines: list[_Line] = []
        self.busy: dict[str, tuple[float, str]] = {}  # delivery -> when it last heard from outside, and of what
        self.polls: dict[tuple[str, str], tuple[_Line, int]] = {}
        self.tries: dict[tuple[str, str], tuple[_Line, int]] = {}

    def write(self) -> list[_Line]:
        for order, (time, entity, kind, fields) in enumerate(self.records):
            handler = getattr(self, "_" + kind.replace(".", "_"), None)
            if handler is not None:
                handler(order, time, entity, fields)
        return self.lines

    def _line(
        self, order: int, time: float, who: str, text: str, rank: int, *, delivery: str = "", loud: bool = False
    ) -> _Line:
        line = _Line(time, order, who, text, rank, delivery, loud)
        self.lines.append(line)
        return line

    def _ours(self, delivery: str, thread: str | None = None) -> bool:
        conversation = self.story.of(delivery) or self.story.threads.get(thread or "", "")
        return conversation == self.conversation

    def _who(self, delivery: str, worker: str = "") -> str:
        known = self.story.deliveries.get(delivery)
        return f"{known.worker} {known.message_id}" if known else worker

    def _answering(self, run_id: str | None) -> str:
        run = self.story.runs.get(run_id or "")
        known = self.story.deliveries.get(run.delivery) if run else None
        return f"{known.message_id} of {known.worker}" if known else "nobody known"

    # What customers do and see.

    def _message_sent(self, order: int, time: float, entity: str, fields: Sequence[Any]) -> None:
        message_id, conversation, text, retry_of = fields
        if conversation == self.conversation:
            verb = f"tries {retry_of} again as {message_id}" if retry_of else f"sends {message_id}"
            self._line(order, time, "customer", f"{verb} {_quoted(text)}", _SENT)

    def _received(self, order: int, time: float, entity: str, fields: Sequence[Any]) -> None:
        if fields[0] == self.conversation:
            self._line(order, time, "customer", f"received {_quoted(fields[1], 90)}", _RECEIVED)

    def _send(self, order: int, time: float, entity: str, fields: Sequence[Any]) -> None:
        delivery, conversation, text = fields
        if self.conversation in (conversation, self.story.of(delivery)):
            self._wait(order, time, delivery, "send")
            wrong = conversation != self.story.of(delivery) and self.story.of(delivery) != ""
            note = f" to the wrong conversation, {conversation}" if wrong else ""
            self._line(
                order, time, self._who(delivery, entity), f"sends {_quoted(text)}{note}", _SEND, delivery=delivery
            )
            self.busy[delivery] = (time, "send")

    # What workers do.

    def _handling_start(self, order: int, time: float, entity: str, fields: Sequence[Any]) -> None:
        delivery, message_id, number = fields
        if self._ours(delivery):
            again = f" again (delivery {number})" if isinstance(number, int) and number > 1 else ""
            rank = _REDELIVERED if again else _STARTED
            self._line(order, time, self._who(delivery, entity), f"takes {message_id}{again}", rank, delivery=delivery)

    def _handling_end(self, order: int, time: float, entity: str, fields: Sequence[Any]) -> None:
        delivery, outcome, error_class = fields
        if not self._ours(delivery):
            return
        self._wait(order, time, delivery, "end")
        ending = " with ".join(str(each) for each in (outcome, error_class) if each) or "without an outcome"
        failed = self.story.deliveries[delivery].failed
        rank = _ENDED_BADLY if failed else _ENDED_WELL
        text = f"ends {self.story.message(delivery)}: {ending}"
        self._line(order, time, self._who(delivery, entity), text, rank, delivery=delivery, loud=failed)

    def _log(self, order: int, time: float, entity: str, fields: Sequence[Any]) -> None:
        delivery, _, text = fields
        if self._ours(delivery):
            self._line(order, time, self._who(delivery, entity), f"logs {_quoted(text, 90)}", _LOG, delivery=delivery)

    def _redis(self, order: int, time: float, entity: str, fields: Sequence[Any]) -> None:
        delivery, command, key, reply = fields
        if not self._ours(delivery):
            return
        who, verb = self._who(delivery, entity), str(command).upper()
        self.busy[delivery] = (time, "redis")
        if verb.startswith("SET"):
            if reply in ("nil", None):
                self._fold(
                    self.tries,
                    (delivery, str(key)),
                    order,
                    time,
                    who,
                    f"finds the lock {key} held",
                    "tried",
                    _LOCK_HELD,
                )
            else:
                self._line(order, time, who, f"takes the lock {key}", _LOCK_TAKEN, delivery=delivery)
        elif verb.startswith(("EVAL", "DEL")):
            gone = reply in (0, "0", "nil", None)
            text = f"releases the lock {key}" + (": it was no longer its own" if gone else "")
            self._line(order, time, who, text, _REFUSED if gone else _LOCK_RELEASED, delivery=delivery)

    def _lease_expired(self, order: int, time: float, entity: str, fields: Sequence[Any]) -> None:
        key, worker, delivery = fields
        if self._ours(delivery):
            message = self.story.message(delivery)
            text = f"lock lost: {key} expired while {worker} is still handling {message}"
            self._line(order, time, self._who(delivery, worker), text, _LOCK_LOST, delivery=delivery, loud=True)

    def _request(self, order: int, time: float, entity: str, fields: Sequence[Any]) -> None:
        _, delivery, operation, _, _ = fields
        if self._ours(delivery):
            self._wait(order, time, delivery, operation)
            self.busy[delivery] = (time, operation)

    def _response(self, order: int, time: float, entity: str, fields: Sequence[Any]) -> None:
        request = self.story.requests.get(fields[0])
        if request is None or not self._ours(request.delivery, request.thread):
            return
        self.busy[request.delivery] = (time, request.operation)
        status, error_class = fields[1], fields[2]
        if status == 0 or (request.served is not None and status != request.status):
            landed = "" if request.served is None else ", which the server had carried out"
            text = f"gets no answer to {request.operation}{landed}: {error_class or status}"
            self._line(order, time, self._who(request.delivery, entity), text, _NO_ANSWER, delivery=request.delivery)

    def _wait(self, order: int, time: float, delivery: str, following: str) -> None:
        heard, before = self.busy.get(delivery, (time, "redis"))
        # Sleeping between polls of a run or of a lock belongs to the polling, which is told in one line.
        polling = following == "runs.retrieve" or before in ("redis", *_RUN_OPERATIONS)
        if time - heard >= _WAIT_SECONDS_MIN and not polling:
            text = f"slept {time - heard:.3f} s"
            rank = _SLEPT if time - heard >= _SLEEP_SECONDS_MIN else _READ
            self._line(order, time, self._who(delivery), text, rank, delivery=delivery)

    def _fold(
        self,
        folded: dict[tuple[str, str], tuple[_Line, int]],
        key: tuple[str, str],
        order: int,
        time: float,
        who: str,
        text: str,
        verb: str,
        rank: int,
    ) -> None:
        """One line for what repeats, standing where it happened last."""
        line, times = folded.get(key, (None, 0))
        if line is None:
            line = self._line(order, time, who, text, rank, delivery=key[0])
        line.time, line.order = time, order
        line.text = f"{text} ({verb} {times + 1} times)" if times else text
        folded[key] = (line, times + 1)

    # What the API does.

    def _served(self, order: int, time: float, entity: str, fields: Sequence[Any]) -> None:
        request = self.story.requests.get(fields[0])
        if request is None or not self._ours(request.delivery, request.thread):
            return
        who, delivery = self._who(request.delivery, request.worker), request.delivery
        status, error = request.status or 0, request.error or ""
        if request.conflict:
            what = "appends its message" if request.operation == "messages.create" else f"calls {request.operation}"
            self._line(order, time, who, f"{what}: 400 {error}", _CONFLICT, delivery=delivery, loud=True)
        elif request.operation == "runs.cancel":
            self._cancelled(order, time, who, request)
        elif status >= 400:
            self._line(order, time, who, f"calls {request.operation}: {status} {error}", _REFUSED, delivery=delivery)
        elif request.operation == "runs.list":
            known = isinstance(request.detail, int) and not isinstance(request.detail, bool)
            active = request.detail if known else self.story.active(request.thread, time)
            found = f"{active} active" if active else "list empty"
            self._line(order, time, who, f"lists the thread's runs: {found}", _LISTED, delivery=delivery)
        elif request.operation == "runs.create":
            self._created(order, time, who, request)
        elif request.operation == "messages.create":
            message = self.story.message(delivery) or "a message"
            self._line(order, time, who, f"appended {message} to the thread", _APPENDED, delivery=delivery)
        elif request.operation == "runs.retrieve":
            run = self.story.runs.get(request.run or "")
            state = f", last seen {run.state(time)}" if run else ""
            key = (delivery, str(request.run))
            self._fold(self.polls, key, order, time, who, f"polled {request.run}{state}", "polled", _POLLED)
            line, times = self.polls[key]
            line.text = f"polled {request.run} {times} time{'s' if times > 1 else ''}{state}"
        else:
            self._line(order, time, who, f"calls {request.operation}", _READ, delivery=delivery)

    def _cancelled(self, order: int, time: float, who: str, request: _Request) -> None:
        run = self.story.runs.get(request.run or "")
        another = run is not None and run.delivery != request.delivery
        whose = f", which was answering {self._answering(request.run)}" if another else ", its own"
        if (request.status or 0) >= 400:
            text = f"cancels {request.run}: {request.status} {request.error or ''}"
            self._line(order, time, who, text, _REFUSED, delivery=request.delivery)
        else:
            rank = _CANCEL_OF_ANOTHER if another else _CANCEL
            self._line(order, time, who, f"cancels {request.run}{whose}", rank, delivery=request.delivery, loud=another)

    def _created(self, order: int, time: float, who: str, request: _Request) -> None:
        # The server names what it created; failing that, the run whose first state this request caused.
        run = next((r for r in self.story.runs.values() if r.created == time and r.delivery == request.delivery), None)
        name = run.id if run else str(request.detail or "a run")
        # Whoever waits for a lock and has asked the API nothing yet is not surprised by the run.
        asked = {each.delivery for each in self.story.requests.values() if each.left <= time}
        others = [
            each
            for each in self.story.deliveries.values()
            if each.conversation == self.conversation
            and each.label != request.delivery
            and each.label in asked
            and each.under_way(time)
        ]
        if others:
            other = self.focus if self.focus in others else others[0]
            assert other is not None
            text = f"created {name}: a foreign run to {other.message_id} of {other.worker}"
            self._line(order, time, who, text, _FOREIGN_RUN, delivery=request.delivery, loud=True)
        else:
            self._line(order, time, who, f"created {name}", _CREATED, delivery=request.delivery)

    def _run_state(self, order: int, time: float, entity: str, fields: Sequence[Any]) -> None:
        run_id, thread, state, _ = fields
        if self.story.threads.get(thread) != self.conversation or state in ("queued", "cancelling"):
            return
        run = self.story.runs[run_id]
        delivery = run.delivery
        if state == "in_progress":
            self._line(order, time, "api", f"{run_id} starts", _IN_PROGRESS, delivery=delivery)
            return
        asked = next((at for at, name in run.states if name == "cancelling" and at <= time), None)
        after = f", {time - asked:.3f} s after the request to cancel it" if asked is not None else ""
        rank = _COMPLETED if state == "completed" and asked is None else _RUN_ENDED_EARLY
        self._line(order, time, "api", f"{run_id} is {state}{after}", rank, delivery=delivery)


def _story_lines(lines: Iterable[_Line], story: _Story, focus: _Delivery | None) -> list[_Line]:
    """The lines in the window of the delivery in focus, with the links of its chain raised above all others."""
    ordered = sorted(lines, key=lambda line: (line.time, line.order))
    if focus is None:
        return ordered
    refused = sorted(
        (r for r in story.requests.values() if r.conflict and r.delivery == focus.label), key=lambda r: r.served or 0.0
    )
    moment = (refused[0].served or focus.start) if refused else (focus.end or focus.start)
    end = focus.end if focus.end is not None else float("inf")
    near = {
        each.label
        for each in story.deliveries.values()
        if each.conversation == focus.conversation
        and each.start <= end
        and (each.end is None or each.end >= focus.start)
    }
    # An abandoned handling may have left the run that is in the way: whoever made it belongs to the story.
    near |= {
        run.delivery
        for run in story.runs.values()
        if story.of(run.delivery) == focus.conversation
        and any(run.state(at) in _ACTIVE for at in (focus.start, moment))
    }
    involved = [story.deliveries[label] for label in sorted(near) if label in story.deliveries]
    first = min((each.start for each in involved), default=focus.start)
    messages = {each.message_id for each in involved}
    last = max((each.end for each in involved if each.end is not None), default=end)
    window = []
    for line in ordered:
        told = any(f" {message} " in line.text for message in messages) and line.who == "customer"
        if not (first <= line.time <= last + 1.0 or told):
            continue
        if line.delivery and line.delivery not in near:
            line.rank -= _OTHER_STORY
        window.append(line)
    # The chain: the last lock lost, the last looks at the list, the run created, the refusal, the end.
    chain: list[Callable[[_Line], bool]] = [
        lambda line: line.rank >= _LOCK_LOST,
        lambda line: "list empty" in line.text and line.delivery == focus.label,
        lambda line: "list empty" in line.text and line.delivery != focus.label,
        lambda line: "foreign run" in line.text,
        lambda line: line.delivery == focus.label and ": 400 " in line.text,
        lambda line: line.delivery == focus.label and line.text.startswith("ends "),
    ]
    for is_link in chain:
        links = [line for line in window if is_link(line)]
        before = [line for line in links if line.time <= moment]
        if links:
            (before[-1] if before else links[0]).rank = _KEY
    return window


def render_timeline(
    records: Sequence[Record], width: int = 120, focus: str | None = None, *, lines_max: int = LINES_MAX
) -> list[str]:
    """The annotated timeline of one conversation, as at most `lines_max` lines of at most `width` columns.

    `focus` names a delivery, a message or a conversation; without it the story is that of the first failure: the first
    handling that ended badly after a conflict, else the first that ended badly, else the first conflict.
    Times are seconds after the first line; the first line of the result says when that was. A line marked `!` is one
    that made the difference. Raises ValueError for a focus that the trace does not know, or for less than four lines
    or forty columns.
    """
    if lines_max < 4 or width < 40:
        raise ValueError(f"a timeline needs at least 4 lines of 40 columns, not {lines_max} of {width}")
    if any(record[2] == "lease.taken" for record in records):
        from relaysim.reports.lease_timeline import lease_timeline

        return lease_timeline(records, width, focus, lines_max)
    story = _index(records)
    conversation, about = _focus(story, focus)
    if not conversation:
        return ["nothing happened: no message was handled in this trace"]
    window = _story_lines(_Writer(records, story, conversation, about).write(), story, about)
    return laid_out(
        window,
        story,
        conversation,
        f": {about.message_id}, handled by {about.worker}" if about else "",
        width,
        lines_max,
    )


def laid_out(
    window: Sequence[_Line], story: _Story, conversation: str, subject: str, width: int, lines_max: int
) -> list[str]:
    """The lines as rows, the least important ones left out."""
    named = [*(line.text for line in window), *story.threads]
    shorten = _short_ids([(0.0, "", "", (text,)) for text in named])
    kept = _fit(window, lines_max - 2)
    start = kept[0].time if kept else 0.0
    threads = [thread for thread, owner in story.threads.items() if owner == conversation]
    where = ", ".join([f"conversation {conversation}", *(shorten(thread) for thread in threads[:1])])
    rows = [f"{where}{subject}; seconds after {start:.3f} s"]
    column = min(max((len(line.who) for line in kept), default=0), 24)
    for line in kept:
        mark = "!" if line.loud else " "
        rows.append(f"{line.time - start:9.3f} {mark} {line.who[:24]:<{column}}  {shorten(line.text)}")
    if left_out := len(window) - len(kept):
        rows.append(f"{'':9}   {left_out} less important line{'s' if left_out > 1 else ''} left out")
    return [row if len(row) <= width else row[: width - 1] + "…" for row in rows]


def conversation_of(records: Sequence[Record], focus: str | None = None) -> str:
    """The conversation that `render_timeline` tells of for this focus; "" if no message was handled."""
    return _focus(_index(records), focus)[0]


def _fit(window: Sequence[_Line], budget: int) -> list[_Line]:
    if len(window) <= budget:
        return list(window)
    # Of two lines that tell as much, the later one goes: what started a failure explains more than what followed.
    ranked = sorted(range(len(window)), key=lambda index: (-window[index].rank, index))
    return [window[index] for index in sorted(ranked[:budget])]
