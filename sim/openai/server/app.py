"""The simulated API as an ASGI 3 application: one request from its arrival to its answer.

A request is parsed when its body has arrived. Then, in virtual time: the way out, processing, the way back, each a kernel
event, so that it takes place at its exact instant whatever has become of the client. At speed 0 requests take no time, since
the clock stands still while a client waits. Faults that need the connection, streams and silences are in `delivery`.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, NamedTuple, TypeVar

from relaysim.sim.kernel import EPOCH_SECONDS
from relaysim.sim.openai import errors
from relaysim.sim.openai.arrivals import cut_body
from relaysim.sim.openai.calls import Answer, Call
from relaysim.sim.openai.faults import ApiFault
from relaysim.sim.openai.server import API_PREFIX, CONTROL_PREFIX, HEALTH_PATH
from relaysim.sim.openai.server.body import BodyTooLargeError, ClientGoneError, read_body
from relaysim.sim.openai.server.delivery import (
    Exchange,
    Message,
    NoWireError,
    Receive,
    Scope,
    Send,
    Wire,
    cut_events,
    send_whole,
)
from relaysim.sim.openai.server.outages import Door, Outages
from relaysim.sim.openai.server.pacer import Pacer, WorldEndedError
from relaysim.sim.openai.simulation import ApiSettings, SimulatedApi
from relaysim.sim.openai.streaming import EventStream
from relaysim.sim.openai.wire import READ_HEADERS, error_response, request_id_header

AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

SIMULATOR_ERROR: Final = "simulator_error"
"""The `type` of an error body that tells of a fault of the simulator itself, which the real API never has."""

_READ_HEADERS: Final = tuple((name.encode(), name) for name in READ_HEADERS)
_CONTROL_MODULE: Final = "relaysim.sim.openai.server.control"

_UNANSWERED: Final = frozenset({"connect_error", "request_lost", "response_lost", "read_timeout"})
_BREAKING: Final = frozenset({"reset", "truncated", "malformed"})
_DAMAGED: Final = _BREAKING | {"slow_body"}

T = TypeVar("T")


class _Rendered(NamedTuple):
    """An answer as it sets out; the body of a stream is what there is of it by then."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    stream: EventStream | None = None


