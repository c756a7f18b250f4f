"""The lines of one conversation's story, written from its trace: who did what, and what came of it.

More than 400 lines, because it is one sentence for each kind of event.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from relaysim.reports.lock_lines import LockLines
from relaysim.reports.printed_lines import PrintedLines
from relaysim.reports.story_facts import StoryFacts, blocked_sentence, exception_words, has_failed, is_active_at
from relaysim.reports.story_lines import Line, Link, Rank, own_first, quoted
from relaysim.reports.webhook_lines import WebhookLines
from relaysim.sim.counted import counted
from relaysim.sim.trace.chronicle import Chronicle
from relaysim.sim.trace.conversation_evidence import PUTTING, READING, TAKING, Evidence
from relaysim.sim.trace.lock_keys import form_of
from relaysim.sim.trace.reader import TraceReader
from relaysim.sim.trace.schema import (
    HandlingEnd,
    HandlingStart,
    LockExpired,
    LogLine,
    LoopBlocked,
    MessageSent,
    Printed,
    Received,
    RedisCommand,
    RequestSent,
    RequestServed,
    ResponseReceived,
    RunState,
    TaskCancelled,
    TextSent,
    UnhandledException,
    WebhookFailed,
)
from relaysim.sim.trace.subjects import Handling, Request

_WAIT_SECONDS_MIN: Final = 0.05
_SLEEP_SECONDS_MIN: Final = 0.5  # below this a pause may be anything; from here on somebody meant to wait
_CALLS_MANY: Final = 10


class StoryWriter(TraceReader):
    """Turns the records of one conversation into lines: `read` the trace, then take `lines`.

    Args:
        chronicle: of the whole trace.
        conversation: which.
        focus: the handling that the story is about; None: none.
        looks: further commands that read what waits, as the relay declares them.

    Attributes:
        lines: so far, not in order.
    """

    def __init__(
        self, chronicle: Chronicle, conversation: str, focus: Handling | None, looks: Collection[str] = ()
    ) -> None:
        self.chronicle = chronicle
        self.conversation = conversation
        self.focus = focus
        self.lines: list[Line] = []
        self._busy: dict[str, tuple[float, str]] = {}  # delivery -> when it last heard from outside, and of what
        self._polls: dict[tuple[str, str], Line] = {}
        self._calls: dict[tuple[str, str], Line] = {}
        self._sending: dict[tuple[str, str], tuple[float, str]] = {}  # (conversation, text) -> since when, for whom
        self._tries: dict[tuple[str, str], Line] = {}
        self._blocks: dict[tuple[str, str], Line] = {}
        self._blocked: dict[int, tuple[float, LoopBlocked]] = {}  # a line -> for how long in all, and the longest time
        self.evidence = Evidence(chronicle)
        self.facts = StoryFacts(chronicle)
        self._locks = LockLines(self._line)
        self._webhooks = WebhookLines(self._line)
        self._looks = READING | frozenset(looks)
        self._seen: dict[tuple[str, str], Line] = {}
        self._asked = 0  # requests of whomever so far: looks are one line as long as nobody has asked for anything
        self._taken: dict[
            str, tuple[float, int, str]
        ] = {}  # worker -> the job it took last, for whom is yet to be seen
        self._at_work: dict[str, str] = {}  # worker -> the conversation that it works for outside of handlings
        self._printed: dict[str, PrintedLines] = {}
        self._times: dict[int, int] = {}  # how often what a folded line tells has happened

    def add_unended(self, time: float, handling: Handling, text: str) -> None:
        """Tell of a handling that never ended, if it belongs to the story: when that showed, and in which words."""
        if self._is_told(handling.delivery):
            self.index += 1
            who, told = self._who(handling.delivery, handling.worker), (handling.message_id,)
            line = self._line(time, who, text, Rank.ENDED_BADLY, delivery=handling.delivery, loud=True, messages=told)
            line.link = Link.ENDED

    def _line(self, time: float, who: str, text: str, rank: int, **facts: Any) -> Line:
        line = Line(time, self.index, who, text, rank, **facts)
        if not line.delivery and not line.by_customer and who != "api":
            line.background = True
        self.lines.append(line)
        return line

    def _conversation_of(self, delivery: str) -> str:
        handling = self.chronicle.handlings.get(delivery)
        return "" if handling is None else handling.conversation

    def _message_of(self, delivery: str) -> str:
        handling = self.chronicle.handlings.get(delivery)
        return "" if handling is None else handling.message_id

    def _is_told(self, delivery: str, thread: str | None = None) -> bool:
        """Whether what belongs to this handling, or to this thread, belongs to the story."""
        return self.evidence.conversation_of(delivery, thread=thread) == self.conversation

    def _note_work(self, worker: str, delivery: str, conversation: str) -> None:
        """Outside of handlings a worker does something for a conversation: the job that it has taken was for that one."""
        if delivery or not conversation:
            return
        self._at_work[worker] = conversation
        taken = self._taken.pop(worker, None)
        if taken is not None and conversation == self.conversation:
            line = self._line(taken[0], worker, f"takes a job from {taken[2]}", Rank.STARTED)
            line.order = taken[1]

    def _who(self, delivery: str, worker: str = "") -> str:
        handling = self.chronicle.handlings.get(delivery)
        return f"{handling.worker} {handling.message_id}" if handling else worker

    # What customers do and see.

    def on_message_sent(self, time: float, entity: str, event: MessageSent) -> None:
        message_id, retry_of = event.message_id, event.retry_of
        if event.conversation == self.conversation:
            verb = f"tries {retry_of} again as {message_id}" if retry_of else f"sends {message_id}"
            messages = (retry_of, message_id) if retry_of else (message_id,)
            sentence = f"{verb} {quoted(event.text)}"
            self._line(time, "customer", sentence, Rank.SENT, messages=messages, by_customer=True)

    def on_received(self, time: float, entity: str, event: Received) -> None:
        if event.conversation == self.conversation:
            self._line(time, "customer", f"received {quoted(event.text, 90)}", Rank.RECEIVED, by_customer=True)
        since, who = self._sending.pop((event.conversation, event.text), (0.0, ""))
        if who and self._busy.get(who) == (since, "send"):
            self._busy[who] = (2 * time - since, "send")  # a text arrives half-way through its sending

    def on_send(self, time: float, entity: str, event: TextSent) -> None:
        delivery, conversation, text = event.delivery, event.conversation, event.text
        self._note_work(entity, delivery, conversation)
        own = self._conversation_of(delivery)
        if self.conversation in (conversation, own):
            self._tell_wait(time, delivery, "send", entity)
            note = f" to the wrong conversation, {conversation}" if own not in (conversation, "") else ""
            self._line(time, self._who(delivery, entity), f"sends {quoted(text)}{note}", Rank.SEND, delivery=delivery)
            self._busy[delivery or entity] = (time, "send")
            self._sending[conversation, text] = (time, delivery or entity)

    # What workers do.

    def on_handling_start(self, time: float, entity: str, event: HandlingStart) -> None:
        if self._is_told(event.delivery):
            self._webhooks.taken(time, self._who(event.delivery, entity), event)

    def on_webhook_failed(self, time: float, entity: str, event: WebhookFailed) -> None:
        if self._is_told(event.delivery):
            self._webhooks.not_acknowledged(time, self._who(event.delivery, event.worker), event)

    def on_handling_end(self, time: float, entity: str, event: HandlingEnd) -> None:
        delivery, outcome, error_class = event.delivery, event.outcome, event.error_class
        handling = self.chronicle.handlings.get(delivery)
        if handling is None or not self._is_told(delivery):
            return
        self._tell_wait(time, delivery, "end", entity)
        ending, failed = self.facts.ending_of(handling, time)
        if outcome or error_class:
            ending = f"ends {handling.message_id}: {' with '.join(each for each in (outcome, error_class) if each)}"
            ending += exception_words(event)
            failed = has_failed(handling)
        line = self._line(
            time,
            self._who(delivery, entity),
            ending,
            Rank.ENDED_BADLY if failed else Rank.ENDED_WELL,
            delivery=delivery,
            loud=failed,
            link=Link.ENDED,
            messages=(handling.message_id,),
        )
        line.traceback, line.chain = own_first(event.traceback, event.place), event.chain

    def on_log(self, time: float, entity: str, event: LogLine) -> None:
        if (self._conversation_of(event.delivery) or self._at_work.get(entity, "")) == self.conversation:
            sentence = f"logs {quoted(event.text, 90)}"
            line = self._line(time, self._who(event.delivery, entity), sentence, Rank.LOG, delivery=event.delivery)
            if event.errors:
                line.chain, line.loud, line.rank = event.errors, True, Rank.LOGGED_ERROR

    def on_printed(self, time: float, entity: str, event: Printed) -> None:
        if (self._conversation_of(event.delivery) or self._at_work.get(entity, "")) == self.conversation:
            who = self._who(event.delivery, entity)
            line = self._line(time, who, "", Rank.LOG, delivery=event.delivery)
            self._printed.setdefault(event.delivery or who, PrintedLines(self.lines)).add(line, event.text)

    def on_exception(self, time: float, entity: str, event: UnhandledException) -> None:
        known = self._conversation_of(event.delivery) or self._at_work.get(entity, "")
        if known in ("", self.conversation):  # of what ended no known work, any message's may have been it
            sentence = f"{event.headline}: {quoted(event.text, 200)}"
            line = self._line(time, self._who(event.delivery, entity), sentence, Rank.EXCEPTION, loud=True)
            line.traceback, line.chain = own_first(event.traceback, event.place), event.chain

    def on_task_cancelled(self, time: float, entity: str, event: TaskCancelled) -> None:
        if not self._is_told(event.delivery):
            return
        # One that only waited, as a debounce does, has nothing to leave half done.
        begun = [each.operation for each in self.chronicle.requests.values() if each.delivery == event.delivery]
        whose = self._message_of(event.delivery)
        sentence = f"cancels the task of {whose}"
        if begun:
            sentence += f", which had called {begun[-1]},"
        sentence += f" at {event.place or 'a line of a library'} ({event.by_place})"
        who, rank = self._who(event.by, entity), Rank.EXCEPTION if begun else Rank.READ
        self._line(time, who, sentence, rank, delivery=event.by, loud=bool(begun), messages=(whose,))

    def on_loop_blocked(self, time: float, entity: str, event: LoopBlocked) -> None:
        conversation = self._conversation_of(event.delivery)
        if conversation not in ("", self.conversation) and self._at_work.get(entity, "") != self.conversation:
            return
        who = self._who(event.delivery, entity)
        # What follows from it, as a deadline that was missed, tells more than the next one.
        rank = Rank.HOST if self._blocks else Rank.EXCEPTION
        line = self._fold(self._blocks, (event.delivery or who, ""), time, who, rank, event.delivery)
        seconds, longest = self._blocked.get(id(line), (0.0, event))
        seconds, longest = (
            seconds + event.seconds,
            max(longest, event, key=lambda each: (not each.is_over, each.seconds)),
        )
        self._blocked[id(line)] = seconds, longest
        line.loud = True
        line.text = blocked_sentence(self._times[id(line)], seconds, longest)

    def on_redis(self, time: float, entity: str, event: RedisCommand) -> None:
        delivery, key, reply = event.delivery, event.key, event.reply
        who, verb = self._who(delivery, entity), event.command.upper()
        found = reply not in ("nil", None, 0, "0 items")
        conversation = self.evidence.conversation_of(delivery, key=key)
        if not delivery and verb in TAKING and found:
            self._taken[entity] = (time, self.index, key)
        self._note_work(entity, delivery, conversation)
        if conversation != self.conversation:
            return
        self._busy[delivery or entity] = (time, "redis")
        lock = form_of(key) in self.chronicle.locks
        what = f"the lock {key}" if lock else f"the key {key}"
        if verb == "SET":
            if reply in ("nil", None):
                line = self._fold(self._tries, (delivery or entity, key), time, who, Rank.LOCK_HELD, delivery)
                times = self._times[id(line)]
                line.text = f"finds {what} {'held' if lock else 'set'}"
                if times > 1:
                    line.text = f"{line.text} (tried {counted(times, 'time')})"
                    # What nobody releases is waited for in vain.
                    line.rank = Rank.LOCK_AWAITED if lock else Rank.SLEPT
            elif lock:
                self._locks.taken(time, who, entity, delivery, key)
            else:
                self._line(time, who, f"sets {what}", Rank.READ, delivery=delivery)
        elif lock and verb.startswith(("EVAL", "DEL", "UNLINK")) and not str(reply).startswith("error"):
            self._locks.let_go(time, who, entity, delivery, key, verb, was_there=reply not in (0, "0", "nil", None))
        elif verb in ("DEL", "UNLINK"):
            self._line(time, who, f"deletes {what}", Rank.READ, delivery=delivery)
        elif verb in PUTTING:
            self._line(time, who, f"puts something into {key}", Rank.READ, delivery=delivery)
        elif event.command in self._looks:
            self._tell_look(time, who, event)

    def _tell_look(self, time: float, who: str, event: RedisCommand) -> None:
        place = (f"{event.delivery or who} {self._asked}", event.key)
        line = self._fold(self._seen, place, time, who, Rank.READ, event.delivery)
        found = "1 item" if event.reply == "1 items" else event.reply or "nothing"
        line.text = f"reads {event.key}: {found}"
        line.link = Link.LOOK

    def on_lease_expired(self, time: float, entity: str, event: LockExpired) -> None:
        key, worker, delivery = event.key, event.worker, event.delivery
        known = self.evidence.conversation_of(delivery, key=key) or self._at_work.get(worker, "")
        self._locks.expired(worker, delivery, key)
        if known == self.conversation:
            message = self._message_of(delivery)
            self._line(
                time,
                self._who(delivery, worker),
                f"lock lost: {key} expired while {worker} is still {f'handling {message}' if message else 'at work'}",
                Rank.LOCK_LOST,
                delivery=delivery,
                loud=True,
                link=Link.LOCK_LOST,
            )

    def on_request(self, time: float, entity: str, event: RequestSent) -> None:
        conversation = self.evidence.conversation_of(event.context, thread=event.thread_id)
        self._note_work(entity, event.context, conversation)
        if conversation == self.conversation:
            self._asked += 1
            self._tell_wait(time, event.context, event.operation, entity)
            self._busy[event.context or entity] = (time, event.operation)

    def on_response(self, time: float, entity: str, event: ResponseReceived) -> None:
        request = self.chronicle.requests.get(event.request_id)
        if request is None or not self._is_told(request.delivery, request.thread):
            return
        self._busy[request.delivery or entity] = (time, request.operation)
        if self._was_too_late(request, event):
            sentence = f"is too late with {request.operation}: {event.status}"
            self._line(time, self._who(request.delivery, entity), sentence, Rank.NO_ANSWER, delivery=request.delivery)
        elif event.status == 0 or (request.served_at is not None and event.status != request.served_status):
            landed = "" if request.served_at is None else ", which the server had carried out"
            sentence = f"gets no answer to {request.operation}{landed}: {event.failure or event.status}"
            self._line(time, self._who(request.delivery, entity), sentence, Rank.NO_ANSWER, delivery=request.delivery)

    def _was_too_late(self, request: Request, event: ResponseReceived) -> bool:
        """Whether a cancel was taken up, and refused when its run had ended otherwise."""
        run = self.chronicle.runs.get(request.run or "")
        refused = request.served_status == 200 and event.status == 400 and event.failure is None
        is_cancel = request.operation in self.chronicle.roles.cancels
        return is_cancel and refused and run is not None and run.ended is not None and run.state != "cancelled"

    def _tell_wait(self, time: float, delivery: str, following: str, worker: str) -> None:
        heard, before = self._busy.get(delivery or worker, (time, "redis"))
        # Sleeping between polls of a run or of a lock belongs to the polling, which is told in one line.
        roles = self.chronicle.roles
        polling = following in roles.shows_turn or before == "redis" or before in roles.starts | roles.shows_turn
        if time - heard >= _WAIT_SECONDS_MIN and not polling:
            rank = Rank.SLEPT if time - heard >= _SLEEP_SECONDS_MIN else Rank.READ
            self._line(time, self._who(delivery, worker), f"waited {time - heard:.3f} s", rank, delivery=delivery)

    def _fold(
        self,
        folded: dict[tuple[str, str], Line],
        key: tuple[str, str],
        time: float,
        who: str,
        rank: int,
        delivery: str,
    ) -> Line:
        """One line for what repeats, standing where it happened last; its text is yet to be written."""
        line = folded.get(key)
        if line is None:
            line = folded[key] = self._line(time, who, "", rank, delivery=delivery)
        line.time, line.order = time, self.index
        self._times[id(line)] = self._times.get(id(line), 0) + 1
        return line

    # What the API does.

    def on_served(self, time: float, entity: str, event: RequestServed) -> None:
        request = self.chronicle.requests.get(event.request_id)
        if request is None or not self._is_told(request.delivery, request.thread):
            return
        who, delivery, operation = self._who(request.delivery, request.worker), request.delivery, request.operation
        status, error, roles = event.status, event.error_message or "", self.chronicle.roles
        refused = {"delivery": delivery, "link": Link.REFUSED if status == 400 or request.conflict else None}
        if request.conflict:
            is_turn = operation in roles.appends and operation in roles.starts
            refused_what = f"{roles.words.run} refused" if is_turn else "append refused"
            what = refused_what if request.appends else f"calls {operation}"
            self._line(time, who, f"{what}: {status} {error}", Rank.CONFLICT, loud=True, **refused)
        elif operation in roles.cancels:
            self._tell_cancel(time, who, request)
        elif status >= 400:
            self._line(time, who, f"calls {operation}: {status} {error}", Rank.REFUSED, **refused)
        elif operation in roles.lists_turns:
            known = isinstance(event.detail, int) and not isinstance(event.detail, bool)
            active = event.detail if known else self._active_runs(request.thread, time)
            found, link = (f"{active} active", None) if active else ("none active", Link.LIST_EMPTY)
            sentence = f"lists the {roles.words.thread}'s {roles.words.run}s: {found}"
            self._line(time, who, sentence, Rank.LISTED, delivery=delivery, link=link)
        elif operation in roles.starts:
            self._tell_creation(time, who, request)
        elif operation in roles.appends:
            what = self.facts.what_was_stored_by(request) or "a message"
            names = tuple(each.id for each in self.facts.messages_stored_by(request))
            sentence = f"appended {what} to {self._the_thread(request)}"
            self._line(time, who, sentence, Rank.APPENDED, delivery=delivery, messages=names)
        elif operation in roles.shows_turn:
            run = self.chronicle.runs.get(request.run or "")
            state = f", last seen {run.state_at(time)}" if run else ""
            line = self._fold(self._polls, (delivery or who, str(request.run)), time, who, Rank.POLLED, delivery)
            times = self._times[id(line)]
            line.text = f"polled {request.run} {counted(times, 'time')}{state}"
        else:
            line = self._fold(self._calls, (delivery or who, operation), time, who, Rank.READ, delivery)
            times = self._times[id(line)]
            line.text = f"calls {operation}" + (f" {counted(times, 'time')}" if times > 1 else "")
            if times > _CALLS_MANY:
                line.rank = Rank.CALLED_OFTEN

    def _the_thread(self, request: Request) -> str:
        """How to name a request's thread: by its id where the conversation has several."""
        several = list(self.evidence.threads.values()).count(self.conversation) > 1
        return str(request.thread) if several and request.thread else f"the {self.chronicle.roles.words.thread}"

    def _active_runs(self, thread: str | None, time: float) -> int:
        return sum(run.thread == thread and is_active_at(run, time) for run in self.chronicle.runs.values())

    def _tell_cancel(self, time: float, who: str, request: Request) -> None:
        if request.served_status >= 400:
            link = Link.REFUSED if request.served_status == 400 else None
            sentence = f"cancels {request.run}: {request.served_status} {request.error_message or ''}"
            self._line(time, who, sentence, Rank.REFUSED, delivery=request.delivery, link=link)
            return
        another, whose = self.facts.whose_run(request)
        rank = Rank.CANCEL_OF_ANOTHER if another else Rank.CANCEL
        self._line(time, who, f"cancels {request.run}{whose}", rank, delivery=request.delivery, loud=another)

    def _tell_creation(self, time: float, who: str, request: Request) -> None:
        # Of a served API the trace may not hold the run's first state; then the server names what it created.
        name = request.run_made.id if request.run_made else str(request.detail or f"a {self.chronicle.roles.words.run}")
        # Whoever waits for a lock and has asked the API nothing yet is not surprised by the run.
        # On another thread it is in nobody's way.
        thread = request.thread if request.run_made is None else request.run_made.thread
        asked = {
            each.delivery for each in self.chronicle.requests.values() if each.left <= time and each.thread == thread
        }
        what = self.facts.what_was_stored_by(request)
        names = tuple(each.id for each in self.facts.messages_stored_by(request))
        name += f" with {what}" if what else ""
        others = [
            each
            for each in self.chronicle.handlings.values()
            if each.conversation == self.conversation
            and each.delivery != request.delivery
            and each.delivery in asked
            and each.under_way(time)
            and not self.facts.was_answered(each.message_id, time)
        ]
        if others:
            other = self.focus if self.focus is not None and self.focus in others else others[0]
            self._line(
                time,
                who,
                f"created {name} while {other.worker} is handling {other.message_id}",
                Rank.FOREIGN_RUN,
                delivery=request.delivery,
                loud=True,
                link=Link.FOREIGN_RUN,
                messages=names,
            )
        else:
            self._line(time, who, f"created {name}", Rank.CREATED, delivery=request.delivery, messages=names)

    def on_run_state(self, time: float, entity: str, event: RunState) -> None:
        run_id, state = event.run_id, event.state
        if self.evidence.threads.get(event.thread_id) != self.conversation or state in ("queued", "cancelling"):
            return
        run = self.chronicle.runs[run_id]
        outside = run.request is not None and not run.delivery
        if state == "in_progress":
            self._line(time, "api", f"{run_id} starts", Rank.IN_PROGRESS, delivery=run.delivery, background=outside)
            return
        asked = next((at for at, name in run.states if name == "cancelling" and at <= time), None)
        after = f", {time - asked:.3f} s after the request to cancel it" if asked is not None else ""
        rank = Rank.COMPLETED if state == "completed" and asked is None else Rank.RUN_ENDED_EARLY
        self._line(time, "api", f"{run_id} is {state}{after}", rank, delivery=run.delivery, background=outside)
