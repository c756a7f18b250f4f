"""From a trace to plain data: what became of each message, as the customers saw it and as the wire shows it.

Definitions (the incident report's terms, made exact):

- A reply *covers* message m if m was in the thread when the reply's run was created. Which run a sent text answers is
  known from the text: the simulated assistant writes each one once.
- A message is *answered* by a reply sent in its own handling, *covered* by one sent in another's, and *lost* if no sent
  reply covers it, whether or not somebody apologised.
- A reply is *about* the messages that no earlier reply of its conversation covered. One that is about none is a
  duplicate; one whose messages were all accepted before some message that was replied to already is out of order.
- A text that is no assistant's is an apology; the friendly one is told from the others by its wording.
- A message *met an active run* if an append in its handling was refused because of one. What its relay then *waited* is
  the time between that refusal and the append's success, or the customer's text, in which its handling had no request
  under way. Steps of the loop take no virtual time, so a sleep of 2 s counts as exactly 2.
- A message *failed* if an apology was sent for it, or nothing covers it; otherwise it *succeeded*.

- Where a relay says which messages a text ends (`send.for`), an apology is one for those, and a reply answers the last of
  them. Otherwise it belongs to the message in whose handling it was sent. A text that surely never arrived is no text.
- The SDK's own waits before it repeats a failed request are not the relay's.

Nothing else is taken from what the relay says of itself, except that its log lines are compared with what it did. What a
relay with a ledger and leases must promise beyond this is judged by `relaysim.sim.world.invariants`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from relaysim.sim.kernel import Record
from relaysim.sim.openai.states import TERMINAL
from relaysim.sim.world.invariants import JUDGED_COUNTS, JudgeSettings, judge

COUNTS: Mapping[str, str] = {
    "messages": "messages that customers sent, new tries included",
    "met_active_run": "messages whose append was refused because a run was active",
    "recovered_at_2": "of those, appended at the second attempt",
    "recovered_at_3": "of those, appended at the third attempt",
    "recovered_later": "of those, appended at a later attempt",
    "not_recovered": "of those, never appended",
    "friendly_failure": "messages for which the friendly apology was sent",
    "generic_failure": "messages for which another apology was sent",
    "failed": "messages for which an apology was sent, or which no sent reply covers",
    "succeeded": "messages that did not fail",
    "answered": "messages answered by a reply sent in their own handling",
    "covered": "messages covered by a reply sent in another handling",
    "lost": "messages that no sent reply covers",
    "apology_despite_cover": "messages with an apology although a sent reply covers them",
    "answered_but_apologised": "messages with an apology although an answer was ready and never sent",
    "wrong_conversation": "replies sent to another conversation than their thread's",
    "duplicate_reply": "replies that cover only messages which an earlier reply covered",
    "out_of_order": "replies about earlier messages than one that was replied to before",
    "transparency_breaches": "the sum of the six kinds above, from `lost` on",
    "log_mismatch": "messages that met an active run and whose log lines are not the promised ones",
    "conflicts": "appends refused because a run was active",
    "creation_conflicts": "run creations refused because a run was active",
    "runs": "runs created",
    "cancels": "cancels that the API accepted",
    "foreign_cancels": "of those, cancels of a run that another handling had created",
    "requests": "HTTP requests, the SDK's own retries included",
    "redis_commands": "Redis commands",
    "leases_lost": "leases that ran out while their handling went on",
    "retries_answered": "new tries after the friendly text that were answered",
    "met_and_failed": "messages that met an active run and failed",
    "clearing_requests": "HTTP requests of a handling from its first refused append to the append's success or a text",
    "clearing_milliseconds": "how long that took, from answer to answer as the relay saw them",
    **JUDGED_COUNTS,
}
"""The counts of an observation, with what each means."""

SERIES: Mapping[str, str] = {
    "wait_seconds": "per message that met an active run: how long its relay waited",
    "polite_wait_seconds": "per first try that met an active run: how long its relay waited if it then ended in the "
    "friendly text and the new try was answered; -1 otherwise",
    "reply_seconds": "per message with a reply: from sending it until the first covering reply left",
}
"""The series of an observation, in seconds."""

_BREACHES = (
    "lost",
    "apology_despite_cover",
    "answered_but_apologised",
    "wrong_conversation",
    "duplicate_reply",
    "out_of_order",
)
_DETAILS_MAX = 3
_SDK_RETRIES = 2
"""How often the SDK repeats a request by itself, as it comes; what is repeated then, the relay repeats."""

_MESSAGE_ID = re.compile(r"\[(c\d+\.m\d+)\]")
_PROMISED = re.compile(
    r"\[OpenAI\] (?:Active run detected during message creation \(attempt \d+/\d+\)"
    r"|Attempting to cancel run run_\w+|Run run_\w+ cancellation requested|Waiting \d+ms before retry\.\.\."
    r"|Message created successfully \(attempt \d+\)|Failed to create message after \d+ attempts)$"
)


class Texts(Protocol):
    """What is needed of the relay under test."""

    @property
    def friendly_text(self) -> str: ...

    @property
    def settings(self) -> dict[str, Any]: ...


class _Message:
    __slots__ = ("accepted", "apologies", "conversation", "covered_at", "handlings", "id", "own", "retry_of", "sent")

    def __init__(self, message_id: str, conversation: str, sent: float, retry_of: str | None) -> None:
        self.id = message_id
        self.conversation = conversation
        self.sent = sent
        self.retry_of = retry_of
        self.accepted = -1
        self.handlings: list[_Handling] = []
        self.apologies: list[tuple[float, str]] = []
        self.covered_at: float | None = None
        self.own = False


class _Handling:
    __slots__ = (
        "cleared_at",
        "clearing_requests",
        "conflicts",
        "delivery",
        "done",
        "failed",
        "failures",
        "idle_since",
        "in_flight",
        "lines",
        "message",
        "recovered_at",
        "refused_at",
        "steps",
        "waited",
        "worker",
    )

    def __init__(self, delivery: str, message: _Message, worker: str) -> None:
        self.delivery = delivery
        self.message = message
        self.worker = worker
        self.in_flight = 0
        self.idle_since = 0.0
        self.conflicts = 0
        self.recovered_at = 0
        self.done = False
        self.failed: tuple[str, str | None, str | None] | None = None  # the request that the SDK may repeat
        self.failures = 0
        self.waited = 0.0
        self.refused_at: float | None = None  # when its relay saw the first refusal, and when that was over
        self.cleared_at: float | None = None
        self.clearing_requests = 0
        # conflict, cancelled, cancel_refused, waited: what the log lines should tell
        self.steps: list[tuple[str, Any]] = []
        self.lines: list[str] = []


class _Text:
    """A text that was sent."""

    __slots__ = ("arrives", "conversation", "delivery", "names", "text", "time")

    def __init__(self, time: float, delivery: str, conversation: str, text: str) -> None:
        self.time = time
        self.delivery = delivery
        self.conversation = conversation
        self.text = text
        self.names: tuple[str, ...] = ()
        self.arrives = True


class _Run:
    __slots__ = ("cancelled_by", "completed", "covers", "creator", "id", "thread")

    def __init__(self, run_id: str, thread: str, creator: str | None, covers: list[str]) -> None:
        self.id = run_id
        self.thread = thread
        self.creator = creator
        self.covers = covers
        self.completed: float | None = None
        self.cancelled_by: tuple[float, str] | None = None


class _Reading:
    """One pass over a trace."""

    def __init__(self, friendly_text: str, threads: Mapping[str, str]) -> None:
        self.friendly_text = friendly_text
        self.threads = dict(threads)
        self.messages: dict[str, _Message] = {}
        self.handlings: dict[str, _Handling] = {}
        self.runs: dict[str, _Run] = {}
        self.stored: dict[str, list[str]] = {}
        self.replies: dict[str, str] = {}
        self.active: dict[str | None, str] = {}
        self.requests: dict[str, tuple[str, str, str | None, str | None]] = {}
        self.sends: list[_Text] = []
        self.last_texts: dict[str, _Text] = {}
        self.accepted: dict[str, int] = {}
        self.counts = dict.fromkeys(COUNTS, 0)

    def read(self, records: Iterable[Record]) -> None:
        for time, entity, kind, fields in records:
            method = _READERS.get(kind)
            if method is not None:
                method(self, time, entity, fields)

    def _sent(self, time: float, entity: str, fields: tuple[Any, ...]) -> None:
        message_id, conversation, _, retry_of = fields
        self.messages[message_id] = _Message(message_id, conversation, time, retry_of)

    def _start(self, time: float, entity: str, fields: tuple[Any, ...]) -> None:
        delivery, message_id, _ = fields
        message = self.messages[message_id]
        if message.accepted < 0:
            number = self.accepted.get(message.conversation, 0)
            message.accepted = number
            self.accepted[message.conversation] = number + 1
        handling = _Handling(delivery, message, entity)
        message.handlings.append(handling)
        self.handlings[delivery] = handling

    def _request(self, time: float, entity: str, fields: tuple[Any, ...]) -> None:
        request_id, delivery, operation, thread, run = fields
        self.counts["requests"] += 1
        self.requests[request_id] = (delivery, operation, thread, run)
        handling = self.handlings.get(delivery)
        if handling is not None:
            if handling.in_flight == 0:
                if handling.failed == (operation, thread, run):
                    handling.idle_since = time
                else:
                    self._idle(handling, time)
            handling.in_flight += 1
            if handling.refused_at is not None and handling.cleared_at is None:
                handling.clearing_requests += 1

    @staticmethod
    def _idle(handling: _Handling, time: float) -> None:
        if handling.conflicts and not handling.done and time > handling.idle_since:
            gap = time - handling.idle_since
            handling.waited += gap
            handling.steps.append(("waited", gap))
        handling.idle_since = time

    def _served(self, time: float, entity: str, fields: tuple[Any, ...]) -> None:
        request_id, status, _, _ = fields
        delivery, operation, thread, run_id = self.requests[request_id]
        if operation == "runs.cancel" and status == 200 and run_id is not None:
            self.counts["cancels"] += 1
            run = self.runs[run_id]
            run.cancelled_by = (time, delivery)
            if run.creator != delivery:
                self.counts["foreign_cancels"] += 1
        elif operation == "runs.create" and status == 400 and thread in self.active:
            self.counts["creation_conflicts"] += 1
        handling = self.handlings.get(delivery)
        if handling is None:
            return
        if operation == "messages.create":
            if status == 200:
                if handling.conflicts and not handling.done:
                    handling.recovered_at = handling.conflicts + 1
                    handling.done = True
            elif status == 400 and thread in self.active:
                # Known from the runs' states, not from the message: a backend that words it differently still refuses.
                self.counts["conflicts"] += 1
                handling.conflicts += 1
                handling.steps.append(("conflict", self.active[thread]))
        elif operation == "runs.cancel" and status in (200, 400) and handling.conflicts:
            handling.steps.append(("cancelled" if status == 200 else "cancel_refused", run_id))

    def _response(self, time: float, entity: str, fields: tuple[Any, ...]) -> None:
        request_id, status, _ = fields
        delivery, operation, thread, run = self.requests[request_id]
        handling = self.handlings.get(delivery)
        if handling is None:
            return
        handling.in_flight -= 1
        handling.idle_since = time
        if operation == "messages.create" and handling.conflicts and handling.cleared_at is None:
            if handling.refused_at is None:
                handling.refused_at = time
            elif status == 200:
                handling.cleared_at = time
        if status in (0, 408, 409, 429) or status >= 500:
            request = (operation, thread, run)
            handling.failures = handling.failures + 1 if handling.failed == request else 1
            handling.failed = request if handling.failures <= _SDK_RETRIES else None
        else:
            handling.failed = None

    def _run_state(self, time: float, entity: str, fields: tuple[Any, ...]) -> None:
        run_id, thread, state, cause = fields
        if state == "queued" and run_id not in self.runs:
            creator = self.requests[cause][0] if cause in self.requests else None
            self.counts["runs"] += 1
            self.runs[run_id] = _Run(run_id, thread, creator, list(self.stored.get(thread, ())))
        if state in TERMINAL:
            if self.active.get(thread) == run_id:
                del self.active[thread]
            if state == "completed":
                self.runs[run_id].completed = time
        else:
            self.active[thread] = run_id

    def _stored(self, time: float, entity: str, fields: tuple[Any, ...]) -> None:
        thread, _, role, origin, text = fields
        if role == "user":
            self.stored.setdefault(thread, []).extend(_MESSAGE_ID.findall(text))
        elif origin in self.runs:
            self.replies[text] = origin

    def _redis(self, time: float, entity: str, fields: tuple[Any, ...]) -> None:
        self.counts["redis_commands"] += 1

    def _lease(self, time: float, entity: str, fields: tuple[Any, ...]) -> None:
        self.counts["leases_lost"] += 1

    def _log(self, time: float, entity: str, fields: tuple[Any, ...]) -> None:
        delivery, _, text = fields
        handling = self.handlings.get(delivery)
        line = _PROMISED.search(text)
        if handling is not None and line is not None:
            handling.lines.append(line.group(0))

    def _send(self, time: float, entity: str, fields: tuple[Any, ...]) -> None:
        delivery, conversation, text = fields
        self.last_texts[entity] = sent = _Text(time, delivery, conversation, text)
        self.sends.append(sent)
        handling = self.handlings.get(delivery)
        if handling is not None:
            if handling.in_flight == 0:
                self._idle(handling, time)
            handling.done = True
            if handling.cleared_at is None:
                handling.cleared_at = time

    def _send_for(self, time: float, entity: str, fields: tuple[Any, ...]) -> None:
        self.last_texts[entity].names = fields[2]

    def _fate(self, time: float, entity: str, fields: tuple[Any, ...]) -> None:
        self.last_texts[entity].arrives = fields[2] in ("delivered", "unknown_delivered")

    def run_of(self, text: str) -> _Run | None:
        """The run whose assistant wrote this text, also where a relay put words around it."""
        run_id = self.replies.get(text)
        if run_id is None:
            run_id = next((run for reply, run in self.replies.items() if reply in text), None)
        return None if run_id is None else self.runs[run_id]


_READERS = {
    "message.sent": _Reading._sent,
    "handling.start": _Reading._start,
    "request": _Reading._request,
    "served": _Reading._served,
    "response": _Reading._response,
    "run.state": _Reading._run_state,
    "message.stored": _Reading._stored,
    "redis": _Reading._redis,
    "lease.expired": _Reading._lease,
    "log": _Reading._log,
    "send": _Reading._send,
    "send.for": _Reading._send_for,
    "send.fate": _Reading._fate,
}


def observe(
    records: Iterable[Record],
    relay: Texts,
    threads: Mapping[str, str],
    *,
    seed: int = 0,
    fingerprint: str = "",
    ledger: Mapping[str, str | None] | None = None,
    promises: JudgeSettings | None = None,
    redis_pauses: Iterable[tuple[float, float]] = (),
) -> dict[str, Any]:
    """Distil one world.

    Args:
        records: its trace.
        relay: the apology's text and the settings of the relay under test.
        threads: the conversation of each thread.
        seed: the replication's seed, passed through.
        fingerprint: the trace's, passed through.
        ledger: per message the outcome that the relay has recorded, None for none; None: the relay keeps no ledger.
        promises: the numbers behind what the relay promises; by default as its settings say.
        redis_pauses: from when to when a command waited for a pause of the Redis server, which leaves no record.

    Returns:
        `seed`, `fingerprint`, `counts` (see `COUNTS`), `series` (see `SERIES`), `details` (per count at most three
        dicts whose `text` is a sentence), `virtual_seconds` and `events`.
    """
    records = list(records)
    reading = _Reading(relay.friendly_text, threads)
    reading.read(records)
    ended = records[-1][0] if records else 0.0
    judged = _Judgement(reading, relay.settings, ended)
    judged.judge()
    if promises is None:
        promises = JudgeSettings.of_relay(relay.settings, apologies=frozenset((relay.friendly_text,)))
    findings = judge(records, threads, ledger, promises, redis_pauses)
    reading.counts |= findings.counts
    judged.details |= findings.details
    return {
        "seed": seed,
        "fingerprint": fingerprint,
        "counts": reading.counts,
        "series": judged.series,
        "details": judged.details,
        "virtual_seconds": ended,
        "events": len(records),
    }


class _Judgement:
    """What became of each message and each sent text."""

    def __init__(self, reading: _Reading, settings: Mapping[str, Any], ended: float) -> None:
        self.reading = reading
        self.counts = reading.counts
        self.attempts = int(settings.get("attempts", 3))
        self.cancels_once = settings.get("cancels") == "first_conflict"
        self.ended = ended
        self.series: dict[str, list[float]] = {name: [] for name in SERIES}
        self.details: dict[str, list[dict[str, Any]]] = {}

    def judge(self) -> None:
        self._judge_sends()
        answered_retries = {
            message.retry_of for message in self.reading.messages.values() if message.retry_of and message.own
        }
        for message in self.reading.messages.values():
            self._judge_message(message)
            self._judge_conflicts(message, message.id in answered_retries)
        self.counts["transparency_breaches"] = sum(self.counts[name] for name in _BREACHES)

    def _note(self, count: str, text: str, **fields: Any) -> None:
        self.counts[count] += 1
        names = [count, "transparency_breaches"] if count in _BREACHES else [count]
        for name in names:
            notes = self.details.setdefault(name, [])
            if len(notes) < _DETAILS_MAX:
                notes.append({"text": text, "kind": count, **fields})

    def _judge_sends(self) -> None:
        reading = self.reading
        covered_before: dict[str, set[str]] = {}
        newest: dict[str, int] = {}
        for sent in reading.sends:
            if not sent.arrives:
                continue
            time, conversation, text = sent.time, sent.conversation, sent.text
            run = reading.run_of(text)
            handling = reading.handlings.get(sent.delivery)
            own = [] if handling is None else [handling.message]
            if sent.names:
                own = [reading.messages[each] for each in sent.names if each in reading.messages]
            if run is None:
                for message in own:
                    message.apologies.append((time, text))
                continue
            owner = reading.threads.get(run.thread, conversation)
            if owner != conversation:
                self._note(
                    "wrong_conversation",
                    f"a reply on {owner}'s thread was sent to {conversation}",
                    conversation=conversation,
                    run=run.id,
                    received=text,
                )
                continue
            messages = [reading.messages[each] for each in run.covers]
            seen = covered_before.setdefault(conversation, set())
            # What a reply is about: the messages that no earlier reply covered, or else all that it covers.
            subjects = [message for message in messages if message.id not in seen] or messages
            subject = max(subjects, key=lambda message: message.accepted, default=None)
            if subject is not None and subject.accepted < newest.get(conversation, -1):
                self._note(
                    "out_of_order",
                    f"the reply to {subject.id} was sent after a reply to a later message of {conversation}",
                    conversation=conversation,
                    run=run.id,
                    received=text,
                )
            elif subject is not None and subject.id in seen:
                self._note(
                    "duplicate_reply",
                    f"{conversation} was sent another reply to {subject.id}, which an earlier one covered",
                    conversation=conversation,
                    run=run.id,
                    received=text,
                )
            last = max((message.accepted for message in messages), default=-1)
            newest[conversation] = max(newest.get(conversation, -1), last)
            for message in messages:
                seen.add(message.id)
                if message.covered_at is None:
                    message.covered_at = time
                    message.own = bool(own) and own[-1] is message

    def _judge_message(self, message: _Message) -> None:
        counts = self.counts
        counts["messages"] += 1
        covered = message.covered_at is not None
        if message.covered_at is not None:
            counts["answered" if message.own else "covered"] += 1
            self.series["reply_seconds"].append(message.covered_at - message.sent)
            if message.retry_of and message.own:
                counts["retries_answered"] += 1
        else:
            self._note("lost", self._story(message, "was covered by no reply"), **self._facts(message))
        if message.apologies:
            friendly = any(text == self.reading.friendly_text for _, text in message.apologies)
            self._note(
                "friendly_failure" if friendly else "generic_failure",
                self._story(message, "ended in an apology"),
                **self._facts(message),
            )
            if covered:
                self._note(
                    "apology_despite_cover",
                    self._story(message, "got an apology although a reply that was sent covers it"),
                    **self._facts(message),
                )
            elif any(self._answer_was_ready(message, time) for time, _ in message.apologies):
                self._note(
                    "answered_but_apologised",
                    self._story(message, "got an apology although its answer was ready"),
                    **self._facts(message),
                )
        if message.apologies or not covered:
            self._note("failed", self._story(message, "failed"), **self._facts(message))
        else:
            counts["succeeded"] += 1

    def _answer_was_ready(self, message: _Message, time: float) -> bool:
        return any(
            run.completed is not None and run.completed <= time and message.id in run.covers
            for run in self.reading.runs.values()
        )

    def _judge_conflicts(self, message: _Message, retry_answered: bool) -> None:
        met = [handling for handling in message.handlings if handling.conflicts]
        if not met:
            return
        counts = self.counts
        counts["met_active_run"] += 1
        if message.apologies or message.covered_at is None:
            counts["met_and_failed"] += 1
        for each in met:
            refused_at = self.ended if each.refused_at is None else each.refused_at
            cleared_at = self.ended if each.cleared_at is None else each.cleared_at
            counts["clearing_requests"] += each.clearing_requests
            counts["clearing_milliseconds"] += round((cleared_at - refused_at) * 1000)
        handling = met[0]
        if handling.recovered_at == 0:
            counts["not_recovered"] += 1
        elif handling.recovered_at <= 3:
            counts[f"recovered_at_{handling.recovered_at}"] += 1
        else:
            counts["recovered_later"] += 1
        self.series["wait_seconds"].append(handling.waited)
        if message.retry_of is None:
            friendly = any(text == self.reading.friendly_text for _, text in message.apologies)
            self.series["polite_wait_seconds"].append(handling.waited if friendly and retry_answered else -1.0)
        for each in met:
            promised = self._promised_lines(each)
            if each.lines != promised:
                missing = next((line for line in promised if line not in each.lines), None)
                what = f"the line {missing!r} is missing" if missing else f"unexpected lines or order: {each.lines!r}"
                self._note(
                    "log_mismatch",
                    f"in the log of {each.delivery}, {what}",
                    message=message.id,
                    conversation=message.conversation,
                )
                break

    def _promised_lines(self, handling: _Handling) -> list[str]:
        """The lines that the report promises for what this handling did."""
        lines = []
        conflicts = 0
        settled = set()
        for what, value in handling.steps:
            if what == "conflict":
                conflicts += 1
                lines.append(
                    f"[OpenAI] Active run detected during message creation (attempt {conflicts}/{self.attempts})"
                )
                if value not in settled or not self.cancels_once:
                    lines.append(f"[OpenAI] Attempting to cancel run {value}")
            elif what == "cancelled":
                settled.add(value)
                lines.append(f"[OpenAI] Run {value} cancellation requested")
            elif what == "cancel_refused":
                settled.add(value)
            else:
                lines.append(f"[OpenAI] Waiting {round(value * 1000)}ms before retry...")
        if handling.recovered_at:
            lines.append(f"[OpenAI] Message created successfully (attempt {handling.recovered_at})")
        elif conflicts >= self.attempts:
            lines.append(f"[OpenAI] Failed to create message after {self.attempts} attempts")
        return lines

    # Stories

    def _cancelled_run(self, message: _Message) -> _Run | None:
        """The run that was answering this message when somebody else cancelled it."""
        deliveries = [handling.delivery for handling in message.handlings]
        for run in self.reading.runs.values():
            if run.creator in deliveries and run.cancelled_by is not None and run.cancelled_by[1] not in deliveries:
                return run
        return None

    def _facts(self, message: _Message) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "message": message.id,
            "conversation": message.conversation,
            "received": [text for _, text in message.apologies],
            "covered": message.covered_at is not None,
        }
        run = self._cancelled_run(message)
        if run is not None and run.cancelled_by is not None:
            facts["run"] = run.id
            facts["answering"] = message.id
            facts["cancelled_by"] = run.cancelled_by[1]
            facts["cancelled_at_seconds"] = run.cancelled_by[0]
        return facts

    def _story(self, message: _Message, ending: str) -> str:
        run = self._cancelled_run(message)
        parts = []
        if run is not None and run.cancelled_by is not None:
            canceller = self.reading.handlings.get(run.cancelled_by[1])
            worker = next(h.worker for h in message.handlings if h.delivery == run.creator)
            who = f"{canceller.worker}, handling {canceller.message.id}," if canceller else "somebody"
            parts.append(f"{worker}'s {run.id} was answering {message.id} when {who} cancelled it")
        parts.append(f"{message.id} {ending}")
        if message.apologies:
            parts.append(f"its customer received: {message.apologies[0][1]!r}")
        elif message.covered_at is None:
            parts.append("its customer received nothing")
        return "; ".join(parts)