class SimulatedServer:
    """The simulated API as an ASGI 3 application. All of it is called from the thread of the loop that serves it.

    Args:
        settings: what the API is like.
        speed: virtual seconds per real second; 0: time only moves by `advance`, and requests take no time.
        start_seconds: what Unix time it is at virtual 0; by default now, or `relaysim.sim.kernel.EPOCH_SECONDS` at speed 0.

    Attributes:
        api: the API; `reset` replaces what is in it.
        pacer: moves the API's kernel.
        errors: how many of the simulator's own errors were met, each also written to standard error.

    Raises:
        FileNotFoundError, tomllib.TOMLDecodeError, pydantic.ValidationError: bad settings, as of `SimulatedApi`.
        ValueError: a speed below 0.
    """

    def __init__(self, settings: ApiSettings, speed: float = 1.0, start_seconds: float | None = None) -> None:
        self._given_start = start_seconds
        self._earlier_requests = self._earlier_fired = 0
        self.errors = 0
        self.api = SimulatedApi(settings, self._start_seconds(speed))
        self.api.on_error = self.note_error
        self.pacer = Pacer(self.api.kernel, speed, self.note_error)
        self._outages: Outages | None = None
        self._exchanges: dict[Exchange, None] = {}
        self._stopping = False
        self._control: AsgiApp | None = None

    # From the outside

    @contextmanager
    def present(self) -> Iterator[SimulatedApi]:
        """The API at the present instant, for reading and for changing: `with server.present() as api: ...`.

        Nothing may be awaited inside.
        """
        self.pacer.catch_up()
        try:
            yield self.api
        finally:
            self.pacer.arm()

    def reset(self, settings: ApiSettings | None = None) -> None:
        """Begin a fresh world; requests, streams and silences of the old one end, unanswered.

        Without a `start_seconds` of its own, virtual 0 is now (at speed 0: `EPOCH_SECONDS`) once more.

        Raises:
            FileNotFoundError, tomllib.TOMLDecodeError, pydantic.ValidationError: bad settings; then nothing changes.
        """
        requests, fired = self.api.requests, sum(self.api.faults.fired)
        self.api.reset(settings, self._start_seconds(self.pacer.speed))
        self._earlier_requests += requests
        self._earlier_fired += fired
        for exchange in self._exchanges:
            exchange.end()
        self.pacer.attach(self.api.kernel)
        self._plan_outages()

    def set_faults(self, faults: tuple[ApiFault, ...]) -> None:
        """Put other faults in place of the present ones. Their windows count from virtual 0, as ever."""
        self.pacer.catch_up()
        self._earlier_fired += sum(self.api.faults.fired)
        self.api.set_faults(faults)
        self._plan_outages()

    def change_faults(self, kept: Iterable[int], added: tuple[ApiFault, ...] = ()) -> None:
        """Keep the faults at these positions, which go on counting, and put new ones after them, which begin to."""
        self.pacer.catch_up()
        before = sum(self.api.faults.fired)
        self.api.change_faults(kept, added)
        self._earlier_fired += before - sum(self.api.faults.fired)
        self._plan_outages()

    def set_speed(self, speed: float) -> None:
        """Change the speed from now on.

        Raises:
            ValueError: unless it is 0 or more, and finite.
        """
        self.pacer.set_speed(speed)
        self._plan_outages()

    def advance(self, seconds: float) -> float:
        """Let virtual seconds pass at once, at any speed; returns the virtual instant then.

        Raises:
            ValueError: for a negative, infinite or undefined duration.
        """
        return self.pacer.advance(seconds)

    @property
    def requests(self) -> int:
        """How many requests have come for the simulated API, over all resets."""
        return self._earlier_requests + self.api.requests

    @property
    def faults_fired(self) -> int:
        """How often a fault has fired, over all resets and plans."""
        return self._earlier_fired + sum(self.api.faults.fired)

    def note_error(self, error: BaseException) -> None:
        """Count an error of the simulator's own and write it to standard error."""
        self.errors += 1
        print("relaysim: an error of the simulator itself:", file=sys.stderr)
        traceback.print_exception(error, file=sys.stderr)

    def start(self, door: Door | None = None) -> None:
        """Let virtual time begin, on the running loop. `door`: what outages close."""
        self.pacer.start(asyncio.get_running_loop())
        self._outages = None if door is None else Outages(door)
        self._plan_outages()

    def end_waiting(self) -> None:
        """The server is about to stop: end what could wait for ever, streams and silences."""
        self._stopping = True
        for exchange in self._exchanges:
            exchange.end()

    def stop(self) -> None:
        """Let time stand still; requests still on their way end, unanswered."""
        self.end_waiting()
        self.pacer.stop()

    def _start_seconds(self, speed: float) -> float:
        if self._given_start is not None:
            return self._given_start
        return time.time() if speed > 0 else float(EPOCH_SECONDS)

    def _plan_outages(self) -> None:
        if self._outages is not None:
            self._outages.plan(self.api, moving=self.pacer.speed > 0)
            self.pacer.arm()

    # ASGI

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the lifespan."""
        if scope["type"] != "http":
            await self._not_http(scope, receive, send)
            return
        path: str = scope["path"]
        if path == HEALTH_PATH:
            await _send_answer(scope, send, _json_answer(200, self._health()))
        elif path.startswith(CONTROL_PREFIX) and path[len(CONTROL_PREFIX) : len(CONTROL_PREFIX) + 1] in ("", "/"):
            await self._serve_control(scope, receive, send)
        else:
            await self._serve(scope, receive, send)

    def answer_now(self, scope: Scope, body: bytes, wire: Wire) -> bool:
        """Answer a request whose body is there, if that takes no waiting: no latency, no faults, no stream.

        Args:
            scope: the request's.
            body: all of it.
            wire: where to answer.

        Returns:
            False if nothing was done, and the request must be served as any ASGI request.
        """
        api, pacer = self.api, self.pacer
        settings = api.settings
        if (
            api.faults.faults
            or (settings.latency and pacer.speed > 0.0)
            or len(body) > settings.body_bytes_max
            or scope["method"] == "HEAD"
            or not scope["path"].startswith(API_PREFIX)
        ):
            return False
        try:
            pacer.catch_up()
            call = self._parse(scope, body, None)
            if call.params.get("stream"):
                return False
            number, request_id = api.next_request()
            api.decide_fault(call, number, request_id)
            answer = self._process(call, request_id, None)
            pacer.arm()
        except Exception as error:
            answer = self._own_error(error)
        wire.respond(scope, answer.status, answer.headers, answer.body)
        return True

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal: errors.ApiError | None = None
        body = b""
        try:
            body = await read_body(receive, scope["headers"], self.api.settings.body_bytes_max)
        except ClientGoneError:
            return
        except BodyTooLargeError as error:
            refusal = errors.body_too_large(self.api.settings.body_bytes_max)
            if not error.drained:
                refusal.headers["connection"] = "close"
        api, pacer = self.api, self.pacer
        try:
            pacer.catch_up()
            number, request_id = api.next_request()
            call = self._parse(scope, body, refusal)
            fault = api.decide_fault(call, number, request_id)
            seconds = api.request_seconds(number) if api.settings.latency and pacer.speed > 0.0 else 0.0
            if fault is None and seconds == 0.0:
                answer = self._process(call, request_id, None)
                pacer.arm()
            else:
                arrived = await self._travel(scope, receive, send, call, request_id, fault, seconds)
                if arrived is None:
                    return
                answer = arrived
            if answer.stream is not None or (fault is not None and fault.kind in _DAMAGED):
                await self._deliver(scope, receive, send, answer, fault)
                return
        except Exception as error:
            answer = self._own_error(error)
        await _send_answer(scope, send, answer)

    def _parse(self, scope: Scope, body: bytes, refusal: errors.ApiError | None) -> Call:
        raw_path = scope.get("raw_path")
        path = (scope["path"].encode() if raw_path is None else raw_path).decode("latin-1")
        query = scope["query_string"]
        if query:
            path = f"{path}?{query.decode('latin-1')}"
        sent = dict(scope["headers"])  # the SDK sends twenty; three are read
        headers = {name: sent[key].decode("latin-1") for key, name in _READ_HEADERS if key in sent}
        call = self.api.wire.parse(scope["method"], path, headers, body)
        if refusal is not None:
            call.refusal = refusal
        return call

    def _process(self, call: Call, request_id: str, fault: ApiFault | None) -> _Rendered:
        """The request arrives at the service, at the kernel's present instant; its answer as it sets out."""
        api = self.api
        if fault is None or fault.kind != "status":
            answer = api.execute(call, request_id)
        else:
            if fault.processed:
                unseen = api.execute(call, request_id, recorded=False).stream
                if unseen is not None:
                    unseen.detach()
            error = fault.error()
            answer = Answer(error.status, error=error)
            api.record_answer(answer, request_id)
        status, headers, body = api.wire.render(answer, call, request_id)
        stream = answer.stream
        if stream is not None:
            body = stream.read()
        return _Rendered(status, headers, body, stream)

    async def _travel(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        call: Call,
        request_id: str,
        fault: ApiFault | None,
        seconds: float,
    ) -> _Rendered | None:
        """Take a request to the service and its answer back, in virtual time; None if the client is not to be answered."""
        way_out = seconds * self.api.profile.request_arrival_fraction
        way_back = seconds - way_out

        def process() -> _Rendered:
            return self._process(call, request_id, fault)

        if fault is not None and fault.kind in _UNANSWERED:
            async with self._exchange(scope, receive, send) as exchange:
                if fault.kind == "connect_error":
                    await self._after(way_out, _nothing)
                    await exchange.reset()
                elif fault.kind == "request_lost":
                    await exchange.silence()
                elif fault.kind == "response_lost":
                    _unread(await self._after(way_out, process))
                    await exchange.silence()
                elif await exchange.silence():  # read_timeout
                    _unread(await self._after(way_out, process))
            return None
        try:
            answer = await self._after(way_out, process)
            if way_back > 0.0:
                await self.pacer.sleep(way_back)
        except WorldEndedError:
            async with self._exchange(scope, receive, send):
                return None
        return answer

    async def _deliver(
        self, scope: Scope, receive: Receive, send: Send, answer: _Rendered, fault: ApiFault | None
    ) -> None:
        """Send a stream, or an answer that suffers on its way."""
        status, headers, body, stream = answer
        kind = None if fault is None else fault.kind
        if stream is not None and kind in _BREAKING:
            stream.detach()
        if kind == "malformed":
            cut = cut_events(body) if stream is not None else cut_body(body)
            await _send_answer(scope, send, _Rendered(status, _with_length(headers, cut), cut))
            return
        async with self._exchange(scope, receive, send) as exchange:
            if kind == "reset":
                await exchange.reset_within(status, headers, body if stream is not None else cut_body(body))
            elif kind == "truncated":
                await exchange.cut_off(status, headers, body if stream is not None else cut_body(body))
            else:
                seconds = 0.0 if fault is None or fault.seconds is None else fault.seconds
                if stream is None:
                    await exchange.dribble(status, headers, body, seconds)
                else:
                    await exchange.stream(status, headers, stream, body, seconds)

    @asynccontextmanager
    async def _exchange(self, scope: Scope, receive: Receive, send: Send) -> AsyncIterator[Exchange]:
        """An exchange that ends with the world or the server. At the end, what was not answered whole is cut off."""
        exchange = Exchange(scope, receive, send, self.pacer)
        self._exchanges[exchange] = None
        if self._stopping:
            exchange.end()
        try:
            yield exchange
        except WorldEndedError:
            pass
        except NoWireError as error:
            await _send_answer(scope, send, self._own_error(error))
        except Exception as error:
            self.note_error(error)
        finally:
            del self._exchanges[exchange]
            await exchange.finish()

    async def _after(self, seconds: float, action: Callable[[], T]) -> T:
        """Call `action` in so many virtual seconds, at the instant itself."""
        if seconds > 0.0:
            return await self.pacer.when(seconds, action)
        with self.present():  # an event would wait for the clock, which may stand still
            return action()

    # What is no request to the simulated API

    def _health(self) -> dict[str, Any]:
        now = self.pacer.catch_up()
        self.pacer.arm()
        return {
            "status": "stopping" if self._stopping else "ok",
            "virtual_seconds": now,
            "speed": self.pacer.speed,
            "requests": self.requests,
            "errors": self.errors,
        }

    async def _serve_control(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            if self._control is None:
                self._control = importlib.import_module(_CONTROL_MODULE).make_control_app(self)
            await self._control(scope, receive, watched)
        except Exception as error:
            answer = self._own_error(error)
            if not started:
                await _send_answer(scope, send, answer)

    async def _not_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            raise RuntimeError(f"the simulated API has no {scope['type']}")
        await receive()
        self.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.stop()
        await send({"type": "lifespan.shutdown.complete"})

    def _own_error(self, error: Exception) -> _Rendered:
        self.note_error(error)
        said = f"The simulator itself failed, not what it simulates: {type(error).__name__}: {error}"
        own = errors.ApiError(500, said, type=SIMULATOR_ERROR)
        status, headers, body = error_response(own, request_id_header("simulator-error"))
        return _Rendered(status, headers, body)


async def _send_answer(scope: Scope, send: Send, answer: _Rendered) -> None:
    await send_whole(scope, send, answer.status, answer.headers, answer.body)


def _json_answer(status: int, data: Any) -> _Rendered:
    body = json.dumps(data).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body))}
    return _Rendered(status, headers, body)


def _with_length(headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    """The headers for another, whole body."""
    return {**headers, "content-length": str(len(body))}


def _unread(answer: _Rendered) -> None:
    if answer.stream is not None:
        answer.stream.detach()


def _nothing() -> None:
    pass
