"""What the page shows, made of the world's trace.

Nothing is guessed. A text is of the run whose words it has; a thread is a customer's once such a text went to them, and
before that only where nobody else has written these words. An answer covers the messages that its run found on the thread
and no answer before has covered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from relaysim.scenarios.demo.answers import tag_of
from relaysim.sim.kernel import Record
from relaysim.sim.trace.schema import (
    HandlingEnd,
    HandlingStart,
    HostCrash,
    HostRestart,
    MessageSent,
    MessageStored,
    Received,
    RedisBack,
    RedisFaultStruck,
    RequestSent,
    RunState,
    TextSent,
    WebhookFailed,
)

RUNS_SHOWN: Final = 12
LINES_SHOWN: Final = 14
BUBBLES_SHOWN: Final = 200
ENDED: Final = ("completed", "cancelled", "failed", "expired", "incomplete")

_WHY_FAILED: Final = {
    "worker dead": "it was not running",
    "worker crashed": "it was killed meanwhile",
    "handle raised": "it did not take it",
    "acknowledgement lost": "its answer was lost",
    "deadline missed": "it did not answer in time",
}


@dataclass
class _Bubble:
    """A message or a text in a chat.

    state     of a customer's message: `sent`, `taken` (the relay has acknowledged it) or `answered`
    answers   how many answers cover it
    covers    of an answer: the ids of the messages that it covers
    """

    id: str
    by: str
    text: str
    at: float
    state: str = ""
    answers: int = 0
    run: str = ""
    copy: str = ""
    covers: tuple[str, ...] = ()


@dataclass
class _Run:
    id: str
    thread: _Thread
    copy: str
    since: float
    state: str = "queued"
    stuck: bool = False
    text: str = ""
    read: list[str] = field(default_factory=list)


@dataclass
class _Thread:
    """unanswered: the texts of users on it that no run has answered; conversation: whose it is, once that is known."""

    conversation: str = ""
    unanswered: list[str] = field(default_factory=list)


class ChatView:
    """Reads records as they come.

    Args:
        customers: names, by conversation.
    """

    def __init__(self, customers: Mapping[str, str]) -> None:
        self._customers = customers
        self._chats: dict[str, list[_Bubble]] = {name: [] for name in customers}
        self._messages: dict[str, _Bubble] = {}
        self._runs: dict[str, _Run] = {}
        self._threads: dict[str, _Thread] = {}
        self._copy_of: dict[str, str] = {}
        self._on_their_way: dict[tuple[str, str], list[_Bubble]] = {}
        self._lines: list[tuple[float, str]] = []
        self._count = 0

    def feed(self, records: Iterable[Record]) -> None:
        """Go on with what has happened since."""
        for record in records:
            read = _READERS.get(type(record.fields))
            if read is not None:
                read(self, record, record.fields)

    def say(self, at: float, line: str) -> None:
        """A line of what happens."""
        self._lines.append((at, line))
        del self._lines[:-LINES_SHOWN]

    def note_stuck(self, run_id: str) -> None:
        """This run will never finish by itself."""
        self._runs[run_id].stuck = True

    @property
    def newest_queued(self) -> str | None:
        """The id of the newest run, if it has only just been created."""
        run = next(reversed(self._runs.values()), None)
        return run.id if run is not None and run.state == "queued" else None

    def snapshot(self) -> dict[str, Any]:
        """All of it, as plain data."""
        return {
            "chats": [
                {"customer": conversation, "bubbles": [self._shown(each) for each in bubbles[-BUBBLES_SHOWN:]]}
                for conversation, bubbles in self._chats.items()
            ],
            "runs": [self._shown_run(each) for each in list(self._runs.values())[: -RUNS_SHOWN - 1 : -1]],
            "lines": [{"at": round(at, 1), "text": text} for at, text in reversed(self._lines)],
            "counts": self._counts(),
        }

    def _counts(self) -> dict[str, int]:
        messages = self._messages.values()
        return {
            "written": len(messages),
            "answered": sum(each.answers > 0 for each in messages),
            "twice": sum(each.answers > 1 for each in messages),
        }

    def _shown(self, bubble: _Bubble) -> dict[str, Any]:
        return {
            "id": bubble.id,
            "by": bubble.by,
            "text": bubble.text,
            "at": round(bubble.at, 1),
            "state": bubble.state,
            "answers": bubble.answers,
            "run": bubble.run,
            "copy": bubble.copy,
            "covers": [self._messages[each].text for each in bubble.covers],
        }

    def _shown_run(self, run: _Run) -> dict[str, Any]:
        conversation = run.thread.conversation or self._only_candidate(run)
        return {
            "id": run.id,
            "tag": tag_of(run.id),
            "customer": self._customers.get(conversation, ""),
            "state": run.state,
            "stuck": run.stuck and run.state not in ENDED,
            "copy": run.copy,
            "read": list(run.read or run.thread.unanswered),
        }

    def _only_candidate(self, run: _Run) -> str:
        """Whose messages these are, where only one customer has written them."""
        read = run.read or run.thread.unanswered
        fitting = [
            conversation
            for conversation, bubbles in self._chats.items()
            if any(each.by == "customer" and each.text in read for each in bubbles)
        ]
        return fitting[0] if len(fitting) == 1 else ""

    # What has happened

    def _written(self, record: Record, sent: MessageSent) -> None:
        bubble = _Bubble(sent.message_id, "customer", sent.text, record.time, "sent")
        self._messages[sent.message_id] = bubble
        self._chats[sent.conversation].append(bubble)

    def _delivered(self, record: Record, started: HandlingStart) -> None:
        if started.delivery_number > 1:
            text = self._words(started.message_id)
            self.say(record.time, f"The webhook of {text} comes again, to {copy_name(record.entity)}")

    def _acknowledged(self, record: Record, ended: HandlingEnd) -> None:
        bubble = self._messages.get(ended.delivery.rpartition("#")[0])
        if bubble is not None and ended.error_class is None and bubble.state == "sent":
            bubble.state = "taken"

    def _not_acknowledged(self, record: Record, failed: WebhookFailed) -> None:
        text = self._words(failed.delivery.rpartition("#")[0])
        why = _WHY_FAILED.get(failed.reason, failed.reason)
        self.say(record.time, f"{copy_name(failed.worker)} has not acknowledged {text}: {why}")

    def _requested(self, record: Record, sent: RequestSent) -> None:
        if sent.operation.endswith("create") or sent.operation.endswith("create_and_run"):
            self._copy_of[sent.request_id] = record.entity

    def _stored(self, record: Record, stored: MessageStored) -> None:
        run = self._runs.get(stored.cause)
        if stored.role == "user":
            self._threads.setdefault(stored.thread_id, _Thread()).unanswered.append(stored.text)
        elif run is not None:
            run.text = stored.text

    def _moved(self, record: Record, moved: RunState) -> None:
        run = self._runs.get(moved.run_id)
        if run is None:
            thread = self._threads.setdefault(moved.thread_id, _Thread())
            run = _Run(moved.run_id, thread, self._copy_of.get(moved.cause, ""), record.time)
            self._runs[moved.run_id] = run
        run.state = moved.state
        if moved.state in ENDED and not run.read:
            run.read = list(run.thread.unanswered)
            if moved.state == "completed":
                run.thread.unanswered.clear()
        if moved.state in ("cancelling", "cancelled", "failed", "expired"):
            self.say(record.time, f"Run {tag_of(run.id)} is {moved.state}")

    def _sent(self, record: Record, sent: TextSent) -> None:
        self._count += 1
        bubble = _Bubble(f"t{self._count}", "relay", sent.text, record.time, copy=copy_name(record.entity))
        run = next((each for each in reversed(self._runs.values()) if each.text and each.text == sent.text), None)
        if run is not None:
            run.thread.conversation = sent.conversation
            bubble.run = tag_of(run.id)
            bubble.covers = self._covered(sent.conversation, run.read)
        self._on_their_way.setdefault((sent.conversation, sent.text), []).append(bubble)

    def _covered(self, conversation: str, read: Sequence[str]) -> tuple[str, ...]:
        """The messages of a customer with these texts; of several with the same text, those without an answer first."""
        left = [each for each in self._chats[conversation] if each.by == "customer"]
        left.sort(key=lambda each: each.answers > 0)  # the order of writing is kept among equals
        found = []
        for text in read:
            message = next((each for each in left if each.text == text), None)
            if message is not None:
                left.remove(message)
                found.append(message.id)
        return tuple(found)

    def _received(self, record: Record, received: Received) -> None:
        waiting = self._on_their_way.get((received.conversation, received.text))
        if not waiting or received.conversation not in self._chats:
            return
        bubble = waiting.pop(0)
        bubble.at = record.time
        self._chats[received.conversation].append(bubble)
        for each in bubble.covers:
            message = self._messages[each]
            message.answers += 1
            message.state = "answered"

    def _crashed(self, record: Record, crashed: HostCrash) -> None:
        self.say(record.time, f"{copy_name(record.entity)} is killed (SIGKILL)")

    def _restarted(self, record: Record, restarted: HostRestart) -> None:
        self.say(record.time, f"{copy_name(record.entity)} starts again, with nothing in memory")

    def _redis_struck(self, record: Record, struck: RedisFaultStruck) -> None:
        self.say(record.time, "Redis is away: connections are reset, new ones refused")

    def _redis_back(self, record: Record, back: RedisBack) -> None:
        self.say(record.time, "Redis is back")

    def _words(self, message_id: str) -> str:
        bubble = self._messages.get(message_id)
        text = "a message" if bubble is None else bubble.text
        return f"“{text if len(text) <= 40 else text[:39] + '…'}”"


def copy_name(worker: str) -> str:
    """What the page calls a worker."""
    return f"Copy {worker.removeprefix('w')}"


_READERS: Final[Mapping[type, Callable[[ChatView, Record, Any], None]]] = {
    MessageSent: ChatView._written,
    HandlingStart: ChatView._delivered,
    HandlingEnd: ChatView._acknowledged,
    WebhookFailed: ChatView._not_acknowledged,
    RequestSent: ChatView._requested,
    MessageStored: ChatView._stored,
    RunState: ChatView._moved,
    TextSent: ChatView._sent,
    Received: ChatView._received,
    HostCrash: ChatView._crashed,
    HostRestart: ChatView._restarted,
    RedisFaultStruck: ChatView._redis_struck,
    RedisBack: ChatView._redis_back,
}
