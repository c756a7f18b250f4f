"""The story of one message under a relay that holds leases: who had the conversation, what became of runs and texts.

Such a relay takes messages in and answers them later, perhaps in another worker, so the story follows the conversation and
not a delivery: from when the message was sent until shortly after the text that ended it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

from relaysim.reports.story_facts import exception_words, listed
from relaysim.reports.story_lines import Line, Rank, own_first
from relaysim.reports.story_order import raise_overtaking
from relaysim.reports.story_writer import StoryWriter
from relaysim.reports.unended_lines import tell_unended
from relaysim.sim.trace.chronicle import Chronicle
from relaysim.sim.trace.schema import (
    HandlingEnd,
    HandlingStart,
    HostCrash,
    HostPause,
    HostRestart,
    HostSlow,
    LeaseBack,
    LeaseGone,
    LeaseReleased,
    LeaseTaken,
    LogLine,
    RedisBack,
    RedisCommand,
    RedisFaultStruck,
    TextEnds,
    TextFate,
    TextSent,
    WebhookFailed,
)
from relaysim.sim.trace.subjects import Message, Request, Text

_AFTER_SECONDS: Final = 5.0
_ACCEPTS_WITHIN_SECONDS: Final = 1.0
"""A handling that takes longer does more than take its message in: when it began is told too."""
_FATES: Final = {
    "refused": "the channel refuses the text",
    "unknown_lost": "no answer of the channel; the text is lost",
}


class _LeaseStoryWriter(StoryWriter):
    """Turns the records of one conversation into lines, whichever worker's they are."""

    def __init__(self, chronicle: Chronicle, conversation: str, looks: Collection[str]) -> None:
        super().__init__(chronicle, conversation, None, looks)
        self._holders = {lease.worker for lease in chronicle.leases.get(conversation, ()) if not lease.restored}
        self._send_lines: dict[str, Line] = {}  # per worker, its latest text of this story

    def _is_told(self, delivery: str, thread: str | None = None) -> bool:
        known = self.chronicle.named_threads.get(thread or "") or self._conversation_of(delivery)
        return known == self.conversation

    def _who(self, delivery: str, worker: str = "") -> str:
        return worker or super()._who(delivery)

    def _tell_wait(self, time: float, delivery: str, following: str, worker: str) -> None:
        """Pauses between looks are told with the looks."""

    def on_handling_end(self, time: float, entity: str, event: HandlingEnd) -> None:
        error_class = event.error_class
        if self._is_told(event.delivery):
            message = self._message_of(event.delivery)
            if error_class:  # the provider delivers it again: what counts for the message comes later
                sentence = f"could not accept {message}: {error_class}{exception_words(event)}"
                line = self._line(time, entity, sentence, Rank.ENDED_BADLY)
                line.traceback, line.chain = own_first(event.traceback, event.place), event.chain
            elif self._only_accepts(event.delivery):
                self._line(time, entity, f"accepted {message}", Rank.ACCEPTED, messages=(message,))
            else:
                self._line(time, entity, f"returns from {message}", Rank.LOG)

    def on_handling_start(self, time: float, entity: str, event: HandlingStart) -> None:
        message_id = event.message_id
        if self._is_told(event.delivery) and event.delivery_number > 1:
            sentence = f"gets {message_id} again (delivery {event.delivery_number})"
            self._line(time, entity, sentence, Rank.REDELIVERED, messages=(message_id,))
        elif self._is_told(event.delivery) and not self._only_accepts(event.delivery):
            self._line(time, entity, f"gets {message_id}", Rank.ACCEPTED, messages=(message_id,))

    def _only_accepts(self, delivery: str) -> bool:
        handling = self.chronicle.handlings[delivery]
        return handling.end is not None and handling.end - handling.start <= _ACCEPTS_WITHIN_SECONDS

    def on_webhook_failed(self, time: float, entity: str, event: WebhookFailed) -> None:
        name = event.delivery.rpartition("#")[0]
        message = self.chronicle.messages.get(name)
        if message is not None and message.conversation == self.conversation:
            sentence = f"{name} was not acknowledged: {event.reason}"
            self._line(time, event.worker, sentence, Rank.REDELIVERED, messages=(name,))

    def on_log(self, time: float, entity: str, event: LogLine) -> None:
        """Events say what the trace knows, but for failures of the relay itself."""
        if not ('"event"' in event.text and '"drain_failed"' not in event.text):
            super().on_log(time, entity, event)

    def on_redis(self, time: float, entity: str, event: RedisCommand) -> None:
        if event.command == "take_over" and event.reply == 1 and self._is_own_key(event.key):
            self._line(time, entity, f"takes its {self.chronicle.roles.words.run}'s messages over", Rank.TAKEN_OVER)
        elif event.command in self._looks:
            named = self._is_own_key(event.key) or self.evidence.conversation_of("", key=event.key) == self.conversation
            if named or (event.delivery and self._is_told(event.delivery)):
                self._tell_look(time, entity, event)

    def _is_own_key(self, key: str) -> bool:
        return key.endswith(f":{self.conversation}")

    # Leases

    def _tell_lease(
        self,
        time: float,
        event: LeaseTaken | LeaseReleased | LeaseGone | LeaseBack,
        sentence: str,
        rank: int,
        *,
        loud: bool = False,
    ) -> None:
        if event.conversation == self.conversation:
            self._line(time, event.worker, sentence, rank, loud=loud)

    def on_lease_taken(self, time: float, entity: str, event: LeaseTaken) -> None:
        self._tell_lease(time, event, f"takes the lease of {self.conversation}", Rank.LEASE)

    def on_lease_released(self, time: float, entity: str, event: LeaseReleased) -> None:
        self._tell_lease(time, event, "releases the lease", Rank.LEASE_RELEASED)

    def on_lease_gone(self, time: float, entity: str, event: LeaseGone) -> None:
        self._tell_lease(time, event, f"its lease is gone: {event.how}", Rank.LEASE_LOST, loud=True)

    def on_lease_back(self, time: float, entity: str, event: LeaseBack) -> None:
        self._tell_lease(time, event, "has a lease again that it had released", Rank.LEASE_LOST, loud=True)

    # Hosts, Redis, texts

    def _tell_host(self, time: float, worker: str, said: str) -> None:
        if worker in self._holders:
            self._line(time, worker, said, Rank.HOST, loud=True)

    def on_host_crash(self, time: float, entity: str, event: HostCrash) -> None:
        self._tell_host(time, entity, "loses its power")

    def on_host_restart(self, time: float, entity: str, event: HostRestart) -> None:
        if entity in self._holders:
            self._line(time, entity, "starts again", Rank.LOG)

    def on_host_pause(self, time: float, entity: str, event: HostPause) -> None:
        self._tell_host(time, entity, f"stands still for {event.seconds:.3f} s")

    def on_host_slow(self, time: float, entity: str, event: HostSlow) -> None:
        self._tell_host(time, entity, f"runs slow for {event.seconds:.3f} s")

    def on_redis_fault(self, time: float, entity: str, event: RedisFaultStruck) -> None:
        if not event.key or self._is_own_key(event.key):
            what = f"{event.fault} of {event.command}" if event.command else event.fault
            self._line(time, "redis", what.replace("_", " "), Rank.OUTAGE, loud=True)

    def on_redis_back(self, time: float, entity: str, event: RedisBack) -> None:
        self._line(
            time, "redis", "gets a command that was late" if event.fault == "command_late" else "is back", Rank.LOG
        )

    def on_send(self, time: float, entity: str, event: TextSent) -> None:
        before = len(self.lines)
        super().on_send(time, entity, event)
        self._send_lines.pop(entity, None)
        if len(self.lines) > before:
            self._send_lines[entity] = self.lines[-1]

    def on_send_for(self, time: float, entity: str, event: TextEnds) -> None:
        line = self._send_lines.get(entity)
        if line is not None and event.conversation == self.conversation:
            line.text += f", which ends {', '.join(event.message_ids)}"
            line.rank = Rank.NAMED_SEND
            line.messages = tuple(event.message_ids)

    def on_send_fate(self, time: float, entity: str, event: TextFate) -> None:
        if event.conversation == self.conversation and event.fate != "delivered":
            said = _FATES.get(event.fate, "no answer of the channel; the text was delivered")
            self._line(time, entity, said, Rank.NO_ANSWER, loud=True)

    # The API

    def _tell_creation(self, time: float, who: str, request: Request) -> None:
        names = tuple(each.id for each in self.facts.messages_stored_by(request))
        what = f" with {listed(names)}" if names else ""
        self._line(
            time,
            who,
            f"created {request.detail or f'a {self.chronicle.roles.words.run}'}{what}",
            Rank.RUN_CREATED,
            messages=names,
        )

    def _tell_cancel(self, time: float, who: str, request: Request) -> None:
        refused = f": {request.served_status} {request.error_message or ''}" if request.served_status >= 400 else ""
        self._line(time, who, f"cancels {request.run}{refused}", Rank.CANCEL_UNDER_LEASE)


