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
        left: called once if the reader goes before the last frame.

    Attributes:
        ended: the last frame has been added; nothing follows.
        on_frames: called whenever frames were added; set by the reader.
    """

    __slots__ = ("_done_frame", "_frames", "_left", "detached", "ended", "on_frames")

    def __init__(self, *, done_frame: bool = True, left: Callable[[], None] | None = None) -> None:
        self._frames: list[bytes] = []
        self._done_frame = done_frame
        self._left = left
        self.ended = False
        self.detached = False
        self.on_frames: Callable[[], None] | None = None

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
        left, self._left = self._left, None
        if left is not None and not self.ended:
            left()

    def _push(self, event: str, data: str) -> None:
        if self.detached:
            return
        self._frames.append(self._frame(event, data))
        if self.on_frames is not None:
            self.on_frames()

    def _frame(self, event: str, data: str) -> bytes:
        return f"event: {event}\ndata: {data}\n\n".encode()


class DataStream(EventStream):
    """One whose events have no names, as of chat completions."""

    __slots__ = ()

    def _frame(self, event: str, data: str) -> bytes:
        return f"data: {data}\n\n".encode()
