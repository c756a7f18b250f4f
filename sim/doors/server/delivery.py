"""How an answer leaves: in one piece, or as a stream, slowly, damaged, or not at all.

An `Exchange` is one request whose answer takes its time: it watches whether the client is still there, and can be ended
from outside when the server stops or the world is reset. Plain answers need none, see `send_whole`. What a fault does to an
answer is said by `relaysim.sim.doors.effects`; here is how the parts of an effect look on a socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, Final, Literal, NamedTuple, Protocol

from relaysim.sim.backends.calls import PendingAnswer
from relaysim.sim.backends.streaming import EventStream
from relaysim.sim.doors.effects import PIECES, Effect
from relaysim.sim.doors.server.pacer import Pacer, WorldEndedError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

EXTENSION: Final = "relaysim.connection"
"""The scope's extension that holds the `Wire` under a request."""

_ARRIVAL_SECONDS: Final = 0.03


class NoWireError(RuntimeError):
    """A fault needs the connection, and the server that runs this application does not give it."""

    def __init__(self) -> None:
        super().__init__(
            "this fault needs the connection itself: run the server by `relaysim serve` or BackgroundServer"
        )


class Wire(Protocol):
    """The connection under a request."""

    @property
    def gone(self) -> bool:
        """Whether its client has closed it."""
        ...

    def reset(self) -> None:
        """Reset it: what was not sent is lost."""
        ...

    def close(self) -> None:
        """Close it once everything is sent."""
        ...

    def respond(self, scope: Scope, status: int, headers: Mapping[str, str], body: bytes) -> bool:
        """Answer a request whole, in one write; False if that cannot be, and nothing was written."""
        ...


