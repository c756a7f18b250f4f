"""The story of one message under a relay that holds leases: who had the conversation, what became of runs and texts.

Such a relay takes messages in and answers them later, perhaps in another worker, so the story follows the conversation and
not a delivery: from when the message was sent until shortly after the text that ended it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from relaysim.reports.timeline import (
    _CANCEL_OF_ANOTHER,
    _CONFLICT,
    _ENDED_BADLY,
    _KEY,
    _LOG,
    _NO_ANSWER,
    _REDELIVERED,
    _RUN_ENDED_EARLY,
    _SEND,
    _STARTED,
    Record,
    _index,
    _Request,
    _Story,
    _Writer,
    laid_out,
)

_LEASE, _HOST, _OUTAGE, _TAKEN_OVER = 82, 88, 70, 68
_AFTER_SECONDS = 5.0


class _LeaseWriter(_Writer):
    """Turns the records of one conversation into lines, whichever worker's they are."""

    def __init__(self, records: Sequence[Record], story: _Story, conversation: str) -> None:
        super().__init__(records, story, conversation, None)
        self.holders = {
            str(fields[1]) for _, _, kind, fields in records if kind == "lease.taken" and fields[0] == conversation
        }

    def _ours(self, delivery: str, thread: str | None = None) -> bool:
        return (self.story.threads.get(thread or "") or self.story.of(delivery)) == self.conversation

    def _who(self, delivery: str, worker: str = "") -> str:
        return worker or super()._who(delivery)

    def _wait(self, order: int, time: float, delivery: str, following: str) -> None:
        """Pauses between looks are told with the looks."""

    def _handling_end(self, order: int, time: float, entity: str, fields: Sequence[Any]) -> None:
        delivery, _, error_class = fields
        if self._ours(delivery):
            message = self.story.message(delivery)
            text = f"could not accept {message}: {error_class}" if error_class else f"accepted {message}"
            self._line(order, time, entity, text, _ENDED_BADLY if error_class else _STARTED + 2)

    def _handling_start(self, order: int, time: float, entity: str, fields: Sequence[Any]) -> None:
        delivery, message_id, number = fields
        if self._ours(delivery) and number > 1:
            self._line(order, time, entity, f"gets {message_id} again (delivery {number})", _REDELIVERED)

    def _webhook_failed(self, order: int, time: float, entity: str, fields: Sequence[Any]) -> None:
        delivery, worker, reason = fields
        message = str(delivery).partition("#")[0]
        if self.story.conversations.get(message) == self.conversation:
            self._line(order, time, worker, f"{message} was not acknowledged: {reason}", _REDELIVERED)

    def _log(self, order: int, time: float, entity: str, fields: Sequence[Any]) -> None:
        """Events say what the trace knows, but for failures of the relay itself."""
        if self._ours(fields[0]) and not ('"event"' in fields[2] and '"drain_failed"' not in fields[2]):
            super()._log(order, time, entity, fields)

    def _redis(self, order: int, time: float, entity: str, fields: Sequence[Any]) -> None:
        _, command, key, reply = fields
        if command == "take_over" and str(key).endswith(f":{self.conversation}") and reply == 1:
            self._line(order, time, entity, "takes its run's messages over", _TAKEN_OVER)

    # Leases

    def _lease(
        self, order: int, time: float, fields: Sequence[Any], said: str, rank: int, *, loud: bool = False
    ) -> None:
        if fields[0] == self.conversation:
            self._line(order, time, str(fields[1]), said, rank, loud=loud)

    def _lease_taken(self, order: int, time: float, entity: str, fields: Sequence[Any]) -> None:
        self._lease(order, time, fields, f"takes the lease of {self.conversation}", _LEASE)

    def _lease_released(self, order: int, time: float, entity: str, fields: Sequence[Any]) -> None:
        self._lease(order, time, fields, "releases the lease", _LEASE - 20)

    def _lease_gone(self, order: int, time: float, entity: str, fields: Sequence[Any]) -> None:
        self._lease(order, time, fields, f"its lease is gone: {fields[2]}", _LEASE + 5, loud=True)

    def _lease_back(self, order: int, time: float, entity: str, fields: Sequence[Any]) -> None:
        self._lease(order, time, fields, "has a lease again that it had released", _LEASE + 5, loud=True)

    # Hosts, Redis, texts

    def _host(self, order: int, time: float, worker: str, said: str) -> None:
        if worker in self.holders:
            self._line(order, time, worker, said, _HOST, loud=True)

    def _host_crash(self, order: int, time: float, entity: str, fields: Sequence[Any]) -> None:
        self._host(order, time, entity, "loses its power")

    def _host_restart(self, order: int, time: float, entity: str, fields: Sequence[Any]) -> None:
        if entity in self.holders:
            self._line(order, time, entity, "starts again", _LOG)

    def _host_pause(self, order: int, time: float, entity: str, fields: Sequence[Any]) -> None:
        self._host(order, time, entity, f"stands still for {fields[0]:.3f} s")

    def _host_slow(self, order: int, time: float, entity: str, fields: Sequence[Any]) -> None:
        self._host(order, time, entity, f"runs slow for {fields[0]:.3f} s")

    def _redis_fault(self, order: int, time: float, entity: str, fields: Sequence[Any]) -> None:
        kind, command, key = fields
        if not key or str(key).endswith(f":{self.conversation}"):
            what = f"{kind} of {command}" if command else str(kind)
            self._line(order, time, "redis", what.replace("_", " "), _OUTAGE, loud=True)

    def _redis_back(self, order: int, time: float, entity: str, fields: Sequence[Any]) -> None:
        self._line(order, time, "redis", "is back", _LOG)

    def _send_for(self, order: int, time: float, entity: str, fields: Sequence[Any]) -> None:
        if fields[1] == self.conversation:
            self.lines[-1].text += f", which ends {', '.join(fields[2])}"
            self.lines[-1].rank = _SEND + 10

    def _send_fate(self, order: int, time: float, entity: str, fields: Sequence[Any]) -> None:
        if fields[1] == self.conversation and fields[2] != "delivered":
            said = {
                "refused": "the channel refuses the text",
                "unknown_lost": "no answer of the channel; the text is lost",
            }
            text = said.get(fields[2], "no answer of the channel; the text was delivered")
            self._line(order, time, entity, text, _NO_ANSWER, loud=True)

    def _created(self, order: int, time: float, who: str, request: _Request) -> None:
        self._line(order, time, who, f"created {request.detail or 'a run'}", _RUN_ENDED_EARLY)

    def _cancelled(self, order: int, time: float, who: str, request: _Request) -> None:
        refused = f": {request.status} {request.error or ''}" if (request.status or 0) >= 400 else ""
        self._line(order, time, who, f"cancels {request.run}{refused}", _CANCEL_OF_ANOTHER - 20)


