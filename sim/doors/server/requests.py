"""One request to the simulated API, from its arrival to its answer.

A request is parsed when its body has arrived. Then, in virtual time: the way out, processing, the way back, each a kernel
event, so that it takes place at its exact instant whatever has become of the client. At speed 0 requests take no time, since
the clock stands still while a client waits.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from relaysim.sim.backends import errors
from relaysim.sim.backends.calls import Call
from relaysim.sim.backends.other_endpoints.routes import OtherCall
from relaysim.sim.backends.wire import error_response, request_id_header
from relaysim.sim.doors.effects import CONNECT_ERROR, READ_TIMEOUT, Failure
from relaysim.sim.doors.faults import ApiFault
from relaysim.sim.doors.server.body import BodyTooLargeError, ClientGoneError, read_body
from relaysim.sim.doors.server.browsers import preflight, shared
from relaysim.sim.doors.server.delivery import (
    Exchange,
    NoWireError,
    Receive,
    Rendered,
    Scope,
    Send,
    Wire,
    send_whole,
    wire_of,
)
from relaysim.sim.doors.server.pacer import Pacer, WorldEndedError
from relaysim.sim.doors.simulation import DRAW_KEY, SimulatedApi

SIMULATOR_ERROR: Final = "simulator_error"
"""The `type` of an error body that tells of a fault of the simulator itself, which the real API never has."""

T = TypeVar("T")


def own_error(error: Exception) -> Rendered:
    """The answer that tells of an error of the simulator itself."""
    message = f"The simulator itself failed, not what it simulates: {type(error).__name__}: {error}"
    answer = errors.ApiError(500, message, type=SIMULATOR_ERROR)
    return Rendered(*error_response(answer, request_id_header("simulator-error")))


class ApiRequests:
    """Answers the requests to the simulated API.

    Args:
        api: the API.
        pacer: moves its kernel.
        on_error: told of each error of the simulator's own.

    Attributes:
        exchanges: the requests whose answers take their time.
        stopping: the server is about to stop, so that no exchange begins any more.
        client_at: who the clients are that reach the server at a port, for its trace; by default everybody is `client`.
    """

    def __init__(self, api: SimulatedApi, pacer: Pacer, on_error: Callable[[Exception], None]) -> None:
        self._api = api
        self._pacer = pacer
        self._on_error = on_error
        self.exchanges: dict[Exchange, None] = {}
        self.stopping = False
        self.client_at: Mapping[int, str] = {}

    def end_exchanges(self) -> None:
        """End what could wait for ever: streams, silences, slow bodies."""
        for exchange in self.exchanges:
            exchange.end()

    def answer_now(self, scope: Scope, body: bytes, wire: Wire) -> bool:
        """Answer a request whose body is there, if that takes no waiting: no latency, no faults, no stream.

        Args:
            scope: the request's.
            body: all of it.
            wire: where to answer.

        Returns:
            False if nothing was done, and the request must be served as any ASGI request.
        """
        api, pacer = self._api, self._pacer
        settings = api.settings
        if (
            api.faults.faults
            or (settings.latency and pacer.speed > 0.0)
            or len(body) > settings.body_bytes_max
            or scope["method"] in ("HEAD", "OPTIONS")
            or not scope["path"].startswith(api.wire.base_path)
        ):
            return False
        try:
            pacer.catch_up()
            call = self._parse(scope, body, None)
            if api.wire.takes_time(call):
                return False
            number, request_id = api.next_request()
            api.decide_fault(call, number, request_id)
            answer = self._process(call, request_id, None)
            api.note_answer(call, request_id, answer.status)
            pacer.arm()
        except Exception as error:
            self._on_error(error)
            answer = own_error(error)
        answer = shared(scope, answer)
        wire.respond(scope, answer.status, answer.headers, answer.body)
        return True

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        asked_before = preflight(scope)
        if asked_before is not None:
            await send_whole(scope, send, asked_before)
            return
        refusal: errors.ApiError | None = None
        body = b""
        try:
            body = await read_body(receive, scope["headers"], self._api.settings.body_bytes_max)
        except ClientGoneError:
            return
        except BodyTooLargeError as error:
            refusal = errors.body_too_large(self._api.settings.body_bytes_max)
            if not error.drained:
                refusal.headers["connection"] = "close"
        api, pacer = self._api, self._pacer
        try:
            pacer.catch_up()
            number, request_id = api.next_request()
            call = self._parse(scope, body, refusal)
            fault = api.decide_fault(call, number, request_id)
            seconds = api.latency.seconds(DRAW_KEY, number) if pacer.speed > 0.0 else 0.0
            work_seconds = 0.0
            if type(call) is OtherCall and api.latency.enabled and pacer.speed > 0.0:
                work_seconds = api.others.take_time(call, DRAW_KEY, number)
            if fault is None and seconds == 0.0 and work_seconds == 0.0:
                answer = self._process(call, request_id, None)
                pacer.arm()
                given = await self._given(scope, receive, send, answer, call, request_id)
                if given is None:
                    return
                answer = given
            else:
                arrived = await self._travel(scope, receive, send, call, request_id, fault, seconds, work_seconds)
                if arrived is None:
                    return
                answer = arrived
            answer = shared(scope, answer)
            of_streams = fault is not None and fault.after_events is not None
            spared = answer.stream.will_break if answer.stream is not None else of_streams
            failure = None if fault is None or (of_streams and answer.stream is None) else fault.effect.failure
            if fault is not None and fault.effect.damages and not spared:
                answer = answer.damaged(fault.effect)
                if fault.effect.ends != "in_order":
                    async with self._exchange(scope, receive, send) as exchange:
                        await exchange.break_off(answer, fault.effect.ends)
                    self._note(call, request_id, 0, failure)
                    return
            slow_seconds = 0.0 if fault is None else fault.slow_seconds
            wire = wire_of(scope)
            if wire is not None and wire.gone:
                self._note(call, request_id, 0, READ_TIMEOUT)
            else:
                self._note(call, request_id, answer.status, failure)
            if answer.stream is not None:
                async with self._exchange(scope, receive, send) as exchange:
                    ends = "closed" if fault is None else fault.effect.ends
                    await exchange.send_stream(answer, answer.stream, slow_seconds, ends)
                return
            if slow_seconds > 0.0:
                async with self._exchange(scope, receive, send) as exchange:
                    await exchange.send_slowly(answer, slow_seconds)
                return
        except Exception as error:
            self._on_error(error)
            answer = shared(scope, own_error(error))
        await send_whole(scope, send, answer)

    def _note(self, call: Call, request_id: str, status: int, failure: Failure | None) -> None:
        """An answer sets out, or its client knows that it gets none."""
        self._pacer.catch_up()
        self._api.note_answer(call, request_id, status, failure)
        self._pacer.arm()

    def _parse(self, scope: Scope, body: bytes, refusal: errors.ApiError | None) -> Call:
        raw_path = scope.get("raw_path")
        path = (scope["path"].encode() if raw_path is None else raw_path).decode("latin-1")
        query = scope["query_string"]
        if query:
            path = f"{path}?{query.decode('latin-1')}"
        sent = dict(scope["headers"])  # the SDK sends twenty; three are read
        wire = self._api.wire
        headers = {name: sent[key].decode("latin-1") for key, name in wire.raw_read_headers if key in sent}
        call = wire.parse(scope["method"], path, headers, body)
        if refusal is not None:
            call.refusal = refusal
        if self.client_at:
            call.client = self.client_at.get(scope["server"][1], call.client)
        return call

    def _process(self, call: Call, request_id: str, fault: ApiFault | None) -> Rendered:
        """The request arrives at the service, at the kernel's present instant; its answer as it sets out."""
        answer = self._api.answer(call, request_id, fault)
        wire = self._api.wire

        def rendered() -> Rendered:
            return Rendered(*wire.render(answer, call, request_id))

        if answer.pending is not None and not answer.pending.given:
            return Rendered(answer.status, {}, b"", pending=answer.pending, again=rendered)
        stream = answer.stream
        if stream is None:
            return rendered()
        if fault is not None and fault.after_events is not None:
            stream.break_after(fault.after_events)
        return rendered()._replace(body=stream.read(), stream=stream)

    async def _given(
        self, scope: Scope, receive: Receive, send: Send, answer: Rendered, call: Call, request_id: str
    ) -> Rendered | None:
        """An answer that may be pending, once it is given; None if nobody is left to be answered."""
        if answer.pending is None or answer.again is None:
            return answer
        async with self._exchange(scope, receive, send) as exchange:
            if await exchange.until_given(answer.pending):
                return answer.again()
            if exchange.gone:
                self._note(call, request_id, 0, READ_TIMEOUT)
        return None  # or the world ended meanwhile

    async def _travel(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        call: Call,
        request_id: str,
        fault: ApiFault | None,
        seconds: float,
        work_seconds: float,
    ) -> Rendered | None:
        """Take a request to the service and its answer back, in virtual time; None if the client is not to be answered."""
        way_out = self._api.latency.way_out(seconds)
        way_back = seconds - way_out + work_seconds

        def process() -> Rendered:
            return self._process(call, request_id, fault)

        effect = None if fault is None else fault.effect
        if effect is not None and not effect.answered:
            async with self._exchange(scope, receive, send) as exchange:
                if not effect.connects:
                    await self._after(way_out, _nothing)
                    await exchange.reset()
                    self._note(call, request_id, 0, CONNECT_ERROR)
                    return None
                if effect.processed == "in_time":
                    _drop(await self._after(way_out, process))
                client_has_left = await exchange.silence()
                if client_has_left:
                    self._note(call, request_id, 0, READ_TIMEOUT)
                if effect.processed == "late" and client_has_left and fault is not None:
                    _drop(await self._after(fault.late_seconds(way_out), process))
            return None
        try:
            answer = await self._after(way_out, process)
            given = await self._given(scope, receive, send, answer, call, request_id)
            if given is None:
                return None
            answer = given
            if way_back > 0.0:
                await self._pacer.sleep(way_back)
        except WorldEndedError:
            async with self._exchange(scope, receive, send):
                return None
        return answer

    @asynccontextmanager
    async def _exchange(self, scope: Scope, receive: Receive, send: Send) -> AsyncIterator[Exchange]:
        """An exchange that ends with the world or the server. At the end, what was not answered whole is cut off."""
        exchange = Exchange(scope, receive, send, self._pacer)
        self.exchanges[exchange] = None
        if self.stopping:
            exchange.end()
        try:
            yield exchange
        except WorldEndedError:
            pass
        except NoWireError as error:
            self._on_error(error)
            await send_whole(scope, send, own_error(error))
        except Exception as error:
            self._on_error(error)
        finally:
            del self.exchanges[exchange]
            await exchange.finish()

    async def _after(self, seconds: float, action: Callable[[], T]) -> T:
        """Call `action` in so many virtual seconds, at the instant itself."""
        if seconds > 0.0:
            return await self._pacer.when(seconds, action)
        # An event would wait for the clock, which may stand still.
        self._pacer.catch_up()
        try:
            return action()
        finally:
            self._pacer.arm()


def _drop(answer: Rendered) -> None:
    """Nobody will read this answer."""
    if answer.stream is not None:
        answer.stream.detach()


def _nothing() -> None:
    pass
