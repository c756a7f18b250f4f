"""Answers that do not reach a worker whole and at once: bodies that break off, bodies cut off, and streams.

`BrokenAnswer` is what a fault that damages answers makes of one, the same in both lanes.
`Arrivals` carries a streamed answer from the service to its reader: frames leave at kernel instants, travel for as long
as the request's own way back, and wait in a buffer until the reader, on its host, asks for them. The service and the
host meet in kernel events only, so how many steps a reader needs cannot change another host.
"""

from __future__ import annotations

from asyncio import Future, get_running_loop

from relaysim.sim.backends.calls import Answer
from relaysim.sim.backends.errors import ApiError
from relaysim.sim.backends.streaming import EventStream
from relaysim.sim.doors.effects import MALFORMED, PIECES, READ_TIMEOUT, Effect
from relaysim.sim.kernel import Kernel, ticks


class BrokenAnswer(Answer):
    """An answer that the service gave and that breaks on its way.

    Its status is 0 if the body breaks off, since the client never has a whole answer, and the answer's own if the body
    ends in order. An error's body is damaged already; an object's is damaged by whoever renders it, with `effect.body`.

    Attributes:
        whole: the answer as the service gave it.
        effect: the fault's.
    """

    __slots__ = ("effect", "whole")

    def __init__(self, whole: Answer, effect: Effect) -> None:
        error, failure = whole.error, effect.failure
        if failure != MALFORMED:
            super().__init__(0, failure=failure, detail=whole.detail)
        else:
            if error is not None:
                sent = effect.body(error.to_bytes())
                error = ApiError(
                    error.status, error.message, error.type, error.param, error.code, headers=error.headers, raw=sent
                )
            super().__init__(whole.status, whole.payload, error, whole.detail, failure)
        self.whole = whole
        self.effect = effect


class StreamedAnswer(Answer):
    """An answer whose events arrive one by one.

    Attributes:
        arrivals: what has arrived, for its reader.
    """

    __slots__ = ("arrivals",)

    def __init__(self, whole: Answer, arrivals: Arrivals, failure: str | None) -> None:
        super().__init__(whole.status, whole.payload, detail=whole.detail, failure=failure)
        self.stream = whole.stream
        self.arrivals = arrivals


class BrokenStreamError(Exception):
    """A stream's end that is none.

    Attributes:
        failure: `ReadTimeout`, `ReadError` or `RemoteProtocolError`.
    """

    def __init__(self, failure: str) -> None:
        super().__init__(failure)
        self.failure = failure


class Arrivals:
    """The frames of one streamed answer that have reached a worker. It has one reader.

    Args:
        kernel: the world.
        stream: what the service adds its frames to.
        way_back: seconds from the service to the worker.
        effect: of the fault that it meets. If that damages it, nothing follows what it has now, unless the stream itself
            knows where it will break.
        slow_seconds: over how many seconds what it has now arrives; 0: at once.
    """

    __slots__ = (
        "_breaks",
        "_buffer",
        "_deadline",
        "_ended",
        "_failure",
        "_kernel",
        "_slow_until",
        "_stream",
        "_waiting",
        "_watched",
        "_way_back",
    )

    def __init__(
        self,
        kernel: Kernel,
        stream: EventStream,
        way_back: float,
        effect: Effect | None = None,
        slow_seconds: float = 0.0,
    ) -> None:
        self._kernel = kernel
        self._stream = stream
        self._way_back = way_back
        self._buffer: list[bytes] = []
        self._ended = False
        self._failure: str | None = None
        self._waiting: Future[None] | None = None
        self._deadline = 0.0
        self._watched = False
        self._slow_until = 0.0

        frames = stream.read()
        self._breaks = None if effect is None else effect.failure
        if effect is not None and effect.damages and not stream.will_break:
            stream.detach()
            breaks = None if effect.ends == "in_order" else effect.failure
            kernel.at(way_back, self._arrive, effect.events(frames), True, breaks)
            return
        if slow_seconds > 0:
            size = -(-len(frames) // PIECES)
            for number in range(PIECES):
                piece = frames[number * size : (number + 1) * size]
                last = number == PIECES - 1
                # The last one's delay must come out as below, to the last bit.
                delay = way_back + (slow_seconds if last else slow_seconds * (number + 1) / PIECES)
                kernel.at(delay, self._arrive, piece, stream.ended and last)
            self._slow_until = kernel.now + ticks(way_back + slow_seconds)
        else:
            kernel.at(way_back, self._arrive, frames, stream.ended, self._failure_of(stream))
        stream.on_frames = self._send

    def _send(self) -> None:
        """Frames were added: they set out."""
        frames = self._stream.read()
        # Not before what is slow: a connection keeps its order.
        delay = max(self._way_back, self._slow_until - self._kernel.now)
        self._kernel.at(delay, self._arrive, frames, self._stream.ended, self._failure_of(self._stream))

    def _failure_of(self, stream: EventStream) -> str | None:
        return self._breaks if stream.broken else None

    def _arrive(self, frames: bytes, ended: bool, failure: str | None = None) -> None:
        if frames:
            self._buffer.append(frames)
        if ended:
            self._ended = True
            self._failure = failure
        if frames or ended:
            self._wake()

    def _wake(self) -> None:
        waiting = self._waiting
        if waiting is not None:
            self._waiting = None
            if not waiting.done() and not waiting.get_loop().is_closed():
                waiting.set_result(None)

    async def read(self, read_timeout: float | None) -> bytes:
        """What has arrived since the last read, or else what arrives next; empty at the end. Await it on the host.

        Args:
            read_timeout: seconds to wait for it; None: for ever.

        Raises:
            BrokenStreamError: nothing came in time, or the stream broke.
        """
        if not self._buffer and not self._ended:
            self._waiting = waiting = get_running_loop().create_future()
            if read_timeout is not None:
                self._deadline = self._kernel.now + ticks(read_timeout)
                if not self._watched:
                    self._watched = True
                    self._kernel.at(read_timeout, self._watch)
            await waiting
        if self._buffer:
            frames = b"".join(self._buffer)
            self._buffer.clear()
            return frames
        if self._failure is not None:
            raise BrokenStreamError(self._failure)
        return b""

    def _watch(self) -> None:
        """The reader may have waited for too long. One timer at a time watches, however many frames come."""
        self._watched = False
        waiting = self._waiting
        if waiting is None or waiting.done():
            return
        left = self._deadline - self._kernel.now
        if left > 0:
            self._watched = True
            self._kernel.at(left, self._watch)
        else:
            # What arrives at this very instant is still in time.
            self._kernel.at(0.0, self._give_up, waiting)

    def _give_up(self, waiting: Future[None]) -> None:
        if self._waiting is waiting:
            self._stream.detach()
            self._arrive(b"", True, READ_TIMEOUT)

    def close(self) -> None:
        """The reader has gone: the run goes on, and nothing more is collected."""
        self._stream.detach()
        self._buffer.clear()
        self._ended = True