def lease_timeline(records: Sequence[Record], width: int, focus: str | None, lines_max: int) -> list[str]:
    """As `relaysim.reports.timeline.render_timeline`, for a trace with leases; by default of the first bad end.

    Raises ValueError for a focus that the trace does not know.
    """
    story = _index(records)
    ended = _ended(records)
    written = [
        str(fields[4]) for _, _, kind, fields in records if kind == "message.stored" and fields[2] == "assistant"
    ]
    message = _message(story, ended, written, focus)
    conversation = story.conversations[message]
    lines = sorted(_LeaseWriter(records, story, conversation).write(), key=lambda line: (line.time, line.order))
    sent = next(time for time, _, kind, fields in records if kind == "message.sent" and fields[0] == message)
    until = ended[message][0] + _AFTER_SECONDS if message in ended else float("inf")
    window = [line for line in lines if sent <= line.time <= until]
    for line in window:
        if message in line.text.split(" ") or f"ends {message}" in line.text or line.rank == _CONFLICT:
            line.rank = _KEY
    return laid_out(window, story, conversation, f": {message}", width, lines_max)


def _ended(records: Sequence[Record]) -> dict[str, tuple[float, str]]:
    """When the first text left that names a message, and its words."""
    found: dict[str, tuple[float, str]] = {}
    text = ""
    for time, _, kind, fields in records:
        if kind == "send":
            text = str(fields[2])
        elif kind == "send.for":
            for message in fields[2]:
                found.setdefault(message, (time, text))
    return found


def _message(story: _Story, ended: dict[str, tuple[float, str]], written: Sequence[str], focus: str | None) -> str:
    """The message to tell of: among those in focus the first that got no text, or one that no assistant wrote."""
    messages = list(story.conversations)
    if focus is not None:
        named = focus.partition("#")[0]
        messages = [each for each, of in story.conversations.items() if named in (each, of)]
        if not messages:
            known = ", ".join(sorted(set(story.conversations.values()))[:8])
            raise ValueError(f"no delivery, message or conversation {focus!r} in this trace; conversations: {known}")
    replies = set(written)
    bad = [each for each in messages if each not in ended or ended[each][1] not in replies]
    return (bad or messages)[0]


__all__ = ["lease_timeline"]
