"""The events of one response, to whoever reads it as a stream: numbered from 0, without a last frame `[DONE]`.

In the documented order:

    response.created, response.queued (in the background only), response.in_progress,
    response.output_item.added, response.content_part.added, response.output_text.delta ..., response.output_text.done,
    response.content_part.done, response.output_item.done, response.completed

A function call has `response.function_call_arguments.delta` and `.done` in place of the part's events. A stream ends with
`response.completed`, `response.incomplete` or `response.failed`; the last of these also tells of a cancelled response, whose
status its object has (documented).

What was created in the background as a stream can be taken up again at any number; its events are kept for that.
"""

from __future__ import annotations

from typing import Any

from relaysim.sim.backends.streaming import EventStream


class TurnEvents:
    """The events of one response.

    Attributes:
        kept: those that happened, if they are kept: each with its type.
        first: the stream of the one who created the response; None: it asked for none.
        ended: the last one has happened.
    """

    __slots__ = ("_number", "_streams", "ended", "first", "kept")

    def __init__(self) -> None:
        self._streams: list[EventStream] = []
        self._number = 0
        self.kept: list[tuple[str, dict[str, Any]]] | None = None
        self.first: EventStream | None = None
        self.ended = False

    def keep(self) -> None:
        """Keep all events from now on, so that streams can be taken up again."""
        self.kept = []

    def attach(self, stream: EventStream, after: int = -1) -> None:
        """Let a stream have what follows, and before that what was kept from the number `after` on."""
        for number, (kind, data) in enumerate(self.kept or ()):
            if number > after:
                stream.add(kind, data)
        if self.ended:
            stream.end()
        else:
            self._streams.append(stream)

    @property
    def are_wanted(self) -> bool:
        """Whether anybody reads them, or may."""
        return bool(self._streams) or self.kept is not None

    def add(self, kind: str, **fields: Any) -> None:
        """The next event. Nothing in `fields` may change later; if nobody may read it, nothing happens."""
        if not (self._streams or self.kept is not None):
            return
        data = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        if self.kept is not None:
            self.kept.append((kind, data))
        for stream in self._streams:
            stream.add(kind, data)

    def end(self) -> None:
        """Nothing follows."""
        self.ended = True
        for stream in self._streams:
            stream.end()
        self._streams.clear()
