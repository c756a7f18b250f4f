"""The simulated API at its usual address: for code under test that makes its own clients, of whatever library.

A request is what it is to the transport of lane `sdk`: one attempt, whose draws, faults and records are those of the worker
that sent it. What differs comes from the place: a client's timeouts are known only once it gives up, and a connection is
there before anybody knows what will be asked over it, so `connect_error` is a connection that is reset without an answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable

from relaysim.sim.backends.calls import UNKNOWN, Call
from relaysim.sim.backends.wire import Wire, request_id_header
from relaysim.sim.doors.arrivals import Arrivals, BrokenAnswer, BrokenStreamError, StreamedAnswer
from relaysim.sim.doors.broken_answers import rendered_broken
from relaysim.sim.doors.effects import PIECES, READ_ERROR
from relaysim.sim.doors.network import Network, OpenAttempt
from relaysim.sim.doors.transport import last_attempt
from relaysim.sim.kernel import place_of_caller
from relaysim.sim.kernel.source_places import place_of_awaiting
from relaysim.sim.sockets import BrokenConnectionError, HttpRequest, HttpResponse


class ApiAddress:
    """The HTTP service at the API's address.

    Args:
        network: latencies, faults and the trace.
        wire: parses and renders; by default one that lets any key in.
    """

    def __init__(self, network: Network, wire: Wire | None = None) -> None:
        self._network = network
        self._wire = network.service.backend.make_wire() if wire is None else wire

    def answer(self, request: HttpRequest) -> Awaitable[HttpResponse]:
        """Send the request as an attempt of its worker, now; its response."""
        call = self._wire.parse(request.method, request.target, request.headers, request.body)
        if call.operation == UNKNOWN:
            place = place_of_caller() or place_of_awaiting(request.worker)
            self._network.unknown.append((request.method, request.target, place))
        attempt = OpenAttempt(loop=request.worker.loop)
        self._network.attempt(request.worker, call, None, None, attempt)
        last_attempt.set((self._network.kernel.draws, attempt.draw_key, attempt.draw_index))
        request.when_left.append(lambda cancelled: self._network.give_up(attempt, cancelled=cancelled))
        return self._response(attempt, call)

    async def _response(self, attempt: OpenAttempt, call: Call) -> HttpResponse:
        answer = await (attempt if attempt.begun is None else attempt.begun)
        if isinstance(answer, StreamedAnswer):
            status, headers, _ = self._wire.render(answer, call, request_id_header(answer.request_id))
            return HttpResponse(status, _frames(answer.arrivals), headers)
        if answer.failure is not None and not isinstance(answer, BrokenAnswer):
            raise BrokenConnectionError
        if isinstance(answer, BrokenAnswer):
            broken = rendered_broken(self._wire, answer, call)
            if broken.breaks is None:
                return HttpResponse(broken.status, broken.content, broken.headers)
            return HttpResponse(broken.status, _cut(broken.content, broken.breaks), broken.headers)
        status, headers, content = self._wire.render(answer, call, request_id_header(answer.request_id))
        if not attempt.done():
            return HttpResponse(status, _slowly(content, attempt), headers)
        return HttpResponse(status, content, headers)


async def _frames(arrivals: Arrivals) -> AsyncIterator[bytes]:
    """The events of a stream, as they arrive."""
    try:
        while True:
            try:
                frames = await arrivals.read(None)
            except BrokenStreamError as broken:
                raise BrokenConnectionError(reset=broken.failure == READ_ERROR) from None
            if not frames:
                return
            yield frames
    finally:
        arrivals.close()


async def _cut(content: bytes, breaks: str) -> AsyncIterator[bytes]:
    yield content
    raise BrokenConnectionError(reset=breaks == READ_ERROR)


async def _slowly(content: bytes, attempt: OpenAttempt) -> AsyncIterator[bytes]:
    """A body in pieces; the last one comes when the attempt has its answer."""
    size = -(-len(content) // PIECES)
    for number in range(PIECES - 1):
        await asyncio.sleep(attempt.slow_seconds / PIECES)
        yield content[number * size : (number + 1) * size]
    await attempt
    yield content[(PIECES - 1) * size :]
