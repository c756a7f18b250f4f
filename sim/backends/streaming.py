"""Server-sent events of one streamed answer, sans-I/O.

A stream is attached to a turn, and the service adds events to it as the turn moves; which ones is its API's business.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

MEDIA_TYPE: Final = "text/event-stream; charset=utf-8"

_ENCODE: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class EventStream:
    """The events of one streamed answer, from the service to one reader.

    Args:
        done_frame: whether `[DONE]` is the last frame; not every API sends it.
        gone: called once if the reader goes before the last frame.

    Attributes:
        ended: the last frame has been added; nothing follows.
        on_frames: called whenever frames were added; set by the reader.
        broken: it was broken off, so that its last frame is not the service's.
    """

    __slots__ = ("_done_frame", "_frames", "_gone", "_left", "broken", "detached", "ended", "on_frames")

    def __init__(self, *, done_frame: bool = True, gone: Callable[[], None] | None = None) -> None:
        self._frames: list[bytes] = []
        self._done_frame = done_frame
        self._gone = gone
        self.ended = False
        self.detached = False
        self.on_frames: Callable[[], None] | None = None
        self._left: int | None = None
        self.broken = False

    @property
    def will_break(self) -> bool:
        """Whether `break_after` was called."""
        return self._left is not None

    def break_after(self, events: int) -> None:
        """Let it end after so many events, 1 or more, those counted that have not been read yet."""
        self._left = max(0, events - len(self._frames))
        del self._frames[events:]
        if self._left == 0:
            self._break_off()

    def _break_off(self) -> None:
        self.broken = self.ended = True
        gone, self._gone = self._gone, None
        if gone is not None:
            gone()

    def add(self, event: str, data: Any) -> None:
        """Add an event with a JSON object as it is now."""
        self._push(event, _ENCODE(data))

    def end(self) -> None:
        """Add the last frame."""
        if not self.ended:
            self.ended = True
            if self._done_frame:
                self._push("done", "[DONE]")
            elif self.on_frames is not None and not self.detached:
                self.on_frames()

    def read(self) -> bytes:
        """The frames added since the last read; empty if there are none."""
        frames = b"".join(self._frames)
        self._frames.clear()
        return frames

    def detach(self) -> None:
        """The reader has gone: the run goes on, and nothing more is collected."""
        self.detached = True
        self.on_frames = None
        self._frames.clear()
        gone, self._gone = self._gone, None
        if gone is not None and not self.ended:
            gone()

    def _push(self, event: str, data: str) -> None:
        if self.detached or self.broken:
            return
        self._frames.append(self._frame(event, data))
        if self._left is not None:
            self._left -= 1
            if self._left == 0 and event != "done":
                self._break_off()
        if self.on_frames is not None:
            self.on_frames()

    def _frame(self, event: str, data: str) -> bytes:
        return f"event: {event}\ndata: {data}\n\n".encode()


class DataStream(EventStream):
    """One whose events have no names, as of chat completions."""

    __slots__ = ()

    def _frame(self, event: str, data: str) -> bytes:
        return f"data: {data}\n\n".encode()