class Rendered(NamedTuple):
    """An answer as it sets out; the body of a stream is what there is of it by then.

    Attributes:
        status, headers, body: as the name says.
        stream: where the rest of the body comes from.
        pending: set if it cannot set out yet; then `again` renders it once it is given.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    stream: EventStream | None = None
    pending: PendingAnswer | None = None
    again: Callable[[], Rendered] | None = None

    def damaged(self, effect: Effect) -> Rendered:
        """What is sent of it under a fault that damages answers. A stream ends with that."""
        if self.stream is not None:
            self.stream.detach()
            sent = effect.events(self.body)
        else:
            sent = effect.body(self.body)
        if effect.ends != "in_order":  # the length that was announced is not reached
            return Rendered(self.status, self.headers, sent)
        return Rendered(self.status, {**self.headers, "content-length": str(len(sent))}, sent)


class Exchange:
    """One request whose answer takes its time.

    Args:
        scope, receive, send: of the request, whose body has been read.
        pacer: for waits in virtual seconds.

    Attributes:
        gone: the client has closed the connection.
        ended: `end` was called: the server stops, or the world is reset.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, pacer: Pacer) -> None:
        self._send = send
        self._pacer = pacer
        self._wire = wire_of(scope)
        self.gone = False
        self.ended = False
        self._whole = False
        self._change = asyncio.Event()
        self._watch = asyncio.ensure_future(self._until_gone(receive))

    async def _until_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        self._change.set()

    def end(self) -> None:
        """Let whatever this exchange waits for be over: its connection is closed without an answer."""
        self.ended = True
        self._change.set()

    @property
    def over(self) -> bool:
        """Whether there is nobody left to answer."""
        return self.gone or self.ended

    async def finish(self) -> None:
        """Call it last: what was not answered whole is cut off, and the watch is over."""
        if not (self._whole or self.gone) and self._wire is not None:
            self._wire.close()
            await self._watch  # uvicorn complains of an unanswered request unless its client has gone
        if not self._watch.done():
            self._watch.cancel()

    # Ways to answer

    async def silence(self) -> bool:
        """Say nothing until the client has gone (True) or the exchange is ended (False)."""
        while not self.over:
            await self._changed()
        return self.gone

    async def until_given(self, pending: PendingAnswer) -> bool:
        """Wait until an answer is there (True), or until nobody is left to be given it, which the service then knows."""
        pending.then(self._change.set)
        while not (pending.given or self.over):
            await self._changed()
        if pending.given:
            self._whole = not self.over  # what is given is sent whole, after the exchange
            return not self.over
        if self.gone:
            pending.abandon()
        return False

    async def reset(self) -> None:
        """Reset the connection."""
        if self._wire is None:
            raise NoWireError
        self._wire.reset()
        await self._watch

    async def break_off(self, sent: Rendered, ends: Literal["reset", "closed"]) -> None:
        """Send the head and what is sent of the body, then reset the connection, or close it in order."""
        if self._wire is None:
            raise NoWireError
        await self._send({"type": "http.response.start", "status": sent.status, "headers": raw(sent.headers)})
        if sent.body:
            await self._send({"type": "http.response.body", "body": sent.body, "more_body": True})
        await self._break(ends)

    async def _break(self, ends: str) -> None:
        if self._wire is None:
            raise NoWireError
        if ends == "reset":
            # A reset overtakes what the client has not read yet.
            await asyncio.sleep(_ARRIVAL_SECONDS)
            self._wire.reset()
        else:
            self._wire.close()
        await self._watch

    async def send_slowly(self, answer: Rendered, seconds: float) -> None:
        """Send the head at once and the body in pieces, evenly over so many virtual seconds."""
        await self._send({"type": "http.response.start", "status": answer.status, "headers": raw(answer.headers)})
        async for piece, last in self._pieces(answer.body, seconds):
            await self._send({"type": "http.response.body", "body": piece, "more_body": not last})
            self._whole = last

    async def send_stream(
        self, answer: Rendered, stream: EventStream, seconds: float = 0.0, ends: str = "closed"
    ) -> None:
        """Send a stream's events as they come, until its last or until there is no reader any more.

        Args:
            answer: the head, and the events that were read from the stream already.
            stream: where the events come from.
            seconds: virtual; if above 0 these first events are slow, and those that follow queue up behind them.
            ends: how it ends if it is broken off: `reset` or `closed`.
        """
        first = answer.body
        stream.on_frames = self._change.set
        try:
            await self._send({"type": "http.response.start", "status": answer.status, "headers": raw(answer.headers)})
            if seconds > 0.0:
                async for piece, _ in self._pieces(first, seconds):
                    await self._send({"type": "http.response.body", "body": piece, "more_body": True})
                first = b""
            while True:
                frames, first = first + stream.read(), b""
                last = stream.ended
                if last and stream.broken:
                    await self._send({"type": "http.response.body", "body": frames, "more_body": True})
                    await self._break(ends)
                    return
                if frames or last:
                    await self._send({"type": "http.response.body", "body": frames, "more_body": not last})
                if last:
                    self._whole = True
                if last or self.over:
                    return
                await self._changed()
        finally:
            stream.detach()

    async def _changed(self) -> None:
        await self._change.wait()
        self._change.clear()

    async def _pieces(self, body: bytes, seconds: float) -> AsyncIterator[tuple[bytes, bool]]:
        """A body in pieces, each at its virtual instant, and whether it is the last; ends early if nobody is left."""
        pieces = in_pieces(body)
        begun = self._pacer.catch_up()
        for number, piece in enumerate(pieces, start=1):
            await self._wait_until(begun + seconds * number / len(pieces))
            if self.over:
                return
            yield piece, number == len(pieces)

    async def _wait_until(self, instant: float) -> None:
        """Wait until a virtual instant, or until there is nobody left to answer."""
        if self.over:
            return
        remaining = instant - self._pacer.catch_up()
        if remaining <= 0.0:
            return
        pause = self._pacer.when(remaining, self._change.set)
        while not (pause.done() or self.over):
            await self._changed()
        if not pause.done():
            pause.cancel()
        elif isinstance(pause.exception(), WorldEndedError):
            self.ended = True


async def send_whole(scope: Scope, send: Send, answer: Rendered) -> None:
    """Send an answer in one piece."""
    wire = wire_of(scope)
    if wire is None or not wire.respond(scope, answer.status, answer.headers, answer.body):
        await send({"type": "http.response.start", "status": answer.status, "headers": raw(answer.headers)})
        await send({"type": "http.response.body", "body": answer.body})


def wire_of(scope: Scope) -> Wire | None:
    """The connection under a request, if the server gives it."""
    extensions = scope.get("extensions")
    wire: Wire | None = None if extensions is None else extensions.get(EXTENSION)
    return wire


def raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Headers as ASGI wants them."""
    return [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]


def in_pieces(body: bytes) -> Sequence[bytes]:
    """A body in ten pieces of about the same size; fewer only if it has fewer bytes, and one if it has none."""
    count = max(1, min(PIECES, len(body)))
    return [body[len(body) * number // count : len(body) * (number + 1) // count] for number in range(count)]