class LeaseStory(NamedTuple):
    """The lines of a story under leases: all of them, those around its message, and which message that is."""

    lines: list[Line]
    window: list[Line]
    message: Message


def lease_story(
    records: Sequence[tuple[float, str, str, Sequence[Any]]],
    chronicle: Chronicle,
    messages: Sequence[Message],
    looks: Collection[str] = (),
) -> LeaseStory:
    """The story of one of these messages: of the first that got no text or one that no assistant wrote, else of the first.

    Args:
        records: the trace.
        chronicle: of that trace.
        messages: one or more.
        looks: further commands that read what waits, as the relay declares them.
    """
    message = next((each for each in messages if _is_bad(_ending(each))), messages[0])
    writer = _LeaseStoryWriter(chronicle, message.conversation, looks)
    writer.read(records)
    tell_unended(writer, records)
    lines = sorted(writer.lines, key=lambda line: (line.time, line.order))
    ending = _ending(message)
    until = float("inf") if ending is None else ending.time + _AFTER_SECONDS
    window = [line for line in lines if message.sent_at <= line.time <= until]
    for line in window:
        if message.id in line.messages or line.rank == Rank.CONFLICT:
            line.rank = Rank.KEY
    raise_overtaking(window, chronicle, message.id)
    return LeaseStory(lines, window, message)


def _ending(message: Message) -> Text | None:
    """The first text that names the message."""
    return message.sends[0] if message.sends else None


def _is_bad(ending: Text | None) -> bool:
    return ending is None or ending.run is None
